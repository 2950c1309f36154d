// Which launches can be a chain, and how each of them runs. Always: what is chosen holds until the next await; launches that differ in nothing but the values of
// their arguments run in the same way, which is found once for all of them.

import { NEED } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { isSameList } from '../base/lists.ts'
import { areSameRanges, isWithin, type Vpn } from '../base/units.ts'
import { type DriverKernel, geometryOf, type Launch, PASS_MILLISECONDS, type ProgramShape, windowByTime } from './launch.ts'
import { NOT_WITHOUT_GRANT, type TableBase } from './pass-table.ts'
import { promote } from './promote.ts'
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
  /** How it runs where it cannot fault; null: it may. */
  readonly steady: Steady | null
  /** The one that it goes by; null: the page table, or none. */
  readonly table: ChainTable | null
}

export interface Plan {
  readonly launch: Launch
  readonly way: Way
}

/** A table of the chain's own: of links that may fault, or may not reach all that is mapped. */
export interface ChainTable {
  /** Its number among those of the chain. */
  readonly number: number
  readonly base: TableBase
  /** What there are grants for: of links that may fault. */
  readonly needs: ChainNeeds | null
}

/** What the launches of one kernel with the same pointers need. */
interface ChainNeeds {
  readonly touched: readonly Vpn[]
  /** Those that are stored to. */
  readonly written: readonly Vpn[]
  /** Some of these are. */
  readonly clean: boolean
}

/** The launches from `from` on that one chain can be made of, with so many tables of its own. */
export function plansOf(mirror: Mirror, launches: readonly Launch[], from: number, tablesMax: number): Plan[] {
  const plans: Plan[] = []
  const ways = new Ways(mirror, tablesMax)
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
  readonly #tables: ChainTables
  /** The one used last comes first. */
  readonly #known: Way[] = []

  constructor(mirror: Mirror, tablesMax: number) {
    this.#mirror = mirror
    this.#tables = new ChainTables(mirror, tablesMax)
  }

  /** Null: this launch runs alone. */
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
    const { kernel, workgroups, reach } = launch
    const slots = workgroups[0] * workgroups[1] * workgroups[2]
    // What is watched is judged by the dispatch.
    if (mirror.watch !== null || launch.atomic || slots === 0) return null
    if (kernel.millisecondsPerWorkgroup <= 0 || slots > windowByTime(launch, mirror.plan.windowMax)) return null
    // What other links reach has all its rights, or needs none of these: it stays as it was found.
    if (reach !== null) promote(mirror, reach)
    const steady = chooseSteady(mirror, launch, new ReachTable(mirror, reach))
    const table = steady === null ? this.#tables.granted(launch) : this.#tables.narrowed(launch, steady)
    if (table === 'none') return null
    const pools = steady?.variant === 'direct' ? 1 : mirror.dmem.poolsInUse
    const geometry = geometryOf(launch, true, mirror.device.limits.workgroupsPerDimension)
    const variant = steady?.variant ?? (sealOf(mirror, launch) === 'granted' ? 'sealed' : 'attempt')
    const marks = steady?.marks ?? (variant === 'sealed' && table?.needs?.clean === true)
    const shape = { variant, pools, guard: launch.guard, geometry, chained: true, marks, proof: steady?.proof ?? 'none' } as const
    return { launch, shape, slots, milliseconds: slots * kernel.millisecondsPerWorkgroup, steady, table }
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
    areSameRanges(a.reach, b.reach) &&
    a.authorGroups.length === b.authorGroups.length
  )
}

/** The tables that links go by which cannot go by the page table. */
class ChainTables {
  readonly #mirror: Mirror
  readonly #max: number
  readonly #needs = new Map<DriverKernel, Map<string, ChainNeeds | null>>()
  readonly #tables: ChainTable[] = []

  constructor(mirror: Mirror, max: number) {
    this.#mirror = mirror
    this.#max = max
  }

  /** Of a link that cannot fault. A window, or a reach that is known, is held to what it may reach without one. */
  narrowed({ reach }: Launch, { variant, proof }: Steady): ChainTable | null | 'none' {
    return reach === null || variant === 'direct' || proof !== 'none' ? null : this.#of({ reach, keeps: ~0 }, null)
  }

  /** Of a link that may, by its history. 'none': nothing is known, or something is not here, or must be private, or there are as many tables as may be. */
  granted({ kernel, historyKey, class: kind, reach }: Launch): ChainTable | 'none' {
    const { variants, waitLines } = kernel.translated.analysis
    if (kind !== 'grants' || kernel.unchained > 0 || !variants.includes('attempt') || waitLines.length > 0) return 'none'
    let byKey = this.#needs.get(kernel)
    if (byKey === undefined) {
      byKey = new Map()
      this.#needs.set(kernel, byKey)
    }
    let needs = byKey.get(historyKey)
    if (needs === undefined) {
      needs = this.#needsOf(kernel, historyKey)
      byKey.set(historyKey, needs)
    }
    return needs === null || !needs.touched.every((vpn) => isWithin(reach, vpn)) ? 'none' : this.#of({ reach, keeps: NOT_WITHOUT_GRANT }, needs)
  }

  #of(base: TableBase, needs: ChainNeeds | null): ChainTable | 'none' {
    const found = this.#tables.find((table) => table.needs === needs && table.base.keeps === base.keeps && areSameRanges(table.base.reach, base.reach))
    if (found !== undefined) return found
    if (this.#tables.length === this.#max) return 'none'
    const table = { number: this.#tables.length, base, needs }
    this.#tables.push(table)
    return table
  }

  #needsOf(kernel: DriverKernel, historyKey: string): ChainNeeds | null {
    const { needs } = kernel.history(historyKey)
    if (needs.size === 0) return null
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
    return { touched: [...needs.keys()], written, clean }
  }
}

export function waysOf(plans: readonly Plan[]): Way[] {
  const ways = new Set<Way>()
  for (const { way } of plans) ways.add(way)
  return [...ways]
}
