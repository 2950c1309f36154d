// Frames of host bytes with a fixed place. Always: a segment is at most 1 GiB (no engine has views over everything) and starts on a page;
// an allocation of up to that size lies in one segment, so one view covers it.

import { SvmError } from '../base/error.ts'
import { type Bytes, GIB, printBytes, type Vpn } from '../base/units.ts'

export const SEGMENT_BYTES = GIB

/** The host bytes of an anonymous mapping. They are zero until somebody writes them. */
export class AnonymousMemory {
  readonly #segments: Uint8Array[] = []
  readonly #startVpn: Vpn
  readonly #pageBytes: Bytes

  /** @throws SvmError host-memory */
  constructor(startVpn: Vpn, pages: number, pageBytes: Bytes, label: string) {
    this.#startVpn = startVpn
    this.#pageBytes = pageBytes
    try {
      for (let left = pages * pageBytes; left > 0; left -= SEGMENT_BYTES) {
        this.#segments.push(new Uint8Array(Math.min(left, SEGMENT_BYTES)))
      }
    } catch (cause) {
      const wanted = printBytes(pages * pageBytes)
      throw new SvmError('host-memory', `No ${wanted} of host memory for ${label}: the engine refused an ArrayBuffer. Free something, or allocate less.`, {
        cause,
      })
    }
  }

  /** The longest view that starts at `vpn` and covers at most `pages` pages without crossing a segment. */
  run(vpn: Vpn, pages: number): Uint8Array {
    const offset = (vpn - this.#startVpn) * this.#pageBytes
    const segment = this.#segments[Math.floor(offset / SEGMENT_BYTES)] as Uint8Array
    const at = offset % SEGMENT_BYTES
    return segment.subarray(at, Math.min(segment.length, at + pages * this.#pageBytes))
  }
}
