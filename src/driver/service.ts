// Servicing device faults: pages that were wanted become accessible. Compare nouveau_svm_fault() and nouveau_range_fault().
//
// Always: wants are served in their order, as many as fit; a read maps a copy of the host's page (the host stays the master), a write makes the
// page device-private; pages that are here already cost no frame; pinned pages are never evicted for it.

import { PTE } from '../abi/pte.ts'
import type { Vpn } from '../base/units.ts'
import { faultWindow } from '../mm/hmm.ts'
import { migrateFinalize, migratePages, migrateSetup, SELECT } from '../mm/migrate.ts'
import { PAGE } from '../mm/page-table.ts'
import { isZero } from '../mm/populate.ts'
import { deviceMayRead, type Vma } from '../mm/vma.ts'
import { ownsOnRead } from './advice.ts'
import { fillDestinations, isPresent, makePresent, nameFrames } from './bind.ts'
import { type Evictor, never } from './evict.ts'
import type { Mirror } from './svmm.ts'

export interface Want {
  readonly vpn: Vpn
  /** The page will be stored to. */
  write: boolean
  /** The first place (driver/remaining) that wants it: the order of service. */
  workgroup: number
}

/** Pages served together. */
interface Run {
  readonly vma: Vma
  readonly start: Vpn
  end: Vpn
  readonly write: boolean
}

/**
 * True when the want is fulfilled: nothing to do. A page that is here while its entry is gone (an invalidation by somebody else's event) is not: to serve
 * it is to write the entry again. Compare what nouveau_range_fault() does with a device-private pfn.
 */
export function isServed(mirror: Mirror, want: { vpn: Vpn; write: boolean }): boolean {
  if (mirror.frameOf(want.vpn) < 0 || (mirror.vmm.get(want.vpn) & PTE.load) === 0) return false
  return !want.write || mirror.space.pages.isDevicePrivate(want.vpn)
}

/** Frames that the wants need. */
export function framesWanted(mirror: Mirror, wants: readonly Want[]): number {
  let count = 0
  for (const { vpn } of wants) if (mirror.frameOf(vpn) < 0) count++
  return count
}

/** Whom evictions for wants must leave alone. */
export interface Protection {
  /** Never evicted. */
  pinned(vpn: Vpn): boolean
  /** The place (driver/remaining) that wants the page next: it goes only for wants of earlier ones. Infinity: it may always go. */
  readonly nextUse: (vpn: Vpn) => number
}

/**
 * Serves a prefix of `wants` (in workgroup order), as long as it fits beside what is protected; returns how many were served.
 * @throws DeviceFailure, SvmError pager-failed
 */
export async function serve(mirror: Mirror, evictor: Evictor, wants: readonly Want[], protection: Protection): Promise<number> {
  if (serveNow(mirror, wants)) return wants.length
  const frames = framesWanted(mirror, wants)
  const hard = frames <= mirror.dmem.available ? wants.length : prefixThatFits(mirror, evictor, wants, protection)
  // Where not all fit anyway, fewer at a time may do: then those that came back too soon need not go once more. Who knows when pages are wanted
  // again (driver/forecast) knows better.
  const isBlind = protection.nextUse === never
  const soft = isBlind && hard < wants.length && mirror.thrash.hasPins ? withPins(mirror, protection) : protection
  const fewer = soft === protection ? 0 : prefixThatFits(mirror, evictor, wants, soft)
  const fits = fewer > 0 ? fewer : hard
  const { pinned } = fewer > 0 ? soft : protection
  const prefix = wants.slice(0, fits)
  const mine = new Set(prefix.map(({ vpn }) => vpn))
  const last = prefix[prefix.length - 1]?.workgroup ?? -1
  const keeps = (vpn: Vpn) => mine.has(vpn) || pinned(vpn) || protection.nextUse(vpn) <= last
  const room = await evictor.makeRoom(framesWanted(mirror, prefix), keeps, protection.nextUse)
  const count = prefixInRoom(mirror, prefix, room)
  mirror.dmem.advance()
  for (const run of runsByVma(mirror, prefix.slice(0, count))) await serveRun(mirror, run)
  return count
}

