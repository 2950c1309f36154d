// Whether bind groups without bindings must be set before a dispatch. WebGPU asked for that once, and no longer does; each call costs a microsecond or more.
// Always: nothing is submitted to find out; until it is known they are set.

import { inErrorScopes } from './scope.ts'

const NOTHING = '@compute @workgroup_size(1) fn nothing() {}'

/** True when a device refuses a dispatch whose pipeline has an empty layout for which no group was set. */
export async function needsEmptyGroups(device: GPUDevice): Promise<boolean> {
  const { error } = inErrorScopes(device, ['validation'], () => {
    const empty = device.createBindGroupLayout({ entries: [] })
    const layout = device.createPipelineLayout({ bindGroupLayouts: [empty] })
    const pipeline = device.createComputePipeline({ layout, compute: { module: device.createShaderModule({ code: NOTHING }) } })
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.dispatchWorkgroups(1)
    pass.end()
    encoder.finish()
  })
  return (await error) !== null
}
