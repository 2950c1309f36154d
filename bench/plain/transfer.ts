// Plain WebGPU: bytes to a buffer and back, as its authors write it. Always: buffers are made once and used again; nothing of webgpu-svm is here.

import { rested } from './rest.ts'

// Node has no global GPUBufferUsage and GPUMapMode; these numbers are WebGPU's.
const GPU_MAP_READ = 1
const USAGE = { mapRead: 0x1, copySource: 0x4, copyDestination: 0x8, storage: 0x80 } as const

/** Waits until the device has done all that was given to its queue: a word that is copied and mapped behind it. */
export class Fence {
  readonly #device: GPUDevice
  readonly #from: GPUBuffer
  readonly #to: GPUBuffer

  constructor(device: GPUDevice) {
    this.#device = device
    this.#from = storageBuffer(device, 4)
    this.#to = stagingBuffer(device, 4)
  }

  // onSubmittedWorkDone does not do: what writeBuffer left for the next submission is not submitted work.
  async wait(): Promise<void> {
    const encoder = this.#device.createCommandEncoder()
    encoder.copyBufferToBuffer(this.#from, 0, this.#to, 0, 4)
    this.#device.queue.submit([encoder.finish()])
    await rested(this.#to.mapAsync(GPU_MAP_READ))
    this.#to.unmap()
  }

  destroy(): void {
    this.#from.destroy()
    this.#to.destroy()
  }
}

/** Sends all of `bytes` to a buffer, and waits until the device has them. */
export async function upload(device: GPUDevice, buffer: GPUBuffer, bytes: Uint8Array<ArrayBuffer>, fence: Fence): Promise<void> {
  device.queue.writeBuffer(buffer, 0, bytes)
  await fence.wait()
}

/** Brings all of `buffer` into `into`, by way of `staging`, a MAP_READ buffer of the same size. */
export async function download(device: GPUDevice, buffer: GPUBuffer, staging: GPUBuffer, into: Uint8Array): Promise<void> {
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, into.byteLength)
  device.queue.submit([encoder.finish()])
  await rested(staging.mapAsync(GPU_MAP_READ, 0, into.byteLength))
  into.set(new Uint8Array(staging.getMappedRange(0, into.byteLength)))
  staging.unmap()
}

/** A storage buffer that copies can use. */
export function storageBuffer(device: GPUDevice, size: number): GPUBuffer {
  return device.createBuffer({ size, usage: USAGE.storage | USAGE.copySource | USAGE.copyDestination })
}

/** A buffer for `download`. */
export function stagingBuffer(device: GPUDevice, size: number): GPUBuffer {
  return device.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyDestination })
}

const MAP_BYTES = 256

/** The bare round trip: submit of a copy of 256 bytes, map, read. */
export class BareMap {
  readonly #device: GPUDevice
  readonly #fence: Fence
  readonly #buffer: GPUBuffer
  readonly #staging: GPUBuffer
  readonly #landed = new Uint8Array(MAP_BYTES)

  constructor(device: GPUDevice) {
    this.#device = device
    this.#fence = new Fence(device)
    this.#buffer = storageBuffer(device, MAP_BYTES)
    this.#staging = stagingBuffer(device, MAP_BYTES)
  }

  /** The word that the next trips bring home. */
  put(word: number): Promise<void> {
    return upload(this.#device, this.#buffer, new Uint8Array(Uint32Array.of(word).buffer), this.#fence)
  }

  trip(): Promise<void> {
    return download(this.#device, this.#buffer, this.#staging, this.#landed)
  }

  /** What the last trip brought. */
  get word(): number {
    return new DataView(this.#landed.buffer).getUint32(0, true)
  }

  destroy(): void {
    for (const one of [this.#buffer, this.#staging, this.#fence]) one.destroy()
  }
}
