// Flat vector search over a mapped file of embeddings: the best 8 of all vectors for each of 4 queries. What it shows: a file that is searched again and
// again stays on the device as far as it fits; two launches of which the second reads what the first wrote, enqueued at once; queries in workgroup
// memory; barriers in a loop whose body reads memory.
//
// Always: the components are small whole numbers, so that scores are exact; of equal scores the first vector is the better one.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, once, smallNumbers } from './data.ts'
import { fileOf } from './file.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const COMPONENTS = 64
const QUERIES = 4
const BEST = 8
const ITEMS = 64

const CODE = /* wgsl */ `
struct Args { vectors: svm_ptr, queries: svm_ptr, scores: svm_ptr, best: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;

// Four queries of sixteen vec4f.
var<workgroup> queries: array<vec4f, 64>;

// A work-item scores one vector for all queries.
@compute @workgroup_size(64)
fn score(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) item: u32) {
  queries[item] = svm_load_vec4_f32(svm_index(args.queries, item, 16u));
  workgroupBarrier();
  let vector = svm_index(args.vectors, id.x, ${COMPONENTS * 4}u);
  var sums = vec4f();
  for (var part = 0u; part < 16u; part++) {
    let v = svm_load_vec4_f32(svm_index(vector, part, 16u));
    sums += vec4f(dot(v, queries[part]), dot(v, queries[16u + part]), dot(v, queries[32u + part]), dot(v, queries[48u + part]));
  }
  svm_store_vec4_f32(svm_index(args.scores, id.x, 16u), sums);
}

var<workgroup> scores: array<f32, 64>;
var<workgroup> indices: array<u32, 64>;

fn better(score: f32, index: u32, than: f32, than_index: u32) -> bool {
  return score > than || (score == than && index < than_index);
}

// A workgroup finds the best vectors for one query, one after the other: each time the best of those that are worse than the last one found.
@compute @workgroup_size(64)
fn choose(@builtin(workgroup_id) query: vec3u, @builtin(local_invocation_index) item: u32) {
  var last = 1e30f;
  var last_index = 0u;
  for (var rank = 0u; rank < ${BEST}u; rank++) {
    var mine = -1e30f;
    var mine_index = 0xffffffffu;
    for (var n = item; n < args.count; n += 64u) {
      let score = svm_load_f32(svm_add(args.scores, n * 16u + query.x * 4u));
      if (better(last, last_index, score, n) && better(score, n, mine, mine_index)) { mine = score; mine_index = n; }
    }
    scores[item] = mine;
    indices[item] = mine_index;
    workgroupBarrier();
    last = scores[0];
    last_index = indices[0];
    for (var i = 1u; i < 64u; i++) {
      if (better(scores[i], indices[i], last, last_index)) { last = scores[i]; last_index = indices[i]; }
    }
    workgroupBarrier();
    if (item == 0u) { svm_store_u32(svm_index(args.best, query.x * ${BEST}u + rank, 4u), last_index); }
  }
}`

export const vectorSearch: Workload = {
  name: 'vector-search',
  about: `the best ${BEST} vectors of a mapped file for each of ${QUERIES} queries: a scan of all of it, again and again`,
  make: problem,
}

function problem(bytes: number): Problem {
  const count = Math.max(1, Math.round(bytes / (COMPONENTS * 4 + QUERIES * 4) / ITEMS)) * ITEMS
  const vectors = centred(count * COMPONENTS, 1)
  const queries = centred(QUERIES * COMPONENTS, 2)
  const expected = once(() => onHost(vectors, queries, count))
  return {
    workingSetBytes: vectors.byteLength + count * QUERIES * 4,
    inputs: { vectors, queries },
    numbers: { count, queries: QUERIES, best: BEST },
    exact: true,
    place: (svm) => place(svm, vectors, queries, count),
    check: ({ best }) => expectSame('best', best, Uint32Array, QUERIES * BEST, (n) => expected()[n] as number),
  }
}

function centred(length: number, seed: number): Float32Array<ArrayBuffer> {
  return smallNumbers(length, seed, 16).map((number) => number - 8)
}

async function place(svm: Svm, components: Float32Array<ArrayBuffer>, fromQueries: Float32Array, count: number): Promise<Placed> {
  const score = await svm.createKernel({ code: CODE, entryPoint: 'score' })
  const choose = await svm.createKernel({ code: CODE, entryPoint: 'choose' })
  const file = await fileOf(new Uint8Array(components.buffer))
  const vectors = await svm.mmap(file.pager, { label: 'vectors' })
  const queries = svm.allocFrom(fromQueries, { label: 'queries' })
  const scores = svm.alloc(count * QUERIES * 4, { label: 'scores' })
  const best = svm.alloc(QUERIES * BEST * 4, { label: 'best' })
  const args = { vectors, queries, scores, best, count }
  return {
    run: () => Promise.all([svm.queue.enqueue(score, { args, global: count }).done, svm.queue.enqueue(choose, { args, global: QUERIES * ITEMS }).done]),
    results: async () => ({ best: bytesOf(await svm.read(best, QUERIES * BEST * 4)) }),
    free: async () => {
      await svm.queue.free([queries, scores, best]).done
      await svm.munmap(vectors)
      await file.remove()
    },
  }
}

function onHost(vectors: Float32Array, queries: Float32Array, count: number): Uint32Array {
  const best = new Uint32Array(QUERIES * BEST)
  for (let query = 0; query < QUERIES; query++) {
    const scores = new Float32Array(count)
    for (let n = 0; n < count; n++) {
      let sum = 0
      for (let k = 0; k < COMPONENTS; k++) sum += (vectors[n * COMPONENTS + k] as number) * (queries[query * COMPONENTS + k] as number)
      scores[n] = sum
    }
    const order = Uint32Array.from({ length: count }, (_, n) => n).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
    best.set(order.subarray(0, BEST), query * BEST)
  }
  return best
}
