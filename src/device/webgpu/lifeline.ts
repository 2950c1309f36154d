// The life of a GPUDevice. Always: `lostReason` is set before anybody hears of the loss; a promise under `guard` never outlives the device.

import { DeviceFailure } from '../device.ts'

export class Lifeline {
  /** Settles at the loss, after `lostReason` is set. */
  readonly lost: Promise<void>
  lostReason: string | null = null
  readonly #callbacks: ((reason: string) => void)[] = []
  readonly #pending = new Set<() => void>()

  constructor(device: GPUDevice) {
    this.lost = device.lost.then((info) => this.#lose(info))
  }

  onLost(callback: (reason: string) => void): void {
    if (this.lostReason === null) this.#callbacks.push(callback)
    else callback(this.lostReason)
  }

  failure(): DeviceFailure {
    return new DeviceFailure('lost', `The GPU device was lost (${this.lostReason ?? 'it was released'}); open the space with another device.`)
  }

  /** The promise, unless the device is lost first. Promise.race would keep every promise until the loss. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const lose = () => reject(this.failure())
      this.#pending.add(lose)
      promise.then(
        (value) => {
          this.#pending.delete(lose)
          if (this.lostReason === null) resolve(value)
          else lose()
        },
        (error) => {
          this.#pending.delete(lose)
          reject(error)
        },
      )
      if (this.lostReason !== null) lose()
    })
  }

  #lose(info: GPUDeviceLostInfo): void {
    this.lostReason = info.message === '' ? info.reason : `${info.reason}: ${info.message}`
    for (const lose of this.#pending) lose()
    this.#pending.clear()
    for (const callback of this.#callbacks.splice(0)) callback(this.lostReason)
  }
}
