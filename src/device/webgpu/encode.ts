// Work as commands of a GPUCommandEncoder. Always: commands come in the order of the work; neighbouring dispatches share a compute pass
// (a dispatch is a usage scope of its own, so that is no weaker an order); every bind group of the layout is set.

import type { Work } from '../device.ts'
import { gpuOf } from './buffers.ts'
import { AUTHOR_GROUPS, RUNTIME_GROUP, type RuntimeBuffers, type WebgpuProgram } from './program.ts'

export interface EncodeContext extends RuntimeBuffers {
  /** The group for a layout without entries. */
  emptyGroup(): GPUBindGroup
}

type Dispatch = Extract<Work, { kind: 'dispatch' }>

export function encodeWork(encoder: GPUCommandEncoder, work: readonly Work[], context: EncodeContext): void {
  let pass: GPUComputePassEncoder | null = null
  for (const item of work) {
    if (item.kind === 'dispatch') {
      pass ??= encoder.beginComputePass()
      encodeDispatch(pass, item, context)
      continue
    }
    pass?.end()
    pass = null
    if (item.byteLength === 0) continue
    if (item.kind === 'copy') encoder.copyBufferToBuffer(gpuOf(item.from), item.fromOffset, gpuOf(item.to), item.toOffset, item.byteLength)
    else encoder.clearBuffer(gpuOf(item.buffer), item.offset, item.byteLength)
  }
  pass?.end()
}

function encodeDispatch(pass: GPUComputePassEncoder, dispatch: Dispatch, context: EncodeContext): void {
  const program = dispatch.program as WebgpuProgram
  pass.setPipeline(program.pipeline)
  for (let group = 0; group < AUTHOR_GROUPS; group++) {
    const given = dispatch.authorGroups[group] as GPUBindGroup | null | undefined
    pass.setBindGroup(group, given ?? context.emptyGroup())
  }
  pass.setBindGroup(RUNTIME_GROUP, program.runtimeGroup(dispatch.bindings, context))
  pass.dispatchWorkgroups(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2])
}
