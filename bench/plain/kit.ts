// Plain WebGPU for the plain sides of workloads: buffers, pipelines, submissions. Always: buffers and pipelines are made once and used again, all
// dispatches of a run go in one submission and one pass, and nothing of webgpu-svm is here.

import { rested } from './rest.ts'

// Node has no global GPUBufferUsage and GPUMapMode; these numbers are WebGPU's.
const GPU_MAP_READ = 1
const USAGE = { mapRead: 0x1, copySource: 0x4, copyDestination: 0x8, uniform: 0x40, storage: 0x80 } as const

export interface Dispatch {
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  /** Workgroups by dimension. */
  readonly workgroups: readonly [number, number?, number?]
}

export type PlainArray = Uint8Array | Uint32Array | Int32Array | Float32Array

export class PlainKit {
  readonly device: GPUDevice
  readonly #buffers: GPUBuffer[] = []
  #word: GPUBuffer | null = null

  constructor(device: GPUDevice) {
    this.device = device
  }

  /** A storage buffer with these bytes, or of this many bytes. Copies can use it. */
  buffer(from: PlainArray | number): GPUBuffer {
    const byteLength = typeof from === 'number' ? from : from.byteLength
    const buffer = this.#make(Math.ceil(byteLength / 4) * 4, USAGE.storage | USAGE.copySource | USAGE.copyDestination)
    if (typeof from !== 'number') this.write(buffer, from)
    return buffer
  }

  /** A buffer that bytes come back through. */
  staging(byteLength: number): GPUBuffer {
    return this.#make(byteLength, USAGE.mapRead | USAGE.copyDestination)
  }

  write(buffer: GPUBuffer, from: PlainArray, byteOffset = 0): void {
    this.device.queue.writeBuffer(buffer, byteOffset, asWords(from))
  }

  /** A uniform buffer with these words; a number is a u32, `f32` makes others. */
  uniform(words: readonly number[]): GPUBuffer {
    const buffer = this.#make(Math.ceil(words.length / 4) * 16, USAGE.uniform | USAGE.copyDestination)
    this.device.queue.writeBuffer(buffer, 0, Uint32Array.from(words))
    return buffer
  }

  pipeline(code: string, entryPoint: string): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ code })
    return this.device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } })
  }

  /** Group 0: the buffers at bindings that follow each other. */
  group(pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[], first = 0): GPUBindGroup {
    return this.groupOf(
      pipeline,
      buffers,
      buffers.map((_, n) => first + n),
    )
  }

  /** The same with these bindings alone, those that an entry point uses: the first buffer at the first of them. */
  groupOf(pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[], bindings: readonly number[]): GPUBindGroup {
    const entries = bindings.map((binding, n) => ({ binding, resource: { buffer: buffers[n] as GPUBuffer } }))
    return this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries })
  }

  /** Gives the dispatches to the device, and waits until it has done them. */
  async run(dispatches: readonly Dispatch[]): Promise<void> {
    this.submit(dispatches)
    await rested(this.device.queue.onSubmittedWorkDone())
  }

  submit(dispatches: readonly Dispatch[]): void {
    const encoder = this.device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (const { pipeline, group, workgroups } of dispatches) {
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(...(workgroups as [number, number?, number?]))
    }
    pass.end()
    this.device.queue.submit([encoder.finish()])
  }

  /** All of one buffer into another, until it is done. */
  async copy(from: GPUBuffer, to: GPUBuffer): Promise<void> {
    const encoder = this.device.createCommandEncoder()
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size)
    this.device.queue.submit([encoder.finish()])
    await rested(this.device.queue.onSubmittedWorkDone())
  }

  /** The bytes of a buffer. */
  async read(buffer: GPUBuffer, byteLength = buffer.size): Promise<Uint8Array> {
    const staging = this.device.createBuffer({ size: Math.ceil(byteLength / 4) * 4, usage: USAGE.mapRead | USAGE.copyDestination })
    const encoder = this.device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, staging.size)
    this.device.queue.submit([encoder.finish()])
    await rested(staging.mapAsync(GPU_MAP_READ))
    const bytes = new Uint8Array(staging.getMappedRange().slice(0, byteLength))
    staging.destroy()
    return bytes
  }

  /** One word of a buffer, when all that was submitted before is done. */
  async readWord(buffer: GPUBuffer, index: number): Promise<number> {
    this.#word ??= this.#make(4, USAGE.mapRead | USAGE.copyDestination)
    const encoder = this.device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, index * 4, this.#word, 0, 4)
    this.device.queue.submit([encoder.finish()])
    await rested(this.#word.mapAsync(GPU_MAP_READ))
    const [word] = new Uint32Array(this.#word.getMappedRange())
    this.#word.unmap()
    return word as number
  }

  destroy(): void {
    for (const buffer of this.#buffers.splice(0)) buffer.destroy()
  }

  #make(size: number, usage: number): GPUBuffer {
    const buffer = this.device.createBuffer({ size, usage })
    this.#buffers.push(buffer)
    return buffer
  }
}

/** The bits of a number as f32. */
export function f32(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] as number
}

/** writeBuffer takes whole words. */
function asWords(from: PlainArray): PlainArray & ArrayBufferView<ArrayBuffer> {
  if (from.byteLength % 4 === 0 && from.buffer instanceof ArrayBuffer) return from as PlainArray & ArrayBufferView<ArrayBuffer>
  const whole = new Uint8Array(Math.ceil(from.byteLength / 4) * 4)
  whole.set(new Uint8Array(from.buffer, from.byteOffset, from.byteLength))
  return whole
}
