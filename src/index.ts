// The public words of webgpu-svm: re-exports only.

export { SvmError } from './base/error.ts'
export { SvmDevice } from './cl/svm-device.ts'
export { svmDeviceDescriptor } from './device/webgpu/limits.ts'
export { openSvm, webgpuDevice } from './open.ts'
export { lru } from './policy/lru.ts'
export type * from './types.ts'
