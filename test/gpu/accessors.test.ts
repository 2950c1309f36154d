// Every accessor of the runtime on a device: what a kernel reads is what the host wrote, and the other way round. Each work-item has pages of its
// own, so that a small budget holds only some of them at a time.

import { describe, expect, test } from 'vitest'
import { gpuDefaults, PAGE, useGpu } from './device.ts'
import { expectSame, inEveryRegime, noise, words } from './regime.ts'

const gpu = useGpu()

/** Work-items; each has one page to read and one to write: more than the small budget has frames. */
const ITEMS = 48
const HEAD = `struct Args { src: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4)
fn k(@builtin(global_invocation_id) id: vec3u) {
  let a = svm_index(args.src, id.x, ${PAGE}u);
  let b = svm_index(args.dst, id.x, ${PAGE}u);
`

/** A page of noise for each work-item. */
function pages(seed: number): Uint32Array<ArrayBuffer> {
  const next = noise(seed)
  return words((ITEMS * PAGE) / 4, next)
}

/** What the kernel should have left: `step` sees the bytes of one page of each side. */
function expected(from: Uint32Array, step: (from: DataView, to: DataView) => void): Uint32Array {
  const to = new Uint32Array(from.length)
  for (let i = 0; i < ITEMS; i++) step(new DataView(from.buffer, i * PAGE, PAGE), new DataView(to.buffer, i * PAGE, PAGE))
  return to
}

function accessorTest(name: string, body: string, step: (from: DataView, to: DataView) => void): void {
  inEveryRegime(gpu, name, async (bench) => {
    const from = pages(7)
    const source = bench.data(from)
    const target = bench.alloc(from.byteLength)
    const kernel = await bench.kernel(`${HEAD}${body}\n}`)
    await bench.launch(kernel, { args: { src: source, dst: target }, global: ITEMS })
    expectSame(await bench.words(target, from.length), expected(from, step))
    expectSame(await bench.words(source, from.length), from)
  })
}

describe('words', () => {
  accessorTest(
    'u32, i32, f32 and pointers',
    `  svm_store_u32(b, svm_load_u32(a) + 1u);
  svm_store_i32(svm_add(b, 4u), svm_load_i32(svm_add(a, 4u)) / 2);
  svm_store_f32(svm_add(b, 8u), f32(svm_load_i32(svm_add(a, 8u)) % 1000) * 0.5);
  svm_store_f32(svm_add(b, 12u), -svm_load_f32(svm_add(b, 8u)));
  svm_store_ptr(svm_add(b, 16u), svm_load_ptr(svm_add(a, 16u)));
  svm_store_u32(svm_sub(svm_add(b, ${PAGE}u), 4u), svm_load_u32(svm_sub(svm_add(a, ${PAGE}u), 4u)));`,
    (from, to) => {
      to.setUint32(0, (from.getUint32(0, true) + 1) >>> 0, true)
      to.setInt32(4, Math.trunc(from.getInt32(4, true) / 2), true)
      to.setFloat32(8, (from.getInt32(8, true) % 1000) * 0.5, true)
      to.setFloat32(12, -to.getFloat32(8, true), true)
      for (let at = 16; at < 16 + gpuDefaults.addressBits / 8; at += 4) to.setUint32(at, from.getUint32(at, true), true)
      to.setUint32(PAGE - 4, from.getUint32(PAGE - 4, true), true)
    },
  )

  accessorTest(
    'bytes and half-words leave their neighbours alone',
    `  for (var k = 0u; k < 8u; k++) {
    svm_store_u8(svm_add(b, 1u + k), svm_load_u8(svm_add(a, 3u + k)) ^ 0xffu);
    svm_store_u16(svm_add(b, 18u + 2u * k), svm_load_u16(svm_add(a, 30u + 2u * k)) + 1u);
  }
  svm_store_u8(svm_add(b, 4095u), 0x1abu);`,
    (from, to) => {
      for (let k = 0; k < 8; k++) {
        to.setUint8(1 + k, from.getUint8(3 + k) ^ 0xff)
        to.setUint16(18 + 2 * k, from.getUint16(30 + 2 * k, true) + 1, true)
      }
      to.setUint8(4095, 0xab)
    },
  )
})

