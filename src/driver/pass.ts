// One pass: a window of workgroups runs once. Always: the table and the frames are constant while it runs; what it reports is
// read back in the same submission; nothing here decides what to do about it. A pass like the one before is the same work (the same arrays), so
// that the device may have encoded it while it waited.

import {
  BAD_KIND_SHIFT,
  CONTROL,
  CONTROL_HEADER_WORDS,
  CONTROL_MODE,
  EXAMPLE_WORDS,
  EXAMPLES,
  FAULT,
  type FaultLayout,
  NEED,
  NEED_MISALIGNED,
  recordedAddress,
  recordWords,
  slotGroupsOf,
  WANTED_WORDS,
  WORKGROUP_BITMAP,
} from '../abi/fault-record.ts'
import { SPACE_BYTES } from '../abi/geometry.ts'
import { assert } from '../base/assert.ts'
import { setBit } from '../base/bitmap.ts'
import { isSameList } from '../base/lists.ts'
import { isWithin } from '../base/units.ts'
import type { DeviceBuffer, Program, Work } from '../device/device.ts'
import type { Launch } from './launch.ts'
import type { Window } from './remaining.ts'
import type { ReportViews } from './report.ts'
import type { DirectWindow } from './steady.ts'
import type { Mirror } from './svmm.ts'
import type { PassWork, TableBuffers } from './tables.ts'

const NO_VALUES: Readonly<Record<string, unknown>> = {}
const NO_GROUPS: readonly unknown[] = []

/** CONTROL.link of the first dispatch of a chain, and of one alone. */
export const FIRST_LINK = 0xffffffff

/** A bad access as the kernel recorded it. */
export interface BadAccess {
  readonly address: number
  /** Bits of NEED and NEED_MISALIGNED. */
  readonly kind: number
  readonly slot: number
}

/** A fault that found room in the list. */
export type FaultExample = BadAccess

/** What a pass left behind; valid until the next pass. */
export interface PassReport {
  readonly layout: FaultLayout
  /** Bitmaps by slot, in the order of WORKGROUP_BITMAP. */
  readonly workgroups: readonly Uint32Array[]
  /** Bitmaps by table index, in the order of PAGE_BITMAP. */
  readonly pages: readonly Uint32Array[]
  /** In a 64-bit space: records of leaves without entries (abi/leaf). */
  readonly misses: Uint32Array
  readonly bad: BadAccess | null
  readonly fuelOut: number
  /** For diagnosis: some of the faults, in no order. */
  examples(): FaultExample[]
  /** Where no fault is possible, in a variant that marks no stores: a page was stored to that was clean. */
  readonly unforeseen: boolean
  /** There too: the kind of one of the bad accesses; 0: there was none. */
  readonly badKind: number
  readonly milliseconds: number
}

export interface PassWish {
  readonly program: Program
  readonly launch: Launch
  readonly window: Window
  /** The table that says what holds in it. */
  readonly table: DeviceBuffer
  /** In the direct variant: where its pages lie. */
  readonly direct?: DirectWindow | null
  readonly fuel: number
  /** It notes which groups of slots use which pages: see `readWanted`. */
  readonly tells?: boolean
  /** Another pass like this one will probably follow. */
  readonly again: boolean
}

/** Runs one pass to its end. @throws DeviceFailure */
export async function runPass(mirror: Mirror, tables: TableBuffers, wish: PassWish): Promise<PassReport> {
  const { device, copies } = mirror
  const views = tables.report.views(wish.window.slots)
  mirror.watch?.arm(tables)
  sendControl(mirror, tables, wish, views.layout)
  const { work, readbacks } = passWork(mirror, tables, wish, views)
  const started = device.now()
  await copies.submit(work, readbacks, wish.again)
  mirror.watch?.refuseSpin(wish.launch)
  const report = decode(views, wish.program.descriptor.variant !== 'attempt', device.now() - started)
  const bad = report.badKind === 0 ? report.bad : await readBad(mirror, tables, views, wish.launch, report.badKind)
  return bad === report.bad ? report : { ...report, bad }
}

