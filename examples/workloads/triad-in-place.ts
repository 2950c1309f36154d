// Triad in place, a = a + scale * b: every element is read and written where it lies. What it shows: a work-item that is run again must not add twice, and
// does not, with nothing declared: pages that a kernel reads and writes are private copies until the workgroup has ended without a fault.
//
// Always: the elements are small whole numbers, so that every result is exact, fused or not.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, smallNumbers } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const SCALE = 5
const ITEMS = 256

const CODE = /* wgsl */ `
struct Args { a: svm_ptr, b: svm_ptr, scale: f32 }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(${ITEMS})
fn add_up(@builtin(global_invocation_id) id: vec3u) {
  let a = svm_index(args.a, id.x, 16u);
  svm_store_vec4_f32(a, svm_load_vec4_f32(a) + args.scale * svm_load_vec4_f32(svm_index(args.b, id.x, 16u)));
}

@compute @workgroup_size(${ITEMS})
fn copy(@builtin(global_invocation_id) id: vec3u) {
  svm_store_vec4_f32(svm_index(args.a, id.x, 16u), svm_load_vec4_f32(svm_index(args.b, id.x, 16u)));
}`

export const triadInPlace: Workload = {
  name: 'triad-in-place',
  about: 'a = a + scale * b, four elements a work-item: what is done twice is wrong',
  make: problem,
}

function problem(bytes: number): Problem {
  const length = Math.ceil(bytes / 8 / (4 * ITEMS)) * 4 * ITEMS
  const start = smallNumbers(length, 1)
  const b = smallNumbers(length, 2)
  return {
    workingSetBytes: length * 8,
    inputs: { start, b },
    numbers: { length, scale: SCALE },
    exact: true,
    place: (svm) => place(svm, start, b),
    check: ({ a }) => expectSame('a', a, Float32Array, length, (n) => (start[n] as number) + SCALE * (b[n] as number)),
  }
}

async function place(svm: Svm, fromStart: Float32Array, fromB: Float32Array): Promise<Placed> {
  const { length } = fromB
  const addUp = await svm.createKernel({ code: CODE, entryPoint: 'add_up' })
  const copy = await svm.createKernel({ code: CODE, entryPoint: 'copy' })
  const a = svm.alloc(length * 4, { label: 'a' })
  const b = svm.allocFrom(fromB, { label: 'b' })
  const start = svm.allocFrom(fromStart, { label: 'start' })
  return {
    run: async () => [await svm.queue.enqueue(addUp, { args: { a, b, scale: SCALE }, global: length / 4 }).done],
    reset: async () => {
      await svm.queue.enqueue(copy, { args: { a, b: start, scale: 0 }, global: length / 4 }).done
    },
    results: async () => ({ a: bytesOf(await svm.read(a, length * 4)) }),
    free: () => svm.queue.free([a, b, start]).done,
  }
}
