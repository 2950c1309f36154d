// The space as programs hold it. Compare cl_context with its SVM calls. Always: a call on it takes its place in the one order, before everything
// called later and after everything called earlier; what is not built yet says so.

import type { Geometry } from '../abi/geometry.ts'
import { SvmError, unsupported } from '../base/error.ts'
import type { Clock } from '../base/world.ts'
import { checkCount, type Port, type Replies } from '../drm/request.ts'
import type {
  Advice,
  AdviceResult,
  HostMapping,
  KernelDescriptor,
  MapMode,
  MmapOptions,
  Pager,
  ResidencyRun,
  Svm,
  SvmKernel,
  SvmPointer,
  SvmQueue,
  SvmSnapshot,
  SvmStats,
  TypedArray,
  TypedArrayConstructor,
} from '../types.ts'
import type { TranslatedKernel } from '../wgsl/program.ts'
import { translateKernel } from '../wgsl/translate.ts'
import { FreedMemory } from './freed.ts'
import { LiveHostMapping } from './host-mapping.ts'
import { Kernel } from './kernel.ts'
import { checkMode, Queue, type QueueHome } from './queue.ts'
import { Sequencer } from './sequencer.ts'
import type { SvmDevice } from './svm-device.ts'

const ALIGNMENT_DEFAULT = 256

export interface ContextParts {
  readonly port: Port
  readonly geometry: Geometry
  readonly devices: readonly SvmDevice[]
  readonly clock: Clock
  readonly debug: boolean
  /** Makes the driver's kernels and returns their handles, by device. @throws SvmError build-failed */
  buildKernel(translated: TranslatedKernel, source: { code: string; entryPoint: string }): Promise<number[]>
}

export class Context implements Svm, QueueHome {
  readonly pageSize: number
  readonly addressBits: 32 | 64
  readonly devices: readonly SvmDevice[]
  readonly queue: SvmQueue
  readonly port: Port
  readonly clock: Clock
  readonly sequencer = new Sequencer()
  readonly freed: FreedMemory
  heeded: Promise<unknown> = Promise.resolve()
  onerror: ((error: SvmError) => void) | null = null
  declare [Symbol.asyncDispose]: () => Promise<void>
  readonly #parts: ContextParts
  readonly #queues: Queue[] = []
  /** Memory numbers of devices that left, or are about to. */
  readonly #released = new Set<number>()
  #kernels = 0
  #closing: Promise<void> | null = null

  constructor(parts: ContextParts) {
    this.#parts = parts
    this.port = parts.port
    this.clock = parts.clock
    this.devices = parts.devices
    this.pageSize = parts.geometry.pageBytes
    this.addressBits = parts.geometry.addressBits
    this.freed = new FreedMemory(parts.port, this.pageSize)
    this.queue = this.createQueue({ label: 'queue' })
  }

  alloc(byteLength: number, options: { alignment?: number; access?: 'read' | 'write' | 'read-write'; label?: string } = {}): SvmPointer {
    this.checkOpen()
    checkCount('alloc: byteLength', byteLength)
    if (byteLength === 0) return 0
    const { alignment = 0, access = 'read-write', label = '' } = options
    // 0 is the default, as for clSVMAlloc.
    const { pointer } = this.port.ioctl('SVM_ALLOC', { byteLength, alignment: alignment === 0 ? ALIGNMENT_DEFAULT : alignment, access, label })
    this.freed.taken(pointer, byteLength)
    return pointer
  }

  allocFrom(data: ArrayBufferView, options: { label?: string } = {}): SvmPointer {
    this.checkOpen()
    if (!ArrayBuffer.isView(data)) throw new SvmError('invalid-value', `allocFrom: data must be an ArrayBufferView, but is ${typeof data}.`)
    const pointer = this.alloc(data.byteLength, options)
    if (pointer === 0) return 0
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    // Nobody can name the new memory before this, so its place in the order is its own.
    this.#quietly(() => this.port.ioctl('SVM_WRITE', { pointer, bytes }))
    return pointer
  }

  free(pointer: SvmPointer): void {
    this.checkOpen()
    if (pointer === 0) return
    this.freed.doom([pointer])
    this.#quietly(() => this.freed.free([pointer]))
  }

