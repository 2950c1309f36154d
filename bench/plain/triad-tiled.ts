// The triad by hand in less memory than it takes. Always: at most two tiles are under way, so that one is computed while the next is sent and the one
// before comes back; all buffers together have at most the budget (what the implementation holds for writeBuffer is its own affair).

import { f32, PlainKit } from './kit.ts'
import { rested } from './rest.ts'
import type { TiledWorkload } from './run.ts'

const GPU_MAP_READ = 1
const ITEMS = 256
const SLOTS = 2
/** Of a tile: a, b, c, and what a comes back through. */
const ARRAYS = 4
/** Larger tiles have nothing to overlap with. */
const TILE_BYTES_MAX = 2 * 2 ** 20
const CODE = `
@group(0) @binding(0) var<storage, read_write> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<uniform> scale: f32;
@compute @workgroup_size(${ITEMS}) fn triad(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&a)) { a[id.x] = b[id.x] + scale * c[id.x]; }
}`

export const triadTiled: TiledWorkload = async (device, { inputs, numbers }, budgetBytes) => {
  const kit = new PlainKit(device)
  const { length = 0, scale = 0 } = numbers
  const result = new Float32Array(length)
  const tileBytes = Math.min(TILE_BYTES_MAX, Math.floor(budgetBytes / SLOTS / ARRAYS / (ITEMS * 4)) * ITEMS * 4)
  const pipeline = await kit.pipeline(CODE, 'triad')
  const factor = kit.uniform([f32(scale)])
  const slots = Array.from({ length: SLOTS }, () => {
    const [a, b, c] = [kit.buffer(tileBytes), kit.buffer(tileBytes), kit.buffer(tileBytes)]
    return { a, b, c, group: kit.group(pipeline, [a, b, c, factor]), staging: kit.staging(tileBytes), back: Promise.resolve() }
  })
  const tile = (slot: (typeof slots)[number], first: number) => {
    const count = Math.min(tileBytes / 4, length - first)
    kit.write(slot.b, (inputs.b as Float32Array).subarray(first, first + count))
    kit.write(slot.c, (inputs.c as Float32Array).subarray(first, first + count))
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, slot.group)
    pass.dispatchWorkgroups(Math.ceil(count / ITEMS))
    pass.end()
    encoder.copyBufferToBuffer(slot.a, 0, slot.staging, 0, count * 4)
    device.queue.submit([encoder.finish()])
    return rested(slot.staging.mapAsync(GPU_MAP_READ, 0, count * 4)).then(() => {
      result.set(new Float32Array(slot.staging.getMappedRange(0, count * 4)), first)
      slot.staging.unmap()
    })
  }
  return {
    run: async () => {
      for (let first = 0, n = 0; first < length; first += tileBytes / 4, n++) {
        const slot = slots[n % SLOTS] as (typeof slots)[number]
        await slot.back
        slot.back = tile(slot, first)
      }
      for (const { back } of slots) await back
    },
    results: async () => ({ a: new Uint8Array(result.buffer) }),
    destroy: () => kit.destroy(),
  }
}
