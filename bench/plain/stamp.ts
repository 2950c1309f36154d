// Plain WebGPU: a kernel that writes one word in each block of a buffer. Always: made once, run many times; nothing of webgpu-svm is here.

import { rested } from './rest.ts'

const CODE = `
struct Args { blocks: u32, block_words: u32, value: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@compute @workgroup_size(64) fn stamp(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < args.blocks) { words[id.x * args.block_words] = args.value + id.x; }
}`

export class Stamp {
  readonly #device: GPUDevice
  readonly #pipeline: GPUComputePipeline
  readonly #group: GPUBindGroup
  readonly #args: GPUBuffer
  readonly #blocks: number
  readonly #blockBytes: number

  constructor(device: GPUDevice, buffer: GPUBuffer, blockBytes: number) {
    this.#device = device
    this.#blocks = buffer.size / blockBytes
    this.#blockBytes = blockBytes
    // UNIFORM and COPY_DST.
    this.#args = device.createBuffer({ size: 16, usage: 0x40 | 0x8 })
    this.#pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code: CODE }), entryPoint: 'stamp' } })
    const entries = [
      { binding: 0, resource: { buffer: this.#args } },
      { binding: 1, resource: { buffer } },
    ]
    this.#group = device.createBindGroup({ layout: this.#pipeline.getBindGroupLayout(0), entries })
  }

  /** Word 0 of block n becomes value + n; resolves when it is done. */
  async run(value: number): Promise<void> {
    const { queue } = this.#device
    queue.writeBuffer(this.#args, 0, new Uint32Array([this.#blocks, this.#blockBytes / 4, value]))
    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    pass.setBindGroup(0, this.#group)
    pass.dispatchWorkgroups(Math.ceil(this.#blocks / 64))
    pass.end()
    queue.submit([encoder.finish()])
    await rested(queue.onSubmittedWorkDone())
  }

  destroy(): void {
    this.#args.destroy()
  }
}
