// The migrate request. Compare nouveau_svmm_bind() and nouveau_dmem_migrate_vma().
//
// Always: the VMAs of the ranges are walked one by one; pages that are in place are counted and left alone, their entries too; what cannot
// move is counted by reason; moved + present + discarded + skipped = pages asked for (a page in several ranges counts in each).

import { SvmError } from '../base/error.ts'
import { printBytes, type Vpn, type VpnRange } from '../base/units.ts'
import { bringHome, groupByMemory } from '../mm/fault.ts'
import { faultWindow, HMM_PFN, type HmmRange, rangeFault, rangeSnapshot } from '../mm/hmm.ts'
import { type MigrateArgs, migrateFinalize, migratePages, migrateSetup, SELECT, type SkipReason, SRC, skip } from '../mm/migrate.ts'
import { PAGE } from '../mm/page-table.ts'
import { deviceMayRead, type Vma } from '../mm/vma.ts'
import type { Evictor } from './evict.ts'
import type { Mirror } from './svmm.ts'

/** Pages in one step: bounded arrays, whatever the range. */
const WINDOW = 16_384
/** Ranges with at most so many pages between them go in one step: to pass over a page is quicker than to begin another step. */
const BETWEEN_MAX = 16

/** Pages, bytes and entries; for the program. */
export interface MigrateResult {
  moved: number
  present: number
  discarded: number
  skipped: Partial<Record<SkipReason, number>>
  bytesCopied: number
  ptesWritten: number
}

export interface BindRequest {
  /** Whole pages that hold the ranges, in the order of the request. */
  readonly ranges: readonly VpnRange[]
  /** Whole pages inside the ranges: with contentUndefined these need not be copied. Empty otherwise. */
  readonly discard: readonly VpnRange[]
  readonly to: 'device' | 'host'
  readonly mode: 'best-effort' | 'all-or-nothing'
}

/** @throws SvmError (all-or-nothing: device-memory, host-mapped), DeviceFailure, pager errors */
export async function bind(mirror: Mirror, evictor: Evictor, request: BindRequest): Promise<MigrateResult> {
  const result: MigrateResult = { moved: 0, present: 0, discarded: 0, skipped: {}, bytesCopied: 0, ptesWritten: 0 }
  const written = mirror.vmm.written
  const moved: Vpn[] = []
  const requested = (vpn: Vpn) => request.ranges.some((range) => vpn >= range.start && vpn < range.end)
  if (request.mode === 'all-or-nothing') refuseInAdvance(mirror, evictor, request)
  try {
    for (let n = 0; n < request.ranges.length; ) {
      const step = request.to === 'host' ? null : stepAt(mirror, request.ranges, n)
      const ranges = step?.ranges ?? [request.ranges[n] as VpnRange]
      n += ranges.length
      if (step !== null && bindDeviceNow(mirror, { ...step, request, result, moved, requested }, ranges)) continue
      for (const range of ranges) {
        for (const { vma, start, end } of [...mirror.space.addresses.pieces(range)]) {
          if (request.to === 'host') await bindHome(mirror, start, end, request, result)
          else await bindDevice(mirror, evictor, { vma, start, end, request, result, moved, requested })
        }
      }
    }
    if (request.mode === 'all-or-nothing') refusePartial(mirror, result.skipped)
  } catch (failure) {
    if (request.mode === 'all-or-nothing' && mirror.device.lostReason === null) await undo(mirror, moved, request)
    throw failure
  }
  result.ptesWritten = mirror.vmm.written - written
  return result
}

interface DevicePiece {
  readonly vma: Vma
  readonly start: Vpn
  readonly end: Vpn
  readonly request: BindRequest
  readonly result: MigrateResult
  /** What to take back if not everything can move: all-or-nothing only. */
  readonly moved: Vpn[]
  readonly requested: (vpn: Vpn) => boolean
}

