// Transpose of a square matrix of words, in tiles of 32 x 32 that turn in workgroup memory. What it shows: a workgroup reads 32 rows and writes 32 rows
// that lie far apart, so that it needs many pages at once, half of them for writing.
//
// Always: words are compared, not numbers; every word is different.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const TILE = 32

const CODE = /* wgsl */ `
struct Args { rows: svm_ptr, columns: svm_ptr, side: u32 }
@group(0) @binding(0) var<uniform> args: Args;

// A column more than needed: columns are read in the second half, and lie in different banks so.
var<workgroup> tile: array<array<u32, 33>, 32>;

@compute @workgroup_size(8, 8)
fn transpose(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u) {
  let row_bytes = args.side * 4u;
  let x = item.x * 4u;
  for (var y = item.y; y < 32u; y += 8u) {
    let words = svm_load_vec4_u32(svm_add(args.rows, (group.y * 32u + y) * row_bytes + (group.x * 32u + x) * 4u));
    tile[y][x] = words.x;
    tile[y][x + 1u] = words.y;
    tile[y][x + 2u] = words.z;
    tile[y][x + 3u] = words.w;
  }
  workgroupBarrier();
  for (var y = item.y; y < 32u; y += 8u) {
    let words = vec4u(tile[x][y], tile[x + 1u][y], tile[x + 2u][y], tile[x + 3u][y]);
    svm_store_vec4_u32(svm_add(args.columns, (group.x * 32u + y) * row_bytes + (group.y * 32u + x) * 4u), words);
  }
}`

export const transpose: Workload = {
  name: 'transpose',
  about: 'rows become columns, in tiles that turn in workgroup memory: every workgroup writes to many pages',
  make: problem,
}

function problem(bytes: number): Problem {
  const side = Math.max(1, Math.round(Math.sqrt(bytes / 8) / TILE)) * TILE
  const rows = Uint32Array.from({ length: side * side }, (_, n) => Math.imul(n + 1, 0x9e3779b1))
  return {
    workingSetBytes: rows.byteLength * 2,
    inputs: { rows },
    numbers: { side },
    exact: true,
    place: (svm) => place(svm, rows, side),
    check: ({ columns }) => expectSame('columns', columns, Uint32Array, rows.length, (n) => rows[(n % side) * side + Math.floor(n / side)] as number),
  }
}

async function place(svm: Svm, words: Uint32Array, side: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'transpose' })
  const rows = svm.allocFrom(words, { label: 'rows' })
  const columns = svm.alloc(words.byteLength, { label: 'columns' })
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args: { rows, columns, side }, global: [side / 4, side / 4] }).done],
    results: async () => ({ columns: bytesOf(await svm.read(columns, words.byteLength)) }),
    free: () => svm.queue.free([rows, columns]).done,
  }
}
