// A kernel that is run everywhere: its WGSL for GPUs, its twin for simulated devices and for the all-resident reference, its inputs, and the check of
// what it leaves. Always: integers only; a run says exactly what must come out where the schedule does not decide it, and else checks
// that every effect happened exactly once; the twin yields 'step' before every access, so that any interleaving is met.

import type { Random } from '../../src/base/world.ts'
import type { KernelMemory, WorkItem } from '../../src/device/twin.ts'

export const PAGE_BYTES = 4096
export const PAGE_WORDS = PAGE_BYTES / 4

export type TwinItem = Pick<WorkItem, 'globalId' | 'workgroupId' | 'localIndex' | 'workgroupU32' | 'workgroupAtomicAdd'>
/** The accessors that these kernels use. The reference has them all. */
export type TwinMemory = Pick<
  KernelMemory,
  | 'loadU32'
  | 'storeU32'
  | 'storeU8'
  | 'storeU16'
  | 'loadVec2U32'
  | 'storeVec2U32'
  | 'loadVec4U32'
  | 'storeVec4U32'
  | 'loadPointer'
  | 'storePointer'
  | 'atomicLoadU32'
  | 'atomicStoreU32'
  | 'atomicAddU32'
  | 'atomicXorU32'
  | 'atomicExchangeU32'
  | 'atomicCompareExchangeU32'
  | 'silentAtomicAddU32'
  | 'faulted'
>
export type Twin = (item: TwinItem, args: Record<string, number>, memory: TwinMemory) => Generator<unknown>

/** The words of each array, by the name of its pointer. */
export type Arrays = Readonly<Record<string, Uint32Array<ArrayBuffer>>>

/** One run: what the arrays hold before, and what must hold after. */
export interface Run {
  readonly workgroups: number
  readonly arrays: Arrays
  readonly numbers?: Readonly<Record<string, number>>
  /** Arrays of which the schedule decides what a workgroup touches. */
  readonly dynamic?: readonly string[]
  /** Written when addresses are known. */
  readonly pointers?: readonly PointerWord[]
  /** @throws Error */
  check(after: Arrays, addresses: Readonly<Record<string, number>>): void
}

/** A pointer in an array, with room for either width: the byte where it lies, the array that it points to and the byte in that. */
export interface PointerWord {
  readonly array: string
  readonly at: number
  readonly to: string
  readonly byte: number
}

export interface Kernel {
  readonly name: string
  /** Work-items of a workgroup. */
  readonly size: number
  readonly pointers: readonly string[]
  readonly numbers?: readonly string[]
  /** The body of the entry point. Known: `args`, `id` (global), `lid` (in the workgroup), `wid`, and `at(pointer, word)`. */
  readonly body: string
  /** Declarations beside it. */
  readonly globals?: string
  readonly class?: 'transactional'
  readonly twin: Twin
  draw(random: Random): Run
}

/** The author's text. */
export function textOf({ pointers, numbers = [], body, globals = '', size }: Omit<Kernel, 'draw'>): string {
  const fields = [...pointers.map((name) => `${name}: svm_ptr`), ...numbers.map((name) => `${name}: u32`)]
  return `struct Args { ${fields.join(', ')} }
@group(0) @binding(0) var<uniform> args: Args;
fn at(p: svm_ptr, i: u32) -> svm_ptr { return svm_index(p, i, 4u); }
${globals}
@compute @workgroup_size(${size})
fn k(@builtin(global_invocation_id) global: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(workgroup_id) group: vec3u) {
  let id = global.x;
  let wid = group.x;
${body}
}
`
}

export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

/** `pages` pages of words: f(0), f(1) … */
export function pagesOf(pages: number, f: (i: number) => number = () => 0): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: pages * PAGE_WORDS }, (_, i) => f(i))
}

export function noise(pages: number, random: Random): Uint32Array<ArrayBuffer> {
  return pagesOf(pages, () => random.u32())
}

export function expectSame(name: string, got: Uint32Array, wanted: ArrayLike<number>): void {
  for (let i = 0; i < wanted.length; i++) if (got[i] !== wanted[i]) throw new Error(`${name}[${i}] is ${got[i]} and must be ${wanted[i]}`)
}

export function expectThat(holds: boolean, sentence: () => string): void {
  if (!holds) throw new Error(sentence())
}

/** Arrays that must be left with these words; the others as they were. */
export function exactly(before: Arrays, wanted: Arrays): (after: Arrays) => void {
  return (after) => {
    for (const [name, words] of Object.entries(before)) expectSame(name, after[name] as Uint32Array, wanted[name] ?? words)
  }
}

/** `count` different numbers below `end`. */
export function distinct(random: Random, count: number, end: number): number[] {
  const found = new Set<number>()
  while (found.size < count) found.add(random.below(end))
  return random.shuffle([...found])
}

/** These numbers, each exactly once. */
export function expectPermutation(name: string, numbers: readonly number[], wanted: readonly number[]): void {
  const ascending = (a: number, b: number) => a - b
  expectSame(`${name}, sorted: `, Uint32Array.from(numbers).sort(), [...wanted].sort(ascending))
  expectThat(numbers.length === wanted.length, () => `${name} has ${numbers.length} entries and must have ${wanted.length}`)
}
