// Addresses as WGSL, in both widths: arithmetic on svm_ptr, and the way from an address to its entry in the page table.
//
// Always: arithmetic that leaves the space gives SVM_NOWHERE, the last byte of the space, which is never mapped. In a 32-bit space an address is a
// u32 and its page's index is a shift; in a 64-bit space it is a vec2<u32>, low word first and below 2^48, and the directory is searched
// (abi/leaf), unless the invocation's last access was in the same leaf. Indices below LEAF_PAGES then mean: this page has no entry.

import { CONTROL, FAULT, FAULT_HEADER_WORDS, NEED, PAGE_BITMAP, PAGE_BITMAPS, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'
import { BUCKET_WORDS, LEAF_HASH_WGSL, LEAF_PAGES, LEAF_SHIFT, MISS, MISS_KIND_SHIFT, MISS_LEAVES, MISS_PROBES, MISS_WORDS, NO_LEAF_KEY } from '../abi/leaf.ts'
import { assert } from '../base/assert.ts'
import { constant, type Pieces } from './wgsl-text.ts'

assert(
  [PAGE_BITMAP.read, PAGE_BITMAP.write, PAGE_BITMAP.exclusive].every((bitmap, bit) => bitmap === bit) && NEED.exclusive === 4,
  'the words of a miss are numbered like need bits',
)

export type AddressBits = 32 | 64

/** The low word of a pointer. */
export function low(bits: AddressBits, pointer: string): string {
  return bits === 32 ? pointer : `${pointer}.x`
}

/** True for SVM_NOWHERE where only its value tells that it cannot be mapped; in a 64-bit space its page has no entry. */
export function isNowhere(bits: AddressBits, pointer: string): string {
  return bits === 32 ? `${pointer} == SVM_NOWHERE` : 'false'
}

/** What authors do with pointers. */
export function pointerTexts(bits: AddressBits): string[] {
  return bits === 32 ? POINTERS_32 : POINTERS_64
}

const POINTERS_32 = [
  'alias svm_ptr = u32;',
  'const SVM_NULL = svm_ptr(0u);',
  'const SVM_NOWHERE = 0xffffffffu;',
  constant('SVM_PTR_SIZE', 4),
  'fn svm_add(p: svm_ptr, bytes: u32) -> svm_ptr { let q = p + bytes; return select(q, SVM_NOWHERE, q < p); }',
  'fn svm_sub(p: svm_ptr, bytes: u32) -> svm_ptr { return select(p - bytes, SVM_NOWHERE, bytes > p); }',
  // The quotient is a constant where the stride is one (and all ones where it is 0): no product up to it leaves 32 bits, and a sum that does is less than
  // its parts. Nothing but the division stands around the stride, so that compilers that know little more than arithmetic fold it too.
  `fn svm_index(p: svm_ptr, i: u32, stride: u32) -> svm_ptr {
  let q = p + i * stride;
  return select(q, SVM_NOWHERE, (i > 0xffffffffu / stride) | (q < p));
}`,
  'fn svm_equal(a: svm_ptr, b: svm_ptr) -> bool { return a == b; }',
  'fn svm_is_null(p: svm_ptr) -> bool { return p == 0u; }',
  'fn svm_difference(a: svm_ptr, b: svm_ptr) -> u32 { return a - b; }',
  'fn svm_select(a: svm_ptr, b: svm_ptr, condition: bool) -> svm_ptr { return select(a, b, condition); }',
]

const POINTERS_64 = [
  'alias svm_ptr = vec2<u32>;',
  'const SVM_NULL = svm_ptr(0u, 0u);',
  'const SVM_NOWHERE = vec2<u32>(0xffffffffu, 0xffffu);',
  constant('SVM_PTR_SIZE', 8),
  `fn svm_add(p: svm_ptr, bytes: u32) -> svm_ptr {
  let q = p.x + bytes;
  let high = p.y + select(0u, 1u, q < p.x);
  return select(vec2<u32>(q, high), SVM_NOWHERE, (p.y | high) > 0xffffu);
}`,
  `fn svm_sub(p: svm_ptr, bytes: u32) -> svm_ptr {
  let borrow = select(0u, 1u, bytes > p.x);
  return select(vec2<u32>(p.x - bytes, p.y - borrow), SVM_NOWHERE, (p.y < borrow) | (p.y > 0xffffu));
}`,
  // The product of two words has two; each partial sum below fits one.
  `fn svm_product(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let cross = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2<u32>(a * b, (a >> 16u) * (b >> 16u) + (middle >> 16u) + (cross >> 16u));
}`,
  `fn svm_index(p: svm_ptr, i: u32, stride: u32) -> svm_ptr {
  let bytes = svm_product(i, stride);
  let q = p.x + bytes.x;
  let high = p.y + bytes.y + select(0u, 1u, q < p.x);
  return select(vec2<u32>(q, high), SVM_NOWHERE, (p.y > 0xffffu) | (bytes.y > 0xffffu) | (high > 0xffffu));
}`,
  'fn svm_equal(a: svm_ptr, b: svm_ptr) -> bool { return all(a == b); }',
  'fn svm_is_null(p: svm_ptr) -> bool { return (p.x | p.y) == 0u; }',
  // Modulo 2^32, as in a 32-bit space: both say how far apart two places of one allocation are.
  'fn svm_difference(a: svm_ptr, b: svm_ptr) -> u32 { return a.x - b.x; }',
  'fn svm_select(a: svm_ptr, b: svm_ptr, condition: bool) -> svm_ptr { return select(a, b, condition); }',
]

/** From an address to its index in the table, and the record of a bad access. */
export function addAddresses(pieces: Pieces, bits: AddressBits, pageShift: number): void {
  if (bits === 32) {
    // What lies past the end of the table falls on the last entry, which is always 0.
    pieces.add('fn svm_page_of(a: svm_ptr) -> u32 { return min((~a) >> SVM_PAGE_SHIFT, arrayLength(&svm_table) - 1u); }')
  } else pieces.addAll([...walk(pageShift), missed(pageShift)])
  pieces.add(`fn svm_record_bad(a: svm_ptr, kind: u32) {
  if (atomicLoad(&svm_faults[${FAULT.badClaim}]) != 0u) { return; }
  if (atomicExchange(&svm_faults[${FAULT.badClaim}], 1u) != 0u) { return; }
  svm_claimed(a, kind);
}`)
  pieces.add(`fn svm_claimed(a: svm_ptr, kind: u32) {
  atomicStore(&svm_faults[${FAULT.badAddress}], ${low(bits, 'a')});${bits === 32 ? '' : `\n  atomicStore(&svm_faults[${FAULT.badAddressHigh}], a.y);`}
  atomicStore(&svm_faults[${FAULT.badKind}], kind);
  atomicStore(&svm_faults[${FAULT.badSlot}], svm_slot);
}`)
}

function walk(pageShift: number): string[] {
  const shift = pageShift + LEAF_SHIFT
  return [
    'var<private> svm_leaf: u32;',
    'var<private> svm_leaf_index: u32;',
    `fn svm_leaf_key(a: svm_ptr) -> u32 { return select(((a.y << ${32 - shift}u) | (a.x >> ${shift}u)) + 1u, ${NO_LEAF_KEY}u, a.y > 0xffffu); }`,
    `fn svm_leaf_hash(key: u32) -> u32 { ${LEAF_HASH_WGSL} }`,
    `fn svm_leaf_find(key: u32) -> u32 {
  let start = svm_control.header[${CONTROL.directory}];
  let mask = svm_control.header[${CONTROL.directoryMask}];
  let home = svm_leaf_hash(key);
  for (var n = 0u; n <= mask; n++) {
    let bucket = start + ((home + n) & mask) * ${BUCKET_WORDS}u;
    let found = svm_table[bucket];
    if (found == key) { return svm_table[bucket + 1u]; }
    if (found == 0u) { break; }
  }
  return 0u;
}`,
    `fn svm_page_of(a: svm_ptr) -> u32 {
  let key = svm_leaf_key(a);
  if (key != svm_leaf) {
    svm_leaf_index = svm_leaf_find(key);
    svm_leaf = key;
  }
  return svm_leaf_index + ((a.x >> SVM_PAGE_SHIFT) & ${LEAF_PAGES - 1}u);
}`,
  ]
}

/** Notes an access to a page without an entry, in the record of its leaf: the host finds out whether it is mapped. */
function missed(pageShift: number): string {
  const offsetMask = 2 ** (pageShift + LEAF_SHIFT) - 1
  return `fn svm_missed(a: svm_ptr, need: u32) {
  let key = svm_leaf_key(a);
  let home = svm_leaf_hash(key);
  let start = ${FAULT_HEADER_WORDS}u + ${WORKGROUP_BITMAPS}u * svm_control.header[${CONTROL.workgroupWords}] + ${PAGE_BITMAPS}u * svm_control.header[${CONTROL.pageWords}];
  for (var n = 0u; n < ${MISS_PROBES}u;) {
    let at = start + ((home + n) & ${MISS_LEAVES - 1}u) * ${MISS_WORDS}u;
    var held = atomicLoad(&svm_faults[at]);
    if (held == 0u) {
      // A weak exchange may fail without a reason: then the record is free still, and it is tried again.
      let r = atomicCompareExchangeWeak(&svm_faults[at], 0u, key);
      if (!r.exchanged & (r.old_value == 0u)) { continue; }
      held = select(r.old_value, key, r.exchanged);
    }
    if (held != key) {
      n++;
      continue;
    }
    svm_mark(at + ${MISS.wants}u + countTrailingZeros(need) + select(0u, SVM_HINTS, svm_poisoned), 1u << ((a.x >> SVM_PAGE_SHIFT) & ${LEAF_PAGES - 1}u));
    if (svm_poisoned | (atomicLoad(&svm_faults[at + ${MISS.claim}u]) != 0u)) { return; }
    if (atomicExchange(&svm_faults[at + ${MISS.claim}u], 1u) != 0u) { return; }
    atomicStore(&svm_faults[at + ${MISS.access}u], (a.x & ${offsetMask}u) | (need << ${MISS_KIND_SHIFT}u));
    atomicStore(&svm_faults[at + ${MISS.slot}u], svm_slot);
    return;
  }
}`
}
