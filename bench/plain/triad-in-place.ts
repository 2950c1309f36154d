// The plain side of the triad in place. Always: one dispatch; the reset is a copy of a buffer.

import { f32, PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const ITEMS = 256
const CODE = `
@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<uniform> scale: f32;
@compute @workgroup_size(${ITEMS}) fn add_up(@builtin(global_invocation_id) id: vec3u) {
  a[id.x] = a[id.x] + scale * b[id.x];
}`

export const triadInPlace: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { length = 0, scale = 0 } = numbers
  const a = kit.buffer(length * 4)
  const start = kit.buffer(inputs.start as Float32Array)
  const pipeline = await kit.pipeline(CODE, 'add_up')
  const group = kit.group(pipeline, [a, kit.buffer(inputs.b as Float32Array), kit.uniform([f32(scale)])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [length / 4 / ITEMS] }]),
    reset: () => kit.copy(start, a),
    results: async () => ({ a: await kit.read(a) }),
    destroy: () => kit.destroy(),
  }
}
