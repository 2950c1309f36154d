// The plain sides of the triads. Always: three buffers and one dispatch, as a good author writes it.

import { f32, PlainKit } from './kit.ts'
import type { PlainRun, PlainWorkload } from './run.ts'

const ITEMS = 256
const BINDINGS = (element: string) => `
@group(0) @binding(0) var<storage, read_write> a: array<${element}>;
@group(0) @binding(1) var<storage, read> b: array<${element}>;
@group(0) @binding(2) var<storage, read> c: array<${element}>;
@group(0) @binding(3) var<uniform> scale: f32;`
const CODE = (element: string) => `${BINDINGS(element)}
@compute @workgroup_size(${ITEMS}) fn triad(@builtin(global_invocation_id) id: vec3u) {
  a[id.x] = b[id.x] + scale * c[id.x];
}`

export const triad: PlainWorkload = (device, problem) => outOfPlace(device, problem, 'f32', 4)
export const triadWide: PlainWorkload = (device, problem) => outOfPlace(device, problem, 'vec4f', 16)

async function outOfPlace(device: GPUDevice, { inputs, numbers }: Parameters<PlainWorkload>[1], element: string, elementBytes: number): Promise<PlainRun> {
  const kit = new PlainKit(device)
  const { length = 0, scale = 0 } = numbers
  const a = kit.buffer(length * 4)
  const pipeline = await kit.pipeline(CODE(element), 'triad')
  const group = kit.group(pipeline, [a, kit.buffer(inputs.b as Float32Array), kit.buffer(inputs.c as Float32Array), kit.uniform([f32(scale)])])
  return {
    run: () => kit.run([{ pipeline, group, workgroups: [(length * 4) / elementBytes / ITEMS] }]),
    results: async () => ({ a: await kit.read(a) }),
    destroy: () => kit.destroy(),
  }
}
