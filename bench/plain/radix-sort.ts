// The plain side of the radix sort: two pairs of buffers in turns, all 12 dispatches in one submission. Always: after an even number of passes the
// result is where the input was.

import { type Dispatch, PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Numbers { tiles: u32, shift: u32 }
@group(0) @binding(0) var<storage, read> keys: array<vec4u>;
@group(0) @binding(1) var<storage, read> values: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> next_keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> next_values: array<u32>;
@group(0) @binding(4) var<storage, read_write> counts: array<u32>;
@group(0) @binding(5) var<uniform> numbers: Numbers;
const ITEMS = 16u;
const VECTORS = 32u;
const DIGITS = 256u;
const HALF = DIGITS / 2u;
const EACH = HALF / ITEMS;
const SCANNERS = 64u;
var<workgroup> table: array<u32, ITEMS * HALF>;
var<workgroup> begins: array<u32, DIGITS>;
var<workgroup> sums: array<u32, SCANNERS>;

fn count_mine(tile: u32, item: u32) {
  for (var d = 0u; d < HALF; d++) { table[d * ITEMS + item] = 0u; }
  for (var n = 0u; n < VECTORS; n++) {
    let digits = (keys[(tile * ITEMS + item) * VECTORS + n] >> vec4(numbers.shift)) & vec4(DIGITS - 1u);
    for (var k = 0u; k < 4u; k++) { table[(digits[k] % HALF) * ITEMS + item] += 1u << (digits[k] / HALF * 16u); }
  }
}

@compute @workgroup_size(ITEMS) fn count(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  count_mine(group.x, item);
  workgroupBarrier();
  for (var d = item * EACH; d < (item + 1u) * EACH; d++) {
    var sum = 0u;
    for (var i = 0u; i < ITEMS; i++) { sum += table[d * ITEMS + i]; }
    counts[d * numbers.tiles + group.x] = sum & 0xffffu;
    counts[(HALF + d) * numbers.tiles + group.x] = sum >> 16u;
  }
}

@compute @workgroup_size(SCANNERS) fn scan(@builtin(local_invocation_index) item: u32) {
  let length = DIGITS * numbers.tiles;
  let mine = (length + SCANNERS - 1u) / SCANNERS;
  let end = min(length, (item + 1u) * mine);
  var sum = 0u;
  for (var n = item * mine; n < end; n++) { sum += counts[n]; }
  sums[item] = sum;
  workgroupBarrier();
  var place = 0u;
  for (var i = 0u; i < item; i++) { place += sums[i]; }
  for (var n = item * mine; n < end; n++) {
    let here = counts[n];
    counts[n] = place;
    place += here;
  }
}

@compute @workgroup_size(ITEMS) fn scatter(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  count_mine(group.x, item);
  workgroupBarrier();
  for (var d = item * EACH; d < (item + 1u) * EACH; d++) {
    begins[d] = counts[d * numbers.tiles + group.x];
    begins[HALF + d] = counts[(HALF + d) * numbers.tiles + group.x];
    var place = 0u;
    for (var i = 0u; i < ITEMS; i++) {
      let here = table[d * ITEMS + i];
      table[d * ITEMS + i] = place;
      place += here;
    }
  }
  workgroupBarrier();
  for (var n = 0u; n < VECTORS; n++) {
    let four_keys = keys[(group.x * ITEMS + item) * VECTORS + n];
    let four_values = values[(group.x * ITEMS + item) * VECTORS + n];
    for (var k = 0u; k < 4u; k++) {
      let digit = (four_keys[k] >> numbers.shift) & (DIGITS - 1u);
      let mine = (digit % HALF) * ITEMS + item;
      let half = digit / HALF * 16u;
      let next = table[mine];
      table[mine] = next + (1u << half);
      let place = begins[digit] + ((next >> half) & 0xffffu);
      next_keys[place] = four_keys[k];
      next_values[place] = four_values[k];
    }
  }
}`

/** The bindings that each entry point uses. */
const USED = { count: [0, 4, 5], scan: [4, 5], scatter: [0, 1, 2, 3, 4, 5] } as const

export const radixSort: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { length = 0, tiles = 0, digits = 0, passes = 0 } = numbers
  const [keys, values] = [inputs.keys as Uint32Array, inputs.values as Uint32Array]
  const pairs = [
    [kit.buffer(keys), kit.buffer(values)],
    [kit.buffer(length * 4), kit.buffer(length * 4)],
  ] as const
  const counts = kit.buffer(tiles * digits * 4)
  const names = ['count', 'scan', 'scatter'] as const
  const pipelines = await Promise.all(names.map((name) => kit.pipeline(CODE, name)))
  const dispatches: Dispatch[] = []
  for (let pass = 0; pass < passes; pass++) {
    const [from, to] = pass % 2 === 0 ? pairs : [pairs[1], pairs[0]]
    const buffers = [...from, ...to, counts, kit.uniform([tiles, pass * 8])]
    names.forEach((name, n) => {
      const pipeline = pipelines[n] as GPUComputePipeline
      const used = USED[name]
      const group = kit.groupOf(
        pipeline,
        used.map((binding) => buffers[binding] as GPUBuffer),
        used,
      )
      dispatches.push({ pipeline, group, workgroups: [name === 'scan' ? 1 : tiles] })
    })
  }
  return {
    run: () => kit.run(dispatches),
    async reset() {
      kit.write(pairs[0][0], keys)
      kit.write(pairs[0][1], values)
    },
    results: async () => ({ keys: await kit.read(pairs[0][0]), values: await kit.read(pairs[0][1]) }),
    destroy: () => kit.destroy(),
  }
}
