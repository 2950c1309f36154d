// Benches of the workloads of examples/: in memory beside plain WebGPU, and with less device memory than they need. Always: both sides start from
// the same inputs; each side's last results are checked by the host, and compared byte for byte where only one result is right.
//
//   NAME              all of it fits, and was sent to the device with queue.migrate before. Plain: the same WGSL with buffers of its own
//   NAME-by-faults    the same, but nobody sent anything: what came, came by the faults of earlier launches
//   NAME-resident     the same without the direct variant: every access walks the page table
//   NAME-3-pools      the same, with the pages spread over three pools
//   NAME-xR           working set / budget = R, the whole budget of this library counted. Beside it: the same with R = 0.5
//   NAME-xR-tiled     the same beside plain WebGPU in as little memory, tiled by hand

import { WORKLOADS } from '../../examples/workloads/index.ts'
import type { Placed, Problem, Results, Workload } from '../../examples/workloads/workload.ts'
import type { DispatchResult, PolicyOptions, Svm } from '../../src/index.ts'
import { alternate, alternateAll, type Bed, type Bench, expect, expectSameBytes, type Goal, type Measured, type Notes, type Side } from '../case.ts'
import { PLAIN, TILED } from '../plain/index.ts'
import type { PlainRun } from '../plain/run.ts'

/** What its accesses are like: that is what the cost of translating an address depends on. */
export type Kind = 'streaming' | 'wide' | 'gather' | 'tiled' | 'chase' | 'other'

interface Row {
  readonly kind: Kind
  /** Working set on a software GPU, in MiB: some 5 to 40 ms. */
  readonly mebibytes: number
  /** It is one of those that the goals on a hardware GPU name. */
  readonly named?: true
  /** It is measured with less memory than it needs, too, with a working set of so many MiB: many pages, of which the runtime's own share is small. */
  readonly crowded?: number
  /** The pages of such spaces, where a workgroup picks words from all over: of smaller ones more of what comes is used. */
  readonly pageSize?: number
  /** The host writes before each run, or in it: `reset` does, or a command that does without the device. */
  readonly hostWrites?: true
  /** It has a version that is tiled by hand. */
  readonly tiled?: true
}

const ROWS: Readonly<Record<string, Row>> = {
  triad: { kind: 'streaming', mebibytes: 24, named: true, crowded: 24, tiled: true },
  'triad-wide': { kind: 'wide', mebibytes: 48, named: true },
  'triad-in-place': { kind: 'wide', mebibytes: 32 },
  jacobi: { kind: 'wide', mebibytes: 12, named: true, crowded: 18 },
  sgemm: { kind: 'tiled', mebibytes: 1.25, named: true, crowded: 5 },
  transpose: { kind: 'tiled', mebibytes: 16 },
  'vector-search': { kind: 'other', mebibytes: 16 },
  grep: { kind: 'other', mebibytes: 24 },
  'ping-pong': { kind: 'other', mebibytes: 24, hostWrites: true },
  'bfs-mask': { kind: 'other', mebibytes: 6, hostWrites: true },
  // A third of much less does not hold what one workgroup touches, and of much more one run takes half a minute.
  'bfs-queue': { kind: 'other', mebibytes: 8, crowded: 4.25, pageSize: 4096, hostWrites: true },
  pagerank: { kind: 'other', mebibytes: 4, hostWrites: true },
  gups: { kind: 'other', mebibytes: 16, hostWrites: true },
  'gather-zipf': { kind: 'gather', mebibytes: 24, named: true, crowded: 12, pageSize: 4096 },
  'gather-uniform': { kind: 'gather', mebibytes: 24, named: true },
  'histogram-global': { kind: 'other', mebibytes: 2, hostWrites: true },
  'histogram-local': { kind: 'other', mebibytes: 2, hostWrites: true },
  'scatter-add': { kind: 'other', mebibytes: 4, hostWrites: true },
  hash: { kind: 'other', mebibytes: 4, hostWrites: true },
  'hash-random': { kind: 'other', mebibytes: 4, hostWrites: true },
  'linked-list': { kind: 'chase', mebibytes: 8, named: true },
  'b-tree': { kind: 'chase', mebibytes: 8, named: true },
  'radix-sort': { kind: 'other', mebibytes: 3, hostWrites: true },
}

