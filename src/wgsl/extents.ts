// What a reading of a kernel finds: parts of the space that work-items access.
//
// Always: an extent is half-open, in bytes, and holds every byte that its accesses may touch; they are aligned as they must be.

import { isAny } from './ranges.ts'
import type { Value } from './values.ts'

export type AccessKind = 'load' | 'store' | 'atomic'

export interface Extent {
  readonly kind: AccessKind
  readonly start: number
  readonly end: number
  /** Every work-item makes an access of it. */
  readonly certain: boolean
  /** An access of it may cross the end of a page. */
  readonly crosses: boolean
}

/** An access has no bounds that are known. */
export class Unbounded extends Error {}

/** An access of `bytes` bytes at these addresses, which must be multiples of `aligned`. @throws Unbounded */
export function extentOf(kind: AccessKind, at: Value, bytes: number, aligned: number, certain: boolean, bytesOfSpace: number): Extent {
  if (at.kind !== 'range' || at.type !== 'ptr' || isAny(at)) throw new Unbounded()
  if (at.low % aligned !== 0 || at.step % aligned !== 0 || at.high + bytes > bytesOfSpace) throw new Unbounded()
  // What begins at multiples of its own size, a power of two no larger than a page, crosses nothing.
  const crosses = bytes > 4 && (!Number.isInteger(Math.log2(bytes)) || at.low % bytes !== 0 || at.step % bytes !== 0)
  return { kind, start: at.low, end: at.high + bytes, certain, crosses }
}

/** Those of one kind that touch are one; in the order of kinds, and of addresses. */
export function merged(extents: readonly Extent[]): Extent[] {
  const rank = ({ kind, certain, crosses }: Extent) => `${kind}${certain}${crosses}`
  const sorted = [...extents].sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : a.start - b.start))
  const found: (Extent & { end: number })[] = []
  for (const extent of sorted) {
    const last = found[found.length - 1]
    if (last !== undefined && rank(last) === rank(extent) && extent.start <= last.end) last.end = Math.max(last.end, extent.end)
    else found.push({ ...extent })
  }
  return found
}
