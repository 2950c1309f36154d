// What a launch is made of: dimensions, offsets, remainders, folded and split dispatches, arguments, the author's own bind groups, overrides. Always:
// a kernel sees the same built-ins however the launch was split.

import { describe, expect, test } from 'vitest'
import type { KernelLaunch } from '../../src/index.ts'
import { MIB, PAGE, useGpu } from './device.ts'
import { type Bench, expectSame, inEveryRegime, USAGE, words } from './regime.ts'

const gpu = useGpu({ authorStorageBuffers: 1 })

type Triple = readonly [number, number, number]

/** Each work-item leaves what it sees in a record of its own; records lie 256 bytes apart. */
const RECORD = 256
const PROBE = (size: Triple) => `struct Args { out: svm_ptr, count: vec3u, offset: vec3u }
@group(0) @binding(0) var<uniform> args: Args;
struct Ids {
  @builtin(global_invocation_id) item: vec3u,
  @builtin(workgroup_id) group: vec3u,
}
@compute @workgroup_size(${size.join(', ')})
fn k(ids: Ids, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_id) local: vec3u, @builtin(local_invocation_index) index: u32) {
  let at = ids.item - args.offset;
  let p = svm_index(args.out, at.x + args.count.x * (at.y + args.count.y * at.z), ${RECORD}u);
  svm_store_vec3_u32(p, ids.item);
  svm_store_vec3_u32(svm_add(p, 16u), ids.group);
  svm_store_vec3_u32(svm_add(p, 32u), groups);
  svm_store_vec3_u32(svm_add(p, 48u), local);
  svm_store_u32(svm_add(p, 60u), index);
  svm_store_u32(svm_add(p, 12u), svm_load_u32(svm_add(p, 12u)) + 1u);
}`

async function probe(bench: Bench, size: Triple, global: Triple, offset: Triple = [0, 0, 0], more: Partial<KernelLaunch> = {}): Promise<void> {
  const total = global[0] * global[1] * global[2]
  const out = bench.alloc(total * RECORD)
  const kernel = await bench.kernel(PROBE(size))
  expect(kernel.analysis.workgroupSize).toEqual(size)
  await bench.launch(kernel, { args: { out, count: global, offset }, global, offset, ...more })
  const got = await bench.words(out, (total * RECORD) / 4)
  const groups = global.map((n, d) => Math.ceil(n / (size[d] as number)))
  const wanted = new Uint32Array(got.length)
  for (let i = 0; i < total; i++) {
    const at = [i % global[0], Math.floor(i / global[0]) % global[1], Math.floor(i / (global[0] * global[1]))]
    const local = at.map((n, d) => n % (size[d] as number))
    const item = at.map((n, d) => n + (offset[d] as number))
    const group = at.map((n, d) => Math.floor(n / (size[d] as number)))
    const index = (local[0] as number) + size[0] * ((local[1] as number) + size[1] * (local[2] as number))
    wanted.set([...item, 1, ...group, 0, ...groups, 0, ...local, index], (i * RECORD) / 4)
  }
  expectSame(got, wanted)
}

describe('dimensions', () => {
  inEveryRegime(gpu, 'one', (bench) => probe(bench, [8, 1, 1], [1600, 1, 1]))
  inEveryRegime(gpu, 'three, with an offset', (bench) => probe(bench, [4, 2, 2], [16, 10, 8], [100, 7, 1]))
  inEveryRegime(gpu, 'a remainder in every one', (bench) => probe(bench, [4, 3, 2], [13, 11, 9], [0, 5, 0], { local: [4, 3, 2] }))
  inEveryRegime(gpu, 'as numbers, as short lists', async (bench) => {
    const out = bench.alloc(8 * PAGE)
    const kernel = await bench.kernel(PROBE([2, 1, 1]))
    await bench.launch(kernel, { args: { out, count: [4, 1, 1], offset: [3, 0, 0] }, global: 4, local: 2, offset: 3 })
    await bench.launch(kernel, { args: { out, count: [4, 2, 1], offset: [3, 0, 0] }, global: [4, 2], local: [2, 1], offset: [3] })
    expect((await bench.words(out, 1))[0]).toBe(3)
  })

  for (const regime of ['cold', 'resident'] as const) {
    test(`more than 65,535 workgroups in a dimension, and more than one pass holds (${regime})`, async () => {
      const svm = await gpu.open({ deviceMemory: 4 * MIB })
      const groups = 200_003
      const marks = svm.alloc(Math.ceil(groups / 32) * 4)
      const sum = svm.alloc(8)
      const kernel = await svm.createKernel({
        code: `struct Args { marks: svm_ptr, sum: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
  svm_atomic_xor_u32(svm_index(args.marks, group.x / 32u, 4u), 1u << (group.x % 32u));
  if (groups.x != ${groups}u || group.y + group.z != 0u) { svm_atomic_add_u32(args.sum, 1u); }
}`,
        entryPoint: 'k',
      })
      if (regime === 'resident') await svm.queue.migrate([{ pointer: marks }, { pointer: sum }]).done
      const result = await svm.queue.enqueue(kernel, { args: { marks, sum }, global: groups }).done
      expect(result.variant === 'attempt').toBe(regime === 'cold')
      expect(result.rounds).toBeGreaterThan(1)
      const length = Math.ceil(groups / 32)
      expectSame(
        await svm.read(marks, Uint32Array, length),
        words(length, (i) => (i < length - 1 ? 0xffffffff : 2 ** (groups % 32) - 1)),
      )
      expect(await svm.read(sum, Uint32Array, 1)).toEqual(Uint32Array.of(0))
    })
  }

  test('nothing to do is done', async () => {
    const svm = await gpu.open()
    const out = svm.alloc(PAGE)
    const kernel = await svm.createKernel({ code: PROBE([4, 1, 1]), entryPoint: 'k' })
    const result = await svm.queue.enqueue(kernel, { args: { out, count: [1, 1, 1], offset: [0, 0, 0] }, global: [8, 0, 4] }).done
    expect(result.rounds).toBe(0)
    expect(svm.residency(out, PAGE)[0]?.where).toBe('none')
  })
})

