// What the host's check of the sparse touches sees: a run that did nothing is an error, whichever it was. Does not cover: the kernels.

import { expect, test } from 'vitest'
import { sparseTouch, sparseTouchBlocks, sparseTouchPages } from '../../examples/workloads/sparse-touch.ts'

const MIB = 2 ** 20

test.each([sparseTouch, sparseTouchPages, sparseTouchBlocks])('$name: every run is looked for', async (workload) => {
  const { inputs, numbers, check } = await workload.make(4 * MIB)
  const { words, places } = inputs as Record<'words' | 'places', Uint32Array>
  const after = (sets: number, runs: number) => {
    const found = places.map((place, n) => (n < sets * (numbers.count as number) ? (words[place] as number) : 0))
    return { found: new Uint8Array(found.buffer), runs: new Uint8Array(Uint32Array.of(runs).buffer) }
  }
  check(after(1, 1))
  check(after(3, 3))
  check(after(16, 40))
  expect(() => check(after(0, 0))).toThrow('nothing has run')
  expect(() => check(after(1, 2))).toThrow('after 2 runs')
  expect(() => check(after(2, 1))).toThrow('after 1 runs')
  expect(new Set(places).size).toBe(places.length)
})
