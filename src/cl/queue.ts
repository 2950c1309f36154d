// A command queue. Compare cl_command_queue and the clEnqueueSVM* calls.
//
// Always: a command is checked in full when it is enqueued, for its whole list, and what is wrong is thrown there; host sources are snapshotted
// at the call; an in-order queue's commands run in their order, an out-of-order one's when their wait lists are settled.

import { SvmError, type SvmErrorCode } from '../base/error.ts'
import { hex } from '../base/units.ts'
import type { Clock } from '../base/world.ts'
import type { Port, Requests } from '../drm/request.ts'
import type {
  CommandOptions,
  DispatchResult,
  HostMapping,
  KernelLaunch,
  MapMode,
  MigrateOptions,
  MigrateResult,
  SvmCommandType,
  SvmEvent,
  SvmKernel,
  SvmPointer,
  SvmQueue,
  SvmRange,
} from '../types.ts'
import { CommandEvent } from './event.ts'
import type { FreedMemory } from './freed.ts'
import { LiveHostMapping } from './host-mapping.ts'
import { Kernel } from './kernel.ts'
import { dependencyFailed, type Entry, type Lane, type Sequencer } from './sequencer.ts'

/** What a queue needs of its context. */
export interface QueueHome {
  readonly port: Port
  readonly sequencer: Sequencer
  readonly clock: Clock
  readonly freed: FreedMemory
  /** @throws SvmError closed, when the space is, or the device has left it */
  checkDevice(memory: number): void
  /** Brings [pointer, pointer + byteLength) to the host as a mapping. */
  makeMapping(pointer: SvmPointer, byteLength: number, mode: MapMode): Promise<HostMapping>
  /** An error that nobody has seen. */
  report(error: unknown): void
  /** Settles when all advice given so far was heeded. Never rejects. */
  readonly heeded: Promise<unknown>
}

/** A buffer of the program's own, on the queue's device. */
type ProgramBuffer = Parameters<SvmQueue['copyFromBuffer']>[0]
type Wish = { command: SvmCommandType; options: CommandOptions | undefined; hardy?: boolean; onRefused?: () => void }

const NO_GROUPS: readonly unknown[] = []
const NO_WAITS: PromiseLike<unknown>[] = []

/** What a queue does with its kernel commands. */
interface LaunchHome {
  readonly lane: Lane
  readonly runAll: (entries: readonly Entry[]) => Promise<void>
  readonly refused: (entry: LaunchEntry, error: unknown) => void
}

/** What a kernel command is made of. */
interface LaunchParts {
  readonly home: LaunchHome
  readonly event: CommandEvent<DispatchResult>
  /** But for the handles of what cannot be plain. */
  readonly request: Requests['SVM_EXEC']
  readonly groups: readonly unknown[]
  readonly waitFor: readonly PromiseLike<unknown>[]
  readonly signal: AbortSignal | undefined
}

/** A kernel command. There may be many at a time: what they share is their home's. */
class LaunchEntry implements Entry {
  readonly barrier = false
  readonly hardy = false
  readonly home: LaunchParts['home']
  readonly event: LaunchParts['event']
  readonly request: LaunchParts['request']
  readonly groups: LaunchParts['groups']
  readonly waitFor: LaunchParts['waitFor']
  readonly signal: LaunchParts['signal']

  constructor({ home, event, request, groups, waitFor, signal }: LaunchParts) {
    this.home = home
    this.event = event
    this.request = request
    this.groups = groups
    this.waitFor = waitFor
    this.signal = signal
  }

  get lane(): Lane {
    return this.home.lane
  }

  get runAll(): LaunchHome['runAll'] {
    return this.home.runAll
  }

  run(): Promise<void> {
    return this.home.runAll([this])
  }

  refuse(error: SvmError): void {
    this.home.refused(this, error)
  }
}

