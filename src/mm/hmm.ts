// What a mirror needs to know of a range before it maps it: a snapshot, or after making present what it requires. Compare mm/hmm.c.
//
// Always: a page that is the asker's own device memory stays where it is; a page of somebody else's that is required comes home first; a page
// that migrates is waited for; what was found holds only in the moment of the last look, so the table is written in it (`commit`), or the ticket
// is shown before it is.

import { assert, unreachable } from '../base/assert.ts'
import type { Vpn } from '../base/units.ts'
import { bringHome, groupByMemory } from './fault.ts'
import type { Subscription, Ticket } from './notifier.ts'
import { PAGE } from './page-table.ts'
import { populate, populateWindow } from './populate.ts'
import type { PageOwner, Space } from './space.ts'
import { deviceMayRead, deviceMayWrite, hostMayWrite, type Vma } from './vma.ts'

/** Bits of one page of `pfns`. Those of the first row are answers, the second are questions. Compare HMM_PFN_VALID, _WRITE, _ERROR, _REQ_*. */
export const HMM_PFN = {
  /** The page can be read where it is. */
  valid: 1,
  /** It may also be written. */
  write: 2,
  /** Nothing is mapped here, or no access is allowed. */
  error: 4,
  /** Its bytes are all zero and nobody need copy them. */
  zero: 8,
  /** It is the asker's own device memory. */
  own: 16,

  /** The page must be present. */
  requireFault: 64,
  /** The page must be present and writable. */
  requireWrite: 128,
} as const

const REQUIRED = HMM_PFN.requireFault | HMM_PFN.requireWrite
/** A mirror that never finds its range settled is told so: somebody else keeps taking it. */
const ROUNDS_MAX = 64

export interface HmmRange {
  readonly space: Space
  readonly start: Vpn
  /** Of pagers' pages at most `faultWindow`. */
  readonly end: Vpn
  readonly owner: PageOwner
  readonly subscription: Subscription
  /** What is required of every page; 0: a snapshot. Compare hmm_range.default_flags. */
  readonly defaultFlags: number
  /** The owners of pages that come home may keep read-only copies: the asker only reads. */
  readonly keepCopies: boolean
  /** Questions of single pages, and the answers. Compare hmm_range.hmm_pfns, whose questions do not survive a retry; these do. */
  readonly pfns: Uint8Array
}

/** `busy`: the range did not settle. `fault`: something required is not mapped or not readable. `permission`: not writable. */
export type HmmVerdict = 'ok' | 'busy' | 'fault' | 'permission'

/** Pages that one range fault may cover: all of them can be at hand together. */
export function faultWindow(space: Space, vma: Vma): number {
  return populateWindow(space, vma)
}

/** The answers as things are now; what is required and missing is left to `rangeFault`. Never waits. True when nothing is missing. */
export function rangeSnapshot(range: HmmRange): boolean {
  return walk(range).length === 0
}

/**
 * Makes present what is required, and answers. With the verdict `ok`, `commit` has run in the very moment of the last look, so what it writes to
 * the mirror's table is true; if the mirror must sleep before it writes, it keeps the ticket and shows it then. @throws SvmError pager-failed,
 * device-lost (of an owner that must give a page back). Compare hmm_range_fault(), with the loop that its every user must write around it.
 */
export async function rangeFault(range: HmmRange, commit?: (ticket: Ticket) => void): Promise<HmmVerdict> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const missing = walk(range)
    const refusal = refusalOf(range)
    if (refusal !== null) return refusal
    if (missing.length === 0) {
      commit?.(range.space.notifiers.readBegin(range.subscription))
      return 'ok'
    }
    await resolve(range, missing)
  }
  return 'busy'
}

/** Fills in the answers of every page; returns the pages that are required and not there yet. Compare hmm_vma_walk_pmd(). */
function walk(range: HmmRange): Vpn[] {
  const { space, start, end, pfns, defaultFlags } = range
  const missing: Vpn[] = []
  let next = start
  for (const piece of space.addresses.pieces({ start, end })) {
    for (; next < piece.start; next++) answer(range, next, HMM_PFN.error)
    for (; next < piece.end; next++) {
      const asked = (pfns[next - start] as number) & REQUIRED
      const required = asked | defaultFlags
      const found = look(range, piece.vma, next)
      answer(range, next, found)
      if (required === 0 || (found & HMM_PFN.error) !== 0) continue
      if ((found & HMM_PFN.valid) === 0) missing.push(next)
    }
  }
  for (; next < end; next++) answer(range, next, HMM_PFN.error)
  return missing
}

function answer({ pfns, start }: HmmRange, vpn: Vpn, found: number): void {
  pfns[vpn - start] = ((pfns[vpn - start] as number) & REQUIRED) | found
}

function look({ space, owner }: HmmRange, vma: Vma, vpn: Vpn): number {
  // Compare hmm_vma_walk_test(): what nobody may read is never faulted in.
  if (!deviceMayRead(vma)) return HMM_PFN.error
  const state = space.pages.state(vpn)
  const writable = hostMayWrite(vma) || deviceMayWrite(vma) ? HMM_PFN.write : 0
  switch (state) {
    case PAGE.none:
    case PAGE.zero:
      if (vma.backing.kind === 'anonymous') return HMM_PFN.valid | HMM_PFN.zero | writable
      return space.hasHostBytes(vma, vpn) ? HMM_PFN.valid | writable : 0
    case PAGE.host:
    case PAGE.mapped:
      return space.hasHostBytes(vma, vpn) ? HMM_PFN.valid | writable : 0
    case PAGE.clean:
    case PAGE.dirty:
      return space.pages.memory(vpn) === owner.memory ? HMM_PFN.valid | HMM_PFN.own | writable : 0
    case PAGE.migrating:
      return 0
    case PAGE.lost:
      return HMM_PFN.error
    default:
      return unreachable(state)
  }
}

function refusalOf({ pfns, defaultFlags }: HmmRange): HmmVerdict | null {
  for (const pfn of pfns) {
    const required = (pfn | defaultFlags) & REQUIRED
    if (required !== 0 && (pfn & HMM_PFN.error) !== 0) return 'fault'
    if ((required & HMM_PFN.requireWrite) !== 0 && (pfn & (HMM_PFN.valid | HMM_PFN.write)) === HMM_PFN.valid) return 'permission'
  }
  return null
}

/** One try to make the missing pages present. */
async function resolve({ space, keepCopies }: HmmRange, missing: readonly Vpn[]): Promise<void> {
  const { away, migrating } = groupByMemory(space, missing)
  if (migrating) {
    await space.settled.wait()
    return
  }
  if (away.size > 0) {
    await bringHome(space, away, { keepCopy: keepCopies, discard: false })
    return
  }
  const first = missing[0] as Vpn
  const vma = space.addresses.find(first)
  assert(vma !== undefined, 'a page that is missing is mapped')
  let end = first
  for (const vpn of missing) if (vpn < vma.end) end = vpn + 1
  await populate(space, vma, first, end)
}
