// Sparse touch: a kernel reads one word in each of a few places of a large array. What it shows: only the pages that are touched go to the device, and
// how much more that is than what is used. What is measured is the first touch: each run has places of its own, and `reset` brings what came to the
// device back. Three forms: `sparse-touch` has places anywhere, `sparse-touch-pages` one in each page, `sparse-touch-blocks` one in each block of 2 MiB.
//
// Always: run n reads the places of set n modulo 16 and writes the results of that set; no word of the array is 0, so 0 is a set that has not run, and
// the results say how many runs there were.

import type { Svm } from '../../src/index.ts'
import { bytesOf, numbersOf, random } from './data.ts'
import type { Placed, Problem, Results, Workload } from './workload.ts'

const SETS = 16
const PAGE_BYTES = 65_536
const BLOCK_BYTES = 2 ** 21
/** One page of so many is touched. */
const ONE_IN = 100
const PLACES_MIN = 8

const CODE = /* wgsl */ `
struct Args { words: svm_ptr, places: svm_ptr, found: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn touch(@builtin(global_invocation_id) id: vec3u) {
  let place = svm_load_u32(svm_index(args.places, id.x, 4u));
  svm_store_u32(svm_index(args.found, id.x, 4u), svm_load_u32(svm_index(args.words, place, 4u)));
}`

export const sparseTouch: Workload = {
  name: 'sparse-touch',
  about: `one word in each of 1 % of the pages of an array, read for the first time`,
  make(bytes) {
    const pages = Math.max(1, Math.floor(bytes / PAGE_BYTES))
    const count = Math.max(PLACES_MIN, Math.floor(pages / ONE_IN))
    return problem(pages * PAGE_BYTES, count, placesOf(pages, count))
  },
}

export const sparseTouchPages: Workload = {
  name: 'sparse-touch-pages',
  about: 'one word in each page of 64 KiB of an array, read for the first time: the most that can move for the least that is used',
  make: (bytes) => strided(bytes, PAGE_BYTES, PAGE_BYTES / SETS),
}

export const sparseTouchBlocks: Workload = {
  name: 'sparse-touch-blocks',
  about:
    'one word in each block of 2 MiB of an array, read for the first time, in another page of the block each time: nothing is near enough to be fetched with it',
  make: (bytes) => strided(bytes, BLOCK_BYTES, PAGE_BYTES),
}

/** One place in each `stride` bytes; those of the next set lie `step` bytes further. */
function strided(bytes: number, stride: number, step: number): Problem {
  const count = Math.max(1, Math.floor(bytes / stride))
  const places = Uint32Array.from({ length: SETS * count }, (_, n) => ((n % count) * stride + Math.floor(n / count) * step) / 4)
  return problem(count * stride, count, places)
}

function problem(bytes: number, count: number, places: Uint32Array<ArrayBuffer>): Problem {
  const words = new Uint32Array(bytes / 4)
  for (let n = 0; n < words.length; n++) words[n] = Math.imul(n, 0x9e3779b1) | 1
  return {
    workingSetBytes: words.byteLength,
    inputs: { words, places },
    numbers: { count, sets: SETS },
    exact: true,
    place: (svm) => place(svm, words, places, count),
    check: (results) => check(results, words, places, count),
  }
}

/** For each set, words in pages that are all different as far as there are so many. */
function placesOf(pages: number, count: number): Uint32Array<ArrayBuffer> {
  const next = random(1)
  const places = new Uint32Array(SETS * count)
  for (let set = 0; set < SETS; set++) {
    const step = Math.max(1, Math.floor(pages / count))
    for (let n = 0; n < count; n++) {
      const page = (n * step + (next() % step)) % pages
      places[set * count + n] = (page * PAGE_BYTES) / 4 + (next() % (PAGE_BYTES / 4))
    }
  }
  return places
}

async function place(svm: Svm, fromWords: Uint32Array, fromPlaces: Uint32Array, count: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'touch' })
  const words = svm.allocFrom(fromWords, { label: 'words' })
  const places = svm.allocFrom(fromPlaces, { label: 'places' })
  const found = svm.alloc(fromPlaces.byteLength, { label: 'found' })
  let runs = 0
  return {
    run: async () => {
      const set = (runs++ % SETS) * count * 4
      return [await svm.queue.enqueue(kernel, { args: { words, places: places + set, found: found + set, count }, global: count }).done]
    },
    reset: async () => {
      await svm.queue.migrate({ pointer: words }, { to: 'host' }).done
    },
    results: async () => ({ found: bytesOf(await svm.read(found, fromPlaces.byteLength)), runs: bytesOf(Uint32Array.of(runs)) }),
    free: () => svm.queue.free([words, places, found]).done,
  }
}

function check(results: Results, words: Uint32Array, places: Uint32Array, count: number): void {
  const [found, [runs = 0]] = [numbersOf(results.found as Uint8Array, Uint32Array), numbersOf(results.runs as Uint8Array, Uint32Array)]
  if (found.length !== places.length || runs === 0) throw new Error(`found has ${found.length} words after ${runs} runs: nothing has run.`)
  for (let n = 0; n < found.length; n++) {
    const right = n < runs * count ? words[places[n] as number] : 0
    if (found[n] !== right) throw new Error(`found[${n}] is ${found[n]} after ${runs} runs of ${count}; the host says ${right}.`)
  }
}
