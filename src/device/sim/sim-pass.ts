// One pass of a kernel on a simulated device: what its workgroups share. The exact twin of the WGSL runtime's buffers in group 3.
//
// Always: table and frames do not change while a pass runs; `faults` only gains bits, except for the record of one bad access,
// which belongs to whoever claimed it first.

import {
  BAD_KIND_SHIFT,
  CONTROL,
  CONTROL_MODE,
  EXAMPLE_WORDS,
  EXAMPLES,
  FAULT,
  FAULT_HEADER_WORDS,
  missWords,
  PAGE_BITMAP,
  PAGE_BITMAPS,
  recordWords,
  WANTED_WORDS,
  WORKGROUP_BITMAP,
  WORKGROUP_BITMAPS,
} from '../../abi/fault-record.ts'
import { SPACE_BYTES } from '../../abi/geometry.ts'
import { BUCKET_WORDS, LEAF_PAGES, leafHash, leafKey, MISS, MISS_KIND_SHIFT, MISS_LEAVES, MISS_PROBES, MISS_WANTS, MISS_WORDS } from '../../abi/leaf.ts'
import { POOL_HEAD_WORDS } from '../../abi/pool.ts'
import { makePte, PTE, PTE_POOL_SHIFT, printPte, ptePool, pteWord } from '../../abi/pte.ts'
import { assert } from '../../base/assert.ts'
import { type Address, hex } from '../../base/units.ts'
import type { ProgramDescriptor } from '../device.ts'
import { SimShadow } from './sim-shadow.ts'

/** The buffers of group 3, as words. */
export interface PassBuffers {
  readonly table: Uint32Array
  readonly faults: Uint32Array
  readonly control: Uint32Array
  readonly pools: readonly (Uint32Array | null)[]
}

export class SimPass {
  readonly label: string
  /** Nobody may fault: the resident variant, the direct one, and the sealed one, which is thrown away when somebody did. */
  readonly resident: boolean
  readonly startTainted: boolean
  readonly addressBits: 32 | 64
  readonly pageShift: number
  /** Accesses an invocation may make; 0: any number. */
  readonly fuel: number
  /** What accesses are noted in, with `debug`. */
  readonly shadow: SimShadow | null
  /** Accesses made so far by all invocations. */
  accesses = 0
  readonly #direct: boolean
  /** Nobody looks at what it accesses: here it must be right. */
  readonly #proven: boolean
  readonly #marks: boolean
  readonly #buffers: PassBuffers
  readonly #pageMask: number
  readonly #spaceEnd: number
  /** Where addresses without an entry lie: its entry is 0. */
  readonly #nothing: number
  readonly #workgroupWords: number
  readonly #pageWords: number
  readonly #pageBitmaps: number
  readonly #misses: number
  readonly #directory: number
  readonly #directoryMask: number
  readonly #wanted: number
  readonly #link: number
  readonly #asks: boolean

