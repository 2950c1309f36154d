// The accessors that a twin calls: named and behaving like the functions of the WGSL runtime. Always: an accessor is one step that nothing
// comes between; a load that may not happen gives 0, a store that may not happen does nothing, an atomic that may not happen gives what `peek` says.

import { SHADOW_ENTRY } from '../../abi/shadow.ts'
import type { Address } from '../../base/units.ts'
import type { KernelMemory } from '../twin.ts'
import { Invocation } from './invocation.ts'

type Words = readonly number[]
/** The new value of a word, from its old one. */
type Change = (old: number) => number

const TWO_32 = 2 ** 32
const scratch = new DataView(new ArrayBuffer(4))

function floatOf(bits: number): number {
  scratch.setUint32(0, bits)
  return scratch.getFloat32(0)
}

function bitsOf(float: number): number {
  scratch.setFloat32(0, float)
  return scratch.getUint32(0)
}

const signed = (bits: number): number => bits | 0

export class SimMemory extends Invocation implements KernelMemory {
  faulted(): boolean {
    return this.poisoned
  }

  loadU32(pointer: Address): number {
    const word = this.reach(pointer, 4, 'load')
    if (word < 0) return 0
    this.note(pointer, SHADOW_ENTRY.loads)
    return this.words[word]
  }

  loadI32(pointer: Address): number {
    return this.loadU32(pointer) | 0
  }

  loadF32(pointer: Address): number {
    return floatOf(this.loadU32(pointer))
  }

  loadU8(pointer: Address): number {
    return this.#loadPart(pointer, 1, 0xff)
  }

  loadU16(pointer: Address): number {
    return this.#loadPart(pointer, 2, 0xffff)
  }

  loadVec2U32(pointer: Address): [number, number] {
    return this.#loadWords(pointer, 2) as [number, number]
  }

  loadVec3U32(pointer: Address): [number, number, number] {
    return this.#loadWords(pointer, 3) as [number, number, number]
  }

  loadVec4U32(pointer: Address): [number, number, number, number] {
    return this.#loadWords(pointer, 4) as [number, number, number, number]
  }

  loadVec2I32(pointer: Address): [number, number] {
    return this.#loadWords(pointer, 2).map(signed) as [number, number]
  }

  loadVec3I32(pointer: Address): [number, number, number] {
    return this.#loadWords(pointer, 3).map(signed) as [number, number, number]
  }

  loadVec4I32(pointer: Address): [number, number, number, number] {
    return this.#loadWords(pointer, 4).map(signed) as [number, number, number, number]
  }

  loadVec2F32(pointer: Address): [number, number] {
    return this.#loadWords(pointer, 2).map(floatOf) as [number, number]
  }

  loadVec3F32(pointer: Address): [number, number, number] {
    return this.#loadWords(pointer, 3).map(floatOf) as [number, number, number]
  }

  loadVec4F32(pointer: Address): [number, number, number, number] {
    return this.#loadWords(pointer, 4).map(floatOf) as [number, number, number, number]
  }

  loadPointer(pointer: Address): Address {
    if (this.pass.addressBits === 32) return this.loadU32(pointer)
    const [low, high] = this.#loadWords(pointer, 2)
    return high * TWO_32 + low
  }

  storeU32(pointer: Address, value: number): void {
    const word = this.reach(pointer, 4, 'store')
    if (word < 0) return
    this.words[word] = value
    this.note(pointer, SHADOW_ENTRY.stores, value)
  }

  storeI32(pointer: Address, value: number): void {
    this.storeU32(pointer, value)
  }

  storeF32(pointer: Address, value: number): void {
    this.storeU32(pointer, bitsOf(value))
  }

  storeU8(pointer: Address, value: number): void {
    this.#storePart(pointer, 1, 0xff, value)
  }

  storeU16(pointer: Address, value: number): void {
    this.#storePart(pointer, 2, 0xffff, value)
  }

