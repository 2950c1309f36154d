// Program and driver in one thread. Compare nouveau_drm_ioctl(): one table of operations, each checked in full before it does anything.
//
// Always: at most one asynchronous operation runs at a time (cl/sequencer sees to it), so between two awaits of it only synchronous ones come
// in; a device loss is taken note of before an operation starts and after one fails.

import { assert } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import { pagesAround, pagesInside, type VpnRange } from '../base/units.ts'
import { type Device, DeviceFailure } from '../device/device.ts'
import { bind } from '../driver/bind.ts'
import { dispatch } from '../driver/dispatch.ts'
import { Evictor } from '../driver/evict.ts'
import type { DriverKernel } from '../driver/launch.ts'
import { Mirror, type MirrorOptions } from '../driver/svmm.ts'
import type { LiveMapping } from '../mm/host-mapping.ts'
import type { Space } from '../mm/space.ts'
import type { Allocation } from '../mm/vma.ts'
import type { EvictionPolicy } from '../policy/policy.ts'
import { copyBytes, fillBytes, transferBuffer } from './copy.ts'
import { mapBytes, readBytes, writeBytes } from './host-access.ts'
import { allocate, mapPager, unmapPages } from './mapping.ts'
import { allocationOf, livingAllocationOf, refuseHostMapped, refuseReadOnly } from './ranges.ts'
import { dumpSpace, type ExecCounts, queryRuns, spaceStats } from './report.ts'
import { type ByteRange, checkCount, checkOneOf, DRM_VERSION, type Op, type Port, type Replies, type Requests } from './request.ts'

type Handlers = { readonly [O in Op]: (request: Requests[O]) => Replies[O] }

export class LocalPort implements Port {
  readonly space: Space
  readonly mirrors: Mirror[]
  readonly #evictors: Evictor[]
  readonly #resources = new Map<number, unknown>()
  readonly #mappings = new Map<number, LiveMapping>()
  readonly #counts: ExecCounts = { attempt: 0, resident: 0, direct: 0, rounds: 0, faults: 0, hints: 0 }
  readonly #handlers: Handlers
  #nextHandle = 1
  #busy = 0

  constructor(space: Space, devices: readonly Device[], options: MirrorOptions & { eviction: EvictionPolicy }) {
    this.space = space
    this.mirrors = devices.map((device) => new Mirror(space, device, options))
    this.#evictors = this.mirrors.map((mirror) => new Evictor(mirror, options.eviction))
    this.#handlers = this.#table()
  }

