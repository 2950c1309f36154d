// The plain side of the linked lists. Always: nodes are numbered, a number stands where the other side has a pointer; 0 is the end.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Node { value: u32, next: u32 }
@group(0) @binding(0) var<storage, read> nodes: array<Node>;
@group(0) @binding(1) var<storage, read> heads: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(64) fn walk(@builtin(global_invocation_id) id: vec3u) {
  var node = heads[id.x];
  var sum = 0u;
  while (node != 0u) {
    sum = 31u * sum + nodes[node - 1u].value;
    node = nodes[node - 1u].next;
  }
  sums[id.x] = sum;
}`

export const linkedList: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { lists = 0, nodes: count = 0 } = numbers
  const { values, next, heads } = inputs as Record<string, Uint32Array>
  const nodes = Uint32Array.from({ length: count * 2 }, (_, n) => (n % 2 === 0 ? values : next)?.[n >> 1] ?? 0)
  const sums = kit.buffer(lists * 4)
  const pipeline = await kit.pipeline(CODE, 'walk')
  const group = kit.group(pipeline, [kit.buffer(nodes), kit.buffer(heads as Uint32Array), sums])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [lists / 64] }]),
    results: async () => ({ sums: await kit.read(sums) }),
    destroy: () => kit.destroy(),
  }
}
