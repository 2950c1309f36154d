// fault-launch. Always: each sample reads one host page that no launch has read, so that history predicts nothing; the page it stores to, and the
// pages of the samples before, are on the device. So a sample is a whole launch of two passes: launch, fault, service of one page, replay. It has
// no goal: what one cycle of it costs is `fault-round`; here the second pass and the launch's own cost stand beside one bare map.

import { alternate, type Bed, type Bench, expect, expectSameBytes, roundsInAll, type Samples } from '../case.ts'
import { BareMap } from '../plain/transfer.ts'

const CODE = `
struct Args { word: svm_ptr, copy: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn move_word() { svm_store_u32(args.copy, svm_load_u32(args.word)); }`

/** One sample is short: more of them. */
const TIMES = 5
/** A round is many small steps of ours and few of the device: it takes more rounds until the engine has compiled all of them. */
const WARM_UP = 300

export const faultLaunch: Bench = {
  name: 'fault-launch',
  about: 'a whole launch that reads one page which is on the host (two passes): fault, service, replay | submit of a copy of 256 bytes, map, read',
  goal: null,
  run,
}

async function run(bed: Bed, wanted: number): Promise<Samples> {
  const rounds = wanted * TIMES
  const count = roundsInAll(rounds, WARM_UP)
  // One page alone is to fault.
  const svm = await bed.open(64 * 2 ** 20, { policy: { prefetch: 'none' } })
  const words = new Uint32Array((count * svm.pageSize) / 4)
  for (let n = 0; n < count; n++) words[(n * svm.pageSize) / 4] = Math.imul(n + 1, 0x9e3779b1)
  const cold = svm.allocFrom(words, { label: 'cold pages' })
  const out = svm.alloc(count * 4, { label: 'out' })
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'move_word' })
  const bare = new BareMap(bed.device)
  const plain = new Uint32Array(count)
  try {
    await svm.queue.migrate({ pointer: out }).done
    const samples = await alternate(
      bed,
      rounds,
      {
        timed: async (round) => {
          const launch = svm.queue.enqueue(kernel, { args: { word: cold + round * svm.pageSize, copy: out + round * 4 }, global: 1 })
          const { faults, rounds: passes } = await launch.done
          // The very first launch also learns that it stores to `out`.
          expect(round === 0 || (faults === 1 && passes === 2), `fault-launch: ${faults} faults in ${passes} passes, not 1 in 2.`)
        },
      },
      {
        prepare: (round) => bare.put(words[(round * svm.pageSize) / 4] as number),
        timed: () => bare.trip(),
        after: async (round) => {
          plain[round] = bare.word
        },
      },
      WARM_UP,
    )
    expectSameBytes('fault-launch', await svm.read(out, count * 4), new Uint8Array(plain.buffer))
    return samples
  } finally {
    await svm.close()
    bare.destroy()
  }
}