/** They are measured in a way of their own. */
const OWN_CASE = ['sparse-touch', 'sparse-touch-pages', 'sparse-touch-blocks']
const POOLS = 3
/** Three pools are in use while less than a third of their frames is free. */
const TO_SPARE = 1.15
/** A budget that is so near to the one wanted is that one. */
const ENOUGH = 0.97
const OTHER: Row = { kind: 'other', mebibytes: 16 }
const MIB = 2 ** 20
/** MiB. A third of less is no budget for pages of 64 KiB. */
const QUICK_LEAST = 5
const WARM_UP = 8
/** Milliseconds, where memory is short: with its beginning and the check of its results such a case takes at most some 25 seconds, if one run takes no longer than that. */
const PATIENCE = 15_000
const WARM_UP_QUICK = 3
/** A hardware GPU is faster by so much, and a sample should be longer than a submission. */
const HARDWARE_FACTOR = 16

/** The goals of the direct variant, by kind: [software, hardware]. */
const DIRECT_GOALS: Readonly<Record<Kind, readonly [number | null, number | null]>> = {
  streaming: [1.5, 1.05],
  wide: [1.35, 1.05],
  gather: [1.4, 1.05],
  tiled: [1.05, 1.05],
  chase: [1.05, 1.05],
  other: [null, null],
}

/** The goals of the resident variant, by kind: [software, hardware]. */
const RESIDENT_GOALS: typeof DIRECT_GOALS = {
  streaming: [2, 1.3],
  wide: [1.55, 1.3],
  gather: [1.55, 2],
  tiled: [1.1, 1.1],
  chase: [1.1, 2],
  other: [null, null],
}

const RATIOS = [0.5, 0.9, 1, 1.25, 1.5, 2, 3] as const
const TILED_RATIOS = [2, 3] as const

export const WORKLOAD_BENCHES: readonly Bench[] = WORKLOADS.filter((workload) => !OWN_CASE.includes(workload.name)).flatMap((workload) => {
  const row = ROWS[workload.name] ?? OTHER
  return [
    inMemory(workload, row, { goal: byDevice(DIRECT_GOALS[row.kind], row.named ?? false) }),
    ...(row.crowded ? [inMemory(workload, row, { suffix: 'by-faults', what: 'nothing sent by hand', goal: null, byFaults: true })] : []),
    inMemory(workload, row, { suffix: 'resident', what: 'table walk', goal: byDevice(RESIDENT_GOALS[row.kind], true), policy: { direct: false } }),
    inMemory(workload, row, { suffix: '3-pools', what: 'table walk, three pools in use', goal: null, policy: { direct: false, pools: POOLS } }),
    ...(row.crowded ? RATIOS.map((ratio) => crowded(workload, row, ratio)) : []),
    ...(row.tiled ? TILED_RATIOS.map((ratio) => tiledByHand(workload, row, ratio)) : []),
  ]
})

interface Way {
  readonly suffix?: string
  readonly what?: string
  readonly goal: Goal | null
  readonly policy?: PolicyOptions
  readonly byFaults?: true
}

function inMemory(workload: Workload, row: Row, { suffix, what = 'sent there before', goal, policy, byFaults }: Way): Bench {
  const name = suffix === undefined ? workload.name : `${workload.name}-${suffix}`
  return {
    name,
    about: `${workload.about}; all of it in memory, ${what} | the same in plain WebGPU`,
    goal,
    run: async (bed, rounds) => {
      const problem = await problemOf(workload, row.mebibytes, bed)
      const plain = await PLAIN[workload.name]?.(bed.device, problem)
      const svm = policy?.pools === undefined ? await bed.open(ample(problem), policy && { policy }) : await openFull(bed, problem, policy)
      const measured = await besidePlain(bed, rounds, workload, problem, plain, svm, byFaults ?? false)
      expectAllThere(name, measured.notes, policy?.pools ?? 1, row.hostWrites ?? false)
      return measured
    },
  }
}