/** Ranges of one mapping that follow each other closely enough for one step: the n-th, and those behind it. Null: the n-th is not in one mapping. */
function stepAt(mirror: Mirror, ranges: readonly VpnRange[], n: number): { vma: Vma; start: Vpn; end: Vpn; ranges: readonly VpnRange[] } | null {
  const first = ranges[n] as VpnRange
  const vma = mirror.space.addresses.findWhole(first)
  if (vma === undefined) return null
  const bound = Math.min(vma.end, first.start + windowOf(mirror, vma))
  let { end } = first
  let next = n + 1
  for (; next < ranges.length; next++) {
    const range = ranges[next] as VpnRange
    if (range.start < end || range.start - end > BETWEEN_MAX || range.end > bound) break
    end = range.end
  }
  return { vma, start: first.start, end, ranges: ranges.slice(n, next) }
}

/** Where ranges are one window, frames for them are free and nobody need be asked, it is done without an await. False: it is not, and nothing was. */
function bindDeviceNow(mirror: Mirror, piece: DevicePiece, ranges: readonly VpnRange[]): boolean {
  const { space } = mirror
  const { vma, start, end, result } = piece
  if (end - start > windowOf(mirror, vma)) return false
  let resident = 0
  let pages = 0
  let room = 0
  for (const range of ranges) {
    const here = space.pages.residentIn(range.start, range.end, mirror.memory)
    resident += here
    pages += range.end - range.start
    room += here === range.end - range.start ? 0 : framesWanted(mirror, range.start, range.end, here)
  }
  if (resident === pages) {
    result.present += resident
    return true
  }
  if (room > mirror.dmem.freeNow || !isPresent(mirror, piece)) return false
  const before = result.moved
  const copied = migrateWindow(mirror, piece, start, end, room, ranges.length === 1 ? undefined : within(piece, ranges))
  noteMoved(mirror, result, result.moved - before, copied)
  return true
}

/** True of the pages of these ranges. */
function within({ start, end }: DevicePiece, ranges: readonly VpnRange[]): (vpn: Vpn) => boolean {
  const asked = new Uint8Array(end - start)
  for (const range of ranges) asked.fill(1, range.start - start, range.end - start)
  return (vpn) => asked[vpn - start] === 1
}

function noteMoved({ space, label }: Mirror, result: MigrateResult, moved: number, copied: number): void {
  result.bytesCopied += copied
  if (moved > 0) space.tracer.emit({ kind: 'migrate', device: label, to: 'device', pages: moved, bytesCopied: copied, why: 'request' })
}

/** Pages of a mapping that one step may bring. */
function windowOf({ space }: Mirror, vma: Vma): number {
  return Math.min(WINDOW, faultWindow(space, vma))
}

async function bindDevice(mirror: Mirror, evictor: Evictor, piece: DevicePiece): Promise<void> {
  const { space } = mirror
  const { vma, end, result } = piece
  const step = windowOf(mirror, vma)
  let copied = 0
  let moved = 0
  for (let start = piece.start; start < end; start += step) {
    const stop = Math.min(end, start + step)
    const resident = space.pages.residentIn(start, stop, mirror.memory)
    if (resident === stop - start) {
      result.present += resident
      continue
    }
    const room = await evictor.makeRoom(framesWanted(mirror, start, stop, resident), piece.requested)
    if (room === 0 && isUntouched(mirror, vma, start, stop)) {
      // Most of a range that is far larger than the device: no page of it needs a look.
      result.skipped['no-memory'] = (result.skipped['no-memory'] ?? 0) + stop - start
      continue
    }
    const before = result.moved
    const commit = () => {
      copied += migrateWindow(mirror, piece, start, stop, room)
    }
    if (!(await makePresent(mirror, { vma, start, end: stop }, false, commit))) result.skipped.busy = (result.skipped.busy ?? 0) + stop - start
    moved += result.moved - before
  }
  noteMoved(mirror, result, moved, copied)
}

/** Zero pages that nobody has asked for and nobody holds: what can be said of one can be said of all. */
function isUntouched({ space }: Mirror, vma: Vma, start: Vpn, end: Vpn): boolean {
  if (vma.backing.kind !== 'anonymous' || !deviceMayRead(vma) || space.hostMappings.count > 0) return false
  return space.pages.touchedRuns({ start, end }).length === 0
}

