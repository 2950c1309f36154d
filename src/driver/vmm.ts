// The device's page table: a shadow here, a buffer there. Compare nvkm_vmm. Only this file writes entries.
//
// Always: after `flush` the buffer equals the shadow; `incomplete` is the number of entries that may get a right which they do not have. In a 32-bit
// space every page has an entry, and the last one is 0: addresses outside of what is mapped fall on it. In a 64-bit space only pages of covered leaves
// have entries (abi/leaf); the others read as 0, and an entry with a right is only ever written to a covered page.

import { type Geometry, tableIndex, vpnOfIndex } from '../abi/geometry.ts'
import { BUCKET_WORDS, directoryBuckets, LEAF_PAGES } from '../abi/leaf.ts'
import { PTE, PTE_FLAGS_MASK, PTE_RIGHTS } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { setBit } from '../base/bitmap.ts'
import type { Vpn, VpnRange } from '../base/units.ts'
import type { Device, DeviceBuffer } from '../device/device.ts'
import { Leaves } from './leaves.ts'
import type { PassTable } from './pass-table.ts'

/** Unchanged entries between two changed ones that are cheaper to write than to leave out: a write costs microseconds, however short, and this is 4 KiB. */
const GAP = 1024

export class DeviceVmm {
  readonly device: Device
  readonly #geometry: Geometry
  /** Null in a 32-bit space. */
  readonly #leaves: Leaves | null
  /** Leaves that no pass has seen yet. */
  readonly #fresh = new Set<Vpn>()
  /** What the directory on the device was made of. */
  #sentVersion = -1
  /** The tables of passes that may fault, which are told of every change. */
  readonly #followers: PassTable[] = []
  #shadow = new Uint32Array(2)
  #changed = new Uint32Array(1)
  #incomplete = 0
  #copies = 0
  #highest = 0
  /** Entries written since the start. */
  written = 0
  /** Entries that lost their frame, or all rights to it. */
  mappingsLost = 0

