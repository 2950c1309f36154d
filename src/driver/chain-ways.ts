// Which launches can be a chain, and how each of them runs. Always: what is chosen holds until the next await; launches that differ in nothing but the values of
// their arguments run in the same way, which is found once for all of them.

import { NEED } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { isSameList } from '../base/lists.ts'
import type { Vpn } from '../base/units.ts'
import { type DriverKernel, geometryOf, type Launch, PASS_MILLISECONDS, type ProgramShape, windowByTime } from './launch.ts'
import { ReachTable } from './reach.ts'
import { sealOf } from './seal.ts'
import { chooseSteady, type Steady } from './steady.ts'
import type { Mirror } from './svmm.ts'

/** What one chain takes by estimate. */
const CHAIN_MILLISECONDS = 5 * PASS_MILLISECONDS

/** Different ways that are looked among for one that is known. */
const WAYS_KEPT = 8
/** How launches run that differ in nothing but the values of their arguments. */
export interface Way {
  /** The first of them. */
  readonly launch: Launch
  readonly shape: ProgramShape
  readonly slots: number
  /** Of one of them, by what the kernel took before. */
  readonly milliseconds: number
  /** How it runs where it cannot fault. */
  readonly steady: Steady | null
  /** Else what it needs. */
  readonly needs: ChainNeeds | null
}

export interface Plan {
  readonly launch: Launch
  readonly way: Way
}

/** What the launches of one kernel with the same pointers need. */
export interface ChainNeeds {
  /** Its number among those of the chain. */
  readonly set: number
  readonly touched: readonly Vpn[]
  /** Those that are stored to. */
  readonly written: readonly Vpn[]
  /** Some of these are. */
  readonly clean: boolean
}

/** The launches from `from` on that one chain can be made of, with so many grant sets. */
export function plansOf(mirror: Mirror, launches: readonly Launch[], from: number, setsMax: number): Plan[] {
  const plans: Plan[] = []
  const ways = new Ways(mirror, setsMax)
  for (let n = from, milliseconds = 0; n < launches.length; n++) {
    const launch = launches[n] as Launch
    const way = launch.signal?.aborted === true ? null : ways.of(launch)
    if (way === null) break
    milliseconds += way.milliseconds
    if (plans.length > 0 && milliseconds > CHAIN_MILLISECONDS) break
    plans.push({ launch, way })
  }
  return unfailing(plans)
}

/** Where no link can fail none asks whether one did. */
function unfailing(plans: Plan[]): Plan[] {
  const ways = waysOf(plans)
  if (ways.some(({ shape }) => shape.proof === 'none')) return plans
  const free = new Map(ways.map((way): [Way, Way] => [way, { ...way, shape: { ...way.shape, chained: false } }]))
  return plans.map(({ launch, way }) => ({ launch, way: free.get(way) as Way }))
}

/** How the launches of one chain run. Few differ. */
class Ways {
  readonly #mirror: Mirror
  readonly #reach: ReachTable
  readonly #sets: NeedSets | null
  /** The one used last comes first. */
  readonly #known: Way[] = []

  constructor(mirror: Mirror, setsMax: number) {
    this.#mirror = mirror
    this.#reach = new ReachTable(mirror, null)
    this.#sets = mirror.incomplete > 0 ? new NeedSets(mirror, setsMax) : null
  }