export class Queue implements SvmQueue, Lane {
  readonly inOrder: boolean
  readonly #home: QueueHome
  readonly #memory: number
  readonly #label: string
  /** Commands that are not settled, and failures that nobody has seen. */
  readonly #events = new Set<CommandEvent<unknown>>()
  readonly #launches: LaunchHome = {
    lane: this,
    runAll: (entries) => this.#runLaunches(entries as readonly LaunchEntry[]),
    refused: (entry, error) => this.#failed(entry.event as CommandEvent<unknown>, entry, error),
  }

  constructor(home: QueueHome, options: { memory: number; inOrder: boolean; label: string }) {
    this.#home = home
    this.#memory = options.memory
    this.inOrder = options.inOrder
    this.#label = options.label
  }

  migrate(ranges: SvmRange | SvmRange[], options: MigrateOptions = {}): SvmEvent<MigrateResult> {
    this.#home.checkDevice(this.#memory)
    const target = oneOf('migrate: to', options.to ?? 'device', ['device', 'host'])
    const mode = oneOf('migrate: mode', options.mode ?? 'best-effort', ['best-effort', 'all-or-nothing'])
    const request = {
      memory: this.#memory,
      ranges: this.#wholeRanges(Array.isArray(ranges) ? ranges : [ranges]),
      target,
      mode,
      contentUndefined: options.contentUndefined === true,
    }
    return this.#add({ command: 'migrate', options, hardy: target === 'host' }, () => this.#home.port.ioctl('SVM_BIND', request))
  }

  memcpy(destination: SvmPointer | ArrayBufferView, source: SvmPointer | ArrayBufferView, byteLength?: number, options?: CommandOptions): SvmEvent {
    this.#home.checkDevice(this.#memory)
    const count = checkLength('memcpy', byteLength ?? viewLength(source) ?? viewLength(destination))
    for (const side of [destination, source]) this.#checkSide(side, count)
    const wish: Wish = { command: 'memcpy', options }
    const { port } = this.#home
    if (typeof source !== 'number') {
      const bytes = bytesOfView(source).slice(0, count)
      if (typeof destination === 'number') return this.#addVoid(wish, () => port.ioctl('SVM_WRITE', { pointer: destination, bytes }))
      return this.#addVoid(wish, async () => bytesOfView(destination).set(bytes))
    }
    if (typeof destination !== 'number') {
      return this.#addVoid(wish, async () => bytesOfView(destination).set(await port.ioctl('SVM_READ', { pointer: source, byteLength: count })))
    }
    if (count > 0 && source < destination + count && destination < source + count) {
      throw new SvmError(
        'invalid-value',
        `memcpy: [${hex(source)}, ${hex(source + count)}) and [${hex(destination)}, ${hex(destination + count)}) overlap. Copy by way of a third range.`,
        { pointer: destination, byteLength: count },
      )
    }
    return this.#addVoid(wish, () => port.ioctl('SVM_COPY', { destination, source, byteLength: count }))
  }

  memfill(pointer: SvmPointer, pattern: ArrayBufferView, byteLength: number, options?: CommandOptions): SvmEvent {
    this.#home.checkDevice(this.#memory)
    checkLength('memfill', byteLength)
    const bytes = bytesOfView(pattern).slice()
    const size = bytes.length
    if (![1, 2, 4, 8, 16, 32, 64, 128].includes(size))
      throw new SvmError('invalid-value', `memfill: the pattern must have 1, 2, 4, 8, 16, 32, 64 or 128 bytes, but has ${size}.`)
    if (byteLength > 0 && (pointer % size !== 0 || byteLength % size !== 0)) {
      throw new SvmError(
        'invalid-value',
        `memfill: pointer (${hex(pointer)}) and byteLength (${byteLength}) must be multiples of the pattern's ${size} bytes.`,
        { pointer, byteLength },
      )
    }
    this.#checkSide(pointer, byteLength, 'memfill')
    return this.#addVoid({ command: 'memfill', options }, () => this.#home.port.ioctl('SVM_FILL', { pointer, pattern: bytes, byteLength }))
  }

  copyFromBuffer(source: ProgramBuffer, offset: number, destination: SvmPointer, byteLength: number, options?: CommandOptions): SvmEvent {
    return this.#transfer('copy-from-buffer', source, offset, destination, byteLength, options)
  }

  copyToBuffer(source: SvmPointer, destination: ProgramBuffer, offset: number, byteLength: number, options?: CommandOptions): SvmEvent {
    return this.#transfer('copy-to-buffer', destination, offset, source, byteLength, options)
  }

  map(pointer: SvmPointer, byteLength: number, mode: MapMode, options?: CommandOptions): SvmEvent<HostMapping> {
    this.#home.checkDevice(this.#memory)
    checkMode(mode)
    checkLength('map', byteLength)
    if (byteLength > 0) this.#home.port.ioctl('SVM_CHECK', { ranges: [{ pointer, byteLength }], holes: false, what: 'map' })
    return this.#add({ command: 'map', options }, () => this.#home.makeMapping(pointer, byteLength, mode))
  }

  unmap(mapping: HostMapping, options?: CommandOptions): SvmEvent {
    this.#home.checkDevice(this.#memory)
    if (!(mapping instanceof LiveHostMapping)) throw new SvmError('invalid-value', 'unmap: pass a HostMapping that map returned.')
    if (!mapping.live)
      throw new SvmError('invalid-value', `unmap: the mapping at ${hex(mapping.pointer)} was unmapped already. Unmap once.`, { pointer: mapping.pointer })
    return this.#addVoid({ command: 'unmap', options, hardy: true }, async () => mapping.unmap())
  }

  /** The runtime frees the pointers when the command executes, then calls `onFree` with them. Null pointers are left out. */
  free(pointers: SvmPointer[], options: CommandOptions & { onFree?: (pointers: SvmPointer[]) => void } = {}): SvmEvent {
    this.#home.checkDevice(this.#memory)
    const { freed } = this.#home
    const list = pointers.filter((pointer) => pointer !== 0)
    waitsOf(options)
    freed.doom(list)
    // Aborted, or behind something in its wait list that failed: the memory is the program's as before.
    const onRefused = () => freed.spare(list)
    return this.#addVoid({ command: 'free', options, hardy: true, onRefused }, async () => {
      await freed.free(list)
      options.onFree?.([...pointers])
    })
  }

  /**
   * What an argument points to need not be mapped: the kernel fails when it touches that. Freed memory is refused here, from the call of free on and until
   * it is handed out again, as every command refuses it, whether or not the free has run.
   */
  enqueue(kernel: SvmKernel, launch: KernelLaunch): SvmEvent<DispatchResult> {
    this.#home.checkDevice(this.#memory)
    if (!(kernel instanceof Kernel)) throw new SvmError('invalid-value', 'enqueue: pass a kernel that createKernel returned.')
    if (kernel.port !== this.#home.port)
      throw new SvmError('invalid-value', `enqueue: ${kernel.label} belongs to another space. Create it in this one.`, { kernel: kernel.label })
    const { request, pointers } = kernel.request(launch, this.#memory)
    this.#home.freed.refuse(pointers, kernel.label)
    const groups = launch.bindGroups ? [...launch.bindGroups] : NO_GROUPS
    if (groups.length > 3)
      throw new SvmError('invalid-value', `enqueue: bindGroups are for groups 0 to 2, but ${groups.length} were given.`, { kernel: kernel.label })
    const odd = groups.findIndex((group) => group !== undefined && (typeof group !== 'object' || group === null))
    if (odd >= 0)
      throw new SvmError('invalid-value', `enqueue: bindGroups[${odd}] must be a GPUBindGroup, or undefined, but is ${String(groups[odd])}.`, {
        kernel: kernel.label,
      })
    const waitFor = waitsOf(launch)
    const event = new CommandEvent<DispatchResult>('kernel', launch.label ?? kernel.label, this.#home.clock)
    this.#events.add(event as CommandEvent<unknown>)
    this.#home.sequencer.add(new LaunchEntry({ home: this.#launches, event, request, groups, waitFor, signal: launch.signal }))
    return event
  }

  /** Commands start as soon as they may; this marks those that wait as handed over. */
  flush(): void {
    for (const event of this.#events) if (event.status === 'queued') event.submitted()
  }

  async finish(): Promise<void> {
    this.flush()
    const waiting = [...this.#events]
    const { heeded } = this.#home
    for (const event of waiting) await event.quiet.catch(() => undefined)
    await heeded
    const unseen = waiting.filter((event) => event.unseenError !== undefined)
    const [first, ...rest] = unseen.map((event) => event.unseenError)
    for (const event of unseen) event.markSeen()
    for (const event of waiting) this.#events.delete(event)
    for (const error of rest) this.#home.report(error)
    if (first !== undefined) throw first
  }

  /** At close: errors that nobody has seen. */
  reportUnseen(): void {
    for (const event of this.#events) if (event.unseenError !== undefined) this.#home.report(event.unseenError)
    this.#events.clear()
  }

  #transfer(
    command: 'copy-from-buffer' | 'copy-to-buffer',
    buffer: ProgramBuffer,
    offset: number,
    pointer: SvmPointer,
    byteLength: number,
    options?: CommandOptions,
  ): SvmEvent {
    this.#home.checkDevice(this.#memory)
    checkLength(command, byteLength)
    checkLength(`${command}: offset`, offset)
    if (offset % 4 !== 0 || byteLength % 4 !== 0)
      throw new SvmError('invalid-value', `${command}: offset (${offset}) and byteLength (${byteLength}) must be multiples of 4, as WebGPU copies demand.`)
    this.#checkSide(pointer, byteLength, command)
    const { port } = this.#home
    const direction = command === 'copy-from-buffer' ? 'in' : 'out'
    return this.#addVoid({ command, options }, async () => {
      const handle = port.register('buffer', buffer)
      try {
        await port.ioctl('SVM_BUFFER', { memory: this.#memory, buffer: handle, offset, pointer, byteLength, direction })
      } finally {
        port.unregister(handle)
      }
    })
  }

  /** What ranges ask for, without those that ask for nothing; 0 bytes: the whole allocation. */
  #wholeRanges(ranges: readonly SvmRange[]): { pointer: number; byteLength: number }[] {
    const { port } = this.#home
    const asked: { pointer: number; byteLength: number }[] = []
    const toCheck: { pointer: number; byteLength: number }[] = []
    for (const { pointer, byteLength } of ranges) {
      if (byteLength === undefined && pointer === 0) continue
      // 0 bytes succeed with any pointer, and mean the whole allocation with one that is in use.
      if (byteLength === 0) {
        const found = Number.isSafeInteger(pointer) && pointer > 0 ? port.ioctl('SVM_LOOKUP', { pointer }) : null
        if (found === null || found.dying) continue
      } else toCheck.push({ pointer, byteLength: byteLength ?? 1 })
      asked.push({ pointer, byteLength: byteLength ?? 0 })
    }
    if (toCheck.length > 0) port.ioctl('SVM_CHECK', { ranges: toCheck, holes: true, what: 'migrate' })
    return asked
  }

  #checkSide(side: SvmPointer | ArrayBufferView, byteLength: number, what = 'memcpy'): void {
    if (typeof side === 'number') {
      if (byteLength > 0) this.#home.port.ioctl('SVM_CHECK', { ranges: [{ pointer: side, byteLength }], holes: false, what })
      return
    }
    const view = viewLength(side)
    if (view === undefined)
      throw new SvmError('invalid-value', `${what}: a side must be an SVM pointer (a number) or an ArrayBufferView, but is ${typeof side}.`)
    if (byteLength > view) throw new SvmError('invalid-value', `${what}: ${byteLength} bytes do not fit the view, which has ${view}.`)
  }

  /** Kernel commands that may run one after the other, as one request. Where they wait for nobody, those behind one that failed go on. */
  async #runLaunches(launches: readonly LaunchEntry[]): Promise<void> {
    for (const { event } of launches) event.started()
    // Each failure sends what is behind it once more: where many fail, less is sent at once.
    let most = launches.length
    for (let first = 0; first < launches.length; ) {
      const { results, failure, failed } = await this.#exec(launches.slice(first, first + most))
      for (const result of results) this.#done(launches[first++] as LaunchEntry, result)
      if (failed === 0) {
        most *= 2
        continue
      }
      const gone = this.inOrder ? 1 : failed
      for (const entry of launches.slice(first, first + gone)) this.#failed(entry.event as CommandEvent<unknown>, entry, failure)
      first += gone
      most = Math.max(1, most >> 1)
      if (!this.inOrder) continue
      for (const { event } of launches.slice(first)) event.fail(dependencyFailed(failure))
      return
    }
  }

  #done({ event }: LaunchEntry, result: DispatchResult): void {
    event.complete(result)
    this.#events.delete(event as CommandEvent<unknown>)
  }

  /** The results of those that were done, and why the one behind them was not. Never rejects. */
  async #exec(entries: readonly LaunchEntry[]): Promise<{ results: readonly DispatchResult[]; failure: unknown; failed: number }> {
    const { port } = this.#home
    const handles: number[] = []
    const hold = (handle: number) => {
      handles.push(handle)
      return handle
    }
    const results: DispatchResult[] = []
    try {
      const launches = entries.map(({ request, groups, signal }) => {
        if (groups.length === 0 && signal === undefined) return request
        const bindGroups = groups.map((group) => (group === undefined ? -1 : hold(port.register('bind-group', group))))
        return { ...request, bindGroups, signal: signal === undefined ? -1 : hold(port.register('signal', signal)) }
      })
      // What is wrong with one of several refuses them all, before any effect: alone it is refused for itself.
      const reply = launches.length > 1 ? await port.ioctl('SVM_EXEC_CHAIN', { launches }).catch(() => null) : null
      if (reply !== null) return reply
      for (const launch of launches) results.push(await port.ioctl('SVM_EXEC', launch))
      return { results, failure: null, failed: 0 }
    } catch (failure) {
      return { results, failure, failed: 1 }
    } finally {
      for (const handle of handles) port.unregister(handle)
    }
  }

  #addVoid(wish: Wish, run: () => Promise<unknown>): SvmEvent {
    return this.#add<void>(wish, async () => {
      await run()
    })
  }

  #add<T>({ command, options, hardy = false, onRefused }: Wish, run: () => Promise<T>): SvmEvent<T> {
    const waitFor = waitsOf(options)
    const event = new CommandEvent<T>(command, options?.label ?? `${this.#label} ${command}`, this.#home.clock)
    this.#events.add(event as CommandEvent<unknown>)
    const entry: Entry = {
      lane: this,
      barrier: false,
      hardy,
      waitFor,
      signal: options?.signal,
      run: async () => {
        event.started()
        try {
          event.complete(await run())
          this.#events.delete(event as CommandEvent<unknown>)
        } catch (error) {
          this.#failed(event as CommandEvent<unknown>, entry, error)
        }
      },
      refuse: (error) => {
        onRefused?.()
        this.#failed(event as CommandEvent<unknown>, entry, error)
      },
    }
    this.#home.sequencer.add(entry)
    return event
  }

  #failed(event: CommandEvent<unknown>, entry: Entry, error: unknown): void {
    event.fail(error)
    if (this.inOrder) this.#home.sequencer.failBehind(this, error, entry)
  }
}

