// Advice that is heeded once: pages come before they are wanted, or go before they must. Always: nobody is evicted for it and no byte changes; what
// cannot move stays. Compare mm/madvise.c.

import type { Vpn, VpnRange } from '../base/units.ts'
import { bringHome, groupByMemory } from '../mm/fault.ts'
import { PAGE } from '../mm/page-table.ts'
import { populate, populateWindow } from '../mm/populate.ts'
import type { Space } from '../mm/space.ts'
import { deviceMayRead, deviceMayWrite, hostMayRead, type Vma } from '../mm/vma.ts'
import { staysMapped } from './advice.ts'
import { type Evictor, never } from './evict.ts'
import { serve, type Want } from './service.ts'
import type { Mirror } from './svmm.ts'

/** Pages that are asked for together. */
const WINDOW = 4096

/**
 * Brings pages to a device as long as it has free frames: nobody goes for them, and a page that cannot come stays where it is. Reads of others'
 * pages leave copies there. Compare cudaMemPrefetchAsync(). @throws DeviceFailure, SvmError pager-failed
 */
export async function fetchToDevice(mirror: Mirror, evictor: Evictor, range: VpnRange): Promise<number> {
  let came = 0
  for (const { vma, start, end } of [...mirror.space.addresses.pieces(range)]) {
    if (!deviceMayRead(vma)) continue
    for (let at = start; at < end && mirror.dmem.available > 0; at += WINDOW) {
      const wants = wantsOf(mirror, vma, at, Math.min(end, at + WINDOW))
      if (wants.length === 0) continue
      await serve(mirror, evictor, wants, { pinned: () => true, nextUse: never })
      for (const { vpn } of wants) if (mirror.frameOf(vpn) >= 0) came++
    }
  }
  return came
}

/** Pages that are not here and can be: to be this device's own where it may store, and as copies where a read would make one. */
function wantsOf(mirror: Mirror, vma: Vma, start: Vpn, end: Vpn): Want[] {
  const { pages, hostMappings } = mirror.space
  const wants: Want[] = []
  const own = deviceMayWrite(vma) && !staysMapped(vma)
  for (let vpn = start; vpn < end && wants.length < mirror.dmem.available; vpn++) {
    if (mirror.frameOf(vpn) >= 0 || pages.state(vpn) === PAGE.lost) continue
    const hold = hostMappings.count === 0 ? 'none' : hostMappings.holdOn(vpn)
    if (hold !== 'write') wants.push({ vpn, write: own && hold === 'none', workgroup: 0 })
  }
  return wants
}

/**
 * Brings what devices have home, where they keep copies, and reads what a pager has, as much as can be at hand together. Compare MADV_WILLNEED.
 * @throws DeviceFailure, SvmError pager-failed
 */
export async function fetchToHost(space: Space, range: VpnRange): Promise<number> {
  let came = 0
  for (const { vma, start, end } of [...space.addresses.pieces(range)]) {
    if (!hostMayRead(vma)) continue
    for (const run of space.pages.touchedRuns({ start, end })) {
      const { away } = groupByMemory(space, pagesOf(run))
      await bringHome(space, away, { keepCopy: true, discard: false })
      for (const pages of away.values()) for (const vpn of pages) if (!space.pages.isDevicePrivate(vpn)) came++
    }
    if (vma.backing.kind === 'anonymous') continue
    const stop = Math.min(end, start + populateWindow(space, vma))
    const missing = pagesOf({ start, end: stop }).filter((vpn) => !space.cache.has(vpn) && !space.pages.isDevicePrivate(vpn))
    await populate(space, vma, start, stop)
    for (const vpn of missing) if (space.cache.has(vpn)) came++
  }
  return came
}

/**
 * What the device can give up without a copy it gives up; what would cost one goes first when frames are short. No byte is lost, unlike by
 * MADV_DONTNEED of anonymous memory: this is MADV_COLD (`cooled` pages), and MADV_PAGEOUT where that is free (`dropped`). @throws DeviceFailure
 */
export async function giveUp(mirror: Mirror, range: VpnRange): Promise<{ dropped: number; cooled: number }> {
  const { space, dmem } = mirror
  const { pages } = space
  const clean: Vpn[] = []
  let copies = 0
  let cooled = 0
  pages.forEachTouched(range, (start, end) => {
    for (let vpn = start; vpn < end; vpn++) {
      const frame = mirror.frameOf(vpn)
      const state = pages.state(vpn)
      if (frame < 0 || state === PAGE.migrating) continue
      if (state === PAGE.dirty) {
        dmem.cool(frame)
        cooled++
      } else if (state === PAGE.clean) clean.push(vpn)
      else {
        mirror.dropSystemCopy(vpn)
        mirror.refreshPage(vpn)
        copies++
      }
    }
  })
  if (clean.length === 0) return { dropped: copies, cooled }
  const { moved } = await mirror.sendHome(clean, { keepCopy: false, discard: false, why: 'advice' })
  return { dropped: copies + moved, cooled }
}

function pagesOf({ start, end }: VpnRange): Vpn[] {
  return Array.from({ length: end - start }, (_, i) => start + i)
}
