// One device's mirror of the address space. Compare nouveau_svmm.
//
// Always: the mirror's entry of a page is what `entryFor` says of it, as soon as anything about the page changed (the VMA, a host mapping, the
// page's state); nobody else decides what an entry is. It ignores the notifier only for migrations that it asked for itself; then it drops
// exactly the entries of the pages that really move.

import { LEAF_PAGES } from '../abi/leaf.ts'
import { makePte, PTE, PTE_RIGHTS } from '../abi/pte.ts'
import { unreachable } from '../base/assert.ts'
import type { Vpn, VpnRange } from '../base/units.ts'
import type { Device } from '../device/device.ts'
import { type MigrateArgs, migrateFinalize, migratePages, migrateSetup, SELECT, SRC } from '../mm/migrate.ts'
import type { Invalidation, Subscription } from '../mm/notifier.ts'
import { PAGE } from '../mm/page-table.ts'
import type { PageOwner, Space } from '../mm/space.ts'
import { deviceMayRead, deviceMayWrite, type Vma } from '../mm/vma.ts'
import { THRASH_RULES, Thrash, type ThrashRules } from '../policy/thrash.ts'
import type { MigrateReason } from '../trace/event.ts'
import { budgetDefault, type MemoryPlan, planMemory } from './budget.ts'
import { CopyEngine } from './copy.ts'
import { DeviceMemory } from './dmem.ts'
import { SystemFrames } from './system-frames.ts'
import { Tables } from './tables.ts'
import { DeviceVmm } from './vmm.ts'
import { Watch } from './watch.ts'

/** Pages that one home-coming moves at once: bounded arrays, whatever the range. */
const WINDOW = 4096

/** Pages of one mapping. */
interface Piece extends VpnRange {
  readonly vma: Vma
}

/** `keepCopy`: the frames stay as read-only copies. `discard`: the bytes need not come along. */
export interface HomeComing {
  readonly keepCopy: boolean
  readonly discard: boolean
}

export interface MirrorOptions {
  readonly deviceMemory: number | undefined
  readonly authorStorageBuffers: number
  /** False: the direct variant is never chosen. */
  readonly direct?: boolean
  /** Pools that the frames are divided into, if the device can bind so many; undefined: as their number asks for. */
  readonly pools?: number | undefined
  /** Kernels are watched: the race detector and the spin detector. */
  readonly debug?: boolean
  /** Pages come along with those that a kernel faulted on. */
  readonly prefetches?: boolean
  /** When a page thrashes; null: nobody looks. Left out: THRASH_RULES. */
  readonly thrash?: ThrashRules | null
}

export class Mirror implements PageOwner {
  readonly memory: number
  readonly device: Device
  readonly space: Space
  readonly plan: MemoryPlan
  readonly dmem: DeviceMemory
  readonly vmm: DeviceVmm
  readonly tables: Tables
  readonly copies: CopyEngine
  readonly thrash: Thrash
  readonly prefetches: boolean
  readonly subscription: Subscription
  readonly authorStorageBuffers: number
  /** The direct variant may be chosen. */
  readonly direct: boolean
  /** With `debug`: what dispatches are watched by. */
  readonly watch: Watch | null
  /** Frames of read-only copies of host pages. */
  readonly #systemFrames: SystemFrames
  /** What `uncoveredIn` said of the whole space, and of which leaves it knew. */
  #uncovered: { readonly pages: number; readonly version: number } | null = null
  #refreshes = 0
  #lossReaped = false
  evictions = 0
  /** Invalidations that this mirror was told of and heeded, and the entries with a right that it dropped for them. */
  invalidations = 0
  entriesDropped = 0

  constructor(space: Space, device: Device, options: MirrorOptions) {
    const { geometry } = space
    this.space = space
    this.#systemFrames = new SystemFrames(space.pages.blockPages)
    this.device = device
    this.memory = space.addOwner(this)
    this.authorStorageBuffers = options.authorStorageBuffers
    this.direct = options.direct ?? true
    const budget = Math.min(
      options.deviceMemory ?? device.memory ?? budgetDefault(device.limits, options.authorStorageBuffers),
      device.memory ?? Number.POSITIVE_INFINITY,
    )
    this.plan = planMemory({
      budgetBytes: budget,
      ...geometry,
      limits: device.limits,
      authorStorageBuffers: options.authorStorageBuffers,
      pools: options.pools,
      debug: options.debug === true,
    })
    device.configure({ ringBytes: this.plan.ringBytes, slotBytes: this.plan.slotBytes })
    this.prefetches = options.prefetches ?? false
    this.thrash = new Thrash(space.pages.blockPages, this.plan.frames, options.thrash === undefined ? THRASH_RULES : options.thrash)
    this.dmem = new DeviceMemory(device, this.plan, geometry, space.tracer)
    this.vmm = new DeviceVmm(device, geometry)
    this.watch = options.debug === true ? new Watch(this) : null
    this.tables = new Tables(device, this.plan, this.vmm, this.watch)
    this.copies = new CopyEngine(device, this.dmem, space, this.plan.bouncePages)
    this.subscription = space.notifiers.insert({ start: 0, end: geometry.spacePages }, this)
  }

