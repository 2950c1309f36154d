// SGEMM, c = a * b, tiled: a workgroup makes 32 x 32 elements of c, step by step from tiles in workgroup memory, and each of its 64 work-items 4 x 4 of
// them. What it shows: a row panel of a is used again by all workgroups of a row; every workgroup sweeps all of b; the cost of an address vanishes
// behind arithmetic; barriers in a loop, with accesses that may fault between them.
//
// Always: the elements are whole numbers below 16, so that every sum is exact in f32 in any order.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, once, smallNumbers } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

/** b is square, with so many rows and columns; the rows of a and c make the size. A workgroup needs all of b, so a small problem has a small one. */
const SIDE = 256
const SIDE_SMALL = 128
const SMALL_BYTES = 2 ** 20
const TILE = 32

const CODE = /* wgsl */ `
struct Args { a: svm_ptr, b: svm_ptr, c: svm_ptr, side: u32 }
@group(0) @binding(0) var<uniform> args: Args;

// Of a 32 rows of 4 vectors, of b 16 rows of 8.
var<workgroup> tile_a: array<vec4f, 128>;
var<workgroup> tile_b: array<vec4f, 128>;

@compute @workgroup_size(8, 8)
fn multiply(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = args.side * 4u;
  let rows = svm_index(args.a, group.y * 32u, row);
  let columns = svm_index(args.b, group.x, 128u);
  var sums = array<vec4f, 4>();
  for (var k = 0u; k < args.side; k += 16u) {
    for (var i = index; i < 128u; i += 64u) {
      tile_a[i] = svm_load_vec4_f32(svm_add(rows, (i / 4u) * row + k * 4u + (i % 4u) * 16u));
      tile_b[i] = svm_load_vec4_f32(svm_add(columns, (k + i / 8u) * row + (i % 8u) * 16u));
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      let b = array<vec4f, 4>(tile_b[i * 32u + item.x], tile_b[i * 32u + 8u + item.x], tile_b[i * 32u + 16u + item.x], tile_b[i * 32u + 24u + item.x]);
      let a0 = tile_a[item.y * 16u + i];
      let a1 = tile_a[item.y * 16u + 4u + i];
      let a2 = tile_a[item.y * 16u + 8u + i];
      let a3 = tile_a[item.y * 16u + 12u + i];
      sums[0] += a0.x * b[0] + a0.y * b[1] + a0.z * b[2] + a0.w * b[3];
      sums[1] += a1.x * b[0] + a1.y * b[1] + a1.z * b[2] + a1.w * b[3];
      sums[2] += a2.x * b[0] + a2.y * b[1] + a2.z * b[2] + a2.w * b[3];
      sums[3] += a3.x * b[0] + a3.y * b[1] + a3.z * b[2] + a3.w * b[3];
    }
    workgroupBarrier();
  }
  let to = svm_add(args.c, (group.y * 32u + item.y * 4u) * row + group.x * 128u + item.x * 16u);
  svm_store_vec4_f32(to, sums[0]);
  svm_store_vec4_f32(svm_add(to, row), sums[1]);
  svm_store_vec4_f32(svm_add(to, 2u * row), sums[2]);
  svm_store_vec4_f32(svm_add(to, 3u * row), sums[3]);
}`

export const sgemm: Workload = {
  name: 'sgemm',
  about: 'a product of matrices, tiled in workgroup memory: panels that are used again, much arithmetic for each address',
  make: problem,
}

function problem(bytes: number): Problem {
  const side = bytes <= SMALL_BYTES ? SIDE_SMALL : SIDE
  const rows = Math.max(1, Math.round((bytes / 4 - side * side) / (2 * side) / TILE)) * TILE
  const a = smallNumbers(rows * side, 1, 16)
  const b = smallNumbers(side * side, 2, 16)
  const expected = once(() => onHost(a, b, rows, side))
  return {
    workingSetBytes: a.byteLength * 2 + b.byteLength,
    inputs: { a, b },
    numbers: { rows, side },
    exact: true,
    place: (svm) => place(svm, a, b, rows, side),
    check: ({ c }) => expectSame('c', c, Float32Array, rows * side, (n) => expected()[n] as number),
  }
}

async function place(svm: Svm, fromA: Float32Array, fromB: Float32Array, rows: number, side: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'multiply' })
  const a = svm.allocFrom(fromA, { label: 'a' })
  const b = svm.allocFrom(fromB, { label: 'b' })
  const c = svm.alloc(fromA.byteLength, { label: 'c' })
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args: { a, b, c, side }, global: [side / 4, rows / 4] }).done],
    results: async () => ({ c: bytesOf(await svm.read(c, fromA.byteLength)) }),
    free: () => svm.queue.free([a, b, c]).done,
  }
}

/** Row by row, so that the inner loop runs along rows of b and c. */
function onHost(a: Float32Array, b: Float32Array, rows: number, side: number): Float32Array {
  const c = new Float32Array(rows * side)
  for (let row = 0; row < rows; row++) {
    const sums = c.subarray(row * side, (row + 1) * side)
    for (let k = 0; k < side; k++) {
      const factor = a[row * side + k] as number
      const from = b.subarray(k * side, (k + 1) * side)
      for (let column = 0; column < side; column++) sums[column] = (sums[column] as number) + factor * (from[column] as number)
    }
  }
  return c
}
