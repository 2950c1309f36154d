// A hash table, built and probed by kernels: open addressing, a slot is a key and a value. Inserting is the loop that everybody writes (compare-and-
// exchange a slot, step to the next while it is somebody else's); it shows that such a loop needs nothing special in shared virtual memory: a page of
// the table that is not there ends it and runs the workgroup again, no key is lost or there twice, and the value lies beside its key.
//
// Twice: `hash` has its keys in parts, `hash-random` in any order, so that each workgroup inserts all over the table.

import type { Svm } from '../../src/index.ts'
import { expectSame, numbersOf, shuffled } from './data.ts'
import { MIX_WGSL, mix } from './mix.ts'
import type { Placed, Problem, Results, Workload } from './workload.ts'

const CODE = /* wgsl */ `
struct Slot { key: u32, value: u32 }
struct Args { slots: svm_ptr, capacity: u32, keys: svm_ptr, values: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
const EMPTY = 0u;
${MIX_WGSL}

@compute @workgroup_size(64)
fn insert(@builtin(global_invocation_id) id: vec3u) {
  let key = svm_load_u32(svm_index(args.keys, id.x, 4u));
  let value = svm_load_u32(svm_index(args.values, id.x, 4u));
  var place = mix(key) % args.capacity;
  loop {
    let slot = svm_index(args.slots, place, Slot_size);
    if (svm_atomic_compare_exchange_u32(svm_add(slot, Slot_key), EMPTY, key) == EMPTY) {
      svm_store_u32(svm_add(slot, Slot_value), value);
      return;
    }
    place = select(place + 1u, 0u, place + 1u == args.capacity);
  }
}

@compute @workgroup_size(64)
fn probe(@builtin(global_invocation_id) id: vec3u) {
  let key = svm_load_u32(svm_index(args.keys, id.x, 4u));
  var place = mix(key) % args.capacity;
  var value = 0u;
  loop {
    let slot = svm_index(args.slots, place, Slot_size);
    let found = svm_load_u32(svm_add(slot, Slot_key));
    if (found == key) { value = svm_load_u32(svm_add(slot, Slot_value)); }
    if (found == key || found == EMPTY) { break; }
    place = select(place + 1u, 0u, place + 1u == args.capacity);
  }
  svm_store_u32(svm_index(args.values, id.x, 4u), value);
}`

/** Half of the places are filled. */
const SLOTS_A_KEY = 2
const SLOT_BYTES = 8
/** Keys come in parts, by the part of the table that they belong to, as a join hands them over that partitions its input first. */
const PARTS = 8

export const hash: Workload = {
  name: 'hash',
  about: 'compare-and-exchange inserts anywhere in an eighth of a table at a time, then as many probes, half of which find nothing',
  make: (bytes) => make(bytes, PARTS),
}

export const hashRandom: Workload = {
  name: 'hash-random',
  about: 'the same with keys in any order: each workgroup inserts anywhere in the table',
  make: (bytes) => make(bytes, 1),
}

function make(bytes: number, parts: number): Problem {
  // A key: its slots, itself and its value; a query and its answer.
  const count = Math.ceil(bytes / (SLOTS_A_KEY * SLOT_BYTES + 16) / 64) * 64
  const capacity = count * SLOTS_A_KEY
  // Keys are 1 to count; queries from 1 to twice as many.
  const keys = inParts(shuffled(count, 17), capacity, parts)
  const values = keys.map((key) => mix(key ^ 0x5bd1e995) | 1)
  const queries = shuffled(2 * count, 171)
    .subarray(0, count)
    .map((n) => n + 1)
  return {
    workingSetBytes: capacity * SLOT_BYTES + count * 16,
    inputs: { keys, values, queries },
    numbers: { count, capacity },
    exact: false,
    place: (svm) => place(svm, keys, values, queries, capacity),
    check: (results) => check(results, keys, values, queries, capacity),
  }
}

/** The numbers plus one, since 0 is no key. */
function inParts(numbers: Uint32Array, capacity: number, parts: number): Uint32Array<ArrayBuffer> {
  const partOf = (key: number) => Math.floor(((mix(key) % capacity) * parts) / capacity)
  const keys = Array.from(numbers, (n) => n + 1)
  return Uint32Array.from(Array.from({ length: parts }, (_, part) => keys.filter((key) => partOf(key) === part)).flat())
}

function check(results: Results, keys: Uint32Array, values: Uint32Array, queries: Uint32Array, capacity: number): void {
  const known = new Map<number, number>()
  keys.forEach((key, n) => {
    known.set(key, values[n] as number)
  })
  expectSame('answers', results.answers, Uint32Array, queries.length, (n) => known.get(queries[n] as number) ?? 0)
  // Each key once, its value beside it, and nothing else.
  const slots = numbersOf(results.slots as Uint8Array, Uint32Array)
  for (let place = 0; place < capacity; place++) {
    const key = slots[2 * place] as number
    if (key === 0) continue
    if (known.get(key) !== slots[2 * place + 1]) throw new Error(`Slot ${place} has key ${key}, once too often or with a wrong value.`)
    known.delete(key)
  }
  if (known.size > 0) throw new Error(`${known.size} of ${keys.length} keys are not in the table.`)
}

async function place(svm: Svm, keys: Uint32Array, values: Uint32Array, queries: Uint32Array, capacity: number): Promise<Placed> {
  const [insert, probe] = await Promise.all(['insert', 'probe'].map((entryPoint) => svm.createKernel({ code: CODE, entryPoint, label: entryPoint })))
  const slotsBytes = capacity * SLOT_BYTES
  const slots = svm.alloc(slotsBytes, { label: 'slots' })
  const given = { keys: svm.allocFrom(keys, { label: 'keys' }), values: svm.allocFrom(values, { label: 'values' }) }
  const asked = { keys: svm.allocFrom(queries, { label: 'queries' }), values: svm.alloc(queries.byteLength, { label: 'answers' }) }
  return {
    async run() {
      const inserted = svm.queue.enqueue(insert, { args: { slots, capacity, ...given }, global: keys.length })
      const probed = svm.queue.enqueue(probe, { args: { slots, capacity, ...asked }, global: queries.length })
      return [await inserted.done, await probed.done]
    },
    async reset() {
      await svm.queue.memfill(slots, new Uint32Array(1), slotsBytes).done
    },
    results: async () => ({ answers: await svm.read(asked.values, queries.byteLength), slots: await svm.read(slots, slotsBytes) }),
    free: () => svm.queue.free([slots, ...Object.values(given), ...Object.values(asked)]).done,
  }
}
