// The table of passes that may fault: what holds in them, one word a page. Where there is a grant it is the whole entry; elsewhere the page table's
// entry, for loads only.
//
// Always: after `send` the buffer says just that, and nothing else was sent than what differs; a kernel reads one word and asks nothing more. In a 32-bit
// space the last entry stays 0, in a 64-bit space the directory is the one that was sent last (abi/leaf), so that pages which came later are not reached.

import { PTE } from '../abi/pte.ts'
import { setBit } from '../base/bitmap.ts'
import type { DeviceBuffer } from '../device/device.ts'
import { type DeviceVmm, sendChanged } from './vmm.ts'

export const NOT_WITHOUT_GRANT = ~(PTE.store | PTE.exclusive)

/** Grants by table index: whole entries. */
export type GrantWords = ReadonlyMap<number, number>

export class PassTable {
  readonly buffer: DeviceBuffer
  /** What the directory in the buffer was made of. */
  directoryVersion = -1
  readonly #vmm: DeviceVmm
  readonly #words: Uint32Array
  readonly #changed: Uint32Array
  readonly #granted = new Set<number>()
  /** Entries that may be other than 0. */
  readonly #end: number

  /** @param entries that the buffer has, besides the directory */
  constructor(vmm: DeviceVmm, buffer: DeviceBuffer, entries: number) {
    this.buffer = buffer
    this.#vmm = vmm
    this.#words = new Uint32Array(entries)
    this.#changed = new Uint32Array(Math.ceil(entries / 32)).fill(0xffffffff)
    this.#end = vmm.addressBits === 64 ? entries : entries - 1
    for (let index = 0; index < this.#end; index++) this.#words[index] = vmm.at(index) & NOT_WITHOUT_GRANT
    vmm.follow(this)
  }

  destroy(): void {
    this.#vmm.unfollow(this)
    this.buffer.destroy()
  }

  /** An entry of the page table is another one now. */
  changed(index: number, pte: number): void {
    if (index >= this.#end) return
    this.#words[index] = pte & NOT_WITHOUT_GRANT
    setBit(this.#changed, index)
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
}
