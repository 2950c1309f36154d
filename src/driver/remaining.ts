// Which workgroups of a launch have not retired. A launch may begin at any workgroup and goes on from the last to the first: a *place* is a position in that
// order. Always: `pending` is ascending and lies below `next`; places from `next` on have never run. A window is a prefix of what remains, so the lead is
// always the first. All of this counts places; only windows name workgroups.

import type { Span } from './forecast.ts'

export interface Window {
  readonly slots: number
  /** Workgroup in slot 0. */
  readonly lead: number
  /** Workgroups by slot; null: lead + slot. */
  readonly worklist: Uint32Array | null
  /** The worklist is not ascending. */
  readonly shuffled?: true
}

/** The workgroups of a window, if they follow each other in some order. */
export function spanOf({ slots, lead, worklist }: Window): { readonly start: number; readonly end: number } | null {
  if (worklist === null) return { start: lead, end: lead + slots }
  const start = worklist.reduce((least, workgroup) => Math.min(least, workgroup))
  const end = worklist.reduce((most, workgroup) => Math.max(most, workgroup)) + 1
  return end - start === slots ? { start, end } : null
}

export class Remaining {
  readonly total: number
  #pending: number[] = []
  #next = 0
  #retired = 0

  /** The workgroup that runs first. */
  readonly #start: number

  constructor(total: number, start = 0) {
    this.total = total
    this.#start = start
  }

  workgroupAt(place: number): number {
    return (place + this.#start) % this.total
  }

  placeOf(workgroup: number): number {
    return (workgroup + this.total - this.#start) % this.total
  }

  get retired(): number {
    return this.#retired
  }

  get empty(): boolean {
    return this.#retired === this.total
  }

  /** How many may run in the order of the launch, if none has to run again. */
  get inRow(): number {
    return this.#pending.length > 0 ? this.total : this.total - this.workgroupAt(this.#next)
  }

  get lead(): number {
    return this.#pending.length > 0 ? (this.#pending[0] as number) : this.#next
  }

  /** The first place of a span of workgroups that has not retired; null: all have. */
  nextIn(span: Span): number | null {
    const [first, last] = [this.placeOf(span.first), this.placeOf(span.last)]
    return first <= last ? this.#nextBetween(first, last) : (this.#nextBetween(0, last) ?? this.#nextBetween(first, this.total - 1))
  }

  #nextBetween(first: number, last: number): number | null {
    let low = 0
    let high = this.#pending.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#pending[middle] as number) < first) low = middle + 1
      else high = middle
    }
    const next = low < this.#pending.length ? (this.#pending[low] as number) : Math.max(first, this.#next)
    return next <= last && next < this.total ? next : null
  }

  /** How many of those that remain lie below `limit`. */
  countBelow(limit: number): number {
    let count = Math.max(0, Math.min(Math.ceil(limit), this.total) - this.#next)
    for (const workgroup of this.#pending) if (workgroup < limit) count++
    return count
  }

  /** The first `limit` of those that remain. */
  window(limit: number): Window {
    const slots = Math.min(limit, this.#pending.length + this.total - this.#next)
    if (this.#pending.length === 0) return this.#row(this.#next, slots)
    const old = Math.min(slots, this.#pending.length)
    const lead = this.#pending[0] as number
    const end = slots > old ? this.#next + slots - old : (this.#pending[old - 1] as number) + 1
    // Ascending and without a gap: nobody need be told more than where it starts.
    if (end - lead === slots) return this.#row(lead, slots)
    const worklist = new Uint32Array(slots)
    for (let slot = 0; slot < old; slot++) worklist[slot] = this.workgroupAt(this.#pending[slot] as number)
    for (let slot = old; slot < slots; slot++) worklist[slot] = this.workgroupAt(this.#next + slot - old)
    return { slots, lead: worklist[0] as number, worklist }
  }

  /** Places without a gap. */
  #row(place: number, slots: number): Window {
    const lead = this.workgroupAt(place)
    if (lead + slots <= this.total) return { slots, lead, worklist: null }
    return { slots, lead, worklist: Uint32Array.from({ length: slots }, (_, slot) => this.workgroupAt(place + slot)) }
  }

  /** The window ran; `stays` says which slots must run again. Returns how many retired. */
  settle(window: Window, stays: (slot: number) => boolean): number {
    const again: number[] = []
    for (let slot = 0; slot < window.slots; slot++) if (stays(slot)) again.push(this.placeOf(workgroupOf(window, slot)))
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
