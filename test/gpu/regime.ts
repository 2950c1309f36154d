// One kernel test in four states of the device: nothing on it, everything on it, everything on it and in order, and a budget far below the working set.
// Always: the results are the same in all, the variant is the one that the state calls for, and the budget is never exceeded.

import { expect, test } from 'vitest'
import type { DispatchResult, KernelDescriptor, KernelLaunch, Svm, SvmKernel, SvmOptions, TypedArray } from '../../src/index.ts'
import { gpuDefaults, KIB, MIB, PAGE, type TestGpu } from './device.ts'

export type Regime = 'cold' | 'resident' | 'direct' | 'tight'

/** Those that a file's tests run in. */
export const chosen: { regimes: readonly Regime[] } = { regimes: ['cold', 'resident', 'direct', 'tight'] }

const OPTIONS: Readonly<Record<Regime, Pick<SvmOptions, 'pageSize' | 'deviceMemory' | 'policy'>>> = {
  cold: { pageSize: PAGE, deviceMemory: 16 * MIB },
  resident: { pageSize: PAGE, deviceMemory: 16 * MIB, policy: { direct: false } },
  direct: { pageSize: PAGE, deviceMemory: 16 * MIB },
  // Some forty frames.
  tight: { pageSize: PAGE, deviceMemory: 512 * KIB },
}

/** GPUBufferUsage is not there in Node. */
export const USAGE = { mapRead: 1, copySource: 4, copyDestination: 8, uniform: 64, storage: 128 } as const

export class Bench {
  readonly svm: Svm
  readonly regime: Regime
  readonly #kept: { pointer: number; byteLength: number }[] = []
  #launches = 0
  #touch: SvmKernel | null = null

  constructor(svm: Svm, regime: Regime) {
    this.svm = svm
    this.regime = regime
  }

  /** Zeroed memory of the working set. */
  alloc(byteLength: number): number {
    return this.#keep(this.svm.alloc(byteLength), byteLength)
  }

  data(data: TypedArray): number {
    return this.#keep(this.svm.allocFrom(data), data.byteLength)
  }

  kernel(code: string, more: Partial<KernelDescriptor> = {}): Promise<SvmKernel> {
    return this.svm.createKernel({ code, entryPoint: 'k', ...more })
  }

  /** Launches as the regime says: all of the working set is migrated first, or nothing. */
  async launch(kernel: SvmKernel, launch: KernelLaunch): Promise<DispatchResult> {
    if (this.regime === 'resident' || this.regime === 'direct') await this.svm.queue.migrate(this.#kept).done
    if (this.regime === 'direct') await this.#makeDirty()
    const result = await this.svm.queue.enqueue(kernel, launch).done
    if (this.regime === 'resident') expect(result).toMatchObject({ variant: 'resident', faults: 0, bytesIn: 0 })
    if (this.regime === 'direct') expect(result).toMatchObject({ variant: 'direct', faults: 0, bytesIn: 0 })
    if (this.regime === 'cold' && this.#launches++ === 0) expect(result.variant).toBe('attempt')
    expectWithinBudget(this.svm)
    return result
  }

  /** Each page is stored to, as it is: no page is clean, so nothing need be known of what a kernel stores to. */
  async #makeDirty(): Promise<void> {
    const code = `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.p, id.x, ${PAGE}u);
  svm_store_u32(p, svm_load_u32(p));
}`
    this.#touch ??= await this.svm.createKernel({ code, entryPoint: 'k', label: 'touch' })
    for (const { pointer, byteLength } of this.#kept) {
      await this.svm.queue.enqueue(this.#touch, { args: { p: pointer }, global: Math.ceil(byteLength / PAGE) }).done
    }
  }

  words(pointer: number, length: number): Promise<Uint32Array> {
    return this.svm.read(pointer, Uint32Array, length)
  }

  #keep(pointer: number, byteLength: number): number {
    this.#kept.push({ pointer, byteLength })
    return pointer
  }
}

export function expectWithinBudget(svm: Svm): void {
  for (const device of svm.stats().devices) expect(device.peakBytes).toBeLessThanOrEqual(device.budgetBytes)
}

/** The same test in every regime. */
export function inEveryRegime(gpu: TestGpu, name: string, body: (bench: Bench) => Promise<void>, options: Partial<SvmOptions> = {}): void {
  for (const regime of chosen.regimes) {
    // What is watched never runs direct, and keeps its shadow in the budget.
    if (gpuDefaults.debug && regime === 'direct') continue
    test(`${name} (${regime})`, async () => {
      const wanted = { ...OPTIONS[regime], ...options }
      const shadow = gpuDefaults.debug && regime === 'tight' ? 96 * KIB : 0
      const svm = await gpu.open({ ...wanted, deviceMemory: (wanted.deviceMemory as number) + shadow })
      await body(new Bench(svm, regime))
    })
  }
}

/** n words: f(0), f(1) … */
export function words(length: number, f: (i: number) => number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length }, (_, i) => f(i))
}

/** The same numbers at every run. */
export function noise(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 16) | (Math.imul(state, 0x9e3779b1) & 0xffff0000)) >>> 0
  }
}

/** Arrays of a million elements are compared by the engine, not by the matcher. */
export function expectSame(got: TypedArray, wanted: TypedArray): void {
  expect(got.length).toBe(wanted.length)
  for (let i = 0; i < wanted.length; i++) if (got[i] !== wanted[i]) expect({ i, value: got[i] }).toEqual({ i, value: wanted[i] })
}
