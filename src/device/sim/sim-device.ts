// A device in this process: real bytes, twins in place of WGSL, a seed in place of chance.
//
// Always:
// - Work waits in one line, in the order of the calls, and is done later: whoever looks before a promise settles sees old bytes.
// - A seed and the same calls give the same order, the same failures, the same bytes and the same times.
// - What a GPU would refuse (ranges, destroyed buffers, copies inside one buffer) is an error here too; it is never forgiven.
// - After a loss nothing runs, and every promise is or becomes rejected.

import { assert } from '../../base/assert.ts'
import { SvmError } from '../../base/error.ts'
import { MIB, printBytes } from '../../base/units.ts'
import { Random } from '../../base/world.ts'
import {
  type BufferRole,
  type CompilerMessage,
  type Device,
  type DeviceBuffer,
  DeviceFailure,
  type DeviceLimits,
  type PassMischief,
  type Program,
  type ProgramDescriptor,
  type Readback,
  WINDOW_UNIT,
  type Work,
} from '../device.ts'
import { HeldWork } from '../held-work.ts'
import { type Costs, ModelClock } from './costs.ts'
import { eventLoopTurn, LATENCY_TURNS_DEFAULT, Latency, type Turn } from './latency.ts'
import { type Mischief, MischiefMaker } from './mischief.ts'
import { ReadbackRing } from './readback-ring.ts'
import { checkRange, checkReadback, FREED_BYTE, SimBuffer } from './sim-buffer.ts'
import { runTwins } from './sim-dispatch.ts'

export interface SimOptions {
  /** The same seed and the same calls give the same day. Default 1. */
  seed?: number
  /** Bytes the device has. No default: as much as this process has. */
  memory?: number
  label?: string
  mischief?: Mischief
  costs?: Costs
  /** Storage buffers a kernel may bind. */
  storageBuffers?: number
  /** Bytes of the largest buffer. */
  bufferBytes?: number
  /** Twins do what their texts say, so that what is found out by reading a text holds for the twin. Default false. */
  faithfulTwins?: boolean
  /** One round of the event loop, for tests that own it. */
  turn?: Turn
  /** Who decides when anything settles, in place of seeded latencies: one line for several devices, pagers and whatever else waits. */
  pass?: () => Promise<void>
}

type DispatchWork = Extract<Work, { kind: 'dispatch' }>

/** A promise somebody waits for. */
interface Pending {
  reject(error: unknown): void
}

interface Submission extends Pending {
  readonly kind: 'submit'
  readonly work: readonly Work[]
  readonly readbacks: readonly Readback[]
  readonly losesDevice: boolean
  readonly losesBytes: boolean
  resolve(): void
}

/** What waits in line. */
type Task =
  | { readonly kind: 'write'; readonly buffer: SimBuffer; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'poison'; readonly buffer: SimBuffer }
  | Submission

const STORAGE_BUFFERS_DEFAULT = 10
const BUFFER_BYTES_DEFAULT = 256 * MIB
/** Seeds of the three sources of chance, so that more latency does not change what kernels do. */
const SEED_LATENCY = 0x1a7e
const SEED_MISCHIEF = 0xbad
const SEED_DISPATCH = 0xd15
const FOREIGN_LABEL = 'a buffer of the program'

export function createSimDevice(options: SimOptions = {}): SimDevice {
  return new SimDevice(options)
}

export class SimDevice implements Device {
  readonly kind = 'sim'
  readonly runsText: boolean
  readonly label: string
  readonly limits: DeviceLimits
  readonly memory: number | undefined
  readonly passMischief: PassMischief | undefined
  readonly counters = { submits: 0, maps: 0, buffers: 0 }
  readonly #clock: ModelClock
  readonly #latency: { pass(): Promise<void> }
  readonly #mischief: MischiefMaker
  readonly #dispatchRandom: Random
  readonly #ring = new ReadbackRing()
  readonly #pending = new Set<Pending>()
  readonly #held = new HeldWork()
  readonly #lossCallbacks: ((reason: string) => void)[] = []
  #tasks: Task[] = []
  #pumping = false
  #bufferBytes = 0
  #peakBytes = 0
  #lostReason: string | null = null

