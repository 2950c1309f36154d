// What the advice of a mapping changes in the driver: where a fault puts a page, and who goes first. Always: it is asked where something is decided
// anyway, and never makes anything move by itself. Compare uvm_va_policy.c.

import type { Vpn } from '../base/units.ts'
import { deviceMayWrite, NO_ADVICE, type Vma } from '../mm/vma.ts'
import type { Mirror } from './svmm.ts'

// Where a fault puts a page.

/** A read must leave the host the master, whatever a launch's history says: others read the page too, or the host is where it is best. */
export function staysMapped(vma: Vma): boolean {
  return vma.advice.readMostly || vma.advice.preferred === 'host'
}

/**
 * A read makes the page this device's own, since it is best here: it gets every right with the bytes. Only where nobody loses anything by it: no other
 * device has a copy, and the host does not hold the page. Compare the second choice of block_select_processor_residency().
 */
export function ownsOnRead(mirror: Mirror, vma: Vma, vpn: Vpn): boolean {
  if (vma.advice.preferred !== mirror.memory || !mayOwnOnRead(vma)) return false
  const { pages, hostMappings } = mirror.space
  return (pages.mappedOn(vpn) & ~(1 << mirror.memory)) === 0 && (hostMappings.count === 0 || hostMappings.holdOn(vpn) === 'none')
}

/** Where it is best on a device, may a read there make it that device's own? What kernels may not store to, or mostly read, stays a copy. */
export function mayOwnOnRead(vma: Vma): boolean {
  return !vma.advice.readMostly && deviceMayWrite(vma)
}

/** Nobody asked for the page yet: may it come along? */
export function mayComeAlong({ memory, thrash }: Mirror, { advice }: Vma, vpn: Vpn): boolean {
  return advice.pattern !== 'random' && (advice.preferred === 'none' || advice.preferred === memory) && !thrash.isBouncing(vpn)
}

// Who goes first.

/**
 * Pages that may go, in the order in which they should: those that somebody said will not be needed, or are best elsewhere; the others; those that are
 * best here, or came back too soon the last time that they went (unless what is wanted again was `foreseen`: that says it better).
 */
export function orderOfLeaving(mirror: Mirror, candidates: readonly Vpn[], foreseen: boolean): readonly (readonly Vpn[])[] {
  const first: Vpn[] = []
  const usual: Vpn[] = []
  const last: Vpn[] = []
  const isBehind = behindCursors(mirror)
  for (const vpn of candidates) {
    const vma = mirror.space.addresses.find(vpn)
    const advice = vma?.advice ?? NO_ADVICE
    if (mirror.dmem.isCold(mirror.frameOf(vpn)) || (vma !== undefined && isBehind(vma, vpn))) first.push(vpn)
    else if (advice.preferred === mirror.memory || (!foreseen && mirror.thrash.staysLonger(vpn))) last.push(vpn)
    else if (advice.preferred === 'none') usual.push(vpn)
    else first.push(vpn)
  }
  return [first, usual, last]
}

/** Of a mapping that is used from its start to its end, the pages that were passed: below the page that came last. Compare MADV_SEQUENTIAL. */
function behindCursors({ dmem, space }: Mirror): (vma: Vma, vpn: Vpn) => boolean {
  const cursors = new Map<Vma, { vpn: Vpn; tick: number }>()
  if (space.addresses.vmas.some(({ advice }) => advice.pattern === 'sequential')) {
    dmem.forEachPage((frame, vpn) => {
      const vma = space.addresses.find(vpn)
      if (vma === undefined || vma.advice.pattern !== 'sequential') return
      const tick = dmem.lastUse(frame)
      const cursor = cursors.get(vma)
      if (cursor === undefined || tick > cursor.tick || (tick === cursor.tick && vpn > cursor.vpn)) cursors.set(vma, { vpn, tick })
    })
  }
  return (vma, vpn) => vpn < (cursors.get(vma)?.vpn ?? 0)
}
