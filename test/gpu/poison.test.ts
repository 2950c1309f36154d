// What a poisoned work-item hands to its neighbours goes nowhere, by whatever way it is handed. Always: the outputs' page has its right some passes before
// the value is there, so that a neighbour who was not told would store the placeholder, or follow it; and what he wants counts as a hint, so that where
// the bytes come out right all the same (an atomic is undone with its pass) the count of faults tells that he was told.

import { describe, expect, test } from 'vitest'
import { PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const ROUNDS = 4
const VALUE = 3
const GROUPS = 6
/** In the second page of the outputs. */
const ASTRAY = PAGE / 4
const HEAD = `struct Args { chain: svm_ptr, out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> tile: array<u32, 4>;
var<workgroup> one: u32;
var<workgroup> sum: atomic<u32>;
// Each page says where the next begins; the last one holds the value.
fn late() -> u32 {
  var at = 0u;
  for (var n = 0u; n < ${ROUNDS}u; n++) { at = svm_load_u32(svm_add(args.chain, at)); }
  return at;
}
@compute @workgroup_size(4) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  var v = 0u;
  if (i == 1u) { v = late(); }
`
/** From `v` of work-item 1 to `got` of all. */
const ways: readonly (readonly [string, string])[] = [
  ['workgroup memory and workgroupBarrier', 'tile[i] = v; workgroupBarrier(); let got = tile[1];'],
  ['workgroup memory and two kinds of barrier', 'tile[i] = v; storageBarrier(); workgroupBarrier(); let got = tile[1];'],
  ['workgroupUniformLoad', 'if (i == 1u) { one = v; } let got = workgroupUniformLoad(&one);'],
  ['workgroup atomics', 'atomicAdd(&sum, v); workgroupBarrier(); let got = atomicLoad(&sum);'],
  ['a barrier in a function', 'tile[i] = v; meet(); let got = tile[1];'],
  ['subgroupAdd', 'let got = subgroupAdd(v);'],
  ['subgroupBroadcast', 'let got = subgroupBroadcast(v, 1u);'],
  ['subgroupMax', 'let got = subgroupMax(v);'],
  ['subgroupShuffle', 'let got = subgroupShuffle(v, 1u);'],
  ['subgroupAny', `let got = select(0u, ${VALUE}u, subgroupAny(v == ${VALUE}u));`],
  ['subgroupBallot', `let got = select(0u, ${VALUE}u, (subgroupBallot(v == ${VALUE}u).x & 2u) != 0u);`],
  ['quadBroadcast', 'let got = quadBroadcast(v, 1u);'],
]
const ends: readonly (readonly [string, string])[] = [
  ['a store of it', 'svm_store_u32(svm_index(args.out, (group.x * 8u + got) * 4u + i, 4u), got + i);'],
  // Undone with the pass, told or not: what tells is that the page was wanted by somebody poisoned.
  ['an atomic with it', 'svm_atomic_add_u32(svm_index(args.out, (group.x * 8u + got) * 4u + i, 4u), got + i);'],
  // The placeholder leads to a page that nothing else touches.
  [
    'a store to where it leads',
    `svm_store_u32(svm_index(args.out, select(${ASTRAY}u + group.x * 4u + i, (group.x * 8u + got) * 4u + i, got == ${VALUE}u), 4u), got + i);`,
  ],
  [
    'a load from where it leads',
    `let more = svm_load_u32(svm_select(svm_index(args.out, ${ASTRAY}u, 4u), args.chain, got == ${VALUE}u)); svm_store_u32(svm_index(args.out, (group.x * 8u + got) * 4u + i, 4u), got + i + more - ${PAGE}u);`,
  ],
]

describe.each(ways)('by %s', (_, way) => {
  test.each(ends)('%s', async (title, end) => {
    const subgroups = /\b(subgroup|quad)[A-Z]/.test(way)
    if (subgroups && !gpu.device.features.has('subgroups')) return expect(gpu.device.features.has('subgroups')).toBe(false)
    const svm = await gpu.open()
    const words = PAGE / 4
    const chain = svm.allocFrom(
      Uint32Array.from({ length: ROUNDS * words }, (_, w) => (w % words > 0 ? 0 : w / words + 1 < ROUNDS ? (w / words + 1) * PAGE : VALUE)),
    )
    const out = svm.alloc(2 * PAGE)
    const code = `${subgroups ? 'enable subgroups;\n' : ''}${way.includes('meet()') ? 'fn meet() { workgroupBarrier(); }\n' : ''}${HEAD}  ${way}\n  ${end}\n}`
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    const result = await svm.queue.enqueue(kernel, { args: { chain, out }, global: GROUPS * 4 }).done
    // It was replayed while the value was not there.
    expect(result.rounds).toBeGreaterThan(2)
    // Only work-item 1 ever faults, once a page; and he who knows where to store, where nobody had asked for that page before.
    expect(result.faults).toBe(ROUNDS + Number(title === 'a store to where it leads'))
    const wanted = Array.from({ length: 2 * words }, (_, w) => (w < GROUPS * 32 && (w >> 2) % 8 === VALUE ? VALUE + (w & 3) : 0))
    expect([...(await svm.read(out, Uint32Array, 2 * words))]).toEqual(wanted)
  })
})

/** Work-item 1 says what it has, with 8 added, by an atomic alone: who has looked before sees 0. */
const SAYS = 'if (i == 1u) { atomicStore(&sum, v | 8u); } let seen = atomicLoad(&sum); let got = seen & 7u;'

async function unseen(end: string): Promise<Uint32Array> {
  const svm = await gpu.open()
  const words = PAGE / 4
  const chain = svm.allocFrom(Uint32Array.from({ length: 3 * words }, (_, w) => (w % words > 0 ? 0 : w / words < 2 ? (w / words + 1) * PAGE : VALUE)))
  const out = svm.alloc(PAGE)
  const kernel = await svm.createKernel({ code: `${HEAD.replace(`${ROUNDS}u`, '3u')}  ${SAYS}\n  ${end}\n}`, entryPoint: 'k' })
  const result = await svm.queue.enqueue(kernel, { args: { chain, out }, global: GROUPS * 4 }).done
  expect(result.rounds).toBeGreaterThan(2)
  return svm.read(out, Uint32Array, words)
}

describe('by a workgroup atomic, without a barrier: nobody is told', () => {
  test('a store of it is made again at the same place, or not at all', async () => {
    const words = await unseen('svm_store_u32(svm_index(args.out, (group.x * 16u + seen) * 4u + i, 4u), 1u);')
    // Of each work-item one store, wherever the order led it.
    for (let item = 0; item < GROUPS * 4; item++) {
      const places = Array.from({ length: 16 }, (_, at) => words[(item >> 2) * 64 + at * 4 + (item & 3)])
      expect(
        places.reduce((sum, one) => (sum as number) + (one as number), 0),
        `work-item ${item}: ${places}`,
      ).toBe(1)
    }
  })

  test('an address that comes of it is no error', async () => {
    const words = await unseen(`var more = ${PAGE}u;
  if (seen != 0u) { more = svm_load_u32(svm_select(svm_index(args.chain, 0x3f000000u, 4u), args.chain, got == ${VALUE}u)); }
  svm_store_u32(svm_index(args.out, group.x * 4u + i, 4u), more);`)
    expect([...words.subarray(0, GROUPS * 4)]).toEqual(new Array(GROUPS * 4).fill(PAGE))
  })
})

describe('across workgroups, and by who has no fuel: an address that comes of it is no error', () => {
  test('an atomic of a neighbour who was not told puts it where another workgroup follows it', async () => {
    const svm = await gpu.open()
    const words = PAGE / 4
    const FAR = 0x1000000
    const code = `struct Args { chain: svm_ptr, slot: svm_ptr, out: svm_ptr, good: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> box: atomic<u32>;
fn late() -> u32 { var at = 0u; for (var n = 0u; n < ${ROUNDS}u; n++) { at = svm_load_u32(svm_add(args.chain, at)); } return at; }
@compute @workgroup_size(4) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  if (group.x == 0u) {
    if (i == 1u) { atomicStore(&box, late() | 1u); }
    let seen = atomicLoad(&box);
    if (i == 2u && seen != 0u) { svm_atomic_store_u32(args.slot, seen); }
  } else {
    let seen = svm_atomic_load_u32(args.slot);
    if (seen != 0u) { svm_store_u32(svm_index(args.out, group.x * 4u + i, 4u), svm_load_u32(svm_add(svm_sub(args.good, ${FAR}u), seen & 0xfffffffeu))); }
  }
}`
    const chain = svm.allocFrom(
      Uint32Array.from({ length: ROUNDS * words }, (_, w) => (w % words > 0 ? 0 : w / words + 1 < ROUNDS ? (w / words + 1) * PAGE : FAR)),
    )
    const args = { chain, slot: svm.alloc(PAGE), out: svm.alloc(PAGE), good: svm.allocFrom(new Uint32Array(words).fill(9)) }
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    await svm.queue.enqueue(kernel, { args, global: 4 * 64 }).done
    const out = await svm.read(args.out, Uint32Array, words)
    // Who looked before it was there has stored nothing.
    expect([...out].every((word) => word === 0 || word === 9)).toBe(true)
  })

  test('a loop that needs more fuel than the first pass has', async () => {
    const TURNS = 300_000
    const svm = await gpu.open()
    const code = `struct Args { good: svm_ptr, out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> box: atomic<u32>;
@compute @workgroup_size(4) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  if (i == 1u) {
    var n = 0u;
    var x = 1u;
    while (n < ${TURNS}u) { n += 1u; x = x * 1664525u + n; }
    atomicStore(&box, (n << 2u) | 1u | select(0u, 2u, x == 77u));
  }
  let seen = atomicLoad(&box);
  var v = 1u;
  if (seen != 0u) { v = svm_load_u32(svm_add(svm_sub(args.good, ${TURNS * 4}u), seen & 0xfffffffcu)); }
  svm_store_u32(svm_index(args.out, group.x * 4u + i, 4u), v);
}`
    // The turns that were not made lead below, where nothing is.
    const args = { good: svm.allocFrom(new Uint32Array(PAGE / 4).fill(9)), out: svm.alloc(PAGE) }
    const elsewhere = svm.alloc(PAGE)
    await svm.queue.migrate([{ pointer: args.good }, { pointer: args.out }]).done
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    await svm.queue.enqueue(kernel, { args, global: 16 }).done
    const out = await svm.read(args.out, Uint32Array, 16)
    expect([...out].every((word) => word === 1 || word === 9)).toBe(true)
    expect(svm.residency(elsewhere, PAGE)).toHaveLength(1)
  })
})
