// programs.ts: random kernels as data, and the one interpreter that runs them, on a simulated device as well as in the reference.
//
// Always: a kernel has no data races (A1, A2 of replay-grants section 3): a word is read-only, or owned by one work-item until the next
// barrier, or accessed by atomics alone, or handed over by an atomic (queue slots, hash values, list nodes). Every access is one step.

import type { Random } from '../../src/base/world.ts'
import type { KernelMemory, WorkItem } from '../../src/device/twin.ts'

/** What a kernel sees of an invocation. The reference has both too. */
export type Item = Pick<WorkItem, 'workgroupId' | 'localIndex' | 'workgroupU32' | 'workgroupAtomicAdd'>
export type Memory = Pick<
  KernelMemory,
  | 'loadU32'
  | 'storeU32'
  | 'storeU16'
  | 'atomicLoadU32'
  | 'atomicStoreU32'
  | 'atomicAddU32'
  | 'atomicExchangeU32'
  | 'atomicCompareExchangeU32'
  | 'silentAtomicAddU32'
  | 'faulted'
>

/** Where the words of a kernel lie: addresses, dealt to their purposes. */
export interface Deal {
  /** By workgroup. */
  readonly readOnly: readonly (readonly number[])[]
  readonly owned: readonly (readonly number[])[]
  readonly atomics: readonly number[]
  /** [counter, slots...], [keys and values in turn], [head]; nodes of the list by workgroup and item: value, then next. */
  readonly queue: readonly number[]
  readonly hash: readonly number[]
  readonly head: number
  readonly nodes: readonly (readonly (readonly [number, number])[])[]
}

/** Operands are registers 0 to 3 unless they are called `n`, `index` or `body`. */
export type Op =
  | { op: 'const'; to: number; n: number }
  | { op: 'alu'; to: number; a: number; kind: number }
  | { op: 'gather'; to: number; a: number }
  | { op: 'chase'; to: number; a: number; n: number }
  | { op: 'load'; to: number; a: number }
  | { op: 'store'; to: number; a: number }
  | { op: 'store16'; to: number; a: number }
  | { op: 'if'; a: number; body: Op[]; otherwise: Op[] }
  | { op: 'loop'; a: number; n: number; body: Op[] }
  | { op: 'wgStore'; a: number }
  | { op: 'wgLoad'; to: number; n: number }
  | { op: 'wgAtomic'; to: number; a: number; used: boolean }
  | { op: 'add'; to: number; a: number; index: number; used: boolean }
  | { op: 'exchange' | 'atomicLoad' | 'atomicStore' | 'casAdd'; to: number; a: number; index: number }
  | { op: 'append'; a: number; conditional: boolean }
  | { op: 'insert'; a: number }
  | { op: 'push'; a: number; index: number }
  | { op: 'walk'; to: number; n: number }

/** The list's links are words, so that an atomic can swap them: the low word of an address, whose high word is that of the head. */
export function nodeAt({ head }: Deal, link: number): number {
  return head - (head % 2 ** 32) + link
}

export interface Program {
  readonly workgroups: number
  readonly items: number
  readonly phases: readonly Op[][]
  readonly deal: Deal
}

const REGISTERS = 4
const MIX = 0x9e3779b1

/** One work-item. Yields 'step' before every access, nothing at a barrier. */
export function* runProgram(program: Program, item: Item, memory: Memory): Generator<unknown> {
  const run = new Run(program, item, memory)
  for (let phase = 0; phase < program.phases.length; phase++) {
    if (phase > 0) yield
    run.phase = phase
    yield* run.all(program.phases[phase])
  }
}

class Run {
  phase = 0
  readonly #program: Program
  readonly #item: Item
  readonly #memory: Memory
  readonly #group: number
  readonly #registers: Uint32Array

  constructor(program: Program, item: Item, memory: Memory) {
    this.#program = program
    this.#item = item
    this.#memory = memory
    this.#group = item.workgroupId[0]
    this.#registers = Uint32Array.from({ length: REGISTERS }, (_, i) => this.#group * 64 + item.localIndex * 8 + i)
  }

  *all(ops: readonly Op[]): Generator<unknown> {
    for (const op of ops) yield* this.#one(op)
  }

