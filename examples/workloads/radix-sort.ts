// Radix sort of 32-bit keys with their values, eight bits at a time, the low ones first: count, scan, scatter, four times over, between two pairs of
// arrays. It shows a chain of 12 launches with nothing read in between, and workgroups that write to many pages at once: 256 buckets of keys and 256
// of values grow all over the other arrays. Every place is computed before it is written, so that a workgroup may be run again.
// A workgroup alone needs a page for each bucket, or the whole of two arrays where they have fewer pages than that: less memory than this is an error.

import type { DispatchResult, Svm, SvmEvent } from '../../src/index.ts'
import { numbersOf, randomWords } from './data.ts'
import type { Placed, Results, Workload } from './workload.ts'

/** Elements that a workgroup of 16 sorts: each work-item has 128 in a row. More items would need a larger table in workgroup memory. */
const TILE = 2048
const BITS = 8
const DIGITS = 2 ** BITS
const PASSES = 4

const CODE = /* wgsl */ `
struct Args { keys: svm_ptr, values: svm_ptr, next_keys: svm_ptr, next_values: svm_ptr, counts: svm_ptr, tiles: u32, shift: u32 }
@group(0) @binding(0) var<uniform> args: Args;
const ITEMS = 16u;
const VECTORS = ${TILE / 4}u / ITEMS;
const DIGITS = ${DIGITS}u;
const HALF = DIGITS / 2u;
const EACH = HALF / ITEMS;
const SCANNERS = 64u;

// Two numbers in a word, of digits d and HALF + d: none exceeds the tile. First how many keys of a digit an item has, later the place of the next one.
var<workgroup> table: array<u32, ITEMS * HALF>;
// Where the tile's keys of each digit begin.
var<workgroup> begins: array<u32, DIGITS>;
var<workgroup> sums: array<u32, SCANNERS>;

fn load4(elements: svm_ptr, tile: u32, item: u32, n: u32) -> vec4u {
  return svm_load_vec4_u32(svm_index(elements, (tile * ITEMS + item) * VECTORS + n, 16u));
}

// Item i has the words table[d * ITEMS + i]: nobody else writes them.
fn count_mine(tile: u32, item: u32) {
  for (var d = 0u; d < HALF; d++) { table[d * ITEMS + item] = 0u; }
  for (var n = 0u; n < VECTORS; n++) {
    let digits = (load4(args.keys, tile, item, n) >> vec4(args.shift)) & vec4(DIGITS - 1u);
    for (var k = 0u; k < 4u; k++) { table[(digits[k] % HALF) * ITEMS + item] += 1u << (digits[k] / HALF * 16u); }
  }
}

@compute @workgroup_size(ITEMS)
fn count(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  count_mine(group.x, item);
  workgroupBarrier();
  for (var d = item * EACH; d < (item + 1u) * EACH; d++) {
    var sum = 0u;
    for (var i = 0u; i < ITEMS; i++) { sum += table[d * ITEMS + i]; }
    svm_store_u32(svm_index(args.counts, d * args.tiles + group.x, 4u), sum & 0xffffu);
    svm_store_u32(svm_index(args.counts, (HALF + d) * args.tiles + group.x, 4u), sum >> 16u);
  }
}

// One workgroup: counts become the places where each tile's keys of each digit begin.
@compute @workgroup_size(SCANNERS)
fn scan(@builtin(local_invocation_index) item: u32) {
  let length = DIGITS * args.tiles;
  let mine = (length + SCANNERS - 1u) / SCANNERS;
  let end = min(length, (item + 1u) * mine);
  var sum = 0u;
  for (var n = item * mine; n < end; n++) { sum += svm_load_u32(svm_index(args.counts, n, 4u)); }
  sums[item] = sum;
  workgroupBarrier();
  var place = 0u;
  for (var i = 0u; i < item; i++) { place += sums[i]; }
  for (var n = item * mine; n < end; n++) {
    let p = svm_index(args.counts, n, 4u);
    let here = svm_load_u32(p);
    svm_store_u32(p, place);
    place += here;
  }
}

@compute @workgroup_size(ITEMS)
fn scatter(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  count_mine(group.x, item);
  workgroupBarrier();
  for (var d = item * EACH; d < (item + 1u) * EACH; d++) {
    begins[d] = svm_load_u32(svm_index(args.counts, d * args.tiles + group.x, 4u));
    begins[HALF + d] = svm_load_u32(svm_index(args.counts, (HALF + d) * args.tiles + group.x, 4u));
    var place = 0u;
    for (var i = 0u; i < ITEMS; i++) {
      let here = table[d * ITEMS + i];
      table[d * ITEMS + i] = place;
      place += here;
    }
  }
  workgroupBarrier();
  for (var n = 0u; n < VECTORS; n++) {
    let keys = load4(args.keys, group.x, item, n);
    let values = load4(args.values, group.x, item, n);
    for (var k = 0u; k < 4u; k++) {
      let digit = (keys[k] >> args.shift) & (DIGITS - 1u);
      let mine = (digit % HALF) * ITEMS + item;
      let half = digit / HALF * 16u;
      let next = table[mine];
      table[mine] = next + (1u << half);
      let place = begins[digit] + ((next >> half) & 0xffffu);
      svm_store_u32(svm_index(args.next_keys, place, 4u), keys[k]);
      svm_store_u32(svm_index(args.next_values, place, 4u), values[k]);
    }
  }
}`

