// Work as commands of a GPUCommandEncoder. Always: commands come in the order of the work; neighbouring dispatches share a compute pass
// (a dispatch is a usage scope of its own, so that is no weaker an order); every bind group that the device asks for is set.

import type { Work } from '../device.ts'
import { gpuOf } from './buffers.ts'
import { AUTHOR_GROUPS, RUNTIME_GROUP, type RuntimeBuffers, type WebgpuProgram } from './program.ts'

export interface EncodeContext extends RuntimeBuffers {
  /** The group for a layout without entries. */
  emptyGroup(): GPUBindGroup
  /** The device asks for it. */
  needsEmptyGroups(): boolean
}

type Dispatch = Extract<Work, { kind: 'dispatch' }>

/** What a compute pass has set already. */
class PassState {
  readonly pass: GPUComputePassEncoder
  #program: WebgpuProgram | null = null
  readonly #author: (GPUBindGroup | null)[] = [null, null, null]

  constructor(encoder: GPUCommandEncoder) {
    this.pass = encoder.beginComputePass()
  }

  program(program: WebgpuProgram): void {
    if (this.#program === program) return
    this.pass.setPipeline(program.pipeline)
    this.#program = program
  }

  hasAuthorGroup(index: number): boolean {
    return this.#author[index] !== null
  }

  authorGroup(index: number, group: GPUBindGroup): void {
    if (this.#author[index] === group) return
    this.pass.setBindGroup(index, group)
    this.#author[index] = group
  }
}

/** Dynamic offsets in the order of their bindings: control, args. Taken before the call that they are given to returns. */
const offsets = new Uint32Array(2)

export function encodeWork(encoder: GPUCommandEncoder, work: readonly Work[], context: EncodeContext): void {
  let state: PassState | null = null
  for (const item of work) {
    if (item.kind === 'dispatch') {
      state ??= new PassState(encoder)
      encodeDispatch(state, item, context)
      continue
    }
    state?.pass.end()
    state = null
    if (item.byteLength === 0) continue
    if (item.kind === 'copy') encoder.copyBufferToBuffer(gpuOf(item.from), item.fromOffset, gpuOf(item.to), item.toOffset, item.byteLength)
    else encoder.clearBuffer(gpuOf(item.buffer), item.offset, item.byteLength)
  }
  state?.pass.end()
}

function encodeDispatch(state: PassState, dispatch: Dispatch, context: EncodeContext): void {
  const program = dispatch.program as WebgpuProgram
  state.program(program)
  for (let group = 0; group < AUTHOR_GROUPS; group++) {
    const given = dispatch.authorGroups[group] as GPUBindGroup | null | undefined
    if (given) state.authorGroup(group, given)
    else if (state.hasAuthorGroup(group) || context.needsEmptyGroups()) state.authorGroup(group, context.emptyGroup())
  }
  offsets[0] = dispatch.at?.control ?? 0
  offsets[1] = dispatch.at?.args ?? 0
  state.pass.setBindGroup(RUNTIME_GROUP, program.runtimeGroup(dispatch.bindings, context), offsets, 0, program.descriptor.hasArguments ? 2 : 1)
  state.pass.dispatchWorkgroups(dispatch.groups[0], dispatch.groups[1], dispatch.groups[2])
}
