// The variant for passes in which no fault is possible and all pages that can be reached stand in order in one pool: an access is a subtraction.
//
// Always: no access has a branch. What lies outside of the window, or of its part that may be stored to, is a bad access: it reads zero or goes to the sink,
// the first one of an invocation is kept, and the wrapper reports it at the end; from then on the invocation changes nothing more. Stores to pages that
// are not known to be dirty are noted as a range, and reported at the end too: in steady state there are none.

import { CONTROL, FAULT } from '../abi/fault-record.ts'
import { type AddressBits, low } from './addresses.ts'
import { waiting } from './resident.ts'
import type { Pieces } from './wgsl-text.ts'

/** In the kind of a bad access: its need, and above it the bits of the address that had to be 0. */
const NEED_MASK = 0xff
const ALIGNED_SHIFT = 8

const control = (word: keyof typeof CONTROL) => `svm_control.header[${CONTROL[word]}]`

/** What accesses ask of the window. Invocations hold it in variables of their own: a software device would go to memory for it at every access. */
const HELD = ['windowStart', 'windowWords', 'windowPlace'] as const
const HELD_BY_STORES = ['writableFrom', 'writableWords', 'dirtyFrom', 'dirtyWords'] as const
type Held = 'windowStartHigh' | (typeof HELD)[number] | (typeof HELD_BY_STORES)[number]
const held = (word: Held) => `svm_${word.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`

/** Statements at the start of the entry point. */
export function directPrologue(bits: AddressBits, stores: boolean): string[] {
  const words: Held[] = [...HELD, ...(bits === 32 ? [] : ['windowStartHigh' as const]), ...(stores ? HELD_BY_STORES : [])]
  return words.map((word) => `${held(word)} = ${control(word)};`)
}

