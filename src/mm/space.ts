// One address space: the tables of this room, side by side, and the contract of whoever owns pages elsewhere. Always: `owners[m]` is who
// owns memory m; a memory that went away leaves a hole and its number is not used again.

import type { Geometry } from '../abi/geometry.ts'
import { assert } from '../base/assert.ts'
import { type Bytes, MIB, type Vpn } from '../base/units.ts'
import type { Tracer } from '../trace/tracer.ts'
import { AddressSpace } from './address-space.ts'
import { HostMappings } from './host-mapping.ts'
import { type NotifierOps, Notifiers } from './notifier.ts'
import { MEMORIES_MAX, PageTable } from './page-table.ts'
import { HostCache } from './paged-file.ts'
import type { Vma } from './vma.ts'
import { WaitQueue } from './wait-queue.ts'

/** Who owns a memory that the host cannot address. Compare dev_pagemap_ops. News goes up through it; mm knows no more of it. */
export interface PageOwner extends NotifierOps {
  readonly memory: number
  /** For messages. */
  readonly label: string
  /**
   * The host wants these pages (ascending, all device-private here). With `keepCopy` the owner may keep its frames as read-only copies; with
   * `discard` the bytes need not come along. On return they are the host's. Compare dev_pagemap_ops.migrate_to_ram.
   */
  migrateToRam(pages: readonly Vpn[], options: { keepCopy: boolean; discard: boolean }): Promise<void>
  /** Nobody names this frame any more. Compare dev_pagemap_ops.page_free. */
  pageFree(frame: number): void
}

export class Space {
  readonly geometry: Geometry
  readonly addresses: AddressSpace
  readonly pages: PageTable
  readonly notifiers = new Notifiers()
  readonly hostMappings = new HostMappings()
  readonly cache: HostCache
  readonly owners: (PageOwner | null)[] = []
  readonly tracer: Tracer
  /** Woken whenever pages that migrated are settled again. */
  readonly settled = new WaitQueue()

  constructor(geometry: Geometry, options: { hostCacheBytes: Bytes; tracer: Tracer }) {
    this.geometry = geometry
    this.addresses = new AddressSpace(geometry)
    this.pages = new PageTable(Math.max((2 * MIB) / geometry.pageBytes, 16))
    this.cache = new HostCache(options.hostCacheBytes, geometry.pageBytes, (vpn) => this.pages.forgetCached(vpn))
    this.tracer = options.tracer
  }

  /** Returns the number of the memory that `owner` owns from now on. Compare pgmap->owner. */
  addOwner(owner: PageOwner): number {
    assert(this.owners.length < MEMORIES_MAX, `a space has at most ${MEMORIES_MAX} memories`)
    return this.owners.push(owner) - 1
  }

  /** The longest view of host bytes that starts at `vpn` and covers at most `pages` pages; null when a pager's page is not cached. */
  hostRun(vma: Vma, vpn: Vpn, pages: number): Uint8Array | null {
    return vma.backing.kind === 'anonymous' ? vma.backing.memory.run(vpn, pages) : this.cache.run(vpn, pages)
  }

  /** True when the host can give the page's bytes at once (whether they are current is the page table's business). */
  hasHostBytes(vma: Vma, vpn: Vpn): boolean {
    return vma.backing.kind === 'anonymous' || this.cache.has(vpn)
  }

  /** Invariants of a range of pages; for tests and `checking` builds. */
  assertPages(start: Vpn, end: Vpn): void {
    for (let vpn = start; vpn < end; vpn++) this.pages.assertPage(vpn)
    this.pages.assertCounts()
  }
}
