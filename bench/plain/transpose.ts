// The plain side of the transpose: the same tiles, two buffers. Always: one dispatch.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
@group(0) @binding(0) var<storage, read> rows: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> columns: array<vec4u>;
@group(0) @binding(2) var<uniform> side: u32;
var<workgroup> tile: array<array<u32, 33>, 32>;
@compute @workgroup_size(8, 8)
fn transpose(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u) {
  let row = side / 4u;
  let x = item.x * 4u;
  for (var y = item.y; y < 32u; y += 8u) {
    let words = rows[(group.y * 32u + y) * row + group.x * 8u + item.x];
    tile[y][x] = words.x;
    tile[y][x + 1u] = words.y;
    tile[y][x + 2u] = words.z;
    tile[y][x + 3u] = words.w;
  }
  workgroupBarrier();
  for (var y = item.y; y < 32u; y += 8u) {
    columns[(group.x * 32u + y) * row + group.y * 8u + item.x] = vec4u(tile[x][y], tile[x + 1u][y], tile[x + 2u][y], tile[x + 3u][y]);
  }
}`

export const transpose: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { side = 0 } = numbers
  const columns = kit.buffer(side * side * 4)
  const pipeline = await kit.pipeline(CODE, 'transpose')
  const group = kit.group(pipeline, [kit.buffer(inputs.rows as Uint32Array), columns, kit.uniform([side])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [side / 32, side / 32] }]),
    results: async () => ({ columns: await kit.read(columns) }),
    destroy: () => kit.destroy(),
  }
}
