// The public words of webgpu-svm: re-exports only.

export { SvmError } from './base/error.ts'
export { SvmDevice } from './cl/svm-device.ts'
export { lru, openSvm, svmDeviceDescriptor, webgpuDevice } from './open.ts'
export type * from './types.ts'
