// What a kernel leaves behind when it cannot go on, and what it is told when it starts.
//
// faults (read_write, 32-bit atomics):
//   [ header: FAULT_HEADER_WORDS ][ 4 workgroup bitmaps ][ 8 page bitmaps ][ misses: only in a 64-bit space (leaf.ts) ][ wanted: WANTED_WORDS a page ]
//   … [ in place of the last, where no fault is possible: a record for each slot ]
// control (read only):
//   [ header: CONTROL_HEADER_WORDS ][ worklist: one word a slot ]
//
// A *slot* is the position of a workgroup in the window that this pass runs. Page bitmaps and `wanted` are indexed by table
// index (abi/geometry, abi/leaf). Bitmaps have no order and cannot overflow: correctness never depends on a list. The header holds a few examples of
// faults, for diagnosis only: what finds no room there is not lost.

import { MISS_LEAVES, MISS_WORDS } from './leaf.ts'

/** Word offsets in the header of `faults`. */
export const FAULT = {
  /** 1 when the record of one bad access below is taken. */
  badClaim: 0,
  badAddress: 1,
  badAddressHigh: 2,
  /** Bits of NEED, plus NEED_MISALIGNED. Where no fault is possible: the kind of one bad access (see BAD_KIND_SHIFT), 0 when there was none. */
  badKind: 3,
  badSlot: 4,
  /** Invocations that ran out of fuel. */
  fuelOut: 5,
  /** Where no fault is possible: not 0 when there was a store to a page that was clean, in a variant that does not say which. */
  unforeseen: 7,
  /** Faults that wanted to be examples, also those that found no room. */
  exampleCount: 8,
  /** EXAMPLES records of EXAMPLE_WORDS: address, its high word, bits of NEED, slot. */
  examples: 16,
  /** Of a chain of dispatches: 0xffffffff minus the first in which something went wrong (atomicMax keeps the smallest); 0: none. Later ones do nothing. */
  abort: 15,
} as const
export const EXAMPLES = 32
/** The kind of a bad access where no fault is possible: bits of NEED above these, and in these the bits of the address that had to be 0. */
export const BAD_KIND_SHIFT = 2
export const EXAMPLE_WORDS = 4
/** Loop iterations between two looks at whether somebody ran out of fuel; fuel is a multiple of it. */
export const FUEL_LOOK = 4096
export const FAULT_HEADER_WORDS = FAULT.examples + EXAMPLES * EXAMPLE_WORDS

/** What a dispatch wants of a page. Real faults use these bits; hints (faults of poisoned invocations) the same, in bitmaps of their own. */
export const NEED = { read: 1, write: 2, exclusive: 4 } as const
export const NEED_MISALIGNED = 8

/** Workgroup bitmaps, in this order, each `workgroupWords` long. */
export const WORKGROUP_BITMAP = {
  /** Must run again: it faulted, made a bad access or ran out of fuel. */
  faulted: 0,
  /** It took a fault that the host can service (a bad access of the same workgroup may be an echo of it). */
  serviceable: 1,
  /** It accessed a private page. */
  touched: 2,
  /** It stored to a private page. */
  dirty: 3,
} as const
export const WORKGROUP_BITMAPS = 4

/** Page bitmaps, in this order, each `pageWords` long. */
export const PAGE_BITMAP = {
  read: 0,
  write: 1,
  exclusive: 2,
  hintRead: 3,
  hintWrite: 4,
  hintExclusive: 5,
  /** Touched with success by the workgroup in slot 0 (the lead). */
  lead: 6,
  /** Stored to while writable. */
  dirty: 7,
} as const
export const PAGE_BITMAPS = 8

