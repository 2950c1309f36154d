// The plain side of SGEMM: the same tiles, three buffers. Always: one dispatch.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
@group(0) @binding(3) var<uniform> side: u32;
var<workgroup> tile_a: array<vec4f, 128>;
var<workgroup> tile_b: array<vec4f, 128>;
@compute @workgroup_size(8, 8)
fn multiply(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = side / 4u;
  var sums = array<vec4f, 4>();
  for (var k = 0u; k < side; k += 16u) {
    for (var i = index; i < 128u; i += 64u) {
      tile_a[i] = a[(group.y * 32u + i / 4u) * row + k / 4u + i % 4u];
      tile_b[i] = b[(k + i / 8u) * row + group.x * 8u + i % 8u];
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      let b = array<vec4f, 4>(tile_b[i * 32u + item.x], tile_b[i * 32u + 8u + item.x], tile_b[i * 32u + 16u + item.x], tile_b[i * 32u + 24u + item.x]);
      let a0 = tile_a[item.y * 16u + i];
      let a1 = tile_a[item.y * 16u + 4u + i];
      let a2 = tile_a[item.y * 16u + 8u + i];
      let a3 = tile_a[item.y * 16u + 12u + i];
      sums[0] += a0.x * b[0] + a0.y * b[1] + a0.z * b[2] + a0.w * b[3];
      sums[1] += a1.x * b[0] + a1.y * b[1] + a1.z * b[2] + a1.w * b[3];
      sums[2] += a2.x * b[0] + a2.y * b[1] + a2.z * b[2] + a2.w * b[3];
      sums[3] += a3.x * b[0] + a3.y * b[1] + a3.z * b[2] + a3.w * b[3];
    }
    workgroupBarrier();
  }
  let to = (group.y * 32u + item.y * 4u) * row + group.x * 8u + item.x;
  c[to] = sums[0];
  c[to + row] = sums[1];
  c[to + 2u * row] = sums[2];
  c[to + 3u * row] = sums[3];
}`

export const sgemm: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { rows = 0, side = 0 } = numbers
  const c = kit.buffer(rows * side * 4)
  const pipeline = await kit.pipeline(CODE, 'multiply')
  const group = kit.group(pipeline, [kit.buffer(inputs.a as Float32Array), kit.buffer(inputs.b as Float32Array), c, kit.uniform([side])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [side / 32, rows / 32] }]),
    results: async () => ({ c: await kit.read(c) }),
    destroy: () => kit.destroy(),
  }
}