  get label(): string {
    return this.device.label
  }

  /** The frame in which this device sees the page; -1 when it does not. */
  frameOf(vpn: Vpn): number {
    const { pages } = this.space
    if (pages.isDevicePrivate(vpn)) return pages.memory(vpn) === this.memory ? pages.frame(vpn) : -1
    return this.systemFrame(vpn)
  }

  /** The frame of this device's read-only copy; -1 when there is none. */
  systemFrame(vpn: Vpn): number {
    return this.#systemFrames.get(vpn)
  }

  get systemCopies(): number {
    return this.#systemFrames.count
  }

  /** Host memory that this mirror's records take. */
  get bookkeepingBytes(): number {
    return this.dmem.byteLength + this.vmm.byteLength + this.#systemFrames.byteLength + this.thrash.byteLength
  }

  // What an entry is.

  /** The entry of a page outside of a dispatch: every right that the page has. */
  entryFor(vma: Vma, vpn: Vpn): number {
    const { pages, hostMappings } = this.space
    const hold = hostMappings.count === 0 ? 'none' : hostMappings.holdOn(vpn)
    if (hold === 'write' || !deviceMayRead(vma)) return 0
    const writable = deviceMayWrite(vma) && hold === 'none'
    const may = PTE.mayLoad | (writable ? PTE.mayStore : 0)
    const state = pages.state(vpn)
    switch (state) {
      case PAGE.none:
      case PAGE.zero:
      case PAGE.host:
      case PAGE.migrating:
        return may
      case PAGE.lost:
        return 0
      case PAGE.mapped: {
        const frame = this.systemFrame(vpn)
        return frame < 0 ? may : this.#entry(vpn, frame, may | PTE.load | PTE.system)
      }
      case PAGE.clean:
      case PAGE.dirty: {
        if (pages.memory(vpn) !== this.memory) return may
        const rights = PTE.load | (writable ? PTE.store | PTE.exclusive : 0)
        return this.#entry(vpn, pages.frame(vpn), may | rights | (state === PAGE.dirty ? PTE.dirty : 0))
      }
      default:
        return unreachable(state)
    }
  }

  /** Brings the entries of a range, where it has any, up to date with what is true. Returns how many changed. */
  refresh(range: VpnRange): number {
    this.#uncovered = null
    this.#refreshes++
    let changed = 0
    for (const part of this.vmm.parts(range)) changed += this.#refreshPart(part)
    return changed
  }

  refreshPage(vpn: Vpn): number {
    return this.vmm.covers(vpn) ? this.#refreshPart({ start: vpn, end: vpn + 1 }) : 0
  }

