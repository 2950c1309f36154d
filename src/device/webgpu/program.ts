// A compiled kernel. Always: its pipeline layout is explicit, groups 0 to 2 the author's and group 3 the runtime's; a bind group of group 3 is
// made once for the buffers it names, and kept while it is among the few used last.

import { type CompilerMessage, type DispatchBindings, type Program, type ProgramDescriptor, ProgramFailure } from '../device.ts'
import type { WebgpuBuffer } from './buffers.ts'
import { authorEntries, RUNTIME_BINDING, runtimeEntries } from './layout.ts'
import { wait, wake } from './nap.ts'
import { inErrorScopes } from './scope.ts'

export const AUTHOR_GROUPS = 3
export const RUNTIME_GROUP = 3
/** createBindGroup costs 7 to 9 microseconds in Node. */
const KEPT_GROUPS_MAX = 8

/** What stands in for pools that do not exist. */
export interface RuntimeBuffers {
  /** A buffer of its own for each pool number: no buffer may be bound twice as writable. */
  placeholder(pool: number): WebgpuBuffer
}

interface KeptGroup {
  readonly ids: readonly number[]
  readonly window: DispatchBindings['window']
  readonly group: GPUBindGroup
}

interface BufferEntry {
  readonly binding: number
  readonly buffer: WebgpuBuffer
  readonly size: number
}

export class WebgpuProgram implements Program {
  readonly descriptor: ProgramDescriptor
  readonly pipeline: GPUComputePipeline
  /** By group number, 0 to 3. */
  readonly layouts: readonly GPUBindGroupLayout[]
  readonly #device: GPUDevice
  /** The one used last comes first. */
  readonly #kept: KeptGroup[] = []
  /** The dispatches of a chain have the same bindings. */
  #last: { readonly bindings: DispatchBindings; readonly group: GPUBindGroup } | null = null

  constructor(device: GPUDevice, descriptor: ProgramDescriptor, pipeline: GPUComputePipeline, layouts: readonly GPUBindGroupLayout[]) {
    this.#device = device
    this.descriptor = descriptor
    this.pipeline = pipeline
    this.layouts = layouts
  }

  get label(): string {
    return this.descriptor.label
  }

  runtimeGroup(bindings: DispatchBindings, runtime: RuntimeBuffers): GPUBindGroup {
    if (this.#last?.bindings === bindings) return this.#last.group
    const buffers = this.#buffersOf(bindings, runtime)
    const { window } = bindings
    const same = (kept: KeptGroup) =>
      kept.window?.control === window?.control && kept.window?.args === window?.args && kept.ids.every((id, i) => id === buffers[i].buffer.id)
    const found = this.#kept.findIndex(same)
    const kept = found < 0 ? this.#make(buffers, window) : this.#kept[found]
    if (found > 0) this.#kept.splice(found, 1)
    if (found !== 0) this.#kept.unshift(kept)
    if (this.#kept.length > KEPT_GROUPS_MAX) this.#kept.pop()
    this.#last = { bindings, group: kept.group }
    return kept.group
  }

  #buffersOf(bindings: DispatchBindings, runtime: RuntimeBuffers): BufferEntry[] {
    const { window } = bindings
    const entry = (binding: number, buffer: WebgpuBuffer, size = buffer.byteLength): BufferEntry => ({ binding, buffer, size })
    const buffers = [
      entry(RUNTIME_BINDING.table, bindings.table as WebgpuBuffer),
      entry(RUNTIME_BINDING.faults, bindings.faults as WebgpuBuffer),
      entry(RUNTIME_BINDING.control, bindings.control as WebgpuBuffer, window?.control),
    ]
    if (this.descriptor.hasArguments) buffers.push(entry(RUNTIME_BINDING.args, bindings.args as WebgpuBuffer, window?.args))
    for (let pool = 0; pool < this.descriptor.pools; pool++) {
      const buffer = (bindings.pools[pool] ?? null) as WebgpuBuffer | null
      buffers.push(entry(RUNTIME_BINDING.pools + pool, buffer ?? runtime.placeholder(pool)))
    }
    return buffers
  }

  #make(buffers: readonly BufferEntry[], window: DispatchBindings['window']): KeptGroup {
    const entries = buffers.map(({ binding, buffer, size }) => ({ binding, resource: { buffer: buffer.gpu, size } }))
    const group = this.#device.createBindGroup({ label: `svm:${this.label}`, layout: this.layouts[RUNTIME_GROUP], entries })
    return { ids: buffers.map(({ buffer }) => buffer.id), window, group }
  }
}

/** @throws ProgramFailure */
export async function compileProgram(device: GPUDevice, descriptor: ProgramDescriptor): Promise<WebgpuProgram> {
  const { module, messages } = await compileModule(device, descriptor.code, descriptor.label)
  if (messages.some(({ type }) => type === 'error')) throw new ProgramFailure(messages)
  const label = `svm:${descriptor.label}`
  const groups = Array.from({ length: AUTHOR_GROUPS }, (_, group) => authorEntries(descriptor.authorBindings, group))
  groups.push(runtimeEntries(descriptor.pools, descriptor.hasArguments))
  const { value, error } = inErrorScopes(device, ['validation'], () => {
    const layouts = groups.map((entries, group) => device.createBindGroupLayout({ label: `${label}:${group}`, entries }))
    const layout = device.createPipelineLayout({ label, bindGroupLayouts: layouts })
    const compute = { module, entryPoint: descriptor.entryPoint, constants: descriptor.constants }
    const made = device.createComputePipelineAsync({ label, layout, compute }).then(
      (pipeline) => ({ pipeline, text: '' }),
      (failure: Error) => ({ pipeline: null, text: failure.message }),
    )
    wait()
    return { layouts, made: made.finally(wake) }
  })
  const refused = await error
  const { pipeline, text } = await value.made
  if (pipeline === null || refused !== null) throw new ProgramFailure([...messages, { type: 'error', line: 0, column: 0, text: refused?.message ?? text }])
  return new WebgpuProgram(device, descriptor, pipeline, value.layouts)
}

/** The module, and all that the compiler says of it, notes included. */
export async function compileModule(device: GPUDevice, code: string, label: string): Promise<{ module: GPUShaderModule; messages: CompilerMessage[] }> {
  const { value, error } = inErrorScopes(device, ['validation'], () => {
    const module = device.createShaderModule({ label: `svm:${label}`, code })
    return { module, information: module.getCompilationInfo() }
  })
  const refused = await error
  const information = await value.information
  const messages: CompilerMessage[] = information.messages.map((met) => ({ type: met.type, line: met.lineNum, column: met.linePos, text: met.message }))
  if (refused !== null && !messages.some(({ type }) => type === 'error')) messages.push({ type: 'error', line: 0, column: 0, text: refused.message })
  return { module: value.module, messages }
}
