// The plain side of gather-zipf and gather-uniform: three buffers, one dispatch. Always: the whole table is in one of them.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
@group(0) @binding(0) var<storage, read> table: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
const COLUMNS = 64u;
const PICKS = 16u;
@compute @workgroup_size(COLUMNS) fn gather(@builtin(workgroup_id) bag: vec3u, @builtin(local_invocation_index) column: u32) {
  var sum = 0.0;
  for (var n = 0u; n < PICKS; n++) {
    let row = indices[bag.x * PICKS + n];
    sum += table[row * COLUMNS + column];
  }
  sums[bag.x * COLUMNS + column] = sum;
}`

export const gather: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { bags = 0, columns = 0 } = numbers
  const sums = kit.buffer(bags * columns * 4)
  const pipeline = await kit.pipeline(CODE, 'gather')
  const group = kit.group(pipeline, [kit.buffer(inputs.table as Float32Array), kit.buffer(inputs.indices as Uint32Array), sums])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [bags] }]),
    results: async () => ({ sums: await kit.read(sums) }),
    destroy: () => kit.destroy(),
  }
}
