// random-kernels.test.ts: random kernels under grants, against the all-resident reference (replay-grants section 2).
// Does not cover: weak memory inside a pass, subgroup operations, data races.

import { describe, expect, it } from 'vitest'
import { only, overSeeds, repeatable, seedsWanted } from '../seeds.ts'
import { type Guessed, runSeed } from './random-run.ts'

const FILE = 'test/sim/random-kernels.test.ts'
const wanted = seedsWanted(400)

describe.each([32, 64] as const)('random kernels leave what an all-resident run leaves, with %i-bit addresses', (bits) => {
  overSeeds(FILE, bits === 32 ? wanted : Math.ceil(wanted / 4), (seed) => runSeed(seed, { addressBits: bits }))
})

describe('the race detector finds nothing in kernels without races', () => {
  for (const addressBits of [32, 64] as const) {
    it(`with ${addressBits}-bit addresses`, async () => {
      const seeds = Math.ceil(wanted / 8)
      for (let seed = 1; seed <= seeds; seed++) await repeatable(FILE, seed, () => runSeed(seed, { addressBits, debug: true }))
      expect(seeds).toBeGreaterThan(0)
    }, 600_000)
  }
})

describe('with history, density prefetch, thrash rules, read-ahead and advice at once', () => {
  const seeds = Math.ceil(wanted / 10)
  const met = overSeeds(FILE, seeds, (seed) => runSeed(seed, { addressBits: seed % 4 === 0 ? 64 : 32, guessing: true }))

  it.skipIf(only !== null)('and met all of it', () => {
    const sum = (kind: keyof Guessed) => met.reduce((total, one) => total + one[kind], 0)
    for (const kind of ['evictions', 'pingPongs', 'refaults', 'ahead', 'foreseen'] as const) expect(sum(kind), kind).toBeGreaterThan(seeds / 4)
  })
})