  constructor(options: SimOptions = {}) {
    const seed = options.seed ?? 1
    const mischief = options.mischief ?? {}
    this.label = options.label ?? 'simulated device'
    this.memory = options.memory
    this.runsText = options.faithfulTwins === true
    this.passMischief = mischief.passes
    this.limits = {
      bufferBytes: options.bufferBytes ?? BUFFER_BYTES_DEFAULT,
      storageBuffers: options.storageBuffers ?? STORAGE_BUFFERS_DEFAULT,
      workgroupsPerDimension: 65_535,
      invocationsPerWorkgroup: 256,
    }
    this.#clock = new ModelClock(options.costs ?? {})
    const { pass } = options
    this.#latency =
      pass === undefined ? new Latency(new Random(seed ^ SEED_LATENCY), mischief.latency ?? LATENCY_TURNS_DEFAULT, options.turn ?? eventLoopTurn) : { pass }
    this.#mischief = new MischiefMaker(mischief, new Random(seed ^ SEED_MISCHIEF))
    this.#dispatchRandom = new Random(seed ^ SEED_DISPATCH)
  }

  get liveBytes(): number {
    return this.#bufferBytes + this.#ring.byteLength
  }

  get peakBytes(): number {
    return this.#peakBytes
  }

  get lostReason(): string | null {
    return this.#lostReason
  }

  now(): number {
    return this.#clock.now()
  }

  onLost(callback: (reason: string) => void): void {
    const reason = this.#lostReason
    if (reason === null) this.#lossCallbacks.push(callback)
    else queueMicrotask(() => callback(reason))
  }

  configure(readback: { ringBytes: number; slotBytes: number }): void {
    this.#ring.configure(readback.ringBytes, readback.slotBytes)
    // A new user's time begins: his peak is his own.
    this.#peakBytes = this.liveBytes
  }

  createBuffer(role: BufferRole, byteLength: number, label: string): Promise<DeviceBuffer> {
    if (this.#lostReason !== null) return Promise.reject(this.#lostFailure())
    let made: SimBuffer | DeviceFailure
    try {
      made = this.#makeBuffer(role, byteLength, label)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#settle(() => {
      if (made instanceof DeviceFailure) throw made
      return made
    })
  }