  constructor(descriptor: ProgramDescriptor, buffers: PassBuffers) {
    const { control, table, faults } = buffers
    this.label = descriptor.label
    this.resident = descriptor.variant !== 'attempt'
    this.#direct = descriptor.variant === 'direct'
    this.#proven = descriptor.proven === true
    this.#marks = !this.resident || descriptor.marks === true
    this.startTainted = descriptor.startTainted
    this.addressBits = descriptor.addressBits
    this.pageShift = descriptor.pageShift
    this.fuel = this.resident && descriptor.variant !== 'sealed' ? 0 : control[CONTROL.fuel]
    const workgroups = control[CONTROL.workgroupsX] * control[CONTROL.workgroupsY] * control[CONTROL.workgroupsZ]
    this.shadow = descriptor.watch === true ? new SimShadow(faults, workgroups) : null
    this.#buffers = buffers
    this.#pageMask = 2 ** descriptor.pageShift - 1
    this.#spaceEnd = SPACE_BYTES[this.addressBits]
    this.#workgroupWords = control[CONTROL.workgroupWords]
    this.#pageWords = control[CONTROL.pageWords]
    this.#pageBitmaps = FAULT_HEADER_WORDS + WORKGROUP_BITMAPS * this.#workgroupWords
    this.#misses = this.#pageBitmaps + PAGE_BITMAPS * this.#pageWords
    this.#wanted = this.#misses + missWords(this.addressBits)
    this.#link = control[CONTROL.link]
    this.#asks = descriptor.abort !== 'ignored'
    this.#directory = control[CONTROL.directory]
    this.#directoryMask = control[CONTROL.directoryMask]
    const wide = this.addressBits === 64
    this.#nothing = wide ? 0 : table.length - 1
    const entries = wide ? this.#directory : table.length
    assert(table[this.#nothing] === 0, `the entry of what is not mapped is 0, but it is ${printPte(table[this.#nothing])}`)
    assert(!wide || this.#directory + (this.#directoryMask + 1) * BUCKET_WORDS <= table.length, 'the directory lies in the table')
    const end = this.#wanted + (this.resident ? recordWords(this.addressBits) * control[CONTROL.slots] : WANTED_WORDS * entries)
    assert(end <= faults.length, `the fault buffer of a pass has ${end} words, but it has ${faults.length}`)
  }

  /** True when something went wrong in a dispatch before this one in its chain: this one does nothing. */
  get skipped(): boolean {
    return this.#asks && this.#buffers.faults[FAULT.abort] > this.#link
  }

  /** Table index of the page that holds an address; what the table does not reach, and what lies outside the space, has an entry that is 0. */
  indexOf(address: Address): number {
    if (!(address >= 0 && address < this.#spaceEnd)) return this.#nothing
    if (this.addressBits === 32) return Math.min((~address >>> 0) >>> this.pageShift, this.#nothing)
    const vpn = Math.floor(address / (this.#pageMask + 1))
    return this.#leafIndex(leafKey(vpn)) + (vpn % LEAF_PAGES)
  }

  /** True when the page has no entry, so that only the host knows whether it is mapped. */
  isMiss(index: number): boolean {
    return this.addressBits === 64 && index < LEAF_PAGES
  }

  #leafIndex(key: number): number {
    const { table } = this.#buffers
    for (let n = 0, home = leafHash(key); n <= this.#directoryMask; n++) {
      const bucket = this.#directory + ((home + n) & this.#directoryMask) * BUCKET_WORDS
      if (table[bucket] === key) return table[bucket + 1]
      if (table[bucket] === 0) break
    }
    return 0
  }

  /** Notes an access to a page without an entry, if its leaf finds a record. @param need a bit of NEED */
  markMiss(address: Address, need: number, slot: number, hint: boolean): void {
    const { faults } = this.#buffers
    const vpn = Math.floor(address / (this.#pageMask + 1))
    const key = leafKey(vpn)
    for (let n = 0, home = leafHash(key); n < MISS_PROBES; n++) {
      const at = this.#misses + ((home + n) & (MISS_LEAVES - 1)) * MISS_WORDS
      if (faults[at + MISS.key] === 0) faults[at + MISS.key] = key
      if (faults[at + MISS.key] !== key) continue
      const want = Math.log2(need) + (hint ? MISS_WANTS / 2 : 0)
      faults[at + MISS.wants + want] |= 1 << (vpn % LEAF_PAGES)
      if (hint || faults[at + MISS.claim] !== 0) return
      const offset = address % (LEAF_PAGES * (this.#pageMask + 1))
      faults.set([1, offset + need * 2 ** MISS_KIND_SHIFT, slot], at + MISS.claim)
      return
    }
  }

  /** The workgroup of the launch that runs in a slot, as a number. */
  workgroupOf(slot: number): number {
    const { control } = this.#buffers
    const listed = (control[CONTROL.mode] & CONTROL_MODE.worklist) !== 0
    return listed ? control[control[CONTROL.worklist] + slot] : control[CONTROL.firstWorkgroup] + slot
  }

  onePage(address: Address, byteLength: number): boolean {
    return (address % (this.#pageMask + 1)) + byteLength <= this.#pageMask + 1
  }

  /** The entry that counts in this pass. In the direct variant, what the window says of the address. */
  entry(index: number, address: Address): number {
    if (!this.#direct) return this.#buffers.table[index]
    return this.#proven ? this.#shiftedEntry(index, address) : this.#windowEntry(address)
  }

  /** The entry of the table, as the one pool's: that is where the shift must lead. */
  #shiftedEntry(index: number, address: Address): number {
    const entry = this.#buffers.table[index]
    const shift = this.#buffers.control[CONTROL.windowShift]
    const place = this.addressBits === 32 ? ((address >>> 2) + shift) >>> 0 : (((address % 2 ** 32) + shift) % 2 ** 32) >>> 2
    const wanted = pteWord(entry, address)
    if (place !== wanted) assert(false, `${hex(address)} shifted is word ${place}, but by its entry ${printPte(entry)} it is word ${wanted}`)
    return (entry - (ptePool(entry, address) << PTE_POOL_SHIFT)) >>> 0
  }

  #windowEntry(address: Address): number {
    const { control } = this.#buffers
    const start = control[CONTROL.windowStartHigh] * 2 ** 32 + control[CONTROL.windowStart]
    const page = Math.floor(address / (this.#pageMask + 1)) * (this.#pageMask + 1)
    const word = (page - start) / 4
    const within = (from: number, words: number) => word >= control[from] && word < control[from] + control[words]
    if (!(word >= 0 && word < control[CONTROL.windowWords])) return 0
    const stores = within(CONTROL.writableFrom, CONTROL.writableWords) ? PTE.store | PTE.exclusive : 0
    const dirty = within(CONTROL.dirtyFrom, CONTROL.dirtyWords) ? PTE.dirty : 0
    return makePte(0, control[CONTROL.windowPlace] - POOL_HEAD_WORDS + word, PTE.load | stores | dirty, page)
  }

  /** A page was stored to that the driver did not know to be dirty. */
  markStored(index: number): void {
    if (this.#marks) this.markPage(PAGE_BITMAP.dirty, index)
    else this.#buffers.faults[FAULT.unforeseen] = 1
  }

  pool(entry: number, address: Address): Uint32Array {
    const words = this.#buffers.pools[ptePool(entry, address)]
    // Messages of this hot path are made only when they are needed.
    if (words === null || words === undefined) assert(false, `the entry ${printPte(entry)} names a pool that is bound`)
    return words as Uint32Array
  }

  /** Where in its pool an address lies, in words. */
  wordOf(entry: number, address: Address, pool: Uint32Array): number {
    const word = pteWord(entry, address)
    if (word >= pool.length) assert(false, `${hex(address)} lies in its pool, by the entry ${printPte(entry)}`)
    return word
  }

  /** @param bitmap one of WORKGROUP_BITMAP */
  markWorkgroup(bitmap: number, slot: number): void {
    const { faults } = this.#buffers
    if (bitmap === WORKGROUP_BITMAP.faulted) faults[FAULT.abort] = Math.max(faults[FAULT.abort], this.#link)
    this.#setBit(FAULT_HEADER_WORDS + bitmap * this.#workgroupWords, this.#workgroupWords, slot)
  }

  /** @param bitmap one of PAGE_BITMAP */
  markPage(bitmap: number, index: number): void {
    this.#setBit(this.#pageBitmaps + bitmap * this.#pageWords, this.#pageWords, index)
  }

  /** A slot uses a page, or would: its group is noted. True for the first. */
  markUsed(index: number, slot: number): boolean {
    const groups = this.#buffers.control[CONTROL.slotGroups]
    const { faults } = this.#buffers
    const word = this.#wanted + WANTED_WORDS * index
    const isFirst = (faults[word] | faults[word + 1]) === 0
    const group = slot >>> (Math.max(1, groups) - 1)
    if (groups !== 0) faults[word + (group >>> 5)] |= 1 << (group & 31)
    return isFirst
  }

  /** An example of a fault, while there is room. @param need a bit of NEED */
  example(address: Address, need: number, slot: number): void {
    const { faults } = this.#buffers
    if (faults[FAULT.exampleCount] >= EXAMPLES) return
    const n = faults[FAULT.exampleCount]++
    faults.set([address, Math.floor(address / 2 ** 32), need, slot], FAULT.examples + EXAMPLE_WORDS * n)
  }

  /** Where no fault is possible: the record of a slot. @param mask the bits of the address that had to be 0 */
  recordBad(address: Address, need: number, mask: number, slot: number): void {
    if (this.#proven) assert(false, `${this.label} accesses what it was known to, but it wanted ${need} of ${hex(address)}`)
    const { faults, control } = this.#buffers
    const words = recordWords(this.addressBits)
    const at = control[CONTROL.records] + slot * words
    faults[FAULT.badKind] = (need << BAD_KIND_SHIFT) | mask
    faults[at] = Math.max(1, ~(words === 1 ? address : Math.floor(address / 2 ** 32)) >>> 0)
    if (words === 2) faults[at + 1] = address
    faults[FAULT.abort] = Math.max(faults[FAULT.abort], this.#link)
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
