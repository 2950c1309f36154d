// chain, chain-known and chain-faults. Always: a sample is a thousand launches of a small kernel that depend on each other (two arrays change places), each with
// arguments of its own, none of them waited for but the last. In `chain` all that is mapped is on the device, so no fault is possible; in the others a page that
// the kernel never touches is on the host: in `chain-known` the kernel's text says that it does not, in `chain-faults` every launch might fault, for a
// word's place comes from memory.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { PlainChain } from '../plain/chain.ts'

const code = (ordered: boolean) => `
struct Args { from_words: svm_ptr, to_words: svm_ptr, order: svm_ptr, factor: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn mix(@builtin(global_invocation_id) id: vec3u) {
  let at = ${ordered ? 'svm_load_u32(svm_index(args.order, id.x, 4u))' : 'id.x'};
  svm_store_u32(svm_index(args.to_words, id.x, 4u), svm_load_u32(svm_index(args.from_words, at, 4u)) * args.factor + args.term);
}`

const LINKS = 1000
/** 64 workgroups of 64. */
const WORDS = 4096
const WARM_UP = 3
const FACTOR = 0x9e3779b1

interface Way {
  /** Something else is on the host. */
  readonly elsewhere: boolean
  /** Words come from where memory says. */
  readonly ordered: boolean
}

function chainCase(name: string, about: string, goal: number, way: Way): Bench {
  return { name, about, goal, run: (bed, rounds) => run(bed, rounds, name, way) }
}

const PLAIN_CHAIN = 'the same as dispatches of one submission, one map'

export const CHAIN_BENCHES: readonly Bench[] = [
  chainCase('chain', `a thousand launches of 64 workgroups, all resident, one wait | ${PLAIN_CHAIN}`, 1.2, { elsewhere: false, ordered: false }),
  chainCase('chain-known', `the same while a page is on the host that the text does not reach | ${PLAIN_CHAIN}`, 2, { elsewhere: true, ordered: false }),
  chainCase('chain-faults', `the same, with places from memory, so that each might fault | ${PLAIN_CHAIN}`, 2, { elsewhere: true, ordered: true }),
]

async function run(bed: Bed, rounds: number, name: string, { elsewhere, ordered }: Way): Promise<Samples> {
  const svm = await bed.open(64 * 2 ** 20)
  const first = Uint32Array.from({ length: WORDS }, (_, n) => Math.imul(n + 1, 0x85ebca6b) >>> 0)
  const a = svm.allocFrom(first, { label: 'a' })
  const b = svm.alloc(WORDS * 4, { label: 'b' })
  const places = Uint32Array.from({ length: WORDS }, (_, n) => (n * 5 + 1) % WORDS)
  const order = svm.allocFrom(places, { label: 'order' })
  const kernel = await svm.createKernel({ code: code(ordered), entryPoint: 'mix' })
  const plain = new PlainChain(bed.device, first, LINKS, ordered ? places : null)
  const terms = (round: number) => Array.from({ length: LINKS }, (_, n) => (round * LINKS + n) >>> 0)
  const launch = (n: number, term: number) =>
    svm.queue.enqueue(kernel, {
      args: { from_words: n % 2 === 0 ? a : b, to_words: n % 2 === 0 ? b : a, order, factor: FACTOR, term },
      global: WORDS,
    })
  try {
    if (elsewhere) svm.allocFrom(new Uint32Array(4), { label: 'elsewhere' })
    await svm.queue.migrate([{ pointer: a }, { pointer: b }, { pointer: order }]).done
    const samples = await alternate(
      bed,
      rounds,
      {
        timed: async (round) => {
          let last = launch(0, terms(round)[0] as number)
          for (const [n, term] of terms(round).entries()) if (n > 0) last = launch(n, term)
          const result = await last.done
          expect(round === 0 || (result.variant === 'attempt') === ordered, `${name}: the last launch ran ${result.variant}.`)
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
