// Device buffers of a GPUDevice. Always: every buffer made here is in the ledger from its creation to its destruction, and in no other way;
// a foreign buffer never is.

import type { BufferRole, DeviceBuffer } from '../device.ts'

/** WebGPU's numbers. Node has no global GPUBufferUsage or GPUMapMode. */
export const USAGE = { mapRead: 1, copySource: 4, copyDestination: 8, uniform: 0x40, storage: 0x80 } as const
export const MAP_MODE_READ = 1
export const STAGE_COMPUTE = 4

export const ROLE_USAGE: Readonly<Record<BufferRole, GPUBufferUsageFlags>> = {
  pool: USAGE.storage | USAGE.copySource | USAGE.copyDestination,
  table: USAGE.storage | USAGE.copySource | USAGE.copyDestination,
  control: USAGE.storage | USAGE.copySource | USAGE.copyDestination,
  faults: USAGE.storage | USAGE.copySource | USAGE.copyDestination,
  arguments: USAGE.uniform | USAGE.copyDestination,
  bounce: USAGE.copySource | USAGE.copyDestination,
}

/** The sum of what lives. */
export class Ledger {
  live = 0
  peak = 0
  buffers = 0

  /** A buffer came to be. Its creation may still turn out to have failed, so the peak waits for `confirm`. */
  add(byteLength: number): void {
    this.live += byteLength
    this.buffers++
  }

  confirm(): void {
    this.peak = Math.max(this.peak, this.live)
  }

  remove(byteLength: number): void {
    this.live -= byteLength
  }
}

let buffersSoFar = 0

export class WebgpuBuffer implements DeviceBuffer {
  /** Never used twice: a name for caches. */
  readonly id = ++buffersSoFar
  readonly gpu: GPUBuffer
  readonly role: BufferRole
  readonly label: string
  readonly byteLength: number
  /** It is the program's own. */
  readonly foreign: boolean
  #retire: ((buffer: WebgpuBuffer) => void) | null

  /** @param retire destroys the GPUBuffer when its turn has come; null for a foreign buffer */
  constructor(gpu: GPUBuffer, role: BufferRole, label: string, retire: ((buffer: WebgpuBuffer) => void) | null) {
    this.gpu = gpu
    this.role = role
    this.label = label
    this.byteLength = gpu.size
    this.foreign = retire === null
    this.#retire = retire
  }

  destroy(): void {
    const retire = this.#retire
    this.#retire = null
    retire?.(this)
  }
}

/** The GPUBuffer behind a device buffer: all of them were made in this room. */
export function gpuOf(buffer: DeviceBuffer): GPUBuffer {
  return (buffer as WebgpuBuffer).gpu
}
