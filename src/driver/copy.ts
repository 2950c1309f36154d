// Copies between host bytes and frames. Compare nvc0b5_migrate_copy(). Always: neighbours go in one copy; bytes for the device are taken
// before `upload` returns; `download` is complete when it resolves, no earlier.

import { assert } from '../base/assert.ts'
import type { Bytes, Vpn } from '../base/units.ts'
import type { Device, DeviceBuffer, Readback, Work } from '../device/device.ts'
import type { Space } from '../mm/space.ts'
import type { Vma } from '../mm/vma.ts'
import type { DeviceMemory } from './dmem.ts'

export class CopyEngine {
  readonly #device: Device
  readonly #dmem: DeviceMemory
  readonly #space: Space
  readonly #bouncePages: number
  #bounce: DeviceBuffer | null = null
  #last: Promise<void> = Promise.resolve()
  bytesIn = 0
  bytesOut = 0

  constructor(device: Device, dmem: DeviceMemory, space: Space, bouncePages: number) {
    this.#device = device
    this.#dmem = dmem
    this.#space = space
    this.#bouncePages = bouncePages
  }

  /** The fence: resolves when everything submitted so far is complete. Never rejects (a loss is reported elsewhere). */
  get fence(): Promise<void> {
    return this.#last.catch(() => undefined)
  }

  /** Submits, and remembers the submission as the last that may use the table. @throws DeviceFailure */
  submit(work: readonly Work[], readbacks: readonly Readback[] = [], again = false): Promise<void> {
    this.#last = this.#device.submit(work, readbacks, again)
    return this.#last
  }

  /** Host bytes of pages start + i (within one VMA) to frames[i]; frames below 0 are left out. Returns the bytes copied. */
  upload(vma: Vma, start: Vpn, frames: Int32Array): Bytes {
    const { pageBytes } = this.#dmem
    let copied = 0
    for (let i = 0; i < frames.length; ) {
      const frame = frames[i] as number
      if (frame < 0) {
        i++
        continue
      }
      const bytes = this.#space.hostRun(vma, start + i, adjacent(this.#dmem, frames, i))
      assert(bytes !== null, `page ${start + i} has host bytes when it is copied to the device`)
      this.#device.write(this.#dmem.buffer(frame), this.#dmem.byteOffset(frame), bytes)
      copied += bytes.length
      i += bytes.length / pageBytes
    }
    this.bytesIn += copied
    return copied
  }

  /** Zeroes frames. Zero is never somebody else's data. */
  clear(frames: Int32Array): void {
    const { pageBytes } = this.#dmem
    const work: Work[] = []
    for (let i = 0; i < frames.length; ) {
      const frame = frames[i] as number
      const run = frame < 0 ? 1 : adjacent(this.#dmem, frames, i)
      if (frame >= 0) work.push({ kind: 'clear', buffer: this.#dmem.buffer(frame), offset: this.#dmem.byteOffset(frame), byteLength: run * pageBytes })
      i += run
    }
    if (work.length > 0) void this.submit(work).catch(() => undefined)
  }

  /** Of each part frames[i] to the host bytes of page start + i; frames below 0 are left out. Returns the bytes copied, of all parts at once. @throws DeviceFailure */
  async download(parts: readonly { readonly vma: Vma; readonly start: Vpn; readonly frames: Int32Array }[]): Promise<Bytes> {
    const readbacks: Readback[] = []
    let copied = 0
    for (const { vma, start, frames } of parts) copied += this.#readbacksOf(vma, start, frames, readbacks)
    if (readbacks.length > 0) await this.submit([], readbacks)
    this.bytesOut += copied
    return copied
  }

  #readbacksOf(vma: Vma, start: Vpn, frames: Int32Array, readbacks: Readback[]): Bytes {
    const { pageBytes } = this.#dmem
    let copied = 0
    for (let i = 0; i < frames.length; ) {
      const frame = frames[i] as number
      if (frame < 0) {
        i++
        continue
      }
      const into = this.#space.hostRun(vma, start + i, adjacent(this.#dmem, frames, i))
      assert(into !== null, `page ${start + i} has a place on the host when it comes home`)
      readbacks.push({ from: this.#dmem.buffer(frame), offset: this.#dmem.byteOffset(frame), into })
      copied += into.length
      i += into.length / pageBytes
    }
    return copied
  }

  /** from[i] to to[i], inside the device. By way of a bounce buffer: a buffer is never both ends of a copy. @throws DeviceFailure */
  async duplicate(from: readonly number[], to: readonly number[]): Promise<void> {
    if (from.length === 0) return
    const { pageBytes } = this.#dmem
    this.#bounce ??= await this.#device.createBuffer('bounce', this.#bouncePages * pageBytes, 'svm:bounce')
    const bounce = this.#bounce
    const work: Work[] = []
    for (let i = 0; i < from.length; i += this.#bouncePages) {
      const count = Math.min(this.#bouncePages, from.length - i)
      for (let j = 0; j < count; j++) work.push(this.#copyFrame(from[i + j] as number, bounce, j, true))
      for (let j = 0; j < count; j++) work.push(this.#copyFrame(to[i + j] as number, bounce, j, false))
    }
    // A pass follows: it takes the copies along.
    this.#device.hold(work)
  }

  release(): void {
    this.#bounce?.destroy()
    this.#bounce = null
  }

  #copyFrame(frame: number, bounce: DeviceBuffer, slot: number, intoBounce: boolean): Work {
    const { pageBytes } = this.#dmem
    const pool = this.#dmem.buffer(frame)
    const inPool = this.#dmem.byteOffset(frame)
    const inBounce = slot * pageBytes
    return intoBounce
      ? { kind: 'copy', from: pool, fromOffset: inPool, to: bounce, toOffset: inBounce, byteLength: pageBytes }
      : { kind: 'copy', from: bounce, fromOffset: inBounce, to: pool, toOffset: inPool, byteLength: pageBytes }
  }
}

/** How many frames from `at` on are neighbours in one pool. */
function adjacent(dmem: DeviceMemory, frames: Int32Array, at: number): number {
  const first = frames[at] as number
  const pool = dmem.poolOf(first)
  let count = 1
  while (at + count < frames.length && frames[at + count] === first + count && dmem.poolOf(first + count) === pool) count++
  return count
}
