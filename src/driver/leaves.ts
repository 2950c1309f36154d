// Which leaves of a 64-bit space have a slot in a device's table (abi/leaf). Always: slot 0 is nobody's; a leaf has at most one slot; the slots of
// leaves that went are given to others only by `collect`, which is called when no pass runs. Compare the page directories of nvkm_vmm.

import { BUCKET_WORDS, directoryBuckets, firstPageOfLeaf, LEAF_PAGES, leafHash, leafKey } from '../abi/leaf.ts'
import type { Vpn, VpnRange } from '../base/units.ts'

export class Leaves {
  readonly #slots = new Map<number, number>()
  /** Keys by slot; 0: free. */
  readonly #keys: number[] = [0]
  /** Entries that are not 0, by slot. */
  readonly #filled: number[] = [0]
  readonly #free: number[] = []
  readonly #emptied = new Set<number>()
  #lastKey = 0
  #lastBase = 0
  /** Moves with every leaf that comes or goes. */
  version = 0

  /** Slots that the table must have. */
  get slots(): number {
    return this.#keys.length
  }

  get count(): number {
    return this.#slots.size
  }

  has(vpn: Vpn): boolean {
    return this.#base(leafKey(vpn)) !== 0
  }

  /** Pages without a slot have their index in slot 0. */
  indexOf(vpn: Vpn): number {
    return this.#base(leafKey(vpn)) + (vpn % LEAF_PAGES)
  }

  vpnOf(index: number): Vpn {
    return firstPageOfLeaf(this.#keys[Math.floor(index / LEAF_PAGES)] as number) + (index % LEAF_PAGES)
  }

  /** Gives the leaf that holds the page a slot; false when it has one. */
  add(vpn: Vpn): boolean {
    const key = leafKey(vpn)
    if (this.#slots.has(key)) return false
    const slot = this.#free.pop() ?? this.#keys.length
    this.#slots.set(key, slot)
    this.#keys[slot] = key
    this.#filled[slot] = 0
    this.#touch()
    return true
  }

  /** An entry of the slot became (1) or ceased to be (-1) something. */
  fill(index: number, change: 1 | -1): void {
    const slot = Math.floor(index / LEAF_PAGES)
    const filled = (this.#filled[slot] as number) + change
    this.#filled[slot] = filled
    if (filled === 0) this.#emptied.add(slot)
  }

  /** Frees the slots of leaves of which every entry is 0. */
  collect(): void {
    for (const slot of this.#emptied) {
      const key = this.#keys[slot] as number
      if (key === 0 || this.#filled[slot] !== 0) continue
      this.#slots.delete(key)
      this.#keys[slot] = 0
      this.#free.push(slot)
      this.#touch()
    }
    this.#emptied.clear()
  }

  /** Keeps only some leaves and numbers their slots anew. Returns where each kept leaf lay: old slots by new slot. */
  compact(keeps: (slot: number) => boolean): number[] {
    const moved = [0]
    for (let slot = 1; slot < this.#keys.length; slot++) if (this.#keys[slot] !== 0 && keeps(slot)) moved.push(slot)
    const keys = moved.map((slot) => this.#keys[slot] as number)
    const filled = moved.map((slot) => this.#filled[slot] as number)
    this.#keys.splice(0, this.#keys.length, ...keys)
    this.#filled.splice(0, this.#filled.length, ...filled)
    this.#free.length = 0
    this.#emptied.clear()
    this.#slots.clear()
    keys.forEach((key, slot) => {
      if (slot > 0) this.#slots.set(key, slot)
    })
    this.#touch()
    return moved
  }

  /** The parts of a range that have slots, leaf by leaf. */
  parts({ start, end }: VpnRange): VpnRange[] {
    const parts: VpnRange[] = []
    const take = (key: number) => {
      const first = firstPageOfLeaf(key)
      const part = { start: Math.max(start, first), end: Math.min(end, first + LEAF_PAGES) }
      if (part.start < part.end) parts.push(part)
    }
    if (end <= start) return parts
    const low = leafKey(start)
    const high = leafKey(end - 1)
    if (high - low > this.count) for (const key of this.#slots.keys()) take(key)
    else for (let key = low; key <= high; key++) if (this.#slots.has(key)) take(key)
    return parts
  }

  /** The directory for a table with so many slots. */
  directory(slots: number): Uint32Array {
    const buckets = directoryBuckets(slots)
    const words = new Uint32Array(buckets * BUCKET_WORDS)
    for (const [key, slot] of this.#slots) {
      let bucket = leafHash(key) & (buckets - 1)
      while (words[bucket * BUCKET_WORDS] !== 0) bucket = (bucket + 1) & (buckets - 1)
      words[bucket * BUCKET_WORDS] = key
      words[bucket * BUCKET_WORDS + 1] = slot * LEAF_PAGES
    }
    return words
  }

  #base(key: number): number {
    if (key !== this.#lastKey) {
      this.#lastKey = key
      this.#lastBase = (this.#slots.get(key) ?? 0) * LEAF_PAGES
    }
    return this.#lastBase
  }

  #touch(): void {
    this.version++
    this.#lastKey = 0
    this.#lastBase = 0
  }
}
