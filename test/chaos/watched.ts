// A device with somebody looking on. Always: what is not overridden is the device's own.

import type { Device } from '../../src/device/device.ts'

/** The same device, in which these members are others. */
export function watched<T extends Device>(device: T, overrides: Partial<Device>): T {
  return new Proxy(device, {
    get(target, name) {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name)
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
