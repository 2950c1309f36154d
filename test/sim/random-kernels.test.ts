// random-kernels.test.ts: random kernels under grants, against the all-resident reference (replay-grants section 2).
// Does not cover: weak memory inside a pass, subgroup operations, data races. SVM_SEEDS=5000 runs more, SVM_SEED=17 runs one.

import { describe, expect, it } from 'vitest'
import { runSeed } from './random-run.ts'

const seedsWanted = Number(process.env.SVM_SEEDS ?? 400)
const only = process.env.SVM_SEED === undefined ? null : Number(process.env.SVM_SEED)
const BATCH = 50

async function repeatable(seed: number, addressBits: 32 | 64, debug = false): Promise<void> {
  try {
    await runSeed(seed, { addressBits, debug })
  } catch (error) {
    const line = `SVM_SEED=${seed} npx vitest run --project unit test/sim/random-kernels.test.ts`
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
  }
}

describe.each([32, 64] as const)('random kernels leave what an all-resident run leaves, with %i-bit addresses', (bits) => {
  const seeds = bits === 32 ? seedsWanted : Math.ceil(seedsWanted / 4)
  if (only !== null) it(`seed ${only}`, () => repeatable(only, bits))
  for (let first = 1; first <= seeds && only === null; first += BATCH) {
    it(`seeds ${first} to ${Math.min(seeds, first + BATCH - 1)}`, async () => {
      for (let seed = first; seed < first + BATCH && seed <= seeds; seed++) await repeatable(seed, bits)
      expect(seeds).toBeGreaterThan(0)
    }, 600_000)
  }
})

describe('the race detector finds nothing in kernels without races', () => {
  for (const addressBits of [32, 64] as const) {
    it(`with ${addressBits}-bit addresses`, async () => {
      const seeds = Math.ceil(seedsWanted / 8)
      for (let seed = 1; seed <= seeds; seed++) await repeatable(seed, addressBits, true)
      expect(seeds).toBeGreaterThan(0)
    }, 600_000)
  }
})
