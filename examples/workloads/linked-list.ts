// Linked lists, walked by a kernel: JavaScript writes nodes that hold pointers to nodes, and a work-item follows one list from its head to its end. It
// shows what a pointer is here: the number that JavaScript wrote is the address that the kernel loads from, whichever memory the node is in by then.
// Each load waits for the one before it, so nothing can be asked for in advance. The plain side must number the nodes and write the numbers instead.

import type { HostMapping, Svm, SvmKernel } from '../../src/index.ts'
import { expectSame, randomWords, shuffled } from './data.ts'
import type { Placed, Workload } from './workload.ts'

const CODE = /* wgsl */ `
struct Node { value: u32, next: svm_ptr }
struct Args { heads: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn walk(@builtin(global_invocation_id) id: vec3u) {
  var node = svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE));
  var sum = 0u;
  while (!svm_is_null(node)) {
    sum = 31u * sum + svm_load_u32(svm_add(node, Node_value));
    node = svm_load_ptr(svm_add(node, Node_next));
  }
  svm_store_u32(svm_index(args.sums, id.x, 4u), sum);
}`

/** Nodes of a list on average. */
const NODES = 64
/** Lists whose nodes lie among each other, in any order; those of others lie elsewhere, as if each thread of a program had a heap of its own. */
const LISTS_A_HEAP = 256
/** Where pointers have 32 bits. */
const NODE_BYTES = 8

export const linkedList: Workload = {
  name: 'linked-list',
  about: 'each work-item follows the pointers of one list, through nodes in any order: loads that depend on each other, and nothing else',
  make(bytes) {
    const lists = Math.ceil(bytes / (NODES * NODE_BYTES + 8) / 64) * 64
    const { values, next, heads } = makeLists(lists)
    return {
      workingSetBytes: values.length * NODE_BYTES + lists * 8,
      inputs: { values, next, heads },
      numbers: { lists, nodes: values.length },
      exact: true,
      place: (svm) => place(svm, values, next, heads),
      check({ sums }) {
        expectSame('sums', sums, Uint32Array, lists, (list) => {
          let sum = 0
          for (let node = heads[list] as number; node !== 0; node = next[node - 1] as number) sum = (Math.imul(31, sum) + (values[node - 1] as number)) >>> 0
          return sum
        })
      },
    }
  },
}

/** Nodes have numbers from 1 on; 0 is none. The lists of a heap take places of it in turn; in the end the even ones have 80 nodes, the odd ones 48. */
function makeLists(lists: number): Record<'values' | 'next' | 'heads', Uint32Array<ArrayBuffer>> {
  const nodes = lists * NODES
  const values = randomWords(nodes, 19)
  const next = new Uint32Array(nodes)
  const heads = new Uint32Array(lists)
  for (let first = 0; first < lists; first += LISTS_A_HEAP) {
    const here = Math.min(LISTS_A_HEAP, lists - first)
    const places = shuffled(here * NODES, first)
    places.forEach((place, n) => {
      // The last sixteen rounds go to the even lists alone.
      const list = first + (n < here * (NODES - 16) || n % 2 === 0 ? n % here : (n - 1) % here)
      const node = first * NODES + place
      next[node] = heads[list] as number
      heads[list] = node + 1
    })
  }
  return { values, next, heads }
}

async function place(svm: Svm, values: Uint32Array, next: Uint32Array, firsts: Uint32Array): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'walk', label: 'walk' })
  const nodeBytes = kernel.layouts.Node?.byteLength as number
  const pointerBytes = svm.addressBits / 8
  const nodes = svm.alloc(values.length * nodeBytes, { label: 'nodes' })
  const addressOf = (node: number) => (node === 0 ? 0 : nodes + (node - 1) * nodeBytes)
  await svm.using(nodes, values.length * nodeBytes, 'write-discard', (mapping) => writeNodes(mapping, kernel, values, next, addressOf))
  const heads = svm.alloc(firsts.length * pointerBytes, { label: 'heads' })
  await svm.using(heads, firsts.length * pointerBytes, 'write-discard', (mapping) => {
    firsts.forEach((node, list) => {
      mapping.setPointer(heads + list * pointerBytes, addressOf(node))
    })
  })
  const sums = svm.alloc(firsts.length * 4, { label: 'sums' })
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args: { heads, sums }, global: firsts.length }).done],
    results: async () => ({ sums: await svm.read(sums, firsts.length * 4) }),
    free: () => svm.queue.free([nodes, heads, sums]).done,
  }
}

function writeNodes(mapping: HostMapping, kernel: SvmKernel, values: Uint32Array, next: Uint32Array, addressOf: (node: number) => number): void {
  const { value, next: link } = kernel.layouts.Node?.fields ?? {}
  values.forEach((word, n) => {
    const at = addressOf(n + 1)
    mapping.view.setUint32(at - mapping.pointer + (value?.offset as number), word, true)
    mapping.setPointer(at + (link?.offset as number), addressOf(next[n] as number))
  })
}