/** Pages of one VMA. */
interface Piece {
  readonly vma: Vma
  readonly start: Vpn
  readonly end: Vpn
}

/** True when the host has, or this device has, every page that can be had: nobody need be asked. */
export function isPresent(mirror: Mirror, piece: Piece): boolean {
  if (piece.vma.backing.kind === 'anonymous' && mirror.space.owners.length === 1) return true
  return rangeSnapshot(wholeRange(mirror, piece, false))
}

/**
 * Brings what others own home, waits for what migrates, reads what a pager has; then runs `commit`, with no await after the last look. False, and
 * nothing is committed, when the range does not settle or its mapping changed. Compare nouveau_range_fault(). @throws SvmError pager-failed
 */
export async function makePresent(mirror: Mirror, piece: Piece, keepCopies: boolean, commit: () => void): Promise<boolean> {
  let committed = false
  const commitIfMapped = () => {
    if (mirror.space.addresses.find(piece.start) !== piece.vma) return
    commit()
    committed = true
  }
  if (isPresent(mirror, piece)) commitIfMapped()
  else await rangeFault(wholeRange(mirror, piece, keepCopies), commitIfMapped)
  return committed
}

function wholeRange(mirror: Mirror, { vma, start, end }: Piece, keepCopies: boolean): HmmRange {
  const { space, subscription } = mirror
  // Without access nothing is faulted in; what the host has at hand may still change its place, as in Linux.
  const pfns = new Uint8Array(end - start).fill(deviceMayRead(vma) ? HMM_PFN.requireFault : 0)
  // A lost page gets a verdict of its own; it keeps no other page from moving.
  if (space.pages.lost > 0) for (let vpn = start; vpn < end; vpn++) if (space.pages.state(vpn) === PAGE.lost) pfns[vpn - start] = 0
  return { space, start, end, owner: mirror, subscription, defaultFlags: 0, keepCopies, pfns }
}

/** Setup, copy, pages, table, finalize: no await in here. Compare nouveau_dmem_migrate_chunk(). Returns the bytes copied. @param only these pages of it */
function migrateWindow(mirror: Mirror, piece: DevicePiece, start: Vpn, end: Vpn, room: number, only?: (vpn: Vpn) => boolean): number {
  const { result, request } = piece
  const { space } = mirror
  const args = migrateSetup({
    space,
    vma: piece.vma,
    start,
    end,
    owner: mirror,
    select: SELECT.system,
    to: 'owner',
    only,
    room: Math.min(room, mirror.dmem.freeNow),
  })
  if (request.discard.length > 0) discard(args, request.discard)
  const bytes = fillDestinations(mirror, args, room)
  const moved = migratePages(args)
  migrateFinalize(args)
  nameFrames(mirror, args)
  const discarded = request.discard.length > 0 ? markDiscarded(mirror, args) : 0
  if (request.mode === 'all-or-nothing') {
    for (let i = 0; i < args.src.length; i++) if ((args.dst[i] as number) >= 0) piece.moved.push(start + i)
  }
  mirror.refresh({ start, end })
  result.discarded += discarded
  result.moved += moved - discarded
  result.present += args.present
  for (const reason in args.skipped)
    result.skipped[reason as SkipReason] = (result.skipped[reason as SkipReason] ?? 0) + (args.skipped[reason as SkipReason] ?? 0)
  return bytes
}

/** Pages that moved without their bytes differ from the host's. Returns how many. */
function markDiscarded(mirror: Mirror, args: MigrateArgs): number {
  let discarded = 0
  for (let i = 0; i < args.src.length; i++) {
    if ((args.dst[i] as number) < 0 || ((args.src[i] as number) & SRC.dirty) === 0) continue
    mirror.space.pages.markDirty(args.start + i)
    discarded++
  }
  return discarded
}

