// The device's page table: a shadow here, a buffer there. Compare nvkm_vmm. Only this file writes entries.
//
// Always: after `flush` the buffer equals the shadow; the last entry is 0 (addresses outside of what is mapped fall on it); `incomplete` is
// the number of entries that may get a right which they do not have: while it is 0 no fault is possible.

import { type Geometry, tableIndex, vpnOfIndex } from '../abi/geometry.ts'
import { PTE, PTE_FLAGS_MASK, PTE_RIGHTS } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { anyBit, setBit } from '../base/bitmap.ts'
import type { Vpn } from '../base/units.ts'
import type { Device, DeviceBuffer } from '../device/device.ts'

/** Unchanged entries between two changed ones that are cheaper to write than to leave out. */
const GAP = 64

export class DeviceVmm {
  readonly #geometry: Geometry
  readonly #device: Device
  #shadow = new Uint32Array(2)
  #changed = new Uint32Array(1)
  #incomplete = 0
  #highest = 0
  /** Entries written since the start. */
  written = 0
  /** Entries that lost their frame, or all rights to it. */
  mappingsLost = 0

  constructor(device: Device, geometry: Geometry) {
    this.#device = device
    this.#geometry = geometry
  }

  /** Entries that the table must have, the last one (0) included. */
  get entries(): number {
    return this.#highest + 2
  }

  get addressBits(): 32 | 64 {
    return this.#geometry.addressBits
  }

  /** Bytes of the shadow and of what is to be sent. */
  get byteLength(): number {
    return this.#shadow.byteLength + this.#changed.byteLength
  }

  get incomplete(): number {
    return this.#incomplete
  }

  /** Where the page's entry is in the table, and its bits in every per-page array that a kernel sees. */
  indexOf(vpn: Vpn): number {
    return tableIndex(vpn, this.#geometry)
  }

  vpnOf(index: number): Vpn {
    return vpnOfIndex(index, this.#geometry)
  }

  get(vpn: Vpn): number {
    const index = this.indexOf(vpn)
    return index < this.#shadow.length ? (this.#shadow[index] as number) : 0
  }

  /** Sets one entry; true when it changed. */
  set(vpn: Vpn, pte: number): boolean {
    const index = this.indexOf(vpn)
    if (index >= this.#shadow.length - 1) {
      if (pte === 0) return false
      this.#grow(index)
    }
    const old = this.#shadow[index] as number
    if (old === pte) return false
    if ((old & PTE_RIGHTS) !== 0 && ((pte & PTE_RIGHTS) === 0 || (old & ~PTE_FLAGS_MASK) !== (pte & ~PTE_FLAGS_MASK))) this.mappingsLost++
    this.#incomplete += Number(isIncomplete(pte)) - Number(isIncomplete(old))
    this.#shadow[index] = pte
    setBit(this.#changed, index)
    if (pte !== 0 && index > this.#highest) this.#highest = index
    // The table is as long as what is mapped now, not as what ever was.
    if (pte === 0) while (this.#highest > 0 && this.#shadow[this.#highest] === 0) this.#highest--
    this.written++
    return true
  }

  /** Sends the changed entries. The work submitted next sees them. Compare nvkm_vmm_flush(). */
  flush(table: DeviceBuffer): void {
    if (!anyBit(this.#changed)) return
    const limit = table.byteLength / 4
    let start = -1
    let end = -1
    const send = () => {
      if (start >= 0 && start < limit) this.#device.write(table, start * 4, bytesOf(this.#shadow, start, Math.min(end, limit)))
    }
    for (let w = 0; w < this.#changed.length; w++) {
      const word = this.#changed[w] as number
      if (word === 0) continue
      const low = w * 32 + (31 - Math.clz32(word & -word))
      const high = w * 32 + 32 - Math.clz32(word)
      if (start < 0 || low - end > GAP) {
        send()
        start = low
      }
      end = high
    }
    send()
    this.#changed.fill(0)
  }

  /** Sends everything, to a table that is new. */
  flushAll(table: DeviceBuffer): void {
    const limit = table.byteLength / 4
    assert(limit >= this.entries, 'the table buffer is as long as the table')
    this.#device.write(table, 0, bytesOf(this.#shadow, 0, Math.min(limit, this.#shadow.length)))
    this.#changed.fill(0)
  }

  /** A copy of the table in which only the pages that `keeps` admits are mapped: an enforced `reach`. */
  masked(entries: number, keeps: (vpn: Vpn) => boolean): { table: Uint32Array; incomplete: number } {
    const table = new Uint32Array(entries)
    let incomplete = 0
    for (let index = 0; index < Math.min(entries, this.#shadow.length); index++) {
      const pte = this.#shadow[index] as number
      if (pte === 0 || !keeps(this.vpnOf(index))) continue
      table[index] = pte
      if (isIncomplete(pte)) incomplete++
    }
    return { table, incomplete }
  }

  #grow(index: number): void {
    let length = this.#shadow.length
    while (length < index + 2) length *= 2
    const shadow = new Uint32Array(length)
    shadow.set(this.#shadow)
    const changed = new Uint32Array(Math.ceil(length / 32))
    changed.set(this.#changed)
    this.#shadow = shadow
    this.#changed = changed
  }
}

function isIncomplete(pte: number): boolean {
  return ((pte & PTE.mayLoad) !== 0 && (pte & PTE.load) === 0) || ((pte & PTE.mayStore) !== 0 && (pte & PTE.store) === 0)
}

function bytesOf(words: Uint32Array, start: number, end: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + start * 4, (end - start) * 4)
}