/** A space in which all that a problem maps has a frame, with so little to spare that its pools are all in use. */
async function openFull(bed: Bed, problem: Problem, policy: PolicyOptions): Promise<Svm> {
  const probe = await bed.openBeside(ample(problem), { policy })
  const placed = await problem.place(probe)
  // More than the working set: what `reset` needs is mapped as well.
  const wanted = Math.ceil(probe.stats().mappedBytes * TO_SPARE)
  await placed.free()
  // The runtime's own share depends on the budget.
  let budget = wanted + ownShare(probe)
  await probe.close({ discard: true })
  for (;;) {
    const svm = await bed.open(budget, { policy })
    const smaller = wanted + ownShare(svm)
    if (smaller > budget * ENOUGH) return svm
    await svm.close({ discard: true })
    budget = smaller
  }
}

function ownShare(svm: Svm): number {
  const { budgetBytes = 0, frames = 0 } = svm.stats().devices[0] ?? {}
  return budgetBytes - frames * svm.pageSize
}

/** In the last run everything was on the device and stayed there, in as many pools as were wanted; only what the host had written came. */
function expectAllThere(name: string, { pools, bytesIn, evictions }: Notes = {}, wanted: number, hostWrites: boolean): void {
  expect(wanted === 1 || pools === wanted, `${name}: ${pools} pools were in use, not ${wanted}.`)
  expect(evictions === 0, `${name}: ${evictions} pages were evicted, though there is memory for all.`)
  expect(hostWrites || bytesIn === 0, `${name}: ${bytesIn} bytes came to the device, though nobody had written on the host.`)
}

function byDevice([software, hardware]: readonly [number | null, number | null], named: boolean): Goal {
  const text = `at most ${software ?? 'any'} on a software GPU, ${(named ? hardware : null) ?? 'any'} on a hardware GPU`
  return { text, of: (isSoftware) => (isSoftware ? software : named ? hardware : null) }
}

async function besidePlain(
  bed: Bed,
  rounds: number,
  { name }: Workload,
  problem: Problem,
  plain: PlainRun | undefined,
  svm: Svm,
  byFaults: boolean,
): Promise<Measured> {
  try {
    const placed = await problem.place(svm)
    if (!byFaults) await svm.queue.migrate(svm.snapshot().mappings.map(({ pointer }) => ({ pointer }))).done
    const seen = new Seen()
    const mine = sideOf(placed, seen)
    const samples =
      plain === undefined
        ? { ...(await alternateAll(bed, rounds, { svm: mine }, warmUp(bed))), plain: [] }
        : await alternate(bed, rounds, mine, plainSide(plain), warmUp(bed))
    const results = await placed.results()
    problem.check(results)
    if (plain !== undefined) compare(name, problem, results, await plain.results())
    const notes = { bytes: problem.workingSetBytes, ...seen.notes(), pools: poolsOf(svm) }
    // A mapped file is closed and removed by its workload.
    await placed.free()
    return { ...samples, notes }
  } finally {
    await svm.close({ discard: true })
    plain?.destroy()
  }
}

function crowded(workload: Workload, row: Row, ratio: number): Bench {
  return {
    name: `${workload.name}-x${ratio}`,
    about: `${workload.about}; working set / budget = ${ratio}${row.pageSize === undefined ? '' : `, pages of ${row.pageSize} bytes`} | (as base) the same library, working set / budget = 0.5`,
    // One row of the table has a goal; the others are the curve around it.
    goal: ratio === 1.5 ? 2 : null,
    run: async (bed, rounds) => {
      const problem = await problemOf(workload, row.crowded ?? row.mebibytes, bed)
      const options = row.pageSize === undefined ? {} : { pageSize: row.pageSize }
      const budget = Math.floor(problem.workingSetBytes / ratio)
      const spaces = [await bed.open(budget, options), await bed.openBeside(problem.workingSetBytes * 2, options)] as const
      try {
        const [tight, loose] = [await problem.place(spaces[0]), await problem.place(spaces[1])]
        const seen = new Seen()
        const samples = await alternateAll(bed, rounds, { svm: sideOf(tight, seen), base: sideOf(loose, new Seen()) }, warmUp(bed), PATIENCE)
        const results = await tight.results()
        problem.check(results)
        compare(workload.name, problem, results, await loose.results())
        await Promise.all([tight.free(), loose.free()])
        return { ...samples, plain: [], notes: { bytes: problem.workingSetBytes, ...seen.notes(), samples: samples.svm.length } }
      } finally {
        for (const svm of spaces) await svm.close({ discard: true })
      }
    },
  }
}

