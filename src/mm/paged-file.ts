// The bounded host cache of pager-backed pages, and one pager as its client.
//
// The cache is a ring of page slots. Always: a slot belongs to at most one page; a slot that is pinned (a read into it is under way) is
// never taken, and who finds none but such waits for `unpinned`; runs of pages are read into runs of slots, so that one request to the pager fills many pages and one copy takes them on.

import { assert } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import { type Bytes, printBytes, type Vpn, type VpnRange } from '../base/units.ts'
import type { Pager } from '../pager/pager.ts'
import { ReadAhead } from './read-ahead.ts'
import { WaitQueue } from './wait-queue.ts'

/** The bytes that are asked of a pager at once, at most. */
const READ_BYTES_MAX = 4 * 1024 * 1024

export class HostCache {
  readonly slots: number
  readonly #pageBytes: Bytes
  #slab: Uint8Array | null = null
  /** Page in each slot, or -1. */
  readonly #pageOf: Float64Array
  readonly #pinned: Uint8Array
  readonly #slotOf = new Map<Vpn, number>()
  readonly #onDrop: (vpn: Vpn) => void
  #hand = 0
  /** Woken whenever reads into slots have ended. */
  readonly unpinned = new WaitQueue()

  /** @param onDrop told of every page whose bytes leave the cache */
  constructor(byteLength: Bytes, pageBytes: Bytes, onDrop: (vpn: Vpn) => void) {
    this.slots = Math.max(4, Math.floor(byteLength / pageBytes))
    this.#pageBytes = pageBytes
    this.#pageOf = new Float64Array(this.slots).fill(-1)
    this.#pinned = new Uint8Array(this.slots)
    this.#onDrop = onDrop
  }

  get byteLength(): Bytes {
    return this.#slab === null ? 0 : this.#slab.length
  }

  has(vpn: Vpn): boolean {
    return this.#slotOf.has(vpn)
  }

  /** Nobody reads into slots. */
  get isQuiet(): boolean {
    return !this.#pinned.includes(1)
  }

  /** The longest view that starts at `vpn` and covers at most `pages` cached pages in adjacent slots; null if `vpn` is not cached. */
  run(vpn: Vpn, pages: number): Uint8Array | null {
    const slot = this.#slotOf.get(vpn)
    if (slot === undefined || this.#slab === null) return null
    let count = 1
    while (count < pages && this.#slotOf.get(vpn + count) === slot + count) count++
    return this.#slab.subarray(slot * this.#pageBytes, (slot + count) * this.#pageBytes)
  }

  /**
   * Takes up to `wanted` adjacent slots, dropping what they hold. Pages in [keep.start, keep.end) are not dropped. Pins them. Null when reads
   * of others are under way into all that could be taken.
   */
  take(wanted: number, keep: { start: Vpn; end: Vpn }): { slot: number; count: number; bytes: Uint8Array } | null {
    this.#slab ??= new Uint8Array(this.slots * this.#pageBytes)
    const usable = (slot: number) => {
      const page = this.#pageOf[slot] as number
      return this.#pinned[slot] === 0 && !(page >= keep.start && page < keep.end)
    }
    for (let tried = 0; tried < this.slots && !usable(this.#hand); tried++) this.#hand = (this.#hand + 1) % this.slots
    const slot = this.#hand
    if (!usable(slot)) {
      assert(this.#pinned.includes(1), 'the host cache has a slot that is neither pinned nor kept')
      return null
    }
    let count = 0
    while (count < wanted && slot + count < this.slots && usable(slot + count)) count++
    for (let i = slot; i < slot + count; i++) {
      this.#drop(i)
      this.#pinned[i] = 1
    }
    this.#hand = (slot + count) % this.slots
    return { slot, count, bytes: this.#slab.subarray(slot * this.#pageBytes, (slot + count) * this.#pageBytes) }
  }

  /** Ends the pin of `take`; with `vpn`, the slots now hold the pages from `vpn` on. */
  settle(slot: number, count: number, vpn: Vpn | null): void {
    for (let i = 0; i < count; i++) {
      this.#pinned[slot + i] = 0
      if (vpn === null) continue
      this.forget(vpn + i)
      this.#pageOf[slot + i] = vpn + i
      this.#slotOf.set(vpn + i, slot + i)
    }
    this.unpinned.wake()
  }

  /** Drops a page without telling anybody (its mapping is gone, or it is replaced). */
  forget(vpn: Vpn): void {
    const slot = this.#slotOf.get(vpn)
    if (slot === undefined) return
    this.#slotOf.delete(vpn)
    this.#pageOf[slot] = -1
  }

  /** Drops the pages of a mapping that is gone. */
  forgetRange({ start, end }: VpnRange): void {
    if (end - start <= this.#slotOf.size) for (let vpn = start; vpn < end; vpn++) this.forget(vpn)
    else for (const vpn of [...this.#slotOf.keys()]) if (vpn >= start && vpn < end) this.forget(vpn)
  }

  #drop(slot: number): void {
    const page = this.#pageOf[slot] as number
    if (page < 0) return
    this.#slotOf.delete(page)
    this.#pageOf[slot] = -1
    this.#onDrop(page)
  }
}

/** A pager, opened: it reads whole pages and knows where the source ends. */
export class PagedFile {
  readonly label: string
  readonly byteLength: Bytes
  readonly ahead: ReadAhead
  readonly #pager: Pager
  readonly #pageBytes: Bytes

  constructor(pager: Pager, pageBytes: Bytes, label: string) {
    this.#pager = pager
    this.#pageBytes = pageBytes
    this.label = label
    this.byteLength = pager.size
    this.ahead = new ReadAhead(pageBytes)
  }

  /** Pages that one request to the pager brings at most. */
  get pagesAtOnce(): number {
    return Math.max(1, Math.floor(READ_BYTES_MAX / this.#pageBytes))
  }

  /** Reads [offset, offset + into.length); what lies past the end of the source reads as zero. @throws SvmError pager-failed */
  async read(offset: Bytes, into: Uint8Array): Promise<void> {
    const expected = Math.max(0, Math.min(into.length, this.byteLength - offset))
    let got: number
    try {
      got = expected === 0 ? 0 : await this.#pager.read(offset, into.subarray(0, expected))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new SvmError(
        'pager-failed',
        `The pager of ${this.label} could not read ${printBytes(expected)} at offset ${offset}: ${why}. Nothing was changed; the read can be tried again.`,
        { cause },
      )
    }
    if (got !== expected) {
      throw new SvmError(
        'pager-failed',
        `The pager of ${this.label} gave ${got} bytes at offset ${offset} where ${expected} were expected. ${got > expected ? 'It may give no more than the array holds: mend its read().' : `The source is shorter than the ${this.byteLength} bytes it had when it was mapped: unmap it and map it again.`}`,
      )
    }
    into.fill(0, expected)
  }
}
