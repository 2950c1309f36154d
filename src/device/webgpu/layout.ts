// Bind group layouts. Always: they are explicit, so that a group made for one variant of a kernel fits every other variant.

import { SvmError } from '../../base/error.ts'
import type { AuthorBinding } from '../device.ts'
import { STAGE_COMPUTE } from './buffers.ts'

/** Group 3 as every program declares it; pools follow from `pools` on. Control and args have dynamic offsets: the dispatches of a chain share one group. */
export const RUNTIME_BINDING = { table: 0, faults: 1, control: 2, args: 3, pools: 4 } as const

export function runtimeEntries(pools: number, hasArguments: boolean): GPUBindGroupLayoutEntry[] {
  const entries: GPUBindGroupLayoutEntry[] = [
    bufferEntry(RUNTIME_BINDING.table, 'read-only-storage'),
    bufferEntry(RUNTIME_BINDING.faults, 'storage'),
    bufferEntry(RUNTIME_BINDING.control, 'read-only-storage', true),
  ]
  if (hasArguments) entries.push(bufferEntry(RUNTIME_BINDING.args, 'uniform', true))
  for (let pool = 0; pool < pools; pool++) entries.push(bufferEntry(RUNTIME_BINDING.pools + pool, 'storage'))
  return entries
}

/** @param group 0 to 2 */
export function authorEntries(bindings: readonly AuthorBinding[], group: number): GPUBindGroupLayoutEntry[] {
  // A sampler may filter; without one, any texture of floats will do.
  const sampled = bindings.some(({ kind }) => kind === 'sampler')
  return bindings.filter((binding) => binding.group === group).map((binding) => authorEntry(binding, sampled))
}

function bufferEntry(binding: number, type: GPUBufferBindingType, hasDynamicOffset = false): GPUBindGroupLayoutEntry {
  return { binding, visibility: STAGE_COMPUTE, buffer: { type, hasDynamicOffset } }
}

function authorEntry({ binding, kind, name, type }: AuthorBinding, sampled: boolean): GPUBindGroupLayoutEntry {
  const base = { binding, visibility: STAGE_COMPUTE }
  switch (kind) {
    case 'uniform':
    case 'read-only-storage':
    case 'storage':
      return bufferEntry(binding, kind)
    case 'sampler':
      return { ...base, sampler: { type: 'filtering' } }
    case 'comparison-sampler':
      return { ...base, sampler: { type: 'comparison' } }
    case 'texture':
      return { ...base, texture: textureLayout(name, type, sampled) }
    case 'storage-texture':
      return { ...base, storageTexture: storageTextureLayout(name, type) }
    case 'external-texture':
      return { ...base, externalTexture: {} }
  }
}

const DIMENSIONS: Readonly<Record<string, GPUTextureViewDimension>> = {
  '1d': '1d',
  '2d': '2d',
  '2d_array': '2d-array',
  '3d': '3d',
  cube: 'cube',
  cube_array: 'cube-array',
}

/** `texture_2d<f32>`, `texture_depth_cube`, `texture_multisampled_2d<u32>`, `texture_depth_multisampled_2d` … */
function textureLayout(name: string, type: string, sampled: boolean): GPUTextureBindingLayout {
  const match = /^texture_(depth_)?(multisampled_)?(1d|2d_array|2d|3d|cube_array|cube)(?:<\s*(f32|i32|u32)\s*>)?$/.exec(type.trim())
  if (match === null) throw unknownType(name, type)
  const multisampled = match[2] !== undefined
  const floats: GPUTextureSampleType = sampled && !multisampled ? 'float' : 'unfilterable-float'
  const sampleType = match[1] !== undefined ? 'depth' : match[4] === 'i32' ? 'sint' : match[4] === 'u32' ? 'uint' : floats
  return { sampleType, multisampled, viewDimension: DIMENSIONS[match[3]] }
}

/** `texture_storage_2d<rgba8unorm, write>`. */
function storageTextureLayout(name: string, type: string): GPUStorageTextureBindingLayout {
  const match = /^texture_storage_(1d|2d_array|2d|3d)<\s*(\w+)\s*,\s*(read_write|read|write)\s*>$/.exec(type.trim())
  if (match === null) throw unknownType(name, type)
  const access = match[3] === 'write' ? 'write-only' : match[3] === 'read' ? 'read-only' : 'read-write'
  return { format: match[2] as GPUTextureFormat, access, viewDimension: DIMENSIONS[match[1]] }
}

function unknownType(name: string, type: string): SvmError {
  return new SvmError('build-failed', `Binding ${name} has the type ${type}, which is not a texture type of WGSL that this library knows; use one of those.`)
}