/** Frames for the pages that setup took, and their bytes in them. Pages beyond `room` stay. Compare nouveau_dmem_migrate_copy_one(). */
export function fillDestinations(mirror: Mirror, args: MigrateArgs, room: number): number {
  const pages = args.src.length
  const upload = new Int32Array(pages).fill(-1)
  // Mostly no page is zero, and often there is but one page.
  let zero: Int32Array | null = null
  const wanting = new Float64Array(pages)
  let wanted = 0
  for (let i = 0; i < pages; i++) if (needsFrame(args.src[i] as number)) wanting[wanted++] = args.start + i
  const frames = mirror.dmem.take(Math.min(wanted, room, mirror.dmem.freeNow), wanting)
  let next = 0
  for (let i = 0; i < pages; i++) {
    const src = args.src[i] as number
    if ((src & SRC.migrate) === 0) continue
    if ((src & SRC.copied) !== 0) {
      args.dst[i] = mirror.takeSystemFrame(args.start + i)
      continue
    }
    if (next === frames.length) {
      skip(args, 'no-memory')
      continue
    }
    const frame = frames[next++] as number
    args.dst[i] = frame
    if ((src & SRC.zero) === 0) upload[i] = frame
    else {
      zero ??= new Int32Array(pages).fill(-1)
      zero[i] = frame
    }
  }
  if (zero !== null) mirror.copies.clear(zero)
  return mirror.copies.upload(args.vma, args.start, upload)
}

/** The frames know their pages. */
export function nameFrames(mirror: Mirror, args: MigrateArgs): void {
  for (let i = 0; i < args.dst.length; i++) if ((args.dst[i] as number) >= 0) mirror.nameFrame(args.dst[i] as number, args.start + i)
}

function needsFrame(src: number): boolean {
  return (src & SRC.migrate) !== 0 && (src & SRC.copied) === 0
}

/** The bytes of these pages need not come along: their frames are zeroed, and count as dirty since the host's bytes differ. */
function discard(args: MigrateArgs, ranges: readonly VpnRange[]): void {
  if (args.vma.backing.kind !== 'anonymous') return
  for (let i = 0; i < args.src.length; i++) {
    const vpn = args.start + i
    if (((args.src[i] as number) & SRC.migrate) === 0 || !ranges.some((range) => vpn >= range.start && vpn < range.end)) continue
    args.src[i] = (args.src[i] as number) | SRC.zero | SRC.dirty
  }
}

async function bindHome(mirror: Mirror, start: Vpn, end: Vpn, request: BindRequest, result: MigrateResult): Promise<void> {
  const runs = mirror.space.pages.touchedRuns({ start, end })
  result.present += end - start - runs.reduce((pages, run) => pages + run.end - run.start, 0)
  for (const run of runs) await bindRunHome(mirror, run, request, result)
}

/** A migrate to the host takes pages from whichever device has them. */
async function bindRunHome(mirror: Mirror, range: VpnRange, request: BindRequest, result: MigrateResult): Promise<void> {
  const { space } = mirror
  while (groupByMemory(space, pagesOf(range)).migrating) await space.settled.wait()
  const dropped = (vpn: Vpn) => request.discard.some(({ start, end }) => vpn >= start && vpn < end)
  for (const vpn of pagesOf(range)) {
    if (space.pages.isDevicePrivate(vpn)) continue
    if (space.pages.state(vpn) === PAGE.lost) result.skipped.lost = (result.skipped.lost ?? 0) + 1
    else result.present++
  }
  for (const discard of [false, true]) {
    const { away } = groupByMemory(
      space,
      pagesOf(range).filter((vpn) => dropped(vpn) === discard),
    )
    const how = { keepCopy: false, discard, why: 'request' } as const
    const mine = away.get(mirror.memory)
    if (mine !== undefined) {
      const { moved, bytesCopied } = await mirror.sendHome(mine, how)
      result.bytesCopied += bytesCopied
      away.delete(mirror.memory)
      result[discard ? 'discarded' : 'moved'] += moved
    }
    await bringHome(space, away, how)
    for (const pages of away.values()) result[discard ? 'discarded' : 'moved'] += pages.length
  }
  for (const vpn of pagesOf(range)) mirror.dropSystemCopy(vpn)
  mirror.refresh(range)
}

