// What a kernel of a space with `debug` notes beside its work: who accessed which word, for the race detector, and the first invocation that spins.
//
// It lies at the end of the fault buffer, behind what passes clear, so that it lasts for a dispatch:
//
//   [ faults … ][ entries: SHADOW_ENTRY_WORDS each, a power of two of them ][ header: SHADOW_HEADER_WORDS ]
//
// An entry belongs to the address that claimed it first, and an access that finds none of SHADOW_PROBES entries free is counted in place of being noted: the
// table may miss a race, but not without saying so, and it never sees one that is not there. Of a table that is half full nothing is missed: with this hash,
// of half a million addresses at any stride, in one row or in many, none was seen to look at more than 57 entries. Accessors are pairs of the largest and the
// smallest, because those are the same in any order. Always: 0 is nothing noted; what is kept smallest is kept as its complement, largest.

export const SHADOW_HEADER_WORDS = 8
/** Word offsets in the header, which the host writes when a dispatch begins. */
export const SHADOW = {
  /** Number of entries less one. */
  mask: 0,
  /** 1: an invocation that spins is noted and ended; 0: the kernel may wait (class 'unsplittable'). */
  watchSpins: 1,
  /** 1 when the record of one spin below is taken. */
  claim: 2,
  address: 3,
  addressHigh: 4,
  workgroup: 5,
  line: 6,
  /** Accesses that found no place; at SHADOW_MISSED_MAX nobody counts further. */
  missed: 7,
} as const

export const SHADOW_MISSED_MAX = 0xf000_0000

export const SHADOW_ENTRY_WORDS = 12
/** Word offsets in an entry. Behind each of the last four the smallest follows the largest. */
export const SHADOW_ENTRY = {
  /** The address plus 1, in 64-bit spaces its low word; and there the high word plus 1. */
  key: 0,
  keyHigh: 1,
  /** The values that were stored plainly: all equal is a flag, and no race. */
  value: 2,
  /** Groups of accessors, packed by `packAccessor`. */
  stores: 4,
  loads: 6,
  /** Read-modify-writes, atomic stores. */
  updates: 8,
  atomicLoads: 10,
} as const

export const SHADOW_PROBES = 64
export const SHADOW_ENTRIES_MIN = 256

/** Bytes of a shadow with so many entries. */
export function shadowBytesOf(entries: number): number {
  return (entries * SHADOW_ENTRY_WORDS + SHADOW_HEADER_WORDS) * 4
}

/** The most entries, a power of two, that fit so many bytes. */
export function shadowEntriesIn(bytes: number): number {
  return 2 ** Math.floor(Math.log2((bytes / 4 - SHADOW_HEADER_WORDS) / SHADOW_ENTRY_WORDS))
}

/** Times in a row that an invocation may get the same value from the same word by an atomic that changes nothing. */
export const SPIN_MAX = 65_536

const LINE_BITS_MAX = 12

/** Bits that the line has in an accessor's word; the workgroup plus 1 has the rest. @param workgroups of the launch */
export function lineBits(workgroups: number): number {
  return Math.min(LINE_BITS_MAX, Math.clz32(workgroups))
}

/** Workgroup and line in one word; a line that does not fit is 0. The same in WGSL. */
export const PACK_WGSL = `let bits = min(${LINE_BITS_MAX}u, countLeadingZeros(workgroups)); return ((workgroup + 1u) << bits) | select(0u, line, line < (1u << bits));`

export function packAccessor(workgroup: number, line: number, workgroups: number): number {
  const bits = lineBits(workgroups)
  return (((workgroup + 1) << bits) | (line < 2 ** bits ? line : 0)) >>> 0
}

export function unpackAccessor(word: number, workgroups: number): { workgroup: number; line: number } {
  const bits = lineBits(workgroups)
  return { workgroup: Math.floor(word / 2 ** bits) - 1, line: word % 2 ** bits }
}

/** Where the search for an address starts, before the mask: every bit of the address counts for every bit of it, so that strides do not meet. */
export function shadowHash(low: number, high: number): number {
  let mixed = (low >>> 2) ^ (low << 30) ^ Math.imul(high, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** The same for `low` and `high` in WGSL. */
export const SHADOW_HASH_WGSL = `var mixed = (low >> 2u) ^ (low << 30u) ^ (high * 0x85ebca6bu);
  mixed = (mixed ^ (mixed >> 16u)) * 0x7feb352du;
  mixed = (mixed ^ (mixed >> 15u)) * 0x846ca68bu;
  return mixed ^ (mixed >> 16u);`
