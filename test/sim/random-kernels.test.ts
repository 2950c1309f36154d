// random-kernels.test.ts: random kernels under grants, against the all-resident reference (replay-grants section 2).
// Does not cover: weak memory inside a pass, subgroup operations, data races. SVM_SEEDS=5000 runs more, SVM_SEED=17 runs one.

import { describe, expect, it } from 'vitest'
import { type Guessed, type RunOptions, runSeed } from './random-run.ts'

const seedsWanted = Number(process.env.SVM_SEEDS ?? 400)
const only = process.env.SVM_SEED === undefined ? null : Number(process.env.SVM_SEED)
const BATCH = 50

async function repeatable(seed: number, addressBits: 32 | 64, options: RunOptions = {}): Promise<Guessed> {
  try {
    return await runSeed(seed, { addressBits, ...options })
  } catch (error) {
    const line = `SVM_SEED=${seed} npx vitest run --project unit test/sim/random-kernels.test.ts`
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
  }
}

describe.each([32, 64] as const)('random kernels leave what an all-resident run leaves, with %i-bit addresses', (bits) => {
  const seeds = bits === 32 ? seedsWanted : Math.ceil(seedsWanted / 4)
  if (only !== null) it(`seed ${only}`, () => repeatable(only, bits).then(() => undefined))
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
      for (let seed = 1; seed <= seeds; seed++) await repeatable(seed, addressBits, { debug: true })
      expect(seeds).toBeGreaterThan(0)
    }, 600_000)
  }
})

describe('with history, density prefetch, thrash rules, read-ahead and advice at once', () => {
  const met: Guessed = { evictions: 0, pingPongs: 0, refaults: 0, ahead: 0, foreseen: 0 }
  const seeds = Math.ceil(seedsWanted / 10)
  if (only !== null) it(`seed ${only}`, () => repeatable(only, only % 4 === 0 ? 64 : 32, { guessing: true }).then(() => undefined))
  for (let first = 1; first <= seeds && only === null; first += BATCH) {
    it(`seeds ${first} to ${Math.min(seeds, first + BATCH - 1)}`, async () => {
      for (let seed = first; seed < first + BATCH && seed <= seeds; seed++) {
        const one = await repeatable(seed, seed % 4 === 0 ? 64 : 32, { guessing: true })
        for (const kind of Object.keys(met) as (keyof Guessed)[]) met[kind] += one[kind]
      }
      expect(seeds).toBeGreaterThan(0)
    }, 600_000)
  }

  it.skipIf(only !== null)('and met all of it', () => {
    for (const [kind, count] of Object.entries(met)) expect(count, kind).toBeGreaterThan(seeds / 4)
  })
})