/** Word offsets in the header of `control`. */
export const CONTROL = {
  /** Bits of CONTROL_MODE. */
  mode: 0,
  /** Workgroups in this pass. */
  slots: 1,
  /** Linear id of the workgroup in slot 0 when there is no worklist. */
  firstWorkgroup: 2,
  /** Workgroups of the whole launch, x, y, z. */
  workgroupsX: 3,
  workgroupsY: 4,
  workgroupsZ: 5,
  /** Work-items of the whole launch, x, y, z: a guard for remainders. */
  globalX: 6,
  globalY: 7,
  globalZ: 8,
  /** Added to global_invocation_id. */
  offsetX: 9,
  offsetY: 10,
  offsetZ: 11,
  /** Loop iterations an invocation may make in a pass that may fault. */
  fuel: 12,
  /** Word offset of the records in `faults`. */
  records: 13,
  /** Word offset of the worklist in this buffer. */
  worklist: 14,
  /** Length in words of a workgroup bitmap. */
  workgroupWords: 15,
  /** Length in words of a page bitmap. */
  pageWords: 16,
  /** In a 64-bit space: word offset of the directory in the table, and its number of buckets less one. */
  directory: 17,
  directoryMask: 18,
  /** In the direct variant: the address of the window's first byte, its words, and the place of its first word in the pool. */
  windowStart: 19,
  windowStartHigh: 20,
  windowWords: 21,
  windowPlace: 22,
  /** Its parts that may be stored to, and that are dirty already (at least one word, if the kernel stores): words from its start, and their number. */
  writableFrom: 23,
  writableWords: 24,
  dirtyFrom: 25,
  dirtyWords: 26,
  /** 0: nobody notes which groups of slots used a page; else a group has 2 ** (this - 1) slots, and there are at most SLOT_GROUPS. */
  slotGroups: 27,
  /** Of a launch whose accesses are known to be in place: what an address lacks to its place in the pool, in words; in a 64-bit space its low word, in bytes. */
  windowShift: 28,
  /** FAULT.abort as it was before this dispatch: for kernels with barriers, whose invocations must all see the same. */
  aborted: 30,
  /** 0xffffffff minus the place of this dispatch in its chain; 0xffffffff for the first, and for one alone. */
  link: 31,
} as const
export const CONTROL_HEADER_WORDS = 32

export const CONTROL_MODE = {
  /** Slot s runs workgroup worklist[s]; without it, firstWorkgroup + s. */
  worklist: 1,
} as const

/** Where the parts of `faults` lie for one pass, in words. */
export interface FaultLayout {
  readonly workgroupWords: number
  readonly pageWords: number
  readonly workgroupBitmaps: number
  readonly pageBitmaps: number
  readonly misses: number
  readonly wanted: number
  /** In its place: records of bad accesses, one a slot, where no fault is possible. */
  readonly records: number
  readonly endWords: number
}

/** Words of `misses`. */
export function missWords(addressBits: 32 | 64): number {
  return addressBits === 32 ? 0 : MISS_LEAVES * MISS_WORDS
}

/** @param slots workgroups in the pass; @param tableEntries entries of the page table */
export function faultLayout(slots: number, tableEntries: number, addressBits: 32 | 64): FaultLayout {
  const workgroupWords = Math.ceil(slots / 32)
  const pageWords = Math.ceil(tableEntries / 32)
  const workgroupBitmaps = FAULT_HEADER_WORDS
  const pageBitmaps = workgroupBitmaps + WORKGROUP_BITMAPS * workgroupWords
  const misses = pageBitmaps + PAGE_BITMAPS * pageWords
  const wanted = misses + missWords(addressBits)
  const endWords = wanted + Math.max(WANTED_WORDS * tableEntries, recordWords(addressBits) * slots)
  return { workgroupWords, pageWords, workgroupBitmaps, pageBitmaps, misses, wanted, records: wanted, endWords }
}

/** Words of the record of a slot: the complement of the address, and never 0; in a 64-bit space that of the high word, and the low word. */
export function recordWords(addressBits: 32 | 64): number {
  return addressBits / 32
}

/** The address in a record; null: there is none. What does not differ by its complement's last bit is taken for the last byte of the space. */
export function recordedAddress(records: Uint32Array, slot: number, addressBits: 32 | 64): number | null {
  const words = recordWords(addressBits)
  const first = records[slot * words] as number
  if (first === 0) return null
  const high = first === 1 ? 0xffffffff : ~first >>> 0
  return words === 1 ? high : high * 2 ** 32 + (records[slot * words + 1] as number)
}

/** Words a page in `wanted`. */
export const WANTED_WORDS = 2
/** Parts of a pass that are told apart where pages are used: a bit each in the words of a page, set when one of its slots wanted it, whether it was here or not. */
export const SLOT_GROUPS = 64

/** What CONTROL.slotGroups says for so many slots. */
export function slotGroupsOf(slots: number): number {
  return 1 + Math.max(0, Math.ceil(Math.log2(slots / SLOT_GROUPS)))
}
