// What `debug` finds out about a dispatch, from the shadow that its kernels filled (abi/shadow): data races between workgroups, and invocations that wait.
//
// Always: the shadow is empty when a dispatch begins and lasts until its last pass, in a new fault buffer if the tables grow meanwhile. It is twice as large as
// what the launch is taken to reach, within the plan. A race that is reported happened: two workgroups accessed that word, and no atomic ordered them; and
// if accesses were left out, that is told.

import {
  SHADOW,
  SHADOW_ENTRIES_MIN,
  SHADOW_ENTRY,
  SHADOW_ENTRY_WORDS,
  SHADOW_HEADER_WORDS,
  SPIN_MAX,
  shadowBytesOf,
  shadowEntriesIn,
  unpackAccessor,
} from '../abi/shadow.ts'
import { SvmError } from '../base/error.ts'
import { type Address, type Bytes, hex, printBytes } from '../base/units.ts'
import type { Readback } from '../device/device.ts'
import { split } from './fault.ts'
import type { DriverKernel, Launch } from './launch.ts'
import type { Mirror } from './svmm.ts'
import type { Keeper, TableBuffers } from './tables.ts'

const HEADER_BYTES = SHADOW_HEADER_WORDS * 4

/** Who accessed a word in one way: the smallest and the largest workgroup, each with a line. */
interface Accessor {
  readonly workgroup: number
  /** 0: unknown. */
  readonly line: number
  readonly what: string
}

interface Race {
  readonly address: Address
  readonly one: Accessor
  readonly other: Accessor
}

export class Watch implements Keeper {
  readonly #mirror: Mirror
  readonly #header = new Uint32Array(SHADOW_HEADER_WORDS)
  readonly #headerBytes = new Uint8Array(this.#header.buffer)
  /** How many words launches of a kernel were found to access, where there was no room for all. */
  readonly #found = new WeakMap<DriverKernel, number>()
  /** Of the dispatch that runs. */
  #entries = SHADOW_ENTRIES_MIN
  #watchesSpins = false
  /** Those that hold its shadow. */
  #tables: TableBuffers | null = null
  /** Its shadow, between two of them. */
  #kept: Uint8Array | null = null

  constructor(mirror: Mirror) {
    this.#mirror = mirror
  }

