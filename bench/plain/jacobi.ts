// The plain side of Jacobi: two grids that take turns. Always: all steps in one pass of one submission.

import { PlainKit } from './kit.ts'
import type { PlainWorkload } from './run.ts'

const ITEMS = 64
const CODE = `
@group(0) @binding(0) var<storage, read> before: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> after: array<vec4f>;
@group(0) @binding(2) var<uniform> row: u32;
@compute @workgroup_size(${ITEMS}) fn step(@builtin(global_invocation_id) id: vec3u) {
  let at = (id.y + 1u) * row + id.x + 1u;
  let here = before[at];
  let left = vec4f(before[at - 1u].w, here.xyz);
  let right = vec4f(here.yzw, before[at + 1u].x);
  after[at] = 0.25 * (left + right + before[at - row] + before[at + row]);
}`

export const jacobi: PlainWorkload = async (device, { inputs, numbers }) => {
  const kit = new PlainKit(device)
  const { width = 0, rows = 0, steps = 0 } = numbers
  const cells = inputs.start as Float32Array
  const start = kit.buffer(cells)
  const grids = [kit.buffer(cells), kit.buffer(cells)] as const
  const pipeline = await kit.pipeline(CODE, 'step')
  const row = kit.uniform([width / 4])
  const groups = [[start, grids[0]] as const, [grids[0], grids[1]] as const, [grids[1], grids[0]] as const].map((pair) => kit.group(pipeline, [...pair, row]))
  const dispatches = Array.from({ length: steps }, (_, step) => ({
    pipeline,
    group: groups[step === 0 ? 0 : 2 - (step % 2)] as GPUBindGroup,
    workgroups: [(width - 8) / 4 / ITEMS, rows] as const,
  }))
  return {
    run: () => kit.run(dispatches),
    results: async () => ({ grid: await kit.read(grids[1]) }),
    destroy: () => kit.destroy(),
  }
}
