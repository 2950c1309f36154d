// The buffers that a kernel's runtime is told by: page tables, control, faults, arguments. Always: together they fit the reserve of the
// budget; they grow by doubling, the old ones are destroyed before the new ones are made, and a new table is filled at once.

import { CONTROL_HEADER_WORDS, faultLayout } from '../abi/fault-record.ts'
import { BUCKET_WORDS } from '../abi/leaf.ts'
import { SvmError } from '../base/error.ts'
import { type Bytes, printBytes } from '../base/units.ts'
import type { BufferRole, Device, DeviceBuffer, Program, Readback, Work } from '../device/device.ts'
import type { MemoryPlan } from './budget.ts'
import type { ChainBuffers } from './chain-buffers.ts'
import type { Launch } from './launch.ts'
import { PassTable } from './pass-table.ts'
import { ReportBuffer, type ReportViews } from './report.ts'
import type { DeviceVmm } from './vmm.ts'

const ARGUMENT_BYTES = 256

export interface TableBuffers {
  /** The page table, for passes in which no fault is possible. */
  readonly table: DeviceBuffer
  /** The one for the others. */
  readonly pass: PassTable
  readonly control: DeviceBuffer
  readonly faults: DeviceBuffer
  /** At the end of `faults`: room for what `debug` keeps. */
  readonly shadowBytes: Bytes
  readonly args: DeviceBuffer
  /** Entries of the table and page bitmaps. In a 64-bit space the directory follows them in the table. */
  readonly entries: number
  /** Buckets of the directory less one. */
  readonly directoryMask: number
  /** Workgroups that control and faults have room for. */
  readonly slots: number
  /** The header of `control`: what the device has, and room to make the next one in. */
  readonly header: { readonly sent: Uint32Array; readonly next: Uint32Array }
  readonly report: ReportBuffer
  /** The last pass that ran with these. */
  last: PassWork | null
  /** Bytes of the reserve that are left beside these, and what of them chains have. */
  readonly spareBytes: Bytes
  chain: ChainBuffers | null
}

/** The work of a pass, and what it was made of. */
export interface PassWork {
  readonly program: Program
  readonly argValues: Launch['argValues']
  readonly authorGroups: Launch['authorGroups']
  readonly groups: readonly [number, number, number]
  readonly table: DeviceBuffer
  readonly pools: readonly (DeviceBuffer | null)[]
  readonly views: ReportViews
  readonly work: readonly Work[]
  readonly readbacks: readonly Readback[]
}

/** Whoever has something in the buffers that must outlive them. */
export interface Keeper {
  /** They are about to go. @throws DeviceFailure */
  keep(tables: TableBuffers): Promise<void>
}

export class Tables {
  /** Bytes of the shadow that there must be room for: at most those of the plan. */
  shadowBytes: Bytes = 0
  readonly #device: Device
  readonly #plan: MemoryPlan
  readonly #vmm: DeviceVmm
  readonly #keeper: Keeper | null
  #buffers: TableBuffers | null = null

  constructor(device: Device, plan: MemoryPlan, vmm: DeviceVmm, keeper: Keeper | null = null) {
    this.#device = device
    this.#plan = plan
    this.#vmm = vmm
    this.#keeper = keeper
  }