export function addDirect(pieces: Pieces, bits: AddressBits, pageShift: number): void {
  pieces.addAll([...HELD, 'windowStartHigh' as const, ...HELD_BY_STORES].map((word) => `var<private> ${held(word)}: u32;`))
  pieces.addAll([...offsets(bits), ...checks(), ...reach(), ...ends(bits, pageShift)])
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

function checks(): string[] {
  return [
    'var<private> svm_bad_address: svm_ptr;',
    'var<private> svm_bad_kind: u32;',
    // Words that were stored to outside of the dirty part, counted from its start and from its end: the largest and the smallest, modulo 2^32.
    'var<private> svm_stored_high: u32;',
    'var<private> svm_stored_low: u32 = 0xffffffffu;',
    `fn svm_check(a: svm_ptr, kind: u32, right: bool) {
  let first = !right & (svm_bad_kind == 0u);
  svm_bad_address = select(svm_bad_address, a, first);
  svm_bad_kind = select(svm_bad_kind, kind, first);
}`,
  ]
}

function reach(): string[] {
  return [
    `fn svm_reach_load(a: svm_ptr, aligned: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w < ${held('windowWords')}) & ((offset & aligned) == 0u);
  svm_check(a, SVM_LOAD | (aligned << ${ALIGNED_SHIFT}u), right);
  return select(SVM_ZERO, ${held('windowPlace')} + w, right);
}`,
    `fn svm_reach_load_wide(a: svm_ptr, more: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w < ${held('windowWords')} - more) & ((offset & 3u) == 0u);
  svm_check(a, SVM_LOAD | ${3 << ALIGNED_SHIFT}u, right);
  return select(SVM_ZERO, ${held('windowPlace')} + w, right);
}`,
    `fn svm_reach_write(a: svm_ptr, aligned: u32, need: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w - ${held('writableFrom')} < ${held('writableWords')}) & ((offset & aligned) == 0u);
  svm_check(a, need | (aligned << ${ALIGNED_SHIFT}u), right);
  let allowed = svm_bad_kind == 0u;
  let stored = select(0u, w - ${held('dirtyFrom')}, allowed);
  svm_stored_high = max(svm_stored_high, stored);
  svm_stored_low = min(svm_stored_low, stored - ${held('dirtyWords')});
  return select(SVM_SINK, ${held('windowPlace')} + w, allowed);
}`,
    `fn svm_reach_store_wide(a: svm_ptr, more: u32) -> u32 {
  let offset = svm_offset(a);
  let w = offset >> 2u;
  let right = (w - ${held('writableFrom')} < max(${held('writableWords')}, more) - more) & ((offset & 3u) == 0u);
  svm_check(a, SVM_STORE | ${3 << ALIGNED_SHIFT}u, right);
  let allowed = svm_bad_kind == 0u;
  // Either end of the vector may lie outside of the dirty part.
  let stored = select(0u, w - ${held('dirtyFrom')}, allowed);
  let last = select(0u, stored + more, allowed);
  svm_stored_high = max(svm_stored_high, max(stored, last));
  svm_stored_low = min(svm_stored_low, min(stored - ${held('dirtyWords')}, last - ${held('dirtyWords')}));
  return select(SVM_SINK, ${held('windowPlace')} + w, allowed);
}`,
    'fn svm_reach_store(a: svm_ptr, aligned: u32) -> u32 { return svm_reach_write(a, aligned, SVM_STORE); }',
    'fn svm_reach_exclusive(a: svm_ptr, aligned: u32) -> u32 { return svm_reach_write(a, aligned, SVM_EXCLUSIVE); }',
    'fn svm_taint() {}',
    ...waiting(),
    'fn svm_stop() -> bool { return svm_bad_kind != 0u; }',
    'fn svm_barrier() { workgroupBarrier(); }',
    'fn svm_sbarrier() { storageBarrier(); }',
    'fn svm_faulted() -> bool { return svm_bad_kind != 0u; }',
  ]
}

/** What an invocation reports when it ends. */
function ends(bits: AddressBits, pageShift: number): string[] {
  const nowhere = bits === 32 ? ' | (svm_bad_address == SVM_NOWHERE)' : ''
  return [
    // Of a vector whose start was good, the first word past the end was bad.
    `fn svm_report_bad() {
  let need = svm_bad_kind & ${NEED_MASK}u;
  let misaligned = ((${low(bits, 'svm_bad_address')} & (svm_bad_kind >> ${ALIGNED_SHIFT}u)) != 0u)${nowhere};
  let loads = need == SVM_LOAD;
  let offset = svm_offset(svm_bad_address) - 4u * select(${control('writableFrom')}, 0u, loads);
  let end = 4u * select(${control('writableWords')}, ${control('windowWords')}, loads);
  let past = select(0u, end - offset, !misaligned & (offset < end));
  svm_report(svm_add(svm_bad_address, past), need | select(0u, SVM_MISALIGNED, misaligned));
  svm_abort();
}`,
    // Few atomics and no test: a software device runs these lines in every invocation.
    `fn svm_report_stores() {
  let first = svm_stored_low + ${control('dirtyFrom')} + ${control('dirtyWords')};
  let last = svm_stored_high + ${control('dirtyFrom')};
  // Stores on both sides of the dirty part: all that may be stored to.
  let both = first > last;
  let start = select(first, ${control('writableFrom')}, both) >> ${pageShift - 2}u;
  let end = select(last, ${control('writableFrom')} + ${control('writableWords')} - 1u, both) >> ${pageShift - 2}u;
  atomicMax(&svm_faults[${FAULT.storedFirst}u], 0xffffffffu - start);
  atomicMax(&svm_faults[${FAULT.storedLast}u], end + 1u);
}`,
  ]
}

/** Statements at the end of the entry point. */
export function directEpilogue(stores: boolean): string[] {
  const report = `if (svm_stored_low <= ~${control('dirtyWords')}) { svm_report_stores(); }`
  return ['if (svm_bad_kind != 0u) { svm_report_bad(); }', ...(stores ? [report] : [])]
}
