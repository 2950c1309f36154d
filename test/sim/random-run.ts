// random-run.ts: one seed of a random kernel, from placement to comparison.
//
// Oracle: the witness schedule. Of every pass, the steps of the workgroups that retired in it (a workgroup's last attempt), in their order;
// the reference runs that schedule all resident, must not diverge, and must leave the same bytes. Kernels whose result does not depend on the
// schedule must also equal a reference run with a schedule of its own, but for the order inside queue, hash and list.

import { expect } from 'vitest'
import { Random } from '../../src/base/world.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import { ADVICE } from '../../src/drm/request.ts'
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
  /** All that guesses is on at once: history over more launches, the density prefetcher, thrash rules that strike soon, files that are read ahead, advice. */
  guessing?: boolean
}

/** What a run met of what guesses. */
export interface Guessed {
  evictions: number
  pingPongs: number
  refaults: number
  /** Pages that a file was asked for, and no kernel reads. */
  ahead: number
  /** Launches that took one pass though they might have faulted. */
  foreseen: number
}

/** A file: its bytes, and what was asked of it. */
interface Source {
  readonly words: Uint32Array
  readonly asked: Set<number>
}

/** A file's pages are read in the order of the workgroups. */
const FILE_PAGES = [8, 40, 80] as const

/** Runs one seed. Throws on the first difference. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<Guessed> {
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
  const { addressBits = 32, debug = false, guessing = false } = options
  const sources = guessing
    ? [{ words: Uint32Array.from({ length: random.pick(FILE_PAGES) * PAGE_WORDS }, () => random.u32() >>> 8), asked: new Set<number>() }]
    : []
  const probe = await openRig({ addressBits, debug })
  const probed = allocate(probe, areaPages)
  const program = dealWords(random, shape, phases, pushes, { areas: probed, files: await mapAll(probe, sources), scattered })
  await probe.svm.close()
  const frames = neediest(program, random) + (options.spare ?? random.pick([0, 0, 1, 2, 4, 40]))
  const rig = await openRig({
    seed,
    addressBits,
    debug,
    frames: Math.max(7, frames),
    mischief: { latency: random.below(4) },
    policy: guessing ? { prefetch: 'density', thrash: { moves: 2, lapse: 32, epoch: 16 } } : { prefetch: prefetchOf(seed) },
    ...(guessing ? { hostCache: random.pick([64, 512, 2048]) * PAGE_BYTES } : {}),
  })
  const areas = allocate(rig, areaPages)
  const files = await mapAll(rig, sources)
  const run = new SeedRun(rig, program, areas, random)
  for (const [n, { pointer }] of files.entries()) run.know(pointer, sources[n].words)
  const transactional = options.class ?? (random.chance(1, 8) ? 'transactional' : undefined)
  await run.start(transactional)
  const launches = guessing ? 3 + random.below(4) : 1 + random.below(3)
  for (let launch = 0; launch < launches; launch++) {
    await run.place()
    if (guessing) run.advise([...areas, ...files])
    // A node stands in the list once: what is left of the last launch goes.
    if (launch > 0 && pushes > 0) await run.write(program.deal.head, 1, 0)
    await run.launch({ atomic: options.atomic ?? random.chance(1, 8), independent: shape.independent && !random.chance(1, 3) })
  }
  const [{ evictions, thrash }] = rig.svm.stats().devices
  await rig.svm.close()
  return {
    evictions,
    pingPongs: thrash.pingPongs,
    refaults: thrash.refaults,
    ahead: run.ahead(files, sources),
    foreseen: run.foreseen,
  }
}

/** Maps the sources, in their order, as files. */
async function mapAll({ svm }: Rig, sources: readonly Source[]): Promise<Area[]> {
  const areas: Area[] = []
  for (const source of sources) {
    const bytes = new Uint8Array(source.words.buffer)
    const read = async (offset: number, into: Uint8Array) => {
      for (let page = offset; page < offset + into.length; page += PAGE_BYTES) source.asked.add(page / PAGE_BYTES)
      await Promise.resolve()
      into.set(bytes.subarray(offset, offset + into.length))
      return into.length
    }
    areas.push({ pointer: await svm.mmap({ size: bytes.length, read }), pages: bytes.length / PAGE_BYTES })
  }
  return areas
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
  foreseen = 0
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

  /** Words that are there already. */
  know(pointer: number, words: Uint32Array): void {
    this.#memory.set(pointer, words)
  }

  /** Pages of the files that were asked for, and hold nothing that is read. */
  ahead(files: readonly Area[], sources: readonly Source[]): number {
    const wanted = new Set(this.#program.deal.readOnly.flat().map((at) => Math.floor(at / PAGE_BYTES)))
    return files.reduce((sum, { pointer }, n) => sum + [...sources[n].asked].filter((page) => !wanted.has(pointer / PAGE_BYTES + page)).length, 0)
  }

  /** Advice of all kinds, for any part. */
  advise(areas: readonly Area[]): void {
    const random = this.#random
    for (let i = random.below(3); i > 0; i--) {
      const { pointer, pages } = random.pick(areas)
      const first = random.below(pages)
      this.#rig.svm.advise(pointer + first * PAGE_BYTES, (1 + random.below(pages - first)) * PAGE_BYTES, random.pick(ADVICE))
    }
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
      const { rounds, variant } = await event.done
      if (rounds === 1 && variant === 'attempt') this.foreseen++
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

interface Room {
  readonly areas: readonly Area[]
  /** Where what is only read lies, if there is one. */
  readonly files: readonly Area[]
  readonly scattered: boolean
}

/** Words of the areas to purposes: all over the place, or each purpose and workgroup in pages of its own. */
function dealWords(random: Random, shape: Shape, phases: Program['phases'], pushes: number, { areas, files, scattered }: Room): Program {
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
    readOnly: Array.from({ length: workgroups }, (_, group) => {
      const [file] = files
      // In the order of the workgroups, some pages for each.
      const part = file === undefined ? null : Math.floor(file.pages / workgroups)
      const pages = part === null ? some(2) : Array.from({ length: Math.min(3, part) }, (_, i) => (file as Area).pointer + (group * part + i) * PAGE_BYTES)
      return words(4 + random.below(12), pages)
    }),
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
