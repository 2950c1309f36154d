// The address space: which pages are mapped, and by what. Always: VMAs are ordered and never overlap; the page at address 0 and the topmost
// page are never mapped (null, and where arithmetic that leaves the space ends up); memory is placed from the top down. Neighbours of one
// allocation with equal properties are one VMA. Compare mm/vma.c.

import type { Geometry } from '../abi/geometry.ts'
import { assert } from '../base/assert.ts'
import { type Address, type Bytes, firstEndingAfter, hex, printBytes, type Vpn, type VpnRange } from '../base/units.ts'
import { type Access, type Allocation, isSameAdvice, type Vma, type VmaAdvice } from './vma.ts'

export class AddressSpace {
  readonly geometry: Geometry
  /** Ordered by address. */
  readonly #vmas: Vma[] = []
  /** Pages that are left of each allocation; never 0. */
  readonly #left = new Map<Allocation, number>()

  constructor(geometry: Geometry) {
    this.geometry = geometry
  }

  get vmas(): readonly Vma[] {
    return this.#vmas
  }

  get allocations(): Iterable<Allocation> {
    return this.#left.keys()
  }

  /** Pages that are left of an allocation. */
  pagesLeft(allocation: Allocation): number {
    return this.#left.get(allocation) ?? 0
  }

  /** The allocation that starts at `pointer`, if that page is left of it: another may have taken the place of an unmapped head. */
  allocation(pointer: Address): Allocation | undefined {
    const found = this.allocationAt(pointer)
    return found?.pointer === pointer ? found : undefined
  }

