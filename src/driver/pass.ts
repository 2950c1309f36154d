// One pass: a window of workgroups runs once. Always: the table, the grants and the frames are constant while it runs; what it reports is
// read back in the same submission; nothing here decides what to do about it.

import { CONTROL, CONTROL_HEADER_WORDS, CONTROL_MODE, FAULT, type FaultLayout, faultLayout, PAGE_BITMAPS, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'
import type { DeviceBuffer, Program, Work } from '../device/device.ts'
import type { Launch } from './launch.ts'
import type { Window } from './remaining.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'

/** Unchanged grant words between two changed ones that are cheaper to write than to leave out. */
const GAP = 64

/** A bad access as the kernel recorded it. */
export interface BadAccess {
  readonly address: number
  /** Bits of NEED and NEED_MISALIGNED. */
  readonly kind: number
  readonly slot: number
}

/** What a pass left behind. */
export interface PassReport {
  readonly layout: FaultLayout
  /** Bitmaps by slot, in the order of WORKGROUP_BITMAP. */
  readonly workgroups: readonly Uint32Array[]
  /** Bitmaps by table index, in the order of PAGE_BITMAP. */
  readonly pages: readonly Uint32Array[]
  readonly bad: BadAccess | null
  readonly fuelOut: number
  readonly milliseconds: number
}

export interface PassWish {
  readonly program: Program
  readonly launch: Launch
  readonly window: Window
  /** The table to use in place of the whole one: a narrowed reach. */
  readonly table: DeviceBuffer
  /** Desired grant words; null in variants that have none. */
  readonly grants: Uint32Array | null
  readonly fuel: number
}

/** Runs one pass to its end. @throws DeviceFailure */
export async function runPass(mirror: Mirror, tables: TableBuffers, wish: PassWish): Promise<PassReport> {
  const { window } = wish
  const { device, copies } = mirror
  const layout = faultLayout(window.slots, tables.entries)
  if (wish.grants !== null) sendGrants(mirror, tables, wish.grants)
  sendControl(mirror, tables, wish, layout)
  const work: Work[] = [
    { kind: 'clear', buffer: tables.faults, offset: 0, byteLength: layout.endWords * 4 },
    {
      kind: 'dispatch',
      program: wish.program,
      bindings: { table: wish.table, faults: tables.faults, control: tables.control, args: tables.args, pools: mirror.dmem.poolBuffers },
      groups: fold(window.slots, device.limits.workgroupsPerDimension),
      authorGroups: wish.launch.authorGroups,
      args: wish.launch.argValues,
    },
  ]
  const words = new Uint32Array(layout.first)
  const started = device.now()
  await copies.submit(work, [{ from: tables.faults, offset: 0, into: new Uint8Array(words.buffer) }])
  return decode(words, layout, device.now() - started)
}

/** For each page, 0xffffffff minus the first slot that wanted it, or 0. Valid until the next pass. @throws DeviceFailure */
export async function readFirstSlots(mirror: Mirror, tables: TableBuffers, layout: FaultLayout): Promise<Uint32Array> {
  const words = new Uint32Array(tables.entries)
  await mirror.copies.submit([], [{ from: tables.faults, offset: layout.first * 4, into: new Uint8Array(words.buffer) }])
  return words
}

/** Workgroups of a pass as a dispatch that no dimension refuses. */
function fold(slots: number, limit: number): [number, number, number] {
  if (slots <= limit) return [slots, 1, 1]
  const x = Math.min(limit, Math.ceil(Math.sqrt(slots)))
  return [x, Math.ceil(slots / x), 1]
}

function sendControl(mirror: Mirror, tables: TableBuffers, { launch, window, fuel }: PassWish, layout: FaultLayout): void {
  const header = new Uint32Array(CONTROL_HEADER_WORDS)
  header[CONTROL.mode] = window.worklist === null ? 0 : CONTROL_MODE.worklist
  header[CONTROL.slots] = window.slots
  header[CONTROL.firstWorkgroup] = window.lead
  header.set(launch.workgroups, CONTROL.workgroupsX)
  header.set(launch.global, CONTROL.globalX)
  header.set(launch.offset, CONTROL.offsetX)
  header[CONTROL.fuel] = fuel
  header[CONTROL.grants] = CONTROL_HEADER_WORDS
  header[CONTROL.worklist] = CONTROL_HEADER_WORDS + tables.entries
  header[CONTROL.workgroupWords] = layout.workgroupWords
  header[CONTROL.pageWords] = layout.pageWords
  mirror.device.write(tables.control, 0, bytesOf(header))
  if (window.worklist !== null) mirror.device.write(tables.control, (CONTROL_HEADER_WORDS + tables.entries) * 4, bytesOf(window.worklist))
}

/** Sends what differs from the grants that the device has; `mirror.tables.grants` is what it has then. */
function sendGrants(mirror: Mirror, tables: TableBuffers, wanted: Uint32Array): void {
  const has = mirror.tables.grants
  let start = -1
  let end = -1
  const send = () => {
    if (start < 0) return
    has.set(wanted.subarray(start, end), start)
    mirror.device.write(tables.control, (CONTROL_HEADER_WORDS + start) * 4, bytesOf(wanted.subarray(start, end)))
  }
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === has[i]) continue
    if (start < 0 || i - end > GAP) {
      send()
      start = i
    }
    end = i + 1
  }
  send()
}

function decode(words: Uint32Array, layout: FaultLayout, milliseconds: number): PassReport {
  const slice = (from: number, length: number, count: number) =>
    Array.from({ length: count }, (_, n) => words.subarray(from + n * length, from + (n + 1) * length))
  const address = (words[FAULT.badAddressHigh] as number) * 4294967296 + (words[FAULT.badAddress] as number)
  return {
    layout,
    workgroups: slice(layout.workgroupBitmaps, layout.workgroupWords, WORKGROUP_BITMAPS),
    pages: slice(layout.pageBitmaps, layout.pageWords, PAGE_BITMAPS),
    bad: words[FAULT.badClaim] === 0 ? null : { address, kind: words[FAULT.badKind] as number, slot: words[FAULT.badSlot] as number },
    fuelOut: words[FAULT.fuelOut] as number,
    milliseconds,
  }
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
}