  ioctl<O extends Op>(op: O, request: Requests[O]): Replies[O] {
    if (this.#busy === 0) this.#reapLosses()
    return this.#handlers[op](request)
  }

  register(resource: unknown): number {
    this.#resources.set(this.#nextHandle, resource)
    return this.#nextHandle++
  }

  unregister(handle: number): void {
    this.#resources.delete(handle)
  }

  #table(): Handlers {
    return {
      SVM_INIT: (request) => this.#init(request),
      SVM_ALLOC: (request) => allocate(this.space, this.mirrors, request),
      SVM_MMAP: (request) => mapPager(this.space, this.mirrors, this.#resource(request.pager), request),
      SVM_LOOKUP: ({ pointer }) => this.space.addresses.allocationAt(pointer) ?? null,
      SVM_CHECK: ({ pointer, byteLength, what }) => this.#check(pointer, byteLength, what),
      SVM_DOOM: ({ pointers }) => this.#doom(pointers),
      SVM_SPARE: ({ pointers }) => this.#spare(pointers),
      SVM_FREE: (request) => this.#run(() => this.#free(request.pointer)),
      SVM_MUNMAP: (request) => this.#run(() => this.#munmap(request)),
      SVM_BIND: (request) => this.#run(() => this.#bind(request)),
      SVM_MAP: (request) => this.#run(() => this.#map(request)),
      SVM_UNMAP: ({ mapping }) => this.#unmap(mapping),
      SVM_READ: (request) => this.#run(() => this.#read(request)),
      SVM_WRITE: (request) => this.#run(() => this.#write(request)),
      SVM_COPY: (request) => this.#run(() => copyBytes(this.space, request)),
      SVM_FILL: (request) => this.#run(() => fillBytes(this.space, request)),
      SVM_BUFFER: (request) => this.#run(() => transferBuffer(this.space, this.#mirror(request.memory), this.#resource(request.buffer), request)),
      SVM_EXEC: (request) => this.#run(() => this.#exec(request)),
      SVM_QUERY: ({ pointer, byteLength }) => this.#query(pointer, byteLength),
      SVM_STATS: () => spaceStats(this.space, this.mirrors, this.#counts),
      SVM_SNAPSHOT: () => dumpSpace(this.space),
      SVM_FINI: () => this.#run(() => this.#fini()),
    }
  }

  /** One asynchronous operation: failures of devices become errors of this library, and losses are taken note of. */
  async #run<T>(body: () => Promise<T>): Promise<T> {
    this.#busy++
    try {
      return await body()
    } catch (failure) {
      throw this.explain(failure)
    } finally {
      this.#busy--
      if (this.#busy === 0) this.#reapLosses()
    }
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
    return new SvmError('device-memory', `The device has no memory left (${failure.message}). Lower deviceMemory, or free buffers of your own.`, {
      cause: failure,
    })
  }

  #reapLosses(): void {
    for (const lost of this.mirrors) {
      // A page whose only copy is gone is a bad access on every device.
      for (const vpn of lost.reapLoss()) for (const mirror of this.mirrors) mirror.refreshPage(vpn)
    }
  }

  #init({ version, pageBytes, addressBits }: Requests['SVM_INIT']): Replies['SVM_INIT'] {
    if (version !== DRM_VERSION)
      throw new SvmError('invalid-value', `The driver speaks version ${DRM_VERSION} of its requests, the program ${version}. Load both from the same release.`)
    const { geometry } = this.space
    if (pageBytes !== geometry.pageBytes || addressBits !== geometry.addressBits) {
      throw new SvmError(
        'invalid-value',
        `This space has pages of ${geometry.pageBytes} bytes and ${geometry.addressBits}-bit addresses, not ${pageBytes} and ${addressBits}.`,
      )
    }
    return { version: DRM_VERSION }
  }