export const radixSort: Workload = {
  name: 'radix-sort',
  about: 'four passes of counting, scanning and scattering keys and values: streams in, 256 growing buckets out, twice',
  make(bytes) {
    const tiles = Math.ceil(bytes / (TILE * 16 + DIGITS * 4))
    const length = tiles * TILE
    const keys = randomWords(length, 22)
    const values = Uint32Array.from({ length }, (_, n) => n)
    return {
      workingSetBytes: length * 16 + tiles * DIGITS * 4,
      inputs: { keys, values },
      numbers: { length, tiles, digits: DIGITS, passes: PASSES },
      exact: true,
      place: (svm) => place(svm, keys, values),
      check: (results) => check(results, keys),
    }
  },
}

/** In order; what was equal is in its old order; each value lies beside the key it came with. This leaves one result. */
function check(results: Results, keys: Uint32Array): void {
  const sorted = numbersOf(results.keys as Uint8Array, Uint32Array)
  const origins = numbersOf(results.values as Uint8Array, Uint32Array)
  if (sorted.length !== keys.length || origins.length !== keys.length) throw new Error(`${sorted.length} keys came back, not ${keys.length}.`)
  for (let n = 0; n < keys.length; n++) {
    const key = sorted[n] as number
    const origin = origins[n] as number
    if (keys[origin] !== key) throw new Error(`keys[${n}] is ${key} with value ${origin}; that value came with ${keys[origin]}.`)
    if (n === 0) continue
    const before = sorted[n - 1] as number
    if (before > key || (before === key && (origins[n - 1] as number) >= origin))
      throw new Error(`keys[${n - 1}] = ${before} and keys[${n}] = ${key} are out of order.`)
  }
}

async function place(svm: Svm, keys: Uint32Array, values: Uint32Array): Promise<Placed> {
  const tiles = keys.length / TILE
  const kernels = await Promise.all(['count', 'scan', 'scatter'].map((entryPoint) => svm.createKernel({ code: CODE, entryPoint, label: entryPoint })))
  const pairs = [
    { keys: svm.allocFrom(keys, { label: 'keys' }), values: svm.allocFrom(values, { label: 'values' }) },
    { keys: svm.alloc(keys.byteLength, { label: 'other keys' }), values: svm.alloc(values.byteLength, { label: 'other values' }) },
  ] as const
  const counts = svm.alloc(tiles * DIGITS * 4, { label: 'counts' })
  return {
    async run() {
      const events: SvmEvent<DispatchResult>[] = []
      for (let pass = 0; pass < PASSES; pass++) {
        const [from, to] = pass % 2 === 0 ? pairs : [pairs[1], pairs[0]]
        const args = { ...from, next_keys: to.keys, next_values: to.values, counts, tiles, shift: pass * BITS }
        for (const [n, kernel] of kernels.entries()) events.push(svm.queue.enqueue(kernel, { args, global: n === 1 ? 64 : tiles * 16 }))
      }
      return Promise.all(events.map((event) => event.done))
    },
    async reset() {
      await svm.write(pairs[0].keys, keys)
      await svm.write(pairs[0].values, values)
    },
    results: async () => ({ keys: await svm.read(pairs[0].keys, keys.byteLength), values: await svm.read(pairs[0].values, values.byteLength) }),
    free: () => svm.queue.free([pairs[0].keys, pairs[0].values, pairs[1].keys, pairs[1].values, counts]).done,
  }
}