describe('vectors', () => {
  const all: string[] = []
  const steps: ((from: DataView, to: DataView) => void)[] = []
  let at = 4
  for (const type of ['u32', 'i32', 'f32'] as const) {
    for (const width of [2, 3, 4]) {
      const place = at
      all.push(`  svm_store_vec${width}_${type}(svm_add(b, ${place}u), svm_load_vec${width}_${type}(svm_add(a, ${place}u)) * ${type}(2));`)
      // Doubling is exact for numbers of every kind, and keeps the payload out of the way of NaNs: the floats are made of integers below.
      steps.push((from, to) => {
        for (let k = 0; k < width; k++) {
          const p = place + 4 * k
          if (type === 'f32') to.setFloat32(p, from.getFloat32(p, true) * 2, true)
          else to.setUint32(p, (from.getUint32(p, true) * 2) >>> 0, true)
        }
      })
      at += width * 4
    }
  }

  inEveryRegime(gpu, 'of two, three and four u32, i32, f32', async (bench) => {
    const from = pages(3)
    const floats = new Float32Array(from.buffer)
    for (let i = 0; i < from.length; i++) if (i % (PAGE / 4) > 18) floats[i] = (from[i] as number) % 4096
    const source = bench.data(from)
    const target = bench.alloc(from.byteLength)
    const kernel = await bench.kernel(`${HEAD}${all.join('\n')}\n}`)
    await bench.launch(kernel, { args: { src: source, dst: target }, global: ITEMS })
    expectSame(
      await bench.words(target, from.length),
      expected(from, (a, b) => {
        for (const step of steps) step(a, b)
      }),
    )
  })

  inEveryRegime(gpu, 'across the border of two pages', async (bench) => {
    const from = pages(5)
    const source = bench.data(from)
    const target = bench.alloc(from.byteLength)
    const kernel = await bench.kernel(`${HEAD.replaceAll(`${PAGE}u`, `${2 * PAGE}u`)}
  let border = ${PAGE - 8}u;
  svm_store_vec4_u32(svm_add(b, border), svm_load_vec4_u32(svm_add(a, border)));
}`)
    await bench.launch(kernel, { args: { src: source, dst: target }, global: ITEMS / 2 })
    const wanted = new Uint32Array(from.length)
    for (let i = 0; i < ITEMS / 2; i++) {
      const start = (i * 2 * PAGE + PAGE - 8) / 4
      wanted.set(from.subarray(start, start + 4), start)
    }
    expectSame(await bench.words(target, from.length), wanted)
  })
})

describe('atomics', () => {
  const one = (type: 'u32' | 'i32') => `
  svm_store_${type}(svm_add(b, 0u), svm_atomic_add_${type}(a, ${type}(3)));
  svm_store_${type}(svm_add(b, 4u), svm_atomic_sub_${type}(a, ${type}(5)));
  svm_store_${type}(svm_add(b, 8u), svm_atomic_max_${type}(a, ${type}(7)));
  svm_store_${type}(svm_add(b, 12u), svm_atomic_min_${type}(a, ${type}(100)));
  svm_store_${type}(svm_add(b, 16u), svm_atomic_and_${type}(a, ${type}(0x7d)));
  svm_store_${type}(svm_add(b, 20u), svm_atomic_or_${type}(a, ${type}(0x402)));
  svm_store_${type}(svm_add(b, 24u), svm_atomic_xor_${type}(a, ${type}(0x21)));
  svm_store_${type}(svm_add(b, 28u), svm_atomic_exchange_${type}(a, ${type}(9)));
  svm_store_${type}(svm_add(b, 32u), svm_atomic_compare_exchange_${type}(a, ${type}(9), ${type}(11)));
  svm_store_${type}(svm_add(b, 36u), svm_atomic_compare_exchange_${type}(a, ${type}(9), ${type}(12)));
  svm_atomic_store_${type}(svm_add(a, 4u), svm_atomic_load_${type}(a) + ${type}(1));`

  /** The same chain on the host. `wrap` brings a number back into the type. */
  function chain(start: number, wrap: (n: number) => number): { olds: number[]; end: number } {
    let value = start
    const olds: number[] = []
    const step = (next: number) => {
      olds.push(value)
      value = wrap(next)
    }
    step(value + 3)
    step(value - 5)
    step(Math.max(value, 7))
    step(Math.min(value, 100))
    step(value & 0x7d)
    step(value | 0x402)
    step(value ^ 0x21)
    step(9)
    step(value === 9 ? 11 : value)
    step(value === 9 ? 12 : value)
    return { olds, end: value }
  }

  for (const type of ['u32', 'i32'] as const) {
    inEveryRegime(gpu, `${type}: each returns the old value`, async (bench) => {
      const from = pages(11)
      const source = bench.data(from)
      const target = bench.alloc(from.byteLength)
      const kernel = await bench.kernel(`${HEAD}${one(type)}\n}`)
      await bench.launch(kernel, { args: { src: source, dst: target }, global: ITEMS })
      const wrap = (n: number) => (type === 'u32' ? n >>> 0 : n | 0)
      const olds = await bench.words(target, from.length)
      const ends = await bench.words(source, from.length)
      for (let i = 0; i < ITEMS; i++) {
        const at = (i * PAGE) / 4
        const wanted = chain(wrap(from[at] as number), wrap)
        expect([...olds.subarray(at, at + 10)].map(wrap)).toEqual(wanted.olds)
        expect([...ends.subarray(at, at + 2)].map(wrap)).toEqual([wanted.end, wrap(wanted.end + 1)])
      }
    })
  }

  inEveryRegime(gpu, 'unused results, all work-items on a few words', async (bench) => {
    const LENGTH = 64 * 40
    const cells = bench.data(words((8 * PAGE) / 4, () => 0x80000000))
    const kernel = await bench.kernel(`struct Args { cells: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
fn cell(i: u32) -> svm_ptr { return svm_index(args.cells, i, ${PAGE}u); }
@compute @workgroup_size(64)
fn k(@builtin(global_invocation_id) id: vec3u) {
  svm_atomic_add_u32(cell(0u), 1u);
  svm_atomic_sub_i32(cell(1u), 2);
  svm_atomic_max_u32(cell(2u), id.x);
  svm_atomic_max_i32(cell(3u), i32(id.x) - 100);
  svm_atomic_min_u32(cell(4u), id.x + 5u);
  svm_atomic_min_i32(cell(5u), -i32(id.x));
  svm_atomic_or_u32(cell(6u), 1u << (id.x % 32u));
  svm_atomic_xor_u32(cell(7u), id.x);
}`)
    await bench.launch(kernel, { args: { cells }, global: LENGTH })
    const got = await bench.words(cells, (8 * PAGE) / 4)
    let xor = 0x80000000
    for (let i = 0; i < LENGTH; i++) xor = (xor ^ i) >>> 0
    const wanted = [0x80000000 + LENGTH, 0x80000000 - 2 * LENGTH, 0x80000000, LENGTH - 101, 5, 0x80000000, 0xffffffff, xor]
    expect(wanted.map((_, i) => got[(i * PAGE) / 4])).toEqual(wanted.map((n) => n >>> 0))
  })
})