  #check(pointer: number, byteLength: number, what: string): null {
    livingAllocationOf(this.space, pointer, byteLength, what)
    return null
  }

  #doom(pointers: readonly number[]): null {
    const doomed = pointers.map((pointer) => this.#freeable(pointer))
    if (new Set(doomed).size < doomed.length) throw new SvmError('invalid-value', 'free: the same pointer is named twice. Name it once.')
    for (const allocation of doomed) allocation.dying = true
    return null
  }

  #spare(pointers: readonly number[]): null {
    for (const pointer of pointers) {
      const allocation = this.space.addresses.allocation(pointer)
      if (allocation !== undefined) allocation.dying = false
    }
    return null
  }

  #freeable(pointer: number): Allocation {
    const allocation = this.space.addresses.allocation(pointer)
    if (allocation === undefined || allocation.dying) {
      const inside = Number.isSafeInteger(pointer) ? this.space.addresses.allocationAt(pointer) : undefined
      const hint =
        inside !== undefined && !inside.dying
          ? `It points into ${inside.label}; free its start, ${inside.pointer}.`
          : 'It was freed already, or never came from alloc or allocFrom.'
      throw new SvmError('not-mapped', `free: no allocation starts at ${String(pointer)}. ${hint}`, { pointer })
    }
    if (allocation.kind === 'mmap') throw new SvmError('invalid-value', `free: ${allocation.label} at ${pointer} is a mapping. Use munmap.`, { pointer })
    refuseHostMapped(this.space, pagesAround(pointer, allocation.byteLength, this.space.geometry.pageBytes), 'write', 'free')
    return allocation
  }

  async #free(pointer: number): Promise<null> {
    const allocation = this.space.addresses.allocation(pointer)
    assert(allocation?.dying === true, 'only what was doomed is freed')
    const pages = pagesAround(pointer, allocation.byteLength, this.space.geometry.pageBytes)
    try {
      // A map that was enqueued before the free may have run since the call.
      refuseHostMapped(this.space, pages, 'write', 'free')
    } catch (error) {
      allocation.dying = false
      throw error
    }
    await unmapPages(this.space, this.mirrors, pages)
    return null
  }

  async #munmap({ pointer, byteLength }: Requests['SVM_MUNMAP']): Promise<null> {
    const { pageBytes } = this.space.geometry
    const allocation = livingAllocationOf(this.space, pointer, Math.max(1, byteLength), 'munmap')
    if (allocation.kind !== 'mmap') throw new SvmError('invalid-value', `munmap: ${allocation.label} came from alloc. Use free.`, { pointer })
    const end = pointer + (byteLength === 0 ? allocation.byteLength - (pointer - allocation.pointer) : byteLength)
    const last = allocation.pointer + allocation.byteLength
    if (pointer % pageBytes !== 0 || (end % pageBytes !== 0 && end !== last)) {
      throw new SvmError(
        'invalid-value',
        `munmap: [${pointer}, ${end}) does not begin and end on pages of ${pageBytes} bytes. Only whole pages can be unmapped.`,
        { pointer, byteLength },
      )
    }
    const pages = pagesAround(pointer, end - pointer, pageBytes)
    refuseHostMapped(this.space, pages, 'write', 'munmap')
    await unmapPages(this.space, this.mirrors, pages)
    return null
  }

  async #bind(request: Requests['SVM_BIND']): Promise<Awaited<Replies['SVM_BIND']>> {
    checkOneOf('to', request.target, ['device', 'host'])
    checkOneOf('mode', request.mode, ['best-effort', 'all-or-nothing'])
    const mirror = this.#mirror(request.memory)
    const { pageBytes } = this.space.geometry
    const ranges: VpnRange[] = []
    const discard: VpnRange[] = []
    for (const { pointer, byteLength } of request.ranges) {
      if (byteLength === 0) continue
      allocationOf(this.space, pointer, byteLength, 'migrate')
      ranges.push(pagesAround(pointer, byteLength, pageBytes))
      if (request.contentUndefined) discard.push(pagesInside(pointer, byteLength, pageBytes))
    }
    if (request.target === 'device') this.#refuseLost(mirror)
    return bind(mirror, this.#evictors[request.memory] as Evictor, {
      ranges,
      discard: discard.filter((range) => range.end > range.start),
      to: request.target,
      mode: request.mode,
    })
  }

  async #map({ pointer, byteLength, mode }: Requests['SVM_MAP']): Promise<Awaited<Replies['SVM_MAP']>> {
    checkOneOf('mode', mode, ['read', 'write', 'read-write', 'write-discard'])
    allocationOf(this.space, pointer, byteLength, 'map')
    const pages = pagesAround(pointer, byteLength, this.space.geometry.pageBytes)
    refuseHostMapped(this.space, pages, mode === 'read' ? 'read' : 'write', 'map')
    if (mode !== 'read') refuseReadOnly(this.space, pointer, byteLength, 'map')
    const { live, bytes } = await mapBytes(this.space, pointer, byteLength, mode)
    for (const mirror of this.mirrors) mirror.refresh(pages)
    const mapping = this.register(live)
    this.#mappings.set(mapping, live)
    this.space.tracer.emit({ kind: 'host-map', pointer, byteLength, mode })
    return { mapping, bytes }
  }

  #unmap(mapping: number): null {
    const live = this.#mappings.get(mapping)
    if (live === undefined) throw new SvmError('invalid-value', 'unmap: this mapping has ended already. Unmap once.')
    this.#mappings.delete(mapping)
    this.unregister(mapping)
    this.space.hostMappings.remove(live)
    for (const mirror of this.mirrors) mirror.refresh(live.pages)
    this.space.tracer.emit({ kind: 'host-unmap', pointer: live.pointer, byteLength: live.byteLength, mode: live.mode })
    return null
  }

  async #read({ pointer, byteLength }: Requests['SVM_READ']): Promise<Uint8Array> {
    const bytes = new Uint8Array(byteLength)
    if (byteLength === 0) return bytes
    allocationOf(this.space, pointer, byteLength, 'read')
    refuseHostMapped(this.space, pagesAround(pointer, byteLength, this.space.geometry.pageBytes), 'read', 'read')
    await readBytes(this.space, pointer, bytes)
    return bytes
  }

  async #write({ pointer, bytes }: Requests['SVM_WRITE']): Promise<null> {
    if (bytes.length === 0) return null
    allocationOf(this.space, pointer, bytes.length, 'write')
    refuseHostMapped(this.space, pagesAround(pointer, bytes.length, this.space.geometry.pageBytes), 'write', 'write')
    refuseReadOnly(this.space, pointer, bytes.length, 'write')
    await writeBytes(this.space, pointer, bytes)
    return null
  }

  async #exec(request: Requests['SVM_EXEC']): Promise<Awaited<Replies['SVM_EXEC']>> {
    const mirror = this.#mirror(request.memory)
    this.#refuseLost(mirror)
    const kernel = this.#resource<DriverKernel>(request.kernel)
    const result = await dispatch(mirror, this.#evictors[request.memory] as Evictor, {
      kernel,
      args: request.args,
      argValues: request.argValues,
      historyKey: request.historyKey,
      workgroups: request.workgroups,
      global: request.global,
      offset: request.offset,
      guard: request.guard,
      reach: request.reach === null ? null : request.reach.map((pointer) => this.#reachOf(pointer)),
      class: request.class,
      atomic: request.atomic,
      authorGroups: request.bindGroups.map((handle) => (handle < 0 ? undefined : this.#resource(handle))),
      signal: request.signal < 0 ? undefined : this.#resource<AbortSignal>(request.signal),
    })
    this.#counts[result.variant]++
    this.#counts.rounds += result.rounds
    this.#counts.faults += result.faults
    this.#counts.hints += result.hints
    return result
  }

  #reachOf(pointer: number): VpnRange {
    const allocation = allocationOf(this.space, pointer, 1, 'reach')
    return pagesAround(allocation.pointer, allocation.byteLength, this.space.geometry.pageBytes)
  }

  /** Ends the space: what only devices have comes home first, so that views which programs still hold are true. */
  async #fini(): Promise<{ lost: ByteRange[] }> {
    const { pageBytes } = this.space.geometry
    for (const mirror of this.mirrors) {
      if (mirror.device.lostReason === null) await mirror.copies.fence
    }
    this.#reapLosses()
    const lost = dumpSpace(this.space)
      .pages.filter(({ state }) => state === 'lost')
      .map(({ pointer, pages }) => ({ pointer, byteLength: pages * pageBytes }))
    for (const mirror of this.mirrors) mirror.destroy()
    return { lost }
  }

  #refuseLost(mirror: Mirror): void {
    if (mirror.device.lostReason === null) return
    throw new SvmError('device-lost', `${mirror.label} was lost (${mirror.device.lostReason}); it takes no more commands. Open a space on a new device.`)
  }

  #query(pointer: number, byteLength: number): Replies['SVM_QUERY'] {
    if (byteLength === 0) return []
    livingAllocationOf(this.space, pointer, byteLength, 'residency')
    return queryRuns(this.space, pointer, byteLength)
  }

  #mirror(memory: number): Mirror {
    checkCount('device', memory)
    const mirror = this.mirrors[memory]
    if (mirror === undefined) throw new SvmError('invalid-value', `There is no device ${memory} in this space; it has ${this.mirrors.length}.`)
    return mirror
  }

  #resource<T>(handle: number): T {
    const resource = this.#resources.get(handle)
    assert(resource !== undefined, `handle ${handle} is registered`)
    return resource as T
  }
}
