// The sparse touches. Always: the pages are on the host before each sample, each sample touches other words than the one before, and nothing tells in
// advance which. The notes have the amplification: bytes that came to the device, for each byte that the kernel asked for.

import { sparseTouch, sparseTouchBlocks, sparseTouchPages } from '../../examples/workloads/sparse-touch.ts'
import type { Workload } from '../../examples/workloads/workload.ts'
import { alternate, type Bed, type Bench, expect, expectSameBytes, type Measured } from '../case.ts'
import { PLAIN } from '../plain/index.ts'

const MIB = 2 ** 20
/** Where a hundredth is touched, not much more than that: the library needs no memory for the rest. */
const BUDGET = 64 * MIB
const WARM_UP = 4

export const SPARSE_BENCHES: readonly Bench[] = [
  sparse(sparseTouch, 512, 128, 0.05),
  // All of it comes, so a little tells as much.
  sparse(sparseTouchPages, 32, 16, null),
  sparse(sparseTouchBlocks, 512, 128, null),
]

function sparse(workload: Workload, mebibytes: number, quickMebibytes: number, goal: number | null): Bench {
  return {
    name: workload.name,
    about: `${workload.about}: ${mebibytes} MiB (${quickMebibytes} with --quick) | upload of all of it with one writeBuffer, the same kernel`,
    goal,
    run: (bed, rounds) => run(bed, rounds, workload, (bed.quick ? quickMebibytes : mebibytes) * MIB),
  }
}

async function run(bed: Bed, rounds: number, workload: Workload, bytes: number): Promise<Measured> {
  const problem = await workload.make(bytes)
  const plain = await PLAIN[workload.name]?.(bed.device, problem)
  if (plain === undefined) throw new Error(`${workload.name} has no plain side.`)
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
          expect(bytesIn > 0, `${workload.name}: the pages were on the device already.`)
        },
      },
      { timed: () => plain.run() },
      WARM_UP,
    )
    const [mine, others] = [await placed.results(), await plain.results()]
    problem.check(mine)
    problem.check(others)
    expectSameBytes(workload.name, mine.found as Uint8Array, others.found as Uint8Array)
    const words = problem.numbers.count as number
    const amplification = bytesIn / (words * Uint32Array.BYTES_PER_ELEMENT)
    return { ...samples, notes: { bytes: problem.workingSetBytes, pages: words, bytesIn, amplification, rounds: passes } }
  } finally {
    await svm.close({ discard: true })
    plain.destroy()
  }
}
