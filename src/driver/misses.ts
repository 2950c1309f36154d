// Accesses to pages without an entry, in a 64-bit space: a kernel could only say which leaf (abi/leaf), and here it is found out what is mapped there.
//
// Always: a leaf in which something is mapped is covered from then on, so that its accesses fault, or are refused, like any other; where nothing is mapped
// the access is a bad one. A pass that covered a leaf made progress: nothing of it is an error yet, since a bad access may be an echo of the miss.

import { NEED } from '../abi/fault-record.ts'
import { firstPageOfLeaf, LEAF_PAGES, MISS, MISS_KIND_SHIFT, MISS_OFFSET_MASK, MISS_WANTS, MISS_WORDS } from '../abi/leaf.ts'
import { PTE } from '../abi/pte.ts'
import { forEachBit } from '../base/bitmap.ts'
import type { Vpn } from '../base/units.ts'
import type { Launch } from './launch.ts'
import type { BadAccess, PassReport } from './pass.ts'
import type { Mirror } from './svmm.ts'

export interface Misses {
  /** Leaves that got their entries. */
  covered: number
  readonly bad: readonly BadAccess[]
}

/** Covers what was missed, and calls `visit` for every page that may be served, as `forEachFault` does. */
export function resolveMisses(mirror: Mirror, launch: Launch, report: PassReport, visit: (vpn: Vpn, bits: number, hint: boolean) => void): Misses {
  const bad: BadAccess[] = []
  let covered = 0
  for (let at = 0; at < report.misses.length; at += MISS_WORDS) {
    const record = report.misses.subarray(at, at + MISS_WORDS)
    const key = record[MISS.key] as number
    if (key === 0) continue
    const start = firstPageOfLeaf(key)
    if (mirror.cover(start)) {
      covered++
      visitWants(mirror, launch, record, start, visit)
    } else if (record[MISS.claim] !== 0) {
      const access = record[MISS.access] as number
      const address = start * mirror.space.geometry.pageBytes + (access & MISS_OFFSET_MASK)
      bad.push({ address, kind: access >>> MISS_KIND_SHIFT, slot: record[MISS.slot] as number })
    }
  }
  return { covered, bad }
}

function visitWants(mirror: Mirror, { reach }: Launch, record: Uint32Array, start: Vpn, visit: (vpn: Vpn, bits: number, hint: boolean) => void): void {
  for (let want = 0; want < MISS_WANTS; want++) {
    const need = 1 << (want % (MISS_WANTS / 2))
    const may = need === NEED.read ? PTE.mayLoad : PTE.mayStore
    const offset = MISS.wants + want
    forEachBit(record.subarray(offset, offset + LEAF_PAGES / 32), (page) => {
      const vpn = start + page
      if (reach !== null && !reach.some((range) => vpn >= range.start && vpn < range.end)) return
      if ((mirror.vmm.get(vpn) & may) !== 0) visit(vpn, need, want >= MISS_WANTS / 2)
    })
  }
}
