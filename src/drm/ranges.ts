// Checks of byte ranges against the space. Always: they look and never touch; what passes lies in one allocation.

import { hex, pagesAround, printBytes, type VpnRange } from '../base/units.ts'
import type { Space } from '../mm/space.ts'
import { type Allocation, hostMayRead, hostMayWrite, type Vma } from '../mm/vma.ts'
import { refuse } from './refuse.ts'

/** As `allocationOf`, for calls that begin: what is being freed takes no new commands. @throws SvmError not-mapped, invalid-value */
export function livingAllocationOf(space: Space, pointer: number, byteLength: number, what: string): Allocation {
  return refuseDying(allocationOf(space, pointer, byteLength, what), pointer, byteLength, what)
}

/**
 * The allocation that holds [pointer, pointer + byteLength), all of which is mapped. It may be one that is being freed: commands which were
 * there before still run. @throws SvmError not-mapped, invalid-value
 */
export function allocationOf(space: Space, pointer: number, byteLength: number, what: string): Allocation {
  const { allocation, holes } = spanOf(space, pointer, byteLength, what)
  if (holes === 0) return allocation
  return refuse(
    'hole',
    'not-mapped',
    `${what}: ${holes} pages of the ${printBytes(byteLength)} from ${hex(pointer)} were unmapped from ${allocation.label}. Pass a range that is still mapped.`,
    { pointer, byteLength },
  )
}

/** Refuses what is not in one living allocation; holes are allowed after the first page. @throws SvmError not-mapped, invalid-value */
export function refuseNotLiving(space: Space, pointer: number, byteLength: number, what: string): void {
  refuseDying(holderOf(space, pointer, byteLength, what), pointer, byteLength, what)
}

/** The same, and what is mapped of it. */
export function livingSpanOf(space: Space, pointer: number, byteLength: number, what: string): Span {
  const span = spanOf(space, pointer, byteLength, what)
  refuseDying(span.allocation, pointer, byteLength, what)
  return span
}

export interface Span {
  readonly allocation: Allocation
  /** What is mapped of the range, in runs of adjacent pages. */
  readonly runs: readonly VpnRange[]
  /** Pages of the range that are not left of the allocation. */
  readonly holes: number
}

/** A range inside one allocation; 0 bytes: the whole of it. @throws SvmError not-mapped, invalid-value */
export function wholeOrSpanOf(space: Space, pointer: number, byteLength: number, what: string): Span {
  if (byteLength > 0) return spanOf(space, pointer, byteLength, what)
  const { allocation } = spanOf(space, pointer, 1, what)
  return cutOut(space, allocation, pagesAround(allocation.pointer, allocation.byteLength, space.geometry.pageBytes))
}

function spanOf(space: Space, pointer: number, byteLength: number, what: string): Span {
  const allocation = holderOf(space, pointer, byteLength, what)
  return cutOut(space, allocation, pagesAround(pointer, Math.max(1, byteLength), space.geometry.pageBytes))
}

function holderOf(space: Space, pointer: number, byteLength: number, what: string): Allocation {
  const details = { pointer, byteLength }
  if (pointer === 0) {
    refuse(
      'null',
      'not-mapped',
      `${what}: the pointer is null (0), and ${byteLength} bytes were asked for. Pass a pointer from alloc, allocFrom or mmap.`,
      details,
    )
  }
  const { spacePages, pageBytes } = space.geometry
  if (pointer >= spacePages * pageBytes) {
    const sentence = `${what}: the pointer must be an SVM pointer (a whole number from 0 to ${spacePages * pageBytes - 1}), but is ${pointer}.`
    refuse('beyond-space', 'invalid-value', sentence, details)
  }
  const allocation = space.addresses.allocationAt(pointer)
  if (allocation === undefined) {
    return refuse(
      'unmapped',
      'not-mapped',
      `${what}: nothing is mapped at ${hex(pointer)}; ${space.addresses.describeNearest(pointer)}. Call svm.alloc() or svm.mmap() first.`,
      details,
    )
  }
  const end = allocation.pointer + allocation.byteLength
  // The last allocated byte may lie inside its page; a pointer beyond it has no bytes.
  if (pointer + byteLength > end || pointer >= end) {
    refuse(
      'beyond-allocation',
      'invalid-value',
      `${what}: ${printBytes(byteLength)} from ${hex(pointer)} go beyond ${allocation.label}, which has ${allocation.byteLength} bytes from ${hex(allocation.pointer)} and ends at ${hex(end)}. Pass a range inside one allocation.`,
      details,
    )
  }
  return allocation
}

function cutOut(space: Space, allocation: Allocation, range: VpnRange): Span {
  const runs = space.addresses.runs(allocation, range)
  const mapped = runs.reduce((sum, { start, end }) => sum + end - start, 0)
  return { allocation, runs, holes: range.end - range.start - mapped }
}

function refuseDying(allocation: Allocation, pointer: number, byteLength: number, what: string): Allocation {
  if (!allocation.dying) return allocation
  return refuse('freed', 'not-mapped', `${what}: ${allocation.label} at ${hex(allocation.pointer)} was freed. Do not use a pointer after free.`, {
    pointer,
    byteLength,
  })
}

/** The VMA pieces of a range that was checked. */
export function piecesOf(space: Space, pointer: number, byteLength: number): { vma: Vma; start: number; end: number }[] {
  return [...space.addresses.pieces(pagesAround(pointer, byteLength, space.geometry.pageBytes))]
}

/** Refuses what a live host mapping forbids. @throws SvmError host-mapped */
export function refuseHostMapped(space: Space, pages: VpnRange, by: 'read' | 'write', what: string): void {
  const live = space.hostMappings.conflict(pages, by)
  if (live === undefined) return
  refuse(
    'host-mapped',
    'host-mapped',
    `${what}: the host has ${printBytes(live.byteLength)} at ${hex(live.pointer)} mapped for '${live.mode}', and that shares a page of ${printBytes(space.geometry.pageBytes)} with this range. Unmap it first.`,
    { pointer: live.pointer, byteLength: live.byteLength },
  )
}

/** Refuses the host what the mapping was not made for, or what mprotect took away. @throws SvmError access-violation */
export function refuseNoAccess(space: Space, pointer: number, byteLength: number, by: 'read' | 'write', what: string): void {
  const details = { pointer, byteLength }
  for (const { vma } of piecesOf(space, pointer, byteLength)) {
    const { label, hostWrites } = vma.allocation
    if (!hostMayRead(vma)) {
      refuse('no-access', 'access-violation', `${what}: ${label} has a page here that mprotect made 'none'. Give it access again with svm.mprotect().`, details)
    }
    if (by === 'read' || hostMayWrite(vma)) continue
    if (!hostWrites) {
      const wayOut = 'Copy it to memory from svm.alloc() to change it.'
      refuse('never-writable', 'access-violation', `${what}: ${label} is mapped read-only. ${wayOut}`, details)
    }
    const wayOut = "Make it 'read-write' with svm.mprotect()."
    refuse('write-protected', 'access-violation', `${what}: ${label} has a page here that mprotect made 'read'. ${wayOut}`, details)
  }
}