  /** Null: this launch runs alone. What names bindings of the author's does, for a refusal of the device must find the right one. */
  of(launch: Launch): Way | null {
    const at = this.#known.findIndex(
      (way) => isAlike(way.launch, launch) && (way.steady?.reached?.forAll !== false || isSameList(way.launch.args, launch.args)),
    )
    if (at === 0) return this.#known[0] as Way
    const way = at > 0 ? (this.#known[at] as Way) : this.#make(launch)
    if (way === null) return null
    if (at > 0) this.#known.splice(at, 1)
    else if (this.#known.length === WAYS_KEPT) this.#known.pop()
    this.#known.unshift(way)
    return way
  }

  #make(launch: Launch): Way | null {
    const mirror = this.#mirror
    const { kernel, workgroups } = launch
    const slots = workgroups[0] * workgroups[1] * workgroups[2]
    // What is watched is judged by the dispatch.
    const alone =
      mirror.watch !== null ||
      kernel.translated.analysis.waitLines.length > 0 ||
      launch.atomic ||
      launch.reach !== null ||
      launch.authorGroups.length > 0 ||
      kernel.translated.authorBindings.length > 0
    if (alone || slots === 0) return null
    if (kernel.millisecondsPerWorkgroup <= 0 || slots > windowByTime(launch, mirror.plan.windowMax)) return null
    const steady = chooseSteady(mirror, launch, this.#reach)
    const needs = steady !== null || this.#sets === null ? null : this.#sets.of(launch)
    if (steady === null && needs === null) return null
    const pools = steady?.variant === 'direct' ? 1 : mirror.dmem.poolsInUse
    const geometry = geometryOf(launch, true, mirror.device.limits.workgroupsPerDimension)
    const variant = steady?.variant ?? (sealOf(mirror, launch) === 'granted' ? 'sealed' : 'attempt')
    const marks = steady?.marks ?? (variant === 'sealed' && needs?.clean === true)
    const shape = { variant, pools, guard: launch.guard, geometry, chained: true, marks, proof: steady?.proof ?? 'none' } as const
    return { launch, shape, slots, milliseconds: slots * kernel.millisecondsPerWorkgroup, steady, needs }
  }
}

/** They differ in nothing but arguments, and in no pointer. */
function isAlike(a: Launch, b: Launch): boolean {
  return (
    a.kernel === b.kernel &&
    a.historyKey === b.historyKey &&
    isSameList(a.global, b.global) &&
    isSameList(a.offset, b.offset) &&
    a.class === b.class &&
    a.atomic === b.atomic &&
    a.reach === b.reach &&
    a.authorGroups.length === b.authorGroups.length
  )
}

/** What launches need, by their history. */
class NeedSets {
  readonly #mirror: Mirror
  readonly #max: number
  readonly #known = new Map<DriverKernel, Map<string, ChainNeeds | null>>()
  #count = 0

  constructor(mirror: Mirror, max: number) {
    this.#mirror = mirror
    this.#max = max
  }

  /** Null: nothing is known, or something is not here, or must be private. */
  of({ kernel, historyKey, class: kind }: Launch): ChainNeeds | null {
    if (kind !== 'grants' || kernel.unchained > 0) return null
    let byKey = this.#known.get(kernel)
    if (byKey === undefined) {
      byKey = new Map()
      this.#known.set(kernel, byKey)
    }
    let needs = byKey.get(historyKey)
    if (needs === undefined) {
      needs = this.#find(kernel, historyKey)
      byKey.set(historyKey, needs)
    }
    return needs
  }

  #find(kernel: DriverKernel, historyKey: string): ChainNeeds | null {
    const { needs } = kernel.history(historyKey)
    if (needs.size === 0 || this.#count === this.#max) return null
    const written: Vpn[] = []
    let clean = false
    for (const [vpn, bits] of needs) {
      if (bits !== NEED.read && bits !== NEED.write) return null
      const right = bits === NEED.read ? PTE.load : PTE.store
      if ((this.#mirror.vmm.get(vpn) & right) === 0) return null
      if (bits === NEED.read) continue
      written.push(vpn)
      clean ||= (this.#mirror.vmm.get(vpn) & PTE.dirty) === 0
    }
    return { set: this.#count++, touched: [...needs.keys()], written, clean }
  }
}

export function waysOf(plans: readonly Plan[]): Way[] {
  const ways = new Set<Way>()
  for (const { way } of plans) ways.add(way)
  return [...ways]
}