/**
 * Serves all wants if there is nobody to ask: frames are free, and the host has every page. Else does nothing, and says so. What goes to and fro with
 * them comes along, and what `neighbours` says, if that needs nobody either.
 */
export function serveNow(mirror: Mirror, wants: readonly Want[], neighbours: () => readonly Want[] = nobody): boolean {
  const runs = runsNow(mirror, wants)
  if (runs === null) return false
  const companions = companionsOf(mirror, wants)
  const dense = neighbours()
  if (companions.length + dense.length === 0) bringInAll(mirror, runs)
  else {
    const known = new Set(companions.map(({ vpn }) => vpn))
    const along = [...companions, ...dense.filter(({ vpn }) => !known.has(vpn))]
    bringInAll(mirror, runsNow(mirror, [...wants, ...along]) ?? runs)
  }
  return true
}

/** The same with nothing besides. */
export function bringInNow(mirror: Mirror, wants: readonly Want[]): boolean {
  const runs = runsNow(mirror, wants)
  if (runs !== null) bringInAll(mirror, runs)
  return runs !== null
}

/** The runs of wants for which nobody need be asked; null: somebody must. */
function runsNow(mirror: Mirror, wants: readonly Want[]): readonly Run[] | null {
  if (framesWanted(mirror, wants) > mirror.dmem.freeNow) return null
  const runs = runsByVma(mirror, wants)
  for (const run of runs) if (run.end - run.start > faultWindow(mirror.space, run.vma) || !isPresent(mirror, run)) return null
  return runs
}

function bringInAll(mirror: Mirror, runs: readonly Run[]): void {
  mirror.dmem.advance()
  for (const run of runs) bringIn(mirror, run)
}

const NOBODY: readonly Want[] = []
const nobody = () => NOBODY

function withPins({ thrash }: Mirror, { pinned, nextUse }: Protection): Protection {
  return { pinned: (vpn) => pinned(vpn) || thrash.staysLonger(vpn), nextUse }
}

/** Pages that bounce together with wanted ones and are not here: they come as copies. */
function companionsOf(mirror: Mirror, wants: readonly Want[]): readonly Want[] {
  if (mirror.thrash.isQuiet) return NOBODY
  const { addresses, hostMappings, pages } = mirror.space
  const along: Want[] = []
  const bouncing = mirror.thrash.companions(wants.map(({ vpn }) => vpn))
  for (const vpn of bouncing) {
    const vma = mirror.frameOf(vpn) >= 0 || pages.isDevicePrivate(vpn) || pages.state(vpn) === PAGE.lost ? undefined : addresses.find(vpn)
    if (vma !== undefined && deviceMayRead(vma) && hostMappings.holdOn(vpn) !== 'write') along.push({ vpn, write: false, workgroup: 0 })
  }
  return along
}

/** How many of the first wants fit: with each, fewer pages may go for it, those served for its own and earlier workgroups. */
function prefixThatFits(mirror: Mirror, evictor: Evictor, wants: readonly Want[], protection: Protection): number {
  const ranks = evictor.ranks(
    (vpn) => protection.pinned(vpn),
    (vpn) => protection.nextUse(vpn),
  )
  let protectedPages = 0
  let kept = 0
  let needed = 0
  for (const [count, { vpn, workgroup }] of wants.entries()) {
    while (protectedPages < ranks.length && (ranks[protectedPages] as number) <= workgroup) protectedPages++
    if (mirror.frameOf(vpn) < 0) needed++
    else if (!protection.pinned(vpn) && protection.nextUse(vpn) > workgroup) kept++
    if (needed > mirror.dmem.available + ranks.length - protectedPages - kept) return count
  }
  return wants.length
}