/** What a command waits for. @throws SvmError invalid-value */
function waitsOf(options: CommandOptions | undefined): PromiseLike<unknown>[] {
  return options?.waitFor ? options.waitFor.map(promiseOf) : NO_WAITS
}

function promiseOf(wait: SvmEvent<unknown> | PromiseLike<unknown>): PromiseLike<unknown> {
  if (wait instanceof CommandEvent) return wait.quiet
  if (typeof wait !== 'object' || wait === null) throw new SvmError('invalid-value', `waitFor holds events and promises, but met ${String(wait)}.`)
  return 'done' in wait ? wait.done : wait
}

function viewLength(side: unknown): number | undefined {
  return ArrayBuffer.isView(side) ? side.byteLength : undefined
}

function bytesOfView(view: ArrayBufferView): Uint8Array {
  if (!ArrayBuffer.isView(view)) throw new SvmError('invalid-value', `Expected an ArrayBufferView, but met ${typeof view}.`)
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function checkLength(what: string, byteLength: number | undefined): number {
  if (byteLength === undefined || !Number.isSafeInteger(byteLength) || byteLength < 0) {
    throw new SvmError('invalid-value', `${what}: byteLength must be a whole number of at least 0, but is ${String(byteLength)}.`)
  }
  return byteLength
}

export function checkMode(mode: MapMode): void {
  oneOf('map: mode', mode, ['read', 'write', 'read-write', 'write-discard'])
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[], code: SvmErrorCode = 'invalid-value'): T {
  if (!allowed.includes(value))
    throw new SvmError(code, `${name} must be one of ${allowed.map((one) => `'${one}'`).join(', ')}, but is ${JSON.stringify(value)}.`)
  return value
}
