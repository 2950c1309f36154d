// The plain sides of the histograms. Always: the samples are one buffer, the bins another.

import { PlainKit } from './kit.ts'
import type { PlainProblem, PlainRun, PlainWorkload } from './run.ts'

const HEAD = `
@group(0) @binding(0) var<storage, read> samples: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>>;

fn bins_of(group: u32, item: u32, n: u32) -> vec4u { return samples[(group * 4u + n) * 64u + item] >> vec4(24u); }
`

const GLOBAL = `${HEAD}
@compute @workgroup_size(64) fn histogram(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  for (var n = 0u; n < 4u; n++) {
    let found = bins_of(group.x, item, n);
    atomicAdd(&bins[found.x], 1u);
    atomicAdd(&bins[found.y], 1u);
    atomicAdd(&bins[found.z], 1u);
    atomicAdd(&bins[found.w], 1u);
  }
}`

const LOCAL = `${HEAD}
var<workgroup> found: array<atomic<u32>, 256>;

@compute @workgroup_size(64) fn histogram(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  for (var n = 0u; n < 4u; n++) {
    let bins = bins_of(group.x, item, n);
    atomicAdd(&found[bins.x], 1u);
    atomicAdd(&found[bins.y], 1u);
    atomicAdd(&found[bins.z], 1u);
    atomicAdd(&found[bins.w], 1u);
  }
  workgroupBarrier();
  for (var bin = item; bin < 256u; bin += 64u) { atomicAdd(&bins[bin], atomicLoad(&found[bin])); }
}`

export const histogramGlobal: PlainWorkload = (device, problem) => histogram(device, problem, GLOBAL)
export const histogramLocal: PlainWorkload = (device, problem) => histogram(device, problem, LOCAL)

async function histogram(device: GPUDevice, { inputs, numbers }: PlainProblem, code: string): Promise<PlainRun> {
  const kit = new PlainKit(device)
  const zeros = new Uint32Array(numbers.bins ?? 0)
  const bins = kit.buffer(zeros)
  const pipeline = await kit.pipeline(code, 'histogram')
  const group = kit.group(pipeline, [kit.buffer(inputs.samples as Uint32Array), bins])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [numbers.groups ?? 0] }]),
    reset: async () => kit.write(bins, zeros),
    results: async () => ({ bins: await kit.read(bins) }),
    destroy: () => kit.destroy(),
  }
}
