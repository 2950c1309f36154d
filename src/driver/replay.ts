// The replay loop: passes until every workgroup has retired. Compare the far side of nouveau_svm_fault(), where hardware replays.
//
//   predict ─▶ serve ─▶ ┌ prepare grants ─▶ pass ─▶ absorb ─▶ (all retired: done) ─▶ choose wants ─▶ serve ─┐
//                       └───────────────────────────────────────────────────────────────────────────────────┘
//
// Always: a window is a prefix of what remains, in order; pages of the lead (the first of it), hits included, are pinned from the moment it
// became lead; wants are served in workgroup order; every round retires a workgroup, learns a need, or serves a page, and rounds are bounded.

import { PAGE_BITMAP, SLOT_GROUPS, WANTED_WORDS, WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { forEachBit, testBit } from '../base/bitmap.ts'
import type { Vpn } from '../base/units.ts'
import { type Evictor, never } from './evict.ts'
import { accessError, fatalAccess, forEachFault, mustAbort, storedPages, traceFaults } from './fault.ts'
import { bestStart, type Demand, demandsFor, Forecast, type Foreseen } from './forecast.ts'
import { foreseenWant, isCrowded, missingOf } from './foresee.ts'
import { Grants } from './grants.ts'
import { firstOf, type Groups, LaunchGroups } from './groups.ts'
import { type DispatchResult, geometryOf, type Launch, type NeedHistory, type ProgramShape, refuseIfAborted } from './launch.ts'
import { type MischiefAtWork, mischiefOf } from './mischief.ts'
import { type Misses, resolveMisses } from './misses.ts'
import { Pace } from './pace.ts'
import { type PassReport, readWanted, runPass } from './pass.ts'
import { denseNeighbours } from './prefetch.ts'
import type { ReachTable } from './reach.ts'
import { provenWindow } from './reached.ts'
import { type Reaching, reachingOf, withReach } from './reaching.ts'
import { Remaining, type Window, workgroupOf } from './remaining.ts'
import { sealOf, wasRefused } from './seal.ts'
import { bringInNow, framesWanted, isServed, type Protection, serve, serveNow, type Want } from './service.ts'
import type { Steady } from './steady.ts'
import { countRound, runSteadyPass, settleSteady, traceSteady } from './steady-pass.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'
import { noProgress, tooGreedy } from './working-set.ts'

/** Rounds that the lead may stay lead before it runs alone. */
const LEAD_ROUNDS = 6
/** Times that the pins of a lead that runs alone may be drawn anew. */
const PIN_RESETS = 3
/** Rounds without a retired workgroup, a new need or a served page. */
const IDLE_ROUNDS = 8
const NOTHING: Want[] = []
const ALL_SLOTS: Groups = { low: 0xffffffff, high: 0xffffffff }

/** What a pass tells of its faults. */
interface Learned {
  readonly faults: number
  readonly hints: number
  readonly news: boolean
  readonly wanted: ReadonlySet<Vpn>
  /** Wanted pages that had no entry. */
  readonly unordered: ReadonlySet<Vpn>
  readonly misses: Misses
}

export class Replay {
  readonly #mirror: Mirror
  readonly #evictor: Evictor
  readonly #launch: Launch
  readonly #reach: ReachTable
  readonly #result: DispatchResult
  readonly #grants: Grants
  #remaining: Remaining
  /** Only in tests. */
  readonly #mischief: MischiefAtWork | null
  /** Wants that were not served yet, in the order of places. */
  #backlog: Want[] = []
  /** Pages of the lead, by page. */
  #pins = new Set<Vpn>()
  /** Once the wants do not all fit: what is wanted by whom, and the place that wants each page next. */
  readonly #groups: LaunchGroups
  readonly #forecast: Forecast
  #planned: readonly Foreseen[] = []
  #nextUse = new Map<Vpn, number>()
  #lead = -1
  #leadRounds = 0
  #pinResets = 0
  #idleRounds = 0
  readonly #pace: Pace
  /** The tables that have the arguments. */
  #tables: TableBuffers | null = null
  /** How its passes may be sealed. */
  readonly #seal: 'private' | 'granted' | null
  /** Where it reaches, if that is known. */
  readonly #reaching: Reaching | null
  /** The next pass will probably not be the last: the one before it faulted, or nothing is known. */
  #again = false
  /** True once the wants did not all fit: then their order matters. */
  #split = false

  constructor(mirror: Mirror, evictor: Evictor, launch: Launch, reach: ReachTable, total: number, result: DispatchResult) {
    this.#mirror = mirror
    this.#evictor = evictor
    this.#launch = launch
    this.#reach = reach
    this.#result = result
    this.#grants = new Grants(mirror, { allPrivate: launch.class === 'transactional', snapshot: launch.atomic })
    this.#remaining = new Remaining(total)
    this.#groups = new LaunchGroups(total)
    this.#forecast = new Forecast(this.#groups)
    this.#seal = sealOf(mirror, launch)
    this.#reaching = reachingOf(mirror, launch)
    this.#mischief = mischiefOf(mirror, evictor)
    this.#pace = new Pace(launch, mirror.plan.windowMax, total)
  }

  get retired(): number {
    return this.#remaining.retired
  }

  async run(): Promise<void> {
    try {
      await this.#predict()
      while (!this.#remaining.empty) await this.#round()
      this.#launch.kernel.fuel = Math.max(this.#launch.kernel.fuel, this.#pace.fuel)
      this.#launch.kernel.remember(this.#launch.historyKey, this.#whatItNeeded())
    } catch (failure) {
      this.#grants.releaseCopies()
      if (this.#launch.atomic && this.#mirror.device.lostReason === null) await this.#rollBack()
      throw failure
    } finally {
      this.#mischief?.end()
      this.#grants.releaseCopies()
      this.#result.privateCopies = this.#grants.privateCopies
    }
  }

  async #round(): Promise<void> {
    refuseIfAborted(this.#launch, this.#remaining.retired)
    if (this.#mischief !== null) await this.#mischief.disturb((vpn) => this.#grants.isSnapshot(vpn))
    const known = this.#knownWindow()
    const steady = known === null ? null : provenWindow(this.#mirror, this.#launch, known)
    if (known !== null && steady !== null) return this.#provenRound(known, steady)
    const sealed = known === null ? null : this.#sealedWindow(known)
    const window = sealed ?? this.#chooseWindow()
    const tables = await this.#readyTables(window, sealed !== null)
    const report = await this.#pass(window, tables, sealed !== null)
    this.#mischief?.truncate(report)
    const refused = sealed !== null && wasRefused(report)
    const transactional = this.#launch.class === 'transactional'
    const aborted = sealed === null ? mustAbort(report, transactional) : refused && (transactional || this.#grants.grantsPrivate)
    const retired = this.#retire(window, report, aborted, sealed !== null)
    const learned = this.#learn(report)
    this.#again = learned.faults > 0
    traceFaults(this.#mirror, this.#launch, this.#result.rounds, window, report)
    this.#mirror.space.tracer.emit({
      kind: 'pass',
      kernel: this.#launch.kernel.label,
      round: this.#result.rounds,
      workgroups: window.slots,
      retired,
      faults: learned.faults,
      hints: learned.hints,
      aborted,
    })
    if (sealed !== null) {
      this.#launch.kernel.seals.ended(refused)
      if (retired * 2 > sealed.slots) this.#forecast.noteSealed(this.#groups.ofWindow(sealed)(ALL_SLOTS))
    }
    // What it wanted the next pass will say, which is an attempt.
    if (refused) return
    const bad = fatalAccess(report, learned.misses, aborted)
    if (bad !== null) throw accessError(this.#mirror, this.#launch, window, bad, this.#remaining.retired)
    const outcome = { slots: window.slots, retired, barren: aborted || retired === 0, split: this.#split }
    this.#pace.passed(report, outcome, this.#remaining.retired)
    if (!this.#remaining.empty) this.#pinLead(window, report)
    this.#chooseWants(learned)
    const told = this.#split && sealed === null && (await this.#order(learned, window, report, tables))
    if (this.#remaining.empty) return
    if (this.#split) this.#plan()
    const served = this.#serveHere() ?? (await this.#serveBacklog())
    const moved = learned.news || told || served > 0
    this.#pace.served({ ...outcome, split: this.#split }, moved && this.#hasAll(window.slots - retired))
    this.#watchProgress(retired > 0 || moved)
  }

  /** A round in which no fault is possible: nobody asks what it wanted. */
  async #provenRound(window: Window, steady: Steady): Promise<void> {
    // It stores to the pages themselves: a private copy of before would be out of date.
    this.#grants.releaseCopies()
    const { version } = this.#mirror
    const choose = () => (this.#mirror.version === version ? steady : null)
    const report = await runSteadyPass(this.#mirror, { launch: this.#launch, reach: this.#reach, window, steady, choose })
    if (report === null) return
    countRound(this.#result, steady)
    const retired = settleSteady(this.#remaining, window, report)
    traceSteady(this.#mirror, this.#launch, this.#result.rounds, window, retired)
    this.#forecast.noteSealed(this.#groups.ofWindow(window)(ALL_SLOTS))
    const outcome = { slots: window.slots, retired, barren: false, split: this.#split }
    this.#pace.passed(report, outcome, this.#remaining.retired)
    if (this.#remaining.empty) return
    this.#pinLead(window, report)
    if (this.#split) this.#plan()
    if (this.#serveHere() === null) await this.#serveBacklog()
    this.#pace.served(outcome, true)
    this.#watchProgress(true)
  }

  /** For the next launch like this one. What is wanted quite unlike the last time replaces what was. */
  #whatItNeeded(): NeedHistory {
    const told = { needs: this.#grants.needs, demands: this.#split ? this.#forecast.demands : new Map(), workgroups: this.#remaining.total }
    return this.#reaching === null ? told : withReach(this.#mirror, this.#launch, this.#reaching, told, this.#split ? this.#groups : null)
  }

  /** Nobody of the first so many waits for a page. */
  #hasAll(slots: number): boolean {
    const first = this.#backlog.reduce((least, { workgroup }) => Math.min(least, Math.floor(workgroup)), Number.POSITIVE_INFINITY)
    return this.#remaining.countBelow(first) >= slots
  }

  // Before the pass.

  /** What the last launch needed is granted; all of it is here, if it fits. A wrong guess costs a copy, never correctness. */
  async #predict(): Promise<void> {
    const history = this.#launch.kernel.history(this.#launch.historyKey)
    const wants = missingOf(this.#mirror, history.needs)
    const crowded = isCrowded(this.#mirror, this.#evictor, history.needs, wants)
    let untold = false
    for (const [vpn, bits] of history.needs) {
      // Where not all fits, what nobody knows the workgroups of must be asked for.
      if (crowded && !history.demands.has(vpn)) {
        untold = true
        continue
      }
      if (foreseenWant(this.#mirror, vpn, bits) !== null) this.#grants.add(vpn, bits)
    }
    this.#again = untold || this.#grants.needs.size === 0
    if (crowded) await this.#foresee(wants, history)
  }

  /** What does not all fit is brought window by window, beginning where the most is here. */
  async #foresee(wants: readonly Want[], { demands, workgroups }: NeedHistory): Promise<void> {
    const { total } = this.#remaining
    const forThis = demandsFor(this.#groups, workgroups)
    const demandOf = (vpn: Vpn) => forThis(demands.get(vpn) as Demand)
    this.#split = true
    const missing = wants.flatMap(({ vpn }) => (demands.has(vpn) ? (demandOf(vpn) ?? []) : []))
    this.#remaining = new Remaining(total, bestStart(total, missing))
    for (const vpn of this.#grants.needs.keys()) {
      const demand = demandOf(vpn)
      if (demand !== null) this.#forecast.foresee(vpn, demand)
    }
    this.#plan()
    await this.#serveBacklog()
  }

  /** The backlog of a launch whose wants do not all fit. @param again nobody has retired or told anything since */
  #plan(again = false): void {
    const { vmm } = this.#mirror
    if (!again) this.#planned = this.#forecast.plan(this.#remaining)
    this.#nextUse = new Map()
    this.#backlog = []
    for (const { vpn, next } of this.#planned) {
      this.#nextUse.set(vpn, next)
      const want = { vpn, write: this.#grants.wantsWrite(vpn), workgroup: next }
      if (!isServed(this.#mirror, want) && (vmm.get(vpn) & (want.write ? PTE.mayStore : PTE.mayLoad)) !== 0) this.#backlog.push(want)
    }
  }

  /** A prefix of what remains: those whose pages are here, but not much fewer than could be run the last time. */
  #chooseWindow(): Window {
    let first = Number.POSITIVE_INFINITY
    for (const { workgroup } of this.#backlog) first = Math.min(first, workgroup)
    const fits = Math.max(1, Math.min(this.#pace.window, this.#remaining.countBelow(first)), this.#pace.window >> 3)
    return this.#windowOf(fits)
  }

  /** The same window if it may be sealed. */
  #sealedWindow(window: Window): Window | null {
    const made = this.#seal !== null && this.#launch.kernel.programSoon(this.#shapeOf(window, true)) !== null
    return made && this.#launch.kernel.seals.mayBegin() ? window : null
  }

  /**
   * A window for which nobody is expected to fault, since all that it needs is known and here; null: nobody can tell. A launch of which nothing was known
   * tells by a pass without a fault.
   */
  #knownWindow(): Window | null {
    if (this.#again || this.#grants.needs.size === 0) return null
    let first = Number.POSITIVE_INFINITY
    for (const { workgroup } of this.#backlog) first = Math.min(first, Math.floor(workgroup))
    // No further than to the last workgroup: those behind the first would need a list.
    const fits = Math.min(this.#pace.window, this.#remaining.countBelow(first), this.#remaining.inRow)
    return fits === 0 ? null : this.#windowOf(fits)
  }

  #windowOf(slots: number): Window {
    if (this.#mischief === null) return this.#remaining.window(slots)
    return this.#mischief.shuffle(this.#remaining.window(this.#mischief.limit(slots)), this.#split)
  }

  #shapeOf({ slots, lead, worklist }: Window, sealed: boolean): ProgramShape {
    const { device, dmem } = this.#mirror
    const whole = slots === this.#remaining.total && lead === 0
    const geometry = sealed && worklist === null ? geometryOf(this.#launch, whole, device.limits.workgroupsPerDimension) : 'any'
    return { variant: sealed ? 'sealed' : 'attempt', pools: dmem.poolsInUse, guard: this.#launch.guard, geometry, chained: false, marks: sealed, proof: 'none' }
  }

  async #readyTables(window: Window, sealed: boolean): Promise<TableBuffers> {
    const waiting = this.#grants.prepare(sealed && this.#seal === 'private')
    if (waiting !== null) await waiting
    const { args } = this.#launch
    const { tables: all } = this.#mirror
    const tables = all.flushed(window.slots, args.byteLength, true) ?? (await all.ready(window.slots, args.byteLength, true))
    if (args.byteLength > 0 && tables !== this.#tables) this.#mirror.device.write(tables.args, 0, args)
    this.#tables = tables
    return tables
  }

  async #pass(window: Window, tables: TableBuffers, sealed: boolean): Promise<PassReport> {
    const { kernel } = this.#launch
    const shape = this.#shapeOf(window, sealed)
    const program = kernel.programNow(shape) ?? (await kernel.program(shape))
    const grants = () => this.#grants.words()
    const table = this.#reach.readyNow(tables, grants) ?? (await this.#reach.ready(tables, grants))
    this.#result.rounds++
    this.#result.variant = 'attempt'
    try {
      return await runPass(this.#mirror, tables, {
        program,
        launch: this.#launch,
        window,
        table,
        fuel: this.#pace.fuel,
        tells: !sealed,
        again: this.#again,
      })
    } catch (failure) {
      if (this.#mirror.device.lostReason === null) this.#grants.settleUnknown()
      throw failure
    }
  }

  // After the pass.

  /** Rule 5: who retires, and whether private copies become the pages. */
  #retire(window: Window, report: PassReport, aborted: boolean, sealed: boolean): number {
    const faulted = report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array
    const touched = report.workgroups[WORKGROUP_BITMAP.touched] as Uint32Array
    const nobody = aborted && (sealed || this.#launch.class === 'transactional')
    const stored = storedPages(this.#mirror, report)
    this.#grants.settle(stored, !aborted)
    // What is written again and again is not the oldest, however long ago it was served.
    for (const vpn of stored) this.#mirror.dmem.touch(this.#mirror.frameOf(vpn))
    return this.#remaining.settle(window, (slot) => nobody || testBit(faulted, slot) || (aborted && testBit(touched, slot)))
  }

  /** Need bits are sticky; pages that lack what they need become wants. */
  #learn(report: PassReport): Learned {
    const wanted = new Set<Vpn>()
    const unordered = new Set<Vpn>()
    let faults = 0
    let hints = 0
    let news = false
    const learn = (into: Set<Vpn>) => (vpn: Vpn, bits: number, hint: boolean) => {
      if (hint) hints++
      else faults++
      news = this.#grants.add(vpn, bits) || news
      into.add(vpn)
    }
    forEachFault(this.#mirror, report, learn(wanted))
    const misses = resolveMisses(this.#mirror, this.#launch, report, learn(unordered))
    this.#result.faults += faults
    this.#result.hints += hints
    return { faults, hints, news: news || misses.covered > 0, wanted, unordered, misses }
  }

  /** Rounds with the same lead pin all that it touched, hits included; it runs alone when it stays too long. */
  #pinLead(window: Window, report: PassReport): void {
    const lead = this.#remaining.lead
    if (lead !== this.#lead) {
      this.#lead = lead
      this.#leadRounds = 0
      this.#pinResets = 0
      this.#pins = new Set()
    }
    this.#leadRounds++
    if (window.lead === this.#remaining.workgroupAt(lead))
      forEachBit(report.pages[PAGE_BITMAP.lead] as Uint32Array, (index) => this.#pins.add(this.#mirror.vmm.vpnOf(index)))
    if (this.#leadRounds > LEAD_ROUNDS) this.#pace.window = 1
  }

  // What to serve, and in which order.

  /** The backlog, in the order of the pages. Where it does not all fit it is made later, when the order of the workgroups is known. */
  #chooseWants({ wanted, unordered }: Learned): void {
    const { dmem } = this.#mirror
    const fresh: Want[] = []
    for (const vpn of unordered.size === 0 ? wanted : [...wanted, ...unordered]) {
      const want = { vpn, write: this.#grants.wantsWrite(vpn), workgroup: this.#remaining.lead }
      if (isServed(this.#mirror, want)) dmem.touch(this.#mirror.frameOf(vpn))
      else fresh.push(want)
    }
    const frames = framesWanted(this.#mirror, fresh)
    if (!this.#split && (this.#grants.needs.size > dmem.capacity || (frames > dmem.available && frames > this.#evictor.obtainable(frames, this.#keeps(fresh)))))
      this.#split = true
    if (!this.#split) this.#backlog = fresh.sort((a, b) => a.vpn - b.vpn)
  }

  /**
   * Asks the device which workgroups use each page, or would. True when there is news. Nobody says for which workgroup a page without an entry was wanted: the
   * next pass will, now that it has one.
   */
  async #order({ wanted }: Learned, window: Window, report: PassReport, tables: TableBuffers): Promise<boolean> {
    const { vmm, dmem } = this.#mirror
    const words = await readWanted(this.#mirror, tables, report.layout)
    const groupsOf = this.#groups.ofWindow(window)
    let news = false
    const note = (vpn: Vpn) => {
      const at = WANTED_WORDS * vmm.indexOf(vpn)
      const [low, high] = words.subarray(at, at + WANTED_WORDS) as unknown as [number, number]
      if ((low | high) === 0) return
      // Of a group of many nobody knows who of them it was.
      const lacked = wanted.has(vpn) && window.slots <= SLOT_GROUPS ? workgroupOf(window, firstOf({ low, high })) : null
      news = this.#forecast.note(vpn, { lacked, groups: groupsOf({ low, high }) }, this.#mirror.frameOf(vpn) >= 0, this.#result.rounds) || news
    }
    for (const vpn of wanted) note(vpn)
    dmem.forEachPage((_frame, vpn) => {
      if (!wanted.has(vpn)) note(vpn)
    })
    return news
  }

  /** Serves the backlog without an await, as mostly can be done; null: somebody must be asked or go. */
  #serveHere(): number | null {
    const { length } = this.#backlog
    if (length === 0) return 0
    this.#grants.releaseCopies()
    return serveNow(this.#mirror, this.#backlog, () => this.#neighbours()) ? this.#served(length) : null
  }

  async #serveBacklog(): Promise<number> {
    const { evictions } = this.#mirror
    const served = await serve(this.#mirror, this.#evictor, this.#backlog, this.#protection())
    // Now that the host cache may have what lies behind these.
    const neighbours = this.#neighbours()
    if (neighbours.length > 0) bringInNow(this.#mirror, neighbours)
    const count = this.#served(served)
    // What went for these may be wanted by later ones: no window holds those.
    if (this.#split && count > 0 && this.#mirror.evictions > evictions) this.#plan(true)
    return count
  }

  /** What comes along where frames are free; where wants do not all fit they never are. */
  #neighbours(): Want[] {
    return this.#split ? NOTHING : denseNeighbours(this.#mirror, this.#backlog)
  }

  /** The first of the backlog are here. */
  #served(served: number): number {
    for (let n = 0; n < served; n++) {
      const want = this.#backlog[n] as Want
      if (want.workgroup <= this.#remaining.lead) this.#pins.add(want.vpn)
    }
    this.#backlog = this.#backlog.slice(served)
    const unserved = this.#backlog[0]
    if (served === 0 && unserved !== undefined && unserved.workgroup <= this.#remaining.lead) this.#overflow()
    return served
  }

  #protection(): Protection {
    return {
      pinned: (vpn) => this.#pins.has(vpn) || this.#grants.isSnapshot(vpn),
      nextUse: this.#split ? (vpn) => this.#nextUse.get(vpn) ?? Number.POSITIVE_INFINITY : never,
    }
  }

  #keeps(wants: readonly Want[]): (vpn: Vpn) => boolean {
    const wanted = new Set(wants.map((want) => want.vpn))
    return (vpn) => wanted.has(vpn) || this.#pins.has(vpn) || this.#grants.isSnapshot(vpn)
  }

  /** The lead's pages do not fit. Alone, addresses may differ between attempts: draw the pins anew, a few times. */
  #overflow(): void {
    if (!this.#launch.atomic && this.#pinResets++ < PIN_RESETS) {
      this.#pins = new Set()
      this.#forecast.clear()
      this.#nextUse.clear()
      this.#pace.window = 1
      return
    }
    const mine = this.#backlog.filter(({ vpn, workgroup }) => workgroup <= this.#remaining.lead && !this.#pins.has(vpn))
    throw tooGreedy(this.#mirror, this.#launch, this.#remaining, this.#pins.size + mine.length)
  }

  #watchProgress(progress: boolean): void {
    this.#idleRounds = progress ? 0 : this.#idleRounds + 1
    // Alone, the lead can learn at most a few needs of every page before it retires.
    const bound = LEAD_ROUNDS + 4 * (this.#mirror.dmem.capacity + this.#grants.needs.size)
    if (this.#idleRounds <= IDLE_ROUNDS && this.#leadRounds <= bound) return
    throw noProgress(this.#mirror, this.#launch, this.#remaining, Math.max(this.#idleRounds, this.#leadRounds), this.#pins.size)
  }

  /** All bytes as before: the host has them still. */
  async #rollBack(): Promise<void> {
    const pages = this.#grants.snapshots.filter((vpn) => this.#mirror.space.pages.isDevicePrivate(vpn))
    await this.#mirror.sendHome(pages, { keepCopy: false, discard: true, why: 'gpu-fault' })
  }
}
