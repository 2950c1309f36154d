// Breadth-first search, the form with queues: whoever reaches a vertex first (a compare-and-exchange decides) appends it to the next queue, at a place
// that an atomic add gives. It shows what must happen exactly once although work is replayed: a workgroup that met an absent page after it had taken
// a place runs again, and no place is lost and no vertex is there twice. The length of a queue is read by the kernel from memory, never by the host
// between two levels: eight levels are enqueued at a time.

import type { DispatchResult, Svm, SvmEvent } from '../../src/index.ts'
import { expectSame, numbersOf } from './data.ts'
import { type Graph, levelsOnHost, wordGraph } from './word-graph.ts'
import type { Placed, Results, Workload } from './workload.ts'

const NONE = 0xffffffff
/** Levels in one batch. */
const BATCH = 8

const CODE = /* wgsl */ `
struct Args { rows: svm_ptr, targets: svm_ptr, levels: svm_ptr, parents: svm_ptr, lengths: svm_ptr, queue: svm_ptr, next: svm_ptr, level: u32, items: u32 }
@group(0) @binding(0) var<uniform> args: Args;
const NONE = 0xffffffffu;

// Small workgroups: the neighbours of 32 words lie on fewer pages than those of 64, and a workgroup must fit in memory alone.
@compute @workgroup_size(32)
fn expand(@builtin(global_invocation_id) id: vec3u) {
  // Queue n has lengths[n] vertices.
  let lengths = svm_index(args.lengths, args.level, 4u);
  let length = svm_load_u32(lengths);
  for (var place = id.x; place < length; place += args.items) {
    let v = svm_load_u32(svm_index(args.queue, place, 4u));
    let row = svm_index(args.rows, v, 4u);
    let end = svm_load_u32(svm_add(row, 4u));
    for (var e = svm_load_u32(row); e < end; e++) {
      let to = svm_load_u32(svm_index(args.targets, e, 4u));
      if (svm_atomic_compare_exchange_u32(svm_index(args.levels, to, 4u), NONE, args.level + 1u) == NONE) {
        svm_store_u32(svm_index(args.parents, to, 4u), v);
        svm_store_u32(svm_index(args.next, svm_atomic_add_u32(svm_add(lengths, 4u), 1u), 4u), to);
      }
    }
  }
}`

/** Beside its row a vertex has a level, a parent and a place in each queue. */
const BYTES_A_VERTEX = 16
/** More levels than the graph has, whatever part of it is taken. */
const LEVELS = 128
/** Work-items of a launch for each component: a level of the graph has 13,219 vertices at most, so that few take a second one. */
const ITEMS = 8192

export const bfsQueue: Workload = {
  name: 'bfs-queue',
  about: 'breadth-first search with a queue for each level: dependent loads, compare-and-exchange, append; any parent one step nearer is right',
  async make(bytes) {
    const graph = await wordGraph(bytes, BYTES_A_VERTEX)
    const { vertices, rows, targets, sources } = graph
    return {
      workingSetBytes: rows.byteLength + targets.byteLength + vertices * BYTES_A_VERTEX + LEVELS * 4,
      inputs: { rows, targets, sources },
      numbers: { vertices, edges: targets.length, levels: LEVELS, batch: BATCH, items: ITEMS * sources.length },
      exact: false,
      place: (svm) => place(svm, graph),
      check: (results) => check(graph, results),
    }
  },
}

function check(graph: Graph, results: Results): void {
  const { vertices, rows, targets } = graph
  const levels = levelsOnHost(graph, NONE)
  expectSame('levels', results.levels, Uint32Array, vertices, (v) => levels[v] as number)
  const lengths = new Uint32Array(LEVELS)
  for (const level of levels) if (level !== NONE) lengths[level] = (lengths[level] as number) + 1
  expectSame('lengths', results.lengths, Uint32Array, LEVELS, (level) => lengths[level] as number)
  const parents = numbersOf(results.parents as Uint8Array, Uint32Array)
  for (let v = 0; v < vertices; v++) {
    const level = levels[v] as number
    const parent = parents[v] as number
    const isRoot = level === 0 || level === NONE
    const right = isRoot ? parent === NONE : levels[parent] === level - 1 && targets.subarray(rows[v], rows[v + 1]).includes(parent)
    if (!right) throw new Error(`parents[${v}] is ${parent}, at level ${levels[parent]}; the vertex is at level ${level}.`)
  }
}

async function place(svm: Svm, { vertices, rows, targets, sources }: Graph): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'expand', label: 'expand' })
  const args = {
    rows: svm.allocFrom(rows, { label: 'rows' }),
    targets: svm.allocFrom(targets, { label: 'targets' }),
    levels: svm.alloc(vertices * 4, { label: 'levels' }),
    parents: svm.alloc(vertices * 4, { label: 'parents' }),
    lengths: svm.alloc(LEVELS * 4, { label: 'lengths' }),
  }
  const items = ITEMS * sources.length
  const queues = [svm.alloc(vertices * 4, { label: 'even queue' }), svm.alloc(vertices * 4, { label: 'odd queue' })] as const
  const reset = async () => {
    const levels = new Uint32Array(vertices).fill(NONE)
    for (const source of sources) levels[source] = 0
    await svm.write(args.levels, levels)
    await svm.write(args.parents, new Uint32Array(vertices).fill(NONE))
    const lengths = new Uint32Array(LEVELS)
    lengths[0] = sources.length
    await svm.write(args.lengths, lengths)
    await svm.write(queues[0], sources)
  }
  await reset()
  return {
    async run() {
      const results: DispatchResult[] = []
      for (let level = 0; ; level += BATCH) {
        const events: SvmEvent<DispatchResult>[] = []
        for (let n = level; n < level + BATCH; n++) {
          const turns = { queue: queues[n % 2 === 0 ? 0 : 1], next: queues[n % 2 === 0 ? 1 : 0] }
          events.push(svm.queue.enqueue(kernel, { args: { ...args, ...turns, level: n, items }, global: items }))
        }
        for (const event of events) results.push(await event.done)
        const [last] = await svm.read(args.lengths + (level + BATCH) * 4, Uint32Array, 1)
        if (last === 0) return results
      }
    },
    reset,
    async results() {
      const read = (pointer: number, length: number) => svm.read(pointer, length * 4)
      return { levels: await read(args.levels, vertices), parents: await read(args.parents, vertices), lengths: await read(args.lengths, LEVELS) }
    },
    free: () => svm.queue.free([...Object.values(args), ...queues]).done,
  }
}
