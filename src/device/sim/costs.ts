// The clock of a simulated device. Always: time moves only with work that the device did, by a model; so statistics repeat exactly.

export interface Costs {
  /** Bytes per millisecond. */
  hostToDevice?: number
  /** Bytes per millisecond. */
  deviceToHost?: number
  /** Bytes per millisecond: copies and clears. */
  deviceToDevice?: number
  /** Milliseconds that a submission takes by itself. */
  submit?: number
  /** Nanoseconds of one access of a kernel. */
  access?: number
}

/** A middling discrete GPU: 12 GB/s over the bus, 200 GB/s inside. */
export const COSTS_DEFAULT: Required<Costs> = { hostToDevice: 12e6, deviceToHost: 12e6, deviceToDevice: 200e6, submit: 0.02, access: 1 }

const NANOSECONDS_PER_MS = 1e6

export class ModelClock {
  readonly #costs: Required<Costs>
  #now = 0

  constructor(costs: Costs) {
    this.#costs = { ...COSTS_DEFAULT, ...costs }
  }

  /** Milliseconds since the device was made. */
  now(): number {
    return this.#now
  }

  toDevice(byteLength: number): void {
    this.#now += byteLength / this.#costs.hostToDevice
  }

  toHost(byteLength: number): void {
    this.#now += byteLength / this.#costs.deviceToHost
  }

  inDevice(byteLength: number): void {
    this.#now += byteLength / this.#costs.deviceToDevice
  }

  submitted(): void {
    this.#now += this.#costs.submit
  }

  accessed(accesses: number): void {
    this.#now += (accesses * this.#costs.access) / NANOSECONDS_PER_MS
  }
}
