// reference.ts: the all-resident run. Always: it knows addresses and bytes, and nothing of pages, frames, grants or placement.

import type { Random } from '../../src/base/world.ts'
import { type Item, type Memory, type Program, runProgram } from './programs.ts'

/** Words by address, made on first use. */
export class ReferenceMemory implements Memory {
  readonly #words = new Map<number, number>()
  /** Told of every access; for counting pages. */
  onAccess: ((pointer: number) => void) | null = null

  copy(): ReferenceMemory {
    const other = new ReferenceMemory()
    for (const [pointer, value] of this.#words) other.#words.set(pointer, value)
    return other
  }

  /** The words from `pointer` on. */
  words(pointer: number, count: number): Uint32Array {
    return Uint32Array.from({ length: count }, (_, i) => this.#words.get(pointer + i * 4) ?? 0)
  }

  set(pointer: number, values: Uint32Array): void {
    values.forEach((value, i) => {
      this.#words.set(pointer + i * 4, value)
    })
  }

  faulted(): boolean {
    return false
  }

  loadU32(pointer: number): number {
    this.onAccess?.(pointer)
    return this.#words.get(pointer) ?? 0
  }

  storeU32(pointer: number, value: number): void {
    this.onAccess?.(pointer)
    this.#words.set(pointer, value >>> 0)
  }

  storeU16(pointer: number, value: number): void {
    const word = pointer - (pointer % 4)
    const shift = (pointer & 2) * 8
    this.storeU32(word, (this.loadU32(word) & ~(0xffff << shift)) | ((value & 0xffff) << shift))
  }

  atomicLoadU32(pointer: number): number {
    return this.loadU32(pointer)
  }

  atomicStoreU32(pointer: number, value: number): void {
    this.storeU32(pointer, value)
  }

  atomicAddU32(pointer: number, value: number): number {
    return this.#change(pointer, (old) => old + value)
  }

  atomicExchangeU32(pointer: number, value: number): number {
    return this.#change(pointer, () => value)
  }

  atomicCompareExchangeU32(pointer: number, expected: number, value: number): number {
    return this.#change(pointer, (old) => (old === expected >>> 0 ? value : old))
  }

  silentAtomicAddU32(pointer: number, value: number): void {
    this.#change(pointer, (old) => old + value)
  }

  #change(pointer: number, change: (old: number) => number): number {
    const old = this.loadU32(pointer)
    this.storeU32(pointer, change(old))
    return old
  }
}

/** A work-item of the reference. Workgroup memory is made with the workgroup. */
export class ReferenceItem implements Item {
  readonly workgroupId: readonly [number, number, number]
  readonly localIndex: number
  readonly #shared: Map<string, Uint32Array>

  constructor(group: number, localIndex: number, shared: Map<string, Uint32Array>) {
    this.workgroupId = [group, 0, 0]
    this.localIndex = localIndex
    this.#shared = shared
  }

  workgroupU32(name: string, length: number): Uint32Array {
    const made = this.#shared.get(name) ?? new Uint32Array(length)
    this.#shared.set(name, made)
    return made
  }

  workgroupAtomicAdd(name: string, length: number, index: number, value: number): number {
    const words = this.workgroupU32(name, length)
    const old = words[index]
    words[index] = old + value
    return old
  }
}

/** One step of a schedule: which work-item ran to its next yield. */
export interface Step {
  readonly group: number
  readonly local: number
}

function generators(program: Program, memory: Memory): Generator<unknown>[][] {
  return Array.from({ length: program.workgroups }, (_, group) => {
    const shared = new Map<string, Uint32Array>()
    return Array.from({ length: program.items }, (_, local) => runProgram(program, new ReferenceItem(group, local, shared), memory))
  })
}

/** Runs a given schedule. Throws when the kernel takes another path than the schedule says. */
export function runSchedule(program: Program, memory: Memory, schedule: readonly Step[]): void {
  const running = generators(program, memory)
  const ended = new Set<Generator<unknown>>()
  for (const { group, local } of schedule) {
    const item = running[group][local]
    if (ended.has(item)) throw new Error(`the reference diverges: work-item ${local} of workgroup ${group} has ended, the schedule has one more step`)
    if (item.next().done === true) ended.add(item)
  }
  const left = running.flat().filter((item) => !ended.has(item)).length
  if (left > 0) throw new Error(`the reference diverges: ${left} work-items have not ended where the schedule does`)
}

/** Runs a schedule of its own. `visit` is told which workgroup is about to step. */
export function runFree(program: Program, memory: Memory, random: Random, visit: (group: number) => void = () => undefined): void {
  const groups = generators(program, memory).map((items, group) => ({ group, runnable: items, held: [] as Generator<unknown>[] }))
  while (groups.length > 0) {
    const at = random.below(groups.length)
    const one = groups[at]
    const chosen = random.below(one.runnable.length)
    visit(one.group)
    const { done, value } = one.runnable[chosen].next()
    if (done === true || value !== 'step') {
      const [item] = one.runnable.splice(chosen, 1)
      if (done !== true) one.held.push(item)
    }
    if (one.runnable.length === 0) one.runnable = one.held.splice(0)
    if (one.runnable.length === 0) groups.splice(at, 1)
  }
}
