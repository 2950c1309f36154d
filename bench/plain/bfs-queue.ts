// The plain side of the search with queues: a batch of levels in one submission, then one word is read. Always: the kernel reads the length of a queue
// from a buffer, so the host need not.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const CODE = `
struct Numbers { level: u32, items: u32 }
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> levels: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> parents: array<u32>;
@group(0) @binding(4) var<storage, read_write> lengths: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read> queue: array<u32>;
@group(0) @binding(6) var<storage, read_write> next: array<u32>;
@group(0) @binding(7) var<uniform> numbers: Numbers;
const NONE = 0xffffffffu;

fn reach(to: u32, v: u32) {
  loop {
    let seen = atomicCompareExchangeWeak(&levels[to], NONE, numbers.level + 1u);
    if (seen.exchanged) { break; }
    if (seen.old_value != NONE) { return; }
  }
  parents[to] = v;
  next[atomicAdd(&lengths[numbers.level + 1u], 1u)] = to;
}

@compute @workgroup_size(32) fn expand(@builtin(global_invocation_id) id: vec3u) {
  let length = atomicLoad(&lengths[numbers.level]);
  for (var place = id.x; place < length; place += numbers.items) {
    let v = queue[place];
    let end = rows[v + 1u];
    for (var e = rows[v]; e < end; e++) { reach(targets[e], v); }
  }
}`

const NONE = 0xffffffff

export const bfsQueue: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { vertices = 0, levels: levelsMax = 0, batch = 0, items = 0 } = numbers
  const { rows, targets, sources } = inputs as Record<'rows' | 'targets' | 'sources', Uint32Array>
  const graph = [kit.buffer(rows), kit.buffer(targets)]
  const [levels, parents, lengths] = [kit.buffer(vertices * 4), kit.buffer(vertices * 4), kit.buffer(levelsMax * 4)]
  const queues = [kit.buffer(vertices * 4), kit.buffer(vertices * 4)] as const
  const pipeline = await kit.pipeline(CODE, 'expand')
  const steps = Array.from({ length: levelsMax - 1 }, (_, level) => {
    const turns = level % 2 === 0 ? queues : [queues[1], queues[0]]
    const group = kit.group(pipeline, [...graph, levels, parents, lengths, ...turns, kit.uniform([level, items])])
    return { pipeline, group, workgroups: [items / 32] as const }
  })
  const reset = async () => {
    const nobody = new Uint32Array(vertices).fill(NONE)
    kit.write(parents, nobody)
    for (const source of sources) nobody[source] = 0
    kit.write(levels, nobody)
    const counts = new Uint32Array(levelsMax)
    counts[0] = sources.length
    kit.write(lengths, counts)
    kit.write(queues[0], sources)
  }
  await reset()
  return {
    async run() {
      for (let level = 0; ; level += batch) {
        kit.submit(steps.slice(level, level + batch))
        if ((await kit.readWord(lengths, level + batch)) === 0) return
      }
    },
    reset,
    results: async () => ({ levels: await kit.read(levels), parents: await kit.read(parents), lengths: await kit.read(lengths) }),
    destroy: () => kit.destroy(),
  }
}
