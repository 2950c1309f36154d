// A B+ tree with real pointers: JavaScript builds it bottom up in shared memory, a kernel descends from the root, to a leaf, to a record, following the
// addresses that JavaScript wrote. It shows a data structure of a program used as it is: not flattened, not copied, the hot nodes near the root and
// the leaves anywhere. The plain side must put nodes and records into arrays and write indices where this one has pointers.

import type { Svm } from '../../src/index.ts'
import { expectSame, random } from './data.ts'
import { mix } from './mix.ts'
import type { Placed, Workload } from './workload.ts'

const CODE = /* wgsl */ `
// 15 keys in order, then all ones to the end. Child k has the keys from keys[k - 1] on and below keys[k]; of a leaf, child k is the record of keys[k].
struct Node { keys: array<u32, 16>, children: array<svm_ptr, 16> }
struct Record { value: u32, uses: u32 }
struct Args { root: svm_ptr, height: u32, queries: svm_ptr, answers: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

// How many keys of the node are not above the key.
fn rank(node: svm_ptr, key: u32) -> u32 {
  var below = vec4(0u);
  for (var n = 0u; n < 4u; n++) {
    below += select(vec4(0u), vec4(1u), svm_load_vec4_u32(svm_index(svm_add(node, Node_keys), n, 16u)) <= vec4(key));
  }
  return below.x + below.y + below.z + below.w;
}

@compute @workgroup_size(32)
fn look_up(@builtin(global_invocation_id) id: vec3u) {
  let key = svm_load_u32(svm_index(args.queries, id.x, 4u));
  var node = args.root;
  for (var level = 1u; level < args.height; level++) {
    node = svm_load_ptr(svm_index(svm_add(node, Node_children), rank(node, key), SVM_PTR_SIZE));
  }
  let after = rank(node, key);
  var value = 0u;
  if (after > 0u) {
    if (svm_load_u32(svm_index(svm_add(node, Node_keys), after - 1u, 4u)) == key) {
      let record = svm_load_ptr(svm_index(svm_add(node, Node_children), after - 1u, SVM_PTR_SIZE));
      value = svm_load_u32(svm_add(record, Record_value));
    }
  }
  svm_store_u32(svm_index(args.answers, id.x, 4u), value);
}`

const SLOTS = 16
const NO_KEY = 0xffffffff
/** Nodes are filled so far: as a tree is that has seen many inserts. */
const FILLED = 12
/** With pointers of 32 bits: keys and children of a node, a record. */
const NODE_BYTES = 128
const RECORD_BYTES = 8
const RECORDS_A_QUERY = 16

/** By level, the leaves first. A node is its first key's subtree: `firsts[k]` is the smallest key below child k. */
interface Tree {
  readonly keys: Uint32Array<ArrayBuffer>
  /** Nodes of each level. */
  readonly levels: readonly number[]
  /** Of all nodes, level by level, SLOTS a node. */
  readonly nodeKeys: Uint32Array<ArrayBuffer>
  /** The number of a node, or of a record where the node is a leaf; NO_KEY where there is none. */
  readonly nodeChildren: Uint32Array<ArrayBuffer>
}

export const bTree: Workload = {
  name: 'b-tree',
  about: 'lookups in a B+ tree of pointers: a few hot pages near the root, then a leaf and a record anywhere',
  make(bytes) {
    const records = Math.ceil(bytes / (RECORD_BYTES + (NODE_BYTES * 1.1) / FILLED + 8 / RECORDS_A_QUERY))
    const tree = buildTree(records)
    const values = Uint32Array.from(tree.keys, (key) => mix(key) | 1)
    const queries = drawQueries(tree.keys, Math.ceil(records / RECORDS_A_QUERY / 32) * 32)
    const nodes = tree.nodeKeys.length / SLOTS
    return {
      workingSetBytes: nodes * NODE_BYTES + records * RECORD_BYTES + queries.byteLength * 2,
      inputs: { keys: tree.nodeKeys, children: tree.nodeChildren, values, queries },
      numbers: { nodes, records, height: tree.levels.length, queries: queries.length },
      exact: true,
      place: (svm) => place(svm, tree, values, queries),
      check({ answers }) {
        const known = new Map(Array.from(tree.keys, (key, n) => [key, values[n] as number]))
        expectSame('answers', answers, Uint32Array, queries.length, (n) => known.get(queries[n] as number) ?? 0)
      },
    }
  },
}

