// The plain side of the hash table: one module for inserting, where keys are atomics, one for probing. Always: slots are a key and a value.

import { PlainKit } from './kit.ts'
import { MIX_WGSL } from './mix.ts'
import type { PlainWorkload } from './run.ts'

const INSERT = `
struct Slot { key: atomic<u32>, value: u32 }
@group(0) @binding(0) var<storage, read_write> slots: array<Slot>;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<uniform> capacity: u32;
${MIX_WGSL}
@compute @workgroup_size(64) fn insert(@builtin(global_invocation_id) id: vec3u) {
  let key = keys[id.x];
  var place = mix(key) % capacity;
  loop {
    let found = atomicCompareExchangeWeak(&slots[place].key, 0u, key);
    if (found.exchanged) {
      slots[place].value = values[id.x];
      return;
    }
    // A weak exchange may fail for nothing.
    if (found.old_value != 0u) { place = select(place + 1u, 0u, place + 1u == capacity); }
  }
}`

const PROBE = `
struct Slot { key: u32, value: u32 }
@group(0) @binding(0) var<storage, read> slots: array<Slot>;
@group(0) @binding(1) var<storage, read> queries: array<u32>;
@group(0) @binding(2) var<storage, read_write> answers: array<u32>;
@group(0) @binding(3) var<uniform> capacity: u32;
${MIX_WGSL}
@compute @workgroup_size(64) fn probe(@builtin(global_invocation_id) id: vec3u) {
  let key = queries[id.x];
  var place = mix(key) % capacity;
  var value = 0u;
  loop {
    let found = slots[place].key;
    if (found == key) { value = slots[place].value; }
    if (found == key || found == 0u) { break; }
    place = select(place + 1u, 0u, place + 1u == capacity);
  }
  answers[id.x] = value;
}`

export const hash: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { count = 0, capacity = 0 } = numbers
  const { keys, values, queries } = inputs as Record<'keys' | 'values' | 'queries', Uint32Array>
  const empty = new Uint32Array(capacity * 2)
  const slots = kit.buffer(empty)
  const answers = kit.buffer(count * 4)
  const size = kit.uniform([capacity])
  const insert = await kit.pipeline(INSERT, 'insert')
  const probe = await kit.pipeline(PROBE, 'probe')
  const groups = [
    kit.group(insert, [slots, kit.buffer(keys), kit.buffer(values), size]),
    kit.group(probe, [slots, kit.buffer(queries), answers, size]),
  ] as const
  const workgroups = [count / 64] as const
  return {
    run: () =>
      kit.run([
        { pipeline: insert, group: groups[0], workgroups },
        { pipeline: probe, group: groups[1], workgroups },
      ]),
    reset: async () => kit.write(slots, empty),
    results: async () => ({ answers: await kit.read(answers), slots: await kit.read(slots) }),
    destroy: () => kit.destroy(),
  }
}
