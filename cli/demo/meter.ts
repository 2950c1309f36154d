// What one part of the demo moved. Always: it counts from its making to `stop`, by the space's own counters.

import type { Svm, SvmStats } from '../../src/node.ts'

export interface Moved {
  readonly faults: number
  readonly rounds: number
  readonly evictions: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly milliseconds: number
}

type Counts = Omit<Moved, 'milliseconds'>

export class Meter {
  readonly #svm: Svm
  readonly #before: Counts
  readonly #started = performance.now()

  constructor(svm: Svm) {
    this.#svm = svm
    this.#before = countsOf(svm)
  }

  stop(): Moved {
    const now = countsOf(this.#svm)
    const before = this.#before
    return {
      faults: now.faults - before.faults,
      rounds: now.rounds - before.rounds,
      evictions: now.evictions - before.evictions,
      bytesIn: now.bytesIn - before.bytesIn,
      bytesOut: now.bytesOut - before.bytesOut,
      milliseconds: performance.now() - this.#started,
    }
  }
}

/** Of the only device. */
export function deviceOf(svm: Svm): SvmStats['devices'][number] {
  return svm.stats().devices[0] as SvmStats['devices'][number]
}

function countsOf(svm: Svm): Counts {
  const { faults, rounds } = svm.stats()
  const { evictions, bytesIn, bytesOut } = deviceOf(svm)
  return { faults, rounds, evictions, bytesIn, bytesOut }
}
