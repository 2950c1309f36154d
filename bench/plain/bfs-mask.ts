// The plain side of the search with a mask: a batch of levels in one submission, then one word is read. Always: the level of a dispatch is in a uniform
// buffer of its own, since one submission has many.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const HEAD = `
struct Numbers { fours: u32, level: u32 }
const NONE = 0xffffffffu;
`
const OFFER = `${HEAD}
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read> levels: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> parents: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> numbers: Numbers;

fn offer_to_neighbours(v: u32) {
  let end = rows[v + 1u];
  for (var e = rows[v]; e < end; e++) {
    let to = targets[e];
    if (levels[to / 4u][to % 4u] == NONE) { atomicMin(&parents[to], v); }
  }
}

@compute @workgroup_size(64) fn offer(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= numbers.fours) { return; }
  let now = levels[id.x] == vec4(numbers.level);
  if (!any(now)) { return; }
  for (var n = 0u; n < 4u; n++) {
    if (now[n]) { offer_to_neighbours(4u * id.x + n); }
  }
}`

const SETTLE = `${HEAD}
@group(0) @binding(0) var<storage, read_write> levels: array<vec4u>;
@group(0) @binding(1) var<storage, read> parents: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> numbers: Numbers;

@compute @workgroup_size(64) fn settle(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= numbers.fours) { return; }
  let now = levels[id.x];
  let reached = (now == vec4(NONE)) & (parents[id.x] != vec4(NONE));
  if (!any(reached)) { return; }
  levels[id.x] = select(now, vec4(numbers.level + 1u), reached);
  atomicOr(&found[numbers.level + 1u], 1u);
}`

const NONE = 0xffffffff

export const bfsMask: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { vertices = 0, levels: levelsMax = 0, batch = 0 } = numbers
  const { rows, targets, sources } = inputs as Record<'rows' | 'targets' | 'sources', Uint32Array>
  const fours = Math.ceil(vertices / 4)
  const [levels, parents, found] = [kit.buffer(fours * 16), kit.buffer(fours * 16), kit.buffer(levelsMax * 4)]
  const [edges, ends] = [kit.buffer(targets), kit.buffer(rows)]
  const [offer, settle] = [await kit.pipeline(OFFER, 'offer'), await kit.pipeline(SETTLE, 'settle')]
  const workgroups = [Math.ceil(fours / 64)] as const
  const steps = Array.from({ length: levelsMax - 1 }, (_, level) => {
    const size = kit.uniform([fours, level])
    return [
      { pipeline: offer, group: kit.group(offer, [ends, edges, levels, parents, size]), workgroups },
      { pipeline: settle, group: kit.group(settle, [levels, parents, found, size]), workgroups },
    ]
  })
  const reset = async () => {
    const marks = new Uint32Array(fours * 4).fill(NONE)
    for (const source of sources) marks[source] = source
    kit.write(parents, marks)
    for (const source of sources) marks[source] = 0
    kit.write(levels, marks)
    kit.write(found, new Uint32Array(levelsMax))
  }
  await reset()
  return {
    async run() {
      for (let level = 0; ; level += batch) {
        kit.submit(steps.slice(level, level + batch).flat())
        if ((await kit.readWord(found, level + batch)) === 0) return
      }
    },
    reset,
    results: async () => ({ levels: await kit.read(levels, vertices * 4), parents: await kit.read(parents, vertices * 4) }),
    destroy: () => kit.destroy(),
  }
}
