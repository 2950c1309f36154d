// The address space: which pages are mapped, and by what. Always: VMAs are ordered and never overlap; the page at address 0 and the topmost
// page are never mapped (null, and where arithmetic that leaves the space ends up); memory is placed from the top down.

import type { Geometry } from '../abi/geometry.ts'
import { assert } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import { type Address, type Bytes, hex, printBytes, roundUp, type Vpn, type VpnRange } from '../base/units.ts'
import type { Allocation, Vma } from './vma.ts'

export class AddressSpace {
  readonly geometry: Geometry
  /** Ordered by address. */
  readonly #vmas: Vma[] = []
  readonly #allocations = new Map<Address, Allocation>()

  constructor(geometry: Geometry) {
    this.geometry = geometry
  }

  get vmas(): readonly Vma[] {
    return this.#vmas
  }

  get allocations(): Iterable<Allocation> {
    return this.#allocations.values()
  }

  allocation(pointer: Address): Allocation | undefined {
    return this.#allocations.get(pointer)
  }

  /** The VMA that holds `vpn`. Compare vma_lookup(). */
  find(vpn: Vpn): Vma | undefined {
    const at = this.#firstEndingAfter(vpn)
    const vma = this.#vmas[at]
    return vma !== undefined && vma.start <= vpn ? vma : undefined
  }

  /** The VMAs that overlap `range`, each cut to it. Compare find_vma_intersection(). */
  *pieces(range: VpnRange): Generator<{ vma: Vma; start: Vpn; end: Vpn }> {
    for (let at = this.#firstEndingAfter(range.start); at < this.#vmas.length; at++) {
      const vma = this.#vmas[at] as Vma
      if (vma.start >= range.end) return
      yield { vma, start: Math.max(vma.start, range.start), end: Math.min(vma.end, range.end) }
    }
  }

  /** True when every page of `range` is mapped. */
  covers(range: VpnRange): boolean {
    let next = range.start
    for (const piece of this.pieces(range)) {
      if (piece.start !== next) return false
      next = piece.end
    }
    return next >= range.end
  }

  /** Topmost free pages, aligned in bytes. @throws SvmError host-memory when the space is full. Compare vm_unmapped_area(). */
  findHole(pages: number, alignment: Bytes): Vpn {
    const step = Math.max(1, alignment / this.geometry.pageBytes)
    let ceiling = this.geometry.spacePages - 1
    for (let at = this.#vmas.length - 1; at >= -1; at--) {
      const floor = at >= 0 ? (this.#vmas[at] as Vma).end : 1
      const start = Math.floor((ceiling - pages) / step) * step
      if (start >= floor) return start
      if (at >= 0) ceiling = (this.#vmas[at] as Vma).start
    }
    const wanted = printBytes(pages * this.geometry.pageBytes)
    throw new SvmError('host-memory', `No hole of ${wanted} is left in this ${this.geometry.addressBits}-bit address space. Free or unmap something.`)
  }

  /** Adds a mapping. Compare vma_link(). */
  insert(vma: Vma): void {
    assert(vma.start >= 1 && vma.end > vma.start && vma.end < this.geometry.spacePages, 'a mapping is not empty and lies within the space')
    const at = this.#firstEndingAfter(vma.start)
    const next = this.#vmas[at]
    assert(next === undefined || next.start >= vma.end, 'mappings do not overlap')
    this.#vmas.splice(at, 0, vma)
    this.#allocations.set(vma.allocation.pointer, vma.allocation)
  }

  /** Takes `range` out, cutting the VMAs at its ends; returns what was removed. Compare do_vmi_munmap(). */
  remove(range: VpnRange): Vma[] {
    const removed: Vma[] = []
    for (const piece of [...this.pieces(range)]) {
      const at = this.#vmas.indexOf(piece.vma)
      const left = piece.vma.start < piece.start ? [this.#cut(piece.vma, piece.vma.start, piece.start)] : []
      const right = piece.end < piece.vma.end ? [this.#cut(piece.vma, piece.end, piece.vma.end)] : []
      this.#vmas.splice(at, 1, ...left, ...right)
      removed.push(this.#cut(piece.vma, piece.start, piece.end))
      this.#forgetIfGone(piece.vma.allocation)
    }
    return removed
  }

  /** The allocation that holds `pointer`, for messages and whole-allocation ranges. */
  allocationAt(pointer: Address): Allocation | undefined {
    return this.find(Math.floor(pointer / this.geometry.pageBytes))?.allocation
  }

  /** `the mapping 'a' at 0x10000 (4 KiB), which ends 12 bytes below it`: for bad accesses. */
  describeNearest(pointer: Address): string {
    let best: { distance: number; text: string } | null = null
    for (const { pointer: start, byteLength, label } of this.#allocations.values()) {
      const end = start + byteLength
      const distance = pointer < start ? start - pointer : pointer >= end ? pointer - end : 0
      if (best !== null && best.distance <= distance) continue
      const where =
        distance === 0 && pointer < end
          ? 'which holds it'
          : pointer < start
            ? `which starts ${distance} bytes above it`
            : `which ends ${distance} bytes below it`
      best = { distance, text: `${label} at ${hex(start)} (${printBytes(byteLength)}), ${where}` }
    }
    return best === null ? 'nothing is mapped' : `the nearest mapping is ${best.text}`
  }

  /** One line a mapping, like /proc/maps. */
  dump(): string {
    const { pageBytes } = this.geometry
    return this.#vmas
      .map((v) => `${hex(v.start * pageBytes)}-${hex(v.end * pageBytes)} r${v.deviceWrites ? 'w' : '-'} ${v.backing.kind} ${v.allocation.label}`)
      .join('\n')
  }

  /** Whole pages that hold `byteLength` bytes. */
  pagesFor(byteLength: Bytes): number {
    return roundUp(byteLength, this.geometry.pageBytes) / this.geometry.pageBytes
  }

  #cut(vma: Vma, start: Vpn, end: Vpn): Vma {
    const { backing } = vma
    if (backing.kind === 'anonymous') return { ...vma, start, end }
    const fileOffset = backing.fileOffset + (start - vma.start) * this.geometry.pageBytes
    return { ...vma, start, end, backing: { ...backing, fileOffset } }
  }

  #forgetIfGone(allocation: Allocation): void {
    if (!this.#vmas.some((vma) => vma.allocation === allocation)) this.#allocations.delete(allocation.pointer)
  }

  /** Index of the first VMA with end > vpn. */
  #firstEndingAfter(vpn: Vpn): number {
    let low = 0
    let high = this.#vmas.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#vmas[middle] as Vma).end > vpn) high = middle
      else low = middle + 1
    }
    return low
  }
}
