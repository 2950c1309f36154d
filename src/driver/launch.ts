// One kernel on one device, and one launch of it, as the driver sees them. Always: a program is made once per variant; history is a hint and
// never decides what is right.

import { SvmError } from '../base/error.ts'
import type { Bytes, Vpn, VpnRange } from '../base/units.ts'
import { type Device, type Program, ProgramFailure, type ProgramVariant } from '../device/device.ts'
import { explainPointerMisuse, explainProgramFailure, type KernelText } from '../wgsl/messages.ts'
import { LOOP_GUARDS, type TranslatedKernel } from '../wgsl/program.ts'
import type { Proof } from '../wgsl/proven.ts'
import type { Geometry } from '../wgsl/wrapper.ts'
import type { Demand } from './forecast.ts'
import { SealHistory } from './seal.ts'
import { SteadyHistory } from './steady.ts'

export type KernelClass = 'grants' | 'transactional' | 'unsplittable'

export interface Launch {
  readonly kernel: DriverKernel
  readonly args: Uint8Array
  readonly argValues: Readonly<Record<string, unknown>>
  /** What distinguishes launches for the history: the pointers among the arguments. */
  readonly historyKey: string
  readonly workgroups: readonly [number, number, number]
  readonly global: readonly [number, number, number]
  readonly offset: readonly [number, number, number]
  /** Work-items beyond `global` must be left out. */
  readonly guard: boolean
  /** Pages that the kernel may reach; null: any. Enforced. */
  readonly reach: readonly VpnRange[] | null
  readonly class: KernelClass
  readonly atomic: boolean
  readonly authorGroups: readonly unknown[]
  readonly signal: AbortSignal | undefined
}

/** What a dispatch did: counts of pages and bytes. */
export interface DispatchResult {
  rounds: number
  faults: number
  hints: number
  bytesIn: Bytes
  bytesOut: Bytes
  evictions: number
  privateCopies: number
  variant: 'attempt' | 'resident' | 'direct'
  /** With `debug`, and only then: accesses that the race detector had no room for. 0: it saw all that it looks at. */
  unwatched?: number
}

/** What one launch needed. */
export interface NeedHistory {
  /** Bits of NEED by page. */
  readonly needs: ReadonlyMap<Vpn, number>
  /** Which workgroups wanted the pages, where that was asked for: when it did not all fit. */
  readonly demands: ReadonlyMap<Vpn, Demand>
  /** How many workgroups it had: demands are told in its numbers, and the next launch like it may have fewer or more. */
  readonly workgroups: number
}

/** What distinguishes the programs of one kernel. */
export interface ProgramShape {
  readonly variant: ProgramVariant
  /** In use. */
  readonly pools: number
  readonly guard: boolean
  readonly geometry: Geometry
  /** It is a link of a chain. */
  readonly chained: boolean
  /** Of the resident variant: stores to clean pages leave marks. */
  readonly marks: boolean
  readonly proof: Proof
}

const HISTORY_MAX = 8
const STEADY_MAX = 32
const UNCHAINED_MAX = 64
const NOTHING_KNOWN: NeedHistory = { needs: new Map(), demands: new Map(), workgroups: 1 }

export class DriverKernel {
  readonly translated: TranslatedKernel
  readonly device: Device
  /** Milliseconds that one workgroup took in the last pass; 0: unknown. */
  millisecondsPerWorkgroup = 0
  /** Loop iterations that an invocation may make in the first pass: what was enough last time. */
  fuel: number
  readonly seals = new SealHistory()
  /** Launches that are not chained where faults are possible, since one in a chain faulted against all expectation; and how many the next time. */
  unchained = 0
  #unchainedNext = 1
  readonly #programs = new Map<string, Promise<Program>>()
  /** Those of them that are made. */
  readonly #made = new Map<string, Program>()
  /** The one that was asked for last. */
  #lastMade: { readonly shape: ProgramShape; readonly program: Program } | null = null
  /** Those that did not compile. */
  readonly #refused = new Set<string>()
  readonly #histories = new Map<string, NeedHistory>()
  readonly #steady = new Map<string, SteadyHistory>()
  #last: SteadyHistory | null = null
  #checked = false
  readonly #text: KernelText
  readonly #watched: boolean

