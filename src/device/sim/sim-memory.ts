// The accessors that a twin calls: named and behaving like the functions of the WGSL runtime. Always: an accessor is one step that nothing
// comes between; a load that may not happen gives 0, a store that may not happen does nothing, an atomic that may not happen gives 0.

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
    return word < 0 ? 0 : this.words[word]
  }

  loadI32(pointer: Address): number {
    return this.loadU32(pointer) | 0
  }

  loadF32(pointer: Address): number {
    return floatOf(this.loadU32(pointer))
  }

  loadU8(pointer: Address): number {
    const word = this.reach(pointer, 1, 'load')
    return word < 0 ? 0 : (this.words[word] >>> ((pointer & 3) * 8)) & 0xff
  }

  loadU16(pointer: Address): number {
    const word = this.reach(pointer, 2, 'load')
    return word < 0 ? 0 : (this.words[word] >>> ((pointer & 3) * 8)) & 0xffff
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
    if (word >= 0) this.words[word] = value
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
    this.taint()
    return this.loadU32(pointer)
  }

  atomicStoreU32(pointer: Address, value: number): void {
    const word = this.reach(pointer, 4, 'exclusive')
    if (word >= 0) this.words[word] = value
  }

  atomicAddU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old + value)
  }

  atomicSubU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old - value)
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
    return this.#change(pointer, (old) => old | value)
  }

  atomicXorU32(pointer: Address, value: number): number {
    return this.#change(pointer, (old) => old ^ value)
  }

  atomicExchangeU32(pointer: Address, value: number): number {
    return this.#change(pointer, () => value)
  }

  atomicCompareExchangeU32(pointer: Address, expected: number, value: number): number {
    return this.#change(pointer, (old) => (old === expected >>> 0 ? value : old))
  }

  atomicLoadI32(pointer: Address): number {
    return signed(this.atomicLoadU32(pointer))
  }

  atomicStoreI32(pointer: Address, value: number): void {
    this.atomicStoreU32(pointer, value)
  }

  atomicAddI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old + value))
  }

  atomicSubI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old - value))
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
    return signed(this.#change(pointer, (old) => old | value))
  }

  atomicXorI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, (old) => old ^ value))
  }

  atomicExchangeI32(pointer: Address, value: number): number {
    return signed(this.#change(pointer, () => value))
  }

  atomicCompareExchangeI32(pointer: Address, expected: number, value: number): number {
    return signed(this.atomicCompareExchangeU32(pointer, expected, value))
  }

  silentAtomicAddU32(pointer: Address, value: number): void {
    const word = this.reach(pointer, 4, 'exclusive')
    if (word >= 0) this.words[word] += value
  }

  /** An atomic whose result is used: it taints, and gives the old value. */
  #change(pointer: Address, change: Change): number {
    this.taint()
    const word = this.reach(pointer, 4, 'exclusive')
    if (word < 0) return 0
    const old = this.words[word]
    this.words[word] = change(old)
    return old
  }

  /** Bytes and half-words replace their part of a word. */
  #storePart(pointer: Address, alignment: number, mask: number, value: number): void {
    const word = this.reach(pointer, alignment, 'store')
    if (word < 0) return
    const shift = (pointer & 3) * 8
    this.words[word] = (this.words[word] & ~(mask << shift)) | ((value & mask) << shift)
  }

  /** A vector in one page is one access; a vector across two pages is one access a word. */
  #loadWords(pointer: Address, count: number): number[] {
    if (!this.onePage(pointer, count * 4)) return Array.from({ length: count }, (_, i) => this.loadU32(pointer + i * 4))
    const word = this.reach(pointer, 4, 'load')
    const loaded = new Array<number>(count).fill(0)
    if (word >= 0) for (let i = 0; i < count; i++) loaded[i] = this.words[word + i]
    return loaded
  }

  #storeWords(pointer: Address, count: number, value: Words): void {
    if (!this.onePage(pointer, count * 4)) {
      for (let i = 0; i < count; i++) this.storeU32(pointer + i * 4, value[i])
      return
    }
    const word = this.reach(pointer, 4, 'store')
    if (word < 0) return
    for (let i = 0; i < count; i++) this.words[word + i] = value[i]
  }
}
