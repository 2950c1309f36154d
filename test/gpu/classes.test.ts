// The declared classes: kernels with data races, and kernels whose workgroups wait for each other.

import { describe, expect, test } from 'vitest'
import type { SvmError } from '../../src/index.ts'
import { KIB, PAGE, useGpu } from './device.ts'
import { expectSame, noise, words } from './regime.ts'

const gpu = useGpu()

describe('transactional: C7, a store that a plain load of what another workgroup changes decided', () => {
  // Odd workgroups read `a` of their pair, store to one of two words by it, and fault for long; even ones find `a` late, and store to it.
  const ROUNDS = 7
  const CODE = `struct Args { a: svm_ptr, b: svm_ptr, chain: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
fn late(rounds: u32) -> u32 {
  var at = 0u;
  for (var n = 0u; n < rounds; n++) { at = svm_load_u32(svm_add(args.chain, at)); }
  return at;
}
@compute @workgroup_size(1) fn k(@builtin(workgroup_id) group: vec3u) {
  let a = svm_index(args.a, group.x / 2u, 4u);
  let b = svm_index(args.b, group.x / 2u, 16u);
  if ((group.x & 1u) == 0u) {
    let at = late(2u);
    svm_store_u32(a, at / (2u * ${PAGE}u));
  } else {
    let x = svm_load_u32(a);
    svm_store_u32(svm_add(b, x * 4u), 1u);
    let end = late(${ROUNDS}u);
    svm_store_u32(svm_add(b, 8u), x + 1u);
    svm_store_u32(svm_add(b, 12u), end);
  }
}`
  // A budget in which not all workgroups fit at once with their copies, and one with room.
  test.each([432 * KIB, 16 * 1024 * KIB])('a budget of %d bytes', async (deviceMemory) => {
    for (const evicted of [false, true]) {
      const svm = await gpu.open({ deviceMemory })
      const a = svm.alloc(PAGE)
      const b = svm.alloc(PAGE)
      const chain = svm.allocFrom(words((ROUNDS * PAGE) / 4, (w) => (w % (PAGE / 4) === 0 ? (w + PAGE / 4) * 4 : 0)))
      const kernel = await svm.createKernel({ code: CODE, entryPoint: 'k', class: 'transactional' })
      await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
      if (evicted) await svm.queue.migrate([{ pointer: a }], { to: 'host' }).done
      await svm.queue.enqueue(kernel, { args: { a, b, chain }, global: 64 }).done
      expectSame(
        await svm.read(a, Uint32Array, 32),
        words(32, () => 1),
      )
      const got = await svm.read(b, Uint32Array, 128)
      for (let pair = 0; pair < 32; pair++) {
        const [zero, one, x, end] = got.subarray(pair * 4, pair * 4 + 4)
        // Exactly one of two words, and the one that it says: as in any order of the two.
        expect({ pair, zero, one, end }).toEqual({ pair, zero: x === 1 ? 1 : 0, one: x === 2 ? 1 : 0, end: ROUNDS * PAGE })
      }
      await svm.close()
    }
  })
})

describe('unsplittable: a running sum by decoupled look-back', () => {
  const GROUPS = 48
  const CODE = `struct Args { src: svm_ptr, dst: svm_ptr, sums: svm_ptr, ticket: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> mine: u32;
var<workgroup> part: array<u32, 16>;
@compute @workgroup_size(16) fn k(@builtin(local_invocation_index) i: u32) {
  if (i == 0u) { mine = svm_atomic_add_u32(args.ticket, 1u); }
  let group = workgroupUniformLoad(&mine);
  part[i] = svm_load_u32(svm_index(args.src, group * 16u + i, 4u));
  workgroupBarrier();
  if (i == 0u) {
    var before = 0u;
    // 0: not there yet; else the sum up to the end of that workgroup, and one.
    if (group > 0u) { while (before == 0u) { before = svm_atomic_load_u32(svm_index(args.sums, group - 1u, 4u)); } before -= 1u; }
    for (var n = 0u; n < 16u; n++) { before += part[n]; part[n] = before; }
    svm_atomic_store_u32(svm_index(args.sums, group, 4u), before + 1u);
  }
  workgroupBarrier();
  svm_store_u32(svm_index(args.dst, group * 16u + i, 4u), part[i]);
}`
  const OTHER = 40

  async function prepare() {
    const svm = await gpu.open()
    const next = noise(3)
    const data = words(GROUPS * 16, () => next() & 0xffff)
    const args = { src: svm.allocFrom(data), dst: svm.alloc(GROUPS * 64), sums: svm.alloc(GROUPS * 4), ticket: svm.alloc(4) }
    const other = svm.alloc(OTHER * PAGE)
    const make = (reach: 'any' | 'arguments' | number[]) => svm.createKernel({ code: CODE, entryPoint: 'k', label: 'scan', class: 'unsplittable', reach })
    const pointers = Object.values(args).map((pointer) => ({ pointer }))
    const check = async () => {
      let sum = 0
      expectSame(
        await svm.read(args.dst, Uint32Array, data.length),
        data.map((value) => (sum += value)),
      )
    }
    const refusal = async (reach: 'any' | 'arguments' | number[]) => {
      const error = await svm.queue.enqueue(await make(reach), { args, global: GROUPS * 16 }).done.then(
        () => null,
        (thrown) => thrown as SvmError,
      )
      expect(error?.code).toBe('unsupported')
      return error?.message ?? ''
    }
    return { svm, args, other, make, pointers, check, refusal }
  }

  test('is refused with what is missing, and what to do', async () => {
    const { svm, args, pointers, refusal } = await prepare()
    const message = await refusal('any')
    expect(message).toContain(`${OTHER + 4} pages`)
    expect(message).toMatch(/Migrate.*narrow reach/)
    expect(await refusal('arguments')).toContain(' 4 pages')
    expect(await refusal([args.src, args.dst])).toContain(' 2 pages')
    await svm.queue.migrate(pointers).done
    expect(await refusal('any')).toContain(`${OTHER} pages`)
    // Nothing ran.
    expectSame(
      await svm.read(args.ticket, Uint32Array, 1),
      words(1, () => 0),
    )
  })

  test('runs in one pass when all is here, or reach names what is', async () => {
    for (const reach of ['any', 'arguments', 'list'] as const) {
      const { svm, args, other, make, pointers, check } = await prepare()
      await svm.queue.migrate(reach === 'any' ? [...pointers, { pointer: other }] : pointers).done
      const result = await svm.queue.enqueue(await make(reach === 'list' ? Object.values(args) : reach), { args, global: GROUPS * 16 }).done
      expect(result).toMatchObject({ rounds: 1, faults: 0 })
      await check()
      await svm.close()
    }
  })
})
