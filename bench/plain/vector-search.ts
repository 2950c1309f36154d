// The plain side of the vector search: all vectors in one buffer. Always: both dispatches in one pass.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = (best: number) => `
@group(0) @binding(0) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(1) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(2) var<storage, read> from_queries: array<vec4f>;
var<workgroup> queries: array<vec4f, 64>;
@compute @workgroup_size(64)
fn score(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) item: u32) {
  queries[item] = from_queries[item];
  workgroupBarrier();
  var sums = vec4f();
  for (var part = 0u; part < 16u; part++) {
    let v = vectors[id.x * 16u + part];
    sums += vec4f(dot(v, queries[part]), dot(v, queries[16u + part]), dot(v, queries[32u + part]), dot(v, queries[48u + part]));
  }
  scores[id.x] = sums;
}

@group(0) @binding(3) var<storage, read> all: array<f32>;
@group(0) @binding(4) var<storage, read_write> best: array<u32>;
@group(0) @binding(5) var<uniform> count: u32;
var<workgroup> found: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;
fn better(score: f32, index: u32, than: f32, than_index: u32) -> bool {
  return score > than || (score == than && index < than_index);
}
@compute @workgroup_size(64)
fn choose(@builtin(workgroup_id) query: vec3u, @builtin(local_invocation_index) item: u32) {
  var last = 1e30f;
  var last_index = 0u;
  for (var rank = 0u; rank < ${best}u; rank++) {
    var mine = -1e30f;
    var mine_index = 0xffffffffu;
    for (var n = item; n < count; n += 64u) {
      let score = all[n * 4u + query.x];
      if (better(last, last_index, score, n) && better(score, n, mine, mine_index)) { mine = score; mine_index = n; }
    }
    found[item] = mine;
    indices[item] = mine_index;
    workgroupBarrier();
    last = found[0];
    last_index = indices[0];
    for (var i = 1u; i < 64u; i++) {
      if (better(found[i], indices[i], last, last_index)) { last = found[i]; last_index = indices[i]; }
    }
    workgroupBarrier();
    if (item == 0u) { best[query.x * ${best}u + rank] = last_index; }
  }
}`

export const vectorSearch: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { count = 0, queries = 0, best: most = 0 } = numbers
  const code = CODE(most)
  const scores = kit.buffer(count * queries * 4)
  const best = kit.buffer(queries * most * 4)
  const [score, choose] = await Promise.all([kit.pipeline(code, 'score'), kit.pipeline(code, 'choose')])
  const scoring = kit.group(score, [scores, kit.buffer(inputs.vectors as Float32Array), kit.buffer(inputs.queries as Float32Array)])
  const choosing = kit.group(choose, [scores, best, kit.uniform([count])], 3)
  const dispatches = [
    { pipeline: score, group: scoring, workgroups: [count / 64] as const },
    { pipeline: choose, group: choosing, workgroups: [queries] as const },
  ]
  return {
    run: () => kit.run(dispatches),
    results: async () => ({ best: await kit.read(best) }),
    destroy: () => kit.destroy(),
  }
}
