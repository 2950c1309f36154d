// Which workgroups want which pages, as far as passes told: those of this launch, and of the last one like it. What it says decides what is served first,
// who goes first, and where a launch begins; never what is right.
//
// Always: a page is wanted by the workgroups of one span, perhaps not by all of them; a page is wanted next at the first place (driver/remaining: a position
// in the order in which this launch runs its workgroups) of its span that has not retired, and never again when there is none. So the page that goes first is
// the one that is wanted last (Belady), and pages that nobody wants go before it.

import type { Vpn } from '../base/units.ts'
import { both, common, type Groups, isNone, LaunchGroups, NO_GROUPS, without } from './groups.ts'
import type { Remaining } from './remaining.ts'

/** Workgroups from `first` to `last`, both included; on from the last of a launch to its first where `last` is less. */
export interface Span {
  readonly first: number
  readonly last: number
}

/** What is kept of a page for the next launch: the span of those that wanted it, and in which groups of the launch they are. */
export interface Demand extends Span {
  readonly groups: Groups
}

/** What a pass told of a page. */
export interface Told {
  /** The first workgroup that lacked it; null: nobody did, or nobody knows. */
  readonly lacked: number | null
  /** All that used it, or would. */
  readonly groups: Groups
}

interface Known {
  span: Span | null
  groups: Groups
  /** Only of this launch. */
  freshSpan: Span | null
  fresh: Groups
  /** Who lacked it first in that round. */
  asked: number | null
  /** The round of this launch that told of it last; 0: only a launch before this one. */
  round: number
}

export interface Foreseen {
  readonly vpn: Vpn
  /** The place that wants it next. A page that the lead did not lack just now comes behind those that it did. */
  readonly next: number
  readonly round: number
}

/** A span is wide if it holds more than this part of all places. */
const WIDE_PART = 8
/** A launch begins elsewhere than at its first workgroup when that saves at least this part of it. */
const START_PART = 16
/** A span of at most so many groups says more than they do. */
const NARROW_GROUPS = 2

export class Forecast {
  readonly #known = new Map<Vpn, Known>()
  readonly #launch: LaunchGroups
  #lastRound = 0
  /** Of these groups some retired in sealed passes, which tell nothing: what the launch before knew of them still holds. */
  #sealed: Groups = NO_GROUPS

  constructor(launch: LaunchGroups) {
    this.#launch = launch
  }

  /** A launch before this one wanted the page. */
  foresee(vpn: Vpn, { first, last, groups }: Demand): void {
    this.#known.set(vpn, { span: { first, last }, groups, freshSpan: null, fresh: NO_GROUPS, asked: null, round: 0 })
  }

  /** A pass told who wants the page, at least one. True when somebody wants it of whom that was not known. @param wasHere for anybody who wanted it */
  note(vpn: Vpn, { lacked, groups }: Told, wasHere: boolean, round: number): boolean {
    const { total } = this.#launch
    let known = this.#known.get(vpn)
    if (known === undefined) {
      known = { span: null, groups: NO_GROUPS, freshSpan: null, fresh: NO_GROUPS, asked: null, round }
      this.#known.set(vpn, known)
    }
    const isNew = !isNone(without(groups, known.groups))
    const hull = this.#launch.hull(groups)
    // Who comes before the first that lacked it does not want it, if nobody had it.
    const here = wasHere || lacked === null || lacked > hull.first + this.#launch.size ? hull : { first: Math.max(lacked, hull.first), last: hull.last }
    known.span = joined(known.span, here, total)
    known.freshSpan = joined(known.freshSpan, here, total)
    if (isNew) known.groups = both(known.groups, groups)
    known.fresh = both(known.fresh, groups)
    known.asked = lacked
    known.round = round
    this.#lastRound = Math.max(this.#lastRound, round)
    return isNew
  }

  /** Most of these workgroups retired in a pass that tells nothing. */
  noteSealed(groups: Groups): void {
    this.#sealed = both(this.#sealed, groups)
  }

  clear(): void {
    this.#known.clear()
  }

