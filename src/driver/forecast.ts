// Which workgroups want which pages, as far as passes told: those of this launch, and of the last one like it. What it says decides what is served first,
// who goes first, and where a launch begins; never what is right.
//
// Always: a page is wanted by the workgroups of one span, perhaps not by all of them; a page is wanted next at the first place (driver/remaining: a position
// in the order in which this launch runs its workgroups) of its span that has not retired, and never again when there is none. So the page that goes first is
// the one that is wanted last (Belady), and pages that nobody wants go before it.

import type { Vpn } from '../base/units.ts'
import type { Remaining } from './remaining.ts'

/** Workgroups from `first` to `last`, both included; on from the last of a launch to its first where `last` is less. */
export interface Span {
  readonly first: number
  readonly last: number
}

/** What is kept of a page for the next launch: workgroups, and the part of them that seemed to want it. */
export interface Demand extends Span {
  readonly share: number
}

interface Known {
  span: Span
  share: number
  /** Those that wanted it in that round. */
  asked: Span
  /** The round of this launch in which it was wanted last; 0: only a launch before this one wanted it. */
  round: number
}

export interface Foreseen {
  readonly vpn: Vpn
  /** The place that wants it next. A page that is only foreseen comes behind what the lead asked for. */
  readonly next: number
  readonly round: number
  /** Many places may want it and perhaps few do: no window waits for it. */
  readonly loose: boolean
}

/** A span is wide if it holds more than this part of all places. */
const WIDE_PART = 8
/** Wide pages are kept for all who may want them in at most this part of the frames. */
const WIDE_FRAMES = 0.75
/** A smaller pass says little about how many of all want a page. */
const SLOTS_TELLING = 64
/** A launch begins elsewhere than at its first workgroup when that saves at least this part of it. */
const START_PART = 16

export class Forecast {
  readonly #known = new Map<Vpn, Known>()
  readonly #told = new Set<Vpn>()
  #lastRound = 0

  /** Somebody has said who wants the page, though that may have been given up since. */
  wasTold(vpn: Vpn): boolean {
    return this.#told.has(vpn)
  }

  /** A launch before this one wanted the page. */
  foresee(vpn: Vpn, { first, last, share }: Demand): void {
    const span = { first, last }
    this.#told.add(vpn)
    this.#known.set(vpn, { span, share, asked: span, round: 0 })
  }

  /**
   * A pass over so many `slots` of `total` workgroups told that those of `asked` wanted the page. What k of n want, here and there, has a span of about
   * (k - 1) / (k + 1) of all n: that tells k.
   */
  note(vpn: Vpn, asked: Span, round: number, slots: number, total: number): void {
    const width = Math.min(1, lengthOf(asked, total) / slots)
    const share = Math.min(1, (1 + width) / Math.max(1 - width, 1 / slots) / slots)
    this.#lastRound = Math.max(this.#lastRound, round)
    this.#told.add(vpn)
    const known = this.#known.get(vpn)
    if (known === undefined) {
      this.#known.set(vpn, { span: asked, share, asked, round })
      return
    }
    known.span = union(known.span, asked, total)
    known.share = slots < SLOTS_TELLING ? known.share : Math.max(known.share, share)
    known.asked = asked
    known.round = round
  }

  /** Nobody need be told who wants these pages. */
  excuse(pages: Iterable<Vpn>): void {
    for (const vpn of pages) this.#told.add(vpn)
  }

  clear(): void {
    this.#known.clear()
  }

  /** What was learned. */
  get demands(): Map<Vpn, Demand> {
    const demands = new Map<Vpn, Demand>()
    for (const [vpn, { span, share }] of this.#known) demands.set(vpn, { ...span, share })
    return demands
  }

  /** All that is still wanted, in the order in which it is; `frames` there are. */
  plan(remaining: Remaining, frames: number, isHere: (vpn: Vpn) => boolean): Foreseen[] {
    const loose = this.#looseOnes(remaining, frames, isHere)
    const found: Foreseen[] = []
    for (const [vpn, known] of this.#known) {
      const isLoose = loose.has(vpn)
      // Where few of many want it, only who asked for it and has not had it is known to.
      if (isLoose && known.round === 0 && this.#lastRound > 0) continue
      const place = isLoose ? askerOf(remaining, known.asked) : remaining.nextIn(known.round === this.#lastRound ? known.asked : known.span)
      if (place === null) continue
      found.push({ vpn, next: known.round === 0 ? Math.max(place, remaining.lead + 0.5) : place, round: known.round, loose: isLoose })
    }
    return found.sort((a, b) => a.next - b.next || b.round - a.round || a.vpn - b.vpn)
  }

  /** The pages of wide spans for which there is no room: those that the fewest want. Of equals, those that are not here. */
  #looseOnes(remaining: Remaining, frames: number, isHere: (vpn: Vpn) => boolean): Set<Vpn> {
    const wide: { vpn: Vpn; share: number; here: boolean }[] = []
    for (const [vpn, known] of this.#known) {
      const isWide = lengthOf(known.span, remaining.total) * WIDE_PART > remaining.total
      if (isWide && remaining.nextIn(known.span) !== null) wide.push({ vpn, share: known.share, here: isHere(vpn) })
    }
    const room = Math.floor(frames * WIDE_FRAMES)
    if (wide.length <= room) return new Set()
    wide.sort((a, b) => b.share - a.share || Number(b.here) - Number(a.here) || a.vpn - b.vpn)
    return new Set(wide.slice(room).map(({ vpn }) => vpn))
  }
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

/** The first place of the two that are known to have asked; null: they have retired. */
function askerOf(remaining: Remaining, { first, last }: Span): number | null {
  return remaining.nextIn({ first, last: first }) ?? remaining.nextIn({ first: last, last })
}

function lengthOf({ first, last }: Span, total: number): number {
  return ((last - first + total) % total) + 1
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
