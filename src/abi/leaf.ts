// The page table of a 64-bit space, which is sparse: leaves of LEAF_PAGES pages each lie in slots, and a directory finds them.
//
//   [ slot 0: the leaf of nothing ][ slot 1 ] … [ slot n - 1 ][ directory: buckets of two words, a leaf's key and where its slot begins ]
//
// The table index of a page is slot * LEAF_PAGES + its place in the leaf. Always: every entry of slot 0 is 0, and every page without a slot has
// its index there; a bucket with key 0 is empty; at least half of the buckets are, so that a search ends.
//
// A kernel that touches a page without a slot has no bit to set. It notes the leaf in `misses`, a set of MISS_LEAVES records in the fault buffer, found by
// the same hash. The set may overflow: who finds no room runs again when the others have been served.

import type { Vpn } from '../base/units.ts'

export const LEAF_SHIFT = 5
export const LEAF_PAGES = 2 ** LEAF_SHIFT

/** The key of the leaf that holds a page: 32 bits, never 0. In WGSL: `(address >> (pageShift + LEAF_SHIFT)) + 1`. */
export function leafKey(vpn: Vpn): number {
  return Math.floor(vpn / LEAF_PAGES) + 1
}

export function firstPageOfLeaf(key: number): Vpn {
  return (key - 1) * LEAF_PAGES
}

/** No leaf has this key: it stands for addresses beyond the space. */
export const NO_LEAF_KEY = 0xffffffff

const HASH_FACTOR = 0x9e3779b1
const HASH_SHIFT = 15

/** Where the search for a key starts, before the mask. */
export function leafHash(key: number): number {
  const product = Math.imul(key, HASH_FACTOR) >>> 0
  return (product ^ (product >>> HASH_SHIFT)) >>> 0
}

/** The same for `key` in WGSL. */
export const LEAF_HASH_WGSL = `let product = key * ${HASH_FACTOR}u; return product ^ (product >> ${HASH_SHIFT}u);`

export const BUCKET_WORDS = 2

/** Buckets of the directory of so many slots: a power of two, at most half full. */
export function directoryBuckets(slots: number): number {
  let buckets = 2
  while (buckets < slots * 2) buckets *= 2
  return buckets
}

/** Records in `misses`, and how many of them a search looks at: powers of two. */
export const MISS_LEAVES = 256
export const MISS_PROBES = 16

/** Word offsets in a record of `misses`. */
export const MISS = {
  /** The leaf's key; 0: the record is free. */
  key: 0,
  /** One word each for read, write, exclusive, and the same as hints (the order of PAGE_BITMAP): a bit for each page of the leaf. */
  wants: 1,
  /** 1 when the one access below is noted: the first that was no hint. If nothing of the leaf is mapped, it is the bad access to report. */
  claim: 7,
  /** Its offset from the start of the leaf in bytes, and above MISS_KIND_SHIFT the bits of NEED. */
  access: 8,
  slot: 9,
} as const
export const MISS_WORDS = 10
export const MISS_WANTS = 6
export const MISS_KIND_SHIFT = 28
export const MISS_OFFSET_MASK = 2 ** MISS_KIND_SHIFT - 1