  createProgram(descriptor: ProgramDescriptor): Promise<Program> {
    if (this.#lostReason !== null) return Promise.reject(this.#lostFailure())
    const fails = this.#mischief.program()
    return this.#settle(() => {
      if (fails) throw new DeviceFailure('no-memory', `${this.label} has no memory for the program '${descriptor.label}'`)
      if (descriptor.twin === undefined) throw noTwin(descriptor)
      const [x, y, z] = descriptor.workgroupSize
      assert(
        x * y * z <= this.limits.invocationsPerWorkgroup,
        `'${descriptor.label}' has at most ${this.limits.invocationsPerWorkgroup} work-items a workgroup`,
      )
      return { label: descriptor.label, descriptor }
    })
  }

  checkText(_code: string): Promise<readonly CompilerMessage[]> {
    return this.#lostReason === null ? this.#settle(() => []) : Promise.resolve([])
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    if (this.#lostReason !== null) return
    const target = asSim(buffer)
    checkRange('write', target, offset, bytes.byteLength)
    this.#submitHeld(target)
    this.#line({ kind: 'write', buffer: target, offset, bytes: this.#pumping ? bytes.slice() : bytes })
  }

  async writeForeign(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#lostReason !== null) throw this.#lostFailure()
    this.write(buffer, offset, bytes)
    await this.#settle(() => undefined)
  }

  submit(work: readonly Work[], readbacks: readonly Readback[] = []): Promise<void> {
    if (this.#lostReason !== null) return Promise.reject(this.#lostFailure())
    try {
      for (const one of work) this.#checkWork(one)
      for (const { from, offset, into } of readbacks) checkReadback(asSim(from), offset, into.byteLength)
    } catch (error) {
      return Promise.reject(error)
    }
    this.counters.submits++
    const readBytes = sumBytes(readbacks)
    this.counters.maps += this.#ring.take(readBytes, this.#room())
    this.#peakBytes = Math.max(this.#peakBytes, this.liveBytes)
    return new Promise((resolve, reject) => {
      const losesDevice = this.#mischief.submit()
      const losesBytes = readbacks.length > 0 && this.#mischief.readback()
      const submission: Submission = {
        kind: 'submit',
        work: [...this.#held.take(), ...work],
        readbacks: readbacks.slice(),
        losesDevice,
        losesBytes,
        resolve,
        reject,
      }
      this.#pending.add(submission)
      this.#line(submission)
    })
  }

  hold(work: readonly Work[]): void {
    if (this.#lostReason !== null) return
    for (const one of work) this.#checkWork(one)
    this.#held.hold(work)
  }

  /** @param buffer the program's stand-in for a GPUBuffer: a buffer of this device, an ArrayBuffer, or a view of one */
  foreignBuffer(buffer: unknown): DeviceBuffer {
    if (buffer instanceof SimBuffer) return new SimBuffer('bounce', buffer.label, buffer.bytes, null)
    if (ArrayBuffer.isView(buffer)) return new SimBuffer('bounce', FOREIGN_LABEL, new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), null)
    if (buffer instanceof ArrayBuffer) return new SimBuffer('bounce', FOREIGN_LABEL, new Uint8Array(buffer), null)
    throw new SvmError('invalid-value', 'a simulated device copies from and to an ArrayBuffer or a view of one, in place of a GPUBuffer; pass one of those')
  }

  release(): void {
    this.#ring.release()
  }

  /** For tests: the device is gone, now. */
  lose(reason: string): void {
    if (this.#lostReason !== null) return
    this.#lostReason = reason
    this.#tasks = []
    const pending = [...this.#pending]
    this.#pending.clear()
    for (const one of pending) one.reject(this.#lostFailure())
    for (const callback of this.#lossCallbacks.splice(0)) callback(reason)
  }

  /** For tests: the bytes of a buffer as the work done so far has left them. Not a copy. */
  peek(buffer: DeviceBuffer): Uint8Array {
    return asSim(buffer).bytes
  }

  /** What is held and names this buffer enters before what follows. */
  #submitHeld(buffer: SimBuffer): void {
    if (this.#held.names(buffer)) void this.submit([]).catch(() => undefined)
  }

  #lostFailure(): DeviceFailure {
    return new DeviceFailure('lost', `${this.label} was lost: ${this.#lostReason}`)
  }

  /** Bytes that may still be made. */
  #room(): number {
    return (this.memory ?? Number.POSITIVE_INFINITY) - this.liveBytes
  }

  #makeBuffer(role: BufferRole, byteLength: number, label: string): SimBuffer | DeviceFailure {
    assert(byteLength > 0 && byteLength % 4 === 0, `the buffer '${label}' has a size that is a positive multiple of 4, not ${byteLength}`)
    assert(byteLength <= this.limits.bufferBytes, `the buffer '${label}' of ${printBytes(byteLength)} is at most ${printBytes(this.limits.bufferBytes)}`)
    const failure = new DeviceFailure('no-memory', `${this.label} has no ${printBytes(byteLength)} for '${label}': ${printBytes(this.liveBytes)} in use`)
    const mischief = this.#mischief.buffer(role, byteLength)
    if (mischief || byteLength > this.#room()) return failure
    let bytes: Uint8Array
    try {
      bytes = new Uint8Array(byteLength)
    } catch (error) {
      if (error instanceof RangeError) return failure
      throw error
    }
    this.counters.buffers++
    this.#bufferBytes += byteLength
    this.#peakBytes = Math.max(this.#peakBytes, this.liveBytes)
    return new SimBuffer(role, label, bytes, (buffer) => {
      this.#bufferBytes -= buffer.byteLength
      if (this.#lostReason !== null) return
      this.#submitHeld(buffer)
      this.#line({ kind: 'poison', buffer })
    })
  }

  /** Settles a promise after a while; a loss in between rejects it. */
  #settle<T>(finish: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { reject }
      this.#pending.add(pending)
      void this.#latency.pass().then(() => this.#finish(pending, () => resolve(finish())))
    })
  }

  #finish(pending: Pending, finish: () => void): void {
    if (!this.#pending.delete(pending)) return
    try {
      finish()
    } catch (error) {
      pending.reject(error)
    }
  }

  /** Takes a place in line. With nobody in line, what needs no answer is done at once. */
  #line(task: Task): void {
    if (!this.#pumping && task.kind !== 'submit') {
      this.#doTask(task)
      return
    }
    this.#tasks.push(task)
    if (this.#pumping) return
    this.#pumping = true
    void this.#pump()
  }

  async #pump(): Promise<void> {
    while (this.#tasks.length > 0) {
      await this.#latency.pass()
      const end = this.#tasks.findIndex((task) => task.kind === 'submit')
      for (const task of this.#tasks.splice(0, end < 0 ? this.#tasks.length : end + 1)) this.#doTask(task)
    }
    this.#pumping = false
  }

  #doTask(task: Task): void {
    switch (task.kind) {
      case 'write':
        task.buffer.bytes.set(task.bytes, task.offset)
        this.#clock.toDevice(task.bytes.byteLength)
        return
      case 'poison':
        task.buffer.bytes.fill(FREED_BYTE)
        return
      case 'submit':
        this.#doSubmission(task)
    }
  }

  #doSubmission(task: Submission): void {
    if (task.losesDevice) {
      this.lose('mischief at a submission')
      return
    }
    const readBytes = sumBytes(task.readbacks)
    try {
      this.#clock.submitted()
      for (const one of task.work) this.#doWork(one)
    } catch (error) {
      this.#ring.give(readBytes)
      this.#finish(task, () => task.reject(error))
      return
    }
    const taken = task.readbacks.map(({ from, offset, into }) => asSim(from).bytes.slice(offset, offset + into.byteLength))
    this.#clock.toHost(readBytes)
    void this.#latency.pass().then(() => {
      this.#ring.give(readBytes)
      this.#finish(task, () => {
        if (task.losesBytes) throw new DeviceFailure('no-memory', `${this.label} has no ${printBytes(readBytes)} to read back by`)
        task.readbacks.forEach(({ into }, i) => {
          into.set(taken[i])
        })
        task.resolve()
      })
    })
  }

  #checkWork(one: Work): void {
    switch (one.kind) {
      case 'copy':
        checkRange('a copy', asSim(one.from), one.fromOffset, one.byteLength)
        checkRange('a copy', asSim(one.to), one.toOffset, one.byteLength)
        assert(asSim(one.from).bytes !== asSim(one.to).bytes, `a copy goes from one buffer to another, not inside '${one.from.label}'`)
        return
      case 'clear':
        checkRange('a clear', asSim(one.buffer), one.offset, one.byteLength)
        return
      case 'dispatch':
        this.#checkDispatch(one)
    }
  }

  #checkDispatch({ program, bindings, groups, at = { control: 0, args: 0 } }: DispatchWork): void {
    const { table, faults, control, args, pools, window } = bindings
    for (const [buffer, offset, byteLength] of [[control, at.control, window?.control] as const, [args, at.args, window?.args] as const]) {
      assert(offset % WINDOW_UNIT === 0, `a part of '${buffer.label}' begins at a multiple of ${WINDOW_UNIT}, not at ${offset}`)
      checkRange(`a dispatch of '${program.label}'`, asSim(buffer), offset, byteLength ?? buffer.byteLength)
    }
    for (const buffer of [table, faults, control, args, ...pools]) if (buffer !== null) checkRange(`a dispatch of '${program.label}'`, asSim(buffer), 0, 0)
    const groupsMax = this.limits.workgroupsPerDimension
    assert(Math.max(...groups) <= groupsMax, `a dispatch has at most ${groupsMax} workgroups in a dimension, not ${groups.join(' x ')}`)
    const bound = pools.filter((pool) => pool !== null)
    const beyond = pools.slice(program.descriptor.pools).some((pool) => pool !== null)
    assert(!beyond, `'${program.label}' binds at most ${program.descriptor.pools} pools`)
    assert(new Set([...bound, table, faults, control]).size === bound.length + 3, `a dispatch of '${program.label}' binds no buffer twice`)
  }

  #doWork(one: Work): void {
    switch (one.kind) {
      case 'copy':
        asSim(one.to).bytes.set(asSim(one.from).bytes.subarray(one.fromOffset, one.fromOffset + one.byteLength), one.toOffset)
        this.#clock.inDevice(one.byteLength)
        return
      case 'clear':
        asSim(one.buffer).bytes.fill(0, one.offset, one.offset + one.byteLength)
        this.#clock.inDevice(one.byteLength)
        return
      case 'dispatch':
        this.#doDispatch(one)
    }
  }

  #doDispatch({ program, bindings, groups, args, at }: DispatchWork): void {
    const { descriptor } = program
    if (descriptor.twin === undefined) throw noTwin(descriptor)
    const pools = bindings.pools.map((pool) => (pool === null ? null : asSim(pool).words))
    const buffers = { table: asSim(bindings.table).words, faults: asSim(bindings.faults).words, control: windowOf(bindings, at), pools }
    this.#clock.accessed(runTwins({ descriptor, twin: descriptor.twin, buffers, groups, args }, this.#dispatchRandom))
  }
}

function asSim(buffer: DeviceBuffer): SimBuffer {
  assert(buffer instanceof SimBuffer, `the buffer '${buffer.label}' was made by a simulated device`)
  return buffer
}

/** What of `control` a dispatch sees. Arguments come to a twin by name. */
function windowOf({ control, window }: DispatchWork['bindings'], at: DispatchWork['at']): Uint32Array {
  const { words } = asSim(control)
  const from = (at?.control ?? 0) / 4
  return window === undefined ? words : words.subarray(from, from + window.control / 4)
}

function sumBytes(readbacks: readonly Readback[]): number {
  return readbacks.reduce((sum, { into }) => sum + into.byteLength, 0)
}

function noTwin(descriptor: ProgramDescriptor): SvmError {
  const problem = `the kernel '${descriptor.label}' has no twin, and a simulated device cannot run WGSL`
  return new SvmError('unsupported', `${problem}; give createKernel a \`twin\`, or run the kernel on a GPU`, { kernel: descriptor.label })
}
