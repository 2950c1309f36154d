// A live view for the host. Compare clEnqueueSVMMap(). Always: every view ends with `unmap`; after it every access throws. With `debug` the
// bytes are a private copy, written back and detached at `unmap`, so that late use of a kept view throws too.

import { SvmError } from '../base/error.ts'
import { hex } from '../base/units.ts'
import type { HostMapping, MapMode, SvmPointer, TypedArray, TypedArrayConstructor } from '../types.ts'

export interface MappingParts {
  readonly pointer: SvmPointer
  readonly mode: MapMode
  /** The bytes in place. */
  readonly bytes: Uint8Array
  readonly pointerBytes: 4 | 8
  readonly debug: boolean
  readonly onUnmap: () => void
}

export class LiveHostMapping implements HostMapping {
  readonly pointer: SvmPointer
  readonly byteLength: number
  declare [Symbol.dispose]: () => void
  readonly #parts: MappingParts
  #bytes: Uint8Array
  #live = true
  /** Byte ranges that count as written, from `pointer`; null: all of them. */
  #written: [number, number][] | null = null

  constructor(parts: MappingParts) {
    this.#parts = parts
    this.pointer = parts.pointer
    this.byteLength = parts.bytes.length
    this.#bytes = parts.debug ? parts.bytes.slice() : parts.bytes
  }

  get live(): boolean {
    return this.#live
  }

  get bytes(): Uint8Array {
    this.#expectLive()
    return this.#bytes
  }

  get u32(): Uint32Array {
    return this.as(Uint32Array)
  }

  get i32(): Int32Array {
    return this.as(Int32Array)
  }

  get f32(): Float32Array {
    return this.as(Float32Array)
  }

  get view(): DataView {
    const { buffer, byteOffset, byteLength } = this.bytes
    return new DataView(buffer, byteOffset, byteLength)
  }

  as<A extends TypedArray>(type: TypedArrayConstructor<A>, byteOffset = 0, length?: number): A {
    const bytes = this.bytes
    const unit = type.BYTES_PER_ELEMENT
    const at = bytes.byteOffset + byteOffset
    const count = length ?? Math.floor((bytes.length - byteOffset) / unit)
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || !Number.isSafeInteger(count) || count < 0 || byteOffset + count * unit > bytes.length) {
      throw new SvmError(
        'invalid-value',
        `A view of ${String(length)} elements of ${unit} bytes at offset ${byteOffset} does not lie in this mapping of ${bytes.length} bytes.`,
        { pointer: this.pointer },
      )
    }
    if (at % unit !== 0) {
      throw new SvmError(
        'invalid-value',
        `The mapping's bytes at ${hex(this.pointer + byteOffset)} are not aligned to the ${unit} bytes of the element type. Use view (a DataView), or map from an aligned pointer.`,
        {
          pointer: this.pointer + byteOffset,
        },
      )
    }
    return new type(bytes.buffer, at, count)
  }

  getPointer(at: SvmPointer): SvmPointer {
    const offset = this.#offsetOf(at)
    const low = this.view.getUint32(offset, true)
    return this.#parts.pointerBytes === 4 ? low : low + this.view.getUint32(offset + 4, true) * 4294967296
  }

  setPointer(at: SvmPointer, value: SvmPointer): void {
    const offset = this.#offsetOf(at)
    const limit = 2 ** (this.#parts.pointerBytes === 4 ? 32 : 48)
    if (!Number.isSafeInteger(value) || value < 0 || value >= limit)
      throw new SvmError('invalid-value', `A pointer must be a whole number from 0 to ${limit - 1}, but is ${String(value)}.`)
    if (this.#parts.mode === 'read')
      throw new SvmError('access-violation', "setPointer: this mapping is for reading. Map with 'write' or 'read-write'.", { pointer: at })
    this.view.setUint32(offset, value % 4294967296, true)
    if (this.#parts.pointerBytes === 8) this.view.setUint32(offset + 4, Math.floor(value / 4294967296), true)
  }

  dirty(pointer: SvmPointer, byteLength: number): void {
    this.#expectLive()
    const offset = pointer - this.pointer
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(byteLength) || offset < 0 || byteLength < 0 || offset + byteLength > this.byteLength) {
      throw new SvmError(
        'invalid-value',
        `dirty: ${byteLength} bytes at ${hex(pointer)} do not lie in this mapping, which has ${this.byteLength} bytes from ${hex(this.pointer)}.`,
        { pointer, byteLength },
      )
    }
    this.#written ??= []
    this.#written.push([offset, offset + byteLength])
  }

  unmap(): void {
    if (!this.#live)
      throw new SvmError('invalid-value', `The mapping of ${this.byteLength} bytes at ${hex(this.pointer)} was unmapped already. Unmap once.`, {
        pointer: this.pointer,
      })
    this.#live = false
    if (this.#parts.debug) this.#writeBack()
    this.#bytes = new Uint8Array(0)
    this.#parts.onUnmap()
  }

  #writeBack(): void {
    if (this.#parts.mode !== 'read') {
      for (const [start, end] of this.#written ?? [[0, this.byteLength]]) this.#parts.bytes.set(this.#bytes.subarray(start, end), start)
    }
    structuredClone(this.#bytes.buffer, { transfer: [this.#bytes.buffer as ArrayBuffer] })
  }

  #offsetOf(at: SvmPointer): number {
    this.#expectLive()
    const offset = at - this.pointer
    if (!Number.isSafeInteger(at) || offset < 0 || offset + this.#parts.pointerBytes > this.byteLength) {
      throw new SvmError(
        'invalid-value',
        `A pointer at ${hex(at)} does not lie in this mapping, which has ${this.byteLength} bytes from ${hex(this.pointer)}.`,
        { pointer: at },
      )
    }
    return offset
  }

  #expectLive(): void {
    if (!this.#live)
      throw new SvmError('invalid-value', `The mapping of ${this.byteLength} bytes at ${hex(this.pointer)} was unmapped. Map again to use the bytes.`, {
        pointer: this.pointer,
      })
  }
}

const dispose: symbol | undefined = (Symbol as { dispose?: symbol }).dispose
if (dispose !== undefined) {
  Object.defineProperty(LiveHostMapping.prototype, dispose, {
    value(this: LiveHostMapping) {
      if (this.live) this.unmap()
    },
  })
}
