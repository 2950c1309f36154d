// The plain side of gups: one buffer, one dispatch. Always: the whole table is in it.

import { PlainKit } from './kit.ts'
import { MIX_WGSL } from './mix.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
@group(0) @binding(0) var<storage, read_write> table: array<atomic<u32>>;
@group(0) @binding(1) var<uniform> words: u32;
${MIX_WGSL}
@compute @workgroup_size(64) fn update(@builtin(global_invocation_id) id: vec3u) {
  let random = mix(id.x);
  atomicXor(&table[random % words], mix(random));
}`

export const gups: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { words = 0, updates = 0 } = numbers
  const table = kit.buffer(inputs.table as Uint32Array)
  const pipeline = await kit.pipeline(CODE, 'update')
  const group = kit.group(pipeline, [table, kit.uniform([words])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [updates / 64] }]),
    reset: async () => kit.write(table, inputs.table as Uint32Array),
    results: async () => ({ table: await kit.read(table) }),
    destroy: () => kit.destroy(),
  }
}
