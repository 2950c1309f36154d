// programs.ts: what a stranger would write with the installed package: the same job in Node, in the browser, on the simulated device.
// Always: they name nothing but the package's public entries, and leave `{ sum, again }`: the sum of the doubled numbers (999,000),
// and the pages that a second migration to the same place moves (0).

const job = `
const code = \`
struct Args { data: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64)
fn double(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= args.count) { return; }
  let at = svm_index(args.data, id.x, 4u);
  svm_store_u32(at, svm_load_u32(at) * 2u);
}\`

function twin({ globalId }, args, memory) {
  if (globalId[0] >= args.count) return
  const at = args.data + globalId[0] * 4
  memory.storeU32(at, memory.loadU32(at) * 2)
}

async function run(svm) {
  const count = 1000
  const data = svm.allocFrom(Uint32Array.from({ length: count }, (_, index) => index))
  const kernel = await svm.createKernel({ code, entryPoint: 'double', twin })
  await svm.queue.enqueue(kernel, { args: { data, count }, global: 1024 }).done
  await svm.queue.migrate({ pointer: data }).done
  const again = await svm.queue.migrate({ pointer: data }).done
  const doubled = await svm.read(data, Uint32Array, count)
  await svm.close()
  return { sum: doubled.reduce((sum, value) => sum + value, 0), again: again.moved }
}
`

export const answer = { sum: 999_000, again: 0 }

export const inNode = `import { openNodeSvm } from 'webgpu-svm/node'
${job}
console.log(JSON.stringify(await run(await openNodeSvm())))
`

export const simulated = `import { openSvm } from 'webgpu-svm'
import { simDevice } from 'webgpu-svm/sim'
${job}
console.log(JSON.stringify(await run(await openSvm({ device: simDevice({ seed: 1 }) }))))
`

export const inBrowser = `import { openSvm, svmDeviceDescriptor } from 'webgpu-svm'
${job}
async function main() {
  const adapter = await navigator.gpu.requestAdapter()
  const device = await adapter.requestDevice(svmDeviceDescriptor(adapter))
  return run(await openSvm({ device }))
}
window.answer = main().catch((error) => ({ error: String(error.stack) }))
`

/** Types as a stranger sees them, with the declarations of the package itself checked too. */
export const typed = `import { openSvm, SvmError, type Svm, type SvmPointer } from 'webgpu-svm'
import { openNodeSvm } from 'webgpu-svm/node'
import { simDevice } from 'webgpu-svm/sim'
export async function use(): Promise<number> {
  const svm: Svm = await openSvm({ device: simDevice({ seed: 1 }) })
  const other: Svm = await openNodeSvm()
  const pointer: SvmPointer = svm.alloc(4096)
  const numbers: Uint32Array = await svm.read(pointer, Uint32Array, 4)
  await other.close()
  if (numbers[0] !== 0) throw new SvmError('internal', 'zeros were expected')
  return numbers.length
}
`
