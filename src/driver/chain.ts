// Launches that follow each other, as one piece of work: no report is read between them, one at the end.
//
// A *link* is a launch of a chain: one dispatch, with a header and arguments of its own. All links share one fault buffer, cleared before the first and
// read after the last; dirty bits of all gather in it. The first link in which something goes wrong leaves its number in FAULT.abort, and later
// links do nothing: their invocations return at once (wgsl/wrapper). A kernel with barriers must decide that alike in a whole workgroup, so the word
// is copied into its header before it starts.
//
// Where no fault is possible (*resident*), what goes wrong is a bad access, and that link's launch has failed: the links before it are done.
//
// Where faults are possible, history says what a launch needs (*attempt*, or *sealed* where driver/seal lets it): all of it is here, nothing both read and
// written, no atomics. So every grant
// is R or W and there are no private copies. If a link faults all the same, its launch runs again from the start on the ordinary way, and so does what is
// behind it. What its workgroups stored stays, of those too that finished, and that is sound: a store to a W page is untainted, so it depends on loads that
// succeeded, and those were of R pages, which nobody stored to in that dispatch; so it will be repeated with the same address and value (I1 of replay by
// grants, for a whole dispatch). Nobody sees it before: later links did not run, and nothing else runs before the repetition (I2).
//
// Always: a launch has exactly the result that it has alone; the tables and frames are constant until the report is there.

