// The runtime's WGSL on a real device: what accesses return, what they change, and what they leave behind.
//
// Page i of the drawings begins at pageAt(i); `L S X P` are the rights load, store, exclusive and the private mark, `l s` what may be serviced.

import { describe, expect, test } from 'vitest'
import { NEED, NEED_MISALIGNED } from '../abi/fault-record.ts'
import { LEAF_PAGES, leafKey, MISS_LEAVES } from '../abi/leaf.ts'
import { PTE } from '../abi/pte.ts'
import { useTestGpu } from './test-gpu.ts'
import { pageAt as addressOfPage, TestSpace } from './test-space.ts'

const gpu = useTestGpu()

const L = PTE.load
const S = PTE.store
const X = PTE.exclusive
const P = PTE.private
const MAY = PTE.mayLoad | PTE.mayStore
const RW = L | S | X | PTE.mayLoad | PTE.mayStore
const LAST = { 32: 2 ** 32 - 1, 64: 2 ** 48 - 1 } as const
const ARGS = 'struct Args { a: svm_ptr, b: svm_ptr, n: u32 }\n@group(0) @binding(0) var<uniform> args: Args;\n'
const kernel = (body: string, size = 1) =>
  `${ARGS}@compute @workgroup_size(${size}) fn k(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) lix: u32) {\n${body}\n}`
const ab = (a: number, b = 0, n = 0) => ({ a, b, n })