function tiledByHand(workload: Workload, row: Row, ratio: number): Bench {
  return {
    name: `${workload.name}-x${ratio}-tiled`,
    about: `${workload.about}; working set / budget = ${ratio}, until the results are on the host | the same in plain WebGPU in as little memory, tiled by hand`,
    goal: 1.2,
    run: async (bed, rounds) => {
      const problem = await problemOf(workload, row.crowded ?? row.mebibytes, bed)
      const budget = Math.floor(problem.workingSetBytes / ratio)
      const plain = await TILED[workload.name]?.(bed.device, problem, budget)
      if (plain === undefined) throw new Error(`${workload.name} has no side that is tiled by hand.`)
      const svm = await bed.open(budget)
      try {
        const placed = await problem.place(svm)
        const seen = new Seen()
        const mine = sideOf(placed, seen)
        const bringHome = async (round: number) => {
          await mine.timed(round)
          await placed.home?.()
        }
        const samples = await alternate(bed, rounds, { ...mine, timed: bringHome }, plainSide(plain), warmUp(bed))
        const results = await placed.results()
        problem.check(results)
        compare(workload.name, problem, results, await plain.results())
        await placed.free()
        return { ...samples, notes: { bytes: problem.workingSetBytes, ...seen.notes() } }
      } finally {
        await svm.close({ discard: true })
        plain.destroy()
      }
    },
  }
}

/** What the launches of the last run said. */
class Seen {
  #last: readonly DispatchResult[] = []

  look(results: readonly DispatchResult[]): void {
    this.#last = results
  }

  notes(): Notes {
    const sum = (of: (result: DispatchResult) => number) => this.#last.reduce((total, result) => total + of(result), 0)
    return {
      launches: this.#last.length,
      variant: [...new Set(this.#last.map(({ variant }) => variant))].join(', '),
      rounds: sum(({ rounds }) => rounds),
      faults: sum(({ faults }) => faults),
      bytesIn: sum(({ bytesIn }) => bytesIn),
      bytesOut: sum(({ bytesOut }) => bytesOut),
      evictions: sum(({ evictions }) => evictions),
    }
  }
}

function sideOf(placed: Placed, seen: Seen): Side {
  return {
    prepare: async () => placed.reset?.(),
    timed: async () => seen.look(await placed.run()),
  }
}

function plainSide(plain: PlainRun): Side {
  return { prepare: async () => plain.reset?.(), timed: () => plain.run() }
}

/** Both are right, and the same where only one result is right. */
function compare(name: string, problem: Problem, results: Results, others: Results): void {
  problem.check(others)
  if (!problem.exact) return
  for (const [part, bytes] of Object.entries(results)) expectSameBytes(`${name}, ${part}`, bytes, others[part] ?? new Uint8Array(0))
}

function ample(problem: Problem): number {
  return problem.workingSetBytes * 2 + 8 * MIB
}

function warmUp(bed: Bed): number {
  return bed.quick ? WARM_UP_QUICK : WARM_UP
}

function poolsOf(svm: Svm): number {
  return svm.stats().devices[0]?.pools ?? 0
}

/** The last problem is kept: the cases of one workload follow each other. */
let kept: { readonly name: string; readonly bytes: number; readonly problem: Problem } | null = null

async function problemOf(workload: Workload, mebibytes: number, bed: Bed): Promise<Problem> {
  const bytes = Math.max(Math.min(mebibytes, QUICK_LEAST) * MIB, mebibytes * MIB * (bed.software ? 1 : HARDWARE_FACTOR) * (bed.quick ? 0.25 : 1))
  if (kept?.name !== workload.name || kept.bytes !== bytes) kept = { name: workload.name, bytes, problem: await workload.make(bytes) }
  return kept.problem
}
