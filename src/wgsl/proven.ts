// Accessors of a kernel all of whose accesses are known to be where and as they may be (bounds.ts): an access is the way to its word, and nothing else.
//
// Always: pointers in it never leave the space, so arithmetic does not look whether they do. Nothing is reported but marks of pages that were clean.

import { CONTROL } from '../abi/fault-record.ts'
import type { ProgramVariant } from '../device/device.ts'
import { type AddressBits, low } from './addresses.ts'
import type { Pieces } from './wgsl-text.ts'

/**
 * What is known of the accesses of a launch before it runs: nothing; that all are where and as they may be; and that none of them crosses the end of a page
 * besides.
 */
export type Proof = 'none' | 'placed' | 'paged'

/** Where pages stand in order: what an address lacks to its place. */
export const provenShift = 'svm_window_shift'

/** Statements at the start of the entry point. */
export function provenPrologue(variant: ProgramVariant): string[] {
  return variant === 'direct' ? [`${provenShift} = svm_control.header[${CONTROL.windowShift}];`] : []
}

export interface ProvenWish {
  readonly addressBits: AddressBits
  readonly variant: ProgramVariant
  /** Stores to clean pages leave marks of them. */
  readonly marks: boolean
}

/** Puts these in place of what checks. */
export function putProven(pieces: Pieces, { addressBits: bits, variant, marks }: ProvenWish): void {
  for (const text of [...pointers(bits), ...(variant === 'direct' ? byShift(bits) : byTable(bits, marks))]) pieces.put(text)
  // None of its loops has fuel (bounds.ts), so nothing ends one early.
  pieces.put('fn svm_stop() -> bool { return false; }')
}

/** @param stride as WGSL @param product of i and the stride, both words of it where an address has two */
export function provenIndex(bits: AddressBits, product: string): string {
  if (bits === 32) return `return p + ${product};`
  return `let bytes = ${product};
  let q = p.x + bytes.x;
  return vec2<u32>(q, p.y + bytes.y + select(0u, 1u, q < p.x));`
}

function pointers(bits: AddressBits): string[] {
  if (bits === 32) {
    return [
      'fn svm_add(p: svm_ptr, bytes: u32) -> svm_ptr { return p + bytes; }',
      'fn svm_sub(p: svm_ptr, bytes: u32) -> svm_ptr { return p - bytes; }',
      `fn svm_index(p: svm_ptr, i: u32, stride: u32) -> svm_ptr { ${provenIndex(32, 'i * stride')} }`,
    ]
  }
  return [
    'fn svm_add(p: svm_ptr, bytes: u32) -> svm_ptr { let q = p.x + bytes; return vec2<u32>(q, p.y + select(0u, 1u, q < p.x)); }',
    'fn svm_sub(p: svm_ptr, bytes: u32) -> svm_ptr { return vec2<u32>(p.x - bytes, p.y - select(0u, 1u, bytes > p.x)); }',
    `fn svm_index(p: svm_ptr, i: u32, stride: u32) -> svm_ptr {
  ${provenIndex(64, 'svm_product(i, stride)')}
}`,
  ]
}

/** Pages stand in order: the place is the address, shifted. */
function byShift(bits: AddressBits): string[] {
  const place = bits === 32 ? `(a >> 2u) + ${provenShift}` : `(${low(bits, 'a')} + ${provenShift}) >> 2u`
  const reach = (name: string, second: string) => `fn ${name}(a: svm_ptr, ${second}: u32) -> u32 { return ${place}; }`
  return [
    `var<private> ${provenShift}: u32;`,
    reach('svm_reach_load', 'aligned'),
    reach('svm_reach_store', 'aligned'),
    reach('svm_reach_exclusive', 'aligned'),
    reach('svm_reach_load_wide', 'more'),
    reach('svm_reach_store_wide', 'more'),
  ]
}

/** Where no vector crosses the end of a page, the first word's page is that of all. */
function byTable(bits: AddressBits, marks: boolean): string[] {
  const index = bits === 32 ? '(~a) >> SVM_PAGE_SHIFT' : 'svm_page_of(a)'
  const note = marks ? '\n  if ((e & SVM_DIRTY) == 0u) { svm_mark_dirty(i); }' : ''
  const ends = (name: string, way: string) => `fn ${name}(a: svm_ptr, more: u32) -> svm_ends {
  let z = svm_add(a, more * 4u);
  return svm_ends(${way}(a), ${way}(z) - more);
}`
  return [
    `fn svm_way(a: svm_ptr) -> u32 { return svm_place(svm_table[${index}], a); }`,
    `fn svm_way_out(a: svm_ptr) -> u32 {
  let i = ${index};
  let e = svm_table[i];${note}
  return svm_place(e, a);
}`,
    'fn svm_reach_load(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 { return svm_way(a); }',
    'fn svm_reach_store(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 { return svm_way_out(a); }',
    'fn svm_reach_exclusive(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 { return svm_way_out(a); }',
    ends('svm_reach_load_wide', 'svm_way'),
    ends('svm_reach_store_wide', 'svm_way_out'),
    'fn svm_page_load_wide(a: svm_ptr, more: u32) -> u32 { return svm_way(a); }',
    'fn svm_page_store_wide(a: svm_ptr, more: u32) -> u32 { return svm_way_out(a); }',
  ]
}
