// steady.test.ts: what reaches the device in steady state, counted on the GPUDevice itself. Always: the counts are of calls to queue.submit and mapAsync,
// whatever the library says of itself, and the library says the same.

import { expect, test } from 'vitest'
import { openSvm, type Svm, type SvmKernel, webgpuDevice } from '../../src/index.ts'
import { type Counts, counted } from './counted.ts'
import { MIB, PAGE, useGpu } from './device.ts'

const gpu = useGpu()

/** One workgroup, so that no window is ever cut by time; each work-item has pages of its own. */
const ITEMS = 64
const STRIDE = PAGE / 4
const TRIAD = `struct Args { a: svm_ptr, b: svm_ptr, c: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(${ITEMS}) fn k(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x * ${STRIDE}u;
  svm_store_u32(svm_index(args.a, i, 4u), svm_load_u32(svm_index(args.b, i, 4u)) + 3u * svm_load_u32(svm_index(args.c, i, 4u)));
}`

interface World {
  readonly svm: Svm
  readonly counts: Counts
  readonly arrays: { a: number; b: number; c: number }
  readonly kernel: SvmKernel
}

/** A space on a device of its own, whose calls are counted. */
async function world(body: (world: World) => Promise<void>): Promise<void> {
  const device = await gpu.another()
  const { counts } = counted(device)
  const svm = await openSvm({ device: webgpuDevice(device), pageSize: PAGE, deviceMemory: 16 * MIB })
  const data = () => svm.allocFrom(Uint32Array.from({ length: ITEMS * STRIDE }, (_, i) => i))
  const arrays = { a: data(), b: data(), c: data() }
  const kernel = await svm.createKernel({ code: TRIAD, entryPoint: 'k' })
  await body({ svm, counts, arrays, kernel })
  const words = await svm.read(arrays.a, Uint32Array, ITEMS * STRIDE)
  expect(words.findIndex((word, i) => word !== (i % STRIDE === 0 ? i * 4 : i))).toBe(-1)
  await svm.close()
}

/** What one launch does, by the device and by the library. */
async function launch({ svm, counts, arrays, kernel }: World): Promise<{ variant: string; rounds: number; submits: number; maps: number }> {
  const before = { ...counts }
  const [stats] = svm.stats().devices
  const said = { submits: stats.submits, maps: stats.maps }
  const { variant, rounds } = await svm.queue.enqueue(kernel, { args: arrays, global: ITEMS }).done
  const [after] = svm.stats().devices
  const did = { submits: counts.submits - before.submits, maps: counts.maps - before.maps }
  expect({ submits: after.submits - said.submits, maps: after.maps - said.maps }).toEqual(did)
  return { variant, rounds, ...did }
}

test('a launch whose pages are all here is one submission and one map, in either variant', () =>
  world(async (one) => {
    await one.svm.queue.migrate(Object.values(one.arrays).map((pointer) => ({ pointer }))).done
    const seen: string[] = []
    for (let n = 0; n < 4; n++) {
      const { variant, ...did } = await launch(one)
      seen.push(variant)
      expect(did).toEqual({ rounds: 1, submits: 1, maps: 1 })
    }
    expect(seen).not.toContain('attempt')
    expect(seen).toContain('direct')
  }))

test('independent faults take two rounds, each of one submission and one map; with history it is one', () =>
  world(async (one) => {
    expect(await launch(one)).toEqual({ variant: 'attempt', rounds: 2, submits: 2, maps: 2 })
    // The host takes everything back; what the kernel needed is remembered.
    for (const pointer of Object.values(one.arrays)) await one.svm.queue.migrate({ pointer }, { to: 'host' }).done
    // It is all that is mapped, so once it is here nothing can fault.
    expect(await launch(one)).toEqual({ variant: 'direct', rounds: 1, submits: 1, maps: 1 })
  }))

test('private copies that history foresees are made in the submission of the pass', async () => {
  const device = await gpu.another()
  const { counts } = counted(device)
  const svm = await openSvm({ device: webgpuDevice(device), pageSize: PAGE, deviceMemory: 16 * MIB })
  const code = `struct Args { slots: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(${ITEMS}) fn k(@builtin(global_invocation_id) id: vec3u) {
  let slot = svm_load_u32(svm_index(args.slots, id.x, 4u));
  svm_store_u32(svm_index(args.sums, id.x, 4u), svm_atomic_add_u32(svm_index(args.sums, ${ITEMS}u + slot, 4u), 1u));
}`
  const kernel = await svm.createKernel({ code, entryPoint: 'k' })
  const args = { slots: svm.allocFrom(Uint32Array.from({ length: ITEMS }, (_, i) => i % 4)), sums: svm.alloc(PAGE) }
  // Nobody touches it, so that a fault stays possible.
  svm.alloc(PAGE)
  const seen: unknown[] = []
  for (let n = 0; n < 4; n++) {
    const before = { ...counts }
    const { variant, rounds, privateCopies } = await svm.queue.enqueue(kernel, { args, global: ITEMS }).done
    seen.push({ variant, rounds, privateCopies, submits: counts.submits - before.submits, maps: counts.maps - before.maps })
  }
  expect(seen.slice(1)).toEqual(Array(3).fill({ variant: 'attempt', rounds: 1, privateCopies: 1, submits: 1, maps: 1 }))
  const sums = await svm.read(args.sums, Uint32Array, ITEMS + 4)
  expect([...sums.subarray(ITEMS)]).toEqual(Array(4).fill((4 * ITEMS) / 4))
  await svm.close()
})

test('a loop that counts asks for all its pages in one pass, not for one a pass', async () => {
  const PAGES = 48
  const svm = await gpu.open()
  const table = svm.allocFrom(Uint32Array.from({ length: ITEMS * STRIDE }, (_, i) => i))
  const code = `struct Args { table: svm_ptr, rows: svm_ptr, sum: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  var sum = 0u;
  for (var n = 0u; n < ${PAGES}u; n++) { sum += svm_load_u32(svm_index(args.table, svm_load_u32(svm_index(args.rows, n, 4u)), 4u)); }
  svm_store_u32(args.sum, sum);
}`
  const kernel = await svm.createKernel({ code, entryPoint: 'k' })
  const rows = Uint32Array.from({ length: PAGES }, (_, n) => (PAGES - n) * STRIDE)
  const sum = svm.alloc(4)
  const { rounds } = await svm.queue.enqueue(kernel, { args: { table, rows: svm.allocFrom(rows), sum }, global: 1 }).done
  // The rows; the table's pages, and the sum; then all is here.
  expect(rounds).toBe(3)
  expect((await svm.read(sum, Uint32Array, 1))[0]).toBe(rows.reduce((total, row) => total + row, 0))
})
