// The GPU of a Node process for the tests of this folder. Always: only device.ts asks for it, by a name that bundlers do not follow.

import { findGpu } from '../../src/node/adapter.ts'
import type { GpuWishes } from './device.ts'

export async function requestNodeDevice(wishes: GpuWishes): Promise<GPUDevice> {
  const found = await findGpu()
  return found.device(wishes)
}
