// What both variants share: the constants of the layouts, the walk of the page table, and the marks that a kernel leaves in `faults`.
//
// Always: every number of a layout is printed from src/abi, none is written twice. A mark is tested before it is made, so that a storm of faults
// on one page costs one atomic and many loads.
// The host binds page bitmaps for exactly as many pages as the bound table has entries: an index that svm_page_of gives is good for all.

import {
  CONTROL,
  CONTROL_HEADER_WORDS,
  EXAMPLE_WORDS,
  EXAMPLES,
  FAULT,
  FAULT_HEADER_WORDS,
  NEED,
  NEED_MISALIGNED,
  PAGE_BITMAP,
  PAGE_BITMAPS,
  WORKGROUP_BITMAP,
  WORKGROUP_BITMAPS,
} from '../abi/fault-record.ts'
import { PTE, PTE_FLAGS_MASK } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { type AddressBits, addAddresses, low } from './addresses.ts'
import { constant, type Pieces } from './wgsl-text.ts'
import { RUNTIME_BINDING } from './words.ts'

// One test serves as right and as need, and a need's bit number is its bitmap's number.
assert(NEED.read === PTE.load && NEED.write === PTE.store && NEED.exclusive === PTE.exclusive, 'a need and the right that answers it are the same bit')
assert(
  2 ** PAGE_BITMAP.read === NEED.read && 2 ** PAGE_BITMAP.write === NEED.write && 2 ** PAGE_BITMAP.exclusive === NEED.exclusive,
  'need bits number the bitmaps',
)
assert(
  PAGE_BITMAP.hintRead - PAGE_BITMAP.read === 3 && PAGE_BITMAP.hintWrite - PAGE_BITMAP.write === 3 && PAGE_BITMAP.hintExclusive - PAGE_BITMAP.exclusive === 3,
  'hint bitmaps follow the need bitmaps',
)

const HINT_BITMAPS = PAGE_BITMAP.hintRead - PAGE_BITMAP.read

export function addFaults(pieces: Pieces, wish: { readonly addressBits: AddressBits; readonly pageShift: number; readonly chained: boolean }): void {
  const { addressBits: bits, pageShift } = wish
  pieces.addAll([
    `@group(3) @binding(${RUNTIME_BINDING.table}) var<storage, read> svm_table: array<u32>;`,
    `@group(3) @binding(${RUNTIME_BINDING.faults}) var<storage, read_write> svm_faults: array<atomic<u32>>;`,
    `@group(3) @binding(${RUNTIME_BINDING.control}) var<storage, read> svm_control: svm_control_t;`,
    // The header has a size: a word of it by a constant index needs no check of bounds, and is the same for all invocations.
    `struct svm_control_t { header: array<u32, ${CONTROL_HEADER_WORDS}>, rest: array<u32> }`,
    constant('SVM_PAGE_SHIFT', pageShift),
    constant('SVM_PAGE_MASK', 2 ** pageShift - 1),
    constant('SVM_LOAD', PTE.load),
    constant('SVM_STORE', PTE.store),
    constant('SVM_EXCLUSIVE', PTE.exclusive),
    constant('SVM_PRIVATE', PTE.private),
    constant('SVM_MAY_LOAD', PTE.mayLoad),
    constant('SVM_MAY_STORE', PTE.mayStore),
    constant('SVM_DIRTY', PTE.dirty),
    constant('SVM_MISALIGNED', NEED_MISALIGNED),
    constant('SVM_HINTS', HINT_BITMAPS),
    ...Object.entries(PAGE_BITMAP).map(([name, bitmap]) => constant(`SVM_MARK_PAGE_${name.toUpperCase()}`, 2 ** bitmap)),
    ...Object.entries(WORKGROUP_BITMAP).map(([name, bitmap]) => constant(`SVM_MARK_${name.toUpperCase()}`, 2 ** (PAGE_BITMAPS + bitmap))),
    constant('SVM_PLACE_MASK', ~PTE_FLAGS_MASK >>> 0),
    'var<private> svm_slot: u32;',
    `fn svm_place(e: u32, a: svm_ptr) -> u32 { return (e & SVM_PLACE_MASK) + (${low(bits, 'a')} >> 2u); }`,
    // What follows in the chain must not run: see the wrapper.
    wish.chained
      ? `fn svm_abort() {
  let mine = svm_control.header[${CONTROL.link}];
  if (atomicLoad(&svm_faults[${FAULT.abort}]) < mine) { atomicMax(&svm_faults[${FAULT.abort}], mine); }
}`
      : 'fn svm_abort() {}',
    'fn svm_mark(word: u32, bit: u32) { if ((atomicLoad(&svm_faults[word]) & bit) == 0u) { atomicOr(&svm_faults[word], bit); } }',
    // A set of marks: bits 0 to 7 are the page bitmaps, bits 8 to 11 the workgroup bitmaps. One loop, so that an access holds one copy of it.
    `fn svm_mark_all(marks: u32, i: u32) {
  let workgroup_words = svm_control.header[${CONTROL.workgroupWords}];
  for (var rest = marks; rest != 0u; rest &= rest - 1u) {
    let k = countTrailingZeros(rest);
    let of_page = k < ${PAGE_BITMAPS}u;
    let n = select(svm_slot, i, of_page);
    let page_start = ${FAULT_HEADER_WORDS}u + ${WORKGROUP_BITMAPS}u * workgroup_words + k * svm_control.header[${CONTROL.pageWords}];
    let start = select(${FAULT_HEADER_WORDS}u + (k - ${PAGE_BITMAPS}u) * workgroup_words, page_start, of_page);
    svm_mark(start + (n >> 5u), 1u << (n & 31u));
  }
}`,
    `fn svm_example(a: svm_ptr, need: u32) {
  if (atomicLoad(&svm_faults[${FAULT.exampleCount}]) >= ${EXAMPLES}u) { return; }
  let n = atomicAdd(&svm_faults[${FAULT.exampleCount}], 1u);
  if (n >= ${EXAMPLES}u) { return; }
  let at = ${FAULT.examples}u + ${EXAMPLE_WORDS}u * n;
  atomicStore(&svm_faults[at], ${low(bits, 'a')});${bits === 32 ? '' : '\n  atomicStore(&svm_faults[at + 1u], a.y);'}
  atomicStore(&svm_faults[at + 2u], need);
  atomicStore(&svm_faults[at + 3u], svm_slot);
}`,
  ])
  addAddresses(pieces, bits, pageShift)
}