describe('arguments', () => {
  inEveryRegime(gpu, 'of every kind', async (bench) => {
    const out = bench.alloc(256)
    const kernel = await bench.kernel(`struct Args {
  out: svm_ptr, other: svm_ptr, u: u32, i: i32, f: f32, v2: vec2f, v3: vec3u, v4: vec4<i32>, table: array<vec4f, 2>
}
@group(1) @binding(3) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  svm_store_ptr(args.out, args.other);
  svm_store_u32(svm_add(args.out, 4u), args.u);
  svm_store_i32(svm_add(args.out, 8u), args.i);
  svm_store_f32(svm_add(args.out, 12u), args.f);
  svm_store_vec2_f32(svm_add(args.out, 16u), args.v2);
  svm_store_vec3_u32(svm_add(args.out, 24u), args.v3);
  svm_store_vec4_i32(svm_add(args.out, 36u), args.v4);
  svm_store_vec4_f32(svm_add(args.out, 52u), args.table[0]);
  svm_store_vec4_f32(svm_add(args.out, 68u), args.table[1]);
}`)
    const args = {
      out: BigInt(out),
      other: 0xfffffff0n,
      u: 0xffffffff,
      i: -2147483648,
      f: 0.1,
      v2: [1.5, -2.5],
      v3: Uint32Array.of(1, 2, 3),
      v4: [-1, 0, 1, 2],
      table: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    }
    await bench.launch(kernel, { args, global: 1 })
    const view = new DataView((await bench.svm.read(out, 84)).buffer)
    const u = (at: number) => view.getUint32(at, true)
    const f = (at: number) => view.getFloat32(at, true)
    expect([u(0), u(4), view.getInt32(8, true), f(12), f(16), f(20)]).toEqual([0xfffffff0, 0xffffffff, -2147483648, Math.fround(0.1), 1.5, -2.5])
    expect([u(24), u(28), u(32), ...[36, 40, 44, 48].map((at) => view.getInt32(at, true))]).toEqual([1, 2, 3, -1, 0, 1, 2])
    expect([...Array(8).keys()].map((k) => f(52 + 4 * k))).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  test('are taken at the call, launch by launch', async () => {
    const svm = await gpu.open()
    const cells = svm.alloc(32 * PAGE)
    const kernel = await svm.createKernel({
      code: `struct Args { cell: svm_ptr, value: vec2u }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.cell, args.value.x + args.value.y); }`,
      entryPoint: 'k',
    })
    const args = { cell: 0, value: Uint32Array.of(0, 1) }
    for (let n = 0; n < 32; n++) {
      args.cell = cells + n * PAGE
      args.value[0] = n
      svm.queue.enqueue(kernel, { args, global: 1 })
    }
    await svm.queue.finish()
    const got = await svm.read(cells, Uint32Array, (32 * PAGE) / 4)
    for (let n = 0; n < 32; n++) expect(got[(n * PAGE) / 4]).toBe(n + 1)
  })

  inEveryRegime(gpu, 'overrides, by name and by id', async (bench) => {
    const out = bench.alloc(64)
    const kernel = await bench.kernel(
      `struct Args { out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
override width: u32 = 4u;
@id(7) override scale: f32 = 1.0;
override left_alone: i32 = -3;
@compute @workgroup_size(width) fn k(@builtin(local_invocation_index) i: u32) {
  svm_store_f32(svm_index(args.out, i, 4u), f32(i) * scale + f32(left_alone));
}`,
      { constants: { width: 8, 7: 2.5 } },
    )
    expect(kernel.analysis.workgroupSize).toEqual([8, 1, 1])
    await bench.launch(kernel, { args: { out }, global: 8 })
    expectSame(
      await bench.svm.read(out, Float32Array, 8),
      Float32Array.from({ length: 8 }, (_, i) => i * 2.5 - 3),
    )
  })
})

describe("the author's own groups", () => {
  const CODE = `struct Args { dst: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read> weights: array<u32>;
@group(1) @binding(0) var<uniform> bias: vec4u;
@group(2) @binding(5) var picture: texture_2d<u32>;
@compute @workgroup_size(8) fn k(@builtin(global_invocation_id) id: vec3u) {
  let texel = textureLoad(picture, vec2u(id.x % 2u, 0u), 0).x;
  svm_store_u32(svm_index(args.dst, id.x, 512u), weights[id.x] + bias.y + texel);
}`

  function groups(device: GPUDevice): GPUBindGroup[] {
    const buffer = (data: Uint32Array<ArrayBuffer>, usage: number) => {
      const made = device.createBuffer({ size: data.byteLength, usage: usage | USAGE.copyDestination })
      device.queue.writeBuffer(made, 0, data)
      return made
    }
    const group = (entry: GPUBindGroupLayoutEntry, resource: GPUBindingResource) => {
      const layout = device.createBindGroupLayout({ entries: [entry] })
      return device.createBindGroup({ layout, entries: [{ binding: entry.binding, resource }] })
    }
    const compute = 4
    const weights = buffer(
      words(400, (i) => i * i),
      USAGE.storage,
    )
    const bias = buffer(Uint32Array.of(0, 1000, 0, 0), USAGE.uniform)
    const picture = device.createTexture({ size: [2, 1], format: 'r32uint', usage: 4 | 2 })
    device.queue.writeTexture({ texture: picture }, Uint32Array.of(10, 20), { bytesPerRow: 256 }, [2, 1])
    return [
      group({ binding: 1, visibility: compute, buffer: { type: 'read-only-storage' } }, { buffer: weights }),
      group({ binding: 0, visibility: compute, buffer: { type: 'uniform' } }, { buffer: bias }),
      group({ binding: 5, visibility: compute, texture: { sampleType: 'uint' } }, picture.createView()),
    ]
  }

  inEveryRegime(
    gpu,
    'read-only storage, uniform, texture',
    async (bench) => {
      const target = bench.alloc(400 * 512)
      const kernel = await bench.kernel(CODE)
      await bench.launch(kernel, { args: { dst: target, count: 400 }, global: 400, bindGroups: groups(gpu.device) })
      const got = await bench.words(target, 400 * 128)
      expectSame(
        got,
        words(got.length, (i) => (i % 128 === 0 ? (i / 128) ** 2 + 1000 + ((i / 128) % 2 === 0 ? 10 : 20) : 0)),
      )
    },
    { authorStorageBuffers: 1 },
  )

  test('a group that is missing fails the command, and the space stays usable', async () => {
    const svm = await gpu.open({ authorStorageBuffers: 1 })
    const target = svm.alloc(400 * 512)
    const kernel = await svm.createKernel({ code: CODE, entryPoint: 'k' })
    await expect(svm.queue.enqueue(kernel, { args: { dst: target, count: 400 }, global: 400 }).done).rejects.toMatchObject({
      name: 'SvmError',
      code: 'invalid-value',
    })
    await svm.queue.enqueue(kernel, { args: { dst: target, count: 400 }, global: 400, bindGroups: groups(gpu.device) }).done
    expect((await svm.read(target, Uint32Array, 1))[0]).toBe(1010)
  })

  test('storage that the kernel writes: only when no fault is possible', async () => {
    const svm = await gpu.open({ authorStorageBuffers: 1 })
    const source = svm.allocFrom(words(4096, (i) => i))
    const kernel = await svm.createKernel({
      code: `struct Args { src: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) { out[id.x] = svm_load_u32(svm_index(args.src, id.x, 4u)); }`,
      entryPoint: 'k',
    })
    expect(kernel.analysis.writableBindings).toEqual(['out'])
    const { device } = gpu
    const out = device.createBuffer({ size: 16384, usage: USAGE.storage | USAGE.copySource })
    const layout = device.createBindGroupLayout({ entries: [{ binding: 1, visibility: 4, buffer: { type: 'storage' } }] })
    const bindGroups = [device.createBindGroup({ layout, entries: [{ binding: 1, resource: { buffer: out } }] })]
    const launch = { args: { src: source }, global: 4096, bindGroups }
    await expect(svm.queue.enqueue(kernel, launch).done).rejects.toMatchObject({ code: 'unsupported' })
    await svm.queue.migrate({ pointer: source }).done
    expect((await svm.queue.enqueue(kernel, launch).done).variant).toBe('direct')
    const back = svm.alloc(16384)
    await svm.queue.copyFromBuffer(out, 0, back, 16384).done
    expectSame(
      await svm.read(back, Uint32Array, 4096),
      words(4096, (i) => i),
    )
  })
})
