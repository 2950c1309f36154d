// Checks of byte ranges against the space. Always: they look and never touch; what passes lies in one allocation.

import { SvmError } from '../base/error.ts'
import { hex, pagesAround, printBytes, type VpnRange } from '../base/units.ts'
import type { Space } from '../mm/space.ts'
import type { Allocation, Vma } from '../mm/vma.ts'
import { checkCount, checkPointer } from './request.ts'

/** As `allocationOf`, for calls that begin: what is being freed takes no new commands. @throws SvmError invalid-value, not-mapped */
export function livingAllocationOf(space: Space, pointer: number, byteLength: number, what: string): Allocation {
  const allocation = allocationOf(space, pointer, byteLength, what)
  if (!allocation.dying) return allocation
  throw new SvmError('not-mapped', `${what}: ${allocation.label} at ${hex(allocation.pointer)} was freed. Do not use a pointer after free.`, {
    pointer,
    byteLength,
  })
}

/**
 * The allocation that holds [pointer, pointer + byteLength). It may be one that is being freed: commands which were there before still run.
 * @throws SvmError invalid-value, not-mapped
 */
export function allocationOf(space: Space, pointer: number, byteLength: number, what: string): Allocation {
  const limit = 2 ** space.geometry.addressBits
  checkPointer(`${what}: the pointer`, pointer, Math.min(limit, 2 ** 48))
  checkCount(`${what}: byteLength`, byteLength, 0)
  const details = { pointer, byteLength }
  if (pointer === 0)
    throw new SvmError(
      'not-mapped',
      `${what}: the pointer is null (0), and ${byteLength} bytes were asked for. Pass a pointer from alloc, allocFrom or mmap.`,
      details,
    )
  const allocation = space.addresses.allocationAt(pointer)
  if (allocation === undefined) {
    throw new SvmError(
      'not-mapped',
      `${what}: nothing is mapped at ${hex(pointer)}; ${space.addresses.describeNearest(pointer)}. Call svm.alloc() or svm.mmap() first.`,
      details,
    )
  }
  const end = allocation.pointer + allocation.byteLength
  const pages = pagesAround(pointer, Math.max(1, byteLength), space.geometry.pageBytes)
  if (pointer + byteLength > end || !space.addresses.covers(pages)) {
    throw new SvmError(
      'invalid-value',
      `${what}: ${printBytes(byteLength)} from ${hex(pointer)} go beyond ${allocation.label}, which has ${allocation.byteLength} bytes from ${hex(allocation.pointer)} and ends at ${hex(end)}. Pass a range inside one allocation.`,
      details,
    )
  }
  return allocation
}

/** The VMA pieces of a range that was checked. */
export function piecesOf(space: Space, pointer: number, byteLength: number): { vma: Vma; start: number; end: number }[] {
  return [...space.addresses.pieces(pagesAround(pointer, byteLength, space.geometry.pageBytes))]
}

/** Refuses what a live host mapping forbids. @throws SvmError host-mapped */
export function refuseHostMapped(space: Space, pages: VpnRange, by: 'read' | 'write', what: string): void {
  const live = space.hostMappings.conflict(pages, by)
  if (live === undefined) return
  throw new SvmError(
    'host-mapped',
    `${what}: the host has ${printBytes(live.byteLength)} at ${hex(live.pointer)} mapped for '${live.mode}', and that shares a page of ${printBytes(space.geometry.pageBytes)} with this range. Unmap it first.`,
    { pointer: live.pointer, byteLength: live.byteLength },
  )
}

/** Refuses host writes to memory that the host may only read. @throws SvmError access-violation */
export function refuseReadOnly(space: Space, pointer: number, byteLength: number, what: string): void {
  for (const { vma } of piecesOf(space, pointer, byteLength)) {
    if (vma.hostWrites) continue
    throw new SvmError('access-violation', `${what}: ${vma.allocation.label} is mapped read-only. Copy it to memory from svm.alloc() to change it.`, {
      pointer,
      byteLength,
    })
  }
}
