// chain, and chain-faults. Always: a sample is a thousand launches of a small kernel that depend on each other (two arrays change places), each with
// arguments of its own, none of them waited for but the last. In `chain` all that is mapped is on the device, so no fault is possible; in `chain-faults` a
// page that the kernel never touches is on the host, so every launch might fault.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { PlainChain } from '../plain/chain.ts'

const CODE = `
struct Args { from_words: svm_ptr, to_words: svm_ptr, factor: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn mix(@builtin(global_invocation_id) id: vec3u) {
  svm_store_u32(svm_index(args.to_words, id.x, 4u), svm_load_u32(svm_index(args.from_words, id.x, 4u)) * args.factor + args.term);
}`

const LINKS = 1000
/** 64 workgroups of 64. */
const WORDS = 4096
const WARM_UP = 3
const FACTOR = 0x9e3779b1

function chainCase(name: string, about: string, goal: number, faults: boolean): Bench {
  return { name, about, goal, run: (bed, rounds) => run(bed, rounds, name, faults) }
}

export const CHAIN_BENCHES: readonly Bench[] = [
  chainCase('chain', 'a thousand launches of 64 workgroups, all resident, one wait | the same as dispatches of one submission, one map', 1.2, false),
  chainCase('chain-faults', 'the same while another page is on the host, so that each might fault | the same', 2, true),
]

async function run(bed: Bed, rounds: number, name: string, faults: boolean): Promise<Samples> {
  const svm = await bed.open(64 * 2 ** 20)
  const first = Uint32Array.from({ length: WORDS }, (_, n) => Math.imul(n + 1, 0x85ebca6b) >>> 0)
  const a = svm.allocFrom(first, { label: 'a' })
  const b = svm.alloc(WORDS * 4, { label: 'b' })
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'mix' })
  const plain = new PlainChain(bed.device, first, LINKS)
  const terms = (round: number) => Array.from({ length: LINKS }, (_, n) => (round * LINKS + n) >>> 0)
  const launch = (n: number, term: number) =>
    svm.queue.enqueue(kernel, {
      args: n % 2 === 0 ? { from_words: a, to_words: b, factor: FACTOR, term } : { from_words: b, to_words: a, factor: FACTOR, term },
      global: WORDS,
    })
  try {
    if (faults) svm.allocFrom(new Uint32Array(4), { label: 'elsewhere' })
    await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    const samples = await alternate(
      bed,
      rounds,
      {
        timed: async (round) => {
          let last = launch(0, terms(round)[0] as number)
          for (const [n, term] of terms(round).entries()) if (n > 0) last = launch(n, term)
          const result = await last.done
          expect(round === 0 || (result.variant === 'attempt') === faults, `${name}: the last launch ran ${result.variant}.`)
        },
      },
      { timed: (round) => plain.run(FACTOR, terms(round)) },
      WARM_UP,
    )
    for (const [n, pointer] of [a, b].entries()) expectSameBytes(name, await svm.read(pointer, WORDS * 4), await plain.bytes(n))
    return samples
  } finally {
    await svm.close()
    plain.destroy()
  }
}
