// Plain WebGPU: many dispatches of a small kernel in one submission. Always: each has arguments of its own at a dynamic offset, and the two arrays change
// places from one to the next; with an order each word comes from where that says; nothing of webgpu-svm is here.

import { rested } from './rest.ts'

const code = (ordered: boolean) => `
struct Args { factor: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read> from_words: array<u32>;
@group(0) @binding(2) var<storage, read_write> to_words: array<u32>;
@compute @workgroup_size(64) fn mix(@builtin(global_invocation_id) id: vec3u) {
  to_words[id.x] = from_words[${ordered ? 'order[id.x]' : 'id.x'}] * args.factor + args.term;
}
${ordered ? '@group(0) @binding(3) var<storage, read> order: array<u32>;' : ''}`
/** What every device lets uniform bindings begin at. */
const STRIDE = 256
/** GPUBufferUsage: MAP_READ, COPY_SRC, COPY_DST, UNIFORM, STORAGE; GPUShaderStage.COMPUTE. */
const [MAP_READ, COPY_SRC, COPY_DST, UNIFORM, STORAGE, COMPUTE] = [1, 4, 8, 0x40, 0x80, 4] as const

export class PlainChain {
  readonly #device: GPUDevice
  readonly #pipeline: GPUComputePipeline
  readonly #groups: readonly GPUBindGroup[]
  readonly #args: GPUBuffer
  readonly #arrays: readonly GPUBuffer[]
  readonly #order: GPUBuffer | null
  readonly #staging: GPUBuffer
  readonly #workgroups: number

  constructor(device: GPUDevice, first: Uint32Array<ArrayBuffer>, links: number, order: Uint32Array<ArrayBuffer> | null) {
    this.#device = device
    this.#workgroups = first.length / 64
    this.#args = device.createBuffer({ size: links * STRIDE, usage: UNIFORM | COPY_DST })
    this.#arrays = [0, 1].map(() => device.createBuffer({ size: first.byteLength, usage: STORAGE | COPY_SRC | COPY_DST }))
    this.#staging = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST })
    const [a, b] = this.#arrays as [GPUBuffer, GPUBuffer]
    device.queue.writeBuffer(a, 0, first)
    this.#order = order === null ? null : device.createBuffer({ size: order.byteLength, usage: STORAGE | COPY_DST })
    if (order !== null && this.#order !== null) device.queue.writeBuffer(this.#order, 0, order)
    const ordered = this.#order === null ? [] : [this.#order]
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: COMPUTE, buffer: { type: 'uniform', hasDynamicOffset: true } },
        { binding: 1, visibility: COMPUTE, buffer: { type: 'read-only-storage' } },
        { binding: 2, visibility: COMPUTE, buffer: { type: 'storage' } },
        ...ordered.map(() => ({ binding: 3, visibility: COMPUTE, buffer: { type: 'read-only-storage' } as const })),
      ],
    })
    const compute = { module: device.createShaderModule({ code: code(order !== null) }) }
    this.#pipeline = device.createComputePipeline({ layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute })
    const group = (from: GPUBuffer, to: GPUBuffer) =>
      device.createBindGroup({
        layout,
        entries: [
          { binding: 0, resource: { buffer: this.#args, size: 16 } },
          { binding: 1, resource: { buffer: from } },
          { binding: 2, resource: { buffer: to } },
          ...ordered.map((buffer) => ({ binding: 3, resource: { buffer } })),
        ],
      })
    this.#groups = [group(a, b), group(b, a)]
  }

  /** One dispatch for each term; resolves when the first word of the last result is here. */
  async run(factor: number, terms: readonly number[]): Promise<void> {
    const { queue } = this.#device
    const args = new Uint32Array((terms.length * STRIDE) / 4)
    for (let n = 0; n < terms.length; n++) args.set([factor, terms[n] as number], (n * STRIDE) / 4)
    queue.writeBuffer(this.#args, 0, args)
    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    for (let n = 0; n < terms.length; n++) {
      pass.setBindGroup(0, this.#groups[n % 2] as GPUBindGroup, [n * STRIDE])
      pass.dispatchWorkgroups(this.#workgroups)
    }
    pass.end()
    encoder.copyBufferToBuffer(this.#arrays[terms.length % 2] as GPUBuffer, 0, this.#staging, 0, 4)
    queue.submit([encoder.finish()])
    await rested(this.#staging.mapAsync(MAP_READ))
    this.#staging.unmap()
  }

  async bytes(array: number): Promise<Uint8Array> {
    const buffer = this.#arrays[array] as GPUBuffer
    const staging = this.#device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST })
    const encoder = this.#device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size)
    this.#device.queue.submit([encoder.finish()])
    await rested(staging.mapAsync(MAP_READ))
    const bytes = new Uint8Array(staging.getMappedRange()).slice()
    staging.destroy()
    return bytes
  }

  destroy(): void {
    for (const buffer of [this.#args, this.#staging, ...this.#arrays]) buffer.destroy()
    this.#order?.destroy()
  }
}
