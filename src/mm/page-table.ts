// The host page table: the one truth about where a page is. Device tables are caches of it.
//
//                    populate                systemMap
//        none ──────────────▶ zero ─┐ ┌──────────────────▶ mapped (host, and a read-only copy on some devices)
//         │ └──────────────────────▶ host ◀────────────────┘  systemUnmap
//         │                           │ ▲ (host is the master)
//         └───────┐  beginMigrate     │ │ endMigrateOnHost, from a device
//                 ▼                   ▼ │
//               migrating ────────────────────▶ clean ──markDirty──▶ dirty ──lose──▶ lost ──overwrite──▶ host
//                 ▲  endMigrateOnDevice           │  ◀──markClean────────┘
//                 └───────────────────────────────┘      restore: migrating → what it was
//
// Always: a page is in exactly one state. In `clean` and `dirty` it is device-private, and (memory, frame) names its frame there. In
// `clean` the host bytes (or the pager's) equal the frame; in `dirty` they are stale and nobody reads them. `mapped` has at least one bit
// in `mappedOn`; every other settled state has none. `migrating` is the lock of a page: only the one who took it may leave it.
// Records lie in arrays, block by block; a block that was never touched has none, and costs nothing. For each block the pages that each
// memory has are counted, so that a range that is in place is passed over without a look at its pages.

import { assert, unreachable } from '../base/assert.ts'
import type { Vpn, VpnRange } from '../base/units.ts'

/** The states, as they are stored. */
export const PAGE = { none: 0, zero: 1, host: 2, mapped: 3, clean: 4, dirty: 5, migrating: 6, lost: 7 } as const
export type PageState = (typeof PAGE)[keyof typeof PAGE]
/** The states as bits, to name several. */
const BIT = { none: 1, zero: 2, host: 4, mapped: 8, clean: 16, dirty: 32, migrating: 64, lost: 128 } as const
const NAMES: readonly string[] = ['none', 'zero', 'host', 'mapped', 'clean', 'dirty', 'migrating', 'lost']
const STATES = 8
const PRIVATE = BIT.clean | BIT.dirty
/** All but the states that hold a page's lock or nothing to move. */
const MOVABLE = BIT.none | BIT.zero | BIT.host | BIT.mapped | BIT.clean | BIT.dirty

/** Memories that can own pages besides the host: bits of `mappedOn`. */
export const MEMORIES_MAX = 8

/** Every arrow of the drawing, and where it may start. Each is a method below; `deviceGone` is lose or outlive, `clearRange` clears. */
const ARROW_STARTS = {
  populateZero: BIT.none,
  populate: BIT.none | BIT.zero,
  forgetCached: BIT.host,
  systemMap: BIT.none | BIT.zero | BIT.host | BIT.mapped,
  systemUnmap: BIT.mapped | BIT.migrating,
  beginMigrate: MOVABLE,
  endMigrateOnDevice: BIT.migrating,
  endMigrateOnHost: BIT.migrating,
  endMigrateOnHostMapped: BIT.migrating,
  restore: BIT.migrating,
  markDirty: BIT.clean | BIT.dirty,
  markClean: BIT.dirty,
  moveFrame: BIT.dirty,
  lose: BIT.dirty,
  outlive: BIT.clean,
  overwrite: BIT.lost,
  // A mirror that is told of the end gives its copy back first, so that no page is mapped any more.
  clear: BIT.none | BIT.zero | BIT.host | BIT.clean | BIT.dirty | BIT.lost,
} as const
type ArrowName = keyof typeof ARROW_STARTS
const ARROW_NAMES = Object.keys(ARROW_STARTS) as ArrowName[]
const STARTS = Uint8Array.from(ARROW_NAMES, (name) => ARROW_STARTS[name])
const ARROW = Object.fromEntries(ARROW_NAMES.map((name, at) => [name, at])) as Record<ArrowName, number>

/** The first room is small: a space with little in it stays small. It grows by a quarter: records are few bytes a page, also while they grow. */
const SLOTS_FIRST = 4
const GROWTH = 1.25

