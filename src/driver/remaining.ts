// Which workgroups of a launch have not retired. Always: `pending` is ascending and lies below `next`; workgroups from `next` on have never
// run. A window is a prefix of what remains, so the lead is always the first.

export interface Window {
  readonly slots: number
  /** Workgroup in slot 0. */
  readonly lead: number
  /** Workgroups by slot; null: lead + slot. */
  readonly worklist: Uint32Array | null
  /** The worklist is not ascending. */
  readonly shuffled?: true
}

export class Remaining {
  readonly total: number
  #pending: number[] = []
  #next = 0
  #retired = 0

  constructor(total: number) {
    this.total = total
  }

  get retired(): number {
    return this.#retired
  }

  get empty(): boolean {
    return this.#retired === this.total
  }

  get lead(): number {
    return this.#pending.length > 0 ? (this.#pending[0] as number) : this.#next
  }

  /** A test for workgroups that have not retired, as things are now. */
  stillToRun(): (workgroup: number) => boolean {
    const pending = new Set(this.#pending)
    return (workgroup) => workgroup >= this.#next || pending.has(workgroup)
  }

  /** How many of those that remain have an id below `limit`. */
  countBelow(limit: number): number {
    let count = Math.max(0, Math.min(limit, this.total) - this.#next)
    for (const workgroup of this.#pending) if (workgroup < limit) count++
    return count
  }

  /** The first `limit` of those that remain. */
  window(limit: number): Window {
    const slots = Math.min(limit, this.#pending.length + this.total - this.#next)
    if (this.#pending.length === 0) return { slots, lead: this.#next, worklist: null }
    const old = Math.min(slots, this.#pending.length)
    const lead = this.#pending[0] as number
    const end = slots > old ? this.#next + slots - old : (this.#pending[old - 1] as number) + 1
    // Ascending and without a gap: nobody need be told more than where it starts.
    if (end - lead === slots) return { slots, lead, worklist: null }
    const worklist = new Uint32Array(slots)
    for (let slot = 0; slot < old; slot++) worklist[slot] = this.#pending[slot] as number
    for (let slot = old; slot < slots; slot++) worklist[slot] = this.#next + slot - old
    return { slots, lead, worklist }
  }

  /** The window ran; `stays` says which slots must run again. Returns how many retired. */
  settle(window: Window, stays: (slot: number) => boolean): number {
    const again: number[] = []
    for (let slot = 0; slot < window.slots; slot++) if (stays(slot)) again.push(workgroupOf(window, slot))
    if (window.shuffled) again.sort((a, b) => a - b)
    const old = Math.min(window.slots, this.#pending.length)
    this.#next += window.slots - old
    this.#pending = again.concat(this.#pending.slice(old))
    const retired = window.slots - again.length
    this.#retired += retired
    return retired
  }
}

export function workgroupOf(window: Window, slot: number): number {
  return window.worklist === null ? window.lead + slot : (window.worklist[slot] as number)
}
