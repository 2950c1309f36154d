// Whether a launch can fault, and if not, which variant runs it. Always: the answer is `null` unless no fault is possible; 'direct' only where every page of
// one window is here in order and what the launch stores to is known to be dirty. What a kernel stored to is a hint: the window names the
// pages that are dirty, and the kernel notes a store to any other.

import { PTE, PTE_FLAGS_MASK, ptePool, pteWord } from '../abi/pte.ts'
import { areSameRanges, type Vpn, type VpnRange } from '../base/units.ts'
import type { Proof } from '../wgsl/proven.ts'
import type { Launch } from './launch.ts'
import type { ReachTable } from './reach.ts'
import { provenSteady, ReachCache, type Reached } from './reached.ts'
import type { Mirror } from './svmm.ts'

/** Pages that lie in one pool at `frame = page - base`. */
export interface DirectWindow {
  readonly pool: number
  readonly pages: VpnRange
  /** Words from the start of the pool's buffer to the first page. */
  readonly place: number
  /** Those that may be stored to. */
  readonly writable: VpnRange
  /** Those of them that are dirty already: a store there is no news. */
  readonly dirty: VpnRange
}

export interface Steady {
  readonly variant: 'resident' | 'direct'
  /** Null in the resident variant. */
  readonly window: DirectWindow | null
  /** Stores to clean pages leave marks: it is not known yet what the launch stores to, or that is not dirty yet. */
  readonly marks: boolean
  readonly proof: Proof
  /** Without marks: pages that it stores to for certain. */
  readonly stores: readonly VpnRange[]
  /** What it touches, where that is known. */
  readonly reached: Reached | null
}

/** Runs of pages that a history keeps; more become one. */
const RUNS_MAX = 64
const RESIDENT: Steady = { variant: 'resident', window: null, marks: false, proof: 'none', stores: [], reached: null }
const MARKING: Steady = { ...RESIDENT, marks: true }
const NO_PAGES: VpnRange = { start: 0, end: 0 }

/** What one kernel, with the same pointers and of the same size, was last decided to be, and what it is known to store to. */
export class SteadyHistory {
  /** Of which state of the table `chosen` was said. */
  version = -1
  chosen: Steady | null = null
  /** What was known of its reach then, and what it was held to. */
  known: Reached | null = null
  reach: Launch['reach'] = null
  readonly reached = new ReachCache()
  /** A launch that marks its stores exactly has ended. */
  seen = false
  /** Its stores were foreseen once, and wrongly. */
  surprised = false
  /** Pages that it stored to while they were clean. */
  stores: readonly VpnRange[] = []

  /** The launch stored to these pages (in any order). */
  stored(pages: Iterable<Vpn>): void {
    if (!this.seen) this.version = -1
    this.seen = true
    const all = new Set(pages)
    if (all.size === 0) return
    for (const { start, end } of this.stores) for (let vpn = start; vpn < end; vpn++) all.add(vpn)
    this.#keep([...all].sort((a, b) => a - b))
  }

  /** The launch stored to pages that were not foreseen: what it stores to is not foreseen again. */
  surprise(): void {
    this.surprised = true
    this.forget()
  }

  /** What is known is of no use any more. */
  forget(): void {
    this.seen = false
    this.stores = []
    this.version = -1
  }

  #keep(pages: readonly Vpn[]): void {
    const runs: { start: Vpn; end: Vpn }[] = []
    for (const vpn of pages) {
      const last = runs[runs.length - 1]
      if (last !== undefined && (last.end === vpn || runs.length >= RUNS_MAX)) last.end = vpn + 1
      else runs.push({ start: vpn, end: vpn + 1 })
    }
    this.stores = runs
    this.version = -1
  }
}

/** The variant of a launch that cannot fault; null when it can. Costs nothing to speak of while the table stays as it was. */
export function chooseSteady(mirror: Mirror, launch: Launch, reach: ReachTable): Steady | null {
  if (launch.atomic) return null
  const history = launch.kernel.steadyHistory(launch)
  const known = history.reached.of(mirror, launch)
  if (known === null && launch.reach === null && mirror.incomplete > 0) return null
  const { version } = mirror
  if (history.version === version && history.known === known && areSameRanges(history.reach, launch.reach)) return history.chosen
  history.chosen = (known === null ? null : provenSteady(mirror, launch, known)) ?? steadyByTable(mirror, launch, reach, history)
  history.known = known
  history.reach = launch.reach
  history.version = version
  return history.chosen
}

