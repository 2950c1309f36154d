// The read-back ring: a few MAP_READ buffers, used again and again.
//
// Always:
// - The slots, free and in use, hold at most `ringBytes` together; each is a power of two of bytes, at most `slotBytes`.
// - A slot is in use from `acquire` until `release` or `drop`; a free slot is unmapped.
// - The slot that was freed last is taken first: its bytes are still in the host's caches.

import { MIB } from '../../base/units.ts'
import type { Readback } from '../device.ts'
import { gpuOf, type Ledger, USAGE } from './buffers.ts'
import { inErrorScopes } from './scope.ts'

const SLOT_BYTES_MIN = 4096

export interface Slot {
  readonly buffer: GPUBuffer
  readonly byteLength: number
  /** Settles with the reason why the buffer could not be made, or null. Asked once, by the first user. */
  made: Promise<GPUError | null> | null
}

/** One copy into a slot and out of it again. */
export interface Piece {
  readonly from: GPUBuffer
  /** Offset and length are multiples of 4. */
  readonly fromOffset: number
  readonly slotOffset: number
  readonly byteLength: number
  readonly into: Uint8Array
  /** Bytes to leave out at the start of what came, because the wish did not start at a multiple of 4. */
  readonly skip: number
}

/** What shares one slot. */
export interface Chunk {
  readonly pieces: Piece[]
  byteLength: number
}

/** Cuts read-backs into chunks of at most `chunkBytes`. Small ones share a chunk; what is cut is cut at a multiple of 4. */
export function planChunks(readbacks: readonly Readback[], chunkBytes: number): Chunk[] {
  const chunks: Chunk[] = []
  let chunk: Chunk = { pieces: [], byteLength: chunkBytes }
  for (const readback of readbacks) {
    const from = gpuOf(readback.from)
    let skip = readback.offset % 4
    let fromOffset = readback.offset - skip
    let done = 0
    while (done < readback.into.byteLength) {
      if (chunk.byteLength === chunkBytes) {
        chunk = { pieces: [], byteLength: 0 }
        chunks.push(chunk)
      }
      const wanted = Math.ceil((skip + readback.into.byteLength - done) / 4) * 4
      const byteLength = Math.min(wanted, chunkBytes - chunk.byteLength)
      const into = readback.into.subarray(done, Math.min(done + byteLength - skip, readback.into.byteLength))
      chunk.pieces.push({ from, fromOffset, slotOffset: chunk.byteLength, byteLength, into, skip })
      chunk.byteLength += byteLength
      fromOffset += byteLength
      done += into.byteLength
      skip = 0
    }
  }
  return chunks
}

/** Encodes the copies of a chunk into a slot; neighbours in the source are one copy. */
export function encodeChunk(encoder: GPUCommandEncoder, chunk: Chunk, slot: Slot): void {
  const { pieces } = chunk
  for (let i = 0; i < pieces.length; ) {
    const first = pieces[i]
    let byteLength = first.byteLength
    let next = i + 1
    while (next < pieces.length && pieces[next].from === first.from && pieces[next].fromOffset === first.fromOffset + byteLength) {
      byteLength += pieces[next].byteLength
      next++
    }
    encoder.copyBufferToBuffer(first.from, first.fromOffset, slot.buffer, first.slotOffset, byteLength)
    i = next
  }
}

/** Copies the bytes of a mapped slot to where they are wanted. */
export function deliverChunk(chunk: Chunk, slot: Slot): void {
  const mapped = slot.buffer.getMappedRange(0, chunk.byteLength)
  for (const { into, slotOffset, skip } of chunk.pieces) into.set(new Uint8Array(mapped, slotOffset + skip, into.byteLength))
}

export class ReadbackRing {
  readonly #device: GPUDevice
  readonly #ledger: Ledger
  readonly #slots = new Set<Slot>()
  readonly #free: Slot[] = []
  #ringBytes = 16 * MIB
  #slotBytes = 2 * MIB
  #held = 0

  constructor(device: GPUDevice, ledger: Ledger) {
    this.#device = device
    this.#ledger = ledger
  }

  configure(ringBytes: number, slotBytes: number): void {
    this.#ringBytes = ringBytes
    this.#slotBytes = Math.max(4, 2 ** Math.floor(Math.log2(Math.min(ringBytes, slotBytes))))
  }

  /** The most that fits in one slot. */
  get slotBytes(): number {
    return this.#slotBytes
  }

  /** @returns null when the ring is full: try again after a release. */
  acquire(byteLength: number): Slot | null {
    const size = Math.min(this.#slotBytes, Math.max(SLOT_BYTES_MIN, 2 ** Math.ceil(Math.log2(byteLength))))
    const exact = this.#take((slot) => slot.byteLength === size)
    if (exact !== null) return exact
    if (this.#held + size <= this.#ringBytes) return this.#make(size)
    const larger = this.#take((slot) => slot.byteLength > size)
    if (larger !== null) return larger
    const freeBytes = this.#free.reduce((sum, slot) => sum + slot.byteLength, 0)
    if (this.#held - freeBytes + size > this.#ringBytes) return null
    while (this.#held + size > this.#ringBytes) this.drop(this.#free.shift() as Slot)
    return this.#make(size)
  }

  release(slot: Slot): void {
    if (this.#slots.has(slot)) this.#free.push(slot)
  }

  /** For a slot that cannot be used again. */
  drop(slot: Slot): void {
    if (!this.#slots.delete(slot)) return
    slot.buffer.destroy()
    this.#held -= slot.byteLength
    this.#ledger.remove(slot.byteLength)
  }

  destroy(): void {
    this.#free.length = 0
    for (const slot of this.#slots) this.drop(slot)
  }

  #take(wanted: (slot: Slot) => boolean): Slot | null {
    const index = this.#free.findLastIndex(wanted)
    return index < 0 ? null : this.#free.splice(index, 1)[0]
  }

  #make(byteLength: number): Slot {
    const descriptor = { size: byteLength, usage: USAGE.mapRead | USAGE.copyDestination, label: 'svm:read-back' }
    const { value: buffer, error } = inErrorScopes(this.#device, ['out-of-memory'], () => this.#device.createBuffer(descriptor))
    const slot: Slot = { buffer, byteLength, made: error }
    this.#slots.add(slot)
    this.#held += byteLength
    this.#ledger.add(byteLength)
    this.#ledger.confirm()
    return slot
  }
}
