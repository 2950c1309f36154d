// An enforced `reach`: a table of this dispatch's own, in which only the pages that it may reach are mapped. Always: with reach 'any' it is
// the device's table itself and costs nothing.

import { isWithin, type VpnRange } from '../base/units.ts'
import type { DeviceBuffer } from '../device/device.ts'
import { type GrantWords, NOT_WITHOUT_GRANT } from './pass-table.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'

export class ReachTable {
  readonly #mirror: Mirror
  readonly #ranges: readonly VpnRange[] | null
  #own: DeviceBuffer | null = null

  constructor(mirror: Mirror, ranges: readonly VpnRange[] | null) {
    this.#mirror = mirror
    this.#ranges = ranges
  }

  /** Entries within reach that lack a right they may have: while it is 0 no fault is possible. */
  get incomplete(): number {
    if (this.#ranges === null) return this.#mirror.incomplete
    const uncovered = this.#ranges.reduce((pages, range) => pages + this.#mirror.uncoveredIn(range), 0)
    return uncovered + this.#masked(this.#mirror.vmm.entries).incomplete
  }

  /** The table for the next pass, up to date. @param grants of a pass that may fault; null: none is possible. @throws DeviceFailure */
  async ready(tables: TableBuffers, grants: (() => GrantWords) | null): Promise<DeviceBuffer> {
    const now = this.readyNow(tables, grants)
    if (now !== null) return now
    // The tables may have grown since the last pass; the runtime bounds an index by the table that it is given.
    if (this.#own?.byteLength !== tables.table.byteLength) {
      this.release()
      this.#own = await this.#mirror.device.createBuffer('table', tables.table.byteLength, 'svm:reach')
    }
    const { table } = this.#masked(tables.entries)
    const own = this.#own as DeviceBuffer
    if (grants !== null) grantWithin(table, tables.entries, grants())
    this.#mirror.device.write(own, 0, new Uint8Array(table.buffer))
    return own
  }

  /** The same without an await, where nothing is narrowed. */
  readyNow(tables: TableBuffers, grants: (() => GrantWords) | null): DeviceBuffer | null {
    if (this.#ranges !== null) return null
    if (grants === null) return tables.table
    tables.pass.send(grants())
    return tables.pass.buffer
  }

  release(): void {
    this.#own?.destroy()
    this.#own = null
  }

  #masked(entries: number): { table: Uint32Array; incomplete: number } {
    return this.#mirror.vmm.masked(entries, (vpn) => isWithin(this.#ranges, vpn))
  }
}

/** What is mapped in the table is for loads only, but where there is a grant. */
function grantWithin(table: Uint32Array, entries: number, grants: GrantWords): void {
  for (let index = 0; index < entries; index++) {
    if (table[index] !== 0) table[index] = grants.get(index) ?? (table[index] as number) & NOT_WITHOUT_GRANT
  }
}
