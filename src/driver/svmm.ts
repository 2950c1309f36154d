// One device's mirror of the address space. Compare nouveau_svmm.
//
// Always: the mirror's entry of a page is what `entryFor` says of it, as soon as anything about the page changed (the VMA, a host mapping, the
// page's state); nobody else decides what an entry is. It ignores the notifier only for migrations that it asked for itself; then it drops
// exactly the entries of the pages that really move.

import { makePte, PTE, PTE_RIGHTS } from '../abi/pte.ts'
import { unreachable } from '../base/assert.ts'
import type { Vpn, VpnRange } from '../base/units.ts'
import type { Device } from '../device/device.ts'
import { type MigrateArgs, migrateFinalize, migratePages, migrateSetup, SRC } from '../mm/migrate.ts'
import type { Invalidation, Subscription } from '../mm/notifier.ts'
import { PAGE } from '../mm/page-table.ts'
import type { PageOwner, Space } from '../mm/space.ts'
import type { Vma } from '../mm/vma.ts'
import type { MigrateReason } from '../trace/event.ts'
import { budgetDefault, type MemoryPlan, planMemory } from './budget.ts'
import { CopyEngine } from './copy.ts'
import { DeviceMemory } from './dmem.ts'
import { Tables } from './tables.ts'
import { DeviceVmm } from './vmm.ts'

/** Pages that one home-coming moves at once: bounded arrays, whatever the range. */
const WINDOW = 4096

export interface MirrorOptions {
  readonly deviceMemory: number | undefined
  readonly authorStorageBuffers: number
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
  readonly subscription: Subscription
  readonly authorStorageBuffers: number
  /** Frames of read-only copies of host pages, by page. */
  readonly #systemFrames = new Map<Vpn, number>()
  #lossReaped = false
  evictions = 0

  constructor(space: Space, device: Device, options: MirrorOptions) {
    const { geometry } = space
    this.space = space
    this.device = device
    this.memory = space.owners.length
    this.authorStorageBuffers = options.authorStorageBuffers
    const budget = Math.min(
      options.deviceMemory ?? device.memory ?? budgetDefault(device.limits, options.authorStorageBuffers),
      device.memory ?? Number.POSITIVE_INFINITY,
    )
    this.plan = planMemory({ budgetBytes: budget, pageBytes: geometry.pageBytes, limits: device.limits, authorStorageBuffers: options.authorStorageBuffers })
    device.configure({ ringBytes: this.plan.ringBytes, slotBytes: this.plan.slotBytes })
    this.dmem = new DeviceMemory(device, this.plan, geometry.pageBytes, space.tracer)
    this.vmm = new DeviceVmm(device, geometry)
    this.tables = new Tables(device, this.plan, this.vmm)
    this.copies = new CopyEngine(device, this.dmem, space, this.plan.bouncePages)
    space.owners.push(this)
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
    // Asked for every page of every migrate, and mostly there are none.
    return this.#systemFrames.size === 0 ? -1 : (this.#systemFrames.get(vpn) ?? -1)
  }

  get systemCopies(): number {
    return this.#systemFrames.size
  }

  // What an entry is.

