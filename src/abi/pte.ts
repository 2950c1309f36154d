// The device page-table entry: 32 bits that the driver writes and every kernel reads. Their meaning is in driver/vmm; the states of a page
// on the host side are private to mm/page-table and are something else.
//
//   31   29 28                     10 9     0
//   [ pool ][ frame's word offset   ][ flags ]
//
// Always: an entry without `load`, `store` and `exclusive` names no frame. The word offset does not count the pool's head (pool.ts).
// In a 32-bit space the table is indexed from the top downwards (`tableIndex`), because memory is handed out from the top: it is then as long as what
// is mapped, and an index past its end falls on the last entry, which is always 0. In a 64-bit space it is sparse (leaf.ts).

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
export const PTE_FRAME_MASK = 0x1ffffc00
export const PTE_POOL_SHIFT = 29
export const PTE_RIGHTS = PTE.load | PTE.store | PTE.exclusive

/** Pools that an entry can name. */
export const POOLS_MAX = 8

/** @param frameWords the frame's offset in its pool, in 32-bit words, not counting the pool's head */
export function makePte(pool: number, frameWords: number, flags: number): number {
  return ((pool << PTE_POOL_SHIFT) | frameWords | flags) >>> 0
}

export function ptePool(pte: number): number {
  return pte >>> PTE_POOL_SHIFT
}

export function pteFrameWords(pte: number): number {
  return pte & PTE_FRAME_MASK
}

/** `-RW-`-like text of an entry, for messages and dumps. */
export function printPte(pte: number): string {
  const flag = (bit: number, letter: string) => ((pte & bit) !== 0 ? letter : '-')
  const flags = `${flag(PTE.load, 'L')}${flag(PTE.store, 'S')}${flag(PTE.exclusive, 'X')}${flag(PTE.private, 'P')}${flag(PTE.mayLoad, 'l')}${flag(PTE.mayStore, 's')}${flag(PTE.dirty, 'd')}${flag(PTE.system, 'h')}`
  return `${flags} pool ${ptePool(pte)} word ${pteFrameWords(pte)}`
}
