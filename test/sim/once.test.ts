// once.test.ts: every effect happens exactly once, whatever faults and however often: nothing is lost, nothing is there twice, every slot holds what its owner
// wrote. Each kernel counts its own effects (test/kernels); here each meets the mischief of the chaos run, on three budgets. SVM_SEED=17 runs one seed.

import { describe, expect, it } from 'vitest'
import { runChaos } from '../chaos/sim-run.ts'
import { ONCE } from '../kernels/all.ts'

const only = process.env.SVM_SEED
const seeds = only === undefined ? [1, 2, 3, 4, 5, 6] : [Number(only)]

describe.each(ONCE.map((kernel) => ({ kernel, name: kernel.name })))('exactly once: $name', ({ kernel, name }) => {
  it.each([
    [0, 'with the frames of one workgroup'],
    [3, 'with a few frames more'],
    [80, 'with room for everything'],
  ])('%i to spare: %s', async (spare) => {
    let replayed = 0
    for (const seed of seeds) {
      try {
        const { monitor } = await runChaos(seed * 100 + spare, { kernel, spare })
        replayed += monitor.seen.replayed
      } catch (error) {
        const line = `SVM_SEED=${seed} npx vitest run --project unit test/sim/once.test.ts -t '${name}'`
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}\nrepeat with: ${line}`, { cause: error })
      }
    }
    expect(replayed, 'workgroups that ran more than once').toBeGreaterThan(0)
  })
})
