// ci.test.ts: the fuzzer's share of continuous integration: a fixed set of seeds, a few fresh ones, one bug that must be found. Always: a failure's
// message ends in the line that repeats it.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { COUNTED } from './invariants.ts'
import { makeOps } from './op.ts'
import { run } from './run.ts'
import { FRESH, SEEDS, STEPS } from './seeds.ts'
import { addCounts, runSeed } from './suite.ts'

const root = join(fileURLToPath(import.meta.url), '..', '..')
const arrows: Record<string, number> = {}
const checked: Record<string, number> = {}
const failures: Record<string, number> = {}
const operations: Record<string, number> = {}
const dispatches: Record<string, number> = {}

async function play(seed: number): Promise<void> {
  const report = await runSeed({ seed, steps: STEPS })
  addCounts(arrows, report.arrows)
  addCounts(checked, report.checked)
  addCounts(failures, report.failures)
  addCounts(operations, report.byOperation)
  addCounts(dispatches, report.dispatches)
  expect(report.ok, `${report.failure?.operation}: ${report.failure?.message}\n${report.minimal?.line ?? ''}`).toBe(true)
}

describe('seeds', () => {
  it.each(SEEDS)('%d', play)

  it('over all of them: every arrow is taken, every invariant checked, every failure injected, every operation done', () => {
    const never = (counts: Record<string, number>) => Object.keys(counts).filter((name) => counts[name] === 0)
    expect({ arrows: never(arrows), failures: never(failures), operations: never(operations) }).toEqual({ arrows: [], failures: [], operations: [] })
    expect(never({ attempt: 0, resident: 0, broughtHome: 0, ...dispatches }), 'launches of both variants, and stores of resident ones that came home').toEqual(
      [],
    )
    expect(COUNTED.filter((id) => (checked[id] ?? 0) === 0)).toEqual([])
  })
})

it('counts nothing that was not looked at: with nothing mapped, no page', async () => {
  const closes = makeOps(1, STEPS).filter(({ kind }) => kind === 'close')
  const { checked } = await run({ seed: 1, steps: STEPS, ops: closes.slice(0, 1).map(({ index }) => index) })
  expect(
    Object.keys(checked)
      .map(Number)
      .filter((id) => PAGES.includes(id)),
  ).toEqual([])
})

describe('fresh seeds', () => {
  const fresh = Array.from({ length: FRESH }, () => Math.floor(Math.random() * 2 ** 31))
  afterAll(() => console.log(`fresh seeds: ${fresh.join(', ')}, with --steps ${STEPS}`))
  it.each(fresh)('%d', play)
})

it('canary: a bug that is put in is found, and the line that repeats it finds it again', () => {
  const broken = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'scripts/mutants.mjs'), '--run', CANARY, 'fuzz', '--json', ...args], { encoding: 'utf8' })
  const first = broken('--seed', '1', '--steps', '150')
  const report = JSON.parse(first.stdout)
  expect([first.status, report.ok]).toEqual([1, false])
  const line = /--seed (\d+) --steps (\d+) --ops ([\d,]+)/.exec(report.minimal.line) as RegExpExecArray
  expect(line[3].split(',').length).toBeLessThanOrEqual(12)
  const again = JSON.parse(broken('--seed', line[1], '--steps', line[2], '--ops', line[3]).stdout)
  expect(again.failure.message).toBe(report.failure.message)
})

/** Invariants of single pages. */
const PAGES = [1, 2, 4, 5, 8, 9, 10, 11, 12, 14, 15, 16, 17, 19, 21, 25, 35, 44, 54, 55]
const CANARY = 'dirty-bit-dropped-at-collect'
