// One run: operations, one after the other or together; after each, what must hold is looked at, and every byte is compared. Always: a run is a
// function of its seed and the operations that are kept; its digest tells two runs apart.

import { SvmError } from '../src/base/error.ts'
import { eventLoopTurn } from '../src/device/sim/latency.ts'
import type { SimDevice } from '../src/device/sim/sim-device.ts'
import { PAGE } from '../src/mm/page-table.ts'
import { frameBytes } from './check.ts'
import * as commands from './command.ts'
import { codesOf, type Day, expectBytes, type Outcome, type Started, Wrong } from './day.ts'
import { Faults } from './faults.ts'
import { chase, launch, resident, wild } from './launch.ts'
import { Model } from './model.ts'
import { type FaultKind, makeOps, mixSeed, OP_KINDS, type Op, type OpKind, SLOTS } from './op.ts'
import { abandon, evict, mixed, race } from './race.ts'
import { Scheduler } from './scheduler.ts'
import { openWorld, PAGE_BYTES } from './world.ts'

/** Operations that the fuzzer knows, and this version of the library does not have. */
export const NOT_THERE: readonly string[] = []

export interface RunWish {
  readonly seed: number
  readonly steps: number
  /** Only these operations; all when left out. */
  readonly ops?: readonly number[]
  readonly onStep?: (index: number) => void
}

export interface RunReport {
  readonly ok: boolean
  readonly seed: number
  readonly steps: number
  /** Operations that found something to do. */
  readonly operations: number
  readonly byOperation: Readonly<Record<OpKind, number>>
  /** How often each invariant was checked. */
  readonly checked: Readonly<Record<string, number>>
  /** Launches by variant, and how often what a resident one had stored came home by a copy. */
  readonly dispatches: Readonly<Record<'attempt' | 'resident' | 'broughtHome', number>>
  readonly failuresInjected: number
  readonly failures: Readonly<Record<FaultKind, number>>
  readonly arrows: Readonly<Record<string, number>>
  /** Of everything that was traced, and every outcome. */
  readonly digest: string
  readonly failure: { readonly index: number; readonly operation: string; readonly message: string } | null
}

/** They start when nothing is under way, and nothing starts beside them. */
const ALONE: ReadonlySet<OpKind> = new Set(['chase', 'resident', 'evict', 'abandon', 'race', 'mixed', 'release', 'lose', 'close'])
/** They end memory, or need none. */
const WITHOUT_MEMORY: ReadonlySet<OpKind> = new Set(['free', 'cut', 'unmap', 'evict', 'release', 'look', 'wild', 'alloc', 'mmap'])
/** Nothing starts after them until they have ended: what comes later depends on how they end. */
const LAST: ReadonlySet<OpKind> = new Set(['migrate-undefined', 'store', 'add', 'copy', 'count', 'ticket', 'wild', 'free', 'mmap', 'map', 'cut', 'protect'])

type Starter = (day: Day, op: Op) => Started | null
const STARTERS: Readonly<Record<Exclude<OpKind, 'lose' | 'close'>, Starter>> = {
  alloc: commands.alloc,
  mmap: commands.mmap,
  free: commands.free,
  read: commands.read,
  write: commands.write,
  memcpy: commands.memcpy,
  memfill: commands.memfill,
  buffers: commands.buffers,
  map: commands.map,
  unmap: commands.unmap,
  'migrate-to-device': (day, op) => (isTwice(op) ? commands.migrateTwice(day, op) : commands.migrate(day, op)),
  'migrate-home': commands.migrate,
  'migrate-undefined': commands.migrate,
  'migrate-all': commands.migrate,
  store: launch,
  add: launch,
  copy: launch,
  count: launch,
  ticket: launch,
  chase,
  resident,
  wild,
  evict,
  abandon,
  race,
  mixed,
  cut: commands.cut,
  protect: commands.protect,
  release: commands.release,
  advise: commands.advise,
  look: commands.look,
}

export async function run(wish: RunWish): Promise<RunReport> {
  return new Run(wish).go()
}

function isTwice(op: Op): boolean {
  return op.kind === 'migrate-to-device' && commands.coin(op, 14)
}

