// Loops and barriers under faults: loops that end only on real data, loops that retry, values that cross a workgroup. A poisoned invocation must leave
// every one of them, and its workgroup must come out right when it is replayed.

import { describe, expect, test } from 'vitest'
import { PAGE, pointerWords, useGpu } from './device.ts'
import { type Bench, expectSame, inEveryRegime, noise, words } from './regime.ts'

const gpu = useGpu()

/** Lists whose nodes lie all over the working set: node n holds a value and the address of the next. */
function buildLists(bench: Bench, lists: number, nodesEach: number, nodeBytes: number): { heads: number; sums: Uint32Array } {
  const count = lists * nodesEach
  const next = noise(lists)
  const order = words(count, (i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = next() % (i + 1)
    const kept = order[i] as number
    order[i] = order[j] as number
    order[j] = kept
  }
  const image = new Uint32Array((count * nodeBytes) / 4)
  const nodes = bench.alloc(image.byteLength)
  const heads: number[] = []
  const sums = new Uint32Array(lists)
  const at = (k: number) => nodes + (order[k] as number) * nodeBytes
  for (let list = 0; list < lists; list++) {
    heads[list] = at(list * nodesEach)
    for (let n = 0; n < nodesEach; n++) {
      const k = list * nodesEach + n
      const word = (order[k] as number) * (nodeBytes / 4)
      const value = next() % 1000
      image[word] = value
      const link = pointerWords([n + 1 < nodesEach ? at(k + 1) : 0])
      image.set(link, word + link.length)
      sums[list] = ((sums[list] as number) + value) >>> 0
    }
  }
  void bench.svm.write(nodes, image)
  return { heads: bench.data(pointerWords(heads)), sums }
}

const LIST = `struct Node { value: u32, next: svm_ptr }
struct Args { heads: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
`
const WALKS: readonly (readonly [string, string])[] = [
  [
    'while',
    `var node = svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE));
  var sum = 0u;
  while (!svm_is_null(node)) { sum += svm_load_u32(svm_add(node, Node_value)); node = svm_load_ptr(svm_add(node, Node_next)); }
  svm_store_u32(svm_index(args.sums, id.x, 4u), sum);`,
  ],
  [
    'loop with a continuing block',
    `var node = svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE));
  var sum = 0u;
  loop {
    if (svm_is_null(node)) { break; }
    sum += svm_load_u32(svm_add(node, Node_value));
    continuing { node = svm_load_ptr(svm_add(node, Node_next)); }
  }
  svm_store_u32(svm_index(args.sums, id.x, 4u), sum);`,
  ],
  [
    'for in a function that returns from inside',
    'svm_store_u32(svm_index(args.sums, id.x, 4u), total(svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE))));',
  ],
]
const TOTAL = `fn total(head: svm_ptr) -> u32 {
  var sum = 0u;
  for (var node = head; ; node = svm_load_ptr(svm_add(node, Node_next))) {
    if (svm_is_null(node)) { return sum; }
    sum += svm_load_u32(svm_add(node, Node_value));
  }
}
`

describe('a linked list', () => {
  for (const [name, body] of WALKS) {
    inEveryRegime(gpu, name, async (bench) => {
      const lists = 48
      const { heads, sums } = buildLists(bench, lists, 12, 512)
      const out = bench.alloc(lists * 4)
      const kernel = await bench.kernel(
        `${LIST}${body.includes('total(') ? TOTAL : ''}@compute @workgroup_size(2) fn k(@builtin(global_invocation_id) id: vec3u) {\n  ${body}\n}`,
      )
      await bench.launch(kernel, { args: { heads, sums: out }, global: lists })
      expectSame(await bench.words(out, lists), sums)
    })
  }

  test('whose links the kernel turns around itself', async () => {
    const svm = await gpu.open()
    const nodes = svm.alloc(64 * PAGE)
    const at = (n: number) => nodes + n * PAGE
    for (let n = 0; n < 64; n++)
      void svm.using(at(n), 16, 'write', (mapping) => {
        mapping.u32[0] = n
        mapping.setPointer(at(n) + svm.addressBits / 8, n === 63 ? 0 : at(n + 1))
      })
    const out = svm.alloc(8)
    const kernel = await svm.createKernel({
      code: `${LIST}@compute @workgroup_size(1) fn k() {
  var node = args.heads;
  var before = SVM_NULL;
  while (!svm_is_null(node)) {
    let after = svm_load_ptr(svm_add(node, Node_next));
    svm_store_ptr(svm_add(node, Node_next), before);
    before = node;
    node = after;
  }
  svm_store_ptr(args.sums, before);
}`,
      entryPoint: 'k',
    })
    await svm.queue.enqueue(kernel, { args: { heads: at(0), sums: out }, global: 1 }).done
    const pointerAt = (p: number) => svm.using(p, 8, 'read', (mapping) => mapping.getPointer(p))
    let node = await pointerAt(out)
    for (let n = 63; n >= 0; n--) {
      expect(node).toBe(at(n))
      expect((await svm.read(at(n), Uint32Array, 1))[0]).toBe(n)
      node = await pointerAt(at(n) + svm.addressBits / 8)
    }
    expect(node).toBe(0)
  })
})

describe('retry', () => {
  inEveryRegime(gpu, 'compare-exchange until it fits', async (bench) => {
    // Saturating addition, which no built-in atomic does.
    const CELLS = 64
    const cells = bench.data(words((CELLS * PAGE) / 4, () => 10))
    const kernel = await bench.kernel(`struct Args { cells: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(8) fn k(@builtin(global_invocation_id) id: vec3u) {
  let cell = svm_index(args.cells, id.x % ${CELLS}u, ${PAGE}u);
  var old = svm_atomic_load_u32(cell);
  loop {
    let seen = svm_atomic_compare_exchange_u32(cell, old, min(old + 3u, 25u));
    if (seen == old) { break; }
    old = seen;
  }
}`)
    await bench.launch(kernel, { args: { cells }, global: CELLS * 4 })
    const got = await bench.words(cells, (CELLS * PAGE) / 4)
    expectSame(
      got,
      words(got.length, (i) => (i % (PAGE / 4) === 0 ? 22 : 10)),
    )
  })

  inEveryRegime(gpu, 'work is popped from a queue until it is empty', async (bench) => {
    const JOBS = 400
    const jobs = bench.data(words((JOBS * 512) / 4, (i) => i))
    const done = bench.alloc(JOBS * 512)
    const counter = bench.alloc(4)
    const kernel = await bench.kernel(`struct Args { jobs: svm_ptr, done: svm_ptr, counter: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k() {
  loop {
    let job = svm_atomic_add_u32(args.counter, 1u);
    if (job >= args.count) { return; }
    let p = svm_index(args.done, job, 512u);
    svm_store_u32(p, svm_load_u32(p) + svm_load_u32(svm_index(args.jobs, job, 512u)) + 1u);
  }
}`)
    // With a small budget few work-items, since whoever pops cannot be split: a workgroup needs the pages of all the jobs that it takes.
    const items = bench.regime === 'tight' ? 400 : 32
    const take = bench.regime === 'tight' ? 24 : JOBS
    await bench.launch(kernel, { args: { jobs, done, counter, count: take }, global: items })
    const got = await bench.words(done, (JOBS * 512) / 4)
    expectSame(
      got,
      words(got.length, (i) => (i % 128 === 0 && i / 128 < take ? i + 1 : 0)),
    )
    expect((await bench.words(counter, 1))[0]).toBe(take + items)
  })
})

describe('workgroups', () => {
  inEveryRegime(gpu, 'a reduction through workgroup memory and barriers', async (bench) => {
    const GROUPS = 40
    const data = words(GROUPS * 1024 * 2, noise(2))
    const source = bench.data(data)
    const sums = bench.alloc(GROUPS * PAGE)
    const kernel = await bench.kernel(`struct Args { src: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> part: array<u32, 64>;
@compute @workgroup_size(64) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  var sum = 0u;
  for (var n = i; n < 2048u; n += 64u) { sum += svm_load_u32(svm_index(args.src, group.x * 2048u + n, 4u)); }
  part[i] = sum;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half = half / 2u) {
    if (i < half) { part[i] += part[i + half]; }
    workgroupBarrier();
  }
  if (i == 0u) { svm_store_u32(svm_index(args.sums, group.x, ${PAGE}u), part[0]); }
}`)
    await bench.launch(kernel, { args: { src: source, sums }, global: GROUPS * 64 })
    const got = await bench.words(sums, (GROUPS * PAGE) / 4)
    for (let g = 0; g < GROUPS; g++) {
      let sum = 0
      for (const value of data.subarray(g * 2048, (g + 1) * 2048)) sum = (sum + value) >>> 0
      expect(got[(g * PAGE) / 4]).toBe(sum)
    }
  })

  inEveryRegime(gpu, 'one work-item loads what all of them store', async (bench) => {
    const GROUPS = 32
    const source = bench.data(words((GROUPS * PAGE) / 4, (i) => i * 3 + 1))
    const target = bench.alloc(GROUPS * PAGE)
    const kernel = await bench.kernel(`struct Args { src: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> shared_word: u32;
@compute @workgroup_size(16) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  for (var n = 0u; n < 4u; n++) {
    if (i == n) { shared_word = svm_load_u32(svm_index(args.src, group.x * 1024u + n, 4u)); }
    let word = workgroupUniformLoad(&shared_word);
    svm_store_u32(svm_index(args.dst, group.x * 1024u + n * 16u + i, 4u), word + i);
    workgroupBarrier();
  }
}`)
    await bench.launch(kernel, { args: { src: source, dst: target }, global: GROUPS * 16 })
    const got = await bench.words(target, (GROUPS * PAGE) / 4)
    const wanted = words(got.length, (w) => {
      const group = Math.floor(w / 1024)
      const at = w % 1024
      return at < 64 ? (group * 1024 + Math.floor(at / 16)) * 3 + 1 + (at % 16) : 0
    })
    expectSame(got, wanted)
  })

  inEveryRegime(gpu, 'a histogram in workgroup atomics, merged in the space', async (bench) => {
    const GROUPS = 48
    const data = words(GROUPS * 1024, noise(9))
    const source = bench.data(data)
    const bins = bench.alloc(16 * 4)
    const kernel = await bench.kernel(`struct Args { src: svm_ptr, bins: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> part: array<atomic<u32>, 16>;
@compute @workgroup_size(32) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  for (var n = i; n < 1024u; n += 32u) { atomicAdd(&part[svm_load_u32(svm_index(args.src, group.x * 1024u + n, 4u)) & 15u], 1u); }
  workgroupBarrier();
  if (i < 16u) { svm_atomic_add_u32(svm_index(args.bins, i, 4u), atomicLoad(&part[i])); }
}`)
    await bench.launch(kernel, { args: { src: source, bins }, global: GROUPS * 32 })
    const wanted = new Uint32Array(16)
    for (const value of data) wanted[value & 15]++
    expectSame(await bench.words(bins, 16), wanted)
  })
})