describe.each([
  ['attempt', 32],
  ['resident', 32],
  ['attempt', 64],
  ['resident', 64],
] as const)('%s, %i-bit addresses', (variant, bits) => {
  const space = () => new TestSpace(gpu.device, bits)
  const pageAt = (page: number) => addressOfPage(page, bits)
  describe.each([1, 4] as const)('with %i pools', (pools) => {
    const far = pools === 1 ? 0 : 3
    /** Page 0 in pool `far`, page 1 in pool 0, both with all rights. */
    const two = () =>
      space()
        .table(0, RW, 2, far)
        .table(1, RW, 5, 0)
        .grant(0, RW, 2, far)
        .grant(1, RW, 5, 0)
        .fill(2, (k) => k * 3 + 1, far)

    test('copies words and vectors, and marks the written page dirty', async () => {
      const body = `  svm_store_u32(args.b, svm_load_u32(svm_add(args.a, 8u)));
  svm_store_f32(svm_add(args.b, 4u), 1.5);
  svm_store_vec4_u32(svm_add(args.b, 16u), svm_load_vec4_u32(svm_add(args.a, 4u)));
  svm_store_vec3_i32(svm_add(args.b, 36u), vec3i(-1, -2, -3));
  svm_store_vec2_f32(svm_add(args.b, 48u), svm_load_vec2_f32(svm_add(args.b, 4u)));`
      const done = await two().run({ code: kernel(body), args: ab(pageAt(0), pageAt(1)), variant, pools })
      expect([...done.frame(5).subarray(0, 14)]).toEqual([7, 0x3fc00000, 0, 0, 4, 7, 10, 13, 0, 0xffffffff, 0xfffffffe, 0xfffffffd, 0x3fc00000, 0])
      expect(done.pages('dirty')).toEqual([1])
      expect(done.bad).toBeNull()
      expect(done.workgroups('faulted')).toEqual([])
    })

    test('a vector across the end of a page comes from both frames', async () => {
      // Page 1 lies below page 0: the last words of page 1, then the first of page 0.
      const body =
        '  svm_store_vec4_u32(svm_add(args.b, 64u), svm_load_vec4_u32(svm_add(args.a, 4088u))); svm_store_vec3_u32(svm_add(args.a, 4092u), vec3u(7u, 8u, 9u));'
      const done = await two()
        .fill(5, (k) => 50_000 + k, 0)
        .run({ code: kernel(body), args: ab(pageAt(1), pageAt(1)), variant, pools })
      expect([...done.frame(5).subarray(16, 20)]).toEqual([51_022, 51_023, 1, 4])
      expect(done.frame(5)[1023]).toBe(7)
      expect([...done.frame(2, far).subarray(0, 3)]).toEqual([8, 9, 7])
      expect(done.pages('dirty')).toEqual([0, 1])
    })

    test('bytes and half-words leave their neighbours alone', async () => {
      const body =
        '  svm_store_u8(svm_add(args.b, lix), lix + 256u); if (lix < 2u) { svm_store_u16(svm_add(args.b, 64u + lix * 2u), 0xabcd0000u + lix); }\n  if (lix == 0u) { svm_store_u32(svm_add(args.b, 128u), svm_load_u8(svm_add(args.a, 5u)) + svm_load_u16(svm_add(args.a, 6u)) * 256u); }'
      const done = await two()
        .fill(2, () => 0x44332211, far)
        .run({ code: kernel(body, 8), args: ab(pageAt(0), pageAt(1)), variant, pools })
      expect([...done.frame(5).subarray(0, 3)]).toEqual([0x03020100, 0x07060504, 0])
      expect(done.frame(5)[16]).toBe(0x00010000)
      expect(done.frame(5)[32]).toBe(0x44330000 / 256 + 0x22)
    })

    test('atomics return the old value, in both signs', async () => {
      const body = `  let old = svm_atomic_add_u32(args.b, 1u);
  svm_atomic_max_i32(svm_add(args.b, 4u), i32(lix) - 40); svm_atomic_min_i32(svm_add(args.b, 8u), i32(lix) - 40);
  svm_atomic_max_u32(svm_add(args.b, 12u), lix); svm_atomic_xor_u32(svm_add(args.b, 16u), 1u << (lix & 31u));
  svm_atomic_or_u32(svm_index(args.b, 8u + (old >> 5u), 4u), 1u << (old & 31u));
  if (svm_atomic_compare_exchange_u32(svm_add(args.b, 20u), 0u, lix + 100u) == 0u) { svm_atomic_add_u32(svm_add(args.b, 24u), 1u); }
  svm_atomic_sub_i32(svm_add(args.b, 28u), 2);`
      const done = await two().run({ code: kernel(body, 64), args: ab(0, pageAt(1)), variant, pools })
      const words = done.frame(5)
      expect([words[0], words[1], words[2], words[3], words[4]]).toEqual([64, 23, 0xffffffd8, 63, 0])
      expect(words[5]).toBeGreaterThanOrEqual(100)
      expect([words[6], words[7]]).toEqual([1, 2 ** 32 - 128])
      expect([words[8], words[9]]).toEqual([0xffffffff, 0xffffffff])
    })

    test.each([
      ['an unmapped page', pageAt(6), 'svm_store_u32(args.b, svm_load_u32(args.a) + 1u);', NEED.read],
      ['below the table', 4096, 'svm_store_u32(args.b, svm_load_u32(args.a) + 1u);', NEED.read],
      ['null', 0, 'svm_store_u32(args.b, svm_load_u32(args.a) + 1u);', NEED.read],
      ['a misaligned word', pageAt(0) + 2, 'svm_store_u32(args.b, svm_load_u32(args.a) + 1u);', NEED.read | NEED_MISALIGNED],
      ['a misaligned vector', pageAt(0) + 1, 'svm_store_u32(args.b, svm_load_vec4_u32(args.a).w + 1u);', NEED.read | NEED_MISALIGNED],
      ['a store', 8192, 'svm_store_u32(args.a, 1u); svm_store_u32(args.b, 1u);', NEED.write],
      ['an atomic', 8192, 'svm_store_u32(args.b, svm_atomic_add_u32(args.a, 1u) + 1u);', NEED.exclusive],
      ['the last byte of the space', LAST[bits], 'svm_store_u32(args.b, svm_load_u8(args.a) + 1u);', bits === 32 ? NEED.read | NEED_MISALIGNED : NEED.read],
    ])('a bad access is recorded once and poisons: %s', async (_, address, body, kind) => {
      const done = await two().run({ code: kernel(`if (w.x == 1u) { ${body} }`, 2), args: ab(address, pageAt(1)), variant, pools, groups: [3, 1, 1] })
      // Of a page without an entry only the host knows that it is not mapped.
      expect(done.bad ?? done.misses()[0]?.access).toEqual({ address, kind, slot: 1 })
      expect(done.workgroups('faulted')).toEqual([1])
      expect(done.workgroups('serviceable')).toEqual([])
      expect(done.frame(5)[0]).toBe(0)
      expect([...(done.pools[0] as Uint32Array).subarray(0, 4)]).toEqual([0, 0, 0, 0])
    })

    test('arithmetic that leaves the space saturates to an address that every accessor refuses', async (context) => {
      if (bits === 64) return context.skip('4 GiB do not leave a 64-bit space; see below')
      const body = `  var p = svm_add(args.a, 0xfffffff0u);
  if (args.n == 1u) { p = svm_index(args.a, 0x40000000u, 4u); }
  if (args.n == 2u) { p = svm_index(args.a, 0x80000001u, 2u); }
  if (args.n == 3u) { p = svm_sub(SVM_NULL, 4u); }
  if (args.n == 4u) { p = svm_index(svm_index(args.a, 0xffffffffu, 0u), 1u, 4u); svm_store_u32(args.b, 7u); if (svm_difference(p, args.a) == 4u) { return; } }
  svm_store_u32(args.b, svm_load_u8(p) + 1u);`
      for (const n of [0, 1, 2, 3]) {
        const done = await two().run({ code: kernel(body), args: ab(pageAt(0), pageAt(1), n), variant, pools })
        expect(done.bad?.address).toBe(0xffffffff)
        expect(done.frame(5)[0]).toBe(0)
      }
      const inside = await two().run({ code: kernel(body), args: ab(pageAt(0), pageAt(1), 4), variant, pools })
      expect([inside.bad, inside.frame(5)[0]]).toEqual([null, 7])
    })
  })

  test('read-only pages refuse stores', async () => {
    const done = await space()
      .table(0, L | PTE.mayLoad)
      .run({ code: kernel('svm_store_u32(args.a, 9u);'), args: ab(pageAt(0)), variant })
    expect(done.bad).toEqual({ address: pageAt(0), kind: NEED.write, slot: 0 })
    expect(done.frame(0)[0]).toBe(0)
  })

  test('a page whose dirty bit is known is not marked again', async () => {
    const flags = RW | PTE.dirty
    const done = await space()
      .table(0, flags)
      .grant(0, flags)
      .run({ code: kernel('svm_store_u32(args.a, 9u);'), args: ab(pageAt(0)), variant })
    expect([done.frame(0)[0], done.pages('dirty')]).toEqual([9, []])
  })

  test('a garbage pointer cannot spin in a loop for ever', async () => {
    const body = '  var p = args.a; loop { if (svm_equal(p, args.b)) { break; } p = svm_load_ptr(p); }'
    const done = await space().run({ code: kernel(body), args: ab(4096, pageAt(1)), variant })
    expect((done.bad ?? done.misses()[0]?.access)?.address).toBe(4096)
  })

  test('folded, offset, worklisted: built-ins are those of the launch', async () => {
    const body = `let at = svm_index(args.a, (w.x + 5u * w.y) * 8u, 4u);
  svm_store_vec4_u32(at, vec4u(id, w.x)); svm_store_vec4_u32(svm_add(at, 16u), vec4u(n, w.y));`
    const code = `${ARGS}@compute @workgroup_size(1, 1, 1) fn k(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) n: vec3u) {\n${body}\n}`
    // Eight workgroups are dispatched as 2 x 4, six slots run: workgroups 9, 3, 14, 0, 7, 1 of 5 x 3.
    const worklist = [9, 3, 14, 0, 7, 1]
    const done = await space()
      .table(0, RW)
      .grant(0, RW)
      .run({ code, args: ab(pageAt(0)), variant, groups: [2, 4, 1], slots: 6, worklist, workgroups: [5, 3, 1], offset: [100, 200, 300] })
    for (let w = 0; w < 15; w++) {
      const [x, y] = [w % 5, Math.floor(w / 5)]
      const wanted = worklist.includes(w) ? [100 + x, 200 + y, 300, x, 5, 3, 1, y] : [0, 0, 0, 0, 0, 0, 0, 0]
      expect([...done.frame(0).subarray(w * 8, w * 8 + 8)]).toEqual(wanted)
    }
  })

  test('the guard leaves out work-items beyond the launch', async () => {
    const code = kernel('svm_store_u32(svm_index(args.a, id.x, 4u), id.x + 1u);', 8)
    const done = await space()
      .table(0, RW)
      .grant(0, RW)
      .run({ code, args: ab(pageAt(0)), variant, guard: true, first: 1, slots: 2, workgroups: [3, 1, 1], global: [19, 1, 1] })
    expect([...done.frame(0).subarray(6, 22)]).toEqual([0, 0, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0, 0, 0])
  })

  test('workgroup memory and barriers', async () => {
    const code = `var<workgroup> tile: array<u32, 64>;\n${kernel(
      `tile[lix] = svm_load_u32(svm_index(args.a, id.x, 4u)); workgroupBarrier();
  for (var step = 32u; step > 0u; step /= 2u) { if (lix < step) { tile[lix] += tile[lix + step]; } workgroupBarrier(); }
  if (lix == 0u) { svm_store_u32(svm_index(args.b, w.x, 4u), tile[0]); }`,
      64,
    )}`
    const done = await space()
      .table(0, RW)
      .grant(0, RW)
      .table(1, RW)
      .grant(1, RW)
      .fill(0, (k) => k)
      .run({ code, args: ab(pageAt(0), pageAt(1)), variant, groups: [4, 1, 1] })
    expect([...done.frame(1).subarray(0, 5)]).toEqual([2016, 6112, 10208, 14304, 0])
  })
})

