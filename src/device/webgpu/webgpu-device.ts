// A GPUDevice as a Device, in browsers and in Node. Always: the GPUDevice stays its owner's; what this class made of it is in `liveBytes` until
// it is destroyed; work enters the GPUQueue in the order of the calls (submit-queue.ts). Calls on GPUQueue past this class keep no order with it.
// `release` ends one user's time; the next one's begins with `configure`, and with counts of its own.

import { printBytes } from '../../base/units.ts'
import type { DeviceLimits, Program, ProgramDescriptor, Readback, Work } from '../device.ts'
import { type BufferRole, type CompilerMessage, type Device, type DeviceBuffer, DeviceFailure } from '../device.ts'
import { Ledger, ROLE_USAGE, WebgpuBuffer } from './buffers.ts'
import { needsEmptyGroups } from './empty-groups.ts'
import { Lifeline } from './lifeline.ts'
import { deviceLimits } from './limits.ts'
import { AUTHOR_GROUPS, compileModule, compileProgram, type WebgpuProgram } from './program.ts'
import { ReadbackRing } from './readback-ring.ts'
import { inErrorScopes } from './scope.ts'
import { SubmitQueue } from './submit-queue.ts'

const PLACEHOLDER_BYTES = 256
/** Uniform structs are padded to this. */
const UNIFORM_UNIT = 16

export interface WebgpuDeviceOptions {
  readonly label?: string
  /** Bytes that this library may hold on the device. */
  readonly memory?: number
}

export class WebgpuDevice implements Device {
  readonly kind = 'webgpu'
  readonly runsText = true
  readonly label: string
  readonly limits: DeviceLimits
  readonly memory: number | undefined
  readonly #device: GPUDevice
  readonly #lifeline: Lifeline
  #ledger = new Ledger()
  #ring: ReadbackRing
  #queue: SubmitQueue
  #released = false
  readonly #placeholders: WebgpuBuffer[] = []
  readonly #foreign = new WeakMap<GPUBuffer, WebgpuBuffer>()
  #emptyGroup: GPUBindGroup | null = null
  /** Asked when the first program is made. */
  #needsEmptyGroups: boolean = true
  #asked = false

  constructor(device: GPUDevice, options: WebgpuDeviceOptions = {}) {
    this.#device = device
    this.label = options.label ?? (device.label === '' ? 'webgpu' : device.label)
    this.memory = options.memory
    this.limits = deviceLimits(device)
    this.#lifeline = new Lifeline(device)
    this.#ring = new ReadbackRing(device, this.#ledger)
    this.#queue = this.#newQueue()
  }

  /** The GPUDevice, for authors who make groups and buffers of their own. */
  get gpuDevice(): GPUDevice {
    return this.#device
  }

  get liveBytes(): number {
    return this.#ledger.live
  }

  get peakBytes(): number {
    return this.#ledger.peak
  }

