// Making and ending mappings. Always: a mapping that cannot be made leaves nothing behind; a mapping that ends takes the pages' frames with it,
// and nothing is freed before the fence of the last submission that may use it.

import { SvmError } from '../base/error.ts'
import { hex, isPowerOfTwo, type VpnRange } from '../base/units.ts'
import type { Mirror } from '../driver/svmm.ts'
import { AnonymousMemory } from '../mm/host-memory.ts'
import { PagedFile } from '../mm/paged-file.ts'
import type { Space } from '../mm/space.ts'
import type { Allocation, Backing } from '../mm/vma.ts'
import type { Pager } from '../pager/pager.ts'
import { checkCount, checkOneOf, type Requests } from './request.ts'

/** Compare clSVMAlloc() and mmap(MAP_ANONYMOUS). @throws SvmError invalid-value, host-memory */
export function allocate(space: Space, mirrors: readonly Mirror[], request: Requests['SVM_ALLOC']): { pointer: number } {
  const { byteLength, alignment, access, label } = request
  checkCount('alloc: byteLength', byteLength)
  checkOneOf('alloc: access', access, ['read', 'write', 'read-write'])
  if (!isPowerOfTwo(alignment)) throw new SvmError('invalid-value', `alloc: alignment must be a power of two, but is ${String(alignment)}.`)
  const pages = checkedPages(space, byteLength, 'alloc')
  const start = space.addresses.findHole(pages, alignment)
  const memory = new AnonymousMemory(start, pages, space.geometry.pageBytes, label)
  return place(space, mirrors, {
    start,
    pages,
    byteLength,
    label,
    kind: 'alloc',
    backing: { kind: 'anonymous', memory },
    deviceWrites: access !== 'read',
    hostWrites: true,
  })
}

/** Compare mmap(MAP_PRIVATE, PROT_READ) of a file. @throws SvmError invalid-value, host-memory */
export function mapPager(space: Space, mirrors: readonly Mirror[], pager: Pager, request: Requests['SVM_MMAP']): { pointer: number } {
  const { offset, byteLength, label } = request
  const { pageBytes } = space.geometry
  checkCount('mmap: pager.size', pager.size)
  checkCount('mmap: offset', offset)
  checkCount('mmap: byteLength', byteLength, 1)
  if (offset % pageBytes !== 0) throw new SvmError('invalid-value', `mmap: offset must be a multiple of the page size (${pageBytes}), but is ${offset}.`)
  if (offset + byteLength > pager.size) {
    throw new SvmError(
      'invalid-value',
      `mmap: ${byteLength} bytes from offset ${offset} go beyond the end of ${label === '' ? 'the source' : label} (${pager.size} bytes). Map less.`,
    )
  }
  const pages = checkedPages(space, byteLength, 'mmap')
  const start = space.addresses.findHole(pages, pageBytes)
  const name = label === '' ? `mmap@${hex(start * pageBytes)}` : label
  const file = new PagedFile(pager, pageBytes, name)
  return place(space, mirrors, {
    start,
    pages,
    byteLength,
    label: name,
    kind: 'mmap',
    backing: { kind: 'pager', file, fileOffset: offset },
    deviceWrites: false,
    hostWrites: false,
  })
}

/** Compare do_munmap(): tells the mirrors, forgets the pages, frees. */
export async function unmapPages(space: Space, mirrors: readonly Mirror[], range: VpnRange): Promise<void> {
  // Frames of foreign owners go through the owner; the fence passes before the host's bytes can be handed to somebody else.
  for (const mirror of mirrors) mirror.forget(range)
  const fence = space.notifiers.invalidate({ range, event: 'unmap', owner: null, pages: null }, () => {
    space.cache.forgetRange(range)
    space.pages.clearRange(range)
    space.addresses.remove(range)
  })
  for (const mirror of mirrors) {
    mirror.refresh(range)
    mirror.dmem.trim()
  }
  const { pageBytes } = space.geometry
  space.tracer.emit({ kind: 'unmap', pointer: range.start * pageBytes, byteLength: (range.end - range.start) * pageBytes })
  if (fence !== null) await fence
}

interface Placement {
  readonly start: number
  readonly pages: number
  readonly byteLength: number
  readonly label: string
  readonly kind: 'alloc' | 'mmap'
  readonly backing: Backing
  readonly deviceWrites: boolean
  readonly hostWrites: boolean
}

function place(space: Space, mirrors: readonly Mirror[], placement: Placement): { pointer: number } {
  const { start, pages, byteLength, kind, backing, deviceWrites, hostWrites } = placement
  const pointer = start * space.geometry.pageBytes
  const label = placement.label === '' ? `${kind}@${hex(pointer)}` : placement.label
  const allocation: Allocation = { pointer, byteLength, label, kind, dying: false }
  const end = start + pages
  space.addresses.insert({ start, end, deviceWrites, hostWrites, backing, allocation })
  for (const mirror of mirrors) mirror.refresh({ start, end })
  space.tracer.emit({ kind, pointer, byteLength, label })
  return { pointer }
}

function checkedPages(space: Space, byteLength: number, what: string): number {
  const pages = space.addresses.pagesFor(byteLength)
  const { spacePages, addressBits } = space.geometry
  if (pages > spacePages - 2) throw new SvmError('invalid-value', `${what}: ${byteLength} bytes do not fit a ${addressBits}-bit address space. Ask for less.`)
  return pages
}
