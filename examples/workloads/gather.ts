// An embedding bag: rows of 64 numbers (256 bytes) of one large table, picked by indices, sixteen of them summed for each answer. This is how a
// recommender looks at its features, with tables larger than any device. It shows demand paging with a reader alone: the host stays the master of
// the table, pages are copies that are dropped without traffic. `gather-zipf` picks as people do, a few rows very often; `gather-uniform` picks any row.

import type { Svm } from '../../src/index.ts'
import { expectSame, random, shuffled } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const CODE = /* wgsl */ `
struct Args { table: svm_ptr, indices: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
const COLUMNS = 64u;
const PICKS = 16u;

// A workgroup sums one bag, a work-item one column of it: the 64 loads of a row lie side by side.
@compute @workgroup_size(COLUMNS)
fn gather(@builtin(workgroup_id) bag: vec3u, @builtin(local_invocation_index) column: u32) {
  var sum = 0.0;
  for (var n = 0u; n < PICKS; n++) {
    let row = svm_load_u32(svm_index(args.indices, bag.x * PICKS + n, 4u));
    sum += svm_load_f32(svm_index(args.table, row * COLUMNS + column, 4u));
  }
  svm_store_f32(svm_index(args.sums, bag.x * COLUMNS + column, 4u), sum);
}`

const COLUMNS = 64
const PICKS = 16
/** Rows of the table for each bag. */
const ROWS_A_BAG = 64
/** The share of the table, the indices, the sums. */
const BYTES_A_BAG = ROWS_A_BAG * COLUMNS * 4 + PICKS * 4 + COLUMNS * 4

export const gatherZipf: Workload = {
  name: 'gather-zipf',
  about: 'sums of picked rows of a table, rows picked by Zipf: a hot set that lies everywhere, and a long tail',
  make: (bytes) => make(bytes, pickByZipf),
}

export const gatherUniform: Workload = {
  name: 'gather-uniform',
  about: 'sums of picked rows of a table, each row as likely as any other: every page is wanted again, none soon',
  make: (bytes) => make(bytes, pickAny),
}

function make(bytes: number, pick: (rows: number, count: number) => Uint32Array<ArrayBuffer>): Problem {
  const bags = Math.max(1, Math.round(bytes / BYTES_A_BAG))
  const rows = bags * ROWS_A_BAG
  const next = random(15)
  const table = Float32Array.from({ length: rows * COLUMNS }, () => next() / 2 ** 32 - 0.5)
  const indices = pick(rows, bags * PICKS)
  return {
    workingSetBytes: bags * BYTES_A_BAG,
    inputs: { table, indices },
    numbers: { rows, bags, columns: COLUMNS, picks: PICKS },
    exact: true,
    place: (svm) => place(svm, table, indices, bags),
    check({ sums }) {
      const wanted = sumOnHost(table, indices, bags)
      expectSame('sums', sums, Float32Array, wanted.length, (n) => wanted[n] as number)
    },
  }
}

/** Row k of the order of popularity is picked with a chance that falls as 1 / k; the popular ones lie anywhere in the table. */
function pickByZipf(rows: number, count: number): Uint32Array<ArrayBuffer> {
  const next = random(151)
  const placeOf = shuffled(rows, 152)
  // The sum of 1/k grows as its logarithm, so its inverse is a power.
  return Uint32Array.from({ length: count }, () => placeOf[Math.min(rows, Math.floor((rows + 1) ** (next() / 2 ** 32))) - 1] as number)
}

function pickAny(rows: number, count: number): Uint32Array<ArrayBuffer> {
  const next = random(153)
  return Uint32Array.from({ length: count }, () => next() % rows)
}

/** In the kernel's order, rounded where the kernel rounds. */
function sumOnHost(table: Float32Array, indices: Uint32Array, bags: number): Float32Array {
  const sums = new Float32Array(bags * COLUMNS)
  for (let bag = 0; bag < bags; bag++) {
    for (let n = 0; n < PICKS; n++) {
      const row = (indices[bag * PICKS + n] as number) * COLUMNS
      for (let column = 0; column < COLUMNS; column++) {
        const at = bag * COLUMNS + column
        sums[at] = (sums[at] as number) + (table[row + column] as number)
      }
    }
  }
  return sums
}

async function place(svm: Svm, table: Float32Array, indices: Uint32Array, bags: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'gather', label: 'gather' })
  const sumsBytes = bags * COLUMNS * 4
  const args = {
    table: svm.allocFrom(table, { label: 'table' }),
    indices: svm.allocFrom(indices, { label: 'indices' }),
    sums: svm.alloc(sumsBytes, { label: 'sums' }),
  }
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args, global: bags * COLUMNS }).done],
    results: async () => ({ sums: await svm.read(args.sums, sumsBytes) }),
    free: () => svm.queue.free(Object.values(args)).done,
  }
}
