// memcpy, memfill and copies to and from the program's own buffers. Always: the whole source is at hand before the first byte of the
// destination changes, so a failure leaves everything as it was.

import { hex, pagesAround } from '../base/units.ts'
import type { DeviceBuffer } from '../device/device.ts'
import type { Mirror } from '../driver/svmm.ts'
import type { Space } from '../mm/space.ts'
import { makeBytes, readBytes, writeBytes } from './host-access.ts'
import { allocationOf, refuseHostMapped, refuseNoAccess } from './ranges.ts'
import { refuse } from './refuse.ts'
import type { Requests } from './request.ts'

export async function copyBytes(space: Space, { destination, source, byteLength }: Requests['SVM_COPY']): Promise<null> {
  if (byteLength === 0) return null
  checkSource(space, source, byteLength, 'memcpy')
  checkDestination(space, destination, byteLength, 'memcpy')
  if (source < destination + byteLength && destination < source + byteLength) {
    refuse('overlap', 'invalid-value', `memcpy: source and destination overlap. Copy by way of a third range, or in pieces that do not overlap.`, {
      pointer: destination,
      byteLength,
    })
  }
  const bytes = makeBytes(byteLength, 'memcpy')
  await readBytes(space, source, bytes)
  await writeBytes(space, destination, bytes)
  return null
}

export async function fillBytes(space: Space, { pointer, pattern, byteLength }: Requests['SVM_FILL']): Promise<null> {
  const size = pattern.length
  if (![1, 2, 4, 8, 16, 32, 64, 128].includes(size)) {
    refuse('pattern', 'invalid-value', `memfill: the pattern must have 1, 2, 4, 8, 16, 32, 64 or 128 bytes, but has ${size}.`)
  }
  if (byteLength === 0) return null
  if (pointer % size !== 0 || byteLength % size !== 0) {
    const sentence = `memfill: pointer (${hex(pointer)}) and byteLength (${byteLength}) must be multiples of the pattern's ${size} bytes.`
    refuse('pattern-alignment', 'invalid-value', sentence, { pointer, byteLength })
  }
  checkDestination(space, pointer, byteLength, 'memfill')
  const bytes = makeBytes(byteLength, 'memfill')
  bytes.set(pattern.subarray(0, byteLength))
  // Doubling copies: the pattern repeats itself.
  for (let filled = pattern.length; filled < byteLength; filled *= 2) bytes.copyWithin(filled, 0, Math.min(filled, byteLength - filled))
  await writeBytes(space, pointer, bytes)
  return null
}

/** Between the space and a buffer of the program's own. */
export async function transferBuffer(space: Space, mirror: Mirror, buffer: unknown, request: Requests['SVM_BUFFER']): Promise<null> {
  const { offset, pointer, byteLength, direction } = request
  if (offset % 4 !== 0 || byteLength % 4 !== 0) {
    const sentence = `offset (${offset}) and byteLength (${byteLength}) of a copy with a buffer must be multiples of 4, as WebGPU copies demand.`
    refuse('buffer-alignment', 'invalid-value', sentence, { pointer, byteLength })
  }
  if (byteLength === 0) return null
  const foreign = foreignBuffer(mirror, buffer)
  if (offset + byteLength > foreign.byteLength) {
    refuse('beyond-buffer', 'invalid-value', `${byteLength} bytes at offset ${offset} go beyond the buffer, which has ${foreign.byteLength}. Copy less.`, {
      pointer,
      byteLength,
    })
  }
  if (direction === 'in') {
    checkDestination(space, pointer, byteLength, 'copyFromBuffer')
    const bytes = makeBytes(byteLength, 'copyFromBuffer')
    await mirror.copies.submit([], [{ from: foreign, offset, into: bytes }])
    await writeBytes(space, pointer, bytes)
    return null
  }
  checkSource(space, pointer, byteLength, 'copyToBuffer')
  const bytes = makeBytes(byteLength, 'copyToBuffer')
  await readBytes(space, pointer, bytes)
  await mirror.device.writeForeign(foreign, offset, bytes)
  return null
}

/** @throws SvmError invalid-value */
function foreignBuffer(mirror: Mirror, buffer: unknown): DeviceBuffer {
  let foreign: DeviceBuffer | undefined
  let why = 'it has no size'
  try {
    foreign = mirror.device.foreignBuffer(buffer)
  } catch (cause) {
    why = cause instanceof Error ? cause.message : String(cause)
  }
  if (foreign !== undefined && Number.isSafeInteger(foreign.byteLength)) return foreign
  return refuse('not-a-buffer', 'invalid-value', `This is no buffer that ${mirror.label} can copy with: ${why}. Pass one that was made on its device.`)
}

function checkSource(space: Space, pointer: number, byteLength: number, what: string): void {
  allocationOf(space, pointer, byteLength, what)
  refuseHostMapped(space, pagesAround(pointer, byteLength, space.geometry.pageBytes), 'read', what)
  refuseNoAccess(space, pointer, byteLength, 'read', what)
}

function checkDestination(space: Space, pointer: number, byteLength: number, what: string): void {
  allocationOf(space, pointer, byteLength, what)
  refuseHostMapped(space, pagesAround(pointer, byteLength, space.geometry.pageBytes), 'write', what)
  refuseNoAccess(space, pointer, byteLength, 'write', what)
}