describe.each([32, 64] as const)('grants and faults of an attempt, %i-bit addresses', (bits) => {
  const space = () => new TestSpace(gpu.device, bits)
  const pageAt = (page: number) => addressOfPage(page, bits)
  const run = (prepared: TestSpace, body: string, more: { size?: number; slots?: number; n?: number; fuel?: number; before?: string } = {}) =>
    prepared.run({
      code: (more.before ?? '') + kernel(body, more.size ?? 1),
      args: ab(pageAt(0), pageAt(1), more.n ?? 0),
      slots: more.slots ?? 1,
      ...(more.fuel === undefined ? {} : { fuel: more.fuel }),
    })

  test('without a grant a page of the table can be loaded only', async () => {
    const done = await run(
      space()
        .table(0, RW)
        .table(1, RW)
        .fill(0, () => 5),
      'svm_store_u32(args.b, svm_load_u32(args.a));',
    )
    expect(done.marks()).toEqual({ 'page write': [1], 'page lead': [0], 'workgroup faulted': [0], 'workgroup serviceable': [0] })
    expect(done.frame(1)[0]).toBe(0)
    expect(done.users(1)).toEqual([0])
    expect(done.bad).toBeNull()
  })

  test('a grant is the whole entry: W refuses loads, R refuses stores', async () => {
    const loads = await run(
      space()
        .table(0, RW)
        .grant(0, S | MAY),
      'let v = svm_load_u32(args.a); svm_store_u32(args.a, v);',
      { slots: 2 },
    )
    expect(loads.marks()).toEqual({ 'page read': [0], 'workgroup faulted': [0, 1], 'workgroup serviceable': [0, 1] })
    const stores = await run(
      space()
        .table(0, RW)
        .grant(0, L | MAY),
      'svm_store_u32(args.a, 3u);',
    )
    expect(stores.marks()).toEqual({ 'page write': [0], 'workgroup faulted': [0], 'workgroup serviceable': [0] })
  })

  test('the first fault is real, later ones are hints; a poisoned invocation changes nothing', async () => {
    // Page 0 is absent, page 1 writable, page 2 absent, page 3 readable, page 4 absent and atomic.
    const prepared = space()
      .table(0, MAY)
      .grant(1, RW)
      .table(2, MAY)
      .table(3, RW)
      .table(4, MAY)
      .fill(3, () => 77)
    const body = `  let v = svm_load_u32(args.a); svm_store_u32(args.b, v + 1u);
  svm_store_u32(svm_sub(args.b, 4096u), svm_load_u32(svm_sub(args.b, 8192u)));
  if (svm_atomic_add_u32(args.b, 1u) != 0u) { svm_store_u32(args.b, 3u); }
  svm_atomic_add_u32(svm_sub(args.b, 3u * 4096u), 1u);
  if (svm_faulted()) { let x = svm_load_u32(svm_sub(args.a, 4u * 4096u)); }`
    const done = await run(prepared, body, { slots: 3 })
    expect(done.marks()).toEqual({
      'page read': [0],
      'page hintRead': [4],
      'page hintWrite': [2],
      'page hintExclusive': [4],
      'workgroup faulted': [0, 1, 2],
      'workgroup serviceable': [0, 1, 2],
    })
    expect(done.frame(1)[0]).toBe(0)
    expect(done.users(0)).toEqual([0, 1, 2])
  })

  test('says which slots wanted a page', async () => {
    const done = await run(
      space().table(0, MAY).table(1, MAY),
      'if (w.x == 5u || w.x == 3u) { let v = svm_load_u32(args.b); } else if (w.x > 1u) { let v = svm_load_u32(args.a); }',
      { slots: 40 },
    )
    expect([done.users(0), done.users(1), done.users(2)]).toEqual([[2, 4, ...Array.from({ length: 34 }, (_, k) => k + 6)], [3, 5], []])
    expect(done.workgroups('faulted')).toEqual(Array.from({ length: 38 }, (_, k) => k + 2))
  })

  test('pages that are here have users too, in groups of slots where these are many', async () => {
    const done = await run(
      space().table(0, RW).grant(1, RW),
      'if (w.x % 32u < 2u) { let v = svm_load_u32(args.a); } if (w.x == 129u) { svm_store_u32(args.b, 1u); }',
      {
        slots: 130,
      },
    )
    expect([done.users(0), done.users(1), done.users(2)]).toEqual([[0, 8, 16, 24, 32], [32], []])
  })

  test('a bad access after a serviceable fault is not recorded', async () => {
    const done = await run(space().table(0, MAY), 'svm_store_u32(svm_load_ptr(args.a), 1u);')
    expect(done.bad).toBeNull()
    expect(done.pages('read')).toEqual([0])
  })

  test('private pages: touched, dirty, and the lead', async () => {
    const prepared = () =>
      space()
        .grant(0, L | S | X | P | MAY)
        .grant(1, L | S | X | P | MAY)
    const done = await run(
      prepared(),
      'if (w.x == 1u) { let v = svm_load_u32(args.a); } if (w.x == 2u) { svm_store_u32(args.b, 4u); } if (w.x == 3u) { svm_atomic_add_u32(args.b, 1u); }',
      { slots: 5 },
    )
    expect(done.marks()).toEqual({ 'page dirty': [1], 'workgroup touched': [1, 2, 3], 'workgroup dirty': [2, 3] })
    const lead = await run(prepared(), 'svm_store_u32(args.b, svm_load_u32(args.a));')
    expect(lead.pages('lead')).toEqual([0, 1])
  })

  describe('taint: a tainted store needs the exclusive right', () => {
    const prepared = () =>
      space()
        .grant(0, L | S | X | P | MAY)
        .grant(1, S | MAY)
    const raised = { 'page exclusive': [1], 'workgroup faulted': [0], 'workgroup serviceable': [0] }
    const pick = (marks: Record<string, number[]>) =>
      Object.fromEntries(
        Object.entries(marks).filter(([name]) => ['page exclusive', 'page write', 'workgroup faulted', 'workgroup serviceable'].includes(name)),
      )

    test.each([
      ['a used atomic', 'let s = svm_atomic_add_u32(args.a, 1u); svm_store_u32(args.b, s);', raised],
      ['an atomic load', 'let s = svm_atomic_load_u32(args.a); svm_store_u32(args.b, 1u);', raised],
      ['an atomic whose result is dropped', 'svm_atomic_add_u32(args.a, 1u); svm_store_u32(args.b, 1u);', {}],
      ['an atomic store', 'svm_atomic_store_u32(args.a, 1u); svm_store_u32(args.b, 1u);', {}],
      ['an atomic in a for header', 'for (var i = 0u; svm_atomic_add_u32(args.a, 1u) < 2u; i++) {} svm_store_u32(args.b, 1u);', raised],
    ])('%s', async (_, body, wanted) => {
      expect(pick((await run(prepared(), body)).marks())).toEqual(wanted)
    })

    test('a used workgroup atomic taints from the start', async () => {
      const done = await run(prepared(), 'svm_store_u32(args.b, 1u); let s = atomicAdd(&next, 1u);', { before: 'var<workgroup> next: atomic<u32>;\n' })
      expect(pick(done.marks())).toEqual(raised)
    })

    test('taint crosses a barrier', async () => {
      const body = 'if (lix == 3u) { let s = svm_atomic_add_u32(args.a, 1u); } workgroupBarrier(); if (lix == 0u) { svm_store_u32(args.b, 1u); }'
      expect(pick((await run(prepared(), body, { size: 8 })).marks())).toEqual(raised)
    })
  })

  test('an atomic needs the exclusive right, with or without a result; an atomic load the load right', async () => {
    const done = await run(
      space()
        .grant(0, L | MAY)
        .grant(1, S | MAY),
      'if (w.x == 0u) { let v = svm_atomic_load_u32(args.a); } else { svm_atomic_store_u32(args.b, 1u); }',
      { slots: 2 },
    )
    expect([done.pages('exclusive'), done.pages('read'), done.workgroups('faulted')]).toEqual([[1], [], [1]])
  })

  test.each([
    ['workgroupBarrier', 'if (lix == 1u) { tile[1] = svm_load_u32(args.a); } workgroupBarrier(); let v = tile[1];'],
    ['workgroupUniformLoad', 'if (lix == 1u) { tile[0] = svm_load_u32(args.a); } let v = workgroupUniformLoad(&tile[0]);'],
  ])('poison crosses by %s: nobody stores garbage', async (_, body) => {
    // Invocation 1 loads from page 0 (absent); everyone stores what it got.
    const prepared = space().table(0, MAY).grant(1, RW)
    const code = `${body} svm_store_u32(svm_index(args.b, lix, 4u), v + 1u);`
    const done = await run(prepared, code, { size: 8, before: 'var<workgroup> tile: array<u32, 8>;\n' })
    expect(done.pages('read')).toEqual([0])
    expect([...done.frame(1).subarray(0, 8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
  })

  test('poison crosses by subgroup operations', async (context) => {
    if (!gpu.features.has('subgroups')) return context.skip('the device has no subgroups')
    const code = 'var mine = 0u; if (lix == 1u) { mine = svm_load_u32(args.a); } let v = subgroupAdd(mine); svm_store_u32(svm_index(args.b, lix, 4u), v + 1u);'
    const done = await run(space().table(0, MAY).grant(1, RW), code, { size: 4, before: 'enable subgroups;\n' })
    expect([...done.frame(1).subarray(0, 4)]).toEqual([0, 0, 0, 0])
  })

  test('fuel ends loops that never end, and says so', async () => {
    const done = await run(space().grant(0, RW), 'var i = 1u; while (i != 0u) { i |= 1u; } svm_store_u32(args.a, 1u);', { fuel: 1000, slots: 2 })
    expect([done.fuelOut, done.workgroups('faulted'), done.frame(0)[0]]).toEqual([2, [0, 1], 0])
  })

  test('a vector across two pages, one of them absent', async () => {
    // Page 1 lies below page 0 and is readable; page 0 is absent: its first word faults, its second is a hint.
    const done = await run(space().table(0, MAY).table(1, RW), 'let v = svm_load_vec4_u32(svm_sub(args.a, 8u));')
    expect(done.marks()).toEqual({ 'page read': [0], 'page hintRead': [0], 'page lead': [1], 'workgroup faulted': [0], 'workgroup serviceable': [0] })
  })
})

describe('arithmetic in a 64-bit space', () => {
  const pageAt = (page: number) => addressOfPage(page, 64)
  /** What `p` is after these statements, as bytes from `from`; null: it left the space. */
  async function moved(body: string, from: number): Promise<number | null> {
    const done = await new TestSpace(gpu.device, 64)
      .table(0, RW)
      .run({ code: kernel(`var p = args.a; ${body} svm_store_ptr(args.b, p);`), args: ab(from, pageAt(0)), variant: 'resident' })
    expect(done.bad).toBeNull()
    const [low = 0, high = 0] = done.frame(0)
    const address = high * 2 ** 32 + low
    return address === LAST[64] ? null : address - from
  }

  test.each([
    ['the low word carries', 'p = svm_add(p, 0xfffffff0u);', 0x1_8000_0000, 0xfffffff0],
    ['and borrows', 'p = svm_sub(p, 0xfffffff0u);', 0x1_0000_0000, -0xfffffff0],
    ['an index times a stride has 64 bits', 'p = svm_index(p, 0xfffffffeu, 32771u);', 0x7fff_ffff, 0xfffffffe * 32771],
    ['of every half', 'p = svm_index(p, 0x00ff00ffu, 0x000f1234u);', 1, 0x00ff00ff * 0x000f1234],
    ['up to the last page', 'p = svm_index(p, 0xffffffffu, 0xffffu);', 0, 0xffffffff * 0xffff],
    ['beyond the end', 'p = svm_add(p, 0x1001u);', 2 ** 48 - 4096, null],
    ['beyond the end by an index', 'p = svm_index(p, 0x80000000u, 0x20000u);', 0, null],
    ['by an index whose product has its high bits set', 'p = svm_index(p, 0xffffffffu, 0xffffffffu);', 0x25_0000_0000, null],
    ['below null', 'p = svm_sub(p, 1u);', 0, null],
    ['from where it was already', 'p = svm_add(svm_sub(p, 1u), 1u);', 0, null],
    ['null stays null', 'p = svm_select(p, SVM_NULL, svm_is_null(p) & svm_equal(p, SVM_NULL));', 0, 0],
    ['a pointer of which one word is zero is not null', 'if (svm_is_null(p) | svm_equal(p, SVM_NULL)) { p = svm_add(p, 1u); }', 2 ** 32, 0],
    ['a difference', 'p = svm_add(p, svm_difference(svm_add(p, 24u), p));', 0xffff_fff0, 24],
  ])('%s', async (_, body, from, wanted) => {
    expect(await moved(body, from)).toBe(wanted)
  })

  test('a word beyond 2^48 is a bad access at once', async () => {
    const done = await new TestSpace(gpu.device, 64)
      .grant(0, RW)
      .fill(0, () => 0x0012_3450)
      .run({ code: kernel('let v = svm_load_u32(svm_load_ptr(args.a)); svm_store_u32(args.a, v + 1u);'), args: ab(pageAt(0)) })
    expect(done.bad).toEqual({ address: 0x12_3450 * 2 ** 32 + 0x12_3450, kind: NEED.read, slot: 0 })
    expect([done.misses(), done.frame(0)[0]]).toEqual([[], 0x12_3450])
  })
})

describe('pages without an entry', () => {
  const far = (leaf: number, page: number) => 0x7000_0000_0000 + leaf * LEAF_PAGES * 4096 + page * 4096
  const run = (body: string, more: { size?: number; slots?: number; n?: number } = {}) =>
    new TestSpace(gpu.device, 64)
      .grant(0, RW)
      .run({ code: kernel(body, more.size ?? 1), args: ab(far(0, 0), addressOfPage(0, 64), more.n ?? 0), slots: more.slots ?? 1 })

  test('are noted by leaf, page and kind; later ones are hints', async () => {
    const body = `svm_store_u32(svm_add(args.a, 3u * 4096u + 8u), 1u); svm_store_u32(args.b, 1u);
  let v = svm_load_u32(svm_add(args.a, 5u * 4096u)); svm_atomic_add_u32(svm_add(args.a, ${LEAF_PAGES + 31}u * 4096u), 1u);`
    const done = await run(body, { slots: 2 })
    const misses = done.misses().sort((a, b) => a.key - b.key)
    const slot = misses[0]?.access?.slot
    expect([0, 1]).toContain(slot)
    expect(misses).toEqual([
      { key: leafKey(far(0, 0) / 4096), wants: [0, 1 << 3, 0, 1 << 5, 0, 0], access: { address: far(0, 3) + 8, kind: NEED.write, slot } },
      { key: leafKey(far(1, 0) / 4096), wants: [0, 0, 0, 0, 0, 2 ** 31], access: null },
    ])
    expect([done.bad, done.frame(0)[0], done.marks()]).toEqual([null, 0, { 'workgroup faulted': [0, 1] }])
  })

  test('fill the set and no more; nobody waits', async () => {
    const done = await run('let v = svm_load_u32(svm_index(args.a, id.x, 131072u));', { size: 64, slots: 40 })
    const keys = done.misses().map(({ key }) => key)
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.length).toBeGreaterThan(MISS_LEAVES / 2)
    for (const key of keys) expect(key - leafKey(far(0, 0) / 4096)).toBeLessThan(64 * 40)
    expect(done.workgroups('faulted').length).toBe(40)
  })
})