  #refreshPart(range: VpnRange): number {
    const whole = this.space.addresses.findWhole(range)
    if (whole !== undefined) return this.#refreshPiece(whole, range.start, range.end)
    let changed = 0
    let next = range.start
    for (const { vma, start, end } of this.space.addresses.pieces(range)) {
      changed += this.#blank(next, start)
      changed += this.#refreshPiece(vma, start, end)
      next = end
    }
    return changed + this.#blank(next, range.end)
  }

  #refreshPiece(vma: Vma, start: Vpn, end: Vpn): number {
    let changed = 0
    for (let vpn = start; vpn < end; vpn++) if (this.vmm.set(vpn, this.entryFor(vma, vpn))) changed++
    return changed
  }

  /** The pages around this one have entries from now on, if the space is sparse and they had none; true then. */
  cover(vpn: Vpn): boolean {
    if (this.vmm.covers(vpn)) return false
    const leaf = { start: vpn - (vpn % LEAF_PAGES), end: vpn - (vpn % LEAF_PAGES) + LEAF_PAGES }
    if (this.space.addresses.pieces(leaf).next().done === true) return false
    this.vmm.cover(vpn)
    this.#refreshPart(leaf)
    return true
  }

  /** Moves whenever an entry, or what has one, changes: what was said of the table holds as long as it stays. */
  get version(): number {
    return this.#refreshes + this.vmm.written + this.vmm.leafVersion
  }

  /** Pages that lack a right they may have, those included that have no entry yet: while it is 0 no fault is possible. */
  get incomplete(): number {
    const { spacePages } = this.space.geometry
    if (this.#uncovered?.version !== this.vmm.leafVersion) {
      this.#uncovered = { pages: this.uncoveredIn({ start: 0, end: spacePages }), version: this.vmm.leafVersion }
    }
    return this.vmm.incomplete + this.#uncovered.pages
  }

  /** Pages that may be read and have no entry. */
  uncoveredIn(range: VpnRange): number {
    if (this.space.geometry.addressBits === 32) return 0
    return this.vmm.parts(range).reduce((pages, part) => pages - this.#readablePages(part), this.#readablePages(range))
  }

  #readablePages(range: VpnRange): number {
    let pages = 0
    for (const { vma, start, end } of this.space.addresses.pieces(range)) if (deviceMayRead(vma)) pages += end - start
    return pages
  }

  // News from mm.

  /** Compare nouveau_svmm_invalidate_range_start(). */
  invalidate({ range, event, owner, pages }: Invalidation): Promise<void> | null {
    if (event === 'migrate' && owner === this) return null
    let dropped = 0
    if (event === 'unmap') this.thrash.reset(range.start, range.end)
    const drop = (vpn: Vpn) => {
      const pte = this.vmm.get(vpn)
      if ((pte & PTE_RIGHTS) !== 0) {
        this.vmm.set(vpn, pte & (PTE.mayLoad | PTE.mayStore))
        dropped++
      }
      if ((event === 'clear' || event === 'migrate') && this.systemFrame(vpn) >= 0) this.thrash.left(vpn)
      // A change of protection moves no bytes: a copy stays as good as it was.
      if (event !== 'protection') this.dropSystemCopy(vpn)
      // A page that was lost and is the host's again may be asked for again.
      if (event === 'clear' && pte === 0) this.refreshPage(vpn)
    }
    if (pages !== null) for (const vpn of pages) drop(vpn)
    else
      this.space.pages.forEachTouched(range, (start, end) => {
        for (let vpn = start; vpn < end; vpn++) drop(vpn)
      })
    this.invalidations++
    this.entriesDropped += dropped
    return dropped > 0 ? this.copies.fence : null
  }

  /** Compare nouveau_dmem_migrate_to_ram(). @throws DeviceFailure */
  async migrateToRam(pages: readonly Vpn[], { keepCopy, discard }: { keepCopy: boolean; discard: boolean }): Promise<void> {
    for (const vpn of pages) this.thrash.left(vpn)
    const party = discard ? ALONE : companionsOf(this, pages)
    await this.sendHome(pages, { keepCopy: keepCopy && !discard, discard, why: 'host-access' }, party)
  }

  /** Compare nouveau_dmem_page_free(). */
  pageFree(frame: number): void {
    this.dmem.free(frame)
  }

  // Moving pages home.

  /**
   * Brings device-private pages (ascending, all of this device when asked) home; what somebody else took meanwhile is left to him. On failure
   * the pages that had not moved stay. The bytes of a party come along in the same copies, and its pages stay. @throws DeviceFailure
   */
  async sendHome(pages: readonly Vpn[], how: HomeComing & { why: MigrateReason }, party: Party = ALONE): Promise<{ moved: number; bytesCopied: number }> {
    const sum = { moved: 0, bytesCopied: 0 }
    for (const batch of this.#batches(party.along.size === 0 ? runsOf(pages) : runsWith(pages, party, this.space.pages.blockPages))) {
      const sent = await this.#homeBatch(batch, how, party)
      sum.moved += sent.moved
      sum.bytesCopied += sent.bytesCopied
    }
    this.space.tracer.emit({ kind: 'migrate', device: this.label, to: 'host', pages: sum.moved, bytesCopied: sum.bytesCopied, why: how.why })
    return sum
  }

  /** What goes home together; looked up when its turn comes. */
  *#batches(runs: readonly VpnRange[]): Generator<Piece[]> {
    let batch: Piece[] = []
    let pages = 0
    for (const run of runs) {
      for (const { vma, start, end } of [...this.space.addresses.pieces(run)]) {
        for (let at = start; at < end; at += WINDOW) {
          const piece = { vma, start: at, end: Math.min(end, at + WINDOW) }
          if (pages + piece.end - at > WINDOW) {
            yield batch
            batch = []
            pages = 0
          }
          batch.push(piece)
          pages += piece.end - at
        }
      }
    }
    if (batch.length > 0) yield batch
  }

  /** All of these in one copy, or none of them. */
  async #homeBatch(pieces: readonly Piece[], how: HomeComing, { along, asked }: Party): Promise<{ moved: number; bytesCopied: number }> {
    const { space } = this
    const only = along.size === 0 ? undefined : (vpn: Vpn) => asked.has(vpn) || along.has(vpn)
    const batch = pieces.map(({ vma, start, end }) => {
      const args = migrateSetup({ space, vma, start, end, owner: this, select: SELECT.devicePrivate, to: 'host', keepCopy: how.keepCopy, only })
      // The notifier was ignored, being our own: drop the entries of exactly the pages that setup took, before anybody reads their frames.
      this.#dropEntries(args)
      const frames = new Int32Array(args.src.length).fill(-1)
      for (let i = 0; i < frames.length; i++) if (!how.discard && ((args.src[i] as number) & SRC.dirty) !== 0) frames[i] = args.dst[i] as number
      return { vma, start, frames, args }
    })
    try {
      const bytesCopied = await this.copies.download(batch)
      return { moved: batch.reduce((moved, { args }) => moved + this.#settleHome(args, how.keepCopy, along), 0), bytesCopied }
    } catch (failure) {
      for (const { args } of batch) {
        args.dst.fill(-1)
        migratePages(args)
        migrateFinalize(args)
      }
      throw failure
    } finally {
      for (const { start, end } of pieces) this.refresh({ start, end })
    }
  }

  /** No await in here: the bytes are on the host. A pager's page that is not in the cache is `none` again: the pager has it. */
  #settleHome(args: MigrateArgs, keepCopy: boolean, along: ReadonlySet<Vpn>): number {
    const stay: Vpn[] = []
    for (let i = 0; i < args.src.length && along.size > 0; i++) {
      if (!along.has(args.start + i) || ((args.src[i] as number) & SRC.taken) === 0) continue
      args.dst[i] = -1
      // One that was clean came along for nothing: the host had its bytes.
      if (((args.src[i] as number) & SRC.dirty) !== 0) stay.push(args.start + i)
    }
    const moved = migratePages(args)
    for (let i = 0; i < args.src.length; i++) {
      if (((args.src[i] as number) & SRC.migrate) === 0) continue
      const vpn = args.start + i
      if (keepCopy) this.#systemFrames.set(vpn, args.dst[i] as number)
      else if (!this.space.hasHostBytes(args.vma, vpn)) this.space.pages.forgetCached(vpn)
    }
    migrateFinalize(args)
    for (const vpn of stay) this.space.pages.markClean(vpn)
    return moved
  }

  #dropEntries(args: MigrateArgs): void {
    for (let i = 0; i < args.src.length; i++) {
      if (((args.src[i] as number) & SRC.taken) === 0) continue
      const vpn = args.start + i
      this.vmm.set(vpn, this.vmm.get(vpn) & (PTE.mayLoad | PTE.mayStore))
    }
  }

  /** Copies dirty pages (ascending) to the host, where they stay device-private and are clean. @throws DeviceFailure */
  async writeBack(pages: readonly Vpn[]): Promise<void> {
    const runs = runsOf(pages)
    const pieces = runs.flatMap((run) => [...this.space.addresses.pieces(run)])
    const framesOf = ({ start, end }: Piece) => Int32Array.from({ length: end - start }, (_, i) => this.space.pages.frame(start + i))
    await this.copies.download(pieces.map((piece) => ({ vma: piece.vma, start: piece.start, frames: framesOf(piece) })))
    for (const { start, end } of pieces) for (let vpn = start; vpn < end; vpn++) this.space.pages.markClean(vpn)
    for (const run of runs) this.refresh(run)
  }

  // Read-only copies of host pages.

  /** The device now has a copy of a host page in `frame`. */
  addSystemCopy(vpn: Vpn, frame: number): void {
    this.#systemFrames.set(vpn, frame)
    this.space.pages.systemMap(vpn, this.memory)
    this.nameFrame(frame, vpn)
  }

  /** The frame knows its page, and the page has an entry. */
  nameFrame(frame: number, vpn: Vpn): void {
    this.dmem.name(frame, vpn)
    this.cover(vpn)
  }

  /** Gives a copy back without traffic. */
  dropSystemCopy(vpn: Vpn): void {
    const frame = this.#systemFrames.take(vpn)
    if (frame < 0) return
    this.space.pages.systemUnmap(vpn, this.memory)
    this.dmem.free(frame)
    const vma = this.space.addresses.find(vpn)
    if (vma !== undefined && !this.space.hasHostBytes(vma, vpn)) this.space.pages.forgetCached(vpn)
  }

  /** The copy becomes the page: it is device-private now, in the same frame. */
  takeSystemFrame(vpn: Vpn): number {
    return this.#systemFrames.take(vpn)
  }

  // The end of mappings, and of the device.

  /** After a loss, once: clean pages are the host's again, dirty ones are lost. Returns the pages, of which other mirrors must hear. */
  reapLoss(): readonly Vpn[] {
    if (this.device.lostReason === null || this.#lossReaped) return []
    this.#lossReaped = true
    let lost = 0
    const gone: Vpn[] = []
    this.dmem.forEachPage((_frame, vpn) => gone.push(vpn))
    for (const vpn of gone) if (this.#reapPage(vpn)) lost++
    this.dmem.drop()
    this.tables.drop()
    this.copies.release()
    this.space.tracer.emit({ kind: 'device-lost', device: this.label, lostPages: lost, reason: this.device.lostReason })
    return gone
  }

  #reapPage(vpn: Vpn): boolean {
    const { pages } = this.space
    const vma = this.space.addresses.find(vpn)
    let lost = false
    if (this.#systemFrames.take(vpn) >= 0) pages.systemUnmap(vpn, this.memory)
    else lost = pages.deviceGone(vpn)
    if (!lost && vma !== undefined && !this.space.hasHostBytes(vma, vpn)) pages.forgetCached(vpn)
    this.refreshPage(vpn)
    return lost
  }

  /** Destroys everything the mirror made on the device. The pages must be home. */
  destroy(): void {
    this.space.notifiers.remove(this.subscription)
    this.dmem.drop()
    this.tables.drop()
    this.copies.release()
    this.device.release()
    this.space.owners[this.memory] = null
  }

  #entry(vpn: Vpn, frame: number, flags: number): number {
    return makePte(this.dmem.poolOf(frame), this.dmem.frameWords(frame), flags, vpn * this.space.geometry.pageBytes)
  }

  #blank(start: Vpn, end: Vpn): number {
    let changed = 0
    for (let vpn = start; vpn < end; vpn++) if (this.vmm.set(vpn, 0)) changed++
    return changed
  }
}

