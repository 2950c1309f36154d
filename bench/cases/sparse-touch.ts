// sparse-touch. Always: the pages are on the host before each sample, each sample touches others than the one before, and nothing tells in advance which.

import { sparseTouch as workload } from '../../examples/workloads/sparse-touch.ts'
import { alternate, type Bed, type Bench, expect, expectSameBytes, type Measured } from '../case.ts'
import { PLAIN } from '../plain/index.ts'

const MIB = 2 ** 20
const BYTES = 512 * MIB
const BYTES_QUICK = 128 * MIB
/** Not much more than what is touched: the library needs no memory for the rest. */
const BUDGET = 64 * MIB
const WARM_UP = 4

export const sparseTouch: Bench = {
  name: 'sparse-touch',
  about: `${workload.about}: 512 MiB (128 with --quick) | upload of all of it with one writeBuffer, the same kernel`,
  goal: 0.05,
  run,
}

async function run(bed: Bed, rounds: number): Promise<Measured> {
  const problem = await workload.make(bed.quick ? BYTES_QUICK : BYTES)
  const plain = await PLAIN[workload.name]?.(bed.device, problem)
  if (plain === undefined) throw new Error('sparse-touch has no plain side.')
  const svm = await bed.open(BUDGET)
  try {
    const placed = await problem.place(svm)
    let bytesIn = 0
    let passes = 0
    const samples = await alternate(
      bed,
      rounds,
      {
        prepare: async () => placed.reset?.(),
        timed: async () => {
          const [result] = await placed.run()
          bytesIn = result?.bytesIn ?? 0
          passes = result?.rounds ?? 0
          expect(bytesIn > 0, 'sparse-touch: the pages were on the device already.')
        },
      },
      { timed: () => plain.run() },
      WARM_UP,
    )
    const [mine, others] = [await placed.results(), await plain.results()]
    problem.check(mine)
    problem.check(others)
    expectSameBytes('sparse-touch', mine.found as Uint8Array, others.found as Uint8Array)
    return { ...samples, notes: { bytes: problem.workingSetBytes, pages: problem.numbers.count as number, bytesIn, rounds: passes } }
  } finally {
    await svm.close({ discard: true })
    plain.destroy()
  }
}