  /** The VMA that holds `vpn`. Compare vma_lookup(). */
  find(vpn: Vpn): Vma | undefined {
    const at = firstEndingAfter(this.#vmas, vpn)
    const vma = this.#vmas[at]
    return vma !== undefined && vma.start <= vpn ? vma : undefined
  }

  /** The VMA that holds all of `range`; undefined: there is none. */
  findWhole({ start, end }: VpnRange): Vma | undefined {
    const vma = this.find(start)
    return vma !== undefined && end <= vma.end ? vma : undefined
  }

  /** The VMAs that overlap `range`, each cut to it. Compare find_vma_intersection(). */
  *pieces(range: VpnRange): Generator<{ vma: Vma; start: Vpn; end: Vpn }> {
    for (let at = firstEndingAfter(this.#vmas, range.start); at < this.#vmas.length; at++) {
      const vma = this.#vmas[at] as Vma
      if (vma.start >= range.end) return
      yield { vma, start: Math.max(vma.start, range.start), end: Math.min(vma.end, range.end) }
    }
  }

  /** What is left of an allocation within `range`, as runs of adjacent pages. */
  runs(allocation: Allocation, range: VpnRange): VpnRange[] {
    if (this.findWhole(range)?.allocation === allocation) return [range]
    const runs: { start: Vpn; end: Vpn }[] = []
    for (const { vma, start, end } of this.pieces(range)) {
      if (vma.allocation !== allocation) continue
      const last = runs[runs.length - 1]
      if (last !== undefined && last.end === start) last.end = end
      else runs.push({ start, end })
    }
    return runs
  }

  /** Topmost free pages, aligned in bytes; null when no hole is left. Compare vm_unmapped_area(). */
  findHole(pages: number, alignment: Bytes): Vpn | null {
    const step = Math.max(1, alignment / this.geometry.pageBytes)
    let ceiling = this.geometry.spacePages - 1
    for (let at = this.#vmas.length - 1; at >= -1; at--) {
      const floor = at >= 0 ? (this.#vmas[at] as Vma).end : 1
      const start = Math.floor((ceiling - pages) / step) * step
      if (start >= floor) return start
      if (at >= 0) ceiling = (this.#vmas[at] as Vma).start
    }
    return null
  }

  /** Adds a mapping. Compare vma_link(). */
  insert(vma: Vma): void {
    assert(vma.start >= 1 && vma.end > vma.start && vma.end < this.geometry.spacePages, 'a mapping is not empty and lies within the space')
    const at = firstEndingAfter(this.#vmas, vma.start)
    const next = this.#vmas[at]
    assert(next === undefined || next.start >= vma.end, 'mappings do not overlap')
    this.#vmas.splice(at, 0, vma)
    this.#left.set(vma.allocation, this.pagesLeft(vma.allocation) + vma.end - vma.start)
    this.#merge(at - 1, at + 1)
  }

  /** Takes `range` out, cutting the VMAs at its ends. Compare do_vmi_munmap(). */
  remove(range: VpnRange): void {
    this.#edit(range, (vma) => {
      const left = this.pagesLeft(vma.allocation) - (vma.end - vma.start)
      if (left === 0) this.#left.delete(vma.allocation)
      else this.#left.set(vma.allocation, left)
      return null
    })
  }

  /** Gives `range` a protection, cutting and joining VMAs. Compare mprotect_fixup(). */
  protect(range: VpnRange, access: Access): void {
    for (const { vma, start, end } of [...this.pieces(range)]) {
      if (vma.access !== access) this.#edit({ start, end }, (piece) => ({ ...piece, access }))
    }
  }

  /** Gives `range` advice, cutting and joining VMAs; what `change` leaves out stays as it was. Compare madvise_vma_behavior(). */
  advise(range: VpnRange, change: Partial<VmaAdvice>): void {
    for (const { vma, start, end } of [...this.pieces(range)]) {
      const advice = { ...vma.advice, ...change }
      if (!isSameAdvice(vma.advice, advice)) this.#edit({ start, end }, (piece) => ({ ...piece, advice }))
    }
  }

  /** The allocation that holds `pointer`, for messages and whole-allocation ranges. */
  allocationAt(pointer: Address): Allocation | undefined {
    return this.find(Math.floor(pointer / this.geometry.pageBytes))?.allocation
  }

  /** `the mapping 'a' at 0x10000 (4 KiB), which ends 12 bytes below it`: for bad accesses. */
  describeNearest(pointer: Address): string {
    const { pageBytes } = this.geometry
    let best: { distance: number; text: string } | null = null
    for (const vma of this.#vmas) {
      const { allocation } = vma
      const start = Math.max(vma.start * pageBytes, allocation.pointer)
      const end = Math.min(vma.end * pageBytes, allocation.pointer + allocation.byteLength)
      const distance = pointer < start ? start - pointer : pointer >= end ? pointer - end : 0
      if (best !== null && best.distance <= distance) continue
      const where =
        distance === 0 && pointer < end
          ? 'which holds it'
          : pointer < start
            ? `which starts ${distance} bytes above it`
            : `which ends ${distance} bytes below it`
      best = { distance, text: `${allocation.label} at ${hex(start)} (${printBytes(end - start)}), ${where}` }
    }
    return best === null ? 'nothing is mapped' : `the nearest mapping is ${best.text}`
  }

  /** One line a mapping, like /proc/maps. */
  dump(): string {
    const { pageBytes } = this.geometry
    return this.#vmas.map((v) => `${hex(v.start * pageBytes)}-${hex(v.end * pageBytes)} ${v.access} ${v.backing.kind} ${v.allocation.label}`).join('\n')
  }

  #cut(vma: Vma, start: Vpn, end: Vpn): Vma {
    const { backing } = vma
    if (start === vma.start && end === vma.end) return vma
    if (backing.kind === 'anonymous') return { ...vma, start, end }
    const fileOffset = backing.fileOffset + (start - vma.start) * this.geometry.pageBytes
    return { ...vma, start, end, backing: { ...backing, fileOffset } }
  }

  /** Puts what `change` makes of each piece of `range` in its place; null takes it out. */
  #edit(range: VpnRange, change: (piece: Vma) => Vma | null): void {
    const first = firstEndingAfter(this.#vmas, range.start)
    const made: Vma[] = []
    let last = first
    for (; last < this.#vmas.length && (this.#vmas[last] as Vma).start < range.end; last++) {
      const vma = this.#vmas[last] as Vma
      const start = Math.max(vma.start, range.start)
      const end = Math.min(vma.end, range.end)
      if (vma.start < start) made.push(this.#cut(vma, vma.start, start))
      const changed = change(this.#cut(vma, start, end))
      if (changed !== null) made.push(changed)
      if (end < vma.end) made.push(this.#cut(vma, end, vma.end))
    }
    this.#vmas.splice(first, last - first, ...made)
    this.#merge(first - 1, first + made.length)
  }

  /** Joins neighbours from index `first` to `last`, where they may be one. Compare vma_merge(). */
  #merge(first: number, last: number): void {
    let end = Math.min(last, this.#vmas.length - 1)
    for (let at = Math.max(0, first); at < end; ) {
      const low = this.#vmas[at] as Vma
      const high = this.#vmas[at + 1] as Vma
      if (this.#isOne(low, high)) {
        this.#vmas.splice(at, 2, { ...low, end: high.end })
        end--
      } else at++
    }
  }

  #isOne(low: Vma, high: Vma): boolean {
    if (low.end !== high.start || low.allocation !== high.allocation || low.access !== high.access) return false
    if (!isSameAdvice(low.advice, high.advice)) return false
    if (low.backing.kind === 'anonymous' || high.backing.kind === 'anonymous') return true
    return low.backing.fileOffset + (low.end - low.start) * this.geometry.pageBytes === high.backing.fileOffset
  }
}
