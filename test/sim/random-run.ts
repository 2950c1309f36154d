// random-run.ts: one seed of a random kernel, from placement to comparison.
//
// Oracle: the witness schedule. Of every pass, the steps of the workgroups that retired in it (a workgroup's last attempt), in their order;
// the reference runs that schedule all resident, must not diverge, and must leave the same bytes. Kernels whose result does not depend on the
// schedule must also equal a reference run with a schedule of its own, but for the order inside queue, hash and list.

import { expect } from 'vitest'
import { Random } from '../../src/base/world.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import type { SvmKernel } from '../../src/types.ts'
import { type Deal, nodeAt, type Program, randomPhases, runProgram, type Shape } from './programs.ts'
import { type LoggedStep, logged, ReferenceMemory, runFree, runSchedule, startProgram, witness } from './reference.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, prefetchOf, type Rig } from './rig.ts'

interface Area {
  readonly pointer: number
  readonly pages: number
}

export interface RunOptions {
  /** Frames beyond what the neediest workgroup needs. */
  spare?: number
  class?: 'transactional'
  addressBits?: 32 | 64
  debug?: boolean
  atomic?: boolean
}

/** Runs one seed. Throws on the first difference. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<void> {
  const random = new Random(seed)
  const shape: Shape = {
    workgroups: 2 + random.below(5),
    items: 1 + random.below(3),
    phases: 1 + random.below(4),
    ops: 2 + random.below(12),
    independent: random.chance(1, 2),
  }
  const scattered = random.chance(1, 3)
  const { phases, pushes } = randomPhases(random, shape)
  // Addresses are the same in every space that makes the same allocations: a first space tells them, the second has the budget.
  const areaPages = Array.from({ length: 3 + random.below(4) }, () => 1 + random.below(5))
  const { addressBits = 32, debug = false } = options
  const probe = await openRig({ addressBits, debug })
  const program = dealWords(random, shape, phases, pushes, allocate(probe, areaPages), scattered)
  await probe.svm.close()
  const frames = neediest(program, random) + (options.spare ?? random.pick([0, 0, 1, 2, 4, 40]))
  const rig = await openRig({
    seed,
    addressBits,
    debug,
    frames: Math.max(7, frames),
    mischief: { latency: random.below(4) },
    policy: { prefetch: prefetchOf(seed) },
  })
  const areas = allocate(rig, areaPages)
  const run = new SeedRun(rig, program, areas, random)
  const transactional = options.class ?? (random.chance(1, 8) ? 'transactional' : undefined)
  await run.start(transactional)
  const launches = 1 + random.below(3)
  for (let launch = 0; launch < launches; launch++) {
    await run.place()
    // A node stands in the list once: what is left of the last launch goes.
    if (launch > 0 && pushes > 0) await run.write(program.deal.head, 1, 0)
    await run.launch({ atomic: options.atomic ?? random.chance(1, 8), independent: shape.independent && !random.chance(1, 3) })
  }
  await rig.svm.close()
}

function allocate({ svm }: Rig, pages: readonly number[]): Area[] {
  return pages.map((count, n) => {
    // Areas in leaves of their own, and some that share one.
    if (svm.addressBits === 64 && n % 2 === 0) svm.alloc((5 + count * 7) * PAGE_BYTES)
    return { pointer: svm.alloc(count * PAGE_BYTES), pages: count }
  })
}

class SeedRun {
  readonly #rig: Rig
  readonly #program: Program
  readonly #areas: readonly Area[]
  readonly #random: Random
  /** Steps of all attempts of this launch. */
  #log: LoggedStep[] = []
  #memory = new ReferenceMemory()
  #kernel!: SvmKernel

  constructor(rig: Rig, program: Program, areas: readonly Area[], random: Random) {
    this.#rig = rig
    this.#program = program
    this.#areas = areas
    this.#random = random
  }

  async start(transactional: 'transactional' | undefined): Promise<void> {
    const { items } = this.#program
    this.#kernel = await makeKernel(this.#rig.svm, this.#twin(), { size: items, class: transactional, barriers: this.#program.phases.length > 1 })
    for (const { pointer, pages } of this.#areas) await this.write(pointer, pages * PAGE_WORDS, 1)
    const { deal } = this.#program
    for (const pointer of [...deal.queue, ...deal.hash, deal.head]) await this.write(pointer, 1, 0)
  }

  /** Random residency: some ranges migrate, some are read or written by the host. */
  async place(): Promise<void> {
    const random = this.#random
    const { svm } = this.#rig
    for (let i = random.below(6); i > 0; i--) {
      const { pointer, pages } = random.pick(this.#areas)
      const first = random.below(pages)
      const at = pointer + first * PAGE_BYTES
      const byteLength = (1 + random.below(pages - first)) * PAGE_BYTES
      const what = random.below(6)
      if (what < 3) await svm.queue.migrate({ pointer: at, byteLength }).done
      else if (what === 3) await svm.queue.migrate({ pointer: at, byteLength }, { to: 'host' }).done
      else if (what === 4) expect(await svm.read(at, Uint32Array, 64)).toEqual(this.#memory.words(at, 64))
      else await svm.write(at, this.#memory.words(at, 16))
      await checkInvariants(this.#rig)
    }
  }

  async launch({ atomic, independent }: { atomic: boolean; independent: boolean }): Promise<void> {
    const before = this.#memory.copy()
    this.#log = []
    const { svm } = this.#rig
    const { workgroups, items } = this.#program
    const event = svm.queue.enqueue(this.#kernel, { args: { a: this.#areas[0].pointer }, global: workgroups * items, atomic })
    let refused = false
    try {
      await event.done
    } catch (error) {
      // An atomic launch keeps every page that it writes: it may not fit. Then nothing has happened.
      if (!atomic || (error as { code?: string }).code !== 'working-set') throw error
      refused = true
    }
    await checkInvariants(this.#rig)
    if (refused) return this.#compare(before, 'after a refused atomic launch')
    runSchedule(startProgram(this.#program, this.#memory), witness(this.#log))
    if (independent) this.#crossCheck(before)
    await this.#compare(this.#memory, 'under the witness schedule')
  }

  #twin(): KernelTwin {
    const program = this.#program
    return (item, _args, memory) => logged(runProgram(program, item, memory), { group: item.workgroupId[0], local: item.localIndex }, this.#log)
  }

  #crossCheck(before: ReferenceMemory): void {
    const other = before.copy()
    runFree(startProgram(this.#program, other), this.#random)
    const { deal } = this.#program
    expect(canonical(this.#memory, deal), 'queue, hash and list hold the same under another schedule').toEqual(canonical(other, deal))
    for (const words of deal.owned) for (const at of words) expect(this.#memory.words(at, 1)[0]).toBe(other.words(at, 1)[0])
    for (const at of deal.atomics) expect(this.#memory.words(at, 1)[0]).toBe(other.words(at, 1)[0])
  }

  async #compare(memory: ReferenceMemory, when: string): Promise<void> {
    for (const { pointer, pages } of this.#areas) {
      const words = await this.#rig.svm.read(pointer, Uint32Array, pages * PAGE_WORDS)
      const expected = memory.words(pointer, pages * PAGE_WORDS)
      const at = words.findIndex((word, i) => word !== expected[i])
      if (at >= 0) {
        const address = pointer + at * 4
        throw new Error(`${when}: word at ${address} (${purpose(this.#program.deal, address)}) is ${words[at]} where the reference has ${expected[at]}`)
      }
    }
    await checkInvariants(this.#rig)
  }

  async write(pointer: number, count: number, kind: 0 | 1): Promise<void> {
    const values = Uint32Array.from({ length: count }, () => (kind === 0 ? 0 : this.#random.u32() >>> 8))
    this.#memory.set(pointer, values)
    await this.#rig.svm.write(pointer, values)
  }
}

/** Words of the areas to purposes: all over the place, or each purpose and workgroup in pages of its own. */
function dealWords(random: Random, shape: Shape, phases: Program['phases'], pushes: number, areas: readonly Area[], scattered: boolean): Program {
  const pages = areas.flatMap(({ pointer, pages }) => Array.from({ length: pages }, (_, i) => pointer + i * PAGE_BYTES))
  const used = new Set<number>()
  const word = (from: readonly number[]): number => {
    while (true) {
      const at = random.pick(from) + random.below(PAGE_WORDS) * 4
      if (!used.has(at)) {
        used.add(at)
        return at
      }
    }
  }
  const words = (count: number, from: readonly number[]) => Array.from({ length: count }, () => word(from))
  const some = (count: number) => (scattered ? pages : Array.from({ length: count }, () => random.pick(pages)))
  const { workgroups, items } = shape
  const shared = some(2)
  const dynamic = some(2)
  const node = (from: readonly number[]): [number, number] => {
    while (true) {
      const at = random.pick(from) + random.below(PAGE_WORDS / 2) * 8
      if (used.has(at) || used.has(at + 4)) continue
      used.add(at).add(at + 4)
      return [at, at + 4]
    }
  }
  const deal: Deal = {
    readOnly: Array.from({ length: workgroups }, () => words(4 + random.below(12), some(2))),
    owned: Array.from({ length: workgroups }, () => words(items + random.below(9), some(2))),
    atomics: words(1 + random.below(4), shared),
    queue: words(2 + random.below(40), dynamic),
    hash: words(2 * (4 + random.below(8)), dynamic),
    head: word(shared),
    nodes: Array.from({ length: workgroups * items }, () => Array.from({ length: pushes }, () => node(dynamic))),
  }
  return { workgroups, items, phases, deal }
}

/** Pages that the neediest workgroup may touch, whatever the schedule. */
function neediest({ workgroups, deal }: Program, random: Random): number {
  let most = 0
  const shared = [...deal.atomics, ...deal.queue, ...deal.hash, deal.head, ...deal.nodes.flat(2)]
  for (let group = 0; group < workgroups; group++) {
    const pages = new Set([...shared, ...deal.readOnly[group], ...deal.owned[group]].map((at) => Math.floor(at / PAGE_BYTES)))
    most = Math.max(most, pages.size)
  }
  // Often the working set is smaller than that; sometimes ask for one more.
  return most + random.below(2)
}

/** What queue, hash and list hold, without the order that the schedule gave it. */
function canonical(memory: ReferenceMemory, deal: Deal): unknown {
  const { queue, hash, head } = deal
  const at = (pointer: number) => memory.words(pointer, 1)[0]
  const pairs = Array.from({ length: hash.length / 2 }, (_, i) => `${at(hash[i * 2])}:${at(hash[i * 2 + 1])}`).sort()
  const list: number[] = []
  for (let node = at(head); node !== 0 && list.length < 10_000; node = at(nodeAt(deal, node) + 4)) list.push(at(nodeAt(deal, node)))
  const appended = at(queue[0])
  // Once it is full, the schedule decides who finds no slot.
  const entries = appended < queue.length ? queue.slice(1).map(at) : []
  return { appended, entries: entries.sort((a, b) => a - b), pairs, list: list.sort((a, b) => a - b) }
}

function purpose(deal: Deal, address: number): string {
  if (deal.owned.some((words) => words.includes(address))) return 'owned'
  if (deal.readOnly.some((words) => words.includes(address))) return 'read-only'
  if (deal.atomics.includes(address)) return 'atomic'
  if (deal.queue.includes(address)) return `queue ${deal.queue.indexOf(address)}`
  if (deal.hash.includes(address)) return 'hash'
  if (deal.head === address) return 'list head'
  return deal.nodes.flat(2).includes(address) ? 'list node' : 'of nobody'
}