  constructor(device: Device, translated: TranslatedKernel, source: { code: string; entryPoint: string }, watched = false) {
    this.device = device
    this.#watched = watched
    this.translated = translated
    this.fuel = translated.analysis.loops.some(({ guard }) => guard !== 'attempt') ? FUEL_FIRST_OPEN : FUEL_FIRST
    this.#text = { ...source, label: translated.label }
  }

  get label(): string {
    return this.translated.label
  }

  /** @throws SvmError build-failed */
  program(shape: ProgramShape): Promise<Program> {
    const key = keyOf(shape)
    let program = this.#programs.get(key)
    if (program === undefined) {
      program = this.#build(shape)
      this.#programs.set(key, program)
      // A failed build may be tried again (the device may have been busy); the failure itself goes to whoever waits.
      program.then(
        (made) => this.#made.set(key, made),
        () => this.#programs.delete(key),
      )
    }
    return program
  }

  /** The same, if it was made before. */
  programNow(shape: ProgramShape): Program | null {
    if (this.#lastMade !== null && isSameShape(this.#lastMade.shape, shape)) return this.#lastMade.program
    const program = this.#made.get(keyOf(shape)) ?? null
    if (program !== null) this.#lastMade = { shape, program }
    return program
  }

  /** The same; if it was not made, somebody begins to. A variant that does not compile, where another does, is never made. */
  programSoon(shape: ProgramShape): Program | null {
    const made = this.programNow(shape)
    if (made === null) {
      const key = keyOf(shape)
      if (!this.#programs.has(key) && !this.#refused.has(key)) this.program(shape).catch(() => this.#refused.add(key))
    }
    return made
  }

  /** A link of a chain faulted, or a chain ended without a fault. */
  chained(faulted: boolean): void {
    if (faulted) this.unchained = this.#unchainedNext
    this.#unchainedNext = faulted ? Math.min(UNCHAINED_MAX, this.#unchainedNext * 2) : 1
  }

  /** What the last launch with the same pointers needed. */
  history(key: string): NeedHistory {
    return this.#histories.get(key) ?? NOTHING_KNOWN
  }

  remember(key: string, history: NeedHistory): void {
    this.#histories.delete(key)
    this.#histories.set(key, history)
    if (this.#histories.size > HISTORY_MAX) this.#histories.delete(this.#histories.keys().next().value as string)
  }

  /** What is known of launches with the same pointers and work-items that could not fault. */
  steadyHistory({ historyKey, global, offset }: Launch): SteadyHistory {
    const key = `${historyKey} ${global.join()} ${offset.join()}`
    const history = this.#steady.get(key) ?? new SteadyHistory()
    // The one used last comes last, so that the one unused for longest is the first to go.
    if (this.#last !== history) {
      this.#steady.delete(key)
      this.#steady.set(key, history)
      if (this.#steady.size > STEADY_MAX) this.#steady.delete(this.#steady.keys().next().value as string)
      this.#last = history
    }
    return history
  }

  async #build({ variant, pools, guard, geometry, chained, marks, proof }: ProgramShape): Promise<Program> {
    // If nothing compiles the mistake is the author's, and told best of the text that is most like his: the last.
    let failure: SvmError | null = null
    for (const loopGuards of LOOP_GUARDS) {
      const descriptor = this.translated.variant({ variant, pools: widthOf(pools), guard, loopGuards, geometry, chained, marks, proof, watch: this.#watched })
      try {
        const program = await this.device.createProgram(descriptor)
        await this.#check()
        if (loopGuards === 'none') this.#refuseEndless(variant)
        this.translated.built(variant, loopGuards)
        return program
      } catch (thrown) {
        if (!(thrown instanceof ProgramFailure)) throw thrown
        failure = (await this.#misuse(/svm_ptr/)) ?? explainProgramFailure(thrown, this.#text, descriptor)
      }
    }
    throw failure as SvmError
  }

  /** In a pass that may fault a loop that memory ends must end early. @throws SvmError unsupported */
  #refuseEndless(variant: ProgramVariant): void {
    const { loops, variants } = this.translated.analysis
    // Of a kernel that is never attempted the text is only checked.
    if ((variant !== 'attempt' && variant !== 'sealed') || !variants.includes(variant)) return
    const lines = loops.filter(({ guard }) => guard === 'all').map(({ line }) => line)
    if (lines.length === 0) return
    throw new SvmError(
      'unsupported',
      `Kernel ${this.label} cannot run where a fault is possible: a barrier depends on what a loop leaves behind (line ${lines.join(', ')}), so its work-items cannot leave it early. Count it with a bound of its own, or bring all memory with queue.migrate() and declare class 'unsplittable'.`,
      { kernel: this.label },
    )
  }

  /** Operators on svm_ptr are refused in both widths; see wgsl/. */
  async #check(): Promise<void> {
    if (this.#checked) return
    const error = await this.#misuse(/(?:)/)
    if (error !== null) throw error
    this.#checked = true
  }

  /** @param about what the compiler must mention, where a text may have mistakes of other kinds */
  async #misuse(about: RegExp): Promise<SvmError | null> {
    const messages = await this.device.checkText(this.translated.checkText)
    return explainPointerMisuse(
      messages.filter(({ type, text }) => type !== 'error' || about.test(text)),
      this.#text,
    )
  }
}

function keyOf({ variant, pools, guard, geometry, chained, marks, proof }: ProgramShape): string {
  return `${variant} ${widthOf(pools)} ${guard} ${geometry} ${chained} ${marks} ${proof}`
}

/** All of them: one that is missing here does not compile. */
const SHAPE_FIELDS = Object.keys({
  variant: true,
  pools: true,
  guard: true,
  geometry: true,
  chained: true,
  marks: true,
  proof: true,
} satisfies Record<keyof ProgramShape, true>) as (keyof ProgramShape)[]

function isSameShape(a: ProgramShape, b: ProgramShape): boolean {
  for (const field of SHAPE_FIELDS) if (a[field] !== b[field]) return false
  return true
}

/** Modules declare 1, 2, 4 or 8 pools. */
function widthOf(pools: number): 1 | 2 | 4 | 8 {
  return pools <= 1 ? 1 : pools <= 2 ? 2 : pools <= 4 ? 4 : 8
}

/** Iterations in a pass: of kernels whose loops all count, and of others, which may never end. */
export const FUEL_FIRST = 1 << 22
const FUEL_FIRST_OPEN = 1 << 16
/** Iterations of a loop that may wait, where no fault is possible and nothing can be run again. */
const WAITS = { grants: 1 << 22, transactional: 1 << 22, unsplittable: 1 << 26 } as const

export function waitsOf({ class: kind }: Launch): number {
  return WAITS[kind]
}

/** @param iterations that were not enough */
export function endlessError(launch: Launch, iterations: number, retiredWorkgroups: number): SvmError {
  const { label, translated } = launch.kernel
  const { loops, waitLines } = translated.analysis
  const open = [...new Set(loops.filter(({ guard }) => guard !== 'attempt').map(({ line }) => line))]
  const where = open.length === 0 ? '' : ` (line ${open.join(', ')})`
  const waits =
    waitLines.length === 0 || launch.class === 'unsplittable'
      ? ''
      : ` It may wait for what line ${waitLines.join(', ')} asks: if another workgroup has to write that, declare class 'unsplittable'.`
  return new SvmError('access-violation', `Kernel ${label} has a loop${where} that did not end within ${iterations} iterations. Bound the loop.${waits}`, {
    kernel: label,
    retiredWorkgroups,
  })
}

/** Browsers end passes that take long; aim well below. */
export const PASS_MILLISECONDS = 100

/** Workgroups that fit the time of one pass, by what the kernel took last time; at most `most`. */
export function windowByTime({ kernel }: Launch, most: number): number {
  if (kernel.millisecondsPerWorkgroup <= 0) return most
  return Math.min(most, Math.max(1, Math.floor(PASS_MILLISECONDS / kernel.millisecondsPerWorkgroup)))
}

/** The cheapest way to find a workgroup of a window without a list. @param whole the window is the launch @param limit workgroups in a dimension of a dispatch */
export function geometryOf({ workgroups, offset }: Launch, whole: boolean, limit: number): Geometry {
  if (whole && offset.every((n) => n === 0) && workgroups.every((n) => n <= limit)) return 'whole'
  return workgroups[1] === 1 && workgroups[2] === 1 && workgroups[0] <= limit ? 'line' : 'any'
}

/** @throws SvmError aborted */
export function refuseIfAborted(launch: Launch, retiredWorkgroups: number): void {
  if (launch.signal?.aborted !== true) return
  throw new SvmError('aborted', `Kernel ${launch.kernel.label} was stopped by its AbortSignal after ${retiredWorkgroups} workgroups.`, {
    kernel: launch.kernel.label,
    retiredWorkgroups,
  })
}
