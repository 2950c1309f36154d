// 'webgpu-svm/sim': the simulated device for programs and tests. It stores real bytes and runs kernel twins under the same protocol.

import { SvmDevice } from './cl/svm-device.ts'
import { createSimDevice, type SimOptions } from './device/sim/sim-device.ts'

export type { Costs } from './device/sim/costs.ts'
export type { Mischief } from './device/sim/mischief.ts'
export type { SimOptions } from './device/sim/sim-device.ts'
export type { KernelMemory, KernelTwin, WorkItem } from './device/twin.ts'

/** A device made of host memory. The same seed gives the same latencies and the same order of workgroups. */
export function simDevice(options: SimOptions = {}): SvmDevice {
  return new SvmDevice(createSimDevice(options))
}
