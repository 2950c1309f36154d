// 'webgpu-svm/node': finds a GPU in Node (or the packaged software GPU) and opens a space on it. Always: no environment variable is needed, and
// the device that was made here is destroyed when the space closes.

import { SvmError } from './base/error.ts'
import { type FoundGpu, findGpu } from './node/adapter.ts'
import { openSvm, webgpuDevice } from './open.ts'
import type { Svm, SvmOptions } from './types.ts'

export { SvmError } from './base/error.ts'
export { svmDeviceDescriptor } from './device/webgpu/limits.ts'
export { type FoundGpu, findGpu } from './node/adapter.ts'
export { filePager } from './node/file-pager.ts'
export { openSvm, webgpuDevice } from './open.ts'
export type * from './types.ts'

export interface NodeSvmOptions extends Omit<SvmOptions, 'device' | 'devices'> {
  /** Which adapter to take: a hardware one where there is one (default), only such a one, or the packaged software GPU. */
  gpu?: 'any' | 'hardware' | 'software'
}

/** Opens a space on the GPU of this machine. @throws SvmError unsupported (no GPU, with what to do), and those of openSvm */
export async function openNodeSvm(options: NodeSvmOptions = {}): Promise<Svm> {
  if (options.signal?.aborted === true) throw new SvmError('aborted', 'openNodeSvm was aborted by its signal.', { cause: options.signal.reason })
  const found: FoundGpu = await findGpu({ kind: options.gpu ?? 'any' })
  const device = await found.device({ authorStorageBuffers: options.authorStorageBuffers ?? 0 })
  try {
    const svm = await openSvm({ ...options, device: webgpuDevice(device, { label: found.description }) })
    const close = svm.close.bind(svm)
    svm.close = (how) => close(how).finally(() => device.destroy())
    return svm
  } catch (error) {
    device.destroy()
    throw error
  }
}
