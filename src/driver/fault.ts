// Reading what a pass reports (mm/fault.ts is the host's side). Compare nouveau_svm.c: every record is serviced, replayed or fatal, never lost.

import { NEED, NEED_MISALIGNED, PAGE_BITMAP, WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { forEachBit, testBit } from '../base/bitmap.ts'
import { SvmError, type SvmErrorCode } from '../base/error.ts'
import { hex, type Vpn } from '../base/units.ts'
import { PAGE } from '../mm/page-table.ts'
import { deviceMayRead, deviceMayWrite } from '../mm/vma.ts'
import type { Launch } from './launch.ts'
import type { Misses } from './misses.ts'
import type { BadAccess, PassReport } from './pass.ts'
import { type Window, workgroupOf } from './remaining.ts'
import type { Mirror } from './svmm.ts'

/** Page bitmaps of faults: the bits of NEED that each stands for, and whether they are hints. */
const KINDS: readonly (readonly [bitmap: number, bits: number, hint: boolean])[] = [
  [PAGE_BITMAP.read, NEED.read, false],
  [PAGE_BITMAP.write, NEED.write, false],
  [PAGE_BITMAP.exclusive, NEED.exclusive, false],
  [PAGE_BITMAP.hintRead, NEED.read, true],
  [PAGE_BITMAP.hintWrite, NEED.write, true],
  [PAGE_BITMAP.hintExclusive, NEED.exclusive, true],
]

/** Calls `visit` with every page that was wanted and the bits of NEED; hints are faults of poisoned invocations. */
export function forEachFault(mirror: Mirror, report: PassReport, visit: (vpn: Vpn, bits: number, hint: boolean) => void): void {
  for (const [bitmap, bits, hint] of KINDS) forEachBit(report.pages[bitmap] as Uint32Array, (index) => visit(mirror.vmm.vpnOf(index), bits, hint))
}

/** Pages that were stored to. */
export function storedPages(mirror: Mirror, report: PassReport): Vpn[] {
  const stored: Vpn[] = []
  forEachBit(report.pages[PAGE_BITMAP.dirty] as Uint32Array, (index) => stored.push(mirror.vmm.vpnOf(index)))
  return stored
}

/** True when a workgroup both faulted and stored to a private page: the pass's private copies are dropped. */
export function mustAbort(report: PassReport, anyFault: boolean): boolean {
  const faulted = report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array
  const dirty = report.workgroups[WORKGROUP_BITMAP.dirty] as Uint32Array
  return faulted.some((word, at) => (anyFault ? word : word & (dirty[at] as number)) !== 0)
}

/**
 * A bad access is fatal unless it may be an echo: of a fault of its workgroup, which is serviced; of a loop that ran out of fuel, which gets more; or, in a pass that is
 * dropped, of what another workgroup that could not go on left on a private page.
 */
export function fatalAccess(report: PassReport, misses: Misses, dropped: boolean): BadAccess | null {
  if (misses.covered > 0 || report.fuelOut > 0) return null
  const serviceable = report.workgroups[WORKGROUP_BITMAP.serviceable] as Uint32Array
  const touched = report.workgroups[WORKGROUP_BITMAP.touched] as Uint32Array
  const anyEcho = dropped && serviceable.some((word) => word !== 0)
  const isEcho = (slot: number) => testBit(serviceable, slot) || (anyEcho && testBit(touched, slot))
  for (const bad of [report.bad, ...misses.bad]) if (bad !== null && !isEcho(bad.slot)) return bad
  return null
}

/** Examples of what a pass wanted, for whoever traces. */
export function traceFaults({ space }: Mirror, launch: Launch, round: number, window: Window, report: PassReport): void {
  if (!space.tracer.listens) return
  const examples = report.examples().map(({ address, kind, slot }) => ({ pointer: address, access: accessName(kind), workgroup: workgroupOf(window, slot) }))
  if (examples.length > 0) space.tracer.emit({ kind: 'fault', kernel: launch.kernel.label, round, examples })
}

function accessName(kind: number): 'load' | 'store' | 'atomic' {
  return (kind & NEED.exclusive) !== 0 ? 'atomic' : (kind & NEED.write) !== 0 ? 'store' : 'load'
}

/** The error of a bad access: kernel, address, kind of access, workgroup, nearest mapping. */
export function accessError(mirror: Mirror, launch: Launch, window: Window, bad: BadAccess, retired: number): SvmError {
  const workgroup = split(workgroupOf(window, bad.slot), launch.workgroups)
  const { code, why, wayOut } = explain(mirror, launch, bad)
  const name = accessName(bad.kind)
  return new SvmError(
    code,
    `Kernel ${launch.kernel.label} made ${name === 'atomic' ? 'an' : 'a'} ${name} at ${hex(bad.address)} in workgroup (${workgroup.join(', ')}), ${why}; ${mirror.space.addresses.describeNearest(bad.address)}. ${wayOut} ${retired} of ${launch.workgroups[0] * launch.workgroups[1] * launch.workgroups[2]} workgroups had finished.`,
    { pointer: bad.address, kernel: launch.kernel.label, workgroup, retiredWorkgroups: retired },
  )
}

function explain(mirror: Mirror, launch: Launch, bad: BadAccess): { code: SvmErrorCode; why: string; wayOut: string } {
  const { space } = mirror
  const vpn = Math.floor(bad.address / space.geometry.pageBytes)
  const vma = space.addresses.find(vpn)
  if ((bad.kind & NEED_MISALIGNED) !== 0) return { code: 'access-violation', why: 'which is not aligned to its type', wayOut: 'Align the pointer.' }
  if (vma === undefined) return { code: 'access-violation', why: 'where nothing is mapped', wayOut: 'Check the pointer and the bounds.' }
  if (launch.reach !== null && !launch.reach.some((range) => vpn >= range.start && vpn < range.end)) {
    return { code: 'access-violation', why: "which is outside the kernel's reach", wayOut: "Add the allocation to reach, or use reach: 'any'." }
  }
  const writes = (bad.kind & (NEED.write | NEED.exclusive)) !== 0
  const hold = space.hostMappings.holdOn(vpn)
  if (hold === 'write' || (hold === 'read' && writes && deviceMayWrite(vma))) {
    return { code: 'host-mapped', why: `which the host has mapped for ${hold === 'write' ? 'writing' : 'reading'}`, wayOut: 'Unmap it before the launch.' }
  }
  if (space.pages.state(vpn) === PAGE.lost)
    return { code: 'device-lost', why: 'whose only copy was on a device that is lost', wayOut: 'Overwrite the whole page or free it.' }
  if (!deviceMayRead(vma)) return { code: 'access-violation', why: "which mprotect made 'none'", wayOut: 'Give it access again with svm.mprotect().' }
  if (writes && !deviceMayWrite(vma)) {
    const wayOut = vma.allocation.deviceWrites ? 'Give it access again with svm.mprotect().' : "Allocate it with access 'read-write'."
    return { code: 'access-violation', why: 'which is read-only for kernels', wayOut }
  }
  return { code: 'access-violation', why: 'which was not accessible', wayOut: 'Check the pointer.' }
}

/** Linear workgroup to x, y, z. */
export function split(workgroup: number, counts: readonly [number, number, number]): [number, number, number] {
  const [x, y] = counts
  return [workgroup % x, Math.floor(workgroup / x) % y, Math.floor(workgroup / (x * y))]
}