  /** Before the first pass of a dispatch: its shadow is so large from now on. */
  begin(launch: Launch): void {
    const { plan, tables } = this.#mirror
    const words = Math.max(wordsReached(this.#mirror, launch), this.#found.get(launch.kernel) ?? 0)
    this.#entries = Math.min(shadowEntriesIn(plan.shadowBytes), 2 ** Math.ceil(Math.log2(Math.max(SHADOW_ENTRIES_MIN, 2 * words))))
    this.#watchesSpins = launch.class !== 'unsplittable'
    this.#tables = null
    this.#kept = null
    tables.shadowBytes = shadowBytesOf(this.#entries)
  }

  /** Before a pass: the first of a dispatch finds an empty shadow, and the first with new tables what was noted in the old ones. */
  arm(tables: TableBuffers): void {
    if (this.#tables === tables) return
    this.#tables = tables
    const { device, copies } = this.#mirror
    const { offset, byteLength } = this.#place(tables)
    if (this.#kept !== null) {
      device.write(tables.faults, offset, this.#kept)
      this.#kept = null
      return
    }
    void copies.submit([{ kind: 'clear', buffer: tables.faults, offset, byteLength }]).catch(() => undefined)
    const header = new Uint32Array(SHADOW_HEADER_WORDS)
    header[SHADOW.mask] = this.#entries - 1
    header[SHADOW.watchSpins] = this.#watchesSpins ? 1 : 0
    device.write(tables.faults, offset + byteLength - HEADER_BYTES, new Uint8Array(header.buffer))
  }

  async keep(tables: TableBuffers): Promise<void> {
    if (this.#tables !== tables) return
    const { offset, byteLength } = this.#place(tables)
    const kept = new Uint8Array(byteLength)
    await this.#mirror.copies.submit([], [{ from: tables.faults, offset, into: kept }])
    this.#kept = kept
  }

  /** What every pass reads back: whether somebody spins. */
  readbacks(tables: TableBuffers): Readback[] {
    return [{ from: tables.faults, offset: tables.faults.byteLength - HEADER_BYTES, into: this.#headerBytes }]
  }

  /** @throws SvmError access-violation */
  refuseSpin(launch: Launch): void {
    const header = this.#header
    if (header[SHADOW.claim] === 0) return
    const address = (header[SHADOW.addressHigh] as number) * 2 ** 32 + (header[SHADOW.address] as number)
    const workgroup = split(header[SHADOW.workgroup] as number, launch.workgroups)
    const line = header[SHADOW.line] as number
    throw new SvmError(
      'access-violation',
      `Kernel ${launch.kernel.label} waits in workgroup (${workgroup.join(', ')})${line === 0 ? '' : `, line ${line}`}: it asked for the word at ${hex(address)} ${SPIN_MAX} times in a row, and it never changed; ${this.#describe(address)}. If another workgroup has to write it, ask by an atomic and declare class 'unsplittable'; otherwise bound the loop.`,
      { pointer: address, kernel: launch.kernel.label, workgroup },
    )
  }

  /** When a dispatch has ended well; says how many accesses found no room. @throws SvmError access-violation, DeviceFailure */
  async conclude(launch: Launch): Promise<number> {
    const tables = this.#tables
    this.#tables = null
    if (tables === null || launch.class === 'transactional') return 0
    const { offset, byteLength } = this.#place(tables)
    const words = new Uint32Array((byteLength - HEADER_BYTES) / 4)
    await this.#mirror.copies.submit([], [{ from: tables.faults, offset, into: new Uint8Array(words.buffer) }])
    const [x, y, z] = launch.workgroups
    let held = 0
    for (let at = 0; at < words.length; at += SHADOW_ENTRY_WORDS) {
      if (words[at] === 0) continue
      held++
      const race = raceOf(words.subarray(at, at + SHADOW_ENTRY_WORDS), x * y * z)
      if (race !== null) throw this.#raceError(launch, race, x * y * z)
    }
    const missed = this.#header[SHADOW.missed] as number
    if (missed > 0) this.#tellMissed(launch, held, missed)
    return missed
  }

  #tellMissed({ kernel }: Launch, held: number, missed: number): void {
    const { plan, space } = this.#mirror
    this.#found.set(kernel, Math.max(this.#found.get(kernel) ?? 0, held + missed))
    const wayOut =
      this.#entries < shadowEntriesIn(plan.shadowBytes)
        ? 'Launch it once more: there will be more room.'
        : `Launch it on less, or raise deviceMemory (of ${printBytes(plan.budgetBytes)} the race detector has ${printBytes(plan.shadowBytes)}).`
    const message = `Kernel ${kernel.label}: the race detector had room for ${held} words, and ${missed} accesses to others were not watched, so a race among them would not be found. ${wayOut}`
    space.tracer.emit({ kind: 'unwatched', kernel: kernel.label, accesses: missed, message })
  }

  #place(tables: TableBuffers): { offset: Bytes; byteLength: Bytes } {
    const byteLength = shadowBytesOf(this.#entries)
    return { offset: tables.faults.byteLength - byteLength, byteLength }
  }

  #raceError(launch: Launch, { address, one, other }: Race, total: number): SvmError {
    const told = ({ workgroup, line, what }: Accessor) =>
      `workgroup (${split(workgroup, launch.workgroups).join(', ')}) ${what}${line === 0 ? '' : ` in line ${line}`}`
    return new SvmError(
      'access-violation',
      `Kernel ${launch.kernel.label} has a data race at ${hex(address)}: ${told(one)}, and ${told(other)}, and no atomic orders the two; ${this.#describe(address)}. Let one workgroup do both, use atomics, or declare class 'transactional'. The dispatch had ended: what it wrote stays.`,
      { pointer: address, kernel: launch.kernel.label, workgroup: split(one.workgroup, launch.workgroups), retiredWorkgroups: total },
    )
  }

  /** Which allocation, and where in it. */
  #describe(address: Address): string {
    const { addresses, geometry } = this.#mirror.space
    const vma = addresses.find(Math.floor(address / geometry.pageBytes))
    if (vma === undefined) return addresses.describeNearest(address)
    const { pointer, label, kind } = vma.allocation
    return `that is byte ${address - pointer} of ${label === '' ? `the ${kind === 'mmap' ? 'mapping' : 'allocation'} at ${hex(pointer)}` : `'${label}'`}`
  }
}

/**
 * As many words as a launch may access, by its text, or else by the allocations that its arguments point into: a guess, and how good it is only decides how
 * much is watched the first time.
 */
function wordsReached({ device, space }: Mirror, launch: Launch): number {
  const { args, kernel, workgroups } = launch
  const { bounds, analysis, args: layout } = kernel.translated
  const whole = { ...launch, first: 0, end: workgroups[0] * workgroups[1] * workgroups[2] }
  const ranges = (device.runsText ? bounds.of(whole) : null)?.map(({ start, end }) => ({ start, end })) ?? []
  if (ranges.length === 0) {
    const view = new DataView(args.buffer, args.byteOffset, args.byteLength)
    for (const { type, offset } of layout.fields) {
      if (type !== 'svm_ptr') continue
      const high = layout.addressBits === 64 ? view.getUint32(offset + 4, true) : 0
      const allocation = space.addresses.allocationAt(high * 2 ** 32 + view.getUint32(offset, true))
      if (allocation !== undefined) ranges.push({ start: allocation.pointer, end: allocation.pointer + allocation.byteLength })
    }
  }
  let bytes = 0
  let reached = 0
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start)) {
    bytes += Math.max(0, end - Math.max(start, reached))
    reached = Math.max(reached, end)
  }
  // Bytes and halves of a word are noted each for itself.
  const grain = Math.min(4, ...analysis.accesses.map(({ name }) => (name.endsWith('_u8') ? 1 : name.endsWith('_u16') ? 2 : 4)))
  return Math.ceil(bytes / grain)
}

/** The race that an entry shows, if it shows one. */
function raceOf(entry: Uint32Array, workgroups: number): Race | null {
  const low = (entry[SHADOW_ENTRY.key] as number) - 1
  const high = Math.max(0, (entry[SHADOW_ENTRY.keyHigh] as number) - 1)
  const address = high * 2 ** 32 + low
  const both = (at: number, what: string): Accessor[] => {
    const largest = entry[at] as number
    if (largest === 0) return []
    return [~(entry[at + 1] as number) >>> 0, largest].map((word) => ({ ...unpackAccessor(word, workgroups), what }))
  }
  const stores = both(SHADOW_ENTRY.stores, 'stored to it')
  const loads = both(SHADOW_ENTRY.loads, 'loaded it')
  const updates = both(SHADOW_ENTRY.updates, 'changed it by an atomic')
  const atomicLoads = both(SHADOW_ENTRY.atomicLoads, 'loaded it by an atomic')
  // Stores of one and the same value are a flag; nobody can tell their order.
  const values = entry[SHADOW_ENTRY.value] !== ~(entry[SHADOW_ENTRY.value + 1] as number) >>> 0
  const pairs: readonly (readonly [readonly Accessor[], readonly Accessor[]])[] = [
    ...(values ? [[stores, stores] as const] : []),
    [stores, loads],
    [stores, updates],
    [stores, atomicLoads],
    [updates, loads],
  ]
  for (const [ones, others] of pairs) {
    for (const one of ones) for (const other of others) if (one.workgroup !== other.workgroup) return { address, one, other }
  }
  return null
}
