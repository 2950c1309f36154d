// Program and driver in one thread. Compare nouveau_drm_ioctl(): one table of operations, each checked in full before it does anything.
//
// Always: at most one asynchronous operation runs at a time (cl/sequencer sees to it), so between two awaits of it only synchronous ones come
// in; a device loss is taken note of before an operation starts and after one fails.

import { SvmError } from '../base/error.ts'
import { pagesAround, pagesInside, type VpnRange } from '../base/units.ts'
import { type Device, DeviceFailure } from '../device/device.ts'
import { bind } from '../driver/bind.ts'
import { dispatchAll } from '../driver/chain.ts'
import { dispatch } from '../driver/dispatch.ts'
import { Evictor } from '../driver/evict.ts'
import type { DispatchResult } from '../driver/launch.ts'
import { Mirror, type MirrorOptions } from '../driver/svmm.ts'
import { noMemory } from '../driver/working-set.ts'
import type { Space } from '../mm/space.ts'
import type { EvictionPolicy } from '../policy/policy.ts'
import { type Advised, answerAdvice, forgetPreference, heedAdvice, NOTHING_DONE } from './advice.ts'
import { copyBytes, fillBytes, transferBuffer } from './copy.ts'
import { launchOf } from './exec.ts'
import { makeBytes, mapBytes, readBytes, refuseSegments, writeBytes } from './host-access.ts'
import { allocate, doom, free, mapPager, protect, unmap } from './mapping.ts'
import { allocationOf, livingAllocationOf, livingSpanOf, refuseHostMapped, refuseNoAccess, refuseNotLiving, wholeOrSpanOf } from './ranges.ts'
import { refuse } from './refuse.ts'
import { dumpSpace, type ExecCounts, queryRuns, spaceStats } from './report.ts'
import { type ByteRange, DRM_VERSION, type Op, type Port, type Replies, type Requests } from './request.ts'
import { type ResourceKind, Resources, type ResourceTypes } from './resources.ts'
import { checkShape, isOp } from './shape.ts'

type Handler<O extends Op> = { readonly later: boolean; readonly handle: (request: Requests[O]) => Replies[O] }
type Handlers = { readonly [O in Op]: Handler<O> }

/** Answered after SVM_FINI too: they look, or end a view that the host still holds. */
const ALWAYS: readonly Op[] = ['SVM_STATS', 'SVM_SNAPSHOT', 'SVM_UNMAP']

export class LocalPort implements Port {
  readonly space: Space
  /** By memory number; those that were released stay here and see nothing any more. */
  readonly mirrors: readonly Mirror[]
  readonly resources = new Resources()
  readonly #evictors: readonly Evictor[]
  readonly #counts: ExecCounts = { attempt: 0, resident: 0, direct: 0, rounds: 0, faults: 0, hints: 0 }
  readonly #handlers: Handlers
  /** The mirrors that are not released. */
  #live: readonly Mirror[]
  #state: 'new' | 'open' | 'closed' = 'new'
  #busy = 0

  constructor(space: Space, devices: readonly Device[], options: MirrorOptions & { eviction: EvictionPolicy }) {
    this.space = space
    this.mirrors = devices.map((device) => new Mirror(space, device, options))
    this.#live = this.mirrors
    this.#evictors = this.mirrors.map((mirror) => new Evictor(mirror, options.eviction))
    this.#handlers = this.#table()
  }