/** Keys with gaps of 1 to 16. */
function buildTree(records: number): Tree {
  const next = random(192)
  const keys = new Uint32Array(records)
  for (let n = 0; n < records; n++) keys[n] = (keys[n - 1] ?? 0) + 1 + (next() >>> 28)
  const levels: number[] = []
  const nodeKeys: number[] = []
  const nodeChildren: number[] = []
  /** What the level above has to hold: a number, and the smallest key below it. */
  let below = Array.from(keys, (key, n) => ({ key, number: n }))
  do {
    const here: typeof below = []
    const first = nodeKeys.length / SLOTS
    for (let start = 0; start < below.length; start += FILLED) {
      const mine = below.slice(start, start + FILLED)
      // A leaf has a key for each record; a node above has none for its first child.
      const separators = levels.length === 0 ? mine : mine.slice(1)
      here.push({ key: mine[0]?.key as number, number: first + here.length })
      for (let slot = 0; slot < SLOTS; slot++) {
        nodeKeys.push(separators[slot]?.key ?? NO_KEY)
        nodeChildren.push(mine[slot]?.number ?? NO_KEY)
      }
    }
    levels.push(here.length)
    below = here
  } while (below.length > 1)
  return { keys, levels, nodeKeys: Uint32Array.from(nodeKeys), nodeChildren: Uint32Array.from(nodeChildren) }
}

/** Half of them are keys, the others are mostly not. */
function drawQueries(keys: Uint32Array, count: number): Uint32Array<ArrayBuffer> {
  const next = random(193)
  return Uint32Array.from({ length: count }, (_, n) => (keys[next() % keys.length] as number) + (n % 2))
}

async function place(svm: Svm, tree: Tree, values: Uint32Array, asked: Uint32Array): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'look_up', label: 'look up' })
  const records = svm.alloc(values.length * (kernel.layouts.Record?.byteLength as number), { label: 'records' })
  await svm.using(records, values.length * RECORD_BYTES, 'write-discard', ({ u32 }) => {
    values.forEach((value, n) => {
      u32[2 * n] = value
      u32[2 * n + 1] = 0
    })
  })
  const nodeBytes = kernel.layouts.Node?.byteLength as number
  const childrenAt = kernel.layouts.Node?.fields.children?.offset as number
  const pointerBytes = svm.addressBits / 8
  const nodes = tree.nodeKeys.length / SLOTS
  const leaves = tree.levels[0] as number
  const pointer = svm.alloc(nodes * nodeBytes, { label: 'nodes' })
  await svm.using(pointer, nodes * nodeBytes, 'write-discard', (mapping) => {
    for (let node = 0; node < nodes; node++) {
      const at = pointer + node * nodeBytes
      mapping.u32.set(tree.nodeKeys.subarray(node * SLOTS, (node + 1) * SLOTS), (node * nodeBytes) / 4)
      for (let slot = 0; slot < SLOTS; slot++) {
        const child = tree.nodeChildren[node * SLOTS + slot] as number
        const target = node < leaves ? records + child * RECORD_BYTES : pointer + child * nodeBytes
        mapping.setPointer(at + childrenAt + slot * pointerBytes, child === NO_KEY ? 0 : target)
      }
    }
  })
  const queries = svm.allocFrom(asked, { label: 'queries' })
  const answers = svm.alloc(asked.byteLength, { label: 'answers' })
  const args = { root: pointer + (nodes - 1) * nodeBytes, height: tree.levels.length, queries, answers }
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args, global: asked.length }).done],
    results: async () => ({ answers: await svm.read(answers, asked.byteLength) }),
    free: () => svm.queue.free([records, pointer, queries, answers]).done,
  }
}
