// grep over a mapped file: where does a word stand in a log? What it shows: a file is memory, however large: its pages are read once, from the first to the
// last, and dropped without being written back; every work-item looks at 16 positions with two loads; hits go to a list by way of a counter, and stand
// there exactly once, however often their work-item ran.
//
// Always: the order of the list is nobody's promise, so it is sorted before it is compared; the file ends with a run of line ends that nobody looks at.

import type { Svm } from '../../src/index.ts'
import { bytesOf, expectSame, numbersOf, once, random } from './data.ts'
import { fileOf } from './file.ts'
import type { Placed, Problem, Workload } from './workload.ts'

/** Five to eight bytes. */
const WORD = 'timeout'
const ITEMS = 64
const RUN_BYTES = 16
/** There are fewer hits than one in so many bytes. */
const BYTES_FOR_A_HIT = 512

const CODE = /* wgsl */ `
struct Args { text: svm_ptr, count: svm_ptr, hits: svm_ptr, hits_most: u32, low: u32, high: u32, high_mask: u32 }
@group(0) @binding(0) var<uniform> args: Args;

// Four positions at once: do the words that begin there hold the word that is looked for?
fn note(at: u32, low: vec4u, high: vec4u) {
  let found = (low == vec4(args.low)) & ((high & vec4(args.high_mask)) == vec4(args.high));
  if (!any(found)) { return; }
  for (var lane = 0u; lane < 4u; lane++) {
    if (!found[lane]) { continue; }
    let slot = svm_atomic_add_u32(args.count, 1u);
    if (slot < args.hits_most) { svm_store_u32(svm_index(args.hits, slot, 4u), at + lane * 4u); }
  }
}

@compute @workgroup_size(${ITEMS})
fn grep(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x * ${RUN_BYTES}u;
  let here = svm_load_vec4_u32(svm_add(args.text, at));
  let next = svm_load_vec2_u32(svm_add(args.text, at + 16u));
  let one = vec4u(here.yzw, next.x);
  let two = vec4u(here.zw, next);
  note(at, here, one);
  note(at + 1u, (here >> vec4(8u)) | (one << vec4(24u)), (one >> vec4(8u)) | (two << vec4(24u)));
  note(at + 2u, (here >> vec4(16u)) | (one << vec4(16u)), (one >> vec4(16u)) | (two << vec4(16u)));
  note(at + 3u, (here >> vec4(24u)) | (one << vec4(8u)), (one >> vec4(24u)) | (two << vec4(8u)));
}

@compute @workgroup_size(1)
fn clear() { svm_store_u32(args.count, 0u); }`

export const grep: Workload = {
  name: 'grep',
  about: 'a word in a mapped log: a stream that is only read, hits appended by way of a counter',
  make: problem,
}

function problem(bytes: number): Problem {
  const length = Math.ceil(bytes / RUN_BYTES / ITEMS) * RUN_BYTES * ITEMS + RUN_BYTES
  const text = log(length)
  const hitsMost = Math.ceil(length / BYTES_FOR_A_HIT)
  const expected = once(() => onHost(text))
  return {
    workingSetBytes: length + hitsMost * 4,
    inputs: { text },
    numbers: { length, hitsMost, ...needle() },
    exact: false,
    place: (svm) => place(svm, text, hitsMost),
    check: ({ count, hits }) => {
      expectSame('count', count, Uint32Array, 1, () => expected().length)
      const sorted = numbersOf(hits ?? new Uint8Array(0), Uint32Array)
        .slice(0, expected().length)
        .sort()
      expectSame('hits', bytesOf(sorted), Uint32Array, expected().length, (n) => expected()[n] as number)
    },
  }
}

async function place(svm: Svm, bytes: Uint8Array<ArrayBuffer>, hitsMost: number): Promise<Placed> {
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'grep' })
  const clear = await svm.createKernel({ code: CODE, entryPoint: 'clear' })
  const file = await fileOf(bytes)
  const text = await svm.mmap(file.pager, { label: 'log' })
  const count = svm.alloc(4, { label: 'count' })
  const hits = svm.alloc(hitsMost * 4, { label: 'hits' })
  const { low, high, highMask } = needle()
  const args = { text, count, hits, hits_most: hitsMost, low, high, high_mask: highMask }
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args, global: bytes.length / RUN_BYTES - 1 }).done],
    reset: async () => {
      await svm.queue.enqueue(clear, { args, global: 1 }).done
    },
    results: async () => ({ count: await svm.read(count, 4), hits: await svm.read(hits, hitsMost * 4) }),
    free: async () => {
      await svm.queue.free([count, hits]).done
      await svm.munmap(text)
      await file.remove()
    },
  }
}

/** The word's bytes as two words, and which bytes of the second count. */
function needle(): { low: number; high: number; highMask: number } {
  const bytes = new DataView(new ArrayBuffer(8))
  for (let n = 0; n < WORD.length; n++) bytes.setUint8(n, WORD.charCodeAt(n))
  return { low: bytes.getUint32(0, true), high: bytes.getUint32(4, true), highMask: 2 ** ((WORD.length - 4) * 8) - 1 }
}

/** Lines of a log. One part in 64 says that something took too long. */
function log(length: number): Uint8Array<ArrayBuffer> {
  const text = new Uint8Array(length).fill('\n'.charCodeAt(0))
  const encoder = new TextEncoder()
  const parts = ['connection opened', 'request served', 'cache miss', 'time out of sync', 'retry', 'timer ran out', 'queue is empty'].map((part) =>
    encoder.encode(` worker ${part};`),
  )
  const wrong = encoder.encode(' ERROR timeout')
  const next = random(1)
  const end = length - RUN_BYTES - 128
  for (let at = 0; at < end; at++) {
    for (let n = next() % 4; n >= 0; n--) {
      const part = next() % 64 === 0 ? wrong : (parts[next() % parts.length] as Uint8Array)
      text.set(part, at)
      at += part.length
    }
  }
  return text
}

function onHost(text: Uint8Array): Uint32Array {
  const found: number[] = []
  const string = new TextDecoder('latin1').decode(text)
  for (let at = string.indexOf(WORD); at >= 0; at = string.indexOf(WORD, at + 1)) found.push(at)
  return Uint32Array.from(found)
}
