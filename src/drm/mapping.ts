// Making, changing and ending mappings. Always: a mapping that cannot be made leaves nothing behind; a mapping that ends takes the pages'
// frames with it; and nothing is freed, no right is gone, before the fence of the last submission that may still use it.

import { hex, pagesAround, roundUp, type VpnRange } from '../base/units.ts'
import type { Mirror } from '../driver/svmm.ts'
import { AnonymousMemory } from '../mm/host-memory.ts'
import { PagedFile } from '../mm/paged-file.ts'
import type { Space } from '../mm/space.ts'
import { unmapRange } from '../mm/unmap.ts'
import { type Access, type Allocation, type Backing, NO_ADVICE } from '../mm/vma.ts'
import type { Pager } from '../pager/pager.ts'
import { livingAllocationOf, livingSpanOf, refuseHostMapped } from './ranges.ts'
import { refuse } from './refuse.ts'
import type { Requests } from './request.ts'

/** Compare clSVMAlloc() and mmap(MAP_ANONYMOUS). @throws SvmError invalid-value, host-memory */
export function allocate(space: Space, mirrors: readonly Mirror[], request: Requests['SVM_ALLOC']): { pointer: number } {
  const { byteLength, alignment, access, label } = request
  const { start, pages } = placeFor(space, byteLength, alignment, 'alloc')
  const { pageBytes } = space.geometry
  const name = nameOf('alloc', label, start * pageBytes)
  const backing: Backing = { kind: 'anonymous', memory: new AnonymousMemory(start, pages, pageBytes, name) }
  return place(space, mirrors, {
    start,
    pages,
    byteLength,
    backing,
    label: name,
    kind: 'alloc',
    access: 'read-write',
    deviceWrites: access !== 'read',
    hostWrites: true,
  })
}

/** Compare mmap(MAP_PRIVATE, PROT_READ) of a file. @throws SvmError invalid-value, host-memory */
export function mapPager(space: Space, mirrors: readonly Mirror[], pager: Pager, request: Requests['SVM_MMAP']): { pointer: number } {
  const { offset, byteLength, label } = request
  const { pageBytes } = space.geometry
  const { size } = pager
  if (!Number.isSafeInteger(size) || size < 0) {
    refuse('pager-size', 'invalid-value', `mmap: pager.size must be a whole number of bytes of at least 0, but is ${String(size)}.`)
  }
  if (offset % pageBytes !== 0) {
    refuse('offset-in-page', 'invalid-value', `mmap: offset must be a multiple of the page size (${pageBytes}), but is ${offset}.`)
  }
  if (offset + byteLength > size) {
    const source = label === '' ? 'the source' : label
    refuse('beyond-source', 'invalid-value', `mmap: ${byteLength} bytes from offset ${offset} go beyond the end of ${source} (${size} bytes). Map less.`)
  }
  const { start, pages } = placeFor(space, byteLength, pageBytes, 'mmap')
  const name = nameOf('mmap', label, start * pageBytes)
  const backing: Backing = { kind: 'pager', file: new PagedFile(pager, pageBytes, name), fileOffset: offset }
  return place(space, mirrors, { start, pages, byteLength, backing, label: name, kind: 'mmap', access: 'read', deviceWrites: false, hostWrites: false })
}

/** Whole pages of one mapping or allocation; what is unmapped of them already stays so. Compare munmap(). @throws SvmError */
export async function unmap(space: Space, mirrors: readonly Mirror[], { pointer, byteLength }: Requests['SVM_MUNMAP']): Promise<null> {
  const { pageBytes } = space.geometry
  const { allocation } = livingSpanOf(space, pointer, Math.max(1, byteLength), 'munmap')
  const last = allocation.pointer + allocation.byteLength
  const end = byteLength === 0 ? last : pointer + byteLength
  if (pointer % pageBytes !== 0 || (end % pageBytes !== 0 && end !== last)) {
    refuse(
      'munmap-pages',
      'invalid-value',
      `munmap: [${pointer}, ${end}) does not begin and end on pages of ${pageBytes} bytes. Only whole pages can be unmapped.`,
      { pointer, byteLength },
    )
  }
  const pages = pagesAround(pointer, end - pointer, pageBytes)
  const runs = space.addresses.runs(allocation, pages)
  for (const run of runs) refuseHostMapped(space, run, 'write', 'munmap')
  await unmapRuns(space, mirrors, runs)
  return null
}

/** What SVM_FREE and SVM_DOOM may name. @throws SvmError */
export function freeable(space: Space, pointer: number): Allocation {
  const allocation = space.addresses.allocation(pointer)
  if (allocation === undefined) {
    const inside = space.addresses.allocationAt(pointer)
    const headless = [...space.addresses.allocations].some((one) => one.pointer === pointer && !one.dying)
    const hint = headless
      ? 'Its first pages were unmapped: unmap the rest with munmap, too.'
      : inside === undefined || inside.dying
        ? 'It was freed already, or never came from alloc or allocFrom.'
        : `It points into ${inside.label}; free its start, ${inside.pointer}.`
    return refuse('free-no-allocation', 'not-mapped', `free: no allocation starts at ${String(pointer)}. ${hint}`, { pointer })
  }
  if (allocation.kind === 'mmap') {
    refuse('free-mmap', 'invalid-value', `free: ${allocation.label} at ${pointer} is a mapping. Use munmap.`, { pointer })
  }
  for (const run of leftOf(space, allocation)) refuseHostMapped(space, run, 'write', 'free')
  return allocation
}

/** Where pages were unmapped, somebody else may be by now. */
function leftOf(space: Space, allocation: Allocation): VpnRange[] {
  return space.addresses.runs(allocation, pagesAround(allocation.pointer, allocation.byteLength, space.geometry.pageBytes))
}

