// What is known of each frame: the page it holds, and when it was last used. Always: a block of frames that were never taken costs nothing; a record
// is nine bytes, in spaces of both widths.

import type { Bytes, Vpn } from '../base/units.ts'

/** What a frame holds when it holds no page. */
export const FREE = -1
/** A frame that holds a pass's private copy of a page, or is taken and not yet filled. */
export const UNNAMED = -2

const HIGH_FREE = 0
const HIGH_UNNAMED = 1
const HIGH_PAGE = 2
const BLOCK_SHIFT = 8
const BLOCK = 2 ** BLOCK_SHIFT
const BLOCK_BYTES = BLOCK * 9

interface Block {
  /** The low 32 bits of the page number. */
  readonly low: Uint32Array
  /** HIGH_FREE, HIGH_UNNAMED, or HIGH_PAGE more than the rest of it. */
  readonly high: Uint8Array
  readonly lastUse: Uint32Array
}

export class FrameRecords {
  /** Frames are taken from either end of a pool, so most blocks between may be missing. */
  #blocks: (Block | undefined)[] = []
  #made = 0

  get byteLength(): Bytes {
    return this.#made * BLOCK_BYTES + this.#blocks.length * 8
  }

  /** The page in the frame, FREE or UNNAMED. */
  holds(frame: number): Vpn {
    const block = this.#blocks[frame >>> BLOCK_SHIFT]
    if (block === undefined) return FREE
    const at = frame & (BLOCK - 1)
    const high = block.high[at] as number
    if (high < HIGH_PAGE) return high === HIGH_FREE ? FREE : UNNAMED
    return (high - HIGH_PAGE) * 2 ** 32 + (block.low[at] as number)
  }

  isFree(frame: number): boolean {
    const block = this.#blocks[frame >>> BLOCK_SHIFT]
    return block === undefined || block.high[frame & (BLOCK - 1)] === HIGH_FREE
  }

  /** The frame is taken, at `tick`. */
  take(frame: number, tick: number): void {
    const block = this.#blocks[frame >>> BLOCK_SHIFT] ?? this.#make(frame >>> BLOCK_SHIFT)
    block.high[frame & (BLOCK - 1)] = HIGH_UNNAMED
    block.lastUse[frame & (BLOCK - 1)] = tick
  }

  name(frame: number, vpn: Vpn): void {
    const { high, low } = this.#of(frame)
    const rest = Math.floor(vpn / 2 ** 32)
    high[frame & (BLOCK - 1)] = HIGH_PAGE + rest
    low[frame & (BLOCK - 1)] = vpn - rest * 2 ** 32
  }

  free(frame: number): void {
    this.#of(frame).high[frame & (BLOCK - 1)] = HIGH_FREE
  }

  touch(frame: number, tick: number): void {
    this.#of(frame).lastUse[frame & (BLOCK - 1)] = tick
  }

  lastUse(frame: number): number {
    return this.#of(frame).lastUse[frame & (BLOCK - 1)] as number
  }

  /** No frame is taken any more. */
  clear(): void {
    this.#blocks = []
    this.#made = 0
  }

  #of(frame: number): Block {
    return this.#blocks[frame >>> BLOCK_SHIFT] as Block
  }

  #make(number: number): Block {
    while (this.#blocks.length < number) this.#blocks.push(undefined)
    const block = { low: new Uint32Array(BLOCK), high: new Uint8Array(BLOCK), lastUse: new Uint32Array(BLOCK) }
    this.#blocks[number] = block
    this.#made++
    return block
  }
}
