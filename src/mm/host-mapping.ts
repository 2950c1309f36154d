// Live mappings of the host. Always: a page under a writing mapping is under no other; a page under reading mappings may be under many.
// The unit is the page: what the host holds, a kernel may at most read.

import type { Address, Bytes, Vpn, VpnRange } from '../base/units.ts'

export type HostMapMode = 'read' | 'write' | 'read-write' | 'write-discard'

export interface LiveMapping {
  readonly pointer: Address
  readonly byteLength: Bytes
  readonly pages: VpnRange
  readonly mode: HostMapMode
}

export class HostMappings {
  readonly #live = new Set<LiveMapping>()

  get count(): number {
    return this.#live.size
  }

  add(mapping: LiveMapping): void {
    this.#live.add(mapping)
  }

  remove(mapping: LiveMapping): void {
    this.#live.delete(mapping)
  }

  /** What the host does with a page. */
  holdOn(vpn: Vpn): 'none' | 'read' | 'write' {
    let hold: 'none' | 'read' = 'none'
    for (const { pages, mode } of this.#live) {
      if (vpn < pages.start || vpn >= pages.end) continue
      if (mode !== 'read') return 'write'
      hold = 'read'
    }
    return hold
  }

  /** A live mapping that overlaps `range` and would be disturbed by a `read` or a `write` of it. */
  conflict(range: VpnRange, by: 'read' | 'write'): LiveMapping | undefined {
    for (const mapping of this.#live) {
      const overlaps = mapping.pages.start < range.end && mapping.pages.end > range.start
      if (overlaps && (by === 'write' || mapping.mode !== 'read')) return mapping
    }
    return undefined
  }
}