  /** What was learned. Of groups of which this launch told everything, what was foreseen and did not come is forgotten. */
  get demands(): Map<Vpn, Demand> {
    const demands = new Map<Vpn, Demand>()
    for (const [vpn, { span, groups, fresh, freshSpan }] of this.#known) {
      const kept = common(groups, this.#sealed)
      const best = isNone(without(kept, fresh)) ? freshSpan : span
      if (best !== null) demands.set(vpn, { ...best, groups: both(kept, fresh) })
    }
    return demands
  }

  /** All that is still wanted, in the order in which it is. */
  plan(remaining: Remaining): Foreseen[] {
    const nextOfGroup = Float64Array.from(this.#launch.spans, (span) => remaining.nextIn(span) ?? Number.POSITIVE_INFINITY)
    const behindLead = remaining.lead + 0.5
    const found: Foreseen[] = []
    for (const [vpn, known] of this.#known) {
      const lacking = known.asked === null || known.round !== this.#lastRound ? null : remaining.nextIn({ first: known.asked, last: known.asked })
      // Of the group of who lacks it nobody else is known to.
      const others = lacking === null ? known.groups : without(known.groups, this.#launch.groupOf(known.asked as number))
      const place = Math.max(this.#nextOf(remaining, known.span, others, nextOfGroup), behindLead)
      const next = lacking === null ? place : Math.min(lacking, place)
      if (next < Number.POSITIVE_INFINITY) found.push({ vpn, next, round: known.round })
    }
    return found.sort((a, b) => a.next - b.next || b.round - a.round || a.vpn - b.vpn)
  }

  #nextOf(remaining: Remaining, span: Span | null, groups: Groups, nextOfGroup: Float64Array): number {
    if (span !== null && lengthOf(span, this.#launch.total) <= this.#launch.size * NARROW_GROUPS) return remaining.nextIn(span) ?? Number.POSITIVE_INFINITY
    return Math.min(leastOf(groups.low, 0, nextOfGroup), leastOf(groups.high, 32, nextOfGroup))
  }
}

/** What a launch of so many workgroups knew of its pages, as `launch` may expect it; null for a page that only workgroups wanted which this one does not have. */
export function demandsFor(launch: LaunchGroups, workgroups: number): (demand: Demand) => Demand | null {
  const groupsOf = launch.ofLaunch(new LaunchGroups(workgroups))
  const end = launch.total - 1
  return ({ first, last, groups: theirs }) => {
    const groups = groupsOf(theirs)
    // A span that goes on around the end begins anew where its beginning is gone.
    const from = first <= end ? first : first <= last ? null : 0
    return isNone(groups) || from === null ? null : { first: from, last: Math.min(last, end), groups }
  }
}

/** Of the numbers from `from` on, those whose bits are set. */
function leastOf(bits: number, from: number, numbers: Float64Array): number {
  let least = Number.POSITIVE_INFINITY
  for (let rest = bits; rest !== 0; rest &= rest - 1) least = Math.min(least, numbers[from + 31 - Math.clz32(rest & -rest)] as number)
  return least
}

/**
 * Where a launch best begins: at the start of the longest row of workgroups (the last is followed by the first) of which no page is missing. What the last
 * launch left on the device is used before it has to go.
 */
export function bestStart(total: number, missing: Iterable<Span>): number {
  const spans = [...missing]
    .filter((span) => lengthOf(span, total) * WIDE_PART <= total)
    .flatMap(({ first, last }) =>
      first <= last
        ? [{ first, last }]
        : [
            { first, last: total - 1 },
            { first: 0, last },
          ],
    )
    .sort((a, b) => a.first - b.first)
  if (spans.length === 0) return 0
  const head = Math.min(total, (spans[0] as Span).first)
  let start = 0
  let longest = head
  let covered = 0
  for (const { first, last } of spans) {
    if (covered > 0 && first - covered > longest) {
      start = covered
      longest = first - covered
    }
    covered = Math.max(covered, last + 1)
  }
  if (covered < total && total - covered + head > longest) {
    start = covered
    longest = total - covered + head
  }
  return longest * START_PART < total ? 0 : start
}

function lengthOf({ first, last }: Span, total: number): number {
  return ((last - first + total) % total) + 1
}

function joined(a: Span | null, b: Span | null, total: number): Span | null {
  return a === null ? b : b === null ? a : union(a, b, total)
}

/** The shortest span that holds both. */
function union(a: Span, b: Span, total: number): Span {
  const [one, other] = [spanFrom(a, b, total), spanFrom(b, a, total)]
  return lengthOf(one, total) <= lengthOf(other, total) ? one : other
}

/** The span that begins with `a` and holds both. */
function spanFrom(a: Span, b: Span, total: number): Span {
  const start = (b.first - a.first + total) % total
  const length = Math.max(lengthOf(a, total), start + lengthOf(b, total))
  return length >= total ? { first: a.first, last: (a.first + total - 1) % total } : { first: a.first, last: (a.first + length - 1) % total }
}
