// A 64-bit space on a real device: pointers of two words, structures over many leaves of a sparse table. Does not cover: the kernels of other
// files, which wide-suites.test.ts runs in such a space.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmError } from '../../src/index.ts'
import { KIB, PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const open = (options = {}): Promise<Svm> => gpu.open({ addressBits: 64, ...options })
/** 32 pages: what one leaf of the table holds. */
const LEAF = 32 * PAGE

const NODE = 'struct Node { value: u32, next: svm_ptr }\n'
const WALK = `${NODE}struct Args { heads: svm_ptr, sum: svm_ptr }
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

async function put(svm: Svm, at: number, value: number, next: number): Promise<void> {
  await svm.using(at, 16, 'write', (mapping) => {
    mapping.u32[0] = value
    mapping.setPointer(at + 8, next)
  })
}

test.each([
  ['all fits', 16 * 1024 * KIB],
  ['little fits', 512 * KIB],
])('lists over hundreds of leaves are followed: %s', async (_, deviceMemory) => {
  const svm = await open({ deviceMemory })
  const lists = 64
  const length = 6
  const nodes = Array.from({ length: lists * length }, (_, n) => svm.alloc(LEAF) + (n % 32) * PAGE + 16)
  for (let n = 0; n < nodes.length; n++) await put(svm, nodes[n] as number, n, n % length === length - 1 ? 0 : (nodes[n + 1] as number))
  const heads = svm.alloc(lists * 8)
  await svm.using(heads, lists * 8, 'write', (mapping) => {
    for (let n = 0; n < lists; n++) mapping.setPointer(heads + n * 8, nodes[n * length] as number)
  })
  const sum = svm.alloc(4)
  const kernel = await svm.createKernel({ code: WALK.replace('workgroup_size(64)', 'workgroup_size(2)'), entryPoint: 'walk' })
  expect(kernel.layouts.Node).toEqual({
    byteLength: 16,
    alignment: 8,
    fields: { value: { offset: 0, byteLength: 4, type: 'u32' }, next: { offset: 8, byteLength: 8, type: 'svm_ptr' } },
  })
  const result = await svm.queue.enqueue(kernel, { args: { heads: BigInt(heads), sum }, global: lists }).done
  expect((await svm.read(sum, Uint32Array, 1))[0]).toBe((nodes.length * (nodes.length - 1)) / 2)
  expect(result.variant).toBe('attempt')
  for (const device of svm.stats().devices) expect(device.peakBytes).toBeLessThanOrEqual(device.budgetBytes)
})

test('a space of 1 TiB, a device budget of 4 MiB', async () => {
  const svm = await open({ deviceMemory: 4096 * KIB, pageSize: 64 * KIB })
  const pointer = svm.alloc(2 ** 40)
  const kernel = await svm.createKernel({
    code: `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(svm_index(args.p, (id.x & 3u) * 60u, 0xfffff000u), id.x >> 2u, 0x400000u);
  svm_store_u32(p, svm_load_u32(p) + id.x + 1u);
}`,
    entryPoint: 'k',
  })
  // Four regions, hundreds of GiB apart: host memory comes by the GiB, and a browser has not much of it.
  const at = (n: number) => pointer + (n & 3) * 60 * 0xfffff000 + (n >> 2) * 0x400000
  for (let round = 1; round <= 2; round++) {
    await svm.queue.enqueue(kernel, { args: { p: pointer }, global: 256 }).done
    for (let n = 0; n < 256; n += 17) expect((await svm.read(at(n), Uint32Array, 1))[0]).toBe(round * (n + 1))
  }
  for (const device of svm.stats().devices) expect(device.peakBytes).toBeLessThanOrEqual(device.budgetBytes)
})

test('more leaves are missed in one pass than are noted', async () => {
  const svm = await open()
  const count = 600
  const pointer = svm.alloc(count * LEAF)
  const kernel = await svm.createKernel({
    code: `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(8) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.p, id.x, ${LEAF}u);
  svm_store_u32(p, svm_load_u32(p) + id.x + 1u);
}`,
    entryPoint: 'k',
  })
  for (let round = 1; round <= 2; round++) {
    const result = await svm.queue.enqueue(kernel, { args: { p: pointer }, global: count }).done
    for (let n = 0; n < count; n += 37) expect((await svm.read(pointer + n * LEAF, Uint32Array, 1))[0]).toBe(round * (n + 1))
    if (round === 1) expect(result.rounds).toBeGreaterThan(3)
  }
})

test('resident once everything is here; a bad access then names its address', async () => {
  const svm = await open()
  const pointer = svm.alloc(3 * LEAF)
  const code = `struct Args { p: svm_ptr, n: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.p, id.x * args.n, ${PAGE}u);
  svm_store_u32(p, svm_load_u32(p) + 7u);
}`
  const kernel = await svm.createKernel({ code, entryPoint: 'k' })
  await svm.queue.migrate({ pointer }).done
  expect(await svm.queue.enqueue(kernel, { args: { p: pointer, n: 1 }, global: 96 }).done).toMatchObject({ variant: 'direct', faults: 0 })
  for (let n = 0; n < 96; n += 5) expect((await svm.read(pointer + n * PAGE, Uint32Array, 1))[0]).toBe(7)
  await svm.queue.migrate({ pointer }).done
  const far = pointer - 5 * 2 ** 32
  const failed = svm.queue.enqueue(kernel, { args: { p: far, n: 2 ** 20 }, global: 2 }).done
  await expect(failed).rejects.toMatchObject({ code: 'access-violation' })
  const error = (await failed.catch((thrown) => thrown)) as SvmError
  expect([far, far + 2 ** 32]).toContain(error.pointer)
  const attempt = svm.alloc(1)
  expect(attempt).toBeGreaterThan(0)
  await expect(svm.queue.enqueue(kernel, { args: { p: far, n: 1 }, global: 1 }).done).rejects.toMatchObject({ code: 'access-violation', pointer: far })
})

describe('operators on svm_ptr are refused with the line', () => {
  test.each([
    ['==', 'if (args.p == args.q) { return; }'],
    ['+', 'let r = args.p + 4u;'],
    ['a component', 'let r = args.p.x;'],
    ['an index', 'let r = args.p[0];'],
    ['select', 'let r = select(args.p, args.q, true);'],
    ['a number made a pointer', 'let r = svm_ptr(16u);'],
    ['a vector for a pointer', 'let r = svm_load_u32(vec2u(1u, 2u));'],
    ['a vector of a pointer', 'let r = vec2u(args.p);'],
  ])('%s', async (_, statement) => {
    const svm = await open()
    const code = `struct Args { p: svm_ptr, q: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  ${statement}
}`
    const refused = svm.createKernel({ code, entryPoint: 'k' })
    await expect(refused).rejects.toMatchObject({ code: 'build-failed' })
    await expect(refused).rejects.toThrow(/line 4:.*svm_ptr is not a number/)
  })

  test('and a mistake of another kind is called what it is', async () => {
    const svm = await open()
    const code = `@compute @workgroup_size(1) fn k() {
  let x: u32 = 1.5;
}`
    await expect(svm.createKernel({ code, entryPoint: 'k' })).rejects.toThrow(/line 2:(?!.*svm_ptr)/)
  })
})
