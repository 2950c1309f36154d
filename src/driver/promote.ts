// Read-only copies become the device's own pages where nothing else stands between a launch and its steady state. Compare compute_new_permission() of UVM
// ("query_promote"): the right to store is given along when that takes nothing from anybody.
//
// A read fault leaves the host the master and maps a copy (SYSTEM.md section 4), so inputs that may be stored to would for ever lack a right that no
// kernel asks for, and every launch would run as one that may fault. Always: it happens only when every page in reach is here; no byte is copied,
// since the copy becomes the page in its frame; a page that another device sees, that the host holds, that was advised to stay or that
// goes to and fro keeps all of them as they are.

import { PTE } from '../abi/pte.ts'
import type { Vpn, VpnRange } from '../base/units.ts'
import { deviceMayWrite, type Vma } from '../mm/vma.ts'
import { staysMapped } from './advice.ts'
import { makePrivate } from './service.ts'
import type { Mirror } from './svmm.ts'

const RIGHTS = PTE.load | PTE.store | PTE.mayLoad | PTE.mayStore | PTE.system
/** A copy of a page that may be stored to. */
const COPY = PTE.load | PTE.mayLoad | PTE.mayStore | PTE.system

interface Run {
  readonly vma: Vma
  readonly start: Vpn
  end: Vpn
}

/** @param reach of the launch; null: all that is mapped. No await in here. */
export function promote(mirror: Mirror, reach: readonly VpnRange[] | null): void {
  if (mirror.vmm.copies === 0 || mirror.systemCopies === 0) return
  if (reach === null && mirror.incomplete !== mirror.vmm.copies) return
  const runs = runsOf(mirror, reach ?? [{ start: 0, end: mirror.space.geometry.spacePages }])
  for (const { vma, start, end } of runs ?? []) makePrivate(mirror, vma, start, end)
}

/** The copies in reach; null: something else is missing, or one of them has to stay a copy. */
function runsOf(mirror: Mirror, reach: readonly VpnRange[]): Run[] | null {
  const runs: Run[] = []
  for (const range of reach) {
    for (const { vma, start, end } of mirror.space.addresses.pieces(range)) {
      if (!deviceMayWrite(vma)) continue
      let run: Run | null = null
      for (let vpn = start; vpn < end; vpn++) {
        const rights = mirror.vmm.get(vpn) & RIGHTS
        if (rights !== COPY) {
          run = null
          // Absent, though it may be here; what the host holds has not even the chance of a store.
          if ((rights & PTE.mayStore) !== 0 && (rights & PTE.store) === 0) return null
          continue
        }
        if (staysMapped(vma) || mirror.space.pages.mappedOn(vpn) !== 1 << mirror.memory || mirror.thrash.isBouncing(vpn)) return null
        if (run === null) {
          run = { vma, start: vpn, end: vpn }
          runs.push(run)
        }
        run.end = vpn + 1
      }
    }
  }
  return runs
}
