// rounds.test.ts: passes that faults take which do not depend on each other. Always: counts, and the words that were stored.

import { expect, test } from 'vitest'
import { MIB, PAGE, useGpu } from './device.ts'

const gpu = useGpu()

/** One workgroup, so that no window is ever cut by time. */
const ITEMS = 192
const STRIDE = PAGE / 4
/** Loads, a store, an update in place and an atomic: each of another array, each work-item in pages of its own. */
const CODE = `struct Args { a: svm_ptr, b: svm_ptr, c: svm_ptr, d: svm_ptr, e: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(${ITEMS}) fn k(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x * ${STRIDE}u;
  let sum = svm_load_u32(svm_index(args.a, i, 4u)) + svm_load_u32(svm_index(args.b, i, 4u));
  svm_store_u32(svm_index(args.c, i, 4u), sum);
  let d = svm_index(args.d, i, 4u);
  svm_store_u32(d, svm_load_u32(d) + sum);
  svm_atomic_add_u32(svm_index(args.e, i, 4u), 3u);
}`

test.each(['none', 'density'] as const)('hundreds of independent faults take two passes, and one when they were seen before; prefetch %s', async (prefetch) => {
  const svm = await gpu.open({ deviceMemory: 32 * MIB, policy: { prefetch } })
  const data = (first: number) => svm.allocFrom(Uint32Array.from({ length: ITEMS * STRIDE }, (_, i) => first + i))
  const args = { a: data(1), b: data(2), c: data(3), d: data(4), e: data(5) }
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'k' })
  const launch = () => svm.queue.enqueue(kernel, { args, global: ITEMS }).done
  expect(await launch()).toMatchObject({ variant: 'attempt', rounds: 2 })
  for (const pointer of Object.values(args)) await svm.queue.migrate({ pointer }, { to: 'host' }).done
  expect(await launch()).toMatchObject({ rounds: 1, faults: 0, hints: 0 })
  const words = (pointer: number) => svm.read(pointer, Uint32Array, ITEMS * STRIDE)
  const [c, d, e] = [await words(args.c), await words(args.d), await words(args.e)]
  for (let i = 0; i < ITEMS * STRIDE; i++) {
    const sum = 2 * i + 3
    const expected = i % STRIDE === 0 ? [sum, 4 + i + 2 * sum, 5 + i + 6] : [3 + i, 4 + i, 5 + i]
    if (c[i] !== expected[0] || d[i] !== expected[1] || e[i] !== expected[2]) expect([i, c[i], d[i], e[i]]).toEqual([i, ...expected])
  }
})
