// A GPUDevice that counts what it is really asked for: submissions, and maps. Always: it is the device itself, and what it was when `end` is called.

export interface Counts {
  submits: number
  maps: number
}

/** Counts from now on. */
export function counted(device: GPUDevice): { counts: Counts; end: () => void } {
  const counts = { submits: 0, maps: 0 }
  const { queue } = device
  const submit = queue.submit
  const createBuffer = device.createBuffer
  queue.submit = function (this: GPUQueue, commands) {
    counts.submits++
    return submit.call(queue, commands)
  }
  device.createBuffer = function (this: GPUDevice, descriptor) {
    const buffer = createBuffer.call(device, descriptor)
    const { mapAsync } = buffer
    buffer.mapAsync = (...given: Parameters<GPUBuffer['mapAsync']>) => {
      counts.maps++
      return mapAsync.apply(buffer, given)
    }
    return buffer
  }
  return {
    counts,
    end: () => {
      queue.submit = submit
      device.createBuffer = createBuffer
    },
  }
}
