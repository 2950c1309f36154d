// chain-chaos.test.ts: dependent launches that go together leave what they leave one by one in an all-resident run, whatever is taken away between the chains
// and within them.

import { describe, expect, it } from 'vitest'
import { type ChainsMet, runChainChaos } from '../chaos/chain-run.ts'
import { only, overSeeds, seedsWanted } from '../seeds.ts'

describe('chaos over chains leaves what an all-resident run leaves', () => {
  const met = overSeeds('test/sim/chain-chaos.test.ts', seedsWanted(200), runChainChaos)

  it.skipIf(only !== null)('and met everything that it was made for', () => {
    const sum = (what: (one: ChainsMet) => number) => met.reduce((total, one) => total + what(one), 0)
    for (const kind of ['absent', 'evicted', 'segmented', 'vanished'] as const)
      expect(
        sum(({ mischief }) => mischief.done[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    for (const kind of ['attempt', 'sealed', 'resident', 'direct', 'proven', 'narrowed'] as const)
      expect(
        sum(({ monitor }) => monitor.links[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    // Chains that were cut short in the middle: some links were done, one faulted.
    expect(sum(({ chains }) => chains.cut)).toBeGreaterThan(met.length / 4)
    expect(sum(({ chains }) => chains.links)).toBeGreaterThan(met.length * 4)
  })
})
