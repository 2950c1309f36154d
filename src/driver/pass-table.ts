// The table of passes that may fault: what holds in them, one word a page. Where there is a grant it is the whole entry; elsewhere the page table's
// entry, for loads only. In a chain also the one of links that reach less than all (an enforced `reach`): what lies outside of it has the entry 0.
//
// Always: after `send` the buffer says just that, and nothing else was sent than what differs; a kernel reads one word and asks nothing more. In a 32-bit
// space the last entry stays 0, in a 64-bit space the directory is the one that was sent last (abi/leaf), so that pages which came later are not reached.

import { PTE } from '../abi/pte.ts'
import { setBit } from '../base/bitmap.ts'
import { areSameRanges, isWithin, type VpnRange } from '../base/units.ts'
import type { DeviceBuffer } from '../device/device.ts'
import { type DeviceVmm, sendChanged } from './vmm.ts'

export const NOT_WITHOUT_GRANT = ~(PTE.store | PTE.exclusive)

/** Grants by table index: whole entries. */
export type GrantWords = ReadonlyMap<number, number>

/** What a table says where there is no grant. */
export interface TableBase {
  /** Of these pages alone; null: of all. */
  readonly reach: readonly VpnRange[] | null
  /** What is left of an entry of the page table. */
  readonly keeps: number
}

export class PassTable {
  readonly buffer: DeviceBuffer
  /** What the directory in the buffer was made of. */
  directoryVersion = -1
  readonly #vmm: DeviceVmm
  readonly #words: Uint32Array
  readonly #changed: Uint32Array
  readonly #granted = new Set<number>()
  #base: TableBase = { reach: null, keeps: NOT_WITHOUT_GRANT }
  /** Entries that may be other than 0. */
  readonly #end: number

  /** @param entries that the buffer has, besides the directory */
  constructor(vmm: DeviceVmm, buffer: DeviceBuffer, entries: number) {
    this.buffer = buffer
    this.#vmm = vmm
    this.#words = new Uint32Array(entries)
    this.#changed = new Uint32Array(Math.ceil(entries / 32)).fill(0xffffffff)
    this.#end = vmm.addressBits === 64 ? entries : entries - 1
    for (let index = 0; index < this.#end; index++) this.#words[index] = this.#plain(index, vmm.at(index))
    vmm.follow(this)
  }

  destroy(): void {
    this.#vmm.unfollow(this)
    this.buffer.destroy()
  }

  /** An entry of the page table is another one now. */
  changed(index: number, pte: number): void {
    if (index >= this.#end) return
    this.#words[index] = this.#plain(index, pte)
    setBit(this.#changed, index)
  }

  /** From now on it says this, and has no grants. */
  rebase(base: TableBase): void {
    if (base.keeps === this.#base.keeps && areSameRanges(base.reach, this.#base.reach)) return
    this.#base = base
    this.#granted.clear()
    for (let index = 0; index < this.#end; index++) {
      const word = this.#plain(index, this.#vmm.at(index))
      if (word === this.#words[index]) continue
      this.#words[index] = word
      setBit(this.#changed, index)
    }
  }

  /** The work submitted next finds these grants, and the page table as it is now. */
  send(grants: GrantWords): void {
    for (const index of this.#granted) {
      if (grants.has(index)) continue
      this.#granted.delete(index)
      this.changed(index, this.#vmm.at(index))
    }
    for (const [index, word] of grants) {
      if (this.#words[index] === word || index >= this.#end) continue
      this.#words[index] = word
      this.#granted.add(index)
      setBit(this.#changed, index)
    }
    sendChanged(this.#vmm.device, this.buffer, this.#words, this.#changed, this.#words.length)
  }

  #plain(index: number, pte: number): number {
    if (pte === 0) return 0
    const { reach, keeps } = this.#base
    return reach === null || isWithin(reach, this.#vmm.vpnOf(index)) ? (pte & keeps) >>> 0 : 0
  }
}
