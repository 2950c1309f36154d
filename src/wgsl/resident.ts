// The variants for passes in which no fault is possible, or nobody is expected to fault (driver/seal): the table walk without grants, poison or taint.
//
// Always: no access has a branch, but for the marks. While it is not known what the kernel stores to, each store to a clean page leaves a mark of that page;
// when it is, stores are to dirty pages, and an invocation only keeps whether one was not.

import { CONTROL, FAULT_HEADER_WORDS, PAGE_BITMAP, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'
import { badKind } from './steady.ts'
import type { Pieces } from './wgsl-text.ts'

/** True of an invocation that stored to a clean page. */
export const STORED_RESIDENT = 'svm_stored'

/** What a store that is `allowed` leaves. @param marks a mark of the page, if it was clean */
export function noteStore(marks: boolean, index: string, entry: string): string {
  return marks ? `if (allowed & ((${entry} & SVM_DIRTY) == 0u)) { svm_mark_dirty(${index}); }` : `svm_stored = svm_stored | ((${entry} & SVM_DIRTY) == 0u);`
}

/** @param marks stores leave marks of the pages that were clean */
export function addResident(pieces: Pieces, marks: boolean): void {
  const note = (index: string, entry: string) => noteStore(marks, index, entry)
  pieces.addAll([
    'var<private> svm_stored: bool;',
    // The one mark of the hot path, without the loop of svm_mark_all.
    `fn svm_mark_dirty(i: u32) {
  let start = ${FAULT_HEADER_WORDS}u + ${WORKGROUP_BITMAPS}u * svm_control.header[${CONTROL.workgroupWords}] + ${PAGE_BITMAP.dirty}u * svm_control.header[${CONTROL.pageWords}];
  svm_mark(start + (i >> 5u), 1u << (i & 31u));
}`,
    `fn svm_reach_load(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 {
  let e = svm_table[svm_page_of(a)];
  let right = ((e & SVM_LOAD) != 0u) & !(nowhere | svm_misaligned(a, aligned));
  svm_check(a, ${badKind('SVM_LOAD', 'aligned')}, right);
  return select(SVM_ZERO, svm_place(e, a), right);
}`,
    `fn svm_reach_write(a: svm_ptr, aligned: u32, nowhere: bool, need: u32) -> u32 {
  let i = svm_page_of(a);
  let e = svm_table[i];
  svm_check(a, ${badKind('need', 'aligned')}, ((e & need) != 0u) & !(nowhere | svm_misaligned(a, aligned)));
  let allowed = svm_bad_kind == 0u;
  ${note('i', 'e')}
  return select(SVM_SINK, svm_place(e, a), allowed);
}`,
    'fn svm_reach_store(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 { return svm_reach_write(a, aligned, nowhere, SVM_STORE); }',
    'fn svm_reach_exclusive(a: svm_ptr, aligned: u32, nowhere: bool) -> u32 { return svm_reach_write(a, aligned, nowhere, SVM_EXCLUSIVE); }',
    // Where a vector's first and last word lie; those between lie in the page of either. Both are places as if the whole vector lay in that page.
    'struct svm_ends { first: u32, last: u32 }',
    `fn svm_reach_load_wide(a: svm_ptr, more: u32) -> svm_ends {
  let z = svm_add(a, more * 4u);
  let e = svm_table[svm_page_of(a)];
  let f = svm_table[svm_page_of(z)];
  let right = ((e & f & SVM_LOAD) != 0u) & !(svm_misaligned(a, 3u) | svm_equal(z, SVM_NOWHERE));
  svm_check(a, ${badKind('SVM_LOAD', '3u')}, right);
  return svm_ends(select(SVM_ZERO, svm_place(e, a), right), select(SVM_ZERO, svm_place(f, z) - more, right));
}`,
    `fn svm_reach_store_wide(a: svm_ptr, more: u32) -> svm_ends {
  let z = svm_add(a, more * 4u);
  let i = svm_page_of(a);
  let j = svm_page_of(z);
  let e = svm_table[i];
  let f = svm_table[j];
  svm_check(a, ${badKind('SVM_STORE', '3u')}, ((e & f & SVM_STORE) != 0u) & !(svm_misaligned(a, 3u) | svm_equal(z, SVM_NOWHERE)));
  let allowed = svm_bad_kind == 0u;
  ${marks ? `${note('i', 'e')}\n  ${note('j', 'f')}` : note('', 'e & f')}
  return svm_ends(select(SVM_SINK, svm_place(e, a), allowed), select(SVM_SINK, svm_place(f, z) - more, allowed));
}`,
  ])
}
