// The host's reads, writes and mappings, as the port performs them. Always: pages come home before their bytes are given out; a pager's bytes
// are gathered window by window, since the host cache is bounded; a range is checked again when an await let others in.

import { assert } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import { hex, pagesAround, pagesInside, printBytes } from '../base/units.ts'
import { hostFault } from '../mm/fault.ts'
import type { HostMapMode, LiveMapping } from '../mm/host-mapping.ts'
import { populateWindow } from '../mm/populate.ts'
import type { Space } from '../mm/space.ts'
import type { Vma } from '../mm/vma.ts'
import { piecesOf } from './ranges.ts'
import { refuse } from './refuse.ts'

/** Copies [pointer, pointer + into.length) out. @throws SvmError device-lost, pager-failed */
export async function readBytes(space: Space, pointer: number, into: Uint8Array): Promise<void> {
  const { pageBytes } = space.geometry
  await visitWindows(space, pointer, into.length, async (vma, start, end) => {
    expectThere(await hostFault(space, vma, start, end, 'read'), pointer)
    for (let vpn = start; vpn < end; ) {
      const run = space.hostRun(vma, vpn, end - vpn)
      assert(run !== null, 'host bytes are at hand after a host fault')
      const from = Math.max(pointer, vpn * pageBytes)
      const to = Math.min(pointer + into.length, vpn * pageBytes + run.length)
      into.set(run.subarray(from - vpn * pageBytes, to - vpn * pageBytes), from - pointer)
      vpn += run.length / pageBytes
    }
  })
}

/** Brings [pointer, pointer + byteLength) home for writing; pages that are wholly overwritten need not come along. */
export async function takeForWriting(space: Space, pointer: number, byteLength: number, overwrites: boolean): Promise<void> {
  const { pageBytes } = space.geometry
  const inner = overwrites ? pagesInside(pointer, byteLength, pageBytes) : { start: 0, end: 0 }
  // What must be fetched comes first: if that fails, nothing was given up.
  const discards: { vma: Vma; start: number; end: number }[] = []
  for (const { vma, start, end } of piecesOf(space, pointer, byteLength)) {
    const low = Math.min(end, Math.max(inner.start, start))
    const high = Math.max(low, Math.min(inner.end, end))
    if (low < high) discards.push({ vma, start: low, end: high })
    if (start < low) expectThere(await hostFault(space, vma, start, low, 'write'), pointer)
    if (high < end) expectThere(await hostFault(space, vma, high, end, 'write'), pointer)
  }
  for (const { vma, start, end } of discards) expectThere(await hostFault(space, vma, start, end, 'discard'), pointer)
}

/** Bytes to gather into. @throws SvmError host-memory */
export function makeBytes(byteLength: number, what: string): Uint8Array {
  try {
    return new Uint8Array(byteLength)
  } catch (cause) {
    throw new SvmError('host-memory', `${what}: the engine refused an ArrayBuffer of ${printBytes(byteLength)}. Do it in pieces.`, { cause })
  }
}

/** Refuses a range that no one view covers. @throws SvmError invalid-value */
export function refuseSegments(space: Space, pointer: number, byteLength: number): void {
  const pages = pagesAround(pointer, byteLength, space.geometry.pageBytes)
  const backing = space.addresses.find(pages.start)?.backing
  if (backing?.kind !== 'anonymous' || backing.memory.isOneSegment(pages.start, pages.end)) return
  refuse(
    'segments',
    'invalid-value',
    `${printBytes(byteLength)} from ${hex(pointer)} lie in more than one segment of host memory (1 GiB each), and no view covers two. Map smaller pieces.`,
    { pointer, byteLength },
  )
}

/** Writes bytes. @throws SvmError */
export async function writeBytes(space: Space, pointer: number, bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0) return
  await takeForWriting(space, pointer, bytes.length, true)
  const { pageBytes } = space.geometry
  for (const { vma, start, end } of piecesOf(space, pointer, bytes.length)) {
    for (let vpn = start; vpn < end; ) {
      const run = space.hostRun(vma, vpn, end - vpn) as Uint8Array
      const from = Math.max(pointer, vpn * pageBytes)
      const to = Math.min(pointer + bytes.length, vpn * pageBytes + run.length)
      run.set(bytes.subarray(from - pointer, to - pointer), from - vpn * pageBytes)
      vpn += run.length / pageBytes
    }
  }
}

/** A mapping for the host: a view where the bytes have a fixed place, a gathered copy of a pager's. */
export async function mapBytes(space: Space, pointer: number, byteLength: number, mode: HostMapMode): Promise<{ live: LiveMapping; bytes: Uint8Array }> {
  const live: LiveMapping = { pointer, byteLength, pages: pagesAround(pointer, byteLength, space.geometry.pageBytes), mode }
  const fixed = piecesOf(space, pointer, byteLength).every(({ vma }) => vma.backing.kind === 'anonymous')
  if (!fixed) {
    const bytes = makeBytes(byteLength, 'map')
    await readBytes(space, pointer, bytes)
    space.hostMappings.add(live)
    return { live, bytes }
  }
  if (mode === 'read')
    await visitWindows(space, pointer, byteLength, async (vma, start, end) => expectThere(await hostFault(space, vma, start, end, 'read'), pointer))
  else await takeForWriting(space, pointer, byteLength, mode === 'write-discard')
  const bytes = viewOf(space, pointer, byteLength)
  space.hostMappings.add(live)
  return { live, bytes }
}

/** The host bytes of a range in one segment, without a copy. @throws SvmError host-memory */
function viewOf(space: Space, pointer: number, byteLength: number): Uint8Array {
  const { start, end } = pagesAround(pointer, byteLength, space.geometry.pageBytes)
  const vma = space.addresses.find(start)
  const run = vma === undefined ? null : space.hostRun(vma, start, end - start)
  assert(run !== null, 'anonymous memory has a place on the host')
  const skip = pointer - start * space.geometry.pageBytes
  return run.subarray(skip, skip + byteLength)
}

async function visitWindows(space: Space, pointer: number, byteLength: number, visit: (vma: Vma, start: number, end: number) => Promise<void>): Promise<void> {
  if (byteLength === 0) return
  for (const { vma, start, end } of piecesOf(space, pointer, byteLength)) {
    const step = populateWindow(space, vma)
    for (let at = start; at < end; at += step) await visit(vma, at, Math.min(end, at + step))
  }
}

function expectThere(verdict: 'ok' | 'gone', pointer: number): void {
  if (verdict === 'gone')
    throw new SvmError('not-mapped', `The mapping at ${hex(pointer)} was unmapped while its bytes were being fetched. Keep it until the command is done.`, {
      pointer,
    })
}
