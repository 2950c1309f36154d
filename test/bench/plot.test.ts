// The picture of bench results, and the file that they are kept in. Does not cover: what it looks like, which a person has to judge.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BenchResult } from '../../bench/case.ts'
import { plot } from '../../bench/plot.ts'
import { fileNameOf, keepResults, merged } from '../../bench/results.ts'

function result(name: string, ratio: number | null, goal: number | null): BenchResult {
  const met = goal === null ? null : (ratio ?? 3) <= goal
  return { name, svm: 3, plain: 2, unit: 'ms', ratio, goal, met, quick: true, date: '2026-01-31', samples: { svm: [3], plain: [2] } }
}

test('every result is in the picture with its figure; missed goals are told in words and by a pattern', () => {
  const svg = plot('a device <x> & y', [result('good', 1.2, 1.5), result('bad', 17.25, 2), result('plain', 0.9, null), result('steps', null, 2)])
  for (const words of ['good', '1.20 (goal 1.50)', '17.25 (goal 2.00, missed)', '0.90<', '3.00 ms (goal 2.00, missed)', '1 of 3 goals met'])
    expect(svg).toContain(words)
  expect(svg).toContain('a device &lt;x> &amp; y')
  expect(svg.match(/fill="url\(#missed\)"/g)).toHaveLength(2)
  expect(svg).not.toContain('working set / budget')
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
})

test('what is measured with too little memory is a curve of each workload', () => {
  const svg = plot('d', [result('jacobi-x0.5', 1, null), result('jacobi-x3', 40, null), result('bfs-x0.5', 1, null), result('triad-x2-tiled', 1.1, 1.2)])
  expect(svg.match(/<polyline/g)).toHaveLength(2)
  expect(svg).toContain('jacobi (40.00)')
  expect(svg).toContain('triad-x2-tiled')
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
})

test('results of now replace those of their name, and stand in the order of the benchmarks', () => {
  const all = merged([result('c', 1, null), result('a', 2, null), result('gone', 3, null)], [result('a', 9, null), result('b', 5, null)], ['a', 'b', 'c'])
  expect(all.map(({ name, ratio }) => [name, ratio])).toEqual([
    ['a', 9],
    ['b', 5],
    ['c', 1],
  ])
})

test('a file is called after its device', () => {
  expect(fileNameOf('google swiftshader swiftshader-device-subzero- SwiftShader driver 5.0.0 (software)')).toBe('swiftshader')
  expect(fileNameOf('nvidia hopper NVIDIA H200 NVIDIA: 580.1')).toBe('nvidia-hopper-nvidia-h200-nvidia-580-1')
})

test('what was kept is an array of results, one a line, and is read again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svm-results-'))
  try {
    await keepResults(folder, 'swiftshader', [result('a', 1, null), result('b', 2, null)], ['a', 'b'])
    const [json] = await keepResults(folder, 'swiftshader', [result('b', 3, null)], ['a', 'b'])
    const text = await readFile(json as string, 'utf8')
    expect(JSON.parse(text)).toMatchObject([
      { name: 'a', ratio: 1, quick: true, date: '2026-01-31' },
      { name: 'b', ratio: 3, quick: true, date: '2026-01-31' },
    ])
    expect(text.trim().split('\n')).toHaveLength(2)
  } finally {
    await rm(folder, { recursive: true })
  }
})