  adopt(_memory: ArrayBuffer | SharedArrayBuffer | WebAssembly.Memory, _options?: { at?: SvmPointer; reserve?: number; label?: string }): SvmPointer {
    throw unsupported('adopt', 'copy the bytes into the space with allocFrom or write.')
  }

  async release(_pointer: SvmPointer): Promise<void> {
    throw unsupported('release', 'it belongs to adopt; memory from alloc is given back with free.')
  }

  async mmap(pager: Pager, options: MmapOptions = {}): Promise<SvmPointer> {
    this.checkOpen()
    const { offset = 0, access = 'read', sharing = 'private', label = '' } = options
    if (typeof pager?.read !== 'function')
      throw new SvmError('invalid-value', 'mmap: pass a Pager (an object with size and read); filePager() makes one of a file.')
    if (access !== 'read' && access !== 'read-write')
      throw new SvmError('invalid-value', `mmap: access must be 'read' or 'read-write', but is ${JSON.stringify(access)}.`)
    if (sharing !== 'private' && sharing !== 'shared')
      throw new SvmError('invalid-value', `mmap: sharing must be 'private' or 'shared', but is ${JSON.stringify(sharing)}.`)
    if (access !== 'read') throw unsupported('a writable mapping of a pager', "map it with access 'read' and copy what you change into memory from alloc.")
    if (sharing !== 'private') throw unsupported('a shared mapping of a pager', "map it with sharing 'private'.")
    const byteLength = options.byteLength ?? Math.max(0, pager.size - offset)
    return this.#barrier(async () => {
      const handle = this.port.register('pager', pager)
      try {
        const { pointer } = this.port.ioctl('SVM_MMAP', { pager: handle, offset, byteLength, label })
        this.freed.taken(pointer, byteLength)
        return pointer
      } finally {
        this.port.unregister(handle)
      }
    }, options.signal)
  }

  async munmap(pointer: SvmPointer, byteLength = 0): Promise<void> {
    this.checkOpen()
    if (pointer === 0 && byteLength === 0) return
    await this.#barrier(() => this.port.ioctl('SVM_MUNMAP', { pointer, byteLength }))
  }

  async msync(_pointer: SvmPointer, _byteLength?: number): Promise<void> {
    throw unsupported('msync', 'there are no shared mappings yet whose pages would have to be written.')
  }

  async mprotect(pointer: SvmPointer, byteLength: number, access: 'none' | 'read' | 'read-write'): Promise<void> {
    this.checkOpen()
    await this.#barrier(() => this.port.ioctl('SVM_MPROTECT', { pointer, byteLength, access }))
  }

  async map(pointer: SvmPointer, byteLength: number, mode: MapMode, options: { signal?: AbortSignal } = {}): Promise<HostMapping> {
    this.checkOpen()
    checkMode(mode)
    return this.#barrier(() => this.makeMapping(pointer, byteLength, mode), options.signal)
  }

  async using<T>(pointer: SvmPointer, byteLength: number, mode: MapMode, body: (mapping: HostMapping) => T | Promise<T>): Promise<T> {
    const mapping = await this.map(pointer, byteLength, mode)
    try {
      return await body(mapping)
    } finally {
      if (mapping.live) mapping.unmap()
    }
  }

  read(pointer: SvmPointer, byteLength: number): Promise<Uint8Array>
  read<A extends TypedArray>(pointer: SvmPointer, type: TypedArrayConstructor<A>, length: number): Promise<A>
  async read<A extends TypedArray>(pointer: SvmPointer, what: number | TypedArrayConstructor<A>, length = 0): Promise<Uint8Array | A> {
    this.checkOpen()
    if (typeof what === 'number') {
      checkCount('read: byteLength', what)
      return this.#barrier(() => this.port.ioctl('SVM_READ', { pointer, byteLength: what }))
    }
    checkCount('read: length', length)
    const bytes = await this.#barrier(() => this.port.ioctl('SVM_READ', { pointer, byteLength: length * what.BYTES_PER_ELEMENT }))
    return new what(bytes.buffer, bytes.byteOffset, length)
  }

  async write(pointer: SvmPointer, data: ArrayBufferView | ArrayBuffer): Promise<void> {
    this.checkOpen()
    const view = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : data instanceof ArrayBuffer
        ? new Uint8Array(data)
        : null
    if (view === null) throw new SvmError('invalid-value', `write: data must be an ArrayBufferView or an ArrayBuffer, but is ${typeof data}.`)
    const bytes = view.slice()
    await this.#barrier(() => this.port.ioctl('SVM_WRITE', { pointer, bytes }))
  }

  residency(pointer: SvmPointer, byteLength: number): ResidencyRun[] {
    this.checkOpen()
    checkCount('residency: byteLength', byteLength)
    return this.port.ioctl('SVM_QUERY', { pointer, byteLength }).map((run) => ({
      pointer: run.pointer,
      byteLength: run.byteLength,
      where: run.where,
      ...(run.memory >= 0 ? { device: this.devices[run.memory] as SvmDevice } : {}),
      systemMapped: this.devices.filter((_, memory) => (run.systemMapped & (1 << memory)) !== 0),
      dirty: run.dirty,
    }))
  }

  /** Answered at once, heeded in its place in the order. Like madvise it fails nobody later: what cannot be done by then is left undone. */
  advise(pointer: SvmPointer, byteLength: number, advice: Advice, device?: SvmDevice): AdviceResult {
    this.checkOpen()
    const memory = device === undefined ? -1 : this.devices.indexOf(device)
    if (device !== undefined && memory < 0) throw new SvmError('invalid-value', 'advise: this is not a device of this space. Name one of svm.devices.')
    if (memory >= 0) this.checkDevice(memory)
    const request = { pointer, byteLength, advice, memory }
    const answer = this.port.ioctl('SVM_ADVISE', request)
    if (!answer.applied) return { ...answer, done: Promise.resolve({ brought: 0, dropped: 0, marked: 0 }) }
    const done = this.#barrier(() => this.port.ioctl('SVM_HEED', request))
    this.heeded = done.catch((error: unknown) => {
      if (!(error instanceof SvmError) || error.code === 'internal') this.report(error)
    })
    return { ...answer, done }
  }

  createQueue(options: { device?: SvmDevice; outOfOrder?: boolean; label?: string } = {}): SvmQueue {
    this.checkOpen()
    const device = options.device ?? this.devices.find((_, memory) => !this.#released.has(memory)) ?? (this.devices[0] as SvmDevice)
    const memory = this.devices.indexOf(device)
    this.checkDevice(Math.max(0, memory))
    if (memory < 0) throw new SvmError('invalid-value', `createQueue: ${device.label} is not a device of this space. Name one of svm.devices.`)
    const queue = new Queue(this, { memory, inOrder: options.outOfOrder !== true, label: options.label ?? `queue ${this.#queues.length}` })
    this.#queues.push(queue)
    return queue
  }

  async createKernel(descriptor: KernelDescriptor): Promise<SvmKernel> {
    this.checkOpen()
    const { code, entryPoint, reach = 'any', constants = {}, twin } = descriptor
    if (typeof code !== 'string' || typeof entryPoint !== 'string') throw new SvmError('invalid-value', 'createKernel: code and entryPoint must be strings.')
    if (descriptor.class !== undefined && descriptor.class !== 'transactional' && descriptor.class !== 'unsplittable') {
      throw new SvmError(
        'invalid-value',
        `createKernel: class must be 'transactional' or 'unsplittable', or left out, but is ${JSON.stringify(descriptor.class)}.`,
      )
    }
    if (reach !== 'any' && reach !== 'arguments' && !Array.isArray(reach))
      throw new SvmError('invalid-value', "createKernel: reach must be 'any', 'arguments' or a list of pointers.")
    const label = descriptor.label ?? `${entryPoint}#${this.#kernels++}`
    const pageShift = Math.round(Math.log2(this.pageSize))
    const translated = translateKernel({
      code,
      entryPoint,
      label,
      addressBits: this.addressBits,
      pageShift,
      constants,
      protocol: descriptor.class ?? 'grants',
      ...(twin === undefined ? {} : { twin }),
    })
    const handles = await this.#parts.buildKernel(translated, { code, entryPoint })
    return new Kernel(this.port, translated, handles, { class: descriptor.class ?? 'grants', reach, hasTwin: twin !== undefined })
  }

  /** New commands of its queues are refused from the call on; those before still run. */
  async releaseDevice(device: SvmDevice): Promise<void> {
    this.checkOpen()
    const memory = this.devices.indexOf(device)
    if (memory < 0) throw new SvmError('invalid-value', 'releaseDevice: this is not a device of this space. Name one of svm.devices.')
    this.checkDevice(memory)
    this.#released.add(memory)
    try {
      await this.#barrier(() => this.port.ioctl('SVM_RELEASE', { memory }))
    } catch (error) {
      this.#released.delete(memory)
      throw error
    }
  }

  stats(): SvmStats {
    return this.port.ioctl('SVM_STATS', {})
  }

  snapshot(): SvmSnapshot {
    return { pageSize: this.pageSize, addressBits: this.addressBits, ...this.port.ioctl('SVM_SNAPSHOT', {}), stats: this.stats() }
  }

  /** Ends the space after everything called before. `discard` has nothing to give up yet: there are no shared mappings. */
  close(_options: { discard?: boolean } = {}): Promise<void> {
    if (this.#closing !== null) return this.#closing
    const done = this.#barrier(() => this.port.ioctl('SVM_FINI', {}))
    this.sequencer.close(closedError())
    this.#closing = done.then(({ lost }) => {
      for (const queue of this.#queues) queue.reportUnseen()
      if (lost.length > 0) this.report(lostError(lost))
    })
    return this.#closing
  }

  checkOpen(): void {
    if (this.#closing !== null) throw closedError()
  }

  checkDevice(memory: number): void {
    this.checkOpen()
    if (!this.#released.has(memory)) return
    const { label } = this.devices[memory] as SvmDevice
    throw new SvmError('closed', `${label} was released from this space. Use a queue of another device (svm.createQueue), or open a space on it.`)
  }

  async makeMapping(pointer: SvmPointer, byteLength: number, mode: MapMode): Promise<HostMapping> {
    if (byteLength === 0) return this.#mappingOf(pointer, mode, new Uint8Array(0), () => undefined)
    const { mapping, bytes } = await this.port.ioctl('SVM_MAP', { pointer, byteLength, mode })
    return this.#mappingOf(pointer, mode, bytes, () => this.port.ioctl('SVM_UNMAP', { mapping }))
  }

  report(error: unknown): void {
    if (this.onerror !== null && error instanceof SvmError) this.onerror(error)
  }

  #mappingOf(pointer: SvmPointer, mode: MapMode, bytes: Uint8Array, onUnmap: () => void): HostMapping {
    return new LiveHostMapping({ pointer, mode, bytes, pointerBytes: this.addressBits === 32 ? 4 : 8, debug: this.#parts.debug, onUnmap })
  }

  /** A call on Svm: runs after everything called before it, and before everything called later. */
  #barrier<T>(run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.sequencer.add({
        lane: null,
        barrier: true,
        hardy: false,
        waitFor: [],
        signal,
        run: () => run().then(resolve, reject),
        refuse: reject,
      })
    })
  }

  #quietly(run: () => Promise<unknown>): void {
    this.#barrier(run).catch((error: unknown) => this.report(error))
  }
}

function closedError(): SvmError {
  return new SvmError('closed', 'This space is closed. Open another one with openSvm().')
}

function lostError(lost: Replies['SVM_FINI'] extends Promise<{ lost: infer L }> ? L : never): SvmError {
  const text = lost.map(({ pointer, byteLength }) => `${byteLength} bytes at 0x${pointer.toString(16)}`).join(', ')
  return new SvmError('device-lost', `The space was closed with lost ranges, whose only copy was on a device that was lost: ${text}.`)
}

const asyncDispose: symbol | undefined = (Symbol as { asyncDispose?: symbol }).asyncDispose
if (asyncDispose !== undefined) {
  Object.defineProperty(Context.prototype, asyncDispose, {
    value(this: Context) {
      return this.close()
    },
  })
}