describe('pointers', () => {
  test('arithmetic saturates, and all the helpers do what they say', async () => {
    const svm = await gpu.open({ addressBits: 32 })
    const out = svm.alloc(64)
    const kernel = await svm.createKernel({
      code: `struct Args { out: svm_ptr, p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  let p = args.p;
  svm_store_ptr(args.out, svm_add(p, 0xffffffffu));
  svm_store_ptr(svm_add(args.out, 4u), svm_sub(p, 0xffffffffu));
  svm_store_ptr(svm_add(args.out, 8u), svm_index(p, 0x10000000u, 0x1000u));
  svm_store_ptr(svm_add(args.out, 12u), svm_index(p, 3u, 8u));
  svm_store_u32(svm_add(args.out, 16u), u32(svm_equal(p, svm_add(p, 0u))) + 2u * u32(svm_is_null(p)) + 4u * u32(svm_is_null(SVM_NULL)));
  svm_store_u32(svm_add(args.out, 20u), svm_difference(svm_add(p, 12u), p));
  svm_store_ptr(svm_add(args.out, 24u), svm_select(p, SVM_NULL, true));
  svm_store_u32(svm_add(args.out, 28u), SVM_PTR_SIZE + u32(svm_faulted()));
}`,
      entryPoint: 'k',
    })
    await svm.queue.enqueue(kernel, { args: { out, p: BigInt(out) }, global: 1 }).done
    expect([...(await svm.read(out, Uint32Array, 8))]).toEqual([0xffffffff, 0xffffffff, 0xffffffff, out + 24, 5, 12, 0, 4])
  })

  test('structs have their offsets and sizes as constants, and in kernel.layouts', async () => {
    const svm = await gpu.open({ addressBits: 32 })
    const kernel = await svm.createKernel({
      code: `struct Inner { a: u32, v: vec3f }
struct Node { value: u32, next: svm_ptr, inner: Inner, tail: array<u32, 3> }
struct Args { out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  svm_store_vec4_u32(args.out, vec4u(Node_value, Node_next, Node_inner, Node_tail));
  svm_store_vec4_u32(svm_add(args.out, 16u), vec4u(Node_size, Inner_v, Inner_size, Args_size));
}`,
      entryPoint: 'k',
    })
    const out = svm.alloc(32)
    await svm.queue.enqueue(kernel, { args: { out }, global: 1 }).done
    expect([...(await svm.read(out, Uint32Array, 8))]).toEqual([0, 4, 16, 48, 64, 16, 32, 4])
    const { Node, Inner } = kernel.layouts
    expect(Node).toMatchObject({ byteLength: 64, alignment: 16, fields: { next: { offset: 4, byteLength: 4 }, tail: { offset: 48 } } })
    expect(Inner?.fields.v).toMatchObject({ offset: 16, byteLength: 12 })
  })
})
