// PageRank by pulling: every vertex adds up what its neighbours hand out, four times over, each time from the array that the last iteration wrote.
// It shows a chain of launches that alternate between two arrays: nothing is read back, copied or rebound in between, an argument is a pointer.
//
// Always: a sum is taken in the order of the row, and nothing is multiplied and added in one step, so that the host gets the very same bits.

import type { DispatchResult, Svm, SvmEvent } from '../../src/index.ts'
import { expectSame } from './data.ts'
import { type Graph, wordGraph } from './word-graph.ts'
import type { Placed, Workload } from './workload.ts'

const ITERATIONS = 4
const DAMPING = 0.85

// The graph has every edge in both directions: its reversal, whose rows a pull needs, is itself.
const CODE = /* wgsl */ `
struct Args { rows: svm_ptr, targets: svm_ptr, factors: svm_ptr, given: svm_ptr, next: svm_ptr, ranks: svm_ptr, vertices: u32, base: f32 }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn pull(@builtin(global_invocation_id) id: vec3u) {
  let v = id.x;
  if (v >= args.vertices) { return; }
  let row = svm_index(args.rows, v, 4u);
  let end = svm_load_u32(svm_add(row, 4u));
  var rank = args.base;
  for (var e = svm_load_u32(row); e < end; e++) {
    let giver = svm_load_u32(svm_index(args.targets, e, 4u));
    rank += svm_load_f32(svm_index(args.given, giver, 4u));
  }
  svm_store_f32(svm_index(args.ranks, v, 4u), rank);
  // What v hands to each neighbour the next time.
  svm_store_f32(svm_index(args.next, v, 4u), rank * svm_load_f32(svm_index(args.factors, v, 4u)));
}`

/** Beside its row a vertex has a factor, two shares in turns and a rank. */
const BYTES_A_VERTEX = 16

export const pagerank: Workload = {
  name: 'pagerank',
  about: 'four iterations of PageRank by pulling: streams of rows, gathers from the array that the iteration before wrote',
  async make(bytes) {
    const graph = await wordGraph(bytes, BYTES_A_VERTEX)
    const { vertices, rows, targets } = graph
    /** The damping divided by the degree; a vertex without neighbours hands out nothing. */
    const factors = Float32Array.from({ length: vertices }, (_, v) => {
      const degree = (rows[v + 1] as number) - (rows[v] as number)
      return degree === 0 ? 0 : DAMPING / degree
    })
    const given = factors.map((factor) => factor / vertices)
    const base = Math.fround((1 - DAMPING) / vertices)
    return {
      workingSetBytes: rows.byteLength + targets.byteLength + vertices * BYTES_A_VERTEX,
      inputs: { rows, targets, factors, given },
      numbers: { vertices, iterations: ITERATIONS, base },
      exact: true,
      place: (svm) => place(svm, graph, factors, given, base),
      check({ ranks }) {
        const wanted = ranksOnHost(graph, factors, given, base)
        expectSame('ranks', ranks, Float32Array, vertices, (v) => wanted[v] as number)
      },
    }
  },
}

function ranksOnHost({ vertices, rows, targets }: Graph, factors: Float32Array, given: Float32Array, base: number): Float32Array {
  const ranks = new Float32Array(vertices)
  let from = given
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    for (let v = 0; v < vertices; v++) {
      let rank = base
      for (let e = rows[v] as number; e < (rows[v + 1] as number); e++) rank = Math.fround(rank + (from[targets[e] as number] as number))
      ranks[v] = rank
    }
    from = ranks.map((rank, v) => rank * (factors[v] as number))
  }
  return ranks
}

async function place(svm: Svm, { vertices, rows, targets }: Graph, factors: Float32Array, given: Float32Array, base: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'pull', label: 'pull' })
  const args = {
    rows: svm.allocFrom(rows, { label: 'rows' }),
    targets: svm.allocFrom(targets, { label: 'targets' }),
    factors: svm.allocFrom(factors, { label: 'factors' }),
    ranks: svm.alloc(vertices * 4, { label: 'ranks' }),
  }
  const shares = [svm.allocFrom(given, { label: 'even shares' }), svm.alloc(vertices * 4, { label: 'odd shares' })] as const
  return {
    async run() {
      const events: SvmEvent<DispatchResult>[] = []
      for (let n = 0; n < ITERATIONS; n++) {
        const turns = n % 2 === 0 ? { given: shares[0], next: shares[1] } : { given: shares[1], next: shares[0] }
        events.push(svm.queue.enqueue(kernel, { args: { ...args, ...turns, vertices, base }, global: vertices }))
      }
      return Promise.all(events.map((event) => event.done))
    },
    reset: () => svm.write(shares[0], given),
    results: async () => ({ ranks: await svm.read(args.ranks, vertices * 4) }),
    free: () => svm.queue.free([...Object.values(args), ...shares]).done,
  }
}
