// STREAM triad, a = b + scale * c: three arrays read and written from end to end, nothing used twice. What it shows: pages come in the order of the
// workgroups; wide accessors (`triad-wide`) translate one address for four elements.
//
// Always: the elements are small whole numbers, so that every result is exact, fused or not.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, smallNumbers } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const SCALE = 3
const ITEMS = 256

const ARGS = /* wgsl */ `
struct Args { a: svm_ptr, b: svm_ptr, c: svm_ptr, scale: f32 }
@group(0) @binding(0) var<uniform> args: Args;
`

const ONE = /* wgsl */ `${ARGS}
@compute @workgroup_size(${ITEMS})
fn triad(@builtin(global_invocation_id) id: vec3u) {
  let b = svm_load_f32(svm_index(args.b, id.x, 4u));
  let c = svm_load_f32(svm_index(args.c, id.x, 4u));
  svm_store_f32(svm_index(args.a, id.x, 4u), b + args.scale * c);
}`

const FOUR = /* wgsl */ `${ARGS}
@compute @workgroup_size(${ITEMS})
fn triad(@builtin(global_invocation_id) id: vec3u) {
  let b = svm_load_vec4_f32(svm_index(args.b, id.x, 16u));
  let c = svm_load_vec4_f32(svm_index(args.c, id.x, 16u));
  svm_store_vec4_f32(svm_index(args.a, id.x, 16u), b + args.scale * c);
}`

export const triad: Workload = {
  name: 'triad',
  about: 'a = b + scale * c, one element a work-item: three streams, no reuse',
  make: (bytes) => problem(bytes, ONE, 1),
}

export const triadWide: Workload = {
  name: 'triad-wide',
  about: 'a = b + scale * c, four elements a work-item through wide accessors: three streams, no reuse',
  make: (bytes) => problem(bytes, FOUR, 4),
}

function problem(bytes: number, code: string, elements: number): Problem {
  const length = Math.ceil(bytes / 12 / (4 * ITEMS)) * 4 * ITEMS
  const b = smallNumbers(length, 1)
  const c = smallNumbers(length, 2)
  return {
    workingSetBytes: length * 12,
    inputs: { b, c },
    numbers: { length, scale: SCALE },
    exact: true,
    place: (svm) => place(svm, code, b, c, elements),
    check: ({ a }) => expectSame('a', a, Float32Array, length, (n) => (b[n] as number) + SCALE * (c[n] as number)),
  }
}

async function place(svm: Svm, code: string, fromB: Float32Array, fromC: Float32Array, elements: number): Promise<Placed> {
  const { length } = fromB
  const kernel = await svm.createKernel({ code, entryPoint: 'triad' })
  const a = svm.alloc(length * 4, { label: 'a' })
  const b = svm.allocFrom(fromB, { label: 'b' })
  const c = svm.allocFrom(fromC, { label: 'c' })
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args: { a, b, c, scale: SCALE }, global: length / elements }).done],
    results: async () => ({ a: bytesOf(await svm.read(a, length * 4)) }),
    home: async () => {
      await svm.queue.migrate({ pointer: a }, { to: 'host' }).done
    },
    free: () => svm.queue.free([a, b, c]).done,
  }
}
