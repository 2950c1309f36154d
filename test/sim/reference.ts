// reference.ts: the all-resident run. Always: it knows addresses and bytes, and nothing of pages, frames, grants or placement.

import type { Random } from '../../src/base/world.ts'
import type { Twin, TwinItem, TwinMemory } from '../kernels/kernel.ts'
import { type Item, type Memory, type Program, runProgram } from './programs.ts'

/** Words by address, made on first use. */
export class ReferenceMemory implements Memory, TwinMemory {
  readonly #words = new Map<number, number>()
  readonly #addressBits: 32 | 64
  /** Told of every access; for counting pages. */
  onAccess: ((pointer: number) => void) | null = null

  constructor(addressBits: 32 | 64 = 32) {
    this.#addressBits = addressBits
  }

  copy(): ReferenceMemory {
    const other = new ReferenceMemory(this.#addressBits)
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

  storeU8(pointer: number, value: number): void {
    this.#storePart(pointer, 0xff, value)
  }

  storeU16(pointer: number, value: number): void {
    this.#storePart(pointer, 0xffff, value)
  }

  loadVec2U32(pointer: number): [number, number] {
    return [this.loadU32(pointer), this.loadU32(pointer + 4)]
  }

  loadVec4U32(pointer: number): [number, number, number, number] {
    return [...this.loadVec2U32(pointer), ...this.loadVec2U32(pointer + 8)]
  }

  storeVec2U32(pointer: number, value: readonly number[]): void {
    for (let n = 0; n < 2; n++) this.storeU32(pointer + n * 4, value[n])
  }

  storeVec4U32(pointer: number, value: readonly number[]): void {
    for (let n = 0; n < 4; n++) this.storeU32(pointer + n * 4, value[n])
  }

  loadPointer(pointer: number): number {
    return this.#addressBits === 32 ? this.loadU32(pointer) : this.loadU32(pointer) + this.loadU32(pointer + 4) * 2 ** 32
  }

  storePointer(pointer: number, value: number): void {
    this.storeU32(pointer, value % 2 ** 32)
    if (this.#addressBits === 64) this.storeU32(pointer + 4, Math.floor(value / 2 ** 32))
  }

  atomicXorU32(pointer: number, value: number): number {
    return this.#change(pointer, (old) => old ^ value)
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

  #storePart(pointer: number, mask: number, value: number): void {
    const word = pointer - (pointer % 4)
    const shift = (pointer & 3) * 8
    this.storeU32(word, (this.loadU32(word) & ~(mask << shift)) | ((value & mask) << shift))
  }

  #change(pointer: number, change: (old: number) => number): number {
    const old = this.loadU32(pointer)
    this.storeU32(pointer, change(old))
    return old
  }
}

/** A work-item of the reference. Workgroup memory is made with the workgroup. */
export class ReferenceItem implements Item, TwinItem {
  readonly globalId: readonly [number, number, number]
  readonly workgroupId: readonly [number, number, number]
  readonly localIndex: number
  readonly #shared: Map<string, Uint32Array>

  constructor(group: number, localIndex: number, size: number, shared: Map<string, Uint32Array>) {
    this.globalId = [group * size + localIndex, 0, 0]
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

/** The work-items of a launch, by workgroup, none of which has run. */
export type Running = readonly (readonly Generator<unknown>[])[]

function startAll(workgroups: number, size: number, start: (item: ReferenceItem) => Generator<unknown>): Running {
  return Array.from({ length: workgroups }, (_, group) => {
    const shared = new Map<string, Uint32Array>()
    return Array.from({ length: size }, (_, local) => start(new ReferenceItem(group, local, size, shared)))
  })
}

export function startProgram(program: Program, memory: Memory): Running {
  return startAll(program.workgroups, program.items, (item) => runProgram(program, item, memory))
}

export function startTwin(twin: Twin, workgroups: number, size: number, args: Record<string, number>, memory: TwinMemory): Running {
  return startAll(workgroups, size, (item) => twin(item, args, memory))
}

/** Runs a given schedule. Throws when the kernel takes another path than the schedule says. */
export function runSchedule(running: Running, schedule: readonly Step[]): void {
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
export function runFree(running: Running, random: Random, visit: (group: number) => void = () => undefined): void {
  const groups = running.map((items, group) => ({ group, runnable: [...items], held: [] as Generator<unknown>[] }))
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

/** A log of steps, of which those of a work-item's earlier attempts did not happen. */
export interface LoggedStep {
  readonly step: Step
  /** Tells the attempts of one work-item apart. */
  readonly attempt: object
}

/** The witness schedule: of every work-item the last attempt, the one in which its workgroup retired, in the order of the log. */
export function witness(log: readonly LoggedStep[]): Step[] {
  const last = new Map<string, object>()
  for (const { step, attempt } of log) last.set(`${step.group} ${step.local}`, attempt)
  return log.filter(({ step, attempt }) => last.get(`${step.group} ${step.local}`) === attempt).map(({ step }) => step)
}

/** The steps of one attempt, logged as they are made. */
export function* logged(attempt: Generator<unknown>, step: Step, log: LoggedStep[]): Generator<unknown> {
  const entry = { step, attempt }
  for (;;) {
    log.push(entry)
    const { done, value } = attempt.next()
    if (done === true) return
    yield value
  }
}
