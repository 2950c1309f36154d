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
// A link that may not reach all that is mapped goes by a table of its own, or by a window; where faults are possible its grants lie in that table too. Bindings of the
// author's are set link by link. Only the device can tell whether they fit, and it refuses a submission, not a dispatch: so a chain with such links is one
// submission, of which nothing ran when it is refused, and then each launch runs alone.
//
// Always: a launch has exactly the result that it has alone; the tables and frames are constant until the report is there.

import { CONTROL, CONTROL_HEADER_WORDS, FAULT, WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { countBits } from '../base/bitmap.ts'
import type { SvmError } from '../base/error.ts'
import { isWithin, type Vpn } from '../base/units.ts'
import { DeviceFailure, type DispatchBindings, type Program, WINDOW_UNIT, type Work } from '../device/device.ts'
import { type ChainBuffers, chainNow, makeChain, SETS_MAX } from './chain-buffers.ts'
import { type ChainTable, type Plan, plansOf, type Way, waysOf } from './chain-ways.ts'
import { dispatch } from './dispatch.ts'
import type { Evictor } from './evict.ts'
import { accessError, storedPages } from './fault.ts'
import { type DispatchResult, endlessError, type Launch, PASS_MILLISECONDS, waitsOf } from './launch.ts'
import { type MischiefAtWork, mischiefOf } from './mischief.ts'
import { type BadAccess, decode, FIRST_LINK, fillHeader, groupsOf, type PassReport, readBad } from './pass.ts'
import type { PassTable } from './pass-table.ts'
import { promote } from './promote.ts'
import { touchReached } from './reached.ts'
import type { Window } from './remaining.ts'
import type { ReportViews } from './report.ts'
import type { DirectWindow, Steady } from './steady.ts'
import { markStored, noteAllStores, noteStores } from './steady-pass.ts'
import type { Mirror } from './svmm.ts'
import type { TableBuffers } from './tables.ts'

const HEADER_WORDS = WINDOW_UNIT / 4
/** The first submission has so many links, each further one twice as many as the one before: the device begins while the rest is prepared. */
const FIRST_LINKS = 64
/** What the dispatches of one way have in common. */
interface Telling {
  readonly program: Program
  readonly header: Uint32Array
  readonly groups: readonly [number, number, number]
  readonly bindings: DispatchBindings
}

/** How far launches came. */
export interface ChainOutcome {
  /** Of those that are done: the first of the launches. */
  readonly results: DispatchResult[]
  /** Of the launch behind them; null: it did not fail. */
  readonly failure: unknown
  /** So many launches are what failed: more than one where nobody knows how far they came, for their report is lost. */
  readonly failed: number
}

/** How far a chain came. `alone`: so many launches behind must run on the ordinary way. */
type LinksOutcome = ChainOutcome & { readonly alone: number }

const NOT_CHAINED: LinksOutcome = { results: [], failure: null, failed: 0, alone: 1 }

/** Runs launches one after the other, in chains where it can; stops at the first failure. Never rejects. */
export async function dispatchAll(mirror: Mirror, evictor: Evictor, launches: readonly Launch[]): Promise<ChainOutcome> {
  const results: DispatchResult[] = []
  try {
    while (results.length < launches.length) {
      const outcome = await runChain(mirror, launches, results.length, mischiefOf(mirror, evictor))
      results.push(...outcome.results)
      if (outcome.failure !== null) return { results, failure: outcome.failure, failed: outcome.failed }
      for (const next of launches.slice(results.length, results.length + outcome.alone)) {
        if (next.kernel.unchained > 0) next.kernel.unchained--
        results.push(await dispatch(mirror, evictor, next))
      }
    }
    return { results, failure: null, failed: 0 }
  } catch (failure) {
    return { results, failure, failed: 1 }
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
  const ways = waysOf(wanted)
  const slots = ways.reduce((most, way) => Math.max(most, way.slots), 0)
  const argumentBytes = ways.reduce((most, { launch }) => Math.max(most, launch.args.byteLength), 0)
  const own = ways.some(({ table }) => table !== null)
  const ready = ways.every(({ launch, shape }) => launch.kernel.programNow(shape) !== null) ? mirror.tables.flushed(slots, 0, false) : null
  const readyBuffers = ready === null ? null : chainNow(ready, argumentBytes, own)
  if (ready !== null && readyBuffers !== null && ways.every(({ table }) => table === null || table.number < readyBuffers.tables.length)) {
    return new Chain({ mirror, tables: ready, buffers: readyBuffers, links: wanted, mischief }).run()
  }
  await makePrograms(ways)
  const tables = mirror.tables.flushed(slots, 0, false) ?? (await mirror.tables.ready(slots, 0, false))
  const buffers = chainNow(tables, argumentBytes, own) ?? (await makeChain(mirror, tables, argumentBytes, own).catch(noRoom))
  if (buffers === null) return NOT_CHAINED
  // While buffers were made the program may have called alloc: what is possible may have changed, and the table be too short.
  const links = linksOf(plansOf(mirror, launches.slice(0, from + wanted.length), from, buffers.tables.length))
  if (links.length < 2 || mirror.tables.flushed(slots, 0, false) !== tables) return NOT_CHAINED
  return new Chain({ mirror, tables, buffers, links, mischief }).run()
}

/** Those that are not made yet. One that cannot be made is told by the launch that runs alone. */
async function makePrograms(ways: readonly Way[]): Promise<void> {
  const missing = ways.filter(({ launch, shape }) => launch.kernel.programNow(shape) === null)
  await Promise.allSettled(missing.map(({ launch, shape }) => launch.kernel.program(shape)))
}

/** The first of them, as far as there are programs. */
function linksOf(plans: readonly Plan[]): readonly Plan[] {
  const missing = new Set(waysOf(plans).filter(({ launch, shape }) => launch.kernel.programNow(shape) === null))
  const end = missing.size === 0 ? -1 : plans.findIndex(({ way }) => missing.has(way))
  return end < 0 ? plans : plans.slice(0, end)
}

function noRoom(failure: unknown): null {
  if (failure instanceof DeviceFailure && failure.reason === 'no-memory') return null
  throw failure
}

interface ChainParts {
  readonly mirror: Mirror
  readonly tables: TableBuffers
  readonly buffers: ChainBuffers
  readonly links: readonly Plan[]
  readonly mischief: MischiefAtWork | null
}

class Chain {
  readonly #mirror: Mirror
  readonly #tables: TableBuffers
  readonly #buffers: ChainBuffers
  readonly #links: readonly Plan[]
  readonly #tellings = new Map<Way, Telling>()
  /** Those of its own. */
  readonly #own = new Set<ChainTable>()
  readonly #mayFault: boolean
  /** Some links name bindings of the author's. */
  readonly #named: boolean
  readonly #views: ReportViews
  readonly #bindings: DispatchBindings
  /** The same for each table of its own. */
  readonly #ownBindings: readonly DispatchBindings[]
  /** For links that have a window, by its pool. */
  readonly #directBindings = new Map<number, DispatchBindings>()
  /** Only in tests. */
  readonly #mischief: MischiefAtWork | null

  constructor({ mirror, tables, buffers, links, mischief }: ChainParts) {
    this.#mischief = mischief
    this.#mirror = mirror
    this.#tables = tables
    this.#buffers = buffers
    this.#named = links.some(({ launch }) => namesBindings(launch))
    this.#links = this.#named ? links.slice(0, this.#segmentEnd(links, 0)) : links
    const ways = waysOf(this.#links)
    for (const { table } of ways) if (table !== null) this.#own.add(table)
    this.#mayFault = ways.some(({ steady }) => steady === null)
    this.#views = tables.report.views(ways.reduce((most, { slots }) => Math.max(most, slots), 0))
    const { control, args, argsStride } = buffers
    const window = { control: WINDOW_UNIT, args: argsStride }
    const pools = mirror.dmem.poolBuffers
    this.#bindings = { table: tables.table, faults: tables.faults, control, args, pools, window }
    this.#ownBindings = buffers.tables.map(({ buffer }) => ({ ...this.#bindings, table: buffer }))
    for (const way of ways) this.#tellings.set(way, this.#tellingOf(way))
  }

  #tellingOf({ launch, shape, slots, steady, table }: Way): Telling {
    const { kernel } = launch
    const program = kernel.programNow(shape) as Program
    const direct = steady?.window ?? null
    const header = new Uint32Array(CONTROL_HEADER_WORDS)
    const told = { launch, window: wholeOf(slots), fuel: steady === null ? kernel.fuel : waitsOf(launch), direct }
    fillHeader(this.#mirror, header, this.#tables, told, this.#views.layout)
    const groups = groupsOf(program, launch, slots, this.#mirror.device.limits.workgroupsPerDimension)
    const bindings = table !== null ? (this.#ownBindings[table.number] as DispatchBindings) : direct === null ? this.#bindings : this.#bindingsOf(direct)
    return { program, header, groups, bindings }
  }

  /** The direct variant has one pool. */
  #bindingsOf({ pool }: DirectWindow): DispatchBindings {
    const found = this.#directBindings.get(pool) ?? { ...this.#bindings, pools: [this.#bindings.pools[pool] ?? null] }
    this.#directBindings.set(pool, found)
    return found
  }

  async run(): Promise<LinksOutcome> {
    const { device, copies } = this.#mirror
    const { faults } = this.#tables
    const started = device.now()
    let work: Work[] = [{ kind: 'clear', buffer: faults, offset: 0, byteLength: this.#views.layout.endWords * 4 }]
    let first = 0
    const endOf = (from: number) => (this.#named ? this.#links.length : this.#segmentEnd(this.#links, from))
    for (let end = endOf(first); end < this.#links.length; end = endOf(first)) {
      // Nobody waits for it: what it did is in the report.
      copies.submit(this.#encode(work, first, end)).catch(() => undefined)
      work = []
      first = end
    }
    const readbacks = [{ from: faults, offset: 0, into: this.#views.bytes }]
    try {
      await copies.submit(this.#encode(work, first, this.#links.length), readbacks)
    } catch (failure) {
      // The device did not take it, and nothing of it ran: alone the launch that is wrong is refused for itself.
      if (this.#named && !(failure instanceof DeviceFailure)) return { ...NOT_CHAINED, alone: this.#links.length }
      if (device.lostReason === null) noteAllStores(this.#mirror)
      return { results: [], failure, failed: this.#links.length, alone: 0 }
    }
    return this.#settle(device.now() - started)
  }

  #prepare(): void {
    if (this.#mayFault) this.#mischief?.vanish((vpn) => this.#isReached(vpn))
    this.#mirror.vmm.flush(this.#tables.table, this.#tables.entries)
    for (const table of this.#own) this.#send(table)
  }

  /** A link that cannot fault touches the page. */
  #isReached(vpn: Vpn): boolean {
    for (const { steady, launch } of this.#tellings.keys()) if (steady !== null && isWithin(steady.reached?.parts ?? launch.reach, vpn)) return true
    return false
  }

  #send({ number, base, needs }: ChainTable): void {
    const { vmm } = this.#mirror
    const table = this.#buffers.tables[number] as PassTable
    vmm.flushLeaves(table, this.#tables.entries)
    table.rebase(base)
    table.send(new Map(needs?.written.map((vpn) => [vmm.indexOf(vpn), (vmm.get(vpn) & ~(PTE.load | PTE.exclusive)) >>> 0])))
  }

  /** One submission holds what fits its buffers, and the time of a pass. */
  #segmentEnd(links: readonly Plan[], first: number): number {
    const begins = this.#named ? links.length : first + FIRST_LINKS
    const fits = Math.min(links.length, first + Math.min(this.#buffers.links, begins))
    const most = this.#mischief === null ? fits : first + this.#mischief.segment(fits - first)
    let milliseconds = 0
    for (let n = first; n < most; n++) {
      milliseconds += (links[n] as Plan).way.milliseconds
      if (n > first && milliseconds > PASS_MILLISECONDS) return n
    }
    return most
  }

  /** Writes what the links are told, and adds their dispatches. */
  #encode(work: Work[], first: number, end: number): Work[] {
    // Once for all submissions, unless somebody takes entries away between them.
    if (first === 0 || this.#mischief !== null) this.#prepare()
    const { device } = this.#mirror
    const { control, args, argsStride, places } = this.#buffers
    const headers = new Uint32Array((end - first) * HEADER_WORDS)
    const argBytes = new Uint8Array((end - first) * argsStride)
    for (let n = first; n < end; n++) {
      const { launch, way } = this.#links[n] as Plan
      const { program, header, groups, bindings } = this.#tellings.get(way) as Telling
      const place = n - first
      headers.set(header, place * HEADER_WORDS)
      headers[place * HEADER_WORDS + CONTROL.link] = FIRST_LINK - n
      argBytes.set(launch.args, place * argsStride)
      const at = places[place] as (typeof places)[number]
      if (n > 0 && program.descriptor.abort === 'told') work.push(this.#tell(at.control))
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
    const word = this.#views.words[FAULT.abort] as number
    const done = word === 0 ? this.#links.length : FIRST_LINK - word
    const failed = this.#links[done]
    const report = decode(this.#views, failed?.way.steady !== null, milliseconds)
    this.#noteStores(report)
    for (const { needs } of this.#own) for (const vpn of needs?.touched ?? []) dmem.touch(this.#mirror.frameOf(vpn))
    if (this.#mirror.incomplete > 0) for (const { steady } of this.#tellings.keys()) if (steady?.reached) touchReached(this.#mirror, steady.reached)
    const results = this.#links.slice(0, done).map(({ way }) => resultOf(way.steady))
    this.#trace(done, milliseconds)
    if (failed === undefined) {
      this.#learn(milliseconds)
      return { results, failure: null, failed: 0, alone: 0 }
    }
    if (failed.way.steady === null) {
      failed.launch.kernel.chained(true)
      return { results, failure: null, failed: 0, alone: 1 }
    }
    // Also when nobody can tell why: the links before it are done.
    const failure = await this.#whyFailed(failed, report).catch((why: unknown) => why)
    return { results, failure, failed: 1, alone: 0 }
  }

  /** Of a link that could not fault. @throws DeviceFailure */
  async #whyFailed({ launch, way }: Plan, report: PassReport): Promise<SvmError> {
    const bad = report.badKind === 0 ? null : await readBad(this.#mirror, this.#tables, this.#views, launch, report.badKind)
    const retired = way.slots - countBits(report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array)
    if (report.fuelOut > 0) return endlessError(launch, waitsOf(launch), retired)
    assert(bad !== null, 'where no fault is possible a link fails by a bad access, or by a loop that does not end')
    return accessError(this.#mirror, launch, wholeOf(way.slots), bad as BadAccess, retired)
  }

  /** Nobody can tell which link stored to a page: what one kernel may have stored to is what all have. */
  #noteStores(report: PassReport): void {
    for (const vpn of storedPages(this.#mirror, report)) markStored(this.#mirror, vpn)
    for (const { launch, steady } of this.#tellings.keys()) if (steady !== null) noteStores(this.#mirror, launch, report, steady)
  }

  /** All went well. What each kernel took, if the estimates were wrong for all alike. */
  #learn(milliseconds: number): void {
    const estimate = this.#estimate()
    for (const kernel of new Set([...this.#tellings.keys()].map(({ launch }) => launch.kernel))) {
      kernel.millisecondsPerWorkgroup *= milliseconds / estimate
      kernel.chained(false)
    }
  }

  #estimate(): number {
    return this.#links.reduce((sum, { way }) => sum + way.milliseconds, 0)
  }

  #trace(done: number, milliseconds: number): void {
    const { tracer } = this.#mirror.space
    if (!tracer.listens) return
    tracer.emit({ kind: 'chain', device: this.#mirror.label, links: this.#links.length, done, milliseconds })
    const scale = milliseconds / this.#estimate()
    for (const { launch, way } of this.#links.slice(0, done)) {
      const { variant, rounds } = resultOf(way.steady)
      tracer.emit({ kind: 'dispatch', kernel: launch.kernel.label, variant, rounds, milliseconds: way.milliseconds * scale })
    }
  }
}

/** The device may refuse it. */
function namesBindings({ kernel, authorGroups }: Launch): boolean {
  return authorGroups.length > 0 || kernel.translated.authorBindings.length > 0
}

/** All workgroups of a launch in their order. */
function wholeOf(slots: number): Window {
  return { slots, lead: 0, worklist: null }
}

function resultOf(steady: Steady | null): DispatchResult {
  return { rounds: 1, faults: 0, hints: 0, bytesIn: 0, bytesOut: 0, evictions: 0, privateCopies: 0, variant: steady?.variant ?? 'attempt' }
}
