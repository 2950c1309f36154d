// What the last launch like this one needed is brought before it is decided how this one runs: if nothing else is missing, no fault is possible any more.
// Always: it is a guess that costs copies and never decides what is right; what did not all fit the last time is brought window by window (driver/replay).

import { NEED } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import type { Vpn } from '../base/units.ts'
import { staysMapped } from './advice.ts'
import { type Evictor, never } from './evict.ts'
import type { Launch, NeedHistory } from './launch.ts'
import { isServed, serve, type Want } from './service.ts'
import type { Mirror } from './svmm.ts'

/** A page that was needed for these bits of NEED; null: it may no longer be used so. */
export function foreseenWant({ vmm, space }: Mirror, vpn: Vpn, bits: number): Want | null {
  const pte = vmm.get(vpn)
  const write = (bits & (NEED.write | NEED.exclusive)) !== 0
  if ((pte & PTE.mayLoad) === 0 || (write && (pte & PTE.mayStore) === 0)) return null
  const vma = space.addresses.find(vpn)
  return { vpn, write: write && (vma === undefined || !staysMapped(vma)), workgroup: 0 }
}

/** All that was needed did not fit, or will not. */
export function isCrowded({ dmem }: Mirror, { needs, fits }: NeedHistory): boolean {
  return !fits || needs.size > dmem.capacity
}

/** @throws DeviceFailure, SvmError pager-failed */
export async function bringForeseen(mirror: Mirror, evictor: Evictor, { kernel, historyKey }: Launch): Promise<void> {
  const history = kernel.history(historyKey)
  if (isCrowded(mirror, history)) return
  const wants: Want[] = []
  for (const [vpn, bits] of history.needs) {
    const want = foreseenWant(mirror, vpn, bits)
    if (want !== null && !isServed(mirror, want)) wants.push(want)
  }
  // All of it fits, so none of it need go for another of it.
  if (wants.length > 0) await serve(mirror, evictor, wants, { pinned: (vpn) => history.needs.has(vpn), nextUse: never })
}
