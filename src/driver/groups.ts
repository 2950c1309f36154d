// Workgroups of a launch in groups of equal size, so that a bit each says which of them want a page: many pages, each wanted by some here and some there, are
// known as exactly as one that a row of neighbours wants.
//
// Always: there are at most SLOT_GROUPS groups, of a power of two workgroups; the groups of a pass (of slots), and of a launch before this one, are told in those of
// this launch, so that none is without a workgroup.

import { SLOT_GROUPS, slotGroupsOf } from '../abi/fault-record.ts'
import type { Span } from './forecast.ts'
import { type Window, workgroupOf } from './remaining.ts'

/** A bit for each group. */
export interface Groups {
  readonly low: number
  readonly high: number
}

export const NO_GROUPS: Groups = { low: 0, high: 0 }

export const both = (a: Groups, b: Groups): Groups => ({ low: (a.low | b.low) >>> 0, high: (a.high | b.high) >>> 0 })
export const common = (a: Groups, b: Groups): Groups => ({ low: (a.low & b.low) >>> 0, high: (a.high & b.high) >>> 0 })
export const without = (a: Groups, b: Groups): Groups => ({ low: (a.low & ~b.low) >>> 0, high: (a.high & ~b.high) >>> 0 })
export const isNone = ({ low, high }: Groups): boolean => (low | high) === 0

/** The first; there is one. */
export function firstOf({ low, high }: Groups): number {
  return low !== 0 ? 31 - Math.clz32(low & -low) : 63 - Math.clz32(high & -high)
}

export function forEachGroup({ low, high }: Groups, visit: (group: number) => void): void {
  for (let rest = low; rest !== 0; rest &= rest - 1) visit(31 - Math.clz32(rest & -rest))
  for (let rest = high; rest !== 0; rest &= rest - 1) visit(63 - Math.clz32(rest & -rest))
}

export class LaunchGroups {
  readonly total: number
  /** Workgroups of a group; the last has perhaps fewer. */
  readonly size: number
  /** The workgroups of each. */
  readonly spans: readonly Span[]
  readonly #shift: number
  readonly #singles: readonly Groups[]

  constructor(total: number) {
    this.total = total
    this.#shift = slotGroupsOf(total) - 1
    this.size = 2 ** this.#shift
    this.spans = Array.from({ length: Math.min(SLOT_GROUPS, Math.ceil(total / this.size)) }, (_, group) => ({
      first: group * this.size,
      last: Math.min(total, (group + 1) * this.size) - 1,
    }))
    this.#singles = this.spans.map((_, group) => row(group, group))
  }

  /** That of a workgroup. */
  groupOf(workgroup: number): Groups {
    return this.#singles[workgroup >>> this.#shift] as Groups
  }

  /** Those of a row of workgroups; on from the last to the first where `last` is less. */
  groupsIn({ first, last }: Span): Groups {
    const [from, to] = [first >>> this.#shift, last >>> this.#shift]
    return first <= last ? row(from, to) : both(row(from, this.spans.length - 1), row(0, to))
  }

  /** The span from the first of the first to the last of the last. */
  hull(groups: Groups): Span {
    let [from, to] = [SLOT_GROUPS, 0]
    forEachGroup(groups, (group) => {
      from = Math.min(from, group)
      to = Math.max(to, group)
    })
    return { first: (this.spans[from] as Span).first, last: (this.spans[to] as Span).last }
  }

  /** What groups of the slots of a window are in the launch. */
  ofWindow(window: Window): (slots: Groups) => Groups {
    const shift = slotGroupsOf(window.slots) - 1
    const groups: Groups[] = []
    for (let slot = 0; slot < window.slots; slot++) {
      groups[slot >>> shift] = both(groups[slot >>> shift] ?? NO_GROUPS, this.groupOf(workgroupOf(window, slot)))
    }
    return translation(groups)
  }

  /** What groups of another launch are in this one: those of the same workgroups, as far as there are such. */
  ofLaunch(other: LaunchGroups): (groups: Groups) => Groups {
    const last = this.total - 1
    return translation(other.spans.map((span) => (span.first > last ? NO_GROUPS : this.groupsIn({ first: span.first, last: Math.min(span.last, last) }))))
  }
}

/** Each group becomes what the list says of it. */
function translation(list: readonly Groups[]): (groups: Groups) => Groups {
  return (groups) => {
    let [low, high] = [0, 0]
    forEachGroup(groups, (group) => {
      low |= list[group]?.low ?? 0
      high |= list[group]?.high ?? 0
    })
    return { low: low >>> 0, high: high >>> 0 }
  }
}

/** Groups from one to another, both included. */
function row(from: number, to: number): Groups {
  let all = NO_GROUPS
  for (let group = from; group <= to; group++) all = both(all, group < 32 ? { low: 2 ** group, high: 0 } : { low: 0, high: 2 ** (group - 32) })
  return all
}
