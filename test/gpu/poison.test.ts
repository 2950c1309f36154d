// What a poisoned work-item hands to its neighbours goes nowhere, by whatever way it is handed. Always: the outputs' page has its right some passes before
// the value is there, so that a neighbour who was not told would store the placeholder, or follow it to an address that is none.

import { describe, expect, test } from 'vitest'
import { PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const ROUNDS = 4
const VALUE = 3
const GROUPS = 6
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
  ['an atomic with it', 'svm_atomic_add_u32(svm_index(args.out, (group.x * 8u + got) * 4u + i, 4u), got + i);'],
  ['a store to where it leads', `svm_store_u32(svm_index(args.out, select(0x3f000000u, (group.x * 8u + got) * 4u + i, got == ${VALUE}u), 4u), got + i);`],
  [
    'a load from where it leads',
    `let more = svm_load_u32(svm_index(args.chain, select(0x3f000000u, 0u, got == ${VALUE}u), 1u)); svm_store_u32(svm_index(args.out, (group.x * 8u + got) * 4u + i, 4u), got + i + more - ${PAGE}u);`,
  ],
]

describe.each(ways)('by %s', (_, way) => {
  test.each(ends)('%s', async (_, end) => {
    const subgroups = /\b(subgroup|quad)[A-Z]/.test(way)
    if (subgroups && !gpu.device.features.has('subgroups')) return expect(gpu.device.features.has('subgroups')).toBe(false)
    const svm = await gpu.open()
    const words = PAGE / 4
    const chain = svm.allocFrom(
      Uint32Array.from({ length: ROUNDS * words }, (_, w) => (w % words > 0 ? 0 : w / words + 1 < ROUNDS ? (w / words + 1) * PAGE : VALUE)),
    )
    const out = svm.alloc(PAGE)
    const code = `${subgroups ? 'enable subgroups;\n' : ''}${way.includes('meet()') ? 'fn meet() { workgroupBarrier(); }\n' : ''}${HEAD}  ${way}\n  ${end}\n}`
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    const result = await svm.queue.enqueue(kernel, { args: { chain, out }, global: GROUPS * 4 }).done
    // It was replayed while the value was not there.
    expect(result.rounds).toBeGreaterThan(2)
    const wanted = Array.from({ length: words }, (_, w) => (w < GROUPS * 32 && (w >> 2) % 8 === VALUE ? VALUE + (w & 3) : 0))
    expect([...(await svm.read(out, Uint32Array, words))]).toEqual(wanted)
  })
})
