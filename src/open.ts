// The only wiring: options and devices become a space. Always: what cannot be opened leaves nothing behind.

import { makeGeometry } from './abi/geometry.ts'
import { POOLS_MAX } from './abi/pte.ts'
import { SvmError } from './base/error.ts'
import { MIB, PAGE_BYTES_DEFAULT } from './base/units.ts'
import { Context } from './cl/context.ts'
import { SvmDevice } from './cl/svm-device.ts'
import type { Device } from './device/device.ts'
import { WebgpuDevice } from './device/webgpu/webgpu-device.ts'
import { DriverKernel } from './driver/launch.ts'
import { LocalPort } from './drm/local-port.ts'
import { checkCount, checkPageBytes, DRM_VERSION } from './drm/request.ts'
import { MEMORIES_MAX } from './mm/page-table.ts'
import { Space } from './mm/space.ts'
import { checkPolicy } from './policy/check.ts'
import { Tracer } from './trace/tracer.ts'
import type { Svm, SvmOptions } from './types.ts'

export { svmDeviceDescriptor } from './device/webgpu/limits.ts'
export { lru } from './policy/lru.ts'

/** What has an open space on it, a GPUDevice under whatever wraps it: a device serves one space at a time. */
const inUse = new WeakSet<object>()
const wrapped = new WeakMap<GPUDevice, SvmDevice>()

/**
 * Wraps a GPUDevice that the caller owns.
 * @param options.memory bytes that this library may hold on it, at most
 */
export function webgpuDevice(device: GPUDevice, options: { label?: string; memory?: number } = {}): SvmDevice {
  if (typeof device?.createBuffer !== 'function') throw new SvmError('invalid-value', 'webgpuDevice: pass a GPUDevice (from adapter.requestDevice()).')
  if (options.memory !== undefined) checkCount('webgpuDevice: memory', options.memory, 1)
  return new SvmDevice(new WebgpuDevice(device, options))
}

/** Opens an address space. @throws SvmError invalid-value (what is wrong with which option), aborted */
export async function openSvm(options: SvmOptions): Promise<Svm> {
  if (typeof options !== 'object' || options === null) throw new SvmError('invalid-value', 'openSvm needs options: at least { device }.')
  if (options.signal?.aborted === true) throw new SvmError('aborted', 'openSvm was aborted by its signal.', { cause: options.signal.reason })
  const { addressBits = 32, pageSize = PAGE_BYTES_DEFAULT, hostCache = 64 * MIB, authorStorageBuffers = 0 } = options
  checkPageBytes(pageSize)
  if (addressBits !== 32 && (addressBits as number) !== 64) throw new SvmError('invalid-value', `addressBits must be 32 or 64, but is ${String(addressBits)}.`)
  checkCount('hostCache', hostCache, 1)
  checkCount('authorStorageBuffers', authorStorageBuffers)
  if (options.deviceMemory !== undefined) checkCount('deviceMemory', options.deviceMemory, 1)
  if (options.debug !== undefined && typeof options.debug !== 'boolean')
    throw new SvmError('invalid-value', `debug must be true or false, but is ${String(options.debug)}.`)
  const policy = checkPolicy(options.policy, POOLS_MAX)
  const devices = pickDevices(options)
  if (devices.length > MEMORIES_MAX) {
    throw new SvmError('invalid-value', `openSvm: ${devices.length} devices were given, and a space has at most ${MEMORIES_MAX}. Give fewer.`)
  }
  const clock = { now: () => performance.now() }
  const space = new Space(makeGeometry(addressBits, pageSize), { hostCacheBytes: hostCache, tracer: new Tracer(options.trace, clock) })
  const raw = devices.map(({ device }) => device)
  const debug = options.debug === true
  const port = new LocalPort(space, raw, {
    deviceMemory: options.deviceMemory,
    authorStorageBuffers,
    ...policy,
    direct: policy.direct && !debug,
    debug,
  })
  for (const device of raw) inUse.add(below(device))
  port.ioctl('SVM_INIT', { version: DRM_VERSION, pageBytes: pageSize, addressBits })
  const context = new Context({
    port,
    geometry: space.geometry,
    devices,
    clock,
    debug,
    buildKernel: (translated, source) =>
      Promise.all(
        port.mirrors.map(async (mirror) => {
          if (port.isReleased(mirror.memory)) return -1
          const kernel = new DriverKernel(mirror.device, translated, source, mirror.watch !== null)
          await kernel
            .program({ variant: 'attempt', pools: mirror.dmem.poolsInUse, guard: false, geometry: 'any', chained: false, marks: false, proof: 'none' })
            .catch((failure) => {
              throw port.explain(failure)
            })
          return port.register('kernel', kernel)
        }),
      ),
  })
  const close = context.close.bind(context)
  context.close = (how) =>
    close(how).finally(() => {
      for (const device of raw) inUse.delete(below(device))
    })
  const release = context.releaseDevice.bind(context)
  context.releaseDevice = (device) => release(device).then(() => void inUse.delete(below(device.device)))
  return context
}

function below(device: Device): object {
  return device instanceof WebgpuDevice ? device.gpuDevice : device
}

function pickDevices(options: SvmOptions): SvmDevice[] {
  const given = options.devices ?? (options.device === undefined ? [] : [options.device])
  if (given.length === 0)
    throw new SvmError(
      'invalid-value',
      'openSvm needs a device: pass { device } with a GPUDevice, webgpuDevice(...), or simDevice(); in Node, openNodeSvm() finds one.',
    )
  const devices = given.map((device) => {
    if (device instanceof SvmDevice) return device
    const known = wrapped.get(device) ?? webgpuDevice(device)
    if (typeof device === 'object') wrapped.set(device, known)
    return known
  })
  for (const { device, label } of devices) {
    if (inUse.has(below(device))) throw new SvmError('invalid-value', `${label} has a space open already. Close it first, or use another device.`)
  }
  if (new Set(devices).size < devices.length) throw new SvmError('invalid-value', 'openSvm: the same device is named twice.')
  return devices
}
