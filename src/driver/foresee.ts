// What the last launch like this one needed is brought before it is decided how this one runs: if nothing else is missing, no fault is possible any more.
// Always: it is a guess that costs copies and never decides what is right; what does not all fit is brought window by window (driver/replay).

import { NEED } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import type { Vpn } from '../base/units.ts'
import { staysMapped } from './advice.ts'
import { type Evictor, never } from './evict.ts'
import type { Launch, NeedHistory } from './launch.ts'
import { framesWanted, isServed, serve, type Want } from './service.ts'
import type { Mirror } from './svmm.ts'

/** A page that was needed for these bits of NEED; null: it may no longer be used so. */
export function foreseenWant({ vmm, space }: Mirror, vpn: Vpn, bits: number): Want | null {
  const pte = vmm.get(vpn)
  const write = (bits & (NEED.write | NEED.exclusive)) !== 0
  if ((pte & PTE.mayLoad) === 0 || (write && (pte & PTE.mayStore) === 0)) return null
  const vma = space.addresses.find(vpn)
  return { vpn, write: write && (vma === undefined || !staysMapped(vma)), workgroup: 0 }
}

/** What is missing of what was needed. */
export function missingOf(mirror: Mirror, needs: NeedHistory['needs']): Want[] {
  const wants: Want[] = []
  for (const [vpn, bits] of needs) {
    const want = foreseenWant(mirror, vpn, bits)
    if (want !== null && !isServed(mirror, want)) wants.push(want)
  }
  return wants
}

/** Not all of it fits now. That it did not the last time says nothing: other memory may have been in the way. @param wants what is missing of it */
export function isCrowded(mirror: Mirror, evictor: Evictor, needs: NeedHistory['needs'], wants: readonly Want[]): boolean {
  const { dmem } = mirror
  if (needs.size > dmem.capacity) return true
  const frames = framesWanted(mirror, wants)
  return frames > dmem.available && frames > evictor.obtainable(frames, (vpn) => needs.has(vpn))
}

/** @throws DeviceFailure, SvmError pager-failed */
export async function bringForeseen(mirror: Mirror, evictor: Evictor, { kernel, historyKey }: Launch): Promise<void> {
  const { needs } = kernel.history(historyKey)
  const wants = missingOf(mirror, needs)
  if (wants.length === 0 || isCrowded(mirror, evictor, needs, wants)) return
  // All of it fits, so none of it need go for another of it.
  await serve(mirror, evictor, wants, { pinned: (vpn) => needs.has(vpn), nextUse: never })
}
