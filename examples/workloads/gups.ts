// GUPS (giga-updates per second, HPC Challenge's RandomAccess): words anywhere in one large table are changed, four bytes at a time. It shows what
// shared virtual memory costs where a page is as large as it can be wrong: each update may want another page. The table is an allocation like any
// other, and may be larger than the device; the kernel does not know. Updates are atomic XORs, which commute, so the result is exact in any order.

import type { Svm } from '../../src/index.ts'
import { expectSame, randomWords } from './data.ts'
import { MIX_WGSL, mix } from './mix.ts'
import type { Placed, Workload } from './workload.ts'

const CODE = /* wgsl */ `
struct Args { table: svm_ptr, words: u32 }
@group(0) @binding(0) var<uniform> args: Args;
${MIX_WGSL}

@compute @workgroup_size(64)
fn update(@builtin(global_invocation_id) id: vec3u) {
  let random = mix(id.x);
  svm_atomic_xor_u32(svm_index(args.table, random % args.words, 4u), mix(random));
}`

/** Words of the table for each update. The original makes four updates a word; a device that pages would move the table thousands of times. */
const WORDS_AN_UPDATE = 64

export const gups: Workload = {
  name: 'gups',
  about: 'atomic XORs of random words of one table: no locality at all, the worst that pages can meet',
  make(bytes) {
    const words = Math.ceil(bytes / 4)
    const updates = Math.ceil(words / WORDS_AN_UPDATE / 64) * 64
    const table = randomWords(words, 14)
    return {
      workingSetBytes: words * 4,
      inputs: { table },
      numbers: { words, updates },
      exact: true,
      place: (svm) => place(svm, table, updates),
      check({ table: got }) {
        const wanted = table.slice()
        for (let n = 0; n < updates; n++) {
          const random = mix(n)
          wanted[random % words] = (wanted[random % words] as number) ^ mix(random)
        }
        expectSame('table', got, Uint32Array, words, (n) => wanted[n] as number)
      },
    }
  },
}

async function place(svm: Svm, table: Uint32Array, updates: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'update', label: 'gups' })
  const pointer = svm.allocFrom(table, { label: 'table' })
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args: { table: pointer, words: table.length }, global: updates }).done],
    reset: () => svm.write(pointer, table),
    results: async () => ({ table: await svm.read(pointer, table.byteLength) }),
    free: () => svm.queue.free([pointer]).done,
  }
}
