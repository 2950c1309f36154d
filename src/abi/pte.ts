// The device page-table entry: 32 bits that the driver writes and every kernel reads. Their meaning is in driver/vmm; the states of a page
// on the host side are private to mm/page-table and are something else.
//
//   31                             10 9     0
//   [ place less word              ][ flags ]
//
// A *place* is pool << 29 | word of the pool. An entry has what the words of its page lack to their places, modulo 2^32: the word's number (the low half of
// its address, by 4) and the entry's upper bits make the place, with one addition. Pages that stand in order in one pool have the same.
//
// Always: an entry without `load`, `store` and `exclusive` names no frame.
// In a 32-bit space the table is indexed from the top downwards (`tableIndex`), because memory is handed out from the top: it is then as long as what
// is mapped, and an index past its end falls on the last entry, which is always 0. In a 64-bit space it is sparse (leaf.ts).

import { POOL_HEAD_WORDS } from './pool.ts'

export const PTE = {
  /** A plain or atomic load is allowed. */
  load: 1 << 0,
  /** A plain store by an untainted invocation is allowed. */
  store: 1 << 1,
  /** Atomics, and stores of tainted invocations, are allowed. */
  exclusive: 1 << 2,
  /** The frame is a private copy of this pass: touching it and storing to it is noted per workgroup. */
  private: 1 << 3,
  /** The page is not here, or not with this right, but a load fault can be serviced. */
  mayLoad: 1 << 4,
  /** A store or atomic fault can be serviced. */
  mayStore: 1 << 5,
  /** The page's dirty bit is already known to the driver: a store need not set it. */
  dirty: 1 << 6,
  /** Aperture: the frame is a read-only copy of a page whose master is the host. */
  system: 1 << 7,
} as const

export const PTE_FLAGS_MASK = 0x3ff
export const PTE_POOL_SHIFT = 29
export const PTE_RIGHTS = PTE.load | PTE.store | PTE.exclusive

/** Pools that an entry can name. */
export const POOLS_MAX = 8

/** Of the low half of an address in bytes: all that kernels look at. */
function wordNumber(address: number): number {
  // The shift takes the address modulo 2^32, and quicker than the remainder does.
  return address >>> 2
}

/** @param frameWords the frame's offset in its pool, in 32-bit words, not counting the pool's head @param address of the page, in bytes */
export function makePte(pool: number, frameWords: number, flags: number, address: number): number {
  const place = ((pool << PTE_POOL_SHIFT) | (POOL_HEAD_WORDS + frameWords)) >>> 0
  return ((place - wordNumber(address)) | flags) >>> 0
}

/** Of an entry that names a frame: the place of the word at an address of its page. */
function ptePlace(pte: number, address: number): number {
  return ((pte & ~PTE_FLAGS_MASK) + wordNumber(address)) >>> 0
}

export function ptePool(pte: number, address: number): number {
  return ptePlace(pte, address) >>> PTE_POOL_SHIFT
}

/** The word of its pool, the head counted. */
export function pteWord(pte: number, address: number): number {
  return ptePlace(pte, address) % 2 ** PTE_POOL_SHIFT
}

/** @param address of the page */
export function pteFrameWords(pte: number, address: number): number {
  return pteWord(pte, address) - POOL_HEAD_WORDS
}

/** `-RW-`-like text of an entry, and what it adds to a word's number, for messages and dumps. */
export function printPte(pte: number): string {
  const flag = (bit: number, letter: string) => ((pte & bit) !== 0 ? letter : '-')
  const flags = `${flag(PTE.load, 'L')}${flag(PTE.store, 'S')}${flag(PTE.exclusive, 'X')}${flag(PTE.private, 'P')}${flag(PTE.mayLoad, 'l')}${flag(PTE.mayStore, 's')}${flag(PTE.dirty, 'd')}${flag(PTE.system, 'h')}`
  return `${flags} ${(pte & ~PTE_FLAGS_MASK) >>> 0}`
}
