// The variant for passes that may fault: the protocol of replay by grants (reference/replay-grants.md section 3) on the side of the kernel.
//
// An invocation is *poisoned* from its first fault, bad access or empty fuel on: its loads without right give 0, its stores and atomics change
// nothing (atomics give what is there), its later faults are hints, its guarded loops end. It is *tainted* once it has used what another workgroup may change: its stores then need
// the exclusive right. Both are sticky, and cross the workgroup at barriers through `svm_wgf` (bit 0 poison, bit 1 taint), which the cold paths
// set at once. Where values cross without a barrier that the runtime sees (subgroup operations, workgroupUniformLoad) every store, atomic, fault and loop
// head looks at `svm_wgf` first.
//
// Always: an access with the right touches exactly the granted frame; one without it touches words 0 to 7 of pool 0 and nothing else.

import { CONTROL, FAULT, FAULT_HEADER_WORDS, FUEL_LOOK, missWords, PAGE_BITMAPS, WANTED_WORDS, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'
import { LEAF_PAGES } from '../abi/leaf.ts'
import type { AddressBits } from './addresses.ts'
import type { Pieces } from './wgsl-text.ts'

/** Turns of loops that count which an invocation that faulted makes in a row without asking for a page that nobody had asked for. */
const TIRED_AFTER = 32

export interface AttemptWish {
  readonly addressBits: AddressBits
  /** The workgroup shares poison and taint: it has barriers, workgroup memory or subgroup operations. */
  readonly workgroupFlag: boolean
  /** Look at the workgroup's flag before every store, atomic, fault and loop head. */
  readonly polls: boolean
}

export function addAttempt(pieces: Pieces, wish: AttemptWish): void {
  pieces.addAll([...state(wish), ...rights(), ...wants(wish), ...failure(wish), ...reach(wish), ...control(wish)])
}

function state(wish: AttemptWish): string[] {
  const share = (bit: number) => (wish.workgroupFlag ? ` if ((atomicLoad(&svm_wgf) & ${bit}u) == 0u) { atomicOr(&svm_wgf, ${bit}u); }` : '')
  const texts = [
    'var<private> svm_poisoned: bool;',
    'var<private> svm_tainted: bool;',
    'var<private> svm_fuel: u32;',
    // The word that a write would go to, as far as it may be read.
    'var<private> svm_peek: u32;',
    'var<private> svm_was_touched: bool;',
    'var<private> svm_was_dirty: bool;',
    `fn svm_poison() { svm_poisoned = true;${share(1)} svm_abort(); }`,
    `fn svm_taint() { if (!svm_tainted) { svm_tainted = true;${share(2)} } }`,
  ]
  if (wish.workgroupFlag) {
    texts.push(
      'var<workgroup> svm_wgf: atomic<u32>;',
      `fn svm_poll() {
  let flags = atomicLoad(&svm_wgf);
  svm_poisoned = svm_poisoned | ((flags & 1u) != 0u);
  svm_tainted = svm_tainted | ((flags & 2u) != 0u);
}`,
    )
  }
  return texts
}

function rights(): string[] {
  return [
    // The marks of an access that has its right.
    `fn svm_note(e: u32, stores: bool) -> u32 {
  var marks = select(0u, SVM_MARK_PAGE_LEAD, (svm_slot == 0u) & !svm_poisoned) | select(0u, SVM_MARK_PAGE_DIRTY, stores & ((e & SVM_DIRTY) == 0u));
  if ((e & SVM_PRIVATE) == 0u) { return marks; }
  marks |= select(SVM_MARK_TOUCHED, 0u, svm_was_touched) | select(0u, SVM_MARK_DIRTY, stores & !svm_was_dirty);
  svm_was_touched = true;
  svm_was_dirty = svm_was_dirty | stores;
  return marks;
}`,
  ]
}

/** Which groups of slots use a page. */
function wants({ addressBits: bits }: AttemptWish): string[] {
  return [
    `fn svm_wanted_at(i: u32) -> u32 {
  return ${FAULT_HEADER_WORDS + missWords(bits)}u + ${WORKGROUP_BITMAPS}u * svm_control.header[${CONTROL.workgroupWords}] + ${PAGE_BITMAPS}u * svm_control.header[${CONTROL.pageWords}] + ${WANTED_WORDS}u * i;
}`,
    // Somebody of this group of slots uses the page, or would.
    `fn svm_use(i: u32) {
  let groups = svm_control.header[${CONTROL.slotGroups}];
  let group = svm_slot >> (max(groups, 1u) - 1u);
  if (groups != 0u) { svm_mark(svm_wanted_at(i) + (group >> 5u), 1u << (group & 31u)); }
}`,
    // The same; true for the first that does, or one of a few that are first together.
    `fn svm_wanted(i: u32) -> bool {
  let word = svm_wanted_at(i);
  let first = (atomicLoad(&svm_faults[word]) | atomicLoad(&svm_faults[word + 1u])) == 0u;
  svm_use(i);
  return first;
}`,
  ]
}

/** An access without its right: what it leaves, and poison. The marks to make are returned. */
function failure(wish: AttemptWish): string[] {
  const poll = wish.polls ? '\n  svm_poll();' : ''
  const wide = wish.addressBits === 64
  // Of a page without an entry only the host knows whether it is mapped.
  const hopeless = wide ? `(a.y > 0xffffu) | ((i >= ${LEAF_PAGES}u) & ((e & may) == 0u))` : '((e & may) == 0u)'
  const miss = wide
    ? `
  if (i < ${LEAF_PAGES}u) {
    svm_missed(a, need);
    if (svm_poisoned) { return 0u; }
    svm_poison();
    return SVM_MARK_FAULTED;
  }`
    : ''
  return [
    `fn svm_fault(a: svm_ptr, i: u32, e: u32, need: u32, misaligned: bool) -> u32 {${poll}
  let may = select(SVM_MAY_STORE, SVM_MAY_LOAD, need == SVM_LOAD);
  if (misaligned | ${hopeless}) {
    if (svm_poisoned) { return 0u; }
    svm_record_bad(a, need | select(0u, SVM_MISALIGNED, misaligned));
    svm_poison();
    return SVM_MARK_FAULTED;
  }${miss}
  let first = svm_wanted(i);
  if (svm_poisoned) {
    if (first) { svm_tired = 0u; }
    return need << SVM_HINTS;
  }
  svm_poison();
  if (first) { svm_example(a, need); }
  return need | SVM_MARK_FAULTED | SVM_MARK_SERVICEABLE;
}`,
  ]
}

function reach(wish: AttemptWish): string[] {
  const poll = wish.polls ? '\n  svm_poll();' : ''
  return [
    `fn svm_reach_load(a: svm_ptr, misaligned: bool) -> u32 {
  let i = svm_page_of(a);
  let e = svm_table[i];
  let right = ((e & SVM_LOAD) != 0u) & !misaligned;
  if (right) { svm_use(i); }
  if (!right | ((e & SVM_PRIVATE) != 0u) | (svm_slot == 0u)) {
    var marks: u32;
    if (right) { marks = svm_note(e, false); } else { marks = svm_fault(a, i, e, SVM_LOAD, misaligned); }
    svm_mark_all(marks, i);
  }
  return select(SVM_ZERO, svm_place(e, a), right);
}`,
    `fn svm_reach_write(a: svm_ptr, misaligned: bool, need: u32) -> u32 {
  let i = svm_page_of(a);
  let e = svm_table[i];
  let right = ((e & need) != 0u) & !misaligned;
  var marks: u32;
  if (!right) { marks = svm_fault(a, i, e, need, misaligned); }
  if (right) { svm_use(i); }
  let allowed = right & !svm_poisoned;
  if (allowed) { marks = svm_note(e, true); }
  svm_mark_all(marks, i);
  svm_peek = select(SVM_ZERO, svm_place(e, a), ((e & SVM_LOAD) != 0u) & !misaligned);
  return select(SVM_SINK, svm_place(e, a), allowed);
}`,
    `fn svm_reach_store(a: svm_ptr, misaligned: bool) -> u32 {${poll}
  return svm_reach_write(a, misaligned, select(SVM_STORE, SVM_EXCLUSIVE, svm_tainted));
}`,
    `fn svm_reach_exclusive(a: svm_ptr, misaligned: bool) -> u32 {${poll}
  return svm_reach_write(a, misaligned, SVM_EXCLUSIVE);
}`,
  ]
}

function control(wish: AttemptWish): string[] {
  const poll = wish.polls ? '\n  svm_poll();' : ''
  const after = wish.workgroupFlag ? ' svm_poll();' : ''
  return [
    `fn svm_stop() -> bool {${poll}
  if (svm_poisoned) { return true; }
  svm_fuel -= 1u;
  if ((svm_fuel & ${FUEL_LOOK - 1}u) != 0u) { return false; }
  // Once one has none left, the pass is over for those who go on and on: they get more in the next.
  if ((svm_fuel != 0u) && (atomicLoad(&svm_faults[${FAULT.fuelOut}]) == 0u)) { return false; }
  svm_mark_all(SVM_MARK_FAULTED, 0u);
  atomicAdd(&svm_faults[${FAULT.fuelOut}], 1u);
  svm_poison();
  return true;
}`,
    `fn svm_barrier() { workgroupBarrier();${after} }`,
    `fn svm_sbarrier() { storageBarrier();${after} }`,
    'fn svm_wait() -> bool { return svm_stop(); }',
    ...meeting(`svm_fuel = ((svm_fuel - 1u) & ~${FUEL_LOOK - 1}u) + 1u;\n  svm_stop();`, 'svm_poll();'),
    // A loop that counts ends whatever memory holds: what it would still have touched is asked for in this pass, not a page a pass. It ends earlier when it
    // only repeats what others ask for; pages are finitely many, so it does.
    `fn svm_tire() -> bool {${poll}
  if (!svm_poisoned) { return svm_stop(); }
  svm_tired += 1u;
  return svm_tired > ${TIRED_AFTER}u;
}`,
    'var<private> svm_tired: u32;',
    'fn svm_faulted() -> bool { return svm_poisoned; }',
  ]
}

/** Turns of a loop with barriers between two looks at the workgroup's flag. */
const MEET_EVERY = 16

/**
 * The head of a loop that a workgroup leaves as one: every so many turns all meet, look whether one of them cannot go on, and say the same. A turn with a
 * barrier takes as long as hundreds without, so these cost that much fuel.
 * @param spend uses up fuel until the next look, and raises the workgroup's flag where there is none left
 */
export function meeting(spend: string, after: string): string[] {
  return [
    `fn svm_meet(turns: u32) -> bool {
  if ((turns & ${MEET_EVERY - 1}u) != ${MEET_EVERY - 1}u) { return false; }
  ${spend}
  let flags = workgroupUniformLoad(&svm_wgf);
  ${after}
  return (flags & 1u) != 0u;
}`,
  ]
}

/** Statements at the start of the entry point. */
export function attemptPrologue(startTainted: boolean): string[] {
  return [`svm_fuel = svm_control.header[${CONTROL.fuel}];`, ...(startTainted ? ['svm_tainted = true;'] : [])]
}
