// Breadth-first search, the form with a mask: each step looks at every vertex, and those of the current level offer themselves as parents to their
// neighbours. It shows a chain of small launches over one graph in shared virtual memory: eight levels are enqueued at a time, and only then a few
// words are read to see whether the last of them still found anybody.
//
// Always: no two work-items write what the other reads in the same launch; a parent is the smallest of those that offered themselves (an atomic
// minimum whose result nobody uses), so that every result is the same in any order.

import type { DispatchResult, Svm, SvmEvent } from '../../src/index.ts'
import { expectSame } from './data.ts'
import { type Graph, levelsOnHost, wordGraph } from './word-graph.ts'
import type { Placed, Workload } from './workload.ts'

const NONE = 0xffffffff
/** Levels in one batch. */
const BATCH = 8

const CODE = /* wgsl */ `
struct Args { rows: svm_ptr, targets: svm_ptr, levels: svm_ptr, parents: svm_ptr, found: svm_ptr, fours: u32, level: u32 }
@group(0) @binding(0) var<uniform> args: Args;
const NONE = 0xffffffffu;

fn offer_to_neighbours(v: u32) {
  let row = svm_index(args.rows, v, 4u);
  let end = svm_load_u32(svm_add(row, 4u));
  for (var e = svm_load_u32(row); e < end; e++) {
    let to = svm_load_u32(svm_index(args.targets, e, 4u));
    if (svm_load_u32(svm_index(args.levels, to, 4u)) == NONE) { svm_atomic_min_u32(svm_index(args.parents, to, 4u), v); }
  }
}

// A work-item looks at four vertices at once; mostly none of them is of this level.
@compute @workgroup_size(64)
fn offer(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= args.fours) { return; }
  let now = svm_load_vec4_u32(svm_index(args.levels, id.x, 16u)) == vec4(args.level);
  if (!any(now)) { return; }
  for (var n = 0u; n < 4u; n++) {
    if (now[n]) { offer_to_neighbours(4u * id.x + n); }
  }
}

@compute @workgroup_size(64)
fn settle(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= args.fours) { return; }
  let four = svm_index(args.levels, id.x, 16u);
  let levels = svm_load_vec4_u32(four);
  let reached = (levels == vec4(NONE)) & (svm_load_vec4_u32(svm_index(args.parents, id.x, 16u)) != vec4(NONE));
  if (!any(reached)) { return; }
  svm_store_vec4_u32(four, select(levels, vec4(args.level + 1u), reached));
  svm_atomic_or_u32(svm_index(args.found, args.level + 1u, 4u), 1u);
}`

/** Beside its row a vertex has a level and a parent. */
const BYTES_A_VERTEX = 8
/** More levels than the graph has, whatever part of it is taken. */
const LEVELS = 128

export const bfsMask: Workload = {
  name: 'bfs-mask',
  about: 'breadth-first search over all vertices at each level: streams with holes, scattered atomics, a chain of launches',
  async make(bytes) {
    const graph = await wordGraph(bytes, BYTES_A_VERTEX)
    const { vertices, rows, targets, sources } = graph
    return {
      workingSetBytes: rows.byteLength + targets.byteLength + vertices * BYTES_A_VERTEX + LEVELS * 4,
      inputs: { rows, targets, sources },
      numbers: { vertices, edges: targets.length, levels: LEVELS, batch: BATCH },
      exact: true,
      place: (svm) => place(svm, graph),
      check(results) {
        const levels = levelsOnHost(graph, NONE)
        expectSame('levels', results.levels, Uint32Array, vertices, (v) => levels[v] as number)
        expectSame('parents', results.parents, Uint32Array, vertices, (v) => firstParent(graph, levels, v))
      },
    }
  },
}

/** The first neighbour that is one step nearer; a source is its own parent. */
function firstParent({ rows, targets }: Graph, levels: Uint32Array, v: number): number {
  const level = levels[v] as number
  if (level === 0) return v
  return targets.subarray(rows[v], rows[v + 1]).find((to) => levels[to] === level - 1 && level !== NONE) ?? NONE
}

async function place(svm: Svm, { vertices, rows, targets, sources }: Graph): Promise<Placed> {
  const fours = Math.ceil(vertices / 4)
  const [offer, settle] = await Promise.all(['offer', 'settle'].map((entryPoint) => svm.createKernel({ code: CODE, entryPoint, label: entryPoint })))
  const args = {
    rows: svm.allocFrom(rows, { label: 'rows' }),
    targets: svm.allocFrom(targets, { label: 'targets' }),
    levels: svm.alloc(fours * 16, { label: 'levels' }),
    parents: svm.alloc(fours * 16, { label: 'parents' }),
    found: svm.alloc(LEVELS * 4, { label: 'found' }),
    fours,
  }
  const atSources = (mark: (source: number) => number) => {
    const words = new Uint32Array(fours * 4).fill(NONE)
    for (const source of sources) words[source] = mark(source)
    return words
  }
  const reset = async () => {
    await svm.write(
      args.levels,
      atSources(() => 0),
    )
    await svm.write(
      args.parents,
      atSources((source) => source),
    )
    await svm.write(args.found, new Uint32Array(LEVELS))
  }
  await reset()
  return {
    async run() {
      const results: DispatchResult[] = []
      for (let level = 0; ; level += BATCH) {
        const events: SvmEvent<DispatchResult>[] = []
        for (let n = level; n < level + BATCH; n++) {
          for (const kernel of [offer, settle]) events.push(svm.queue.enqueue(kernel, { args: { ...args, level: n }, global: fours }))
        }
        for (const event of events) results.push(await event.done)
        const [last] = await svm.read(args.found + (level + BATCH) * 4, Uint32Array, 1)
        if (last === 0) return results
      }
    },
    reset,
    results: async () => ({ levels: await svm.read(args.levels, vertices * 4), parents: await svm.read(args.parents, vertices * 4) }),
    free: () => svm.queue.free([args.rows, args.targets, args.levels, args.parents, args.found]).done,
  }
}
