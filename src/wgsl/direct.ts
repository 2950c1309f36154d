// The variant for passes in which no fault is possible and all pages that can be reached stand in order in one pool: an access is a subtraction.
//
// Always: no access has a branch. What lies outside of the window, or of its part that may be stored to, is a bad access (steady.ts). How far from the start
// of the dirty part an invocation stored is kept: in steady state nobody stored past its end, or, modulo 2^32, before its start.

import { CONTROL } from '../abi/fault-record.ts'
import type { AddressBits } from './addresses.ts'
import { badKind } from './steady.ts'
import type { Pieces } from './wgsl-text.ts'

/** What accesses ask of the window. Invocations hold it in variables of their own: a software device would go to memory for it at every access. */
const HELD = ['windowStart', 'windowWords', 'windowPlace'] as const
const HELD_BY_STORES = ['writableFrom', 'writableWords', 'dirtyFrom'] as const
type Held = 'windowStartHigh' | (typeof HELD)[number] | (typeof HELD_BY_STORES)[number]
const held = (word: Held) => `svm_${word.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`

/** Statements at the start of the entry point. */
export function directPrologue(bits: AddressBits, stores: boolean): string[] {
  const words: Held[] = [...HELD, ...(bits === 32 ? [] : ['windowStartHigh' as const]), ...(stores ? HELD_BY_STORES : [])]
  return words.map((word) => `${held(word)} = svm_control.header[${CONTROL[word]}];`)
}

/** True of an invocation that stored outside of the dirty part. */
export const STORED_DIRECT = `svm_stored >= svm_control.header[${CONTROL.dirtyWords}]`

export function addDirect(pieces: Pieces, bits: AddressBits): void {
  pieces.addAll([...HELD, 'windowStartHigh' as const, ...HELD_BY_STORES].map((word) => `var<private> ${held(word)}: u32;`))
  pieces.addAll([...offsets(bits), ...reach()])
}

/** From an address to its distance from the window's first byte; what lies below, or 4 GiB above, is far outside. */
function offsets(bits: AddressBits): string[] {
  if (bits === 32) return [`fn svm_offset(a: svm_ptr) -> u32 { return a - ${held('windowStart')}; }`]
  return [
    `fn svm_offset(a: svm_ptr) -> u32 {
  let start = vec2<u32>(${held('windowStart')}, ${held('windowStartHigh')});
  return select(0xffffffffu, a.x - start.x, a.y - select(0u, 1u, a.x < start.x) == start.y);
}`,
  ]
}

function reach(): string[] {
  return [
    // Words from the start of the dirty part, the most of all stores.
    'var<private> svm_stored: u32;',
    `fn svm_reach_load(a: svm_ptr, aligned: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w < ${held('windowWords')}) & ((offset & aligned) == 0u);
  svm_check(a, ${badKind('SVM_LOAD', 'aligned')}, right);
  return select(SVM_ZERO, ${held('windowPlace')} + w, right);
}`,
    `fn svm_reach_load_wide(a: svm_ptr, more: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w < ${held('windowWords')} - more) & ((offset & 3u) == 0u);
  svm_check(a, ${badKind('SVM_LOAD', '3u')}, right);
  return select(SVM_ZERO, ${held('windowPlace')} + w, right);
}`,
    `fn svm_reach_write(a: svm_ptr, aligned: u32, need: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w - ${held('writableFrom')} < ${held('writableWords')}) & ((offset & aligned) == 0u);
  svm_check(a, ${badKind('need', 'aligned')}, right);
  svm_stored = max(svm_stored, w - ${held('dirtyFrom')});
  return select(SVM_SINK, ${held('windowPlace')} + w, svm_bad_kind == 0u);
}`,
    `fn svm_reach_store_wide(a: svm_ptr, more: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w - ${held('writableFrom')} < max(${held('writableWords')}, more) - more) & ((offset & 3u) == 0u);
  svm_check(a, ${badKind('SVM_STORE', '3u')}, right);
  // Either end of the vector may lie outside of the dirty part.
  let stored = w - ${held('dirtyFrom')};
  svm_stored = max(svm_stored, max(stored, stored + more));
  return select(SVM_SINK, ${held('windowPlace')} + w, svm_bad_kind == 0u);
}`,
    'fn svm_reach_store(a: svm_ptr, aligned: u32) -> u32 { return svm_reach_write(a, aligned, SVM_STORE); }',
    'fn svm_reach_exclusive(a: svm_ptr, aligned: u32) -> u32 { return svm_reach_write(a, aligned, SVM_EXCLUSIVE); }',
  ]
}