  storeVec2U32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 2, value)
  }

  storeVec3U32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 3, value)
  }

  storeVec4U32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 4, value)
  }

  storeVec2I32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 2, value)
  }

  storeVec3I32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 3, value)
  }

  storeVec4I32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 4, value)
  }

  storeVec2F32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 2, value.map(bitsOf))
  }

  storeVec3F32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 3, value.map(bitsOf))
  }

  storeVec4F32(pointer: Address, value: Words): void {
    this.#storeWords(pointer, 4, value.map(bitsOf))
  }

  storePointer(pointer: Address, value: Address): void {
    if (this.pass.addressBits === 32) this.storeU32(pointer, value)
    else this.#storeWords(pointer, 2, [value % TWO_32, Math.floor(value / TWO_32)])
  }

  atomicLoadU32(pointer: Address): number {
    const { watched } = this
    this.taint()
    const word = this.reach(pointer, 4, 'load')
    if (word < 0) return 0
    this.#noteAtomic(pointer, SHADOW_ENTRY.atomicLoads, watched)
    this.spun(pointer, this.words[word])
    return this.words[word]
  }

  atomicStoreU32(pointer: Address, value: number): void {
    const word = this.reach(pointer, 4, 'exclusive')
    if (word < 0) return
    this.words[word] = value
    this.note(pointer, SHADOW_ENTRY.updates)
  }

  atomicAddU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old + value, value === 0)
  }

  atomicSubU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old - value, value === 0)
  }

  atomicMaxU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => Math.max(old, value >>> 0))
  }

  atomicMinU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => Math.min(old, value >>> 0))
  }

  atomicAndU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old & value)
  }

  atomicOrU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old | value, value === 0)
  }

  atomicXorU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old ^ value, value === 0)
  }

  atomicExchangeU32(pointer: Address, value: number): number {
    return this.#change(pointer, () => value, true)
  }

  atomicCompareExchangeU32(pointer: Address, expected: number, value: number): number {
    return this.#change(pointer, (old) => (old === expected >>> 0 ? value : old), true)
  }

  atomicLoadI32(pointer: Address): number {
    return signed(this.atomicLoadU32(pointer))
  }

  atomicStoreI32(pointer: Address, value: number): void {
    this.atomicStoreU32(pointer, value)
  }

  atomicAddI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old + value, value === 0))
  }

  atomicSubI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old - value, value === 0))
  }

  atomicMaxI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => Math.max(old | 0, value | 0)))
  }

  atomicMinI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => Math.min(old | 0, value | 0)))
  }

  atomicAndI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old & value))
  }

  atomicOrI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old | value, value === 0))
  }

  atomicXorI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old ^ value, value === 0))
  }

  atomicExchangeI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, () => value, true))
  }

  atomicCompareExchangeI32(pointer: Address, expected: number, value: number): number {
    return signed(this.atomicCompareExchangeU32(pointer, expected, value))
  }

  silentAtomicAddU32(pointer: Address, value: number): void {
    const word = this.reach(pointer, 4, 'exclusive')
    if (word < 0) return
    this.words[word] += value
    this.note(pointer, SHADOW_ENTRY.updates)
  }

  /** An atomic whose result is used: it taints, and gives the old value. @param asks repeated, it would change nothing */
  #change(pointer: Address, change: Change, asks = false): number {
    const { watched } = this
    this.taint()
    const word = this.reach(pointer, 4, 'exclusive')
    if (word < 0) return this.peek(pointer)
    const old = this.words[word]
    this.words[word] = change(old)
    this.#noteAtomic(pointer, SHADOW_ENTRY.updates, watched)
    if (asks) this.spun(pointer, old)
    return old
  }

  /** It is no end of a row of questions. */
  #noteAtomic(pointer: Address, accessors: number, watched: boolean): void {
    if (watched && !this.poisoned) this.pass.shadow?.note(pointer, accessors, 0, this.pass.workgroupOf(this.slot))
  }

  #loadPart(pointer: Address, alignment: number, mask: number): number {
    const word = this.reach(pointer, alignment, 'load')
    if (word < 0) return 0
    this.note(pointer, SHADOW_ENTRY.loads)
    return (this.words[word] >>> ((pointer & 3) * 8)) & mask
  }

  /** Bytes and half-words replace their part of a word. */
  #storePart(pointer: Address, alignment: number, mask: number, value: number): void {
    const word = this.reach(pointer, alignment, 'store')
    if (word < 0) return
    const shift = (pointer & 3) * 8
    this.words[word] = (this.words[word] & ~(mask << shift)) | ((value & mask) << shift)
    this.note(pointer, SHADOW_ENTRY.stores, value & mask)
  }

  /** A vector in one page is one access; a vector across two pages is one access a word. */
  #loadWords(pointer: Address, count: number): number[] {
    if (!this.onePage(pointer, count * 4)) return Array.from({ length: count }, (_, i) => this.loadU32(pointer + i * 4))
    const word = this.reach(pointer, 4, 'load')
    const loaded = new Array<number>(count).fill(0)
    if (word < 0) return loaded
    for (let i = 0; i < count; i++) {
      loaded[i] = this.words[word + i]
      this.note(pointer + i * 4, SHADOW_ENTRY.loads)
    }
    return loaded
  }

  #storeWords(pointer: Address, count: number, value: Words): void {
    if (!this.onePage(pointer, count * 4)) {
      for (let i = 0; i < count; i++) this.storeU32(pointer + i * 4, value[i])
      return
    }
    const word = this.reach(pointer, 4, 'store')
    if (word < 0) return
    for (let i = 0; i < count; i++) {
      this.words[word + i] = value[i]
      this.note(pointer + i * 4, SHADOW_ENTRY.stores, value[i])
    }
  }
}
