// What `debug` finds out about a dispatch, from the shadow that its kernels filled (abi/shadow): data races between workgroups, and invocations that wait.
//
// Always: the shadow is empty when a dispatch begins and lasts until its last pass; a new fault buffer begins with an empty one, so growing tables lose what
// was noted and never make it up. A race that is reported happened: two workgroups accessed that word, and no atomic ordered them.

import { SHADOW, SHADOW_ENTRY, SHADOW_ENTRY_WORDS, SHADOW_HEADER_WORDS, SPIN_MAX, unpackAccessor } from '../abi/shadow.ts'
import { SvmError } from '../base/error.ts'
import { type Address, hex } from '../base/units.ts'
import type { Readback } from '../device/device.ts'
import { split } from './fault.ts'
import type { Launch } from './launch.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'

const HEADER_BYTES = SHADOW_HEADER_WORDS * 4
const ENTRY_BYTES = SHADOW_ENTRY_WORDS * 4

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

export class Watch {
  readonly #mirror: Mirror
  readonly #header = new Uint32Array(SHADOW_HEADER_WORDS)
  readonly #headerBytes = new Uint8Array(this.#header.buffer)
  #launch: Launch | null = null
  #tables: TableBuffers | null = null

  constructor(mirror: Mirror) {
    this.#mirror = mirror
  }

  /** Before a pass: the first of a dispatch, and the first with new tables, finds an empty shadow. */
  arm(tables: TableBuffers, launch: Launch): void {
    if (this.#launch === launch && this.#tables === tables) return
    this.#launch = launch
    this.#tables = tables
    const { device, copies } = this.#mirror
    const { offset, byteLength } = this.#place(tables)
    void copies.submit([{ kind: 'clear', buffer: tables.faults, offset, byteLength }]).catch(() => undefined)
    const header = new Uint32Array(SHADOW_HEADER_WORDS)
    header[SHADOW.mask] = (byteLength - HEADER_BYTES) / ENTRY_BYTES - 1
    header[SHADOW.watchSpins] = launch.class === 'unsplittable' ? 0 : 1
    device.write(tables.faults, offset + byteLength - HEADER_BYTES, new Uint8Array(header.buffer))
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

  /** When a dispatch has ended well. @throws SvmError access-violation, DeviceFailure */
  async refuseRace(launch: Launch): Promise<void> {
    const tables = this.#tables
    this.#launch = null
    if (tables === null || launch.class === 'transactional') return
    const { offset, byteLength } = this.#place(tables)
    const words = new Uint32Array((byteLength - HEADER_BYTES) / 4)
    await this.#mirror.copies.submit([], [{ from: tables.faults, offset, into: new Uint8Array(words.buffer) }])
    const [x, y, z] = launch.workgroups
    for (let at = 0; at < words.length; at += SHADOW_ENTRY_WORDS) {
      if (words[at] === 0) continue
      const race = raceOf(words.subarray(at, at + SHADOW_ENTRY_WORDS), x * y * z)
      if (race !== null) throw this.#raceError(launch, race, x * y * z)
    }
  }

  #place(tables: TableBuffers): { offset: number; byteLength: number } {
    const byteLength = this.#mirror.plan.shadowBytes
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