/** Pages that the host has not asked for, and whose bytes come with those that it has asked for: in one copy, where they lie in one block. */
export interface Party {
  readonly asked: ReadonlySet<Vpn>
  readonly along: ReadonlySet<Vpn>
}

const ALONE: Party = { asked: new Set(), along: new Set() }

/** Pages that bounce with these and have stores that the host has not seen. The host is about to ask for them. */
function companionsOf({ space: { pages }, thrash, memory }: Mirror, asked: readonly Vpn[]): Party {
  const along = new Set<Vpn>()
  for (const vpn of thrash.companions(asked)) if (pages.state(vpn) === PAGE.dirty && pages.memory(vpn) === memory) along.add(vpn)
  return along.size === 0 ? ALONE : { asked: new Set(asked), along }
}

/** Runs of all of them; what lies in one block is one. */
function runsWith(pages: readonly Vpn[], { along }: Party, blockPages: number): VpnRange[] {
  const joined: { start: Vpn; end: Vpn }[] = []
  for (const run of runsOf([...pages, ...along].sort((a, b) => a - b))) {
    const last = joined[joined.length - 1]
    if (last !== undefined && Math.floor((last.end - 1) / blockPages) === Math.floor(run.start / blockPages)) last.end = run.end
    else joined.push({ ...run })
  }
  return joined
}

/** Ascending pages as half-open runs. */
export function runsOf(pages: readonly Vpn[]): VpnRange[] {
  const runs: { start: Vpn; end: Vpn }[] = []
  for (const vpn of pages) {
    const last = runs[runs.length - 1]
    if (last !== undefined && last.end === vpn) last.end = vpn + 1
    else runs.push({ start: vpn, end: vpn + 1 })
  }
  return runs
}
