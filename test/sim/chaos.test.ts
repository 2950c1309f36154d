// chaos.test.ts: whatever faults, whenever, the memory is that of an all-resident run. Pages vanish before passes, reports are truncated, workgroups
// shuffled, pools refused, pages evicted between rounds, on budgets down to what the neediest workgroup needs; I1 to I8 are looked at in every pass.

import { describe, expect, it } from 'vitest'
import { REFUSABLE } from '../chaos/refusals.ts'
import { type Met, runChaos } from '../chaos/sim-run.ts'
import { KERNELS } from '../kernels/all.ts'
import { only, overSeeds, seedsWanted } from '../seeds.ts'

describe('chaos leaves what an all-resident run leaves', () => {
  const met = overSeeds('test/sim/chaos.test.ts', seedsWanted(300), (seed) => runChaos(seed))

  it.skipIf(only !== null)('and met everything that it was made for', () => {
    const sum = (what: (one: Met) => number) => met.reduce((total, one) => total + what(one), 0)
    expect(new Set(met.map(({ kernel }) => kernel)).size).toBe(Math.min(KERNELS.length, met.length))
    for (const kind of ['absent', 'evicted', 'limited', 'shuffled', 'truncated'] as const)
      expect(
        sum(({ mischief }) => mischief.done[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    // Each kind of buffer was refused, and the bytes of read-backs; launches failed for it, some when workgroups had retired, some with all to be undone.
    for (const kind of REFUSABLE)
      expect(
        sum(({ refusals }) => refusals.done[kind]),
        kind,
      ).toBeGreaterThan(0)
    for (const kind of ['failed', 'midway', 'atomic'] as const)
      expect(
        sum(({ refusals }) => refusals.launches[kind]),
        `launches ${kind}`,
      ).toBeGreaterThan(0)
    expect(sum(({ refusals }) => refusals.launches.failed)).toBeGreaterThan(met.length / 4)
    for (const kind of ['sealed', 'refused', 'resident', 'direct', 'proven'] as const)
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
