// One mapping of the address space. Always: [start, end) is not empty and lies within the space; the pages before and after belong to
// other mappings or to nobody; `fileOffset` is that of the page `start`. A VMA is intent; the page table holds the facts.

import type { Address, Bytes, Vpn } from '../base/units.ts'
import type { AnonymousMemory } from './host-memory.ts'
import type { PagedFile } from './paged-file.ts'

/** Where the bytes of a mapping come from. */
export type Backing =
  | { readonly kind: 'anonymous'; readonly memory: AnonymousMemory }
  /** Read-only private mapping of a pager's bytes, through the bounded host cache. */
  | { readonly kind: 'pager'; readonly file: PagedFile; readonly fileOffset: Bytes }

/** What alloc or mmap handed out, until it is freed. Several VMAs may be left of it after partial unmaps. */
export interface Allocation {
  readonly pointer: Address
  /** As asked for; the pages around it belong to the allocation too. */
  readonly byteLength: Bytes
  readonly label: string
  readonly kind: 'alloc' | 'mmap'
  /** Set by free: new commands that name it are refused. */
  dying: boolean
}

export interface Vma {
  readonly start: Vpn
  readonly end: Vpn
  /** What kernels may do (the OpenCL allocation flags; PROT_READ, PROT_WRITE). */
  readonly deviceWrites: boolean
  /** What the host may do. */
  readonly hostWrites: boolean
  readonly backing: Backing
  readonly allocation: Allocation
}
