// Seeds of random tests. Always: a failing seed says the line that repeats it; SVM_SEEDS=5000 runs more of them, SVM_SEED=17 runs one.

import { expect, it } from 'vitest'

const BATCH = 50

/** The one seed that was asked for; null: all of them. */
export const only = process.env.SVM_SEED === undefined ? null : Number(process.env.SVM_SEED)

/** How many seeds to run. @param standard in CI */
export function seedsWanted(standard: number): number {
  return Number(process.env.SVM_SEEDS ?? standard)
}

/** @throws Error with the line that repeats the seed, which runs `file` of the unit tests */
export async function repeatable<Met>(file: string, seed: number, run: (seed: number) => Promise<Met>): Promise<Met> {
  try {
    return await run(seed)
  } catch (error) {
    const line = `SVM_SEED=${seed} npx vitest run --project unit ${file}`
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
  }
}

/** Declares the tests that run seeds 1 to `seeds`, in batches, or the one that was asked for. @returns where each leaves what it met */
export function overSeeds<Met>(file: string, seeds: number, run: (seed: number) => Promise<Met>): Met[] {
  const met: Met[] = []
  const one = async (seed: number) => {
    met.push(await repeatable(file, seed, run))
  }
  if (only !== null) it(`seed ${only}`, () => one(only as number))
  for (let first = 1; first <= seeds && only === null; first += BATCH) {
    const last = Math.min(seeds, first + BATCH - 1)
    it(`seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) await one(seed)
      expect(met.length).toBe(last)
    }, 600_000)
  }
  return met
}
