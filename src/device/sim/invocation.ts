// One work-item's way to memory: rights, faults, poison and taint. The twin of the WGSL runtime's access path (replay-grants section 3).
//
// Always, in an attempt: the first fault of an invocation is real and poisons it; a poisoned invocation changes nothing any more, and what it
// lacks is a hint. Taint comes from every atomic load and every atomic whose result is used; a tainted store needs the page for itself.
// Always, in a resident pass: an access without a right is a bad access; loads give 0, and from then on the invocation changes nothing.
// Addresses outside the space are where the pointer arithmetic of WGSL saturates: at its last byte, which every accessor refuses.

import { NEED, NEED_MISALIGNED, PAGE_BITMAP, WORKGROUP_BITMAP } from '../../abi/fault-record.ts'
import { SPACE_BYTES } from '../../abi/geometry.ts'
import { PTE } from '../../abi/pte.ts'
import { SPIN_MAX } from '../../abi/shadow.ts'
import type { Address } from '../../base/units.ts'
import type { SimPass } from './sim-pass.ts'

/** 'exclusive': atomic stores, read-modify-writes, compare-exchanges. Atomic loads are loads that taint. */
export type AccessKind = 'load' | 'store' | 'exclusive'

/** Accesses a poisoned invocation may still make: its twin has no loop tests to end it. */
export const POISONED_ACCESSES_MAX = 10_000

/** Ends an invocation from inside an accessor. Never leaves the simulated device. */
export class EndInvocation extends Error {}

interface Want {
  readonly right: number
  readonly need: number
  readonly may: number
  readonly realBitmap: number
  readonly hintBitmap: number
}

const WANT_READ: Want = { right: PTE.load, need: NEED.read, may: PTE.mayLoad, realBitmap: PAGE_BITMAP.read, hintBitmap: PAGE_BITMAP.hintRead }
const WANT_WRITE: Want = { right: PTE.store, need: NEED.write, may: PTE.mayStore, realBitmap: PAGE_BITMAP.write, hintBitmap: PAGE_BITMAP.hintWrite }
const WANT_EXCLUSIVE: Want = {
  right: PTE.exclusive,
  need: NEED.exclusive,
  may: PTE.mayStore,
  realBitmap: PAGE_BITMAP.exclusive,
  hintBitmap: PAGE_BITMAP.hintExclusive,
}

const NO_WORDS = new Uint32Array(0)

export class Invocation {
  readonly pass: SimPass
  readonly slot: number
  poisoned = false
  tainted: boolean
  /** The pool that the last successful `reach` ended in. */
  words: Uint32Array
  #accesses = 0
  #poisonedAccesses = 0
  #spins = 0
  #spinAddress = -1
  #spinValue = 0

  constructor(pass: SimPass, slot: number) {
    this.pass = pass
    this.slot = slot
    this.tainted = pass.startTainted && this.#taints
    this.words = NO_WORDS
  }

  /** Counts one access, and ends an invocation that makes too many. @throws EndInvocation */
  tick(): void {
    const { pass } = this
    pass.accesses++
    this.#accesses++
    if (this.poisoned) this.#poisonedAccesses++
    const ranOut = this.#poisonedAccesses > POISONED_ACCESSES_MAX || (pass.fuel !== 0 && this.#accesses > pass.fuel)
    if (!ranOut) return
    // A poisoned invocation has faulted, and its loops would have ended in WGSL: it asks for service, not for fuel.
    if (!this.poisoned) pass.ranOut(this.slot)
    this.poisoned = true
    throw new EndInvocation(`an invocation of '${pass.label}' would not end`)
  }

  /** True when atomics on workgroup memory must change nothing. */
  get suppressed(): boolean {
    return this.poisoned && !this.pass.resident
  }

  taint(): void {
    if (this.#taints) this.tainted = true
  }

  /** Without faults nobody asks, but the race detector. */
  get #taints(): boolean {
    return !this.pass.resident || this.pass.shadow !== null
  }

  /** True when an access made now is noted: its address and its value depend on no order of workgroups. */
  get watched(): boolean {
    return this.pass.shadow !== null && !this.tainted && !this.poisoned
  }

  /** Notes an access that was made. @param accessors a group of SHADOW_ENTRY @param watched before it */
  note(address: Address, accessors: number, value = 0, watched = this.watched): void {
    this.#spins = 0
    if (watched && !this.poisoned) this.pass.shadow?.note(address, accessors, value, this.pass.workgroupOf(this.slot))
  }

