// A file larger than the GPU: mapped, summed by a kernel, paged in as it goes. Run it with: node examples/larger-than-gpu.mjs [FILE]
import { createReadStream } from 'node:fs'
import { filePager, openNodeSvm } from 'webgpu-svm/node'

const path = process.argv[2] ?? process.execPath
const ITEMS = 64
/** Bytes of the file that one workgroup adds up. */
const GROUP_BYTES = 65_536
const code = `struct Args { file: svm_ptr, words: u32, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> partial: array<u32, ${ITEMS}>;

@compute @workgroup_size(${ITEMS})
fn add_up(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  var sum = 0u;
  for (var k = item; k < ${GROUP_BYTES / 4}u; k += ${ITEMS}u) {
    let word = group.x * ${GROUP_BYTES / 4}u + k;
    // Behind the end of the file, its last page reads as zero; there is no page after that.
    if (word < args.words) { sum += svm_load_u32(svm_index(args.file, word, 4u)); }
  }
  partial[item] = sum;
  workgroupBarrier();
  if (item > 0u) { return; }
  for (var i = 1u; i < ${ITEMS}u; i++) { sum += partial[i]; }
  svm_store_u32(svm_index(args.sums, group.x, 4u), sum);
}`

const svm = await openNodeSvm({ deviceMemory: 4 * 2 ** 20 })
const pager = await filePager(path)
const file = await svm.mmap(pager)
const groups = Math.ceil(Math.min(pager.size, 32 * 2 ** 20) / GROUP_BYTES)
const bytes = Math.min(pager.size, groups * GROUP_BYTES)
const sums = svm.alloc(groups * 4)
const kernel = await svm.createKernel({ code, entryPoint: 'add_up' })
const result = await svm.queue.enqueue(kernel, { args: { file, words: Math.ceil(bytes / 4), sums }, global: groups * ITEMS }).done
const got = (await svm.read(sums, Uint32Array, groups)).reduce((sum, part) => (sum + part) >>> 0, 0)
const { budgetBytes, peakBytes } = svm.stats().devices[0]
await svm.close()
await pager.close()

// The same on the host: bytes in their places within words.
let expected = 0
let at = 0
for await (const chunk of createReadStream(path, { end: bytes - 1 })) {
  for (const byte of chunk) expected = (expected + (byte << (8 * (at++ % 4)))) >>> 0
}
if (got !== expected) throw new Error(`The kernel's sum is ${got}; the host's is ${expected}.`)
console.log(`${bytes} bytes of ${path} add up to ${got}, with ${peakBytes} of ${budgetBytes} bytes on the device.`)
console.log(`${result.faults} faults, ${result.rounds} rounds, ${result.evictions} evictions, ${result.bytesIn} bytes in.`)
