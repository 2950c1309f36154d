// The shadow of a simulated pass: the exact twin of wgsl/watch.ts, but that twins have no lines. Always: what is noted lies in the fault buffer, where
// the driver reads it, and lasts for the dispatch.

import { packAccessor, SHADOW, SHADOW_ENTRY, SHADOW_ENTRY_WORDS, SHADOW_HEADER_WORDS, SHADOW_MISSED_MAX, SHADOW_PROBES, shadowHash } from '../../abi/shadow.ts'
import type { Address } from '../../base/units.ts'

const NO_LINE = 0

export class SimShadow {
  readonly #faults: Uint32Array
  readonly #workgroups: number
  readonly #header: number
  readonly #mask: number

  /** @param workgroups of the launch */
  constructor(faults: Uint32Array, workgroups: number) {
    this.#faults = faults
    this.#workgroups = workgroups
    this.#header = faults.length - SHADOW_HEADER_WORDS
    this.#mask = faults[this.#header + SHADOW.mask]
  }

  /** @param accessors one of the groups of SHADOW_ENTRY */
  note(address: Address, accessors: number, value: number, workgroup: number): void {
    const low = address % 2 ** 32
    const high = Math.floor(address / 2 ** 32)
    const start = this.#header - (this.#mask + 1) * SHADOW_ENTRY_WORDS
    for (let n = 0, home = shadowHash(low, high); n < SHADOW_PROBES; n++) {
      const at = start + ((home + n) & this.#mask) * SHADOW_ENTRY_WORDS
      if (!this.#claim(at + SHADOW_ENTRY.key, low + 1) || !this.#claim(at + SHADOW_ENTRY.keyHigh, high + 1)) continue
      if (accessors === SHADOW_ENTRY.stores) this.#raise(at + SHADOW_ENTRY.value, value >>> 0)
      this.#raise(at + accessors, packAccessor(workgroup, NO_LINE, this.#workgroups))
      return
    }
    if (this.#faults[this.#header + SHADOW.missed] < SHADOW_MISSED_MAX) this.#faults[this.#header + SHADOW.missed]++
  }

  get watchesSpins(): boolean {
    return this.#faults[this.#header + SHADOW.watchSpins] !== 0
  }

  noteSpin(address: Address, workgroup: number): void {
    const at = this.#header
    if (this.#faults[at + SHADOW.claim] !== 0) return
    this.#faults[at + SHADOW.claim] = 1
    this.#faults[at + SHADOW.address] = address
    this.#faults[at + SHADOW.addressHigh] = Math.floor(address / 2 ** 32)
    this.#faults[at + SHADOW.workgroup] = workgroup
    this.#faults[at + SHADOW.line] = NO_LINE
  }

  #claim(at: number, key: number): boolean {
    if (this.#faults[at] === 0) this.#faults[at] = key
    return this.#faults[at] === key
  }

  /** The largest, and behind it the complement of the smallest. */
  #raise(at: number, value: number): void {
    this.#faults[at] = Math.max(this.#faults[at], value)
    this.#faults[at + 1] = Math.max(this.#faults[at + 1], ~value >>> 0)
  }
}
