// One mapping of the address space. Always: [start, end) is not empty and lies within the space; the pages before and after belong to
// mappings that differ from it, or to nobody; `fileOffset` is that of the page `start`. A VMA is intent; the page table holds the facts.

import type { Address, Bytes, Vpn } from '../base/units.ts'
import type { AnonymousMemory } from './host-memory.ts'
import type { PagedFile } from './paged-file.ts'

/** Where the bytes of a mapping come from. */
export type Backing =
  | { readonly kind: 'anonymous'; readonly memory: AnonymousMemory }
  /** Read-only private mapping of a pager's bytes, through the bounded host cache. */
  | { readonly kind: 'pager'; readonly file: PagedFile; readonly fileOffset: Bytes }

/** A protection: PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE. */
export type Access = 'none' | 'read' | 'read-write'

/** How the program says it will use its pages. A hint: it may change where a page is and when it moves, never its bytes. Compare vm_flags and mempolicy. */
export interface VmaAdvice {
  /** In which order: VM_SEQ_READ, VM_RAND_READ. */
  readonly pattern: 'normal' | 'sequential' | 'random'
  /** They are read far more often than written. */
  readonly readMostly: boolean
  /** Where they are best: at the host, or in a memory by its number. Compare MPOL_PREFERRED. */
  readonly preferred: 'none' | 'host' | number
}

export const NO_ADVICE: VmaAdvice = { pattern: 'normal', readMostly: false, preferred: 'none' }

export function isSameAdvice(one: VmaAdvice, other: VmaAdvice): boolean {
  return one === other || (one.pattern === other.pattern && one.readMostly === other.readMostly && one.preferred === other.preferred)
}

/** What alloc or mmap handed out, until nothing is left of it. Several VMAs may be, after partial unmaps and changes of protection. */
export interface Allocation {
  readonly pointer: Address
  /** As asked for; the pages around it belong to the allocation too. */
  readonly byteLength: Bytes
  readonly label: string
  readonly kind: 'alloc' | 'mmap'
  /** What kernels may do at most, whatever the protection (the OpenCL allocation flags). Compare VM_MAYWRITE. */
  readonly deviceWrites: boolean
  /** What the host may do at most. */
  readonly hostWrites: boolean
  /** Set by free: new commands that name it are refused. */
  dying: boolean
}

export interface Vma {
  readonly start: Vpn
  readonly end: Vpn
  readonly access: Access
  readonly advice: VmaAdvice
  readonly backing: Backing
  readonly allocation: Allocation
}

// What may be done with a VMA's pages follows from its protection and from what the allocation was made for.

export function deviceMayRead(vma: Vma): boolean {
  return vma.access !== 'none'
}

export function deviceMayWrite(vma: Vma): boolean {
  return vma.access === 'read-write' && vma.allocation.deviceWrites
}

export function hostMayRead(vma: Vma): boolean {
  return vma.access !== 'none'
}

export function hostMayWrite(vma: Vma): boolean {
  return vma.access === 'read-write' && vma.allocation.hostWrites
}
