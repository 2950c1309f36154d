// advise.test.ts: advice as kernels on a real device see it. Always: whatever was advised, the bytes are what was written.

import { expect, test } from 'vitest'
import type { Svm } from '../../src/index.ts'
import { MIB, PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const WORDS = PAGE / 4
const PAGES = 16
const CODE = `struct Args { data: svm_ptr, sum: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1)
fn add(@builtin(global_invocation_id) id: vec3u) { svm_atomic_add_u32(args.sum, svm_load_u32(svm_index(args.data, id.x, ${PAGE}u))); }
@compute @workgroup_size(1)
fn step(@builtin(global_invocation_id) id: vec3u) {
  let at = svm_index(args.data, id.x, ${PAGE}u);
  svm_store_u32(at, svm_load_u32(at) + 1u);
}
`

async function made(deviceMemory = 16 * MIB) {
  const svm = await gpu.open({ deviceMemory })
  const [add, step] = await Promise.all(['add', 'step'].map((entryPoint) => svm.createKernel({ code: CODE, entryPoint })))
  const data = svm.allocFrom(new Uint32Array(PAGES * WORDS).map((_, at) => Math.floor(at / WORDS)))
  const sum = svm.alloc(4)
  const run = (kernel: typeof add) => svm.queue.enqueue(kernel, { args: { data, sum }, global: PAGES }).done
  return { svm, add, step, data, sum, run }
}

const where = (svm: Svm, data: number) => svm.residency(data, PAGES * PAGE).map((run) => [run.where, run.systemMapped.length, run.byteLength / PAGE])

test('will-need brings the range before the launch, dont-need lets it go, and the sums are right', async () => {
  const { svm, add, data, sum, run } = await made()
  svm.advise(data, PAGES * PAGE, 'will-need')
  const moved = svm.stats().devices[0]
  expect((await run(add)).faults).toBeLessThanOrEqual(1)
  expect(where(svm, data)).toEqual([['device', 0, PAGES]])
  expect(svm.advise(data, PAGES * PAGE, 'dont-need')).toMatchObject({ applied: true })
  await svm.queue.finish()
  expect((await svm.read(sum, Uint32Array, 1))[0]).toBe((PAGES * (PAGES - 1)) / 2)
  expect(where(svm, data)).toEqual([['host', 0, PAGES]])
  expect(svm.stats().devices[0]?.bytesOut).toBeLessThanOrEqual((moved?.bytesOut ?? 0) + PAGE)
  await run(add)
  expect((await svm.read(sum, Uint32Array, 1))[0]).toBe(PAGES * (PAGES - 1))
})

test.each([
  ['preferred-location', 'device', ['device', 0, PAGES]],
  ['preferred-location', 'host', ['host', 1, PAGES]],
  ['read-mostly', 'host', ['host', 1, PAGES]],
] as const)('%s of the %s: what a reading kernel leaves behind, and stores are right all the same', async (advice, of, expected) => {
  const { svm, add, step, data, run } = await made()
  svm.advise(data, PAGES * PAGE, advice, of === 'device' ? svm.devices[0] : undefined)
  await run(add)
  expect(where(svm, data)).toEqual([expected])
  await run(step)
  await run(step)
  const firsts = [...(await svm.read(data, Uint32Array, PAGES * WORDS))].filter((_, at) => at % WORDS === 0)
  expect(firsts).toEqual(Array.from({ length: PAGES }, (_, page) => page + 2))
})
