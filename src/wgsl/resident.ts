// The variant for passes in which no fault is possible: the table walk without grants, poison or taint.
//
// Always: loads have no branch. A bad access gives 0 or goes to the sink, the first one of an invocation is kept in private variables, and the
// wrapper reports it at the end; from then on the invocation changes nothing more.

import { CONTROL, FAULT, FAULT_HEADER_WORDS, FUEL_LOOK, PAGE_BITMAP, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'
import { meeting } from './attempt.ts'
import type { Pieces } from './wgsl-text.ts'

/**
 * @param fuelled loops that count have fuel too: a sealed pass (driver/seal) may refuse an access of one invocation, and what that leaves in workgroup memory may
 * be another's count
 */
export function addResident(pieces: Pieces, fuelled = false): void {
  pieces.addAll([
    'var<private> svm_bad_address: svm_ptr;',
    'var<private> svm_bad_kind: u32;',
    `fn svm_check(a: svm_ptr, kind: u32, right: bool) {
  let first = !right & (svm_bad_kind == 0u);
  svm_bad_address = select(svm_bad_address, a, first);
  svm_bad_kind = select(svm_bad_kind, kind, first);
}`,
    // The one mark of the hot path, without the loop of svm_mark_all.
    `fn svm_mark_dirty(i: u32) {
  let start = ${FAULT_HEADER_WORDS}u + ${WORKGROUP_BITMAPS}u * svm_control.header[${CONTROL.workgroupWords}] + ${PAGE_BITMAP.dirty}u * svm_control.header[${CONTROL.pageWords}];
  svm_mark(start + (i >> 5u), 1u << (i & 31u));
}`,
    `fn svm_reach_load(a: svm_ptr, misaligned: bool) -> u32 {
  let e = svm_table[svm_page_of(a)];
  let right = ((e & SVM_LOAD) != 0u) & !misaligned;
  svm_check(a, SVM_LOAD | select(0u, SVM_MISALIGNED, misaligned), right);
  return select(SVM_ZERO, svm_place(e, a), right);
}`,
    `fn svm_reach_write(a: svm_ptr, misaligned: bool, need: u32) -> u32 {
  let i = svm_page_of(a);
  let e = svm_table[i];
  svm_check(a, need | select(0u, SVM_MISALIGNED, misaligned), ((e & need) != 0u) & !misaligned);
  let allowed = svm_bad_kind == 0u;
  if (allowed & ((e & SVM_DIRTY) == 0u)) { svm_mark_dirty(i); }
  return select(SVM_SINK, svm_place(e, a), allowed);
}`,
    'fn svm_reach_store(a: svm_ptr, misaligned: bool) -> u32 { return svm_reach_write(a, misaligned, SVM_STORE); }',
    'fn svm_reach_exclusive(a: svm_ptr, misaligned: bool) -> u32 { return svm_reach_write(a, misaligned, SVM_EXCLUSIVE); }',
    'fn svm_taint() {}',
    ...waiting(),
    `fn svm_stop() -> bool { return ${fuelled ? 'svm_wait()' : 'svm_bad_kind != 0u'}; }`,
    'fn svm_barrier() { workgroupBarrier(); }',
    'fn svm_sbarrier() { storageBarrier(); }',
    'fn svm_faulted() -> bool { return svm_bad_kind != 0u; }',
  ])
}

/** The head of a loop that may wait for what never comes: it has fuel here too, and ends as after a bad access. */
export function waiting(): string[] {
  return [
    'var<private> svm_waits: u32;',
    `fn svm_wait() -> bool {
  if (svm_bad_kind != 0u) { return true; }
  svm_waits += 1u;
  if ((svm_waits & ${FUEL_LOOK - 1}u) != 0u) { return false; }
  if ((svm_waits < svm_control.header[${CONTROL.fuel}]) && (atomicLoad(&svm_faults[${FAULT.fuelOut}]) == 0u)) { return false; }
  atomicAdd(&svm_faults[${FAULT.fuelOut}], 1u);
  svm_bad_kind = SVM_LOAD;
  return true;
}`,
    'var<workgroup> svm_wgf: atomic<u32>;',
    ...meeting(`svm_waits |= ${FUEL_LOOK - 1}u;\n  if (svm_wait()) { atomicOr(&svm_wgf, 1u); }`, ''),
  ]
}

/** Statements at the end of the entry point. */
export function residentEpilogue(): string[] {
  return ['if (svm_bad_kind != 0u) { svm_report(svm_bad_address, svm_bad_kind); svm_abort(); }']
}
