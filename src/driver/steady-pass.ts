// One pass in which no fault is possible, and what it stored to. Always: it runs only while what was chosen for it holds; what it may have stored to counts as
// dirty before anybody asks.

import { WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { testBit } from '../base/bitmap.ts'
import { isWithin, type Vpn } from '../base/units.ts'
import { storedPages } from './fault.ts'
import { type DispatchResult, geometryOf, type Launch, waitsOf } from './launch.ts'
import { type PassReport, runPass } from './pass.ts'
import type { ReachTable } from './reach.ts'
import { touchReached } from './reached.ts'
import type { Remaining, Window } from './remaining.ts'
import type { Steady } from './steady.ts'
import type { Mirror } from './svmm.ts'

export interface SteadyWish {
  readonly launch: Launch
  readonly reach: ReachTable
  readonly window: Window
  readonly steady: Steady
  /** How the window runs now: `steady` itself while that holds. */
  choose(): Steady | null
}

/** Runs the window; null: while programs and buffers were made what was chosen has ceased to hold. @throws DeviceFailure, SvmError build-failed */
export async function runSteadyPass(mirror: Mirror, { launch, reach, window, steady, choose }: SteadyWish): Promise<PassReport | null> {
  const { kernel, workgroups } = launch
  const { window: direct, variant, marks, proof } = steady
  // The direct variant has one pool, and no table.
  const pools = direct === null ? mirror.dmem.poolsInUse : 1
  const whole = window.slots === workgroups[0] * workgroups[1] * workgroups[2]
  const geometry = window.worklist === null ? geometryOf(launch, whole, mirror.device.limits.workgroupsPerDimension) : 'any'
  const program = await kernel.program({ variant, pools, guard: launch.guard, geometry, chained: false, marks, proof })
  const tables = await mirror.tables.ready(window.slots, launch.args.byteLength, false)
  const table = direct === null ? await reach.ready(tables, null) : tables.table
  if (choose() !== steady) return null
  if (launch.args.byteLength > 0) mirror.device.write(tables.args, 0, launch.args)
  const report = await runPass(mirror, tables, { program, launch, window, table, direct, fuel: waitsOf(launch), again: false }).catch((failure) => {
    if (mirror.device.lostReason === null) noteAllStores(mirror)
    throw failure
  })
  kernel.millisecondsPerWorkgroup = report.milliseconds / window.slots
  noteStores(mirror, launch, report, steady)
  if (steady.reached !== null && mirror.incomplete > 0) touchReached(mirror, steady.reached)
  return report
}

/** One more round: a launch ran as its rounds did, and as the least special of them where they differ. */
export function countRound(result: DispatchResult, { variant }: Steady): void {
  if (result.rounds++ === 0) result.variant = variant
  else if (result.variant !== variant && result.variant !== 'attempt') result.variant = 'resident'
}

/** Tells of a pass in which no fault was possible. */
export function traceSteady({ space }: Mirror, { kernel }: Launch, round: number, { slots }: Window, retired: number): void {
  space.tracer.emit({ kind: 'pass', kernel: kernel.label, round, workgroups: slots, retired, faults: 0, hints: 0, aborted: false })
}

/** Who made no bad access, and had fuel, has retired. */
export function settleSteady(remaining: Remaining, window: Window, report: PassReport): number {
  const faulted = report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array
  return remaining.settle(window, (slot) => testBit(faulted, slot))
}

/**
 * Where the stores are marked, they are known exactly (in a chain, of all links at once: what is out of reach was another's). Where they were foreseen, and there were others, nobody knows which: all that could be stored to counts
 * as dirty then, and the next launch is exact again.
 */
export function noteStores(mirror: Mirror, launch: Launch, report: PassReport, { marks, stores, proof }: Steady): void {
  const history = launch.kernel.steadyHistory(launch)
  for (const { start, end } of stores) for (let vpn = start; vpn < end; vpn++) if ((mirror.vmm.get(vpn) & PTE.dirty) === 0) markStored(mirror, vpn)
  const stored = storedPages(mirror, report)
  for (const vpn of stored) markStored(mirror, vpn)
  if (marks) return history.stored(stored.filter((vpn) => isWithin(launch.reach, vpn)))
  if (proof !== 'none' || !report.unforeseen) return
  noteAllStores(mirror, launch.reach)
  history.surprise()
}

/** The page differs from the host's bytes. */
export function markStored(mirror: Mirror, vpn: Vpn): void {
  mirror.space.pages.markDirty(vpn)
  mirror.refreshPage(vpn)
}

/** A pass ran and nobody knows what it stored to: whatever it could store to may differ from the host's bytes. */
export function noteAllStores(mirror: Mirror, reach: Launch['reach'] = null): void {
  const storable: Vpn[] = []
  mirror.dmem.forEachPage((_frame, vpn) => {
    if ((mirror.vmm.get(vpn) & (PTE.store | PTE.dirty)) !== PTE.store) return
    if (isWithin(reach, vpn)) storable.push(vpn)
  })
  for (const vpn of storable) markStored(mirror, vpn)
}