  get counters(): { submits: number; maps: number; buffers: number } {
    return { ...this.#queue.counters, buffers: this.#ledger.buffers }
  }

  get lostReason(): string | null {
    return this.#lifeline.lostReason
  }

  onLost(callback: (reason: string) => void): void {
    this.#lifeline.onLost(callback)
  }

  now(): number {
    return performance.now()
  }

  configure(readback: { ringBytes: number; slotBytes: number }): void {
    if (this.#released) this.#begin()
    this.#ring.configure(readback.ringBytes, readback.slotBytes)
  }

  async createBuffer(role: BufferRole, byteLength: number, label: string): Promise<DeviceBuffer> {
    if (this.lostReason !== null) throw this.#lifeline.failure()
    const { value: buffer, error } = inErrorScopes(this.#device, ['validation', 'out-of-memory'], () => this.#makeBuffer(role, byteLength, label))
    try {
      const failure = await this.#lifeline.guard(error)
      if (failure !== null) throw new DeviceFailure('no-memory', `No buffer of ${printBytes(byteLength)} for ${label}: ${failure.message}`)
    } catch (failure) {
      buffer.destroy()
      throw failure
    }
    this.#ledger.confirm()
    return buffer
  }

  createProgram(descriptor: ProgramDescriptor): Promise<Program> {
    if (this.lostReason !== null) return Promise.reject(this.#lifeline.failure())
    if (!this.#asked) this.#ask()
    return this.#lifeline.guard(compileProgram(this.#device, descriptor))
  }

  /** The layouts of groups 0 to 2, for the author's own groups. Those of one variant of a kernel fit the others. */
  bindGroupLayouts(program: Program): readonly GPUBindGroupLayout[] {
    return (program as WebgpuProgram).layouts.slice(0, AUTHOR_GROUPS)
  }

  async checkText(code: string): Promise<readonly CompilerMessage[]> {
    if (this.lostReason !== null) throw this.#lifeline.failure()
    const { messages } = await this.#lifeline.guard(compileModule(this.#device, code, 'check'))
    return messages
  }

  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void {
    if (this.lostReason === null) this.#queue.write(buffer as WebgpuBuffer, offset, bytes)
  }

  writeForeign(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#queue.writeForeign(buffer as WebgpuBuffer, offset, bytes)
  }

  submit(work: readonly Work[], readbacks: readonly Readback[] = [], again = false): Promise<void> {
    return this.#queue.submit(work, readbacks, again)
  }

  hold(work: readonly Work[]): void {
    this.#queue.hold(work)
  }

  foreignBuffer(buffer: unknown): DeviceBuffer {
    const gpu = buffer as GPUBuffer
    if (typeof gpu?.mapAsync !== 'function') throw new TypeError('it is no GPUBuffer')
    let wrapped = this.#foreign.get(gpu)
    if (wrapped === undefined) {
      wrapped = new WebgpuBuffer(gpu, 'bounce', gpu.label, null)
      this.#foreign.set(gpu, wrapped)
    }
    return wrapped
  }

  release(): void {
    this.#released = true
    for (const buffer of this.#placeholders.splice(0)) buffer?.destroy()
    this.#queue.release()
  }

  /** Nobody waits for the answer. */
  #ask(): void {
    this.#asked = true
    void needsEmptyGroups(this.#device).then((needs) => {
      this.#needsEmptyGroups = needs
    })
  }

  #begin(): void {
    this.#released = false
    this.#ledger = new Ledger()
    this.#ring = new ReadbackRing(this.#device, this.#ledger)
    this.#queue = this.#newQueue()
  }

  #newQueue(): SubmitQueue {
    return new SubmitQueue(this.#device, this.#lifeline, this.#ring, {
      placeholder: (pool) => this.#placeholder(pool),
      emptyGroup: () => this.#groupWithoutEntries(),
      needsEmptyGroups: () => this.#needsEmptyGroups,
    })
  }

  #makeBuffer(role: BufferRole, byteLength: number, label: string): WebgpuBuffer {
    const unit = role === 'arguments' ? UNIFORM_UNIT : 4
    const size = Math.ceil(byteLength / unit) * unit
    const gpu = this.#device.createBuffer({ size, usage: ROLE_USAGE[role], label: `svm:${role}:${label}` })
    const ledger = this.#ledger
    ledger.add(size)
    return new WebgpuBuffer(gpu, role, label, (buffer) => this.#queue.destroy(buffer, () => ledger.remove(size)))
  }

  #placeholder(pool: number): WebgpuBuffer {
    let buffer = this.#placeholders[pool]
    if (buffer === undefined) {
      buffer = this.#makeBuffer('pool', PLACEHOLDER_BYTES, `placeholder ${pool}`)
      this.#ledger.confirm()
      this.#placeholders[pool] = buffer
    }
    return buffer
  }

  #groupWithoutEntries(): GPUBindGroup {
    this.#emptyGroup ??= this.#device.createBindGroup({ label: 'svm:empty', layout: this.#device.createBindGroupLayout({ entries: [] }), entries: [] })
    return this.#emptyGroup
  }
}
