// A buffer of a simulated device: real bytes in this process. Always: new bytes are zero; bytes of a destroyed buffer are 0xdb once the
// work that came before the destruction is done, so that stale use shows.

import { assert } from '../../base/assert.ts'
import type { BufferRole, DeviceBuffer } from '../device.ts'

export const FREED_BYTE = 0xdb

export class SimBuffer implements DeviceBuffer {
  readonly role: BufferRole
  readonly label: string
  readonly byteLength: number
  readonly bytes: Uint8Array
  /** False from the call of `destroy` on. */
  live = true
  readonly #onDestroy: ((buffer: SimBuffer) => void) | null

  /** @param onDestroy null for a buffer of the program: it stays the program's */
  constructor(role: BufferRole, label: string, bytes: Uint8Array, onDestroy: ((buffer: SimBuffer) => void) | null) {
    this.role = role
    this.label = label
    this.bytes = bytes
    this.byteLength = bytes.byteLength
    this.#onDestroy = onDestroy
  }

  /** The bytes as kernels see them. */
  get words(): Uint32Array {
    return new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength >>> 2)
  }

  destroy(): void {
    if (!this.live || this.#onDestroy === null) return
    this.live = false
    this.#onDestroy(this)
  }
}

/** The rules of WebGPU for a range of a buffer, which a simulated device would otherwise forgive. */
export function checkRange(what: string, buffer: SimBuffer, offset: number, byteLength: number): void {
  assert(offset % 4 === 0 && byteLength % 4 === 0, `${what} on '${buffer.label}' has offset ${offset} and length ${byteLength}, which must be multiples of 4`)
  checkInside(what, buffer, offset, byteLength)
}

/** A read-back may have any bytes: devices read whole words and give the part. */
export function checkReadback(buffer: SimBuffer, offset: number, byteLength: number): void {
  checkInside('a read-back', buffer, offset, byteLength)
}

function checkInside(what: string, buffer: SimBuffer, offset: number, byteLength: number): void {
  assert(buffer.live, `${what} names the buffer '${buffer.label}' after it was destroyed`)
  assert(
    offset >= 0 && byteLength >= 0 && offset + byteLength <= buffer.byteLength,
    `${what} reaches byte ${offset + byteLength} of the buffer '${buffer.label}', which has ${buffer.byteLength}`,
  )
}
