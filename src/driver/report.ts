// Where the report of a pass is read to. Always: one array serves every pass, so a report is valid until the next one; its views are made once
// for as long as passes have the same number of slots.

import { type FaultLayout, faultLayout, PAGE_BITMAPS, WORKGROUP_BITMAPS } from '../abi/fault-record.ts'

/** The parts of a report. */
export interface ReportViews {
  readonly slots: number
  readonly layout: FaultLayout
  /** Everything, as words and as bytes. */
  readonly words: Uint32Array
  readonly bytes: Uint8Array
  /** Bitmaps by slot, in the order of WORKGROUP_BITMAP. */
  readonly workgroups: readonly Uint32Array[]
  /** Bitmaps by table index, in the order of PAGE_BITMAP. */
  readonly pages: readonly Uint32Array[]
  /** Records of leaves without entries. */
  readonly misses: Uint32Array
}

export class ReportBuffer {
  readonly #entries: number
  readonly #addressBits: 32 | 64
  readonly #words: Uint32Array
  #views: ReportViews | null = null

  /** @param slots most workgroups of a pass @param entries of the page table */
  constructor(slots: number, entries: number, addressBits: 32 | 64) {
    this.#entries = entries
    this.#addressBits = addressBits
    this.#words = new Uint32Array(faultLayout(slots, entries, addressBits).wanted)
  }

  views(slots: number): ReportViews {
    if (this.#views?.slots !== slots) this.#views = this.#cut(slots)
    return this.#views
  }

  #cut(slots: number): ReportViews {
    const layout = faultLayout(slots, this.#entries, this.#addressBits)
    const words = this.#words.subarray(0, layout.wanted)
    const bitmaps = (from: number, length: number, count: number) =>
      Array.from({ length: count }, (_, n) => words.subarray(from + n * length, from + (n + 1) * length))
    return {
      slots,
      layout,
      words,
      bytes: new Uint8Array(words.buffer, words.byteOffset, words.byteLength),
      workgroups: bitmaps(layout.workgroupBitmaps, layout.workgroupWords, WORKGROUP_BITMAPS),
      pages: bitmaps(layout.pageBitmaps, layout.pageWords, PAGE_BITMAPS),
      misses: words.subarray(layout.misses, layout.wanted),
    }
  }
}
