// Linked lists: JavaScript writes nodes with pointers, a kernel follows the same pointers. Run it with: node examples/linked-lists.mjs
import { openNodeSvm } from 'webgpu-svm/node'

const LISTS = 256
const NODES = 20_000
const code = `struct Node { value: u32, next: svm_ptr }
struct Args { heads: svm_ptr, sum: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn walk(@builtin(global_invocation_id) id: vec3u) {
  var node = svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE));
  loop {
    if (svm_is_null(node)) { break; }
    svm_atomic_add_u32(args.sum, svm_load_u32(svm_add(node, Node_value)));
    node = svm_load_ptr(svm_add(node, Node_next));
  }
}`

const svm = await openNodeSvm()
const kernel = await svm.createKernel({ code, entryPoint: 'walk' })
// Offsets and sizes of the structs in the WGSL text: written once, there.
const { byteLength: nodeBytes, fields } = kernel.layouts.Node

const nodes = svm.alloc(NODES * nodeBytes)
const heads = svm.alloc(LISTS * 4)
const sum = svm.alloc(4)
let expected = 0
// Node n goes in front of list n % LISTS, in a place that has nothing to do with its neighbours'.
const last = new Array(LISTS).fill(0)
await svm.using(nodes, NODES * nodeBytes, 'write-discard', (mapping) => {
  for (let n = 0; n < NODES; n++) {
    const at = nodes + ((n * 7919) % NODES) * nodeBytes
    const list = n % LISTS
    mapping.view.setUint32(at - nodes + fields.value.offset, n, true)
    mapping.setPointer(at + fields.next.offset, last[list])
    last[list] = at
    expected += n
  }
})
await svm.using(heads, LISTS * 4, 'write-discard', (mapping) => {
  for (let list = 0; list < LISTS; list++) mapping.setPointer(heads + list * 4, last[list])
})

const { faults, rounds } = await svm.queue.enqueue(kernel, { args: { heads, sum }, global: LISTS }).done
const [got] = await svm.read(sum, Uint32Array, 1)
await svm.close()

if (got !== expected) throw new Error(`The kernel's sum is ${got}; JavaScript's is ${expected}.`)
console.log(`${NODES} nodes in ${LISTS} lists add up to ${got}; the kernel faulted on ${faults} pages in ${rounds} rounds.`)
