// The plain side of sparse touch: nobody knows what the kernel will read, so all of it is sent. Always: the array goes anew in each run, as it must where
// the host has changed it.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Args { first: u32, count: u32 }
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;
@group(0) @binding(3) var<uniform> args: Args;
@compute @workgroup_size(64) fn touch(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < args.count) { found[args.first + id.x] = words[places[args.first + id.x]]; }
}`

export const sparseTouch: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { count = 0, sets = 1 } = numbers
  const all = inputs.words as Uint32Array
  const places = inputs.places as Uint32Array
  const words = kit.buffer(all.byteLength)
  const found = kit.buffer(places.byteLength)
  const pipeline = await kit.pipeline(CODE, 'touch')
  const from = kit.buffer(places)
  const groups = Array.from({ length: sets }, (_, set) => kit.group(pipeline, [words, from, found, kit.uniform([set * count, count])]))
  let runs = 0
  return {
    run: async () => {
      kit.write(words, all)
      await kit.run([{ pipeline, group: groups[runs++ % sets] as GPUBindGroup, workgroups: [Math.ceil(count / 64)] }])
    },
    results: async () => ({ found: await kit.read(found), runs: new Uint8Array(Uint32Array.of(runs).buffer) }),
    destroy: () => kit.destroy(),
  }
}
