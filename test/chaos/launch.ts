// One kernel in one space: its arrays in place, its launches, and what they left. Always: the same on every kind of device.

import { Random } from '../../src/base/world.ts'
import type { DispatchResult, KernelDescriptor, Svm, SvmKernel } from '../../src/index.ts'
import { type Kernel, PAGE_BYTES, type Run, type Twin, textOf } from '../kernels/kernel.ts'
import { ReferenceMemory, runFree, startTwin } from '../sim/reference.ts'

export type Words = Record<string, Uint32Array<ArrayBuffer>>

/** The arrays of a run in a space. */
export class Placed {
  readonly svm: Svm
  readonly kernel: Kernel
  readonly run: Run
  readonly addresses: Record<string, number> = {}
  /** What is in them before a launch. */
  readonly before: Words = {}

  constructor(svm: Svm, kernel: Kernel, run: Run) {
    this.svm = svm
    this.kernel = kernel
    this.run = run
    for (const name of kernel.pointers) this.addresses[name] = svm.alloc(run.arrays[name].byteLength)
    Object.assign(this.before, initialWords(run, this.addresses, svm.addressBits))
  }

  async fill(): Promise<void> {
    for (const [name, words] of Object.entries(this.before)) await this.svm.write(this.addresses[name], words)
  }

  make(twin?: KernelDescriptor['twin']): Promise<SvmKernel> {
    const { kernel } = this
    return this.svm.createKernel({ code: textOf(kernel), entryPoint: 'k', label: kernel.name, class: kernel.class, twin })
  }

  launch(made: SvmKernel, atomic = false): Promise<DispatchResult> {
    const { addresses, run, kernel } = this
    return this.svm.queue.enqueue(made, { args: { ...addresses, ...run.numbers }, global: run.workgroups * kernel.size, atomic }).done
  }

  async read(): Promise<Words> {
    const after: Words = {}
    for (const [name, words] of Object.entries(this.run.arrays)) after[name] = await this.svm.read(this.addresses[name], Uint32Array, words.length)
    return after
  }

  /** @throws Error when anything was lost, or happened twice */
  async check(): Promise<void> {
    this.run.check(await this.read(), this.addresses)
  }
}

function initialWords({ arrays, pointers = [] }: Run, addresses: Readonly<Record<string, number>>, addressBits: 32 | 64): Words {
  const words: Words = {}
  for (const [name, initial] of Object.entries(arrays)) words[name] = initial.slice()
  for (const { array, at, to, byte } of pointers) {
    const pointer = addresses[to] + byte
    words[array][at / 4] = pointer % 2 ** 32
    if (addressBits === 64) words[array][at / 4 + 1] = Math.floor(pointer / 2 ** 32)
  }
  return words
}

/** The pages that the neediest workgroup needs: by a run of the reference, and for what the schedule decides all there are. */
export function neediest({ kernel, run, twin }: { kernel: Kernel; run: Run; twin: Twin }): number {
  const memory = new ReferenceMemory()
  const addresses: Record<string, number> = {}
  let next = PAGE_BYTES
  for (const [name, words] of Object.entries(run.arrays)) {
    addresses[name] = next
    next += words.byteLength
  }
  for (const [name, words] of Object.entries(initialWords(run, addresses, 32))) memory.set(addresses[name], words)
  const touched = Array.from({ length: run.workgroups }, () => new Set<number>())
  for (const name of run.dynamic ?? []) {
    const first = addresses[name] / PAGE_BYTES
    for (let page = 0; page < run.arrays[name].byteLength / PAGE_BYTES; page++) for (const pages of touched) pages.add(first + page)
  }
  let group = 0
  memory.onAccess = (pointer) => touched[group].add(Math.floor(pointer / PAGE_BYTES))
  const running = startTwin(twin, run.workgroups, kernel.size, { ...addresses, ...run.numbers }, memory)
  runFree(running, new Random(1), (now) => {
    group = now
  })
  return Math.max(...touched.map((pages) => pages.size))
}
