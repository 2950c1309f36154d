// chain-chaos.test.ts: dependent launches that go together leave what they leave one by one in an all-resident run, whatever is taken away between the chains
// and within them. SVM_SEEDS=5000 runs more, SVM_SEED=17 runs one.

import { describe, expect, it } from 'vitest'
import { type ChainsMet, runChainChaos } from '../chaos/chain-run.ts'

const seedsWanted = Number(process.env.SVM_SEEDS ?? 200)
const only = process.env.SVM_SEED === undefined ? null : Number(process.env.SVM_SEED)
const BATCH = 50

async function repeatable(seed: number): Promise<ChainsMet> {
  try {
    return await runChainChaos(seed)
  } catch (error) {
    const line = `SVM_SEED=${seed} npx vitest run --project unit test/sim/chain-chaos.test.ts`
    throw new Error(`seed ${seed}, ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
  }
}

describe('chaos over chains leaves what an all-resident run leaves', () => {
  const met: ChainsMet[] = []
  if (only !== null) it(`seed ${only}`, () => repeatable(only).then(() => undefined))
  for (let first = 1; first <= seedsWanted && only === null; first += BATCH) {
    const last = Math.min(seedsWanted, first + BATCH - 1)
    it(`seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) met.push(await repeatable(seed))
      expect(met.length).toBeGreaterThan(0)
    }, 600_000)
  }

  it.skipIf(only !== null)('and met everything that it was made for', () => {
    const sum = (what: (one: ChainsMet) => number) => met.reduce((total, one) => total + what(one), 0)
    for (const kind of ['absent', 'evicted', 'segmented', 'vanished'] as const)
      expect(
        sum(({ mischief }) => mischief.done[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    for (const kind of ['attempt', 'resident', 'direct'] as const)
      expect(
        sum(({ monitor }) => monitor.links[kind]),
        kind,
      ).toBeGreaterThan(met.length / 4)
    // Chains that were cut short in the middle: some links were done, one faulted.
    expect(sum(({ chains }) => chains.cut)).toBeGreaterThan(met.length / 4)
    expect(sum(({ chains }) => chains.links)).toBeGreaterThan(met.length * 4)
  })
})