import { CONTROL, CONTROL_HEADER_WORDS, FAULT, NEED, WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { countBits } from '../base/bitmap.ts'
import type { Vpn } from '../base/units.ts'
import { DeviceFailure, type DispatchBindings, type Program, WINDOW_UNIT, type Work } from '../device/device.ts'
import { type ChainBuffers, chainNow, makeChain, SETS_MAX } from './chain-buffers.ts'
import { dispatch, markStored, noteAllStores, noteStores } from './dispatch.ts'
import type { Evictor } from './evict.ts'
import { accessError, storedPages } from './fault.ts'
import {
  type DispatchResult,
  type DriverKernel,
  endlessError,
  geometryOf,
  type Launch,
  PASS_MILLISECONDS,
  type ProgramShape,
  waitsOf,
  windowByTime,
} from './launch.ts'
import { type MischiefAtWork, mischiefOf } from './mischief.ts'
import { type BadAccess, decode, FIRST_LINK, fillHeader, groupsOf, type PassReport, readBad } from './pass.ts'
import type { PassTable } from './pass-table.ts'
import { promote } from './promote.ts'
import { ReachTable } from './reach.ts'
import type { Window } from './remaining.ts'
import type { ReportViews } from './report.ts'
import { sealOf } from './seal.ts'
import { chooseSteady, type DirectWindow, type Steady } from './steady.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'

const HEADER_WORDS = WINDOW_UNIT / 4
/** What one chain takes by estimate. */
const CHAIN_MILLISECONDS = 5 * PASS_MILLISECONDS

interface Plan {
  readonly launch: Launch
  readonly shape: ProgramShape
  readonly slots: number
  /** By what the kernel took before. */
  readonly milliseconds: number
  /** How it runs where it cannot fault. */
  readonly steady: Steady | null
  /** Else what it needs. */
  readonly needs: ChainNeeds | null
}

interface Link extends Plan {
  readonly program: Program
}

/** What the launches of one kernel with the same pointers need. */
interface ChainNeeds {
  /** Its number among those of the chain. */
  readonly set: number
  readonly touched: readonly Vpn[]
  /** Those that are stored to. */
  readonly written: readonly Vpn[]
  /** Some of these are. */
  readonly clean: boolean
}

/** How far launches came. */
export interface ChainOutcome {
  /** Of those that are done: the first of the launches. */
  readonly results: DispatchResult[]
  /** Of the launch behind them; null: it did not fail. */
  readonly failure: unknown
}

/** How far a chain came. `alone`: the launch behind must run on the ordinary way. */
type LinksOutcome = ChainOutcome & { readonly alone: boolean }

const NOT_CHAINED: LinksOutcome = { results: [], failure: null, alone: true }

/** Runs launches one after the other, in chains where it can; stops at the first failure. Never rejects. */
export async function dispatchAll(mirror: Mirror, evictor: Evictor, launches: readonly Launch[]): Promise<ChainOutcome> {
  const results: DispatchResult[] = []
  try {
    while (results.length < launches.length) {
      const outcome = await runChain(mirror, launches, results.length, mischiefOf(mirror, evictor))
      results.push(...outcome.results)
      if (outcome.failure !== null) return { results, failure: outcome.failure }
      const next = launches[results.length]
      if (next === undefined || !outcome.alone) continue
      if (next.kernel.unchained > 0) next.kernel.unchained--
      results.push(await dispatch(mirror, evictor, next))
    }
    return { results, failure: null }
  } catch (failure) {
    return { results, failure }
  }
}

/** Runs the first of the launches as one chain, if two or more of them can be: else none. @throws DeviceFailure, SvmError */
async function runChain(mirror: Mirror, launches: readonly Launch[], from: number, mischief: MischiefAtWork | null): Promise<LinksOutcome> {
  try {
    if (mischief !== null) await mischief.disturb(() => false)
    return await runLinks(mirror, launches, from, mischief)
  } finally {
    mischief?.end()
  }
}

async function runLinks(mirror: Mirror, launches: readonly Launch[], from: number, mischief: MischiefAtWork | null): Promise<LinksOutcome> {
  promote(mirror, null)
  const wanted = plansOf(mirror, launches, from, SETS_MAX)
  if (wanted.length < 2) return NOT_CHAINED
  if (wanted.some(({ launch, shape }) => launch.kernel.programNow(shape) === null)) await makePrograms(wanted)
  const slots = wanted.reduce((most, link) => Math.max(most, link.slots), 0)
  const argumentBytes = wanted.reduce((most, { launch }) => Math.max(most, launch.args.byteLength), 0)
  const mayFault = mirror.incomplete > 0
  const tables = mirror.tables.flushed(slots, 0, mayFault) ?? (await mirror.tables.ready(slots, 0, mayFault))
  const buffers = chainNow(tables, argumentBytes, mayFault) ?? (await makeChain(mirror, tables, argumentBytes, mayFault).catch(noRoom))
  if (buffers === null) return NOT_CHAINED
  // While buffers were made the program may have called alloc: what is possible may have changed, and the table be too short.
  const links = linksOf(plansOf(mirror, launches.slice(0, from + wanted.length), from, buffers.tables.length))
  if (links.length < 2 || mirror.incomplete > 0 !== mayFault || mirror.tables.flushed(slots, 0, mayFault) !== tables) return NOT_CHAINED
  return new Chain({ mirror, tables, buffers, links, mischief }).run()
}

/** Those that are not made yet. One that cannot be made is told by the launch that runs alone. */
async function makePrograms(plans: readonly Plan[]): Promise<void> {
  const missing = plans.filter(({ launch, shape }) => launch.kernel.programNow(shape) === null)
  await Promise.allSettled(missing.map(({ launch, shape }) => launch.kernel.program(shape)))
}

function linksOf(plans: readonly Plan[]): Link[] {
  const links: Link[] = []
  for (const plan of plans) {
    const program = plan.launch.kernel.programNow(plan.shape)
    if (program === null) break
    links.push({ ...plan, program })
  }
  return links
}

function noRoom(failure: unknown): null {
  if (failure instanceof DeviceFailure && failure.reason === 'no-memory') return null
  throw failure
}

/** The launches from `from` on that one chain can be made of, with so many grant sets. */
function plansOf(mirror: Mirror, launches: readonly Launch[], from: number, setsMax: number): Plan[] {
  const plans: Plan[] = []
  const all = { reach: new ReachTable(mirror, null), sets: mirror.incomplete > 0 ? new NeedSets(mirror, setsMax) : null }
  for (let n = from, milliseconds = 0; n < launches.length; n++) {
    const plan = planOf(mirror, launches[n] as Launch, all)
    if (plan === null) break
    milliseconds += plan.milliseconds
    if (plans.length > 0 && milliseconds > CHAIN_MILLISECONDS) break
    plans.push(plan)
  }
  return plans
}

/** Null: this launch runs alone. What names bindings of the author's does, for a refusal of the device must find the right one. */
function planOf(mirror: Mirror, launch: Launch, { reach, sets }: { reach: ReachTable; sets: NeedSets | null }): Plan | null {
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
  if (alone || slots === 0 || launch.signal?.aborted === true) return null
  if (kernel.millisecondsPerWorkgroup <= 0 || slots > windowByTime(launch, mirror.plan.windowMax)) return null
  const steady = sets === null ? chooseSteady(mirror, launch, reach) : null
  const needs = sets === null ? null : sets.of(launch)
  if (steady === null && needs === null) return null
  const pools = steady?.variant === 'direct' ? 1 : mirror.dmem.poolsInUse
  const geometry = geometryOf(launch, true, mirror.device.limits.workgroupsPerDimension)
  const variant = steady?.variant ?? (sealOf(mirror, launch) === 'granted' ? 'sealed' : 'attempt')
  const marks = steady?.marks ?? (variant === 'sealed' && needs?.clean === true)
  const shape = { variant, pools, guard: launch.guard, geometry, chained: true, marks } as const
  return { launch, shape, slots, milliseconds: slots * kernel.millisecondsPerWorkgroup, steady, needs }
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

interface ChainParts {
  readonly mirror: Mirror
  readonly tables: TableBuffers
  readonly buffers: ChainBuffers
  readonly links: readonly Link[]
  readonly mischief: MischiefAtWork | null
}

class Chain {
  readonly #mirror: Mirror
  readonly #tables: TableBuffers
  readonly #buffers: ChainBuffers
  readonly #links: readonly Link[]
  /** What its links need, each set once. */
  readonly #needs = new Set<ChainNeeds>()
  readonly #views: ReportViews
  readonly #bindings: DispatchBindings
  /** The same for each set of needs. */
  readonly #grantedBindings: readonly DispatchBindings[]
  /** The one window of all links that have one: it is all that is mapped. */
  readonly #direct: DirectWindow | null
  readonly #directBindings: DispatchBindings
  /** Only in tests. */
  readonly #mischief: MischiefAtWork | null

  constructor({ mirror, tables, buffers, links, mischief }: ChainParts) {
    this.#mischief = mischief
    this.#mirror = mirror
    this.#tables = tables
    this.#buffers = buffers
    this.#links = links
    for (const { needs } of links) if (needs !== null) this.#needs.add(needs)
    this.#views = tables.report.views(links.reduce((most, { slots }) => Math.max(most, slots), 0))
    const { control, args, argsStride } = buffers
    const window = { control: WINDOW_UNIT, args: argsStride }
    const pools = mirror.dmem.poolBuffers
    this.#bindings = { table: tables.table, faults: tables.faults, control, args, pools, window }
    this.#direct = links.find(({ steady }) => steady?.window)?.steady?.window ?? null
    this.#grantedBindings = buffers.tables.map(({ buffer }) => ({ ...this.#bindings, table: buffer }))
    this.#directBindings = { ...this.#bindings, pools: [pools[this.#direct?.pool ?? 0] ?? null] }
  }

  async run(): Promise<LinksOutcome> {
    const { device, copies } = this.#mirror
    const { faults } = this.#tables
    const started = device.now()
    let work: Work[] = [{ kind: 'clear', buffer: faults, offset: 0, byteLength: this.#views.layout.endWords * 4 }]
    let first = 0
    for (let end = this.#segmentEnd(first); end < this.#links.length; end = this.#segmentEnd(first)) {
      // Nobody waits for it: what it did is in the report.
      copies.submit(this.#encode(work, first, end)).catch(() => undefined)
      work = []
      first = end
    }
    const readbacks = [{ from: faults, offset: 0, into: this.#views.bytes }]
    try {
      await copies.submit(this.#encode(work, first, this.#links.length), readbacks)
    } catch (failure) {
      if (device.lostReason === null) noteAllStores(this.#mirror)
      throw failure
    }
    return this.#settle(device.now() - started)
  }

  #prepare(): void {
    if (this.#needs.size > 0) this.#mischief?.vanish()
    for (const needs of this.#needs) this.#sendGrants(needs)
  }

  #sendGrants({ set, written }: ChainNeeds): void {
    const { vmm } = this.#mirror
    const table = this.#buffers.tables[set] as PassTable
    vmm.flushLeaves(table, this.#tables.entries)
    table.send(new Map(written.map((vpn) => [vmm.indexOf(vpn), (vmm.get(vpn) & ~(PTE.load | PTE.exclusive)) >>> 0])))
  }

  /** One submission holds what fits its buffers, and the time of a pass. */
  #segmentEnd(first: number): number {
    const fits = Math.min(this.#links.length, first + this.#buffers.links)
    const most = this.#mischief === null ? fits : first + this.#mischief.segment(fits - first)
    let milliseconds = 0
    for (let n = first; n < most; n++) {
      milliseconds += (this.#links[n] as Link).milliseconds
      if (n > first && milliseconds > PASS_MILLISECONDS) return n
    }
    return most
  }

  /** Writes what the links are told, and adds their dispatches. */
  #encode(work: Work[], first: number, end: number): Work[] {
    // Once for all submissions, unless somebody takes entries away between them.
    if (first === 0 || this.#mischief !== null) this.#prepare()
    const { device } = this.#mirror
    const { control, args, argsStride } = this.#buffers
    const headers = new Uint32Array((end - first) * HEADER_WORDS)
    const argBytes = new Uint8Array((end - first) * argsStride)
    for (let n = first; n < end; n++) {
      const { launch, program, slots, steady, needs } = this.#links[n] as Link
      const direct = steady?.window ?? null
      const place = n - first
      const header = headers.subarray(place * HEADER_WORDS, place * HEADER_WORDS + CONTROL_HEADER_WORDS)
      fillHeader(
        this.#mirror,
        header,
        this.#tables,
        { launch, window: wholeOf(slots), fuel: steady === null ? launch.kernel.fuel : waitsOf(launch), direct },
        this.#views.layout,
      )
      header[CONTROL.link] = FIRST_LINK - n
      argBytes.set(launch.args, place * argsStride)
      const at = { control: place * WINDOW_UNIT, args: place * argsStride }
      if (n > 0 && program.descriptor.collective) work.push(this.#tell(at.control))
      const groups = groupsOf(program, launch, slots, device.limits.workgroupsPerDimension)
      const bindings = needs !== null ? (this.#grantedBindings[needs.set] as DispatchBindings) : direct === null ? this.#bindings : this.#directBindings
      work.push({ kind: 'dispatch', program, bindings, at, groups, authorGroups: launch.authorGroups, args: launch.argValues })
    }
    device.write(control, 0, new Uint8Array(headers.buffer))
    device.write(args, 0, argBytes)
    return work
  }

  /** Whether a link before failed, into the header of one whose workgroups must agree on it. */
  #tell(header: number): Work {
    const { faults } = this.#tables
    return { kind: 'copy', from: faults, fromOffset: FAULT.abort * 4, to: this.#buffers.control, toOffset: header + CONTROL.aborted * 4, byteLength: 4 }
  }

  async #settle(milliseconds: number): Promise<LinksOutcome> {
    const { dmem } = this.#mirror
    const report = decode(this.#views, this.#needs.size === 0, milliseconds)
    this.#noteStores(report)
    for (const { touched } of this.#needs) for (const vpn of touched) dmem.touch(this.#mirror.frameOf(vpn))
    const word = this.#views.words[FAULT.abort] as number
    const done = word === 0 ? this.#links.length : FIRST_LINK - word
    const failed = this.#links[done]
    const results = this.#links.slice(0, done).map(({ steady }) => resultOf(steady))
    this.#trace(done, milliseconds)
    if (failed === undefined) {
      this.#learn(milliseconds)
      return { results, failure: null, alone: false }
    }
    if (failed.needs !== null) {
      failed.launch.kernel.chained(true)
      return { results, failure: null, alone: true }
    }
    const bad = report.badKind === 0 ? null : await readBad(this.#mirror, this.#tables, this.#views, failed.launch, report.badKind)
    const retired = failed.slots - countBits(report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array)
    if (report.fuelOut > 0) return { results, failure: endlessError(failed.launch, waitsOf(failed.launch), retired), alone: false }
    assert(bad !== null, 'where no fault is possible a link fails by a bad access, or by a loop that does not end')
    return { results, failure: accessError(this.#mirror, failed.launch, wholeOf(failed.slots), bad as BadAccess, retired), alone: false }
  }

  /** Nobody can tell which link stored to a page: what one kernel may have stored to is what all have. */
  #noteStores(report: PassReport): void {
    for (const vpn of storedPages(this.#mirror, report)) markStored(this.#mirror, vpn)
    const noted = new Set<unknown>()
    for (const { launch, steady } of this.#links) {
      const history = steady === null ? null : launch.kernel.steadyHistory(launch)
      if (steady === null || noted.has(history)) continue
      noted.add(history)
      noteStores(this.#mirror, launch, report, steady)
    }
  }

  /** All went well. What each kernel took, if the estimates were wrong for all alike. */
  #learn(milliseconds: number): void {
    const estimate = this.#estimate()
    for (const kernel of new Set(this.#links.map(({ launch }) => launch.kernel))) {
      kernel.millisecondsPerWorkgroup *= milliseconds / estimate
      kernel.chained(false)
    }
  }

  #estimate(): number {
    return this.#links.reduce((sum, link) => sum + link.milliseconds, 0)
  }

  #trace(done: number, milliseconds: number): void {
    const { tracer } = this.#mirror.space
    if (!tracer.listens) return
    tracer.emit({ kind: 'chain', device: this.#mirror.label, links: this.#links.length, done, milliseconds })
    const scale = milliseconds / this.#estimate()
    for (const { launch, steady, milliseconds: part } of this.#links.slice(0, done)) {
      const { variant, rounds } = resultOf(steady)
      tracer.emit({ kind: 'dispatch', kernel: launch.kernel.label, variant, rounds, milliseconds: part * scale })
    }
  }
}

/** All workgroups of a launch in their order. */
function wholeOf(slots: number): Window {
  return { slots, lead: 0, worklist: null }
}

function resultOf(steady: Steady | null): DispatchResult {
  return { rounds: 1, faults: 0, hints: 0, bytesIn: 0, bytesOut: 0, evictions: 0, privateCopies: 0, variant: steady?.variant ?? 'attempt' }
}
