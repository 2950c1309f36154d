// One pass of a kernel on a simulated device: what its workgroups share. The exact twin of the WGSL runtime's buffers in group 3.
//
// Always: table, grants and frames do not change while a pass runs; `faults` only gains bits, except for the record of one bad access,
// which belongs to whoever claimed it first.

import { CONTROL, FAULT, FAULT_HEADER_WORDS, PAGE_BITMAPS, WORKGROUP_BITMAP, WORKGROUP_BITMAPS } from '../../abi/fault-record.ts'
import { POOL_HEAD_WORDS } from '../../abi/pool.ts'
import { PTE, PTE_FRAME_MASK, printPte, ptePool } from '../../abi/pte.ts'
import { assert } from '../../base/assert.ts'
import { type Address, hex } from '../../base/units.ts'
import type { ProgramDescriptor } from '../device.ts'

/** The buffers of group 3, as words. */
export interface PassBuffers {
  readonly table: Uint32Array
  readonly faults: Uint32Array
  readonly control: Uint32Array
  readonly pools: readonly (Uint32Array | null)[]
}

/** A descriptor may tell the width of a pointer; until the contract names it, 32 bits is meant. */
type Widths = ProgramDescriptor & { readonly addressBits?: 32 | 64 }

const SPACE_END = { 32: 2 ** 32, 64: 2 ** 48 } as const
const NOT_WITHOUT_GRANT = ~(PTE.store | PTE.exclusive)

export class SimPass {
  readonly label: string
  readonly resident: boolean
  readonly startTainted: boolean
  readonly addressBits: 32 | 64
  readonly pageShift: number
  /** Accesses an invocation may make; 0: any number. */
  readonly fuel: number
  /** Accesses made so far by all invocations. */
  accesses = 0
  readonly #buffers: PassBuffers
  readonly #pageMask: number
  readonly #spaceEnd: number
  readonly #tableLast: number
  readonly #grants: number
  readonly #workgroupWords: number
  readonly #pageWords: number
  readonly #pageBitmaps: number
  readonly #first: number

  constructor(descriptor: ProgramDescriptor, buffers: PassBuffers) {
    const { control, table, faults } = buffers
    this.label = descriptor.label
    this.resident = descriptor.variant === 'resident'
    this.startTainted = descriptor.startTainted
    this.addressBits = (descriptor as Widths).addressBits ?? 32
    this.pageShift = descriptor.pageShift
    this.fuel = control[CONTROL.fuel]
    this.#buffers = buffers
    this.#pageMask = 2 ** descriptor.pageShift - 1
    this.#spaceEnd = SPACE_END[this.addressBits]
    this.#tableLast = table.length - 1
    this.#grants = control[CONTROL.grants]
    this.#workgroupWords = control[CONTROL.workgroupWords]
    this.#pageWords = control[CONTROL.pageWords]
    this.#pageBitmaps = FAULT_HEADER_WORDS + WORKGROUP_BITMAPS * this.#workgroupWords
    this.#first = this.#pageBitmaps + PAGE_BITMAPS * this.#pageWords
    assert(table[this.#tableLast] === 0, `the last entry of the page table is 0, but it is ${printPte(table[this.#tableLast])}`)
    assert(this.resident || this.#grants + table.length <= control.length, `an attempt has a grant for every one of the ${table.length} entries`)
    const end = this.resident ? this.#first : this.#first + table.length
    assert(end <= faults.length, `the fault buffer of a pass has ${end} words, but it has ${faults.length}`)
  }

  /** Table index of the page that holds an address; an address beyond the table, or outside the space, gets the last entry. */
  indexOf(address: Address): number {
    if (!(address >= 0 && address < this.#spaceEnd)) return this.#tableLast
    const index = this.addressBits === 32 ? (~address >>> 0) >>> this.pageShift : Math.floor((this.#spaceEnd - 1 - address) / (this.#pageMask + 1))
    return Math.min(index, this.#tableLast)
  }

  /** The entry that counts in this pass: the grant where there is one. */
  entry(index: number): number {
    const { table, control } = this.#buffers
    if (this.resident) return table[index]
    const grant = control[this.#grants + index]
    return grant !== 0 ? grant : table[index] & NOT_WITHOUT_GRANT
  }

  pool(entry: number): Uint32Array {
    const words = this.#buffers.pools[ptePool(entry)]
    assert(words !== null && words !== undefined, `the entry ${printPte(entry)} names a pool that is bound`)
    return words
  }

  /** Where in its pool an address lies, in words. */
  wordOf(entry: number, address: Address, pool: Uint32Array): number {
    const word = (entry & PTE_FRAME_MASK) + POOL_HEAD_WORDS + ((address & this.#pageMask) >>> 2)
    assert(word < pool.length, `${hex(address)} lies in its pool, by the entry ${printPte(entry)}`)
    return word
  }

  /** @param bitmap one of WORKGROUP_BITMAP */
  markWorkgroup(bitmap: number, slot: number): void {
    this.#setBit(FAULT_HEADER_WORDS + bitmap * this.#workgroupWords, this.#workgroupWords, slot)
  }

  /** @param bitmap one of PAGE_BITMAP */
  markPage(bitmap: number, index: number): void {
    this.#setBit(this.#pageBitmaps + bitmap * this.#pageWords, this.#pageWords, index)
  }

  /** A slot wanted a page: the smallest one is kept, as its distance from the top. */
  markFirst(index: number, slot: number): void {
    const { faults } = this.#buffers
    faults[this.#first + index] = Math.max(faults[this.#first + index], 0xffffffff - slot)
  }

  /** Keeps the first bad access of the pass. @param kind a bit of NEED, perhaps with NEED_MISALIGNED */
  claimBad(address: Address, kind: number, slot: number): void {
    const { faults } = this.#buffers
    if (faults[FAULT.badClaim] !== 0) return
    faults[FAULT.badClaim] = 1
    faults[FAULT.badAddress] = address
    faults[FAULT.badAddressHigh] = Math.floor(address / 2 ** 32)
    faults[FAULT.badKind] = kind
    faults[FAULT.badSlot] = slot
  }

  /** An unpoisoned invocation used up its fuel. */
  ranOut(slot: number): void {
    this.#buffers.faults[FAULT.fuelOut]++
    this.markWorkgroup(WORKGROUP_BITMAP.faulted, slot)
  }

  #setBit(start: number, length: number, bit: number): void {
    assert(bit < length * 32, `bit ${bit} lies in a bitmap of ${length} words`)
    this.#buffers.faults[start + (bit >>> 5)] |= 1 << (bit & 31)
  }
}
