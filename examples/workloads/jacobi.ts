// Jacobi: each cell of a grid becomes the mean of its four neighbours, again and again, from one grid into another and back. What it shows: a chain of
// launches of which each reads what the one before it wrote, enqueued at once; rows of neighbours; the same pages asked for in each step.
//
// The grid has a rim that stays as it is: a row above and below, four columns on each side, so that four cells lie together in one aligned load.
//
// Always: the cells are whole numbers below 256 at first, and each step adds two binary digits, so that sums are exact in f32 for up to eight steps.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, once, smallNumbers } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

/** An even number: the last step writes the second grid. */
const STEPS = 4
const ITEMS = 64
/** Cells of a row, less the rim, come by this many. */
const ROW_CELLS = 1024
const WIDTH = ROW_CELLS + 8

const CODE = /* wgsl */ `
struct Args { before: svm_ptr, after: svm_ptr, row_bytes: u32 }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(${ITEMS})
fn step(@builtin(global_invocation_id) id: vec3u) {
  let offset = (id.y + 1u) * args.row_bytes + (id.x + 1u) * 16u;
  let at = svm_add(args.before, offset);
  let here = svm_load_vec4_f32(at);
  let left = vec4f(svm_load_f32(svm_sub(at, 4u)), here.xyz);
  let right = vec4f(here.yzw, svm_load_f32(svm_add(at, 16u)));
  let above = svm_load_vec4_f32(svm_sub(at, args.row_bytes));
  let below = svm_load_vec4_f32(svm_add(at, args.row_bytes));
  svm_store_vec4_f32(svm_add(args.after, offset), 0.25 * (left + right + above + below));
}`

export const jacobi: Workload = {
  name: 'jacobi',
  about: `${STEPS} steps of a 5-point stencil between two grids, four cells a work-item: launches that follow each other, rows of neighbours`,
  make: problem,
}

function problem(bytes: number): Problem {
  const rows = Math.max(1, Math.floor(bytes / 3 / (WIDTH * 4)) - 2)
  const start = smallNumbers(WIDTH * (rows + 2), 1, 256)
  const expected = once(() => onHost(start, rows))
  return {
    workingSetBytes: start.byteLength * 3,
    inputs: { start },
    numbers: { width: WIDTH, rows, steps: STEPS },
    exact: true,
    place: (svm) => place(svm, start, rows),
    check: ({ grid }) => expectSame('grid', grid, Float32Array, start.length, (n) => expected()[n] as number),
  }
}

async function place(svm: Svm, cells: Float32Array, rows: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'step' })
  const start = svm.allocFrom(cells, { label: 'start' })
  // The rims of both are those of the start.
  const grids = [svm.allocFrom(cells, { label: 'grid 0' }), svm.allocFrom(cells, { label: 'grid 1' })] as const
  const launches = Array.from({ length: STEPS }, (_, step) => ({
    args: { before: step === 0 ? start : (grids[(step + 1) % 2] as number), after: grids[step % 2] as number, row_bytes: WIDTH * 4 },
    global: [ROW_CELLS / 4, rows],
  }))
  return {
    run: () => Promise.all(launches.map((launch) => svm.queue.enqueue(kernel, launch).done)),
    results: async () => ({ grid: bytesOf(await svm.read(grids[1], cells.byteLength)) }),
    free: () => svm.queue.free([start, ...grids]).done,
  }
}

function onHost(start: Float32Array, rows: number): Float32Array {
  let before = start
  for (let step = 0; step < STEPS; step++) {
    const after = start.slice()
    for (let y = 1; y <= rows; y++) {
      for (let at = y * WIDTH + 4; at < y * WIDTH + 4 + ROW_CELLS; at++) {
        const sum = (before[at - 1] as number) + (before[at + 1] as number) + (before[at - WIDTH] as number) + (before[at + WIDTH] as number)
        after[at] = sum / 4
      }
    }
    before = after
  }
  return before
}