  *#one(op: Op): Generator<unknown> {
    const r = this.#registers
    switch (op.op) {
      case 'const':
        r[op.to] = op.n
        return
      case 'alu':
        r[op.to] = op.kind === 0 ? r[op.to] + r[op.a] : op.kind === 1 ? r[op.to] ^ Math.imul(r[op.a], MIX) : r[op.to] - (r[op.a] >>> 3)
        return
      case 'if':
        yield* this.all((r[op.a] & 1) === 1 ? op.body : op.otherwise)
        return
      case 'loop': {
        const times = (r[op.a] % op.n) + 1
        for (let i = 0; i < times && !this.#memory.faulted(); i++) yield* this.all(op.body)
        return
      }
      case 'wgStore':
      case 'wgLoad':
      case 'wgAtomic':
        yield* this.#shared(op)
        return
      case 'append':
      case 'insert':
      case 'push':
      case 'walk':
        yield* this.#structure(op)
        return
      default:
        yield 'step'
        yield* this.#access(op)
    }
  }

  *#access(op: Op): Generator<unknown> {
    const r = this.#registers
    const m = this.#memory
    const { deal } = this.#program
    const readOnly = deal.readOnly[this.#group]
    const atomic = 'index' in op ? deal.atomics[op.index % deal.atomics.length] : 0
    switch (op.op) {
      case 'gather':
        r[op.to] = m.loadU32(readOnly[r[op.a] % readOnly.length])
        return
      case 'chase':
        for (let i = 0, at = r[op.a]; i < op.n && !m.faulted(); i++) {
          if (i > 0) yield 'step'
          at = m.loadU32(readOnly[at % readOnly.length])
          r[op.to] = at
        }
        return
      case 'load':
        r[op.to] = m.loadU32(this.#mine(r[op.a]))
        return
      case 'store':
        m.storeU32(this.#mine(r[op.a]), r[op.to])
        return
      case 'store16':
        m.storeU16(this.#mine(r[op.a]) + (r[op.to] & 2), r[op.to])
        return
      case 'add':
        if (op.used) r[op.to] = m.atomicAddU32(atomic, r[op.a])
        else m.silentAtomicAddU32(atomic, r[op.a])
        return
      case 'exchange':
        r[op.to] = m.atomicExchangeU32(atomic, r[op.a])
        return
      case 'atomicLoad':
        r[op.to] = m.atomicLoadU32(atomic)
        return
      case 'atomicStore':
        m.atomicStoreU32(atomic, r[op.a])
        return
      case 'casAdd':
        while (!m.faulted()) {
          const old = m.atomicLoadU32(atomic)
          yield 'step'
          if (m.atomicCompareExchangeU32(atomic, old, old + r[op.a]) === old) break
          yield 'step'
        }
        return
      default:
        throw new Error(`no access: ${op.op}`)
    }
  }

  *#shared(op: Extract<Op, { op: 'wgStore' | 'wgLoad' | 'wgAtomic' }>): Generator<unknown> {
    const r = this.#registers
    const { items } = this.#program
    yield 'step'
    if (op.op === 'wgStore') this.#item.workgroupU32(`phase${this.phase}`, items)[this.#item.localIndex] = r[op.a]
    else if (op.op === 'wgLoad') r[op.to] = this.phase === 0 ? 0 : this.#item.workgroupU32(`phase${this.phase - 1}`, items)[op.n % items]
    else {
      const old = this.#item.workgroupAtomicAdd('count', 1, 0, r[op.a] & 7)
      if (op.used) r[op.to] = old
    }
  }

  *#structure(op: Extract<Op, { op: 'append' | 'insert' | 'push' | 'walk' }>): Generator<unknown> {
    const { deal } = this.#program
    const m = this.#memory
    const r = this.#registers
    yield 'step'
    if (op.op === 'append') {
      const slot = m.atomicAddU32(deal.queue[0], 1)
      if (slot + 1 >= deal.queue.length || (op.conditional && (r[op.a] & 1) === 0)) return
      yield 'step'
      m.storeU32(deal.queue[slot + 1], r[op.a])
    } else if (op.op === 'insert') yield* this.#insert((r[op.a] % (deal.hash.length / 2)) + 1)
    else if (op.op === 'push') yield* this.#push(op.index, r[op.a])
    else {
      let node = m.atomicLoadU32(deal.head)
      for (let i = 0; i < op.n && node !== 0 && !m.faulted(); i++) {
        const at = nodeAt(deal, node)
        yield 'step'
        r[op.to] += m.loadU32(at)
        yield 'step'
        node = m.loadU32(at + 4)
      }
    }
  }

  *#insert(key: number): Generator<unknown> {
    const { hash } = this.#program.deal
    const m = this.#memory
    const places = hash.length / 2
    for (let probe = 0; probe < places && !m.faulted(); probe++) {
      const at = ((key + probe) % places) * 2
      const old = m.atomicCompareExchangeU32(hash[at], 0, key)
      if (old === key) return
      yield 'step'
      if (old === 0) {
        m.storeU32(hash[at + 1], key * 1000)
        return
      }
    }
  }

