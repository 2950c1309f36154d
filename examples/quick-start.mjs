// Quick start: one array, a kernel that doubles it, no staging code. Run it with: node examples/quick-start.mjs
import { openNodeSvm } from 'webgpu-svm/node'

const svm = await openNodeSvm()
const numbers = svm.allocFrom(Uint32Array.from({ length: 1000 }, (_, n) => n))
const kernel = await svm.createKernel({
  entryPoint: 'double',
  code: `struct Args { numbers: svm_ptr }
         @group(0) @binding(0) var<uniform> args: Args;
         @compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3u) {
           let p = svm_index(args.numbers, id.x, 4u);
           svm_store_u32(p, 2u * svm_load_u32(p));
         }`,
})
svm.queue.enqueue(kernel, { args: { numbers }, global: 1000 })
const doubled = await svm.read(numbers, Uint32Array, 1000)
await svm.close()

if (doubled.some((value, n) => value !== 2 * n)) throw new Error('The kernel did not double the numbers.')
console.log(`1000 numbers doubled: ${doubled.slice(0, 5).join(' ')} … ${doubled[999]}`)
