// The plain side of the B+ tree. Always: nodes and records lie in arrays, and where the other side has a pointer there is an index; the root is the
// last node.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Node { keys: array<vec4u, 4>, children: array<u32, 16> }
struct Record { value: u32, uses: u32 }
struct Numbers { nodes: u32, height: u32 }
@group(0) @binding(0) var<storage, read> nodes: array<Node>;
@group(0) @binding(1) var<storage, read> records: array<Record>;
@group(0) @binding(2) var<storage, read> queries: array<u32>;
@group(0) @binding(3) var<storage, read_write> answers: array<u32>;
@group(0) @binding(4) var<uniform> numbers: Numbers;

fn rank(node: u32, key: u32) -> u32 {
  var below = vec4(0u);
  for (var n = 0u; n < 4u; n++) { below += select(vec4(0u), vec4(1u), nodes[node].keys[n] <= vec4(key)); }
  return below.x + below.y + below.z + below.w;
}

@compute @workgroup_size(32) fn look_up(@builtin(global_invocation_id) id: vec3u) {
  let key = queries[id.x];
  var node = numbers.nodes - 1u;
  for (var level = 1u; level < numbers.height; level++) { node = nodes[node].children[rank(node, key)]; }
  let after = rank(node, key);
  var value = 0u;
  if (after > 0u) {
    let slot = after - 1u;
    if (nodes[node].keys[slot / 4u][slot % 4u] == key) { value = records[nodes[node].children[slot]].value; }
  }
  answers[id.x] = value;
}`

const SLOTS = 16

export const bTree: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { nodes: count = 0, height = 0, queries: asked = 0 } = numbers
  const { keys, children, values, queries } = inputs as Record<string, Uint32Array>
  const nodes = new Uint32Array(count * SLOTS * 2)
  for (let node = 0; node < count; node++) {
    nodes.set((keys as Uint32Array).subarray(node * SLOTS, (node + 1) * SLOTS), node * SLOTS * 2)
    nodes.set((children as Uint32Array).subarray(node * SLOTS, (node + 1) * SLOTS), node * SLOTS * 2 + SLOTS)
  }
  const records = Uint32Array.from({ length: (values as Uint32Array).length * 2 }, (_, n) => (n % 2 === 0 ? (values?.[n >> 1] ?? 0) : 0))
  const answers = kit.buffer(asked * 4)
  const pipeline = await kit.pipeline(CODE, 'look_up')
  const group = kit.group(pipeline, [kit.buffer(nodes), kit.buffer(records), kit.buffer(queries as Uint32Array), answers, kit.uniform([count, height])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [asked / 32] }]),
    results: async () => ({ answers: await kit.read(answers) }),
    destroy: () => kit.destroy(),
  }
}