  *#push(index: number, value: number): Generator<unknown> {
    const { head, nodes } = this.#program.deal
    const m = this.#memory
    const node = nodes[this.#group * this.#program.items + this.#item.localIndex][index]
    m.storeU32(node[0], value)
    while (!m.faulted()) {
      yield 'step'
      const old = m.atomicLoadU32(head)
      yield 'step'
      m.storeU32(node[1], old)
      yield 'step'
      if (m.atomicCompareExchangeU32(head, old, node[0] % 2 ** 32) === old) return
    }
  }

  /** One of the words that this work-item owns in this phase: they change hands at every barrier. */
  #mine(choice: number): number {
    const words = this.#program.deal.owned[this.#group]
    const { items } = this.#program
    const first = (this.#item.localIndex + this.phase) % items
    const count = Math.floor((words.length - first + items - 1) / items)
    return words[first + (choice % count) * items]
  }
}

export interface Shape {
  readonly workgroups: number
  readonly items: number
  readonly phases: number
  /** Operations of a phase, at most. */
  readonly ops: number
  /** No used atomics but in the structures, whose results stay there: the final bytes do not depend on the schedule. */
  readonly independent: boolean
}

/** Random operations. Pushes stand outside of loops, since each has one node. */
export function randomPhases(random: Random, shape: Shape): { phases: Op[][]; pushes: number } {
  let pushes = 0
  const reg = () => random.below(REGISTERS)
  const plain = (): Op =>
    random.pick<() => Op>([
      () => ({ op: 'const', to: reg(), n: random.below(1000) }),
      () => ({ op: 'alu', to: reg(), a: reg(), kind: random.below(3) }),
      () => ({ op: 'gather', to: reg(), a: reg() }),
      () => ({ op: 'chase', to: reg(), a: reg(), n: 1 + random.below(4) }),
      () => ({ op: 'load', to: reg(), a: reg() }),
      () => ({ op: 'store', to: reg(), a: reg() }),
      () => ({ op: 'store', to: reg(), a: reg() }),
      () => ({ op: 'store16', to: reg(), a: reg() }),
      () => ({ op: 'wgStore', a: reg() }),
      () => ({ op: 'wgLoad', to: reg(), n: random.below(8) }),
      () => ({ op: 'wgLoad', to: reg(), n: random.below(8) }),
      () => ({ op: 'wgStore', a: reg() }),
      () => ({ op: 'add', to: reg(), a: reg(), index: random.below(8), used: false }),
      () => ({ op: 'append', a: reg(), conditional: random.chance(1, 2) }),
      () => ({ op: 'insert', a: reg() }),
      () => ({ op: 'wgAtomic', to: reg(), a: reg(), used: false }),
    ])()
  const wild = (): Op =>
    random.pick<() => Op>([
      () => ({ op: 'wgAtomic', to: reg(), a: reg(), used: true }),
      () => ({ op: 'wgAtomic', to: reg(), a: reg(), used: true }),
      () => ({ op: 'atomicStore', to: reg(), a: reg(), index: random.below(8) }),
      () => ({ op: 'add', to: reg(), a: reg(), index: random.below(8), used: true }),
      () => ({ op: random.pick(['exchange', 'atomicLoad', 'atomicStore', 'casAdd'] as const), to: reg(), a: reg(), index: random.below(8) }),
      () => ({ op: 'walk', to: reg(), n: 1 + random.below(4) }),
    ])()
  const list = (depth: number, length: number): Op[] => Array.from({ length }, () => one(depth))
  const one = (depth: number): Op => {
    const chance = random.below(20)
    if (chance === 0 && depth < 2) return { op: 'if', a: reg(), body: list(depth + 1, 1 + random.below(3)), otherwise: list(depth + 1, random.below(2)) }
    if (chance === 1 && depth < 2) return { op: 'loop', a: reg(), n: 1 + random.below(3), body: list(depth + 1, 1 + random.below(3)) }
    if (chance === 2 && depth === 0) return { op: 'push', a: reg(), index: pushes++ }
    return chance < 7 && !shape.independent ? wild() : plain()
  }
  const phases = Array.from({ length: shape.phases }, () => list(0, 1 + random.below(shape.ops)))
  return { phases, pushes }
}