  constructor(device: Device, geometry: Geometry) {
    this.device = device
    this.#geometry = geometry
    this.#leaves = geometry.addressBits === 64 ? new Leaves() : null
    if (this.#leaves !== null) this.#grow(LEAF_PAGES)
  }

  get addressBits(): 32 | 64 {
    return this.#geometry.addressBits
  }

  /** Bytes of the shadow and of what is to be sent. */
  get byteLength(): number {
    return this.#shadow.byteLength + this.#changed.byteLength
  }

  /** Entries that the table must have: with the last one (0), or with slot 0. */
  get entries(): number {
    return this.#leaves === null ? this.#highest + 2 : this.#leaves.slots * LEAF_PAGES
  }

  /** Words that follow so many entries in the buffer. */
  directoryWords(entries: number): number {
    return this.#leaves === null ? 0 : directoryBuckets(entries / LEAF_PAGES) * BUCKET_WORDS
  }

  /** Among the entries that there are. */
  get incomplete(): number {
    return this.#incomplete
  }

  /** Those of them that lack nothing but the right to store: read-only copies of pages that may be stored to. */
  get copies(): number {
    return this.#copies
  }

  /** Moves with every leaf that comes or goes. */
  get leafVersion(): number {
    return this.#leaves?.version ?? 0
  }

  /** Where the page's entry is in the table, and its bits in every per-page array that a kernel sees: until the next pass. */
  indexOf(vpn: Vpn): number {
    return this.#leaves === null ? tableIndex(vpn, this.#geometry) : this.#leaves.indexOf(vpn)
  }

  vpnOf(index: number): Vpn {
    return this.#leaves === null ? vpnOfIndex(index, this.#geometry) : this.#leaves.vpnOf(index)
  }

  /** True when the page has an entry, be it 0. */
  covers(vpn: Vpn): boolean {
    return this.#leaves === null || this.#leaves.has(vpn)
  }

  /** The parts of a range that have entries. */
  parts(range: VpnRange): readonly VpnRange[] {
    return this.#leaves === null ? [range] : this.#leaves.parts(range)
  }

  /** Gives the leaf of a page its entries, all 0. */
  cover(vpn: Vpn): void {
    if (this.#leaves === null || !this.#leaves.add(vpn)) return
    const last = this.#leaves.slots * LEAF_PAGES - 1
    if (last >= this.#shadow.length - 1) this.#grow(last)
    this.#fresh.add(vpn - (vpn % LEAF_PAGES))
  }

  get(vpn: Vpn): number {
    return this.at(this.indexOf(vpn))
  }

  /** The entry with this index; beyond what there is, 0. */
  at(index: number): number {
    return index < this.#shadow.length ? (this.#shadow[index] as number) : 0
  }

  follow(table: PassTable): void {
    this.#followers.push(table)
  }

  unfollow(table: PassTable): void {
    const place = this.#followers.indexOf(table)
    if (place >= 0) this.#followers.splice(place, 1)
  }

  /** Sets one entry; true when it changed. */
  set(vpn: Vpn, pte: number): boolean {
    const index = this.indexOf(vpn)
    if (this.#leaves !== null && index < LEAF_PAGES) {
      if ((pte & PTE_RIGHTS) !== 0) assert(false, `page ${vpn} is covered when it gets an entry with rights`)
      return false
    }
    if (index >= this.#shadow.length - 1) {
      if (pte === 0) return false
      this.#grow(index)
    }
    const old = this.#shadow[index] as number
    if (old === pte) return false
    if ((old & PTE_RIGHTS) !== 0 && ((pte & PTE_RIGHTS) === 0 || (old & ~PTE_FLAGS_MASK) !== (pte & ~PTE_FLAGS_MASK))) this.mappingsLost++
    this.#incomplete += Number(isIncomplete(pte)) - Number(isIncomplete(old))
    this.#copies += Number(isCopy(pte)) - Number(isCopy(old))
    this.#shadow[index] = pte
    setBit(this.#changed, index)
    for (const table of this.#followers) table.changed(index, pte)
    if (pte !== 0 && index > this.#highest) this.#highest = index
    if (this.#leaves === null) this.#shorten(pte)
    else if (old === 0 || pte === 0) this.#leaves.fill(index, pte === 0 ? -1 : 1)
    this.written++
    return true
  }

  /** The slots of leaves without entries may go to others. Call it when no pass runs. */
  collect(): void {
    this.#leaves?.collect()
  }

  /** Gives up the entries of leaves in which nothing is here: a cache. Leaves that no pass has seen stay. True when there is less than before. */
  shed(): boolean {
    if (this.#leaves === null) return false
    const before = this.entries
    const leaves = this.#leaves
    const moved = leaves.compact((slot) => this.#fresh.has(leaves.vpnOf(slot * LEAF_PAGES)) || this.#hasRights(slot))
    const shadow = new Uint32Array(this.#shadow.length)
    moved.forEach((old, slot) => {
      shadow.set(this.#shadow.subarray(old * LEAF_PAGES, (old + 1) * LEAF_PAGES), slot * LEAF_PAGES)
    })
    this.#shadow = shadow
    this.#incomplete = shadow.reduce((count, pte) => count + Number(isIncomplete(pte)), 0)
    this.#copies = shadow.reduce((count, pte) => count + Number(isCopy(pte)), 0)
    return this.entries < before
  }

  /** Sends the changed entries. The work submitted next sees them. Compare nvkm_vmm_flush(). @param entries that the buffer has */
  flush(table: DeviceBuffer, entries: number): void {
    this.#fresh.clear()
    this.#sentVersion = this.#sendDirectory(table, entries, this.#sentVersion)
    sendChanged(this.device, table, this.#shadow, this.#changed, entries)
  }

  /** Sends the leaves that the table of passes that may fault does not know yet; the entries go with the grants. */
  flushLeaves(table: PassTable, entries: number): void {
    this.#fresh.clear()
    table.directoryVersion = this.#sendDirectory(table.buffer, entries, table.directoryVersion)
  }

  /** Sends everything, to a table that is new. */
  flushAll(table: DeviceBuffer, entries: number): void {
    assert(entries >= this.entries, 'the table buffer is as long as the table')
    this.#fresh.clear()
    this.device.write(table, 0, bytesOf(this.#shadow, 0, Math.min(entries, this.#shadow.length)))
    this.#changed.fill(0)
    this.#sentVersion = this.#sendDirectory(table, entries, -1)
  }

  /** A copy of the table, as the buffer has it, in which only the pages that `keeps` admits are mapped: an enforced `reach`. */
  masked(entries: number, keeps: (vpn: Vpn) => boolean): { table: Uint32Array; incomplete: number } {
    const table = new Uint32Array(entries + this.directoryWords(entries))
    let incomplete = 0
    for (let index = 0; index < Math.min(entries, this.#shadow.length); index++) {
      const pte = this.#shadow[index] as number
      if (pte === 0 || !keeps(this.vpnOf(index))) continue
      table[index] = pte
      if (isIncomplete(pte)) incomplete++
    }
    if (this.#leaves !== null) table.set(this.#leaves.directory(entries / LEAF_PAGES), entries)
    return { table, incomplete }
  }

  /** @returns the version that the buffer has now */
  #sendDirectory(table: DeviceBuffer, entries: number, sent: number): number {
    if (this.#leaves === null || sent === this.#leaves.version) return sent
    const words = this.#leaves.directory(entries / LEAF_PAGES)
    this.device.write(table, entries * 4, bytesOf(words, 0, words.length))
    return this.#leaves.version
  }

  #hasRights(slot: number): boolean {
    return this.#shadow.subarray(slot * LEAF_PAGES, (slot + 1) * LEAF_PAGES).some((pte) => (pte & PTE_RIGHTS) !== 0)
  }

  /** The table is as long as what is mapped now, not as what ever was. */
  #shorten(pte: number): void {
    if (pte === 0) while (this.#highest > 0 && this.#shadow[this.#highest] === 0) this.#highest--
  }

  #grow(index: number): void {
    // By a quarter: the shadow is a few bytes a page, also while it grows.
    const length = Math.max(index + 2, Math.ceil(this.#shadow.length * 1.25))
    const shadow = new Uint32Array(length)
    shadow.set(this.#shadow)
    const changed = new Uint32Array(Math.ceil(length / 32))
    changed.set(this.#changed)
    this.#shadow = shadow
    this.#changed = changed
  }
}

/** Sends the words that changed, of those that the buffer has, and forgets that they did. */
export function sendChanged(device: Device, buffer: DeviceBuffer, words: Uint32Array, changed: Uint32Array, length: number): void {
  let start = -1
  let end = -1
  const send = () => {
    if (start < length) device.write(buffer, start * 4, bytesOf(words, start, Math.min(end, length)))
  }
  for (let w = 0; w < changed.length; w++) {
    const word = changed[w] as number
    if (word === 0) continue
    const low = w * 32 + (31 - Math.clz32(word & -word))
    const high = w * 32 + 32 - Math.clz32(word)
    if (start >= 0 && low - end > GAP) send()
    if (start < 0 || low - end > GAP) start = low
    end = high
  }
  if (start < 0) return
  send()
  changed.fill(0)
}

function isIncomplete(pte: number): boolean {
  return ((pte & PTE.mayLoad) !== 0 && (pte & PTE.load) === 0) || ((pte & PTE.mayStore) !== 0 && (pte & PTE.store) === 0)
}

function isCopy(pte: number): boolean {
  return (pte & (PTE.mayStore | PTE.load | PTE.store)) === (PTE.mayStore | PTE.load)
}

function bytesOf(words: Uint32Array, start: number, end: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + start * 4, (end - start) * 4)
}
