// Bringing bytes to the host for the first time. Always: an await stands only at the pager, and where all slots are being read into by others;
// after it the VMA is looked up again, because it may have been unmapped or cut meanwhile.

import type { Vpn } from '../base/units.ts'
import { PAGE } from './page-table.ts'
import type { PagedFile } from './paged-file.ts'
import type { Space } from './space.ts'
import type { Vma } from './vma.ts'

/** Calls between a read into the cache and whoever uses the bytes. */
const RETURNS_MAX = 8

/** Pages of a pager that can be asked for at once so that all of them are still cached when the last has arrived. */
export function populateWindow(space: Space, vma: Vma): number {
  if (vma.backing.kind === 'anonymous') return Number.MAX_SAFE_INTEGER
  return Math.max(1, Math.floor(space.cache.slots / 2))
}

/** True when the page's bytes are all zero and nobody need copy them. */
export function isZero(space: Space, vma: Vma, vpn: Vpn): boolean {
  const state = space.pages.state(vpn)
  return vma.backing.kind === 'anonymous' && (state === PAGE.none || state === PAGE.zero)
}

/** True when every page of [start, end) has host bytes, or is elsewhere on purpose (device-private). */
export function isPopulated(space: Space, vma: Vma, start: Vpn, end: Vpn): boolean {
  if (vma.backing.kind === 'anonymous') return true
  for (let vpn = start; vpn < end; vpn++) {
    if (!space.cache.has(vpn) && !space.pages.isDevicePrivate(vpn)) return false
  }
  return true
}

/**
 * Makes the host bytes of [start, end) present: anonymous pages have them already (zeros), a pager's are read. At most `populateWindow`
 * pages. What is read in order brings what comes next in the same request, into the cache only. Returns 'gone' when the mapping changed meanwhile.
 * Compare handle_mm_fault() and page_cache_sync_ra(). @throws SvmError pager-failed
 */
export async function populate(space: Space, vma: Vma, start: Vpn, end: Vpn): Promise<'ok' | 'gone'> {
  if (vma.backing.kind === 'anonymous') return 'ok'
  const { file } = vma.backing
  let readsAhead = true
  for (let vpn = start; vpn < end; ) {
    if (space.cache.has(vpn) || space.pages.isDevicePrivate(vpn)) {
      vpn++
      continue
    }
    const wanted = missingRun(space, vpn, end, file.pagesAtOnce)
    const room = space.cache.take(wanted + (readsAhead ? aheadOf(space, vma, file, vpn, wanted, end) : 0), { start, end })
    if (room === null) {
      await space.cache.unpinned.wait()
      // Whoever has his pages now uses them first: each call that returns to him takes a microtask.
      for (let call = 0; call < RETURNS_MAX; call++) await null
      if (space.addresses.find(vpn) !== vma) return 'gone'
      continue
    }
    const { slot, count, bytes } = room
    const offset = vma.backing.fileOffset + (vpn - vma.start) * space.geometry.pageBytes
    let arrived = false
    try {
      await file.read(offset, bytes)
      arrived = space.addresses.find(vpn) === vma
    } catch (failure) {
      // What nobody wanted may not fail what somebody does.
      if (count <= wanted || space.addresses.find(vpn) !== vma) throw failure
      readsAhead = false
      file.ahead.stop()
      continue
    } finally {
      space.cache.settle(slot, count, arrived ? vpn : null)
    }
    if (!arrived) return 'gone'
    file.ahead.asked(vpn + count)
    for (let page = vpn; page < vpn + count; page++) {
      const state = space.pages.state(page)
      if (state === PAGE.none || state === PAGE.zero) space.pages.populate(page)
    }
    vpn += count
  }
  return 'ok'
}

/** Pages behind a request for `wanted` from `vpn` on that are read with it: nobody has them, and they lie in the mapping. */
function aheadOf(space: Space, vma: Vma, file: PagedFile, vpn: Vpn, wanted: number, end: Vpn): number {
  const stop = vpn + wanted
  const window = file.ahead.beyond(vpn, stop, vma.advice.pattern, space.cache.slots)
  // While others read too, slots are short.
  if (stop < end || !space.cache.isQuiet) return 0
  const most = Math.min(window, file.pagesAtOnce - wanted, vma.end - stop)
  let count = 0
  while (count < most && space.pages.state(stop + count) === PAGE.none && !space.cache.has(stop + count)) count++
  return count
}

function missingRun(space: Space, vpn: Vpn, end: Vpn, limit: number): number {
  let count = 1
  while (count < limit && vpn + count < end && !space.cache.has(vpn + count) && !space.pages.isDevicePrivate(vpn + count)) count++
  return count
}
