// fault-round: one cycle of a fault: service of one page, submit of the next pass, read-back of its report.
//
// Always: a launch of one invocation follows a chain of pointers through CHAIN pages, all of them on the host and never read before, in an order
// that nothing predicts (each launch has a chain and pointers of its own, so history knows nothing). Only the page that came last says which
// comes next: it takes exactly CHAIN faults and CHAIN + 1 passes, and a sample is the time from the end of one pass to the end of the next, each taken
// by itself; what a launch costs besides is `fault-launch`. A sample of the plain side is one submission of a copy of 256 bytes, a map, and a read.
// After its samples a chain is written anew by the host, which takes its copies off the device: no pool is made and no page evicted while timed.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Goal, roundsInAll, type Samples } from '../case.ts'
import { BareMap } from '../plain/transfer.ts'

const CHAIN = 16
const CODE = `
struct Args { first: svm_ptr, copy: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn follow() {
  var at = args.first;
  for (var n = 0u; n < ${CHAIN}u; n++) { at = svm_load_ptr(at); }
  svm_store_ptr(args.copy, at);
}`

/** A cycle is short: more of them, so that the median is that of a usual one, and no stall of the machine is spread over its neighbours. */
const TIMES = 9
/** Some 1700 passes: before that the engine still compiles. */
const WARM_UP = 100

/** One and a half times the bare map, and 2 µs for the page: as a ratio, that depends on what the bare map took. */
const GOAL: Goal = { text: 'at most 1.5 and 2 µs', of: (_, plain) => (plain === null ? null : 1.5 + 0.002 / plain) }

export const faultRound: Bench = {
  name: 'fault-round',
  about: `one cycle of a fault: service of a page, pass, read-back (a launch takes ${CHAIN}, one after the other) | submit of a copy of 256 bytes, map, read`,
  goal: GOAL,
  run,
}

async function run(bed: Bed, wanted: number): Promise<Samples> {
  const rounds = wanted * TIMES
  const count = roundsInAll(rounds, WARM_UP)
  // One page alone is to fault.
  const passes = new Stopwatch()
  const svm = await bed.open(64 * 2 ** 20, { policy: { prefetch: 'none' }, trace: ({ kind }) => kind === 'pass' && passes.lap() })
  const chains = new Chains(count, svm.pageSize)
  const base = svm.alloc(chains.byteLength, { label: 'chains' })
  const out = svm.alloc(count * 4, { label: 'out' })
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'follow' })
  const bare = new BareMap(bed.device)
  const trips = new Stopwatch()
  const plain = new Uint32Array(count)
  try {
    // All of a page is there before: else the operating system's own first faults on it would be measured.
    const filling = new Uint8Array(svm.pageSize).fill(1)
    for (let at = 0; at < chains.byteLength; at += filling.length) await svm.write(base + at, filling)
    for (let n = 0; n < count; n++) for (const { pointer, word } of chains.links(base, n)) await svm.write(pointer, Uint32Array.of(word))
    await svm.queue.migrate({ pointer: out }).done
    const samples = await alternate(
      bed,
      rounds,
      {
        timed: async (round) => {
          const launch = svm.queue.enqueue(kernel, { args: { first: chains.first(base, round), copy: out + round * 4 }, global: 1 })
          passes.start()
          const { faults, rounds: done } = await launch.done
          expect(faults === CHAIN && done === CHAIN + 1, `fault-round: ${faults} faults in ${done} passes, not ${CHAIN} in ${CHAIN + 1}.`)
        },
        // Until the first pass ends the time is the launch's own.
        own: () => passes.laps.slice(1),
        after: async (round) => {
          for (const { pointer, word } of chains.links(base, round)) await svm.write(pointer, Uint32Array.of(word))
        },
      },
      {
        prepare: (round) => bare.put(chains.ends[round] as number),
        timed: async () => {
          trips.start()
          for (let n = 0; n < CHAIN; n++) {
            await bare.trip()
            trips.lap()
          }
        },
        own: () => trips.laps,
        after: async (round) => {
          plain[round] = bare.word
        },
      },
      WARM_UP,
    )
    expectSameBytes('fault-round', await svm.read(out, count * 4), new Uint8Array(plain.buffer))
    return samples
  } finally {
    await svm.close()
    bare.destroy()
  }
}

/** Milliseconds from one lap to the next. */
class Stopwatch {
  laps: number[] = []
  #last = 0

  start(): void {
    this.laps = []
    this.#last = performance.now()
  }

  lap(): void {
    const now = performance.now()
    this.laps.push(now - this.#last)
    this.#last = now
  }
}

/** Pages in an order that looks like none: chain n are the CHAIN pages from n * CHAIN on in `#order`, its last word is `ends[n]`. */
class Chains {
  readonly byteLength: number
  readonly ends: Uint32Array
  readonly #pageBytes: number
  readonly #order: Uint32Array

  constructor(count: number, pageBytes: number) {
    const pages = count * CHAIN
    this.byteLength = pages * pageBytes
    this.#pageBytes = pageBytes
    this.ends = Uint32Array.from({ length: count }, (_, n) => Math.imul(n + 1, 0x9e3779b1))
    this.#order = Uint32Array.from({ length: pages }, (_, n) => n)
    let seed = 1
    for (let n = pages - 1; n > 0; n--) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      const other = Math.floor((seed / 2 ** 32) * (n + 1))
      const page = this.#order[n] as number
      this.#order[n] = this.#order[other] as number
      this.#order[other] = page
    }
  }

  first(base: number, chain: number): number {
    return base + (this.#order[chain * CHAIN] as number) * this.#pageBytes
  }

  /** The pages of a chain in its order, and the first word of each: the address of the next. */
  links(base: number, chain: number): { pointer: number; word: number }[] {
    const at = (n: number) => base + (this.#order[chain * CHAIN + n] as number) * this.#pageBytes
    return Array.from({ length: CHAIN }, (_, n) => ({ pointer: at(n), word: n + 1 < CHAIN ? at(n + 1) : (this.ends[chain] as number) }))
  }
}
