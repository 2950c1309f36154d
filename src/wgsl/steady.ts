// What the variants share in which no fault is possible: the first bad access of an invocation, what stores tell, and the report at the end.
//
// A software device runs every line in every invocation, behind whatever condition it stands, and an atomic or a store costs it as much there as many
// additions. So the report is two stores and no more: the kind of the access, where the last one holds, and the address, in a record of the workgroup's own,
// or in its place that a store was not foreseen. All else the host finds out. A chain ends with its first link that fails: nobody stores FAULT.abort after that
// link, and all of it store the same. Always: a bad access gives 0 or goes to the sink, the first of an invocation is kept in private variables, and from then
// on the invocation changes nothing.

import { BAD_KIND_SHIFT, CONTROL, FAULT, FUEL_LOOK } from '../abi/fault-record.ts'
import type { AddressBits } from './addresses.ts'
import { meeting } from './attempt.ts'
import type { Pieces } from './wgsl-text.ts'

const control = (word: keyof typeof CONTROL) => `svm_control.header[${CONTROL[word]}]`

/** The kind of a bad access: its need, and the bits of the address that must be 0. */
export function badKind(need: string, aligned: string): string {
  return `(${need} << ${BAD_KIND_SHIFT}u) | ${aligned}`
}

export interface SteadyWish {
  readonly addressBits: AddressBits
  /** What goes wrong in it keeps others from running. */
  readonly chained: boolean
  /**
   * Loops that count have fuel too: a sealed pass (driver/seal) may refuse an access of one invocation, and what that leaves in workgroup memory may be another's
   * count.
   */
  readonly fuelled: boolean
  /** Of some bad accesses the index was kept (elements.ts). */
  readonly resolves: boolean
}

export function addSteady(pieces: Pieces, { addressBits: bits, chained, fuelled, resolves }: SteadyWish): void {
  pieces.addAll([
    'var<private> svm_bad_address: svm_ptr;',
    'var<private> svm_bad_kind: u32;',
    `fn svm_check(a: svm_ptr, kind: u32, right: bool) {
  let first = !right & (svm_bad_kind == 0u);
  svm_bad_address = select(svm_bad_address, a, first);
  svm_bad_kind = select(svm_bad_kind, kind, first);
}`,
    `fn svm_report() {${resolves ? ' svm_resolve();' : ''}
  let bad = svm_bad_kind != 0u;
  ${record(bits)}
  if (bad) { atomicStore(&svm_faults[${FAULT.badKind}], svm_bad_kind);${chained ? ` atomicStore(&svm_faults[${FAULT.abort}], ${control('link')});` : ''} }
}`,
    'fn svm_taint() {}',
    ...waiting(),
    `fn svm_stop() -> bool { return ${fuelled ? 'svm_wait()' : 'svm_bad_kind != 0u'}; }`,
    'fn svm_barrier() { workgroupBarrier(); }',
    'fn svm_sbarrier() { storageBarrier(); }',
    'fn svm_faulted() -> bool { return svm_bad_kind != 0u; }',
  ])
}

/** The first word of a record is never 0: that is what tells that there is one. */
function record(bits: AddressBits): string {
  const at = (words: string) => `select(${FAULT.unforeseen}u, ${control('records')} + ${words}, bad)`
  if (bits === 32) return `atomicStore(&svm_faults[${at('svm_slot')}], max(~svm_bad_address, 1u));`
  return `let at = ${at('2u * svm_slot')};
  atomicStore(&svm_faults[at], max(~svm_bad_address.y, 1u));
  atomicStore(&svm_faults[at + select(0u, 1u, bad)], select(1u, svm_bad_address.x, bad));`
}

/** The head of a loop that may wait for what never comes: it has fuel here too, and ends as after a bad access. */
function waiting(): string[] {
  return [
    'var<private> svm_waits: u32;',
    `fn svm_wait() -> bool {
  if (svm_bad_kind != 0u) { return true; }
  svm_waits += 1u;
  if ((svm_waits & ${FUEL_LOOK - 1}u) != 0u) { return false; }
  if ((svm_waits < ${control('fuel')}) && (atomicLoad(&svm_faults[${FAULT.fuelOut}]) == 0u)) { return false; }
  atomicAdd(&svm_faults[${FAULT.fuelOut}], 1u);
  svm_bad_kind = ${badKind('SVM_LOAD', '0u')};
  return true;
}`,
    'var<workgroup> svm_wgf: atomic<u32>;',
    ...meeting(`svm_waits |= ${FUEL_LOOK - 1}u;\n  if (svm_wait()) { atomicOr(&svm_wgf, 1u); }`, ''),
  ]
}

/** Statements at the end of the entry point. @param stored what is true of an invocation that stored to pages nobody knew to be dirty; null: none can */
export function steadyEpilogue(stored: string | null): string[] {
  return [stored === null ? 'if (svm_bad_kind != 0u) { svm_report(); }' : `if ((svm_bad_kind != 0u) | (${stored})) { svm_report(); }`]
}