  /** Buffers large enough for what is mapped and for `slots` workgroups; the table is up to date. @throws SvmError device-memory, DeviceFailure */
  async ready(slots: number, argumentBytes: Bytes, mayFault: boolean): Promise<TableBuffers> {
    // While buffers are made the program may call alloc, and what it gets may need a longer table.
    for (;;) {
      const enough = this.flushed(slots, argumentBytes, mayFault)
      if (enough !== null) return enough
      const made = await this.#makeLarger(slots, argumentBytes)
      if (made === null) throw this.#tooLarge()
      this.#buffers = made
      if (made.entries >= this.#vmm.entries) this.#vmm.flushAll(made.table, made.entries)
    }
  }

  async #makeLarger(slots: number, argumentBytes: Bytes): Promise<TableBuffers | null> {
    if (this.#buffers !== null) await this.#keeper?.keep(this.#buffers)
    const now = this.#buffers
    const shadow = Math.max(now?.shadowBytes ?? 0, this.shadowBytes)
    const entries = Math.max(now?.entries ?? 0, powerOfTwo(this.#vmm.entries, 256))
    const wantedSlots = Math.max(now?.slots ?? 0, powerOfTwo(slots, 256))
    const args = Math.max(now?.args.byteLength ?? 0, powerOfTwo(argumentBytes, ARGUMENT_BYTES))
    this.drop()
    return (
      (await this.#make(entries, wantedSlots, args, shadow)) ??
      // Room to grow is worth more than entries of pages that are not here: without it every new leaf would make new tables.
      (this.#vmm.shed() ? await this.#make(powerOfTwo(this.#vmm.entries, 256), slots, args, shadow) : null) ??
      (await this.#make(this.#vmm.entries, slots, args, shadow))
    )
  }

  /**
   * The same without an await; null: larger buffers must be made first. Passes that may fault have a table of their own, which is sent with their grants;
   * the page table itself waits for the others.
   */
  flushed(slots: number, argumentBytes: Bytes, mayFault: boolean): TableBuffers | null {
    this.#vmm.collect()
    const now = this.#buffers
    if (now === null || now.shadowBytes < this.shadowBytes || now.entries < this.#vmm.entries || now.slots < slots || now.args.byteLength < argumentBytes)
      return null
    if (mayFault) this.#vmm.flushLeaves(now.pass, now.entries)
    else this.#vmm.flush(now.table, now.entries)
    return now
  }

  drop(): void {
    if (this.#buffers === null) return
    const { table, pass, control, faults, args, chain } = this.#buffers
    for (const buffer of [table, pass, control, faults, args, chain?.control, chain?.args, ...(chain?.tables ?? [])]) buffer?.destroy()
    this.#buffers = null
  }

  async #make(entries: number, slots: number, argumentBytes: Bytes, shadowBytes: Bytes): Promise<TableBuffers | null> {
    const controlBytes = (CONTROL_HEADER_WORDS + slots) * 4
    const reserveBytes = this.#plan.reserveBytes - this.#plan.shadowBytes
    const faultBytes = faultLayout(slots, entries, this.#vmm.addressBits).endWords * 4
    const tableBytes = (entries + this.#vmm.directoryWords(entries)) * 4
    // A table narrowed to a kernel's reach may be needed beside the whole one.
    const spareBytes = reserveBytes - (tableBytes * 3 + controlBytes + faultBytes + argumentBytes)
    if (spareBytes < 0) return null
    const made: DeviceBuffer[] = []
    const make = async (role: BufferRole, byteLength: Bytes) => {
      const buffer = await this.#device.createBuffer(role, byteLength, `svm:${role}`)
      made.push(buffer)
      return buffer
    }
    try {
      const table = await make('table', tableBytes)
      const granted = await make('table', tableBytes)
      const control = await make('control', controlBytes)
      const faults = await make('faults', faultBytes + shadowBytes)
      const args = await make('arguments', argumentBytes)
      const report = new ReportBuffer(slots, entries, this.#vmm.addressBits)
      const directoryMask = Math.max(0, this.#vmm.directoryWords(entries) / BUCKET_WORDS - 1)
      const pass = new PassTable(this.#vmm, granted, entries)
      const header = { sent: new Uint32Array(CONTROL_HEADER_WORDS), next: new Uint32Array(CONTROL_HEADER_WORDS) }
      return {
        table,
        pass,
        control,
        faults,
        shadowBytes,
        args,
        entries,
        directoryMask,
        slots,
        header,
        report,
        last: null,
        spareBytes,
        chain: null,
      }
    } catch (failure) {
      // All of them or none: what is half made nobody would ever destroy.
      for (const buffer of made) buffer.destroy()
      throw failure
    }
  }

  #tooLarge(): SvmError {
    const { reserveBytes, shadowBytes, budgetBytes } = this.#plan
    return new SvmError(
      'device-memory',
      `The page table for ${this.#vmm.entries} pages does not fit the ${printBytes(reserveBytes - shadowBytes)} that a budget of ${printBytes(budgetBytes)} keeps for tables. Use larger pages (pageSize), map less, or raise deviceMemory.`,
    )
  }
}

function powerOfTwo(value: number, least: number): number {
  let result = least
  while (result < value) result *= 2
  return result
}
