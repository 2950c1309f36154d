// The plain side of grep: the whole text in one buffer. Always: one dispatch; the counter is cleared before.

import { PlainKit } from './kit.ts'
import { rested } from './rest.ts'
import type { PlainWorkload } from './run.ts'

const ITEMS = 64
const CODE = `
struct Args { hits_most: u32, low: u32, high: u32, high_mask: u32 }
@group(0) @binding(0) var<storage, read> text: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> count: atomic<u32>;
@group(0) @binding(2) var<storage, read_write> hits: array<u32>;
@group(0) @binding(3) var<uniform> args: Args;
fn note(at: u32, low: vec4u, high: vec4u) {
  let found = (low == vec4(args.low)) & ((high & vec4(args.high_mask)) == vec4(args.high));
  if (!any(found)) { return; }
  for (var lane = 0u; lane < 4u; lane++) {
    if (!found[lane]) { continue; }
    let slot = atomicAdd(&count, 1u);
    if (slot < args.hits_most) { hits[slot] = at + lane * 4u; }
  }
}
@compute @workgroup_size(${ITEMS}) fn grep(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x * 16u;
  let here = text[id.x];
  let next = text[id.x + 1u].xy;
  let one = vec4u(here.yzw, next.x);
  let two = vec4u(here.zw, next);
  note(at, here, one);
  note(at + 1u, (here >> vec4(8u)) | (one << vec4(24u)), (one >> vec4(8u)) | (two << vec4(24u)));
  note(at + 2u, (here >> vec4(16u)) | (one << vec4(16u)), (one >> vec4(16u)) | (two << vec4(16u)));
  note(at + 3u, (here >> vec4(24u)) | (one << vec4(8u)), (one >> vec4(24u)) | (two << vec4(8u)));
}`

export const grep: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { length = 0, hitsMost = 0, low = 0, high = 0, highMask = 0 } = numbers
  const count = kit.buffer(4)
  const hits = kit.buffer(hitsMost * 4)
  const pipeline = await kit.pipeline(CODE, 'grep')
  const group = kit.group(pipeline, [kit.buffer(inputs.text as Uint8Array), count, hits, kit.uniform([hitsMost, low, high, highMask])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [(length / 16 - 1) / ITEMS] }]),
    reset: async () => {
      kit.write(count, Uint32Array.of(0))
      await rested(device.queue.onSubmittedWorkDone())
    },
    results: async () => ({ count: await kit.read(count), hits: await kit.read(hits) }),
    destroy: () => kit.destroy(),
  }
}