/** The work of the last pass, be it another launch's, if this one has nothing different; else new. */
function passWork(mirror: Mirror, tables: TableBuffers, { program, launch, window, table, direct = null }: PassWish, views: ReportViews): PassWork {
  const pools = direct === null ? mirror.dmem.poolBuffers : [mirror.dmem.poolBuffers[direct.pool] ?? null]
  // Arguments are in their buffer: only a twin is told of them.
  const argValues = program.descriptor.twin === undefined ? NO_VALUES : launch.argValues
  const authorGroups = launch.authorGroups.length === 0 ? NO_GROUPS : launch.authorGroups
  const { last } = tables
  const isLast =
    last !== null && last.program === program && last.table === table && last.views === views && (last.pools === pools || isSameList(last.pools, pools))
  const groups = groupsOf(program, launch, window.slots, mirror.device.limits.workgroupsPerDimension)
  if (isLast && last.argValues === argValues && last.authorGroups === authorGroups && isSameList(last.groups, groups)) return last
  const { faults, control, args } = tables
  const work: Work[] = [
    { kind: 'clear', buffer: faults, offset: 0, byteLength: views.layout.endWords * 4 },
    {
      kind: 'dispatch',
      program,
      bindings: { table, faults, control, args, pools },
      groups,
      authorGroups,
      args: argValues,
    },
  ]
  const readbacks = [{ from: faults, offset: 0, into: views.bytes }, ...(mirror.watch?.readbacks(tables) ?? [])]
  tables.last = { program, argValues, authorGroups, groups, table, pools, views, work, readbacks }
  return tables.last
}

/** For each page WANTED_WORDS: which groups of slots use it (abi/fault-record). Valid until the next pass. @throws DeviceFailure */
export async function readWanted(mirror: Mirror, tables: TableBuffers, layout: FaultLayout): Promise<Uint32Array> {
  const words = new Uint32Array(WANTED_WORDS * tables.entries)
  await mirror.copies.submit([], [{ from: tables.faults, offset: layout.wanted * 4, into: new Uint8Array(words.buffer) }])
  return words
}

/** How many workgroups the device is asked for: those of the launch, or so many slots. */
export function groupsOf(program: Program, launch: Launch, slots: number, limit: number): readonly [number, number, number] {
  return program.descriptor.whole === true ? launch.workgroups : fold(slots, limit)
}

/** Workgroups of a pass as a dispatch that no dimension refuses. */
function fold(slots: number, limit: number): [number, number, number] {
  if (slots <= limit) return [slots, 1, 1]
  const x = Math.min(limit, Math.ceil(Math.sqrt(slots)))
  return [x, Math.ceil(slots / x), 1]
}

function sendControl(mirror: Mirror, tables: TableBuffers, wish: PassWish, layout: FaultLayout): void {
  const { window } = wish
  const { sent, next: header } = tables.header
  fillHeader(mirror, header, tables, wish, layout)
  if (!isSameList(header, sent)) {
    sent.set(header)
    mirror.device.write(tables.control, 0, bytesOf(header))
  }
  if (window.worklist !== null) mirror.device.write(tables.control, CONTROL_HEADER_WORDS * 4, bytesOf(window.worklist))
}

/** What a kernel is told when it starts. */
export function fillHeader(
  mirror: Mirror,
  header: Uint32Array,
  tables: TableBuffers,
  { launch, window, fuel, direct = null, tells = false }: Pick<PassWish, 'launch' | 'window' | 'fuel' | 'direct' | 'tells'>,
  layout: FaultLayout,
): void {
  header[CONTROL.mode] = window.worklist === null ? 0 : CONTROL_MODE.worklist
  header[CONTROL.slots] = window.slots
  header[CONTROL.firstWorkgroup] = window.lead
  header.set(launch.workgroups, CONTROL.workgroupsX)
  header.set(launch.global, CONTROL.globalX)
  header.set(launch.offset, CONTROL.offsetX)
  header[CONTROL.fuel] = fuel
  header[CONTROL.records] = layout.records
  header[CONTROL.worklist] = CONTROL_HEADER_WORDS
  header[CONTROL.workgroupWords] = layout.workgroupWords
  header[CONTROL.pageWords] = layout.pageWords
  header[CONTROL.directory] = tables.entries
  header[CONTROL.directoryMask] = tables.directoryMask
  if (direct !== null) describeWindow(mirror, direct, header)
  header[CONTROL.slotGroups] = tells ? slotGroupsOf(window.slots) : 0
  header[CONTROL.aborted] = 0
  header[CONTROL.link] = FIRST_LINK
}