/** All that the launch may reach is here. */
function steadyByTable(mirror: Mirror, launch: Launch, reach: ReachTable, history: SteadyHistory): Steady | null {
  if (reach.incomplete > 0) return null
  const window = mirror.direct ? directWindow(mirror, launch, history) : null
  if (window !== null) return { ...RESIDENT, variant: 'direct', window }
  return storesAreDirty(mirror, launch, history) ? RESIDENT : MARKING
}

function directWindow(mirror: Mirror, launch: Launch, history: SteadyHistory): DirectWindow | null {
  const { stores, atomics } = launch.kernel.translated.analysis
  const pages = hullOf(mirror, launch.reach)
  if (pages === null) return null
  if (!stores && !atomics) return scan(mirror, pages)?.window ?? null
  if (history.stores.some(({ start, end }) => start < pages.start || end > pages.end)) {
    // What is known is of memory that is gone.
    history.forget()
  }
  const found = scan(mirror, pages)
  if (found === null) return null
  const { writable } = found.window
  // Where no page is clean nothing need be known of the kernel.
  const all = found.dirty.find(({ start, end }) => start === writable.start && end === writable.end)
  const dirty = all ?? (history.seen && !history.surprised ? knownDirty(found.dirty, history.stores) : null)
  return dirty === null ? null : { ...found.window, dirty }
}

/** The pages that the launch may reach, if there is no hole among them. */
function hullOf({ space }: Mirror, reach: readonly VpnRange[] | null): VpnRange | null {
  let start = -1
  let end = -1
  for (const range of reach === null ? [{ start: 0, end: space.geometry.spacePages }] : [...reach].sort((a, b) => a.start - b.start)) {
    for (const piece of space.addresses.pieces(range)) {
      if (start < 0) start = piece.start
      else if (piece.start > end) return null
      end = Math.max(end, piece.end)
    }
  }
  return start < 0 ? null : { start, end }
}

/** The window of these pages, and the runs of it that are dirty; null when they do not stand in order, or one of them has no right. */
function scan({ vmm, space, dmem }: Mirror, pages: VpnRange): { window: DirectWindow; dirty: readonly VpnRange[] } | null {
  const first = vmm.get(pages.start)
  const address = pages.start * space.geometry.pageBytes
  const onePool = dmem.poolsInUse === 1
  const dirty: { start: Vpn; end: Vpn }[] = []
  let writable: { start: Vpn; end: Vpn } | null = null
  for (let vpn = pages.start; vpn < pages.end; vpn++) {
    const pte = vmm.get(vpn)
    if ((pte & PTE.load) === 0 || ((pte ^ first) & ~PTE_FLAGS_MASK) !== 0) return null
    if (!onePool && ptePool(pte, vpn * space.geometry.pageBytes) !== ptePool(first, address)) return null
    if ((pte & PTE.store) === 0) continue
    if (writable === null) writable = { start: vpn, end: vpn + 1 }
    else if (writable.end === vpn) writable.end = vpn + 1
    else return null
    if ((pte & PTE.dirty) === 0) continue
    const last = dirty[dirty.length - 1]
    if (last !== undefined && last.end === vpn) last.end = vpn + 1
    else dirty.push({ start: vpn, end: vpn + 1 })
  }
  const window = { pool: ptePool(first, address), place: pteWord(first, address), pages, writable: writable ?? NO_PAGES, dirty: NO_PAGES }
  return { window, dirty }
}

/** The run of dirty pages that a window names: the one that holds all known stores, and the longest where there are none. Null: there is none. */
function knownDirty(dirty: readonly VpnRange[], stores: readonly VpnRange[]): VpnRange | null {
  const holds = (run: VpnRange) => stores.every(({ start, end }) => start >= run.start && end <= run.end)
  let longest: VpnRange | null = stores.length === 0 ? NO_PAGES : null
  for (const run of dirty) if (holds(run) && (longest === null || run.end - run.start > longest.end - longest.start)) longest = run
  return longest
}

/** Known stores go to pages that are dirty. */
function storesAreDirty({ vmm }: Mirror, { kernel }: Launch, history: SteadyHistory): boolean {
  const { stores, atomics } = kernel.translated.analysis
  if (!stores && !atomics) return true
  if (!history.seen || history.surprised) return false
  for (const { start, end } of history.stores) for (let vpn = start; vpn < end; vpn++) if ((vmm.get(vpn) & PTE.dirty) === 0) return false
  return true
}
