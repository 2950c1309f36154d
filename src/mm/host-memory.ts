// Frames of host bytes with a fixed place. Always: a segment is at most 1 GiB (no engine has views over everything) and starts on a page;
// an allocation of up to that size lies in one segment, so one view covers it; a segment is made when it is touched first, so that a mapping
// of any size costs nothing before.

import { SvmError } from '../base/error.ts'
import { type Bytes, GIB, printBytes, type Vpn } from '../base/units.ts'

export const SEGMENT_BYTES = GIB

/** The host bytes of an anonymous mapping. They are zero until somebody writes them. */
export class AnonymousMemory {
  /** By number; sparse. */
  readonly #segments = new Map<number, Uint8Array>()
  readonly #startVpn: Vpn
  readonly #byteLength: Bytes
  readonly #pageBytes: Bytes
  readonly #label: string

  constructor(startVpn: Vpn, pages: number, pageBytes: Bytes, label: string) {
    this.#startVpn = startVpn
    this.#byteLength = pages * pageBytes
    this.#pageBytes = pageBytes
    this.#label = label
  }

  /** Segments that were touched. */
  get segments(): number {
    return this.#segments.size
  }

  /** The longest view that starts at `vpn` and covers at most `pages` pages without crossing a segment. @throws SvmError host-memory */
  run(vpn: Vpn, pages: number): Uint8Array {
    const offset = (vpn - this.#startVpn) * this.#pageBytes
    const number = Math.floor(offset / SEGMENT_BYTES)
    const segment = this.#segments.get(number) ?? this.#make(number)
    const at = offset % SEGMENT_BYTES
    return segment.subarray(at, Math.min(segment.length, at + pages * this.#pageBytes))
  }

  /** True when one view covers the pages. */
  isOneSegment(start: Vpn, end: Vpn): boolean {
    const segmentOf = (vpn: Vpn) => Math.floor(((vpn - this.#startVpn) * this.#pageBytes) / SEGMENT_BYTES)
    return segmentOf(start) === segmentOf(end - 1)
  }

  #make(number: number): Uint8Array {
    const byteLength = Math.min(SEGMENT_BYTES, this.#byteLength - number * SEGMENT_BYTES)
    try {
      const segment = new Uint8Array(byteLength)
      this.#segments.set(number, segment)
      return segment
    } catch (cause) {
      throw new SvmError(
        'host-memory',
        `No ${printBytes(byteLength)} of host memory for ${this.#label}: the engine refused an ArrayBuffer. Free something, or touch less.`,
        { cause },
      )
    }
  }
}
