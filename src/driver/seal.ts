// Sealed passes: nobody is expected to fault, so the kernel runs without what faults cost (the 'sealed' variant: the table walk of the resident one). An
// access without its right is refused, and the window runs again as an attempt, which finds out what it wanted.
//
// Always: a refused access gives 0 or changes nothing, and its invocation changes nothing more. So what another invocation may have seen of that must not
// stay: of a kernel whose invocations see anything of each other every page that it may store to is private, and a refusal drops the pass. Where they see
// nothing, a store to a page granted for writing depends on loads that succeeded alone, and will be repeated (I1 of replay by grants); workgroups without a
// refusal have finished, unless a page was private: nobody knows who touched it.

import { WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { anyBit } from '../base/bitmap.ts'
import type { Launch } from './launch.ts'
import type { PassReport } from './pass.ts'
import type { Mirror } from './svmm.ts'

/** Passes that are not sealed after one that was refused: so many, then twice as many, and so on. */
const UNSEALED_MAX = 256

/** What a kernel's passes taught. */
export class SealHistory {
  #unsealed = 0
  #next = 1

  /** True when the next pass may be sealed; to ask is to begin one. */
  mayBegin(): boolean {
    if (this.#unsealed === 0) return true
    this.#unsealed--
    return false
  }

  ended(refused: boolean): void {
    if (refused) this.#unsealed = this.#next
    this.#next = refused ? Math.min(UNSEALED_MAX, this.#next * 2) : 1
  }
}

/** How this launch may be sealed: null, with every page private that may be stored to, or as its needs say. */
export function sealOf(mirror: Mirror, { kernel, atomic, class: kind }: Launch): 'private' | 'granted' | null {
  const { analysis } = kernel.translated
  if (mirror.watch !== null || atomic || !analysis.variants.includes('sealed')) return null
  const meets = analysis.barriers || analysis.subgroups || analysis.workgroupMemory.length > 0
  return meets || analysis.usedAtomics || analysis.startTainted || kind !== 'grants' ? 'private' : 'granted'
}

export function wasRefused(report: PassReport): boolean {
  return report.bad !== null || report.fuelOut > 0 || anyBit(report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array)
}
