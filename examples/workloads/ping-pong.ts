// Ping-pong: the host writes some pieces of an array, a kernel adds up all of it, again and again. What it shows: the host's writes are seen by the next
// launch and cost what was written, not the whole array; no fence, no copy, no buffer is named.
//
// Always: each turn overwrites the same pieces with its own numbers, so that a sum of an earlier turn, or of stale bytes, is a wrong sum.

import type { DispatchResult, Svm } from '../../src/index.ts'
import { bytesOf, expectSame, once } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const TURNS = 4
/** One piece in so many is written. */
const ONE_IN = 16
const PIECE_WORDS = 4096
const ITEMS = 64

const CODE = /* wgsl */ `
struct Args { words: svm_ptr, sums: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

// A work-item adds up 16 words.
@compute @workgroup_size(${ITEMS})
fn add_up(@builtin(global_invocation_id) id: vec3u) {
  let at = svm_index(args.words, id.x, 64u);
  let sum = svm_load_vec4_u32(at) + svm_load_vec4_u32(svm_add(at, 16u)) + svm_load_vec4_u32(svm_add(at, 32u)) + svm_load_vec4_u32(svm_add(at, 48u));
  svm_store_u32(svm_index(args.sums, id.x, 4u), sum.x + sum.y + sum.z + sum.w);
}`

export const pingPong: Workload = {
  name: 'ping-pong',
  about: `the host writes one piece of 16 KiB in ${ONE_IN}, a kernel adds up all of them, ${TURNS} times`,
  make: problem,
}

function problem(bytes: number): Problem {
  const pieces = Math.max(1, Math.round(bytes / (PIECE_WORDS * 4 + (TURNS * PIECE_WORDS) / 4) / ONE_IN)) * ONE_IN
  const start = Uint32Array.from({ length: pieces * PIECE_WORDS }, (_, n) => Math.imul(n + 1, 0x9e3779b1))
  const sumWords = start.length / 16
  const expected = once(() => onHost(start))
  return {
    workingSetBytes: start.byteLength + sumWords * 4 * TURNS,
    inputs: { start },
    numbers: { turns: TURNS, oneIn: ONE_IN, pieceWords: PIECE_WORDS },
    exact: true,
    place: (svm) => place(svm, start),
    check: ({ sums }) => expectSame('sums', sums, Uint32Array, sumWords * TURNS, (n) => expected()[n] as number),
  }
}

async function place(svm: Svm, start: Uint32Array): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'add_up' })
  const words = svm.allocFrom(start, { label: 'words' })
  const sumBytes = start.byteLength / 16
  const sums = svm.alloc(sumBytes * TURNS, { label: 'sums' })
  return {
    run: async () => {
      const launches: Promise<DispatchResult>[] = []
      for (let turn = 0; turn < TURNS; turn++) {
        const piece = new Uint32Array(PIECE_WORDS).fill(turn + 1)
        // Nothing is awaited: each call has its place in the order.
        for (let at = 0; at < start.length; at += ONE_IN * PIECE_WORDS) svm.write(words + at * 4, piece)
        launches.push(svm.queue.enqueue(kernel, { args: { words, sums: sums + turn * sumBytes }, global: start.length / 16 }).done)
      }
      return Promise.all(launches)
    },
    results: async () => ({ sums: bytesOf(await svm.read(sums, sumBytes * TURNS)) }),
    free: () => svm.queue.free([words, sums]).done,
  }
}

function onHost(start: Uint32Array): Uint32Array {
  const words = start.slice()
  const each = words.length / 16
  const sums = new Uint32Array(each * TURNS)
  for (let turn = 0; turn < TURNS; turn++) {
    for (let at = 0; at < words.length; at += ONE_IN * PIECE_WORDS) words.fill(turn + 1, at, at + PIECE_WORDS)
    for (let n = 0; n < each; n++) for (let k = 0; k < 16; k++) sums[turn * each + n] = (sums[turn * each + n] as number) + (words[n * 16 + k] as number)
  }
  return sums
}