  /** An atomic that changed nothing gave this value: too often in a row, and the invocation waits. @throws EndInvocation */
  spun(address: Address, value: number): void {
    const { pass, slot } = this
    if (pass.shadow === null || this.poisoned) return
    this.#spins = address === this.#spinAddress && value === this.#spinValue ? this.#spins + 1 : 0
    this.#spinAddress = address
    this.#spinValue = value
    if (this.#spins < SPIN_MAX || !pass.shadow.watchesSpins) return
    pass.shadow.noteSpin(address, pass.workgroupOf(slot))
    pass.markWorkgroup(WORKGROUP_BITMAP.faulted, slot)
    this.poisoned = true
    throw new EndInvocation(`an invocation of '${pass.label}' waits`)
  }

  /** True when all bytes lie in one page, so that one walk serves them. */
  onePage(address: Address, byteLength: number): boolean {
    return this.pass.onePage(address, byteLength)
  }

  /** Walks to one scalar. Returns its word in `words`, or -1 when the access must not happen. */
  reach(address: Address, alignment: number, kind: AccessKind): number {
    this.tick()
    const { pass } = this
    const nowhere = SPACE_BYTES[pass.addressBits] - 1
    const outside = !(address >= 0 && address < nowhere)
    const asked = outside ? nowhere : address
    const index = pass.indexOf(asked)
    const entry = pass.entry(index, asked)
    const want = this.#want(kind)
    const misaligned = outside || asked % alignment !== 0
    if (misaligned || (entry & want.right) === 0) {
      this.#refuse(asked, index, entry, want, alignment, misaligned)
      return -1
    }
    if (!pass.resident) pass.markUsed(index, this.slot)
    if (kind !== 'load' && this.poisoned) return -1
    this.#note(index, entry, kind)
    this.words = pass.pool(entry, address)
    return pass.wordOf(entry, address, this.words)
  }

  /** What an atomic gives that may change nothing: in an attempt the word, if it may be read. The invocation goes on from there, and asks for what it will need. */
  peek(address: Address): number {
    const { pass } = this
    if (pass.resident || address % 4 !== 0 || !(address >= 0 && address < SPACE_BYTES[pass.addressBits] - 1)) return 0
    const entry = pass.entry(pass.indexOf(address), address)
    if ((entry & PTE.load) === 0) return 0
    const words = pass.pool(entry, address)
    return words[pass.wordOf(entry, address, words)]
  }

  #want(kind: AccessKind): Want {
    if (kind === 'load') return WANT_READ
    return kind === 'exclusive' || this.tainted ? WANT_EXCLUSIVE : WANT_WRITE
  }

  /** What a granted access leaves behind. */
  #note(index: number, entry: number, kind: AccessKind): void {
    const { pass, slot } = this
    if (kind !== 'load' && (entry & PTE.dirty) === 0) pass.markStored(index)
    if (pass.resident) return
    if ((entry & PTE.private) !== 0) {
      pass.markWorkgroup(WORKGROUP_BITMAP.touched, slot)
      if (kind !== 'load') pass.markWorkgroup(WORKGROUP_BITMAP.dirty, slot)
    }
    if (slot === 0 && !this.poisoned) pass.markPage(PAGE_BITMAP.lead, index)
  }

  #refuse(address: Address, index: number, entry: number, want: Want, alignment: number, misaligned: boolean): void {
    const { pass, slot } = this
    const missed = pass.isMiss(index)
    if (pass.resident) {
      if (!this.poisoned) pass.recordBad(address, want.need, alignment - 1, slot)
      this.poisoned = true
    } else if (misaligned || (!missed && (entry & want.may) === 0)) {
      if (this.poisoned) return
      pass.claimBad(address, want.need | (misaligned ? NEED_MISALIGNED : 0), slot)
      pass.markWorkgroup(WORKGROUP_BITMAP.faulted, slot)
      this.poisoned = true
    } else if (missed) {
      pass.markMiss(address, want.need, slot, this.poisoned)
      if (this.poisoned) return
      pass.markWorkgroup(WORKGROUP_BITMAP.faulted, slot)
      this.poisoned = true
    } else {
      pass.markPage(this.poisoned ? want.hintBitmap : want.realBitmap, index)
      const first = pass.markUsed(index, slot)
      if (this.poisoned) return
      if (first) pass.example(address, want.need, slot)
      pass.markWorkgroup(WORKGROUP_BITMAP.faulted, slot)
      pass.markWorkgroup(WORKGROUP_BITMAP.serviceable, slot)
      this.poisoned = true
    }
  }
}
