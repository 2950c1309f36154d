// The kernels of the linked lists, in WGSL and as twins. Always: a list's head is its own; further nodes are taken by an atomic whose result is used, so
// where they lie differs from run to run.

import type { KernelDescriptor } from '../../src/index.ts'
import type { KernelMemory, KernelTwin } from '../../src/sim.ts'

export const LIST_LENGTH = 32
export const NODE_BYTES = 12

const NODE = 'struct Node { global_id: u32, position: u32, next: svm_ptr }'

/** The body of a creator: `head` and `fresh` say where nodes lie. */
const creating = (head: string, fresh: string) => `
  var node = ${head};
  svm_store_u32(node, id.x);
  svm_store_u32(svm_add(node, Node_position), 0u);
  for (var j = 1u; j < args.list_length; j++) {
    let fresh = ${fresh};
    svm_store_ptr(svm_add(node, Node_next), fresh);
    node = fresh;
    svm_store_u32(node, id.x);
    svm_store_u32(svm_add(node, Node_position), j);
  }
  svm_store_ptr(svm_add(node, Node_next), SVM_NULL);`

const verifying = (head: string) => `
  var node = ${head};
  for (var j = 0u; j < args.list_length; j++) {
    if (svm_load_u32(node) != id.x || svm_load_u32(svm_add(node, Node_position)) != j) { break; }
    svm_atomic_add_u32(args.correct, 1u);
    node = svm_load_ptr(svm_add(node, Node_next));
  }`

type PlaceOf = (args: Record<string, number>, k: number, position: number) => number

const creator =
  (placeOf: PlaceOf): KernelTwin =>
  ({ globalId: [i] }, args, memory) => {
    let node = placeOf(args, i, 0)
    memory.storeU32(node, i)
    memory.storeU32(node + 4, 0)
    for (let j = 1; j < (args.list_length as number) && !memory.faulted(); j++) {
      const fresh = placeOf(args, memory.atomicAddU32(args.index as number, 1), j)
      memory.storePointer(node + 8, fresh)
      node = fresh
      memory.storeU32(node, i)
      memory.storeU32(node + 4, j)
    }
    memory.storePointer(node + 8, 0)
  }

const verifier =
  (placeOf: PlaceOf): KernelTwin =>
  ({ globalId: [i] }, args, memory) =>
    walk(memory, placeOf(args, i, 0), i, args.correct as number, args.list_length as number)

function walk(memory: KernelMemory, first: number, list: number, correct: number, listLength: number): void {
  let node = first
  for (let j = 0; j < listLength && !memory.faulted(); j++) {
    if (memory.loadU32(node) !== list || memory.loadU32(node + 4) !== j) break
    memory.silentAtomicAddU32(correct, 1)
    node = memory.loadPointer(node + 8)
  }
}

const kernel = (entryPoint: string, declarations: string, body: string, twin: KernelTwin): KernelDescriptor => ({
  code: `${NODE}\n${declarations}\n@compute @workgroup_size(64) fn ${entryPoint}(@builtin(global_invocation_id) id: vec3u) {${body}\n}`,
  entryPoint,
  twin,
})

const argsOf = (fields: string) => `struct Args { ${fields}, list_length: u32 }\n@group(0) @binding(0) var<uniform> args: Args;`

// Over one buffer.

const placeInBuffer: PlaceOf = ({ nodes }, k) => (nodes as number) + k * NODE_BYTES

export const CREATE = kernel(
  'create_linked_lists',
  argsOf('nodes: svm_ptr, index: svm_ptr'),
  creating('svm_index(args.nodes, id.x, Node_size)', 'svm_index(args.nodes, svm_atomic_add_u32(args.index, 1u), Node_size)'),
  creator(placeInBuffer),
)
export const VERIFY = kernel(
  'verify_linked_lists',
  argsOf('nodes: svm_ptr, correct: svm_ptr'),
  verifying('svm_index(args.nodes, id.x, Node_size)'),
  verifier(placeInBuffer),
)

// Across two buffers, of which the kernel sees four halves: nodes at even positions lie in the first buffer, at odd ones in the second.

export const placeInHalves: PlaceOf = (args, k, position) => {
  const { low, high, low2, high2, half } = args as Record<'low' | 'high' | 'low2' | 'high2' | 'half', number>
  const [first, rest] = position % 2 === 1 ? [low2, high2] : [low, high]
  return k < half ? first + k * NODE_BYTES : rest + (k - half) * NODE_BYTES
}

const HALVES = `${argsOf('low: svm_ptr, high: svm_ptr, low2: svm_ptr, high2: svm_ptr, index: svm_ptr, correct: svm_ptr, half: u32')}
fn place(k: u32, position: u32) -> svm_ptr {
  let second = position % 2u == 1u;
  if (k < args.half) { return svm_index(svm_select(args.low, args.low2, second), k, Node_size); }
  return svm_index(svm_select(args.high, args.high2, second), k - args.half, Node_size);
}`

export const CREATE_IN_HALVES = kernel(
  'create_in_halves',
  HALVES,
  creating('place(id.x, 0u)', 'place(svm_atomic_add_u32(args.index, 1u), j)'),
  creator(placeInHalves),
)
export const VERIFY_IN_HALVES = kernel('verify_in_halves', HALVES, verifying('place(id.x, 0u)'), verifier(placeInHalves))
