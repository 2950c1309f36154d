// What the WGSL room hands out: the translated kernel and its variants, as plain data.

import type { AuthorBinding, ProgramDescriptor, ProgramVariant } from '../device/device.ts'
import type { KernelTwin } from '../device/twin.ts'
import type { Bounds } from './bounds.ts'
import type { Proof } from './proven.ts'
import type { Geometry } from './wrapper.ts'

/** Offsets, sizes and alignments in bytes. */
export interface StructLayout {
  readonly byteLength: number
  readonly alignment: number
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly byteLength: number; readonly type: string }>>
}

/** A call of an accessor in the author's text. */
export interface KernelAccess {
  readonly kind: 'load' | 'store' | 'atomic'
  /** `svm_load_u32`. */
  readonly name: string
  readonly line: number
  /** Of an atomic: its result taints, since it depends on the order of workgroups. */
  readonly resultUsed: boolean
}

export interface KernelLoop {
  readonly kind: 'for' | 'while' | 'loop'
  readonly line: number
  /** The function that holds it. */
  readonly function: string
  /** Variants in which it ends early when the invocation cannot go on. */
  readonly guard: 'all' | 'attempt' | 'none'
  /** The reason, as a sentence. */
  readonly why: string
  /** Lines of the atomic calls for whose value it may wait; empty: it waits for nobody. If it waits for another workgroup the class is 'unsplittable'. */
  readonly waitsAt: readonly number[]
}

export interface KernelHint {
  readonly line: number
  readonly text: string
}

/**
 * Which of a kernel's loops got a guard in the programs of one variant. A device's compiler refuses some guards (WGSL wants barriers in uniform control flow),
 * and then takes fewer: that is known when it has built the first such program. A simulated device compiles nothing, and takes all.
 */
export interface KernelGuards {
  readonly variant: ProgramVariant
  /** 'unbuilt': not known yet. Where devices differ, the least. */
  readonly level: LoopGuards | 'unbuilt'
  /** Lines of the loops that have none, and would have at level 'all'. */
  readonly droppedLines: readonly number[]
}

/** What the compiler found, by lines of the author's text: nothing that is right or wrong depends on it. */
export interface KernelFindings {
  /** Every call of an accessor, in the order of the text. */
  readonly accesses: readonly KernelAccess[]
  readonly barrierLines: readonly number[]
  readonly subgroupLines: readonly number[]
  readonly workgroupMemory: readonly { readonly name: string; readonly type: string; readonly line: number }[]
  /** Atomics on workgroup memory whose results are used: they make `startTainted`. */
  readonly taintedFromStart: readonly number[]
  readonly loops: readonly KernelLoop[]
  /** All lines of `waitsAt`. */
  readonly waitLines: readonly number[]
  /** What made `atomicPools`: atomics, and stores of bytes and half-words. */
  readonly atomicPoolLines: readonly number[]
  readonly hints: readonly KernelHint[]
}

/** What the compiler found out about a kernel. */
export interface KernelAnalysis extends KernelFindings {
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
  /** Loops that end when the invocation or its workgroup is poisoned, and loops left alone (they hold barriers, and count). */
  readonly guardedLoops: number
  readonly openLoops: number
  /** Pools are declared as arrays of atomics. */
  readonly atomicPools: boolean
  /** Every store and loop head looks at the workgroup's poison: values cross it without a barrier that the runtime sees. */
  readonly polls: boolean
  /** How it is replayed: its class, 'grants' when none is declared. */
  readonly protocol: 'grants' | 'transactional' | 'unsplittable'
  /** Variants that a launch may choose from. A kernel that is unsplittable or writes its own bindings has no attempt: no fault may be possible. */
  readonly variants: readonly ProgramVariant[]
  /** One for each of the variants. What they say changes as programs are built. */
  readonly guards: readonly KernelGuards[]
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
  readonly protocol?: KernelAnalysis['protocol']
  readonly twin?: KernelTwin
}

/**
 * Which loops get the poison test: the fallback order when a text does not compile. 'apart': work-items leave loops with subgroup operations each for itself;
 * 'uncounted': besides, loops that count are left alone, which end anyway; 'none': not for passes that may fault, unless all loops count.
 */
export const LOOP_GUARDS = ['all', 'accessing', 'apart', 'uncounted', 'none'] as const
export type LoopGuards = (typeof LOOP_GUARDS)[number]

export interface TranslatedKernel {
  readonly label: string
  readonly analysis: KernelAnalysis
  readonly layouts: Readonly<Record<string, StructLayout>>
  readonly args: ArgumentLayout
  readonly authorBindings: readonly AuthorBinding[]
  /** The text in which svm_ptr is a struct of its own, so that operators on it are type errors at the author's line. */
  readonly checkText: string
  /** Where launches can reach. */
  readonly bounds: Bounds
  /** A program of this variant was built, with these guards. */
  built(variant: ProgramVariant, level: LoopGuards): void
  variant(wish: {
    variant: ProgramVariant
    pools: 1 | 2 | 4 | 8
    guard: boolean
    loopGuards: LoopGuards
    geometry?: Geometry
    chained?: boolean
    /** Of the resident variant, unless it is false: stores leave marks. */
    marks?: boolean
    watch?: boolean
    /** Not of an attempt. */
    proof?: Proof
  }): ProgramDescriptor
}
