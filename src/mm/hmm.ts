// What a mirror needs to know of host pages before it maps them. Compare mm/hmm.c.
//
// Always: a page that is the asker's own device memory stays where it is; a page of somebody else's comes home first; what is returned holds
// only as long as the ticket does, so the asker shows it before it writes its table.

import { assert } from '../base/assert.ts'
import type { Vpn } from '../base/units.ts'
import type { Subscription } from './notifier.ts'
import { PAGE } from './page-table.ts'
import { isPopulated, populate, populateWindow } from './populate.ts'
import type { PageOwner, Space } from './space.ts'
import type { Vma } from './vma.ts'

const ROUNDS_MAX = 8

export interface RangeFault {
  readonly space: Space
  readonly vma: Vma
  readonly start: Vpn
  /** At most `faultWindow` pages after `start`. */
  readonly end: Vpn
  readonly owner: PageOwner
  readonly subscription: Subscription
}

/** Pages that one range fault may cover: all of them can be at hand together. */
export function faultWindow(space: Space, vma: Vma): number {
  return populateWindow(space, vma)
}

/** True when `rangeFault` would have nothing to do: no await is needed. Compare hmm_range_fault() without HMM_PFN_REQ_FAULT. */
export function rangeIsPresent(wish: RangeFault): boolean {
  const { space, vma, start, end, owner } = wish
  for (let vpn = start; vpn < end; vpn++) {
    if (space.pages.isDevicePrivate(vpn) && space.pages.memory(vpn) !== owner.memory) return false
  }
  return isPopulated(space, vma, start, end)
}

/**
 * Faults [start, end) in for a mirror: on 'ok' each page is the owner's own, or the host has its bytes, and no await lies between that check
 * and the return. 'gone': the mapping changed; look the range up again. Compare hmm_range_fault(). @throws SvmError pager-failed
 */
export async function rangeFault(wish: RangeFault): Promise<'ok' | 'gone'> {
  const { space, vma, start, end, owner } = wish
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (space.addresses.find(start) !== vma) return 'gone'
    if (rangeIsPresent(wish)) return 'ok'
    const ticket = space.notifiers.readBegin(wish.subscription)
    const foreign = foreignPages(space, start, end, owner)
    for (const [memory, pages] of foreign) {
      const other = space.owners[memory]
      assert(other !== null && other !== undefined, 'a device-private page has an owner')
      await other.migrateToRam(pages, { keepCopy: true, discard: false })
    }
    if ((await populate(space, vma, start, end)) === 'gone') return 'gone'
    if (space.notifiers.readRetry(ticket)) continue
  }
  return 'gone'
}

/** True when the page's bytes are all zero and nobody need copy them. */
export function isZero(space: Space, vma: Vma, vpn: Vpn): boolean {
  const state = space.pages.state(vpn)
  return vma.backing.kind === 'anonymous' && (state === PAGE.none || state === PAGE.zero)
}

function foreignPages(space: Space, start: Vpn, end: Vpn, owner: PageOwner): Map<number, Vpn[]> {
  const foreign = new Map<number, Vpn[]>()
  for (let vpn = start; vpn < end; vpn++) {
    if (!space.pages.isDevicePrivate(vpn)) continue
    const memory = space.pages.memory(vpn)
    if (memory === owner.memory) continue
    foreign.set(memory, [...(foreign.get(memory) ?? []), vpn])
  }
  return foreign
}
