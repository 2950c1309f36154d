// What goes wrong on a simulated device, on purpose. Always: calls are counted from 1; a probability draws from the seed at every call, a
// predicate and a number draw nothing, so adding one does not move the others.

import type { Random } from '../../base/world.ts'
import type { BufferRole, PassMischief } from '../device.ts'

export interface Mischief {
  /** createBuffer fails for want of memory: with this probability, or where this says so of the n-th call. */
  failBuffer?: number | ((nth: number, role: BufferRole, byteLength: number) => boolean)
  /** A submission loses the device: with this probability, or where this says so of the n-th submission. */
  failSubmit?: number | ((nth: number) => boolean)
  /** The device is lost at this submission, before any of its work. */
  lossAt?: number
  /**
   * The bytes of a submission with read-backs do not arrive, for want of memory: with this probability, or where this says so of the n-th.
   * Its work was done: so it is on a real device, whose staging buffer turns out to be missing when the work is already on its way.
   */
  failReadback?: number | ((nth: number) => boolean)
  /** createProgram fails for want of memory: with this probability, or where this says so of the n-th call. */
  failProgram?: number | ((nth: number) => boolean)
  /** What is done to the rounds of dispatches. */
  passes?: PassMischief
  /** Most turns that anything takes to settle; 0 settles at once. */
  latency?: number
}

export class MischiefMaker {
  readonly #mischief: Mischief
  readonly #random: Random
  #buffers = 0
  #submits = 0
  #readbacks = 0
  #programs = 0

  constructor(mischief: Mischief, random: Random) {
    this.#mischief = mischief
    this.#random = random
  }

  /** To be asked once a createBuffer call: does it fail? */
  buffer(role: BufferRole, byteLength: number): boolean {
    this.#buffers++
    const fail = this.#mischief.failBuffer
    return typeof fail === 'function' ? fail(this.#buffers, role, byteLength) : this.#happens(fail)
  }

  /** To be asked once a submission: does it lose the device? */
  submit(): boolean {
    this.#submits++
    return this.#decides(this.#mischief.failSubmit, this.#submits) || this.#mischief.lossAt === this.#submits
  }

  /** To be asked once a submission with read-backs: are its bytes lost on the way? */
  readback(): boolean {
    return this.#decides(this.#mischief.failReadback, ++this.#readbacks)
  }

  /** To be asked once a createProgram call: does it fail? */
  program(): boolean {
    return this.#decides(this.#mischief.failProgram, ++this.#programs)
  }

  #decides(wish: number | ((nth: number) => boolean) | undefined, nth: number): boolean {
    return typeof wish === 'function' ? wish(nth) : this.#happens(wish)
  }

  #happens(probability: number | undefined): boolean {
    return probability !== undefined && this.#random.u32() < probability * 0x1_0000_0000
  }
}
