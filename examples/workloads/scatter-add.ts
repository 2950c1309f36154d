// Scatter-add, as the gradient of an embedding: out[index[n]] += value[n], for a stream of indices into a table. It shows atomics all over a large
// allocation: the stream is read once and goes, the table's pages are wanted again and again. Additions of integers commute, so the result is exact.

import type { Svm } from '../../src/index.ts'
import { expectSame, random, randomWords } from './data.ts'
import type { Placed, Workload } from './workload.ts'

const CODE = /* wgsl */ `
struct Args { indices: svm_ptr, values: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn scatter_add(@builtin(global_invocation_id) id: vec3u) {
  let index = svm_load_u32(svm_index(args.indices, id.x, 4u));
  let value = svm_load_i32(svm_index(args.values, id.x, 4u));
  svm_atomic_add_i32(svm_index(args.sums, index, 4u), value);
}`

/** Places of the table that the indices of one stretch of the stream fall into: a batch of a model touches a part of its table. */
const STRETCH = 4096
const PLACES_A_STRETCH = 16_384

export const scatterAdd: Workload = {
  name: 'scatter-add',
  about: 'a stream of indices and values is added to a table: sequential reads, and atomics that hit a neighbourhood for a while',
  make(bytes) {
    // Index, value and one place of the table for each: 12 bytes.
    const count = Math.ceil(bytes / 12 / 64) * 64
    const places = count
    const indices = drawIndices(count, places)
    const values = new Int32Array(randomWords(count, 161).buffer)
    return {
      workingSetBytes: count * 8 + places * 4,
      inputs: { indices, values },
      numbers: { count, places },
      exact: true,
      place: (svm) => place(svm, indices, values, places),
      check({ sums }) {
        const wanted = new Int32Array(places)
        indices.forEach((index, n) => {
          wanted[index] = (wanted[index] as number) + (values[n] as number)
        })
        expectSame('sums', sums, Int32Array, places, (n) => wanted[n] as number)
      },
    }
  },
}

function drawIndices(count: number, places: number): Uint32Array<ArrayBuffer> {
  const next = random(162)
  const stretches = Math.ceil(count / STRETCH)
  const starts = Uint32Array.from({ length: stretches }, () => next() % places)
  return Uint32Array.from({ length: count }, (_, n) => ((starts[Math.floor(n / STRETCH)] as number) + (next() % PLACES_A_STRETCH)) % places)
}

async function place(svm: Svm, indices: Uint32Array, values: Int32Array, places: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'scatter_add', label: 'scatter-add' })
  const args = {
    indices: svm.allocFrom(indices, { label: 'indices' }),
    values: svm.allocFrom(values, { label: 'values' }),
    sums: svm.alloc(places * 4, { label: 'sums' }),
  }
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args, global: indices.length }).done],
    reset: () => svm.write(args.sums, new Int32Array(places)),
    results: async () => ({ sums: await svm.read(args.sums, places * 4) }),
    free: () => svm.queue.free(Object.values(args)).done,
  }
}