/** All or none. @throws SvmError */
export function doom(space: Space, pointers: readonly number[]): null {
  const doomed = pointers.map((pointer) => {
    const allocation = freeable(space, pointer)
    if (!allocation.dying) return allocation
    return refuse('free-again', 'not-mapped', `free: ${allocation.label} at ${hex(pointer)} was freed already. Free it once.`, { pointer })
  })
  if (new Set(doomed).size < doomed.length) refuse('free-twice', 'invalid-value', 'free: the same pointer is named twice. Name it once.')
  for (const allocation of doomed) allocation.dying = true
  return null
}

/** Compare clSVMFree(). A map that was enqueued before may still hold it: then it is nobody's victim any more. @throws SvmError */
export async function free(space: Space, mirrors: readonly Mirror[], pointer: number): Promise<null> {
  let allocation: Allocation
  try {
    allocation = freeable(space, pointer)
  } catch (error) {
    const spared = space.addresses.allocation(pointer)
    if (spared?.kind === 'alloc') spared.dying = false
    throw error
  }
  await unmapRuns(space, mirrors, leftOf(space, allocation))
  return null
}

const RANK: Readonly<Record<Access, number>> = { none: 0, read: 1, 'read-write': 2 }

/**
 * Pages keep their place and their bytes; rights come and go. The mirrors hear only of pages that lose one: the kernel tells them of every
 * change. Compare mprotect_fixup() and MMU_NOTIFY_PROTECTION_VMA. @throws SvmError
 */
export async function protect(space: Space, mirrors: readonly Mirror[], { pointer, byteLength, access }: Requests['SVM_MPROTECT']): Promise<null> {
  if (byteLength === 0) return null
  const { pageBytes } = space.geometry
  const allocation = livingAllocationOf(space, pointer, byteLength, 'mprotect')
  const { label, kind, deviceWrites, hostWrites } = allocation
  if (pointer % pageBytes !== 0) {
    refuse('mprotect-pages', 'invalid-value', `mprotect: ${hex(pointer)} does not begin a page of ${pageBytes} bytes. Only whole pages have a protection.`, {
      pointer,
      byteLength,
    })
  }
  if (access === 'read-write' && !deviceWrites && !hostWrites) {
    const sentence = `mprotect: ${label} is a read-only ${kind}; it cannot become 'read-write'. Copy it to memory from svm.alloc() to change it.`
    refuse('mprotect-more-than-made-for', 'access-violation', sentence, { pointer, byteLength })
  }
  const pages = pagesAround(pointer, byteLength, pageBytes)
  refuseHostMapped(space, pages, 'write', 'mprotect')
  const fences: (Promise<void> | null)[] = []
  for (const { vma, start, end } of [...space.addresses.pieces(pages)]) {
    const range = { start, end }
    const change = () => space.addresses.protect(range, access)
    if (RANK[access] < RANK[vma.access]) fences.push(space.notifiers.invalidate({ range, event: 'protection', owner: null, pages: null }, change))
    else change()
  }
  for (const mirror of mirrors) mirror.refresh(pages)
  space.tracer.emit({ kind: 'protect', pointer, byteLength, access })
  await Promise.all(fences)
  return null
}

/** Compare do_munmap(): tells the mirrors, forgets the pages, frees. */
async function unmapRuns(space: Space, mirrors: readonly Mirror[], runs: readonly VpnRange[]): Promise<void> {
  const { pageBytes } = space.geometry
  const fences: (Promise<void> | null)[] = []
  for (const range of runs) {
    fences.push(unmapRange(space, range))
    for (const mirror of mirrors) mirror.refresh(range)
    space.tracer.emit({ kind: 'unmap', pointer: range.start * pageBytes, byteLength: (range.end - range.start) * pageBytes })
  }
  // The fences pass before the host's bytes can be handed to somebody else.
  await Promise.all(fences)
}

interface Placement {
  readonly start: number
  readonly pages: number
  readonly byteLength: number
  readonly label: string
  readonly kind: 'alloc' | 'mmap'
  readonly access: Access
  readonly backing: Backing
  readonly deviceWrites: boolean
  readonly hostWrites: boolean
}

function place(space: Space, mirrors: readonly Mirror[], placement: Placement): { pointer: number } {
  const { start, pages, byteLength, label, kind, access, backing, deviceWrites, hostWrites } = placement
  const pointer = start * space.geometry.pageBytes
  const allocation: Allocation = { pointer, byteLength, label, kind, deviceWrites, hostWrites, dying: false }
  const end = start + pages
  space.addresses.insert({ start, end, access, advice: NO_ADVICE, backing, allocation })
  for (const mirror of mirrors) mirror.refresh({ start, end })
  space.tracer.emit({ kind, pointer, byteLength, label })
  return { pointer }
}

function nameOf(kind: 'alloc' | 'mmap', label: string, pointer: number): string {
  return label === '' ? `${kind}@${hex(pointer)}` : label
}

function placeFor(space: Space, byteLength: number, alignment: number, what: string): { start: number; pages: number } {
  const { spacePages, addressBits, pageBytes } = space.geometry
  const pages = roundUp(byteLength, pageBytes) / pageBytes
  if (pages > spacePages - 2) {
    refuse('too-large', 'invalid-value', `${what}: ${byteLength} bytes do not fit a ${addressBits}-bit address space. Ask for less.`)
  }
  const start = space.addresses.findHole(pages, alignment)
  if (start === null) {
    const sentence = `${what}: no hole for ${byteLength} bytes is left in this ${addressBits}-bit address space. Free or unmap something.`
    return refuse('no-room', 'host-memory', sentence)
  }
  return { start, pages }
}
