// What is known of each frame: the page it holds, and when it was last used. Always: frames that were never taken cost nothing; a record is nine
// bytes, in spaces of both widths.

import type { Bytes, Vpn } from '../base/units.ts'

/** What a frame holds when it holds no page. */
export const FREE = -1
/** A frame that holds a pass's private copy of a page, or is taken and not yet filled. */
export const UNNAMED = -2

const HIGH_FREE = 0
const HIGH_UNNAMED = 1
const HIGH_PAGE = 2
const LENGTH_FIRST = 64
const GROWTH = 1.25

export class FrameRecords {
  /** The low 32 bits of the page number. */
  #low = new Uint32Array(0)
  /** HIGH_FREE, HIGH_UNNAMED, or HIGH_PAGE more than the rest of it. */
  #high = new Uint8Array(0)
  #lastUse = new Uint32Array(0)

  get byteLength(): Bytes {
    return this.#low.byteLength + this.#high.byteLength + this.#lastUse.byteLength
  }

  /** The page in the frame, FREE or UNNAMED. */
  holds(frame: number): Vpn {
    const high = frame < this.#high.length ? (this.#high[frame] as number) : HIGH_FREE
    if (high < HIGH_PAGE) return high === HIGH_FREE ? FREE : UNNAMED
    return (high - HIGH_PAGE) * 2 ** 32 + (this.#low[frame] as number)
  }

  isFree(frame: number): boolean {
    return frame >= this.#high.length || this.#high[frame] === HIGH_FREE
  }

  /** The frame is taken, at `tick`. */
  take(frame: number, tick: number): void {
    if (frame >= this.#high.length) this.#grow(frame + 1)
    this.#high[frame] = HIGH_UNNAMED
    this.#lastUse[frame] = tick
  }

  name(frame: number, vpn: Vpn): void {
    const high = Math.floor(vpn / 2 ** 32)
    this.#high[frame] = HIGH_PAGE + high
    this.#low[frame] = vpn - high * 2 ** 32
  }

  free(frame: number): void {
    this.#high[frame] = HIGH_FREE
  }

  touch(frame: number, tick: number): void {
    this.#lastUse[frame] = tick
  }

  lastUse(frame: number): number {
    return this.#lastUse[frame] as number
  }

  /** No frame is taken any more. */
  clear(): void {
    this.#low = new Uint32Array(0)
    this.#high = new Uint8Array(0)
    this.#lastUse = new Uint32Array(0)
  }

  #grow(least: number): void {
    const length = Math.max(LENGTH_FIRST, least, Math.ceil(this.#high.length * GROWTH))
    const low = new Uint32Array(length)
    const high = new Uint8Array(length)
    const lastUse = new Uint32Array(length)
    low.set(this.#low)
    high.set(this.#high)
    lastUse.set(this.#lastUse)
    this.#low = low
    this.#high = high
    this.#lastUse = lastUse
  }
}
