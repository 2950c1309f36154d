// The plain side of PageRank: two bind groups in turns, all iterations in one submission. Always: the shares of the last iteration are read, those of
// the next written.

import { f32, PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Numbers { vertices: u32, base: f32 }
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> factors: array<f32>;
@group(0) @binding(3) var<storage, read> given: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> ranks: array<f32>;
@group(0) @binding(6) var<uniform> numbers: Numbers;
@compute @workgroup_size(64) fn pull(@builtin(global_invocation_id) id: vec3u) {
  let v = id.x;
  if (v >= numbers.vertices) { return; }
  let end = rows[v + 1u];
  var rank = numbers.base;
  for (var e = rows[v]; e < end; e++) { rank += given[targets[e]]; }
  ranks[v] = rank;
  next[v] = rank * factors[v];
}`

export const pagerank: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { vertices = 0, iterations = 0, base = 0 } = numbers
  const given = inputs.given as Float32Array
  const [rows, targets, factors] = [
    kit.buffer(inputs.rows as Uint32Array),
    kit.buffer(inputs.targets as Uint32Array),
    kit.buffer(inputs.factors as Float32Array),
  ]
  const shares = [kit.buffer(given), kit.buffer(vertices * 4)] as const
  const ranks = kit.buffer(vertices * 4)
  const size = kit.uniform([vertices, f32(base)])
  const pipeline = await kit.pipeline(CODE, 'pull')
  const groups = [
    kit.group(pipeline, [rows, targets, factors, shares[0], shares[1], ranks, size]),
    kit.group(pipeline, [rows, targets, factors, shares[1], shares[0], ranks, size]),
  ]
  const workgroups = [Math.ceil(vertices / 64)] as const
  return {
    run: () => kit.run(Array.from({ length: iterations }, (_, n) => ({ pipeline, group: groups[n % 2] as GPUBindGroup, workgroups }))),
    reset: async () => kit.write(shares[0], given),
    results: async () => ({ ranks: await kit.read(ranks) }),
    destroy: () => kit.destroy(),
  }
}
