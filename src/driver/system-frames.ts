// Which frame holds a device's read-only copy of a host page. Always: `count` pages have one; a block of pages without any costs nothing.

import type { Vpn } from '../base/units.ts'

export class SystemFrames {
  readonly #blockPages: number
  readonly #blocks = new Map<number, { readonly frames: Int32Array; count: number }>()
  count = 0

  constructor(blockPages: number) {
    this.#blockPages = blockPages
  }

  get byteLength(): number {
    return this.#blocks.size * this.#blockPages * 4
  }

  /** The frame; -1 when the page has none. */
  get(vpn: Vpn): number {
    // Asked for every page of every migrate, and mostly there are none.
    if (this.count === 0) return -1
    const block = this.#blocks.get(Math.floor(vpn / this.#blockPages))
    return block === undefined ? -1 : (block.frames[vpn % this.#blockPages] as number)
  }

  set(vpn: Vpn, frame: number): void {
    const number = Math.floor(vpn / this.#blockPages)
    let block = this.#blocks.get(number)
    if (block === undefined) {
      block = { frames: new Int32Array(this.#blockPages).fill(-1), count: 0 }
      this.#blocks.set(number, block)
    }
    if ((block.frames[vpn % this.#blockPages] as number) < 0) {
      block.count++
      this.count++
    }
    block.frames[vpn % this.#blockPages] = frame
  }

  /** The frame, which is forgotten; -1 when the page has none. */
  take(vpn: Vpn): number {
    const frame = this.get(vpn)
    if (frame < 0) return -1
    const number = Math.floor(vpn / this.#blockPages)
    const block = this.#blocks.get(number) as { readonly frames: Int32Array; count: number }
    block.frames[vpn % this.#blockPages] = -1
    this.count--
    if (--block.count === 0) this.#blocks.delete(number)
    return frame
  }
}
