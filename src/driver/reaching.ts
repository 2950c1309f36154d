// What the next launch like this one will need, where its reach is known. Always: it is a guess of what will be touched, and never decides what is right; who touches
// little of what it reaches is believed in what it asks for alone.

import { NEED } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import type { Vpn } from '../base/units.ts'
import type { Demand } from './forecast.ts'
import { both, type Groups, type LaunchGroups, NO_GROUPS } from './groups.ts'
import type { Launch, NeedHistory } from './launch.ts'
import { reachedBy } from './reached.ts'
import type { Mirror } from './svmm.ts'

/** Who reaches more than so many times what there is room for is taken to touch little of it. */
const ROOMS_MAX = 16

/** All that a launch reaches, before it runs. */
export interface Reaching {
  /** Bits of NEED by page. */
  readonly needs: ReadonlyMap<Vpn, number>
  /** Those that are not here with their rights: if it wants them it will say so. */
  readonly missing: ReadonlySet<Vpn>
}

/** Null: nobody knows where it reaches, or it reaches far. */
export function reachingOf(mirror: Mirror, launch: Launch): Reaching | null {
  const reached = launch.atomic ? null : launch.kernel.steadyHistory(launch).reached.of(mirror, launch)
  const most = mirror.dmem.capacity * ROOMS_MAX
  if (reached === null || reached.parts.some(({ start, end }) => end - start > most)) return null
  const needs = new Map<Vpn, number>()
  const missing = new Set<Vpn>()
  for (const { start, end, need } of reached.parts) {
    const bits = need === PTE.load ? NEED.read : need === PTE.store ? NEED.write : NEED.exclusive
    for (let vpn = start; vpn < end; vpn++) {
      needs.set(vpn, (needs.get(vpn) ?? 0) | bits)
      if ((mirror.vmm.get(vpn) & need) === 0) missing.add(vpn)
    }
  }
  return { needs, missing }
}

/**
 * What a launch told that it needed, and what follows from it: who asked for half of what was missing of its reach will want all of it, also what happened to be
 * here, so the next launch need not find that out page by page. Compare the density threshold of UVM's prefetcher. @param groups where not all fits: who wants what
 */
export function withReach(mirror: Mirror, launch: Launch, reaching: Reaching, told: NeedHistory, groups: LaunchGroups | null): NeedHistory {
  let asked = 0
  for (const vpn of reaching.missing) if (told.needs.has(vpn)) asked++
  if (asked === 0 || asked * 2 < reaching.missing.size) return told
  const needs = new Map(told.needs)
  for (const [vpn, bits] of reaching.needs) needs.set(vpn, (needs.get(vpn) ?? 0) | bits)
  const demands = groups !== null && told.demands.size < needs.size ? reachedDemands(mirror, launch, groups) : null
  return { ...told, needs, demands: demands ?? told.demands }
}

/** Which workgroups reach each page, read group by group; null: of some nobody knows. */
function reachedDemands(mirror: Mirror, launch: Launch, groups: LaunchGroups): Map<Vpn, Demand> | null {
  const wanting = new Map<Vpn, Groups>()
  for (const { first, last } of groups.spans) {
    const reached = reachedBy(mirror, launch, first, last + 1)
    if (reached === null) return null
    const mine = groups.groupOf(first)
    for (const { start, end } of reached.parts) for (let vpn = start; vpn < end; vpn++) wanting.set(vpn, both(wanting.get(vpn) ?? NO_GROUPS, mine))
  }
  return new Map([...wanting].map(([vpn, of]) => [vpn, { ...groups.hull(of), groups: of }]))
}
