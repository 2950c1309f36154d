// Sparse touch: a kernel reads one word in each of a few places of a large array. What it shows: only the pages that are touched go to the device. What is
// measured is the first touch: each run has places of its own, and `reset` brings what came to the device back.
//
// Always: run n reads the places of set n modulo 16 and writes the results of that set; no word of the array is 0, so 0 is a set that has not run.

import type { Svm } from '../../src/index.ts'
import { bytesOf, numbersOf, random } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const SETS = 16
const PAGE_BYTES = 65_536
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
  make: problem,
}

function problem(bytes: number): Problem {
  const pages = Math.max(1, Math.floor(bytes / PAGE_BYTES))
  const count = Math.max(PLACES_MIN, Math.floor(pages / ONE_IN))
  const words = new Uint32Array((pages * PAGE_BYTES) / 4)
  for (let n = 0; n < words.length; n++) words[n] = Math.imul(n, 0x9e3779b1) | 1
  const places = placesOf(pages, count)
  return {
    workingSetBytes: words.byteLength,
    inputs: { words, places },
    numbers: { count, sets: SETS },
    exact: true,
    place: (svm) => place(svm, words, places, count),
    check: ({ found }) => check(numbersOf(found ?? new Uint8Array(0), Uint32Array), words, places, count),
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
    results: async () => ({ found: bytesOf(await svm.read(found, fromPlaces.byteLength)) }),
    free: () => svm.queue.free([words, places, found]).done,
  }
}

function check(found: Uint32Array, words: Uint32Array, places: Uint32Array, count: number): void {
  if (found.length !== places.length || found[0] === 0) throw new Error(`found has ${found.length} words, the first is ${found[0]}: nothing has run.`)
  for (let n = 0; n < found.length; n++) {
    const right = found[n - (n % count)] === 0 ? 0 : words[places[n] as number]
    if (found[n] !== right) throw new Error(`found[${n}] is ${found[n]}; the host says ${right}.`)
  }
}
