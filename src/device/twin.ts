// Kernel twins: what a simulated device runs in place of the WGSL. Types only.

import type { Address } from '../base/units.ts'

export interface WorkItem {
  readonly globalId: readonly [number, number, number]
  readonly localId: readonly [number, number, number]
  readonly workgroupId: readonly [number, number, number]
  readonly numWorkgroups: readonly [number, number, number]
  readonly localIndex: number
  /** Workgroup memory: zero at the start of every workgroup, shared by its work-items. Named slots, made on first use. */
  workgroupU32(name: string, length: number): Uint32Array
  /** Atomic on workgroup memory whose result is used: it taints (replay-by-grants rule 3). Returns the old value. */
  workgroupAtomicAdd(name: string, length: number, index: number, value: number): number
}

/** The accessors of the WGSL runtime, named alike: svm_load_u32 is loadU32. Loads without a right give 0. */
export interface KernelMemory {
  loadU32(pointer: Address): number
  loadI32(pointer: Address): number
  loadF32(pointer: Address): number
  loadU8(pointer: Address): number
  loadU16(pointer: Address): number
  loadVec2U32(pointer: Address): [number, number]
  loadVec3U32(pointer: Address): [number, number, number]
  loadVec4U32(pointer: Address): [number, number, number, number]
  loadVec2I32(pointer: Address): [number, number]
  loadVec3I32(pointer: Address): [number, number, number]
  loadVec4I32(pointer: Address): [number, number, number, number]
  loadVec2F32(pointer: Address): [number, number]
  loadVec3F32(pointer: Address): [number, number, number]
  loadVec4F32(pointer: Address): [number, number, number, number]
  loadPointer(pointer: Address): Address
  storeU32(pointer: Address, value: number): void
  storeI32(pointer: Address, value: number): void
  storeF32(pointer: Address, value: number): void
  storeU8(pointer: Address, value: number): void
  storeU16(pointer: Address, value: number): void
  storeVec2U32(pointer: Address, value: readonly number[]): void
  storeVec3U32(pointer: Address, value: readonly number[]): void
  storeVec4U32(pointer: Address, value: readonly number[]): void
  storeVec2I32(pointer: Address, value: readonly number[]): void
  storeVec3I32(pointer: Address, value: readonly number[]): void
  storeVec4I32(pointer: Address, value: readonly number[]): void
  storeVec2F32(pointer: Address, value: readonly number[]): void
  storeVec3F32(pointer: Address, value: readonly number[]): void
  storeVec4F32(pointer: Address, value: readonly number[]): void
  storePointer(pointer: Address, value: Address): void
  atomicLoadU32(pointer: Address): number
  atomicStoreU32(pointer: Address, value: number): void
  atomicAddU32(pointer: Address, value: number): number
  atomicSubU32(pointer: Address, value: number): number
  atomicMaxU32(pointer: Address, value: number): number
  atomicMinU32(pointer: Address, value: number): number
  atomicAndU32(pointer: Address, value: number): number
  atomicOrU32(pointer: Address, value: number): number
  atomicXorU32(pointer: Address, value: number): number
  atomicExchangeU32(pointer: Address, value: number): number
  atomicCompareExchangeU32(pointer: Address, expected: number, value: number): number
  atomicLoadI32(pointer: Address): number
  atomicStoreI32(pointer: Address, value: number): void
  atomicAddI32(pointer: Address, value: number): number
  atomicSubI32(pointer: Address, value: number): number
  atomicMaxI32(pointer: Address, value: number): number
  atomicMinI32(pointer: Address, value: number): number
  atomicAndI32(pointer: Address, value: number): number
  atomicOrI32(pointer: Address, value: number): number
  atomicXorI32(pointer: Address, value: number): number
  atomicExchangeI32(pointer: Address, value: number): number
  atomicCompareExchangeI32(pointer: Address, expected: number, value: number): number
  /** The same atomics with the result unused: they do not taint. The WGSL runtime finds such calls by itself. */
  silentAtomicAddU32(pointer: Address, value: number): void
  /** svm_faulted(): has this invocation faulted in this pass. */
  faulted(): boolean
}

/**
 * What a simulated device runs in place of the WGSL: one call a work-item, with the same accesses. A generator yields at barriers
 * (`yield`); `yield 'step'` lets other work-items run in between and is no barrier.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a twin without barriers is a function that returns nothing
export type KernelTwin = (item: WorkItem, args: Record<string, number>, memory: KernelMemory) => void | Generator<unknown>