function describeWindow({ space }: Mirror, { pages, place, writable, dirty }: DirectWindow, header: Uint32Array): void {
  const { pageBytes } = space.geometry
  const words = (count: number) => (count * pageBytes) / 4
  const address = pages.start * pageBytes
  header[CONTROL.windowStart] = address % 2 ** 32
  header[CONTROL.windowStartHigh] = Math.floor(address / 2 ** 32)
  header[CONTROL.windowWords] = words(pages.end - pages.start)
  header[CONTROL.windowPlace] = place
  header[CONTROL.windowShift] = space.geometry.addressBits === 32 ? place - address / 4 : (place * 4 - address) % 2 ** 32
  header[CONTROL.writableFrom] = words(writable.start - pages.start)
  header[CONTROL.writableWords] = words(writable.end - writable.start)
  // Where nothing is dirty every store is news: the part begins behind the window then, and each word of it lies outside.
  const none = dirty.end === dirty.start
  header[CONTROL.dirtyFrom] = words((none ? pages.end : dirty.start) - pages.start)
  header[CONTROL.dirtyWords] = none ? 1 : words(dirty.end - dirty.start)
}

/** What is in the report that was read to `views`. @param steady no fault was possible; in a chain: where it failed */
export function decode({ layout, words, workgroups, pages, misses }: ReportViews, steady: boolean, milliseconds: number): PassReport {
  const address = (words[FAULT.badAddressHigh] as number) * 4294967296 + (words[FAULT.badAddress] as number)
  const bad = words[FAULT.badClaim] === 0 ? null : { address, kind: words[FAULT.badKind] as number, slot: words[FAULT.badSlot] as number }
  const unforeseen = words[FAULT.unforeseen] !== 0
  const badKind = steady ? (words[FAULT.badKind] as number) : 0
  return {
    layout,
    workgroups,
    pages,
    misses,
    bad,
    fuelOut: words[FAULT.fuelOut] as number,
    unforeseen,
    badKind,
    examples: () => examplesIn(words),
    milliseconds,
  }
}

/**
 * The bad access of the first workgroup that made one, where no fault was possible; marks all that did in the report. @param kind that of one of them
 * @throws DeviceFailure
 */
export async function readBad(
  mirror: Mirror,
  tables: TableBuffers,
  { layout, slots, workgroups }: ReportViews,
  { reach }: Launch,
  kind: number,
): Promise<BadAccess> {
  const { addressBits } = mirror.space.geometry
  const records = new Uint32Array(recordWords(addressBits) * slots)
  await mirror.copies.submit([], [{ from: tables.faults, offset: layout.records * 4, into: bytesOf(records) }])
  let first: BadAccess | null = null
  for (let slot = 0; slot < slots; slot++) {
    const address = recordedAddress(records, slot, addressBits)
    if (address === null) continue
    setBit(workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array, slot)
    first ??= { ...explainKind(mirror, reach, address, kind), slot }
  }
  assert(first !== null, 'a bad access leaves a record')
  return first as BadAccess
}

/** What is wrong at this address; of a vector the first word that is. @param kind what was wrong somewhere: with most kernels here */
function explainKind({ vmm, space }: Mirror, reach: Launch['reach'], address: number, kind: number): { readonly address: number; readonly kind: number } {
  const { pageBytes, addressBits } = space.geometry
  const isRight = (at: number, need: number) => {
    const vpn = Math.floor(at / pageBytes)
    return (vmm.get(vpn) & need) !== 0 && isWithin(reach, vpn)
  }
  const need = kind >> BAD_KIND_SHIFT
  // In a 64-bit space the page of the last byte has no entry; see wgsl/addresses.
  const outside = addressBits === 32 && address === SPACE_BYTES[32] - 1
  if (outside || (address & (kind & (2 ** BAD_KIND_SHIFT - 1))) !== 0) return { address, kind: need | NEED_MISALIGNED }
  for (let at = address; at < address + VECTOR_BYTES; at += 4) if (!isRight(at, need)) return { address: at, kind: need }
  return { address, kind: [NEED.read, NEED.write, NEED.exclusive].find((other) => !isRight(address, other)) ?? need }
}

const VECTOR_BYTES = 16

function examplesIn(words: Uint32Array): FaultExample[] {
  return Array.from({ length: Math.min(EXAMPLES, words[FAULT.exampleCount] as number) }, (_, n) => {
    const at = FAULT.examples + EXAMPLE_WORDS * n
    const [low, high, kind, slot] = words.subarray(at, at + EXAMPLE_WORDS) as unknown as [number, number, number, number]
    return { address: high * 4294967296 + low, kind, slot }
  })
}

function bytesOf(words: Uint32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
}