function pagesOf({ start, end }: VpnRange): Vpn[] {
  return Array.from({ length: end - start }, (_, i) => start + i)
}

/** Frames that the pages of a window need, of which `resident` have one as their own. */
function framesWanted(mirror: Mirror, start: Vpn, end: Vpn, resident: number): number {
  const { space } = mirror
  const held = space.hostMappings.count > 0
  if (!held && mirror.systemCopies === 0 && space.pages.lost === 0) return end - start - resident
  let count = end - start
  const look = (from: Vpn, to: Vpn) => {
    for (let vpn = from; vpn < to; vpn++) {
      if (mirror.frameOf(vpn) >= 0 || space.pages.state(vpn) === PAGE.lost || (held && space.hostMappings.holdOn(vpn) !== 'none')) count--
    }
  }
  if (held) look(start, end)
  else space.pages.forEachTouched({ start, end }, look)
  return count
}

/** What can be told before anything moves is told then: nobody is evicted for a migrate that cannot succeed. @throws SvmError */
function refuseInAdvance(mirror: Mirror, evictor: Evictor, { ranges, to }: BindRequest): void {
  const { space } = mirror
  const disjoint = union(ranges)
  const skipped: Partial<Record<SkipReason, number>> = {}
  let wanted = 0
  const look = (start: Vpn, end: Vpn) => {
    for (let vpn = start; vpn < end; vpn++) {
      const moves = !space.pages.isDevicePrivate(vpn) || space.pages.memory(vpn) !== mirror.memory
      if (space.pages.state(vpn) === PAGE.lost) skipped.lost = (skipped.lost ?? 0) + 1
      else if (to === 'device' && moves && space.hostMappings.holdOn(vpn) !== 'none') skipped['host-mapped'] = (skipped['host-mapped'] ?? 0) + 1
      else if (mirror.frameOf(vpn) < 0) wanted++
    }
  }
  for (const range of disjoint) {
    if (space.hostMappings.count > 0) look(range.start, range.end)
    else {
      // A page that nobody touched needs a frame, and that is all there is to say of it.
      wanted += range.end - range.start
      space.pages.forEachTouched(range, (start, end) => {
        wanted -= end - start
        look(start, end)
      })
    }
  }
  const asked = (vpn: Vpn) => disjoint.some(({ start, end }) => vpn >= start && vpn < end)
  const room = to === 'host' ? wanted : evictor.obtainable(wanted, asked)
  if (wanted > room) skipped['no-memory'] = wanted - room
  refusePartial(mirror, skipped)
}

/** The same pages in ranges that do not overlap. */
function union(ranges: readonly VpnRange[]): VpnRange[] {
  const disjoint: { start: Vpn; end: Vpn }[] = []
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = disjoint[disjoint.length - 1]
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end)
    else disjoint.push({ start, end })
  }
  return disjoint
}

function refusePartial(mirror: Mirror, skipped: MigrateResult['skipped']): void {
  const reasons = Object.entries(skipped)
  if (reasons.length === 0) return
  const text = reasons.map(([reason, pages]) => `${pages} pages: ${reason}`).join(', ')
  const code = skipped['host-mapped'] !== undefined ? 'host-mapped' : skipped.lost !== undefined ? 'device-lost' : 'device-memory'
  throw new SvmError(
    code,
    `An all-or-nothing migrate to ${mirror.label} could not move everything (${text}; the budget is ${printBytes(mirror.plan.budgetBytes)}). Everything is where it was; unmap, free something, or use mode 'best-effort'.`,
  )
}

/** All-or-nothing: what moved goes back. Nobody ran in between, so the host's bytes are still the pages: nothing is copied. */
async function undo(mirror: Mirror, moved: readonly Vpn[], request: BindRequest): Promise<void> {
  if (request.to === 'host' || moved.length === 0) return
  const back = [...moved].sort((a, b) => a - b).filter((vpn) => mirror.space.pages.isDevicePrivate(vpn))
  await mirror.sendHome(back, { keepCopy: false, discard: true, why: 'request' })
}
