// The read-back ring of a simulated device: only its sizes are real. Always: it holds whole slots, grows to what was in flight at once,
// never beyond `ringBytes`, and never shrinks before `release`. More in flight than the ring holds would wait on a GPU; here it just runs.

import { roundUp } from '../../base/units.ts'

export class ReadbackRing {
  /** Bytes of the slots made so far. */
  byteLength = 0
  #ringBytes = 0
  #slotBytes = 1
  #inFlight = 0

  configure(ringBytes: number, slotBytes: number): void {
    this.#ringBytes = ringBytes
    this.#slotBytes = Math.max(1, Math.min(slotBytes, ringBytes))
  }

  /** Takes room for the read-backs of one submission; the ring may grow by `room` bytes. Returns the slots used: one map each. */
  take(byteLength: number, room: number): number {
    this.#inFlight += byteLength
    const wanted = Math.min(this.#ringBytes, roundUp(this.#inFlight, this.#slotBytes))
    if (wanted > this.byteLength) this.byteLength += Math.max(0, Math.min(wanted - this.byteLength, room))
    return Math.ceil(byteLength / this.#slotBytes)
  }

  give(byteLength: number): void {
    this.#inFlight -= byteLength
  }

  release(): void {
    this.byteLength = 0
  }
}
