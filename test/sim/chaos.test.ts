// chaos.test.ts: whatever faults, whenever, the memory is that of an all-resident run. Pages vanish before passes, reports are truncated, workgroups
// shuffled, pools refused, pages evicted between rounds, on budgets down to what the neediest workgroup needs; I1 to I8 are looked at in every pass.
// SVM_SEEDS=5000 runs more, SVM_SEED=17 runs one.

import { describe, expect, it } from 'vitest'
import { type Met, runChaos } from '../chaos/sim-run.ts'
import { KERNELS } from '../kernels/all.ts'

const seedsWanted = Number(process.env.SVM_SEEDS ?? 300)
const only = process.env.SVM_SEED === undefined ? null : Number(process.env.SVM_SEED)
const BATCH = 50

async function repeatable(seed: number): Promise<Met> {
  try {
    return await runChaos(seed)
  } catch (error) {
    const line = `SVM_SEED=${seed} npx vitest run --project unit test/sim/chaos.test.ts`
    throw new Error(`seed ${seed}, ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
  }
}

describe('chaos leaves what an all-resident run leaves', () => {
  const met: Met[] = []
  if (only !== null) it(`seed ${only}`, () => repeatable(only).then(() => undefined))
  for (let first = 1; first <= seedsWanted && only === null; first += BATCH) {
    const last = Math.min(seedsWanted, first + BATCH - 1)
    it(`seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) met.push(await repeatable(seed))
      expect(met.length).toBeGreaterThan(0)
    }, 600_000)
  }

  it.skipIf(only !== null)('and met everything that it was made for', () => {
    const sum = (what: (one: Met) => number) => met.reduce((total, one) => total + what(one), 0)
    expect(new Set(met.map(({ kernel }) => kernel)).size).toBe(Math.min(KERNELS.length, met.length))
    for (const kind of ['absent', 'evicted', 'limited', 'shuffled', 'truncated'] as const)
      expect(
        sum(({ mischief }) => mischief.done[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    for (const kind of ['sealed', 'refused', 'resident', 'direct'] as const)
      expect(
        sum(({ monitor }) => monitor.seen[kind]),
        kind,
      ).toBeGreaterThan(0)
    for (const kind of ['aborted', 'hints', 'evictions', 'replayed', 'privatePages'] as const)
      expect(
        sum(({ monitor }) => monitor.seen[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
  })
})