/** How many of the first wants fit when there turned out to be `room` free frames. */
function prefixInRoom(mirror: Mirror, wants: readonly Want[], room: number): number {
  let left = room
  for (const [count, { vpn }] of wants.entries()) if (mirror.frameOf(vpn) < 0 && left-- === 0) return count
  return wants.length
}

function runsByVma(mirror: Mirror, wants: readonly Want[]): Run[] {
  const runs: Run[] = []
  for (const { vpn, write } of wants.length === 1 ? wants : [...wants].sort((a, b) => a.vpn - b.vpn)) {
    const last = runs[runs.length - 1]
    const vma = last !== undefined && vpn < last.vma.end ? last.vma : mirror.space.addresses.find(vpn)
    if (vma === undefined) continue
    const own = write || ownsOnRead(mirror, vma, vpn)
    if (last !== undefined && last.end === vpn && last.write === own && last.vma === vma) last.end = vpn + 1
    else runs.push({ vma, start: vpn, end: vpn + 1, write: own })
  }
  return runs
}

async function serveRun(mirror: Mirror, { vma, start, end, write }: Run): Promise<void> {
  const step = faultWindow(mirror.space, vma)
  for (let at = start; at < end; at += step) {
    const piece = { vma, start: at, end: Math.min(end, at + step), write }
    // If the mapping changed while a pager was asked, the access faults again and finds out what is true.
    await makePresent(mirror, piece, !write, () => bringIn(mirror, piece))
  }
}

function bringIn(mirror: Mirror, { vma, start, end, write }: Run): void {
  if (write) makePrivate(mirror, vma, start, end)
  else mapCopies(mirror, vma, start, end)
}

/** No await in here: the pages become device-private, whatever they were. */
export function makePrivate(mirror: Mirror, vma: Vma, start: Vpn, end: Vpn): void {
  const args = migrateSetup({ space: mirror.space, vma, start, end, owner: mirror, select: SELECT.system, to: 'owner', room: mirror.dmem.freeNow })
  const bytes = fillDestinations(mirror, args, mirror.dmem.available)
  const moved = migratePages(args)
  migrateFinalize(args)
  nameFrames(mirror, args)
  for (let i = 0; i < args.dst.length; i++) if ((args.dst[i] as number) >= 0) mirror.thrash.arrived(start + i)
  mirror.refresh({ start, end })
  if (moved > 0) mirror.space.tracer.emit({ kind: 'migrate', device: mirror.label, to: 'device', pages: moved, bytesCopied: bytes, why: 'gpu-fault' })
}

/** No await in here: the device gets read-only copies of host pages. */
function mapCopies(mirror: Mirror, vma: Vma, start: Vpn, end: Vpn): void {
  const { space, dmem } = mirror
  const missing: Vpn[] = []
  for (let vpn = start; vpn < end; vpn++) if (mirror.frameOf(vpn) < 0 && !space.pages.isDevicePrivate(vpn)) missing.push(vpn)
  const frames = dmem.take(missing.length, missing)
  const upload = new Int32Array(end - start).fill(-1)
  let zero: Int32Array | null = null
  for (let n = 0; n < missing.length; n++) {
    const vpn = missing[n] as Vpn
    const empty = isZero(space, vma, vpn)
    if (empty) zero ??= new Int32Array(end - start).fill(-1)
    const into = empty && zero !== null ? zero : upload
    into[vpn - start] = frames[n] as number
  }
  if (zero !== null) mirror.copies.clear(zero)
  const bytes = mirror.copies.upload(vma, start, upload)
  for (let n = 0; n < missing.length; n++) {
    mirror.addSystemCopy(missing[n] as Vpn, frames[n] as number)
    mirror.thrash.arrived(missing[n] as Vpn)
  }
  mirror.refresh({ start, end })
  if (missing.length > 0 && space.tracer.listens) space.tracer.emit({ kind: 'system-map', device: mirror.label, pages: missing.length, bytesCopied: bytes })
}
