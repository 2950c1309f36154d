// rounds: passes that a launch takes in which many faults depend on none of the others. Always: every page of every array is on the host before each
// sample, each work-item reads one page of each of SOURCES arrays and stores to one of each of SINKS, and no page is touched by two of them; a cold launch
// is the first of a kernel that was just made, so that no history knows it; a launch with history is the second of the same. A sample is a count.

import { type Bed, type Bench, expect, type Measured } from '../case.ts'

const SOURCES = 3
const SINKS = 2
/** Work-items, and so pages of each array. */
const ITEMS = 256
const WORKGROUP = 64

const words = (count: number, name: string) => Array.from({ length: count }, (_, n) => `${name}${n}`)
const SOURCE_NAMES = words(SOURCES, 'a')
const SINK_NAMES = words(SINKS, 'b')

const CODE = (stride: number) => `
struct Args { ${[...SOURCE_NAMES, ...SINK_NAMES].map((name) => `${name}: svm_ptr`).join(', ')} }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(${WORKGROUP}) fn gather_and_store(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x * ${stride}u;
  let sum = ${SOURCE_NAMES.map((name) => `svm_load_u32(svm_index(args.${name}, i, 4u))`).join(' + ')};
  ${SINK_NAMES.map((name, n) => `svm_store_u32(svm_index(args.${name}, i, 4u), sum + ${n}u);`).join('\n  ')}
}`

function bench(name: string, goal: number, history: boolean): Bench {
  const pages = (SOURCES + SINKS) * ITEMS
  const about = history ? 'the second launch of a kernel, all pages back on the host' : 'the first launch of a kernel'
  return {
    name,
    unit: 'rounds',
    goal,
    about: `passes of ${about}: ${pages} pages, loads and stores | nothing: a bound`,
    run: (bed, rounds) => run(bed, rounds, history),
  }
}

export const ROUNDS_BENCHES: readonly Bench[] = [bench('rounds-cold', 2, false), bench('rounds-with-history', 1, true)]

async function run(bed: Bed, wanted: number, history: boolean): Promise<Measured> {
  const svm = await bed.open(256 * 2 ** 20)
  try {
    const stride = svm.pageSize / 4
    const source = Uint32Array.from({ length: ITEMS * stride }, (_, i) => (i % stride === 0 ? Math.imul(i + 1, 0x9e3779b1) >>> 0 : 0))
    const args: Record<string, number> = {}
    for (const name of SOURCE_NAMES) args[name] = svm.allocFrom(source, { label: name })
    for (const name of SINK_NAMES) args[name] = svm.alloc(source.byteLength, { label: name })
    const samples: number[] = []
    let faults = 0
    for (let round = 0; round < wanted; round++) {
      const kernel = await svm.createKernel({ code: CODE(stride), entryPoint: 'gather_and_store' })
      const launch = async () => {
        for (const name of SINK_NAMES) await svm.queue.memfill(args[name] as number, Uint32Array.of(0), source.byteLength).done
        for (const pointer of Object.values(args)) await svm.queue.migrate({ pointer }, { to: 'host' }).done
        return svm.queue.enqueue(kernel, { args, global: ITEMS }).done
      }
      let result = await launch()
      if (history) result = await launch()
      expect(history || result.variant === 'attempt', `rounds: the ${result.variant} variant ran, in which nothing can fault.`)
      expect(result.bytesIn > 0, 'rounds: the pages were on the device already.')
      samples.push(result.rounds)
      faults = result.faults + result.hints
      for (const [n, name] of SINK_NAMES.entries()) {
        const sums = await svm.read(args[name] as number, Uint32Array, source.length)
        const right = sums.every((sum, i) => sum === (i % stride === 0 ? (Math.imul(source[i] as number, SOURCES) + n) >>> 0 : 0))
        expect(right, `rounds: an element of ${name} is wrong.`)
      }
      bed.tick(round + 1, wanted)
    }
    return { svm: samples, plain: [], notes: { pages: (SOURCES + SINKS) * ITEMS, faults } }
  } finally {
    await svm.close({ discard: true })
  }
}
