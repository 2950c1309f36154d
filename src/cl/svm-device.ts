// A device as programs hold it: opaque, with a label. Made by webgpuDevice(), simDevice() or openNodeSvm().

import type { Device } from '../device/device.ts'

/** A device that a space can be opened on. */
export class SvmDevice {
  readonly label: string
  /** Bytes that its creator allows; undefined: no limit of its own. */
  readonly memory: number | undefined
  /** @internal */
  readonly device: Device

  constructor(device: Device) {
    this.device = device
    this.label = device.label
    this.memory = device.memory
  }
}
