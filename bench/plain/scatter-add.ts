// The plain side of scatter-add: three buffers, one dispatch. Always: the sums begin at zero.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> values: array<i32>;
@group(0) @binding(2) var<storage, read_write> sums: array<atomic<i32>>;
@compute @workgroup_size(64) fn scatter_add(@builtin(global_invocation_id) id: vec3u) {
  atomicAdd(&sums[indices[id.x]], values[id.x]);
}`

export const scatterAdd: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { count = 0, places = 0 } = numbers
  const zeros = new Int32Array(places)
  const sums = kit.buffer(zeros)
  const pipeline = await kit.pipeline(CODE, 'scatter_add')
  const group = kit.group(pipeline, [kit.buffer(inputs.indices as Uint32Array), kit.buffer(inputs.values as Int32Array), sums])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [count / 64] }]),
    reset: async () => kit.write(sums, zeros),
    results: async () => ({ sums: await kit.read(sums) }),
    destroy: () => kit.destroy(),
  }
}
