// What the WGSL room hands out: the translated kernel and its variants, as plain data.

import type { AuthorBinding, ProgramDescriptor, ProgramVariant } from '../device/device.ts'
import type { KernelTwin } from '../device/twin.ts'

/** Offsets, sizes and alignments in bytes. */
export interface StructLayout {
  readonly byteLength: number
  readonly alignment: number
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly byteLength: number; readonly type: string }>>
}

/** What the compiler found out about a kernel. */
export interface KernelAnalysis {
  readonly workgroupSize: readonly [number, number, number]
  /** The kernel loads, stores, does atomics with and without a used result. */
  readonly loads: boolean
  readonly stores: boolean
  readonly atomics: boolean
  readonly usedAtomics: boolean
  /** It uses the result of an atomic on workgroup memory, so every invocation starts tainted. */
  readonly startTainted: boolean
  readonly barriers: boolean
  readonly subgroups: boolean
  /** Bindings of the author's that a kernel can write: such a kernel runs only when no fault is possible. */
  readonly writableBindings: readonly string[]
  /** Loops that end when the invocation is poisoned, and loops left alone (they hold barriers). */
  readonly guardedLoops: number
  readonly openLoops: number
  /** Pools are declared as arrays of atomics. */
  readonly atomicPools: boolean
}

/** A member of the argument struct. */
export interface ArgumentField {
  readonly name: string
  /** 'svm_ptr', 'u32', 'i32', 'f32', 'vec4<f32>', a struct's name … */
  readonly type: string
  readonly offset: number
  readonly byteLength: number
}

export interface ArgumentLayout {
  readonly addressBits: 32 | 64
  readonly byteLength: number
  readonly fields: readonly ArgumentField[]
}

export interface TranslateOptions {
  readonly code: string
  readonly entryPoint: string
  readonly label: string
  readonly addressBits: 32 | 64
  readonly pageShift: number
  readonly constants: Readonly<Record<string, number>>
  readonly twin?: KernelTwin
}

/** Which loops get the poison test: the fallback order when a text does not compile. */
export type LoopGuards = 'all' | 'accessing' | 'none'

export interface TranslatedKernel {
  readonly label: string
  readonly analysis: KernelAnalysis
  readonly layouts: Readonly<Record<string, StructLayout>>
  readonly args: ArgumentLayout
  readonly authorBindings: readonly AuthorBinding[]
  /** The text in which svm_ptr is a struct of its own, so that operators on it are type errors at the author's line. */
  readonly checkText: string
  variant(wish: { variant: ProgramVariant; pools: 1 | 2 | 4 | 8; guard: boolean; loopGuards: LoopGuards }): ProgramDescriptor
}
