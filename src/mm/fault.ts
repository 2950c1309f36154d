// The host asks for pages. JavaScript cannot trap a load: a touch is a call. (driver/fault.ts is the device's side.)
//
// Always: when `hostFault` returns 'ok', the host bytes of the range are the pages, and for writing no device has a copy of them left. It
// checks again after every await; a page that migrates is waited for; a page that is lost stays lost unless it is wholly overwritten.

import { assert, unreachable } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import { hex, type Vpn } from '../base/units.ts'
import { PAGE } from './page-table.ts'
import { isPopulated, populate } from './populate.ts'
import type { Space } from './space.ts'
import type { Vma } from './vma.ts'

/** `discard`: the bytes will all be overwritten, so nothing need come home. */
export type HostAccess = 'read' | 'write' | 'discard'

/** Times that somebody else may take a page away again before it is ours. */
const ROUNDS_MAX = 64

/** Compare do_swap_page() on a device-private entry, and handle_mm_fault(). @throws SvmError device-lost, pager-failed */
export async function hostFault(space: Space, vma: Vma, start: Vpn, end: Vpn, access: HostAccess): Promise<'ok' | 'gone'> {
  for (let round = 0; round < ROUNDS_MAX; ) {
    if (space.addresses.find(start)?.allocation !== vma.allocation) return 'gone'
    const { away, migrating } = groupByMemory(space, pagesOf(start, end))
    if (access !== 'discard') refuseLost(space, vma, start, end)
    if (migrating) {
      await space.settled.wait()
      continue
    }
    round++
    if (away.size > 0) await bringHome(space, away, { keepCopy: access === 'read', discard: access === 'discard' })
    else if (access !== 'discard' && !isPopulated(space, vma, start, end)) {
      if ((await populate(space, vma, start, end)) === 'gone') return 'gone'
    } else {
      const fence = settle(space, vma, start, end, access)
      if (fence === null) return 'ok'
      await fence
    }
  }
  throw new SvmError('internal', `Pages at ${hex(start * space.geometry.pageBytes)} did not come home in ${ROUNDS_MAX} rounds. Please report this.`)
}

/** Device-private pages among `pages` by memory, and whether one of them is on its way. */
export function groupByMemory(space: Space, pages: Iterable<Vpn>): { away: Map<number, Vpn[]>; migrating: boolean } {
  const away = new Map<number, Vpn[]>()
  let migrating = false
  for (const vpn of pages) {
    if (space.pages.state(vpn) === PAGE.migrating) migrating = true
    if (!space.pages.isDevicePrivate(vpn)) continue
    const memory = space.pages.memory(vpn)
    const list = away.get(memory)
    if (list === undefined) away.set(memory, [vpn])
    else list.push(vpn)
  }
  return { away, migrating }
}

/** Every owner brings its pages home. Compare dev_pagemap_ops.migrate_to_ram. */
export async function bringHome(space: Space, away: ReadonlyMap<number, readonly Vpn[]>, how: { keepCopy: boolean; discard: boolean }): Promise<void> {
  for (const [memory, pages] of away) {
    const owner = space.owners[memory]
    assert(owner !== null && owner !== undefined, 'a device-private page has an owner')
    await owner.migrateToRam(pages, how)
  }
}

/** @throws SvmError device-lost when a page is lost and still wanted */
function refuseLost(space: Space, vma: Vma, start: Vpn, end: Vpn): void {
  if (space.pages.lost === 0) return
  for (let vpn = start; vpn < end; vpn++) if (space.pages.state(vpn) === PAGE.lost) throw lostError(space, vma, vpn)
}

function* pagesOf(start: Vpn, end: Vpn): Generator<Vpn> {
  for (let vpn = start; vpn < end; vpn++) yield vpn
}

/** No await in here: from now on the host's bytes are the pages. */
function settle(space: Space, vma: Vma, start: Vpn, end: Vpn, access: HostAccess): Promise<void> | null {
  const changed: Vpn[] = []
  for (let vpn = start; vpn < end; vpn++) {
    const state = space.pages.state(vpn)
    switch (state) {
      case PAGE.none:
        if (vma.backing.kind === 'anonymous') {
          if (access === 'read') space.pages.populateZero(vpn)
          else space.pages.populate(vpn)
        }
        break
      case PAGE.zero:
        if (access !== 'read') space.pages.populate(vpn)
        break
      case PAGE.mapped:
        if (access !== 'read') changed.push(vpn)
        break
      case PAGE.lost:
        space.pages.overwrite(vpn)
        changed.push(vpn)
        break
      case PAGE.host:
        break
      case PAGE.clean:
      case PAGE.dirty:
      case PAGE.migrating:
        assert(false, `page ${vpn} is at home when the host takes it (${space.pages.print(vpn)})`)
        break
      default:
        unreachable(state)
    }
  }
  if (changed.length === 0) return null
  return space.notifiers.invalidate({ range: { start, end }, event: 'clear', owner: null, pages: changed })
}

export function lostError(space: Space, vma: Vma, vpn: Vpn): SvmError {
  const { pageBytes } = space.geometry
  const pointer = vpn * pageBytes
  return new SvmError(
    'device-lost',
    `The page at ${hex(pointer)} of ${vma.allocation.label} had its only copy on a device that was lost. Overwrite the whole page (write, or map with 'write-discard'), or free it.`,
    { pointer, byteLength: pageBytes },
  )
}
