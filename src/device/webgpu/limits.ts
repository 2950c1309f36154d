// What to ask an adapter for, and what a device then offers. Always: nothing is asked for that the adapter lacks, and no binding above 2 GiB.

import { POOLS_MAX } from '../../abi/pte.ts'
import { GIB, MIB } from '../../base/units.ts'
import type { DeviceLimits } from '../device.ts'

/** Drivers count the length of a runtime-sized array in 31 bits. */
const BUFFER_BYTES_MAX = 2 * GIB
/** What every device has without being asked. */
const BUFFER_BYTES_DEFAULT = 256 * MIB
/** Page table, faults, control. */
const RUNTIME_STORAGE_BUFFERS = 3
/** Features of WGSL that authors may use when the adapter has them. */
const KERNEL_FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups']

/** What this library needs of the machine. `memory`: bytes it will use at most; `authorStorageBuffers`: the author's own storage bindings. */
export interface DeviceWishes {
  readonly memory?: number
  readonly authorStorageBuffers?: number
}

/** The descriptor to give to `adapter.requestDevice`, so that the space gets buffers as large and as many as the adapter has. */
export function svmDeviceDescriptor(adapter: GPUAdapter, wishes: DeviceWishes = {}): GPUDeviceDescriptor {
  const offered = adapter.limits
  const bytesMax = Math.min(BUFFER_BYTES_MAX, Math.max(BUFFER_BYTES_DEFAULT, Math.ceil((wishes.memory ?? BUFFER_BYTES_MAX) / 4) * 4))
  const storageBuffers = POOLS_MAX + RUNTIME_STORAGE_BUFFERS + (wishes.authorStorageBuffers ?? 0)
  return {
    label: 'svm:device',
    requiredFeatures: KERNEL_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: {
      maxBufferSize: Math.min(offered.maxBufferSize, bytesMax),
      maxStorageBufferBindingSize: Math.min(offered.maxStorageBufferBindingSize, bytesMax),
      maxStorageBuffersPerShaderStage: Math.min(offered.maxStorageBuffersPerShaderStage, storageBuffers),
      maxComputeWorkgroupStorageSize: offered.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: offered.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: offered.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupSizeY: offered.maxComputeWorkgroupSizeY,
      maxComputeWorkgroupSizeZ: offered.maxComputeWorkgroupSizeZ,
    },
  }
}

export function deviceLimits(device: GPUDevice): DeviceLimits {
  const { limits } = device
  return {
    bufferBytes: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
    storageBuffers: limits.maxStorageBuffersPerShaderStage,
    workgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    invocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
  }
}