interface UnderWay {
  readonly op: Op
  readonly started: Started
  outcome: Outcome | null
}

class Run {
  readonly #wish: RunWish
  readonly #scheduler = new Scheduler()
  readonly #faults = new Faults()
  readonly #counts = new Map<number, number>()
  readonly #arrows: Record<string, number> = {}
  readonly #byOperation = Object.fromEntries(OP_KINDS.filter((kind) => !NOT_THERE.includes(kind)).map((kind) => [kind, 0])) as Record<OpKind, number>
  readonly #dispatches = { attempt: 0, resident: 0, broughtHome: 0 }
  #day!: Day
  #underWay: UnderWay[] = []
  #last: Op | null = null
  #worlds = 0
  /** Before the present world was opened. */
  #buffersFailed = 0
  #digest = 0x811c9dc5

  constructor(wish: RunWish) {
    this.#wish = wish
  }

  async go(): Promise<RunReport> {
    const kept = this.#wish.ops === undefined ? null : new Set(this.#wish.ops)
    const ops = makeOps(this.#wish.seed, this.#wish.steps).filter(({ index }) => kept === null || kept.has(index))
    let failure: RunReport['failure'] = null
    try {
      await this.#open()
      for (const op of ops) await this.#step(op)
      await this.#settle()
      await this.#close()
    } catch (thrown) {
      // Who stood around a check that failed may have made another error of it.
      const error = this.#day?.world.checker.broken ?? thrown
      const operation = this.#last === null ? 'open' : `${this.#last.kind} (operation ${this.#last.index})`
      failure = { index: this.#last?.index ?? -1, operation, message: error instanceof Error ? error.message : String(error) }
    }
    return this.#report(failure)
  }

  #report(failure: RunReport['failure']): RunReport {
    if (failure !== null) this.#countArrows()
    const { seed, steps } = this.#wish
    const operations = Object.values(this.#byOperation).reduce((sum, count) => sum + count, 0)
    const checked = Object.fromEntries([...this.#counts].sort(([a], [b]) => a - b))
    const failures = this.#faults.counts
    const digest = this.#digest.toString(16).padStart(8, '0')
    const { total } = this.#faults
    return {
      ok: failure === null,
      seed,
      steps,
      operations,
      byOperation: this.#byOperation,
      checked,
      dispatches: this.#dispatches,
      failuresInjected: total,
      failures,
      arrows: this.#arrows,
      digest,
      failure,
    }
  }

  async #step(op: Op): Promise<void> {
    const alone = ALONE.has(op.kind) || isTwice(op)
    const before = this.#underWay.at(-1)
    if (!op.together || alone || (before !== undefined && LAST.has(before.op.kind))) await this.#settle()
    this.#last = op
    this.#wish.onStep?.(op.index)
    if (this.#underWay.length === 0) {
      this.#scheduler.reseed(mixSeed(this.#wish.seed, 1_000_000 + op.index))
      this.#faults.clear()
    }
    if (op.fault !== null && op.kind !== 'close') this.#faults.arm(op.fault)
    await this.#start(op)
    if (alone) await this.#settle()
  }

  async #start(op: Op): Promise<void> {
    if (op.kind === 'lose') return this.#lose(op)
    if (op.kind === 'close') return this.#reopen()
    if (this.#day.slots[op.slot] === null && !WITHOUT_MEMORY.has(op.kind)) {
      if (commands.coin(op, 20) && commands.coin(op, 21)) return this.#put({ ...op, kind: 'mmap' }, commands.mmap(this.#day, op))
      commands.alloc(this.#day, op)
      this.#byOperation.alloc++
      // Its first bytes are still being written, and what is below the order of the calls does not wait for them.
      if (ALONE.has(op.kind)) await this.#settle()
    }
    try {
      this.#put(op, STARTERS[op.kind](this.#day, op))
    } catch (error) {
      // Errors of arguments are thrown by the call, and no argument is wrong, unless the device has left.
      if (error instanceof SvmError && error.code === 'closed' && this.#day.released.has(commands.mirrorOf(this.#day, op).memory)) return
      throw error instanceof SvmError ? new Wrong(`was refused: ${error.code} ${error.message}`) : error
    }
  }

  /** It is under way. */
  #put(op: Op, started: Started | null): void {
    if (started === null) return
    if (!NOT_THERE.includes(op.kind)) this.#byOperation[op.kind]++
    const entry: UnderWay = { op, started, outcome: null }
    this.#underWay.push(entry)
    started.done.then(
      (value) => {
        entry.outcome = { code: 'ok', value, message: '' }
      },
      (error: unknown) => {
        entry.outcome = { code: codeOf(error), value: null, message: error instanceof Error ? error.message : String(error) }
      },
    )
  }

  /** Everything under way ends, is judged, and then everything is looked at. */
  async #settle(): Promise<void> {
    const day = this.#day
    const { checker } = day.world
    if (this.#underWay.length > 0) checker.note(58)
    await this.#scheduler.run(
      () => this.#underWay.every(({ outcome }) => outcome !== null),
      (pick) => this.#look(pick),
    )
    if (checker.broken !== null) throw checker.broken
    day.may = codesOf(this.#faults.struck)
    // Losses are taken note of by the next call.
    day.world.svm.stats()
    for (const { op, started, outcome } of this.#underWay) {
      this.#last = op
      this.#mix(`${op.index} ${outcome?.code}`)
      if (outcome?.code === 'internal') throw new Wrong(outcome.message)
      started.judge(outcome as Outcome)
    }
    const unasked = day.world.reported.filter(({ code }) => !day.may.has(code))
    if (unasked.length > 0) throw new Wrong(`reported what nobody asked for: ${unasked[0]?.code} ${unasked[0]?.message}`)
    day.world.reported.length = 0
    this.#underWay = []
    day.events = []
    day.ended = []
    this.#noteLosses()
    checker.atRest()
    const compared = this.#compareAll()
    if (this.#faults.struck.length > 0 && compared > 0) checker.note(38)
    this.#faults.clear()
    if (compared > 0) await this.#staysAsItIs()
  }

  /** Nobody is at it: whatever was put off would show itself now. */
  async #staysAsItIs(): Promise<void> {
    const { checker, port } = this.#day.world
    const moves = () => JSON.stringify([port.space.pages.arrows(), port.mirrors.map(({ vmm }) => vmm.written), port.space.notifiers.sequence])
    const before = moves()
    await eventLoopTurn()
    checker.expect(59, before === moves(), () => `nobody was at it, and ${before} became ${moves()}`)
    checker.expect(60, this.#scheduler.waiting === 0, () => `${this.#scheduler.waiting} wait for something, and nothing is under way`)
  }

  #look(pick: number): void {
    const { checker, devices } = this.#day.world
    const busy = this.#scheduler.waiting > 0 || this.#underWay.some(({ outcome }) => outcome === null)
    checker.always(busy)
    if (!busy || pick === 0) return
    const loss = this.#faults.strikes('loss')
    if (loss !== null) (devices[loss.device % devices.length] as SimDevice).lose('a loss at an await')
  }

  /** What only a lost device had is lost, and nothing else. */
  #noteLosses(): void {
    const { model, world } = this.#day
    const { checker, devices, port } = world
    for (const vpn of model.pages) {
      const lost = port.space.pages.state(vpn) === PAGE.lost
      const left = devices.some(({ lostReason }) => lostReason !== null) || this.#day.released.size > 0
      if (lost) checker.note(13)
      if (lost === model.lost.has(vpn)) {
        if (left) checker.note(61)
        continue
      }
      checker.expect(13, lost, () => `page ${vpn} was lost, and is ${port.space.pages.print(vpn)} without having been overwritten`)
      const gone = devices.some(({ lostReason }) => lostReason !== null)
      checker.expect(61, gone && model.exposed.has(vpn), () => `page ${vpn} is lost, and no device that is gone had its only copy`)
      model.lost.add(vpn)
    }
  }

  /** Every byte that can be looked at, wherever it is, without moving it. Returns of how many pages. */
  #compareAll(): number {
    const { model, world, holds } = this.#day
    const { space, mirrors } = world.port
    let compared = 0
    for (const vpn of model.pages) {
      const held = holds.some(({ mode, pointer, byteLength }) => mode !== 'read' && model.pagesOf(pointer, byteLength).includes(vpn))
      if (held || model.lost.has(vpn)) continue
      const vma = space.addresses.find(vpn)
      if (vma === undefined) throw new Wrong(`page ${vpn} is not mapped any more`)
      const mirror = space.pages.isDevicePrivate(vpn) ? mirrors[space.pages.memory(vpn)] : undefined
      const bytes = mirror !== undefined ? frameBytes(mirror, vpn) : space.hostRun(vma, vpn, 1)
      if (bytes === null) continue
      expectBytes(this.#day, vpn * PAGE_BYTES, bytes.subarray(0, PAGE_BYTES), 'at rest')
      compared++
      world.checker.note(4)
      if (mirror === undefined && !isUntouched(space.pages.state(vpn))) world.checker.note(37)
    }
    return compared
  }

  #lose(op: Op): void {
    const { devices } = this.#day.world
    const device = devices[op.device % devices.length] as SimDevice
    if (device.lostReason !== null) return
    this.#byOperation.lose++
    this.#faults.counts.loss++
    device.lose('a loss between two operations')
  }

  async #reopen(): Promise<void> {
    this.#byOperation.close++
    await this.#close()
    await this.#open()
  }