export class PageTable {
  readonly blockPages: number
  readonly #shift: number
  /** Slot of each touched block, by block number. */
  readonly #slots = new Map<number, number>()
  readonly #freeSlots: number[] = []
  #slotsMade = 0
  // One element a page, slot by slot.
  #state = new Uint8Array(0)
  /** State before `migrating`. */
  #before = new Uint8Array(0)
  #memory = new Uint8Array(0)
  #mappedOn = new Uint8Array(0)
  #frame = new Uint32Array(0)
  // One element a slot (or MEMORIES_MAX of them).
  /** Pages that are not `none`. */
  #touched = new Uint32Array(0)
  /** Device-private pages by memory. */
  #resident = new Uint32Array(0)
  // The block that was asked for last: pages come in runs.
  #lastStart = 0
  #lastEnd = 0
  #lastBase = 0
  #lost = 0
  readonly #taken = new Float64Array(ARROW_NAMES.length * STATES)

  /** @param blockPages pages that share one record block; a power of two */
  constructor(blockPages: number) {
    this.blockPages = blockPages
    this.#shift = Math.log2(blockPages)
  }

  // Looking.

  state(vpn: Vpn): PageState {
    const at = this.#find(vpn)
    return at < 0 ? PAGE.none : (this.#state[at] as PageState)
  }

  /** What the page was before it began to migrate; its state otherwise. */
  settledState(vpn: Vpn): PageState {
    const at = this.#find(vpn)
    if (at < 0) return PAGE.none
    return (this.#state[at] === PAGE.migrating ? this.#before[at] : this.#state[at]) as PageState
  }

  /** The frame of a device-private page, also while it migrates away. */
  frame(vpn: Vpn): number {
    const at = this.#find(vpn)
    return at < 0 ? 0 : (this.#frame[at] as number)
  }

  /** The memory of a device-private page, also while it migrates away. */
  memory(vpn: Vpn): number {
    const at = this.#find(vpn)
    return at < 0 ? 0 : (this.#memory[at] as number)
  }

  /** Bit d is set when device d has a read-only copy. Also while the page migrates. */
  mappedOn(vpn: Vpn): number {
    const at = this.#find(vpn)
    return at < 0 ? 0 : (this.#mappedOn[at] as number)
  }

  isDevicePrivate(vpn: Vpn): boolean {
    const at = this.#find(vpn)
    return at >= 0 && (this.#state[at] === PAGE.clean || this.#state[at] === PAGE.dirty)
  }

  /** Lost pages there are. */
  get lost(): number {
    return this.#lost
  }

  /** Device-private pages of `memory` in [start, end): whole blocks by their count. */
  residentIn(start: Vpn, end: Vpn, memory: number): number {
    const n = this.blockPages
    let count = 0
    for (let block = Math.floor(start / n), from = block * n; from < end; block++, from += n) {
      const slot = this.#slots.get(block)
      if (slot === undefined) continue
      const inBlock = this.#resident[slot * MEMORIES_MAX + memory] as number
      if (inBlock === 0) continue
      const first = from < start ? start - from : 0
      const last = from + n > end ? end - from : n
      if (inBlock === n) count += last - first
      else for (let at = slot * n + first; at < slot * n + last; at++) if (this.#isPrivateOf(at, memory)) count++
    }
    return count
  }

  /** Calls `visit` with each piece of the range that lies in a touched block, in ascending order: what is left out is `none`. */
  forEachTouched({ start, end }: VpnRange, visit: (start: Vpn, end: Vpn) => void): void {
    const n = this.blockPages
    const first = Math.floor(start / n)
    const last = Math.ceil(end / n)
    const clip = (block: number) => {
      if (this.#slots.has(block)) visit(Math.max(start, block * n), Math.min(end, (block + 1) * n))
    }
    if (last - first <= this.#slots.size) for (let block = first; block < last; block++) clip(block)
    else
      [...this.#slots.keys()]
        .filter((block) => block >= first && block < last)
        .sort((a, b) => a - b)
        .forEach(clip)
  }

  /** The pieces of the range that lie in touched blocks, ascending; neighbours are one. */
  touchedRuns(range: VpnRange): VpnRange[] {
    const runs: { start: Vpn; end: Vpn }[] = []
    this.forEachTouched(range, (start, end) => {
      const last = runs[runs.length - 1]
      if (last !== undefined && last.end === start) last.end = end
      else runs.push({ start, end })
    })
    return runs
  }

  // The arrows. Each is one function, and each checks where it starts.

  /** none → zero: anonymous memory is asked for and has never been written. */
  populateZero(vpn: Vpn): void {
    this.#move(this.#made(vpn), ARROW.populateZero, PAGE.zero)
  }

  /** none, zero → host: the bytes are there, from a pager or because the host writes them. */
  populate(vpn: Vpn): void {
    this.#move(this.#made(vpn), ARROW.populate, PAGE.host)
  }

  /** host → none: a pager-backed page left the host cache; the pager still has it. */
  forgetCached(vpn: Vpn): void {
    const at = this.#find(vpn)
    if (at >= 0 && this.#state[at] === PAGE.host) this.#move(at, ARROW.forgetCached, PAGE.none)
    this.#releaseIfEmpty(vpn)
  }

  /** none, zero, host, mapped → mapped: a device got a read-only copy. */
  systemMap(vpn: Vpn, memory: number): void {
    const at = this.#made(vpn)
    this.#move(at, ARROW.systemMap, PAGE.mapped)
    this.#mappedOn[at] = (this.#mappedOn[at] as number) | (1 << memory)
  }

  /** mapped → mapped, host: a device gave its copy back. The same of a page that migrates. */
  systemUnmap(vpn: Vpn, memory: number): void {
    const at = this.#made(vpn)
    const left = (this.#mappedOn[at] as number) & ~(1 << memory)
    this.#mappedOn[at] = left
    const migrates = this.#state[at] === PAGE.migrating
    this.#move(at, ARROW.systemUnmap, migrates ? PAGE.migrating : left === 0 ? PAGE.host : PAGE.mapped)
    if (migrates && this.#before[at] === PAGE.mapped && left === 0) this.#before[at] = PAGE.host
  }

  /** Any settled state but lost → migrating. Compare a migration entry. */
  beginMigrate(vpn: Vpn): void {
    const at = this.#made(vpn)
    this.#before[at] = this.#state[at] as number
    this.#move(at, ARROW.beginMigrate, PAGE.migrating)
  }

  /** migrating → clean: the page is now in a frame of a memory, with the bytes that it had. */
  endMigrateOnDevice(vpn: Vpn, memory: number, frame: number): void {
    const at = this.#made(vpn)
    this.#memory[at] = memory
    this.#frame[at] = frame
    this.#mappedOn[at] = 0
    this.#move(at, ARROW.endMigrateOnDevice, PAGE.clean)
  }

  /** migrating → host: the host bytes are the page again. */
  endMigrateOnHost(vpn: Vpn): void {
    const at = this.#made(vpn)
    this.#mappedOn[at] = 0
    this.#move(at, ARROW.endMigrateOnHost, PAGE.host)
  }

  /** migrating → mapped: the host bytes are the page again, and the device keeps its frame as a read-only copy. */
  endMigrateOnHostMapped(vpn: Vpn, memory: number): void {
    const at = this.#made(vpn)
    this.#mappedOn[at] = 1 << memory
    this.#move(at, ARROW.endMigrateOnHostMapped, PAGE.mapped)
  }

  /** migrating → what it was: the migration did not happen. */
  restore(vpn: Vpn): void {
    const at = this.#made(vpn)
    this.#move(at, ARROW.restore, this.#before[at] as PageState)
    this.#releaseIfEmpty(vpn)
  }

  /** clean → dirty: a pass stored to the page. */
  markDirty(vpn: Vpn): void {
    this.#move(this.#made(vpn), ARROW.markDirty, PAGE.dirty)
  }

  /** dirty → clean: the host has the page's bytes once more (a snapshot was taken, or a failed pass was undone). */
  markClean(vpn: Vpn): void {
    this.#move(this.#made(vpn), ARROW.markClean, PAGE.clean)
  }

  /** dirty → dirty, in another frame of the same memory (a private copy became the page). */
  moveFrame(vpn: Vpn, frame: number): void {
    const at = this.#made(vpn)
    this.#move(at, ARROW.moveFrame, this.#state[at] as PageState)
    this.#frame[at] = frame
  }

  /** dirty → lost, clean → host: the device is gone, also while the page migrated. True when the page's bytes are lost with it. */
  deviceGone(vpn: Vpn): boolean {
    const at = this.#made(vpn)
    if (this.#state[at] === PAGE.migrating) this.#move(at, ARROW.restore, this.#before[at] as PageState)
    const lost = this.#state[at] === PAGE.dirty
    if (lost) this.#move(at, ARROW.lose, PAGE.lost)
    else this.#move(at, ARROW.outlive, PAGE.host)
    if (lost) this.#lost++
    return lost
  }

  /** lost → host: the whole page is written anew. */
  overwrite(vpn: Vpn): void {
    this.#move(this.#made(vpn), ARROW.overwrite, PAGE.host)
    this.#lost--
  }

  /** Any settled state → none: the mapping of these pages is gone. */
  clearRange(range: VpnRange): void {
    this.forEachTouched(range, (start, end) => {
      const first = this.#find(start)
      for (let at = first; at < first + end - start; at++) this.#clear(at)
      this.#releaseIfEmpty(start)
    })
  }

  #clear(at: number): void {
    if (this.#state[at] === PAGE.lost) this.#lost--
    this.#move(at, ARROW.clear, PAGE.none)
    this.#mappedOn[at] = 0
    this.#memory[at] = 0
    this.#frame[at] = 0
  }

  // Reports and checks.

  /** How often each arrow was taken, by its name and where it started; all that may be taken are listed. */
  arrows(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const [arrow, name] of ARROW_NAMES.entries()) {
      for (let from = 0; from < STATES; from++) {
        if (((STARTS[arrow] as number) & (1 << from)) !== 0) counts[`${name} from ${NAMES[from]}`] = this.#taken[arrow * STATES + from] as number
      }
    }
    return counts
  }

  /** Bytes of records. */
  get byteLength(): number {
    const pages = this.#state.byteLength + this.#before.byteLength + this.#memory.byteLength + this.#mappedOn.byteLength + this.#frame.byteLength
    return pages + this.#touched.byteLength + this.#resident.byteLength
  }

  /** One line a page, for messages and tests. */
  print(vpn: Vpn): string {
    const state = this.state(vpn)
    switch (state) {
      case PAGE.none:
      case PAGE.zero:
      case PAGE.host:
      case PAGE.lost:
        return NAMES[state] as string
      case PAGE.mapped:
        return `mapped on ${this.mappedOn(vpn).toString(2)}`
      case PAGE.clean:
      case PAGE.dirty:
        return `${NAMES[state]} in memory ${this.memory(vpn)} frame ${this.frame(vpn)}`
      case PAGE.migrating:
        return `migrating from ${NAMES[this.settledState(vpn)]}`
      default:
        return unreachable(state)
    }
  }

  /** Mirrors the chapter above: what must hold of one page. */
  assertPage(vpn: Vpn): void {
    const state = this.state(vpn)
    const copies = this.mappedOn(vpn)
    if (state === PAGE.migrating) return
    assert((state === PAGE.mapped) === (copies !== 0), `page ${vpn} has system copies (${copies}) exactly when it is mapped (${NAMES[state]})`)
  }

  /** Recounts what is counted. */
  assertCounts(): void {
    let lost = 0
    for (const [block, slot] of this.#slots) {
      const base = slot * this.blockPages
      const resident = new Uint32Array(MEMORIES_MAX)
      let touched = 0
      for (let at = base; at < base + this.blockPages; at++) {
        if (this.#state[at] !== PAGE.none) touched++
        if (this.#state[at] === PAGE.lost) lost++
        const memory = this.#memory[at] as number
        if (this.#isPrivateOf(at, memory)) resident[memory] = (resident[memory] as number) + 1
      }
      assert(touched === this.#touched[slot], `touched pages of block ${block} (${touched}) are counted right (${this.#touched[slot]})`)
      const counted = this.#resident.subarray(slot * MEMORIES_MAX, (slot + 1) * MEMORIES_MAX)
      assert(resident.join() === counted.join(), `resident pages of block ${block} (${resident}) are counted right (${counted})`)
    }
    assert(lost === this.#lost, `lost pages (${lost}) are counted right (${this.#lost})`)
  }

  // Records.

  #move(at: number, arrow: number, to: PageState): void {
    const from = this.#state[at] as PageState
    if (((1 << from) & (STARTS[arrow] as number)) === 0) this.#refuse(at, arrow, to)
    this.#taken[arrow * STATES + from] = (this.#taken[arrow * STATES + from] as number) + 1
    if (from === to) return
    this.#state[at] = to
    const slot = this.#slotOf(at)
    if (from === PAGE.none) this.#touched[slot] = (this.#touched[slot] as number) + 1
    else if (to === PAGE.none) this.#touched[slot] = (this.#touched[slot] as number) - 1
    const change = (((1 << to) & PRIVATE) !== 0 ? 1 : 0) - (((1 << from) & PRIVATE) !== 0 ? 1 : 0)
    if (change === 0) return
    const count = slot * MEMORIES_MAX + (this.#memory[at] as number)
    this.#resident[count] = (this.#resident[count] as number) + change
  }

  #refuse(at: number, arrow: number, to: PageState): never {
    const block = [...this.#slots].find(([, slot]) => slot === this.#slotOf(at))?.[0] ?? -1
    const vpn = block * this.blockPages + (at % this.blockPages)
    assert(false, `page ${vpn} may not go from ${NAMES[this.#state[at] as number]} to ${NAMES[to]} by ${ARROW_NAMES[arrow]}`)
    throw new Error('unreachable')
  }

  #isPrivateOf(at: number, memory: number): boolean {
    const state = this.#state[at]
    return (state === PAGE.clean || state === PAGE.dirty) && this.#memory[at] === memory
  }

  #slotOf(at: number): number {
    return at >>> this.#shift
  }

  /** Index of the page's record; -1 when its block was never touched. */
  #find(vpn: Vpn): number {
    if (vpn >= this.#lastStart && vpn < this.#lastEnd) return this.#lastBase < 0 ? -1 : this.#lastBase + vpn - this.#lastStart
    return this.#findBlock(vpn)
  }

  #findBlock(vpn: Vpn): number {
    const block = Math.floor(vpn / this.blockPages)
    const slot = this.#slots.get(block)
    this.#lastStart = block * this.blockPages
    this.#lastEnd = this.#lastStart + this.blockPages
    this.#lastBase = slot === undefined ? -1 : slot * this.blockPages
    return slot === undefined ? -1 : this.#lastBase + vpn - this.#lastStart
  }

  /** The same; a block that was never touched gets its records now. */
  #made(vpn: Vpn): number {
    const at = this.#find(vpn)
    if (at >= 0) return at
    const slot = this.#freeSlots.pop() ?? this.#slotsMade++
    if (slot >= this.#touched.length) this.#grow()
    this.#slots.set(Math.floor(vpn / this.blockPages), slot)
    this.#lastEnd = this.#lastStart
    return this.#findBlock(vpn)
  }

  #grow(): void {
    const slots = Math.max(SLOTS_FIRST, Math.ceil(this.#touched.length * GROWTH))
    const pages = slots * this.blockPages
    this.#state = grown(this.#state, new Uint8Array(pages))
    this.#before = grown(this.#before, new Uint8Array(pages))
    this.#memory = grown(this.#memory, new Uint8Array(pages))
    this.#mappedOn = grown(this.#mappedOn, new Uint8Array(pages))
    this.#frame = grown(this.#frame, new Uint32Array(pages))
    this.#touched = grown(this.#touched, new Uint32Array(slots))
    this.#resident = grown(this.#resident, new Uint32Array(slots * MEMORIES_MAX))
  }

  /** A block whose pages are all `none` again gives its records back. */
  #releaseIfEmpty(vpn: Vpn): void {
    const at = this.#find(vpn)
    if (at < 0 || this.#touched[this.#slotOf(at)] !== 0) return
    this.#freeSlots.push(this.#slotOf(at))
    this.#slots.delete(Math.floor(vpn / this.blockPages))
    this.#lastEnd = this.#lastStart
  }
}

function grown<A extends Uint8Array | Uint32Array>(old: A, larger: A): A {
  larger.set(old)
  return larger
}
