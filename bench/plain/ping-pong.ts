// The plain side of ping-pong: one writeBuffer for each piece. Always: the author knows which pieces were written; each turn is a submission.

import { PlainKit } from './kit.ts'
import { rested } from './rest.ts'
import type { PlainWorkload } from './run.ts'

const ITEMS = 64
const CODE = `
@group(0) @binding(0) var<storage, read> words: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@group(0) @binding(2) var<uniform> first: u32;
@compute @workgroup_size(${ITEMS}) fn add_up(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x * 4u;
  let sum = words[at] + words[at + 1u] + words[at + 2u] + words[at + 3u];
  sums[first + id.x] = sum.x + sum.y + sum.z + sum.w;
}`

export const pingPong: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { turns = 0, oneIn = 1, pieceWords = 1 } = numbers
  const start = inputs.start as Uint32Array
  const each = start.length / 16
  const words = kit.buffer(start)
  const sums = kit.buffer(each * 4 * turns)
  const pipeline = await kit.pipeline(CODE, 'add_up')
  const groups = Array.from({ length: turns }, (_, turn) => kit.group(pipeline, [words, sums, kit.uniform([turn * each])]))
  return {
    run: async () => {
      for (const [turn, group] of groups.entries()) {
        const piece = new Uint32Array(pieceWords).fill(turn + 1)
        for (let at = 0; at < start.length; at += oneIn * pieceWords) kit.write(words, piece, at * 4)
        kit.submit([{ pipeline, group, workgroups: [each / ITEMS] }])
      }
      await rested(device.queue.onSubmittedWorkDone())
    },
    results: async () => ({ sums: await kit.read(sums) }),
    destroy: () => kit.destroy(),
  }
}