  async #open(): Promise<void> {
    const seed = mixSeed(this.#wish.seed, 2_000_000 + this.#worlds++)
    this.#scheduler.reseed(seed)
    this.#buffersFailed = this.#faults.counts.buffer
    const onEvent = (event: unknown) => this.#mix(JSON.stringify(event))
    const world = await openWorld({ seed, scheduler: this.#scheduler, faults: this.#faults, counts: this.#counts, onEvent })
    const model = new Model(PAGE_BYTES)
    const slots = new Array<null>(SLOTS).fill(null)
    this.#day = {
      world,
      model,
      slots,
      access: new Map(),
      released: new Set(),
      scheduler: this.#scheduler,
      faults: this.#faults,
      broughtHome: 0,
      holds: [],
      ended: [],
      events: [],
      may: new Set(),
    }
  }

  /** The space goes, and takes everything that it made with it. */
  async #close(): Promise<void> {
    const { world, model, broughtHome } = this.#day
    const { attempt, resident } = world.svm.stats().dispatches
    this.#dispatches.attempt += attempt
    this.#dispatches.resident += resident
    this.#dispatches.broughtHome += broughtHome
    let open = true
    const closing = world.svm.close().finally(() => {
      open = false
    })
    // It is awaited below: until then a failure of it is nobody's.
    closing.catch(() => undefined)
    await this.#scheduler.run(
      () => !open,
      () => undefined,
    )
    await closing
    this.#countArrows()
    const unmade = this.#faults.counts.buffer - this.#buffersFailed
    for (const device of world.devices) {
      if (device.lostReason !== null) continue
      world.checker.expect(45, device.liveBytes === 0, () => `${device.label} still holds ${device.liveBytes} bytes after close`)
      if (unmade > 0)
        world.checker.expect(46, device.liveBytes === 0, () => `${device.label} holds ${device.liveBytes} bytes after ${unmade} buffers could not be made`)
    }
    const said = world.reported.filter(({ code }) => code === 'device-lost').length
    world.checker.expect(61, said === (model.lost.size > 0 ? 1 : 0), () => `${model.lost.size} pages are lost at close, and ${said} reports were made of it`)
  }

  #countArrows(): void {
    const arrows = this.#day?.world.port.space.pages.arrows() ?? {}
    for (const [name, count] of Object.entries(arrows)) this.#arrows[name] = (this.#arrows[name] ?? 0) + count
  }

  /** FNV-1a. */
  #mix(text: string): void {
    for (let i = 0; i < text.length; i++) this.#digest = Math.imul(this.#digest ^ text.charCodeAt(i), 0x01000193) >>> 0
  }
}

function isUntouched(state: number): boolean {
  return state === PAGE.none || state === PAGE.zero
}

function codeOf(error: unknown): string {
  if (error instanceof SvmError) return error.code
  return (error as { code?: string }).code ?? 'internal'
}
