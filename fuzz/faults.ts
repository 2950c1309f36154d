// Failures on request. Always: a wish strikes once, at the n-th time that its kind could go wrong since it was made; what struck is counted.

import { FAULT_KINDS, type FaultKind, type FaultWish } from './op.ts'

export class Faults {
  #armed: { readonly wish: FaultWish; left: number }[] = []
  /** What struck since the last `clear`. */
  struck: FaultWish[] = []
  readonly counts = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>

  arm(wish: FaultWish): void {
    this.#armed.push({ wish, left: wish.nth })
  }

  /** Wishes that did not strike are dropped. */
  clear(): void {
    this.#armed = []
    this.struck = []
  }

  /** To be asked each time that something of this kind could go wrong: the wish that strikes now, or null. */
  strikes(kind: FaultKind): FaultWish | null {
    const due = this.#armed.find((one) => one.wish.kind === kind && --one.left === 0)
    if (due === undefined) return null
    this.struck.push(due.wish)
    this.counts[kind]++
    return due.wish
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0)
  }
}