  ioctl<O extends Op>(op: O, request: Requests[O]): Replies[O] {
    if (!isOp(op)) refuse('unknown-op', 'invalid-value', `There is no request ${String(op).slice(0, 40)}. Load program and driver from the same release.`)
    if (this.#busy === 0) this.#reapLosses()
    const { later, handle } = this.#handlers[op]
    if (later) return this.#run(async () => handle(this.#admit(op, request))) as unknown as Replies[O]
    return handle(this.#admit(op, request))
  }

  register<K extends Exclude<ResourceKind, 'mapping'>>(kind: K, resource: ResourceTypes[K]): number {
    return this.resources.add(kind, resource)
  }

  unregister(handle: number): void {
    this.resources.remove(handle)
  }

  isReleased(memory: number): boolean {
    return !this.#live.includes(this.mirrors[memory] as Mirror)
  }

  #table(): Handlers {
    const now = <T>(handle: T) => ({ later: false, handle })
    const later = <T>(handle: T) => ({ later: true, handle })
    const { space } = this
    return {
      SVM_INIT: now((request) => this.#init(request)),
      SVM_ALLOC: now((request) => allocate(space, this.#live, request)),
      SVM_MMAP: now((request) => mapPager(space, this.#live, this.resources.get('pager', request.pager), request)),
      SVM_LOOKUP: now((request) => this.#lookup(request.pointer)),
      SVM_CHECK: now((request) => this.#check(request)),
      SVM_DOOM: now((request) => doom(space, request.pointers)),
      SVM_SPARE: now((request) => this.#spare(request.pointers)),
      SVM_FREE: later((request) => free(space, this.#live, request.pointer)),
      SVM_MUNMAP: later((request) => unmap(space, this.#live, request)),
      SVM_MPROTECT: later((request) => protect(space, this.#live, request)),
      SVM_ADVISE: now((request) => this.#advise(request)),
      SVM_HEED: later((request) => this.#heed(request)),
      SVM_BIND: later((request) => this.#bind(request)),
      SVM_MAP: later((request) => this.#map(request)),
      SVM_UNMAP: now((request) => this.#unmap(request.mapping)),
      SVM_READ: later((request) => this.#read(request)),
      SVM_WRITE: later((request) => this.#write(request)),
      SVM_COPY: later((request) => copyBytes(space, request)),
      SVM_FILL: later((request) => fillBytes(space, request)),
      SVM_BUFFER: later((request) => this.#transfer(request)),
      SVM_EXEC: later((request) => this.#exec(request)),
      SVM_EXEC_CHAIN: later((request) => this.#execChain(request.launches)),
      SVM_QUERY: now((request) => this.#query(request)),
      SVM_STATS: now(() => spaceStats(space, this.mirrors, this.#counts, (memory) => this.isReleased(memory))),
      SVM_SNAPSHOT: now(() => dumpSpace(space)),
      SVM_RELEASE: later((request) => this.#release(request.memory)),
      SVM_FINI: later(() => this.#fini()),
    }
  }

  /** What no request may pass: its time, and its shape. */
  #admit<O extends Op>(op: O, request: unknown): Requests[O] {
    if (this.#state === 'new' && op !== 'SVM_INIT') refuse('before-init', 'invalid-value', `${op}: SVM_INIT comes first. Send it once.`)
    if (this.#state === 'closed' && !ALWAYS.includes(op)) refuse('after-fini', 'closed', `${op}: this space is closed. Open another one with openSvm().`)
    return checkShape(op, request)
  }

  /** One asynchronous operation: failures of devices become errors of this library, and losses are taken note of. */
  async #run<T>(body: () => Promise<T>): Promise<T> {
    this.#busy++
    for (const { thrash } of this.#live) thrash.turn++
    try {
      return await body()
    } catch (failure) {
      throw this.explain(failure)
    } finally {
      this.#busy--
      if (this.#busy === 0) this.#tidy()
    }
  }

  /** Nothing is under way: losses are taken note of, and pools whose pages have left, whichever way, are given back. */
  #tidy(): void {
    this.#reapLosses()
    for (const mirror of this.#live) if (mirror.device.lostReason === null) mirror.dmem.trim()
  }

  /** What a failure of a device is called in this library; other failures as they are. */
  explain(failure: unknown): unknown {
    if (!(failure instanceof DeviceFailure)) return failure
    if (failure.reason === 'lost') {
      return new SvmError(
        'device-lost',
        `The device was lost (${failure.message}). Pages whose only copy was there are lost; everything else can be read and used with another device.`,
        { cause: failure },
      )
    }
    return noMemory(failure)
  }

  #reapLosses(): void {
    for (const lost of this.#live) {
      // A page whose only copy is gone is a bad access on every device.
      for (const vpn of lost.reapLoss()) for (const mirror of this.#live) mirror.refreshPage(vpn)
      if (lost.device.lostReason !== null) forgetPreference(this.space, lost.memory)
    }
  }

  #init({ version, pageBytes, addressBits }: Requests['SVM_INIT']): Replies['SVM_INIT'] {
    if (version !== DRM_VERSION) {
      const sentence = `The driver speaks version ${DRM_VERSION} of its requests, the program ${version}. Load both from the same release.`
      refuse('version', 'invalid-value', sentence)
    }
    const { geometry } = this.space
    if (pageBytes !== geometry.pageBytes || addressBits !== geometry.addressBits) {
      const sentence = `This space has pages of ${geometry.pageBytes} bytes and ${geometry.addressBits}-bit addresses, not ${pageBytes} and ${addressBits}.`
      refuse('geometry', 'invalid-value', sentence)
    }
    this.#state = 'open'
    return { version: DRM_VERSION }
  }

  #lookup(pointer: number): Replies['SVM_LOOKUP'] {
    const found = this.space.addresses.allocationAt(pointer)
    if (found === undefined) return null
    return { pointer: found.pointer, byteLength: found.byteLength, label: found.label, kind: found.kind, dying: found.dying }
  }

  #check({ ranges, holes, what }: Requests['SVM_CHECK']): null {
    for (const { pointer, byteLength } of ranges) {
      if (holes) refuseNotLiving(this.space, pointer, byteLength, what)
      else livingAllocationOf(this.space, pointer, byteLength, what)
    }
    return null
  }

  #spare(pointers: readonly number[]): null {
    for (const pointer of pointers) {
      const allocation = this.space.addresses.allocation(pointer)
      if (allocation !== undefined) allocation.dying = false
    }
    return null
  }

  get #advised(): Advised {
    return { space: this.space, live: this.#live, evictorOf: ({ memory }) => this.#evictors[memory] as Evictor }
  }

  #advise(request: Requests['SVM_ADVISE']): Replies['SVM_ADVISE'] {
    const { pointer, byteLength, memory } = request
    if (memory >= 0) this.#mirror(memory)
    if (byteLength === 0) return { applied: true, why: 'There is nothing to do for 0 bytes.' }
    livingAllocationOf(this.space, pointer, byteLength, 'advise')
    return answerAdvice(this.#advised, request)
  }

  async #heed(request: Requests['SVM_HEED']): Promise<Awaited<Replies['SVM_HEED']>> {
    const { pointer, byteLength, memory } = request
    if (memory >= 0) this.#mirror(memory)
    if (byteLength === 0) return NOTHING_DONE
    return heedAdvice(this.#advised, livingSpanOf(this.space, pointer, byteLength, 'advise').runs, request)
  }

  async #bind(request: Requests['SVM_BIND']): Promise<Awaited<Replies['SVM_BIND']>> {
    const mirror = this.#mirror(request.memory)
    const ranges: VpnRange[] = []
    const discard: VpnRange[] = []
    let holes = 0
    for (const { pointer, byteLength } of request.ranges) {
      const span = wholeOrSpanOf(this.space, pointer, byteLength, 'migrate')
      ranges.push(...span.runs)
      holes += span.holes
      const whole = span.allocation
      const inner = byteLength > 0 ? { pointer, byteLength } : { pointer: whole.pointer, byteLength: whole.byteLength }
      if (request.contentUndefined) discard.push(pagesInside(inner.pointer, inner.byteLength, this.space.geometry.pageBytes))
    }
    if (holes > 0 && request.mode === 'all-or-nothing') {
      refuse(
        'hole-and-all-or-nothing',
        'not-mapped',
        `migrate: ${holes} pages of the ranges were unmapped, and all or nothing was asked for. Nothing moved; use mode 'best-effort'.`,
      )
    }
    if (request.target === 'device') this.#refuseLost(mirror)
    const result = await bind(mirror, this.#evictors[request.memory] as Evictor, {
      ranges,
      discard: discard.filter((range) => range.end > range.start),
      to: request.target,
      mode: request.mode,
    })
    // What the program moves itself is no thrash.
    for (const { start, end } of ranges) for (const { thrash } of this.#live) thrash.reset(start, end)
    if (holes > 0) result.skipped['not-mapped'] = (result.skipped['not-mapped'] ?? 0) + holes
    return result
  }

  async #map({ pointer, byteLength, mode }: Requests['SVM_MAP']): Promise<Awaited<Replies['SVM_MAP']>> {
    allocationOf(this.space, pointer, byteLength, 'map')
    const pages = pagesAround(pointer, byteLength, this.space.geometry.pageBytes)
    const by = mode === 'read' ? 'read' : 'write'
    refuseHostMapped(this.space, pages, by, 'map')
    refuseNoAccess(this.space, pointer, byteLength, by, 'map')
    refuseSegments(this.space, pointer, byteLength)
    const { live, bytes } = await mapBytes(this.space, pointer, byteLength, mode)
    for (const mirror of this.#live) mirror.refresh(pages)
    const mapping = this.resources.add('mapping', live)
    this.space.tracer.emit({ kind: 'host-map', pointer, byteLength, mode })
    return { mapping, bytes }
  }

  #unmap(mapping: number): null {
    const live = this.resources.get('mapping', mapping)
    this.resources.remove(mapping)
    this.space.hostMappings.remove(live)
    for (const mirror of this.#live) mirror.refresh(live.pages)
    this.space.tracer.emit({ kind: 'host-unmap', pointer: live.pointer, byteLength: live.byteLength, mode: live.mode })
    return null
  }

  async #read({ pointer, byteLength }: Requests['SVM_READ']): Promise<Uint8Array> {
    if (byteLength === 0) return new Uint8Array(0)
    allocationOf(this.space, pointer, byteLength, 'read')
    refuseHostMapped(this.space, pagesAround(pointer, byteLength, this.space.geometry.pageBytes), 'read', 'read')
    refuseNoAccess(this.space, pointer, byteLength, 'read', 'read')
    const bytes = makeBytes(byteLength, 'read')
    await readBytes(this.space, pointer, bytes)
    return bytes
  }

  async #write({ pointer, bytes }: Requests['SVM_WRITE']): Promise<null> {
    if (bytes.length === 0) return null
    allocationOf(this.space, pointer, bytes.length, 'write')
    refuseHostMapped(this.space, pagesAround(pointer, bytes.length, this.space.geometry.pageBytes), 'write', 'write')
    refuseNoAccess(this.space, pointer, bytes.length, 'write', 'write')
    await writeBytes(this.space, pointer, bytes)
    return null
  }

  async #transfer(request: Requests['SVM_BUFFER']): Promise<null> {
    const mirror = this.#mirror(request.memory)
    const buffer = this.resources.get('buffer', request.buffer)
    this.#refuseLost(mirror)
    return transferBuffer(this.space, mirror, buffer, request)
  }

  async #exec(request: Requests['SVM_EXEC']): Promise<Awaited<Replies['SVM_EXEC']>> {
    const mirror = this.#mirror(request.memory)
    const launch = launchOf(this.space, mirror, this.resources, request)
    this.#refuseLost(mirror)
    const result = await dispatch(mirror, this.#evictors[request.memory] as Evictor, launch)
    this.#count(result)
    return result
  }

  async #execChain(requests: readonly Requests['SVM_EXEC'][]): Promise<Awaited<Replies['SVM_EXEC_CHAIN']>> {
    const [first] = requests
    if (first === undefined) return { results: [], failure: null, failed: 0 }
    const mirror = this.#mirror(first.memory)
    const other = requests.find(({ memory }) => memory !== first.memory)
    if (other !== undefined) {
      refuse('chain-of-two-devices', 'invalid-value', `Launches of devices ${first.memory} and ${other.memory} are no chain. Send one request for each device.`)
    }
    const launches = requests.map((request) => launchOf(this.space, mirror, this.resources, request))
    this.#refuseLost(mirror)
    const { results, failure, failed } = await dispatchAll(mirror, this.#evictors[first.memory] as Evictor, launches)
    for (const result of results) this.#count(result)
    return { results, failure: failure === null ? null : this.explain(failure), failed }
  }

  #count({ variant, rounds, faults, hints }: DispatchResult): void {
    this.#counts[variant]++
    this.#counts.rounds += rounds
    this.#counts.faults += faults
    this.#counts.hints += hints
  }

  /** Compare nouveau_svmm_fini(): what only this device has comes home first. What did come home stays there if the rest fails. */
  async #release(memory: number): Promise<null> {
    const mirror = this.#mirror(memory)
    const { pages } = this.space
    let moved = 0
    let bytesCopied = 0
    for (let home = pagesOn(mirror, (vpn) => pages.isDevicePrivate(vpn)); home.length > 0; home = pagesOn(mirror, (vpn) => pages.isDevicePrivate(vpn))) {
      const result = await mirror.sendHome(home, { keepCopy: false, discard: false, why: 'release' })
      moved += result.moved
      bytesCopied += result.bytesCopied
    }
    for (const vpn of pagesOn(mirror, () => true)) mirror.dropSystemCopy(vpn)
    await mirror.copies.fence
    this.#live = this.#live.filter((one) => one !== mirror)
    mirror.destroy()
    forgetPreference(this.space, memory)
    this.space.tracer.emit({ kind: 'device-released', device: mirror.label, pages: moved, bytesCopied })
    return null
  }

  /**
   * Ends the space, and all bytes in it: nothing need come home. Views that programs still hold are of pages that are at home, and no
   * submission writes to them any more once the fence has passed.
   */
  async #fini(): Promise<{ lost: ByteRange[] }> {
    const { pageBytes } = this.space.geometry
    this.#reapLosses()
    // Every mirror loses every entry, and what it still runs is waited for, before its buffers go. Compare MMU_NOTIFY_RELEASE.
    const range = { start: 0, end: this.space.geometry.spacePages }
    await this.space.notifiers.invalidate({ range, event: 'release', owner: null, pages: null })
    for (const mirror of this.#live) if (mirror.device.lostReason === null) await mirror.copies.fence
    this.#reapLosses()
    const lost = dumpSpace(this.space)
      .pages.filter(({ state }) => state === 'lost')
      .map(({ pointer, pages }) => ({ pointer, byteLength: pages * pageBytes }))
    for (const mirror of this.#live) mirror.destroy()
    this.#live = []
    this.#state = 'closed'
    return { lost }
  }

  #refuseLost(mirror: Mirror): void {
    if (mirror.device.lostReason === null) return
    const sentence = `${mirror.label} was lost (${mirror.device.lostReason}); it takes no more commands. Open a space on a new device.`
    refuse('device-lost', 'device-lost', sentence)
  }

  #query({ pointer, byteLength }: Requests['SVM_QUERY']): Replies['SVM_QUERY'] {
    if (byteLength === 0) return []
    livingAllocationOf(this.space, pointer, byteLength, 'residency')
    return queryRuns(this.space, pointer, byteLength)
  }

  #mirror(memory: number): Mirror {
    const mirror = this.mirrors[memory]
    if (mirror === undefined) return refuse('no-device', 'invalid-value', `There is no device ${memory} in this space; it has ${this.mirrors.length}.`)
    if (!this.isReleased(memory)) return mirror
    return refuse(
      'device-released',
      'closed',
      `${mirror.label} was released from this space and takes no more requests. Use another device of it, or open a space on it.`,
    )
  }
}

/** Pages that have a frame of the device and pass a test, ascending. */
function pagesOn(mirror: Mirror, passes: (vpn: number) => boolean): number[] {
  const found: number[] = []
  mirror.dmem.forEachPage((_frame, vpn) => {
    if (passes(vpn)) found.push(vpn)
  })
  return found.sort((a, b) => a - b)
}