  /** The entry of a page outside of a dispatch: every right that the page has. */
  entryFor(vma: Vma, vpn: Vpn): number {
    const { pages, hostMappings } = this.space
    const hold = hostMappings.count === 0 ? 'none' : hostMappings.holdOn(vpn)
    if (hold === 'write') return 0
    const writable = vma.deviceWrites && hold === 'none'
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
        return frame < 0 ? may : this.#entry(frame, may | PTE.load | PTE.system)
      }
      case PAGE.clean:
      case PAGE.dirty: {
        if (pages.memory(vpn) !== this.memory) return may
        const rights = PTE.load | (writable ? PTE.store | PTE.exclusive : 0)
        return this.#entry(pages.frame(vpn), may | rights | (state === PAGE.dirty ? PTE.dirty : 0))
      }
      default:
        return unreachable(state)
    }
  }

  /** Brings the entries of a range up to date with what is true. Returns how many changed. */
  refresh(range: VpnRange): number {
    let changed = 0
    let next = range.start
    for (const { vma, start, end } of this.space.addresses.pieces(range)) {
      changed += this.#blank(next, start)
      for (let vpn = start; vpn < end; vpn++) if (this.vmm.set(vpn, this.entryFor(vma, vpn))) changed++
      next = end
    }
    return changed + this.#blank(next, range.end)
  }

  refreshPage(vpn: Vpn): number {
    return this.refresh({ start: vpn, end: vpn + 1 })
  }

  // News from mm.

  /** Compare nouveau_svmm_invalidate_range_start(). */
  invalidate({ range, event, owner, pages }: Invalidation): Promise<void> | null {
    if (event === 'migrate' && owner === this) return null
    let dropped = false
    const drop = (vpn: Vpn) => {
      const pte = this.vmm.get(vpn)
      if ((pte & PTE_RIGHTS) !== 0) {
        this.vmm.set(vpn, pte & (PTE.mayLoad | PTE.mayStore))
        dropped = true
      }
      this.dropSystemCopy(vpn)
    }
    if (pages !== null) for (const vpn of pages) drop(vpn)
    else for (let vpn = range.start; vpn < range.end; vpn++) drop(vpn)
    return dropped ? this.copies.fence : null
  }

  /** Compare nouveau_dmem_migrate_to_ram(). @throws DeviceFailure */
  async migrateToRam(pages: readonly Vpn[], { keepCopy, discard }: { keepCopy: boolean; discard: boolean }): Promise<void> {
    await this.sendHome(pages, { keepCopy: keepCopy && !discard, discard, why: 'host-access' })
  }

  /** Compare nouveau_dmem_page_free(). */
  pageFree(frame: number): void {
    this.dmem.free(frame)
  }

  // Moving pages home.

  /** Brings device-private pages (ascending, all of this device) home; returns the bytes copied. On failure they stay. @throws DeviceFailure */
  async sendHome(pages: readonly Vpn[], how: { keepCopy: boolean; discard: boolean; why: MigrateReason }): Promise<number> {
    let copied = 0
    for (const run of runsOf(pages)) {
      for (const { vma, start, end } of [...this.space.addresses.pieces(run)]) {
        for (let at = start; at < end; at += WINDOW) copied += await this.#homeWindow(vma, at, Math.min(end, at + WINDOW), how)
      }
    }
    this.space.tracer.emit({ kind: 'migrate', device: this.label, to: 'host', pages: pages.length, bytesCopied: copied, why: how.why })
    return copied
  }

  async #homeWindow(vma: Vma, start: Vpn, end: Vpn, how: { keepCopy: boolean; discard: boolean }): Promise<number> {
    const args = migrateSetup({ space: this.space, vma, start, end, owner: this, to: 'host', keepCopy: how.keepCopy })
    // The notifier was ignored, being our own: drop the entries of exactly the pages that setup took, before anybody reads their frames.
    this.#dropEntries(args)
    const wanted = new Int32Array(args.src.length).fill(-1)
    for (let i = 0; i < wanted.length; i++) if (!how.discard && ((args.src[i] as number) & SRC.dirty) !== 0) wanted[i] = args.dst[i] as number
    let copied = 0
    try {
      copied = await this.copies.download(vma, start, wanted)
    } catch (failure) {
      args.dst.fill(-1)
      migratePages(args)
      migrateFinalize(args)
      this.refresh({ start, end })
      throw failure
    }
    const moved = Int32Array.from(args.dst)
    migratePages(args)
    for (let i = 0; i < moved.length; i++) {
      if (args.keepCopy && (moved[i] as number) >= 0) this.#systemFrames.set(start + i, moved[i] as number)
    }
    migrateFinalize(args)
    for (let i = 0; i < moved.length; i++) if ((moved[i] as number) >= 0) this.#settleHome(vma, start + i, args.keepCopy)
    this.refresh({ start, end })
    return copied
  }

  /** A pager's page that came home and is not in the cache is `none` again: the pager has it. */
  #settleHome(vma: Vma, vpn: Vpn, keepCopy: boolean): void {
    if (!keepCopy && !this.space.hasHostBytes(vma, vpn)) this.space.pages.forgetCached(vpn)
  }

  #dropEntries(args: MigrateArgs): void {
    for (let i = 0; i < args.src.length; i++) {
      if ((args.src[i] as number) === 0) continue
      const vpn = args.start + i
      this.vmm.set(vpn, this.vmm.get(vpn) & (PTE.mayLoad | PTE.mayStore))
    }
  }

  /** Copies dirty pages (ascending) to the host, where they stay device-private and are clean. @throws DeviceFailure */
  async writeBack(pages: readonly Vpn[]): Promise<void> {
    for (const run of runsOf(pages)) {
      for (const { vma, start, end } of [...this.space.addresses.pieces(run)]) {
        const frames = new Int32Array(end - start)
        for (let i = 0; i < frames.length; i++) frames[i] = this.space.pages.frame(start + i)
        await this.copies.download(vma, start, frames)
        for (let vpn = start; vpn < end; vpn++) this.space.pages.markClean(vpn)
      }
      this.refresh(run)
    }
  }

  // Read-only copies of host pages.

  /** The device now has a copy of a host page in `frame`. */
  addSystemCopy(vpn: Vpn, frame: number): void {
    this.dmem.name(frame, vpn)
    this.#systemFrames.set(vpn, frame)
    this.space.pages.systemMap(vpn, this.memory)
  }

  /** Gives a copy back without traffic. */
  dropSystemCopy(vpn: Vpn): void {
    const frame = this.systemFrame(vpn)
    if (frame < 0) return
    this.#systemFrames.delete(vpn)
    this.space.pages.systemUnmap(vpn, this.memory)
    this.dmem.free(frame)
    const vma = this.space.addresses.find(vpn)
    if (vma !== undefined && !this.space.hasHostBytes(vma, vpn)) this.space.pages.forgetCached(vpn)
  }

  /** The copy becomes the page: it is device-private now, in the same frame. */
  takeSystemFrame(vpn: Vpn): number {
    const frame = this.systemFrame(vpn)
    this.#systemFrames.delete(vpn)
    return frame
  }

  // The end of mappings, and of the device.

  /** Forgets the pages of a range that is being unmapped, and frees their frames. */
  forget(range: VpnRange): void {
    for (let vpn = range.start; vpn < range.end; vpn++) {
      this.dropSystemCopy(vpn)
      if (this.space.pages.isDevicePrivate(vpn) && this.space.pages.memory(vpn) === this.memory) this.dmem.free(this.space.pages.frame(vpn))
    }
  }

  /** After a loss: clean pages are the host's again, dirty ones are lost. Once. Returns false while the device lives. */
  reapLoss(): boolean {
    if (this.device.lostReason === null) return false
    if (this.#lossReaped) return true
    this.#lossReaped = true
    let lost = 0
    const gone: Vpn[] = []
    this.dmem.forEachPage((_frame, vpn) => gone.push(vpn))
    for (const vpn of gone) if (this.#reapPage(vpn)) lost++
    this.dmem.drop()
    this.tables.drop()
    this.copies.release()
    this.space.tracer.emit({ kind: 'device-lost', device: this.label, lostPages: lost, reason: this.device.lostReason })
    return true
  }

  #reapPage(vpn: Vpn): boolean {
    const { pages } = this.space
    const vma = this.space.addresses.find(vpn)
    let lost = false
    if (this.#systemFrames.delete(vpn)) pages.systemUnmap(vpn, this.memory)
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

  #entry(frame: number, flags: number): number {
    return makePte(this.dmem.poolOf(frame), this.dmem.frameWords(frame), flags)
  }

  #blank(start: Vpn, end: Vpn): number {
    let changed = 0
    for (let vpn = start; vpn < end; vpn++) if (this.vmm.set(vpn, 0)) changed++
    return changed
  }
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
