// The one order of a space. Every command and every call on Svm takes a place in it, the order of the JavaScript calls.
//
// Entries of a lane that may run one after the other and can be run together are: that is a chain (driver/chain). In a lane out of order one that
// waits is passed over.
//
// Always: at most one entry or chain runs; an entry runs when its own wait list is settled, its in-order predecessor has ended and no barrier before it
// is left; a barrier (a call on Svm) runs when everything before it has ended. Of those that may run, the earliest does. So a dispatch is
// isolated: between its rounds nothing else happens.

import { SvmError } from '../base/error.ts'
import { LAUNCHES_MAX } from '../drm/request.ts'

/** What an in-order queue contributes: who failed, and what comes behind. */
export interface Lane {
  readonly inOrder: boolean
}

export interface Entry {
  readonly lane: Lane | null
  /** A call on Svm: ordered against everything. */
  readonly barrier: boolean
  /** Runs although what is before it in its queue failed (unmap, free, migrate to the host). */
  readonly hardy: boolean
  readonly waitFor: readonly PromiseLike<unknown>[]
  readonly signal: AbortSignal | undefined
  /** Does the work. Never throws synchronously. */
  run(): Promise<void>
  /** Where several entries that follow each other can be run in one go: does that, in their order. The same function for all of them. */
  readonly runAll?: ((entries: readonly Entry[]) => Promise<void>) | undefined
  /** The entry will not run. */
  refuse(error: SvmError): void
}

/** What becomes of a command when one before it in its in-order queue failed. */
export function dependencyFailed(cause: unknown): SvmError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new SvmError('dependency-failed', `A command before this one in its queue failed, so this one did not run: ${why}`, { cause })
}

/** Entries that run in one go. */
const CHAIN_MAX = LAUNCHES_MAX

interface Place {
  readonly entry: Entry
  waits: number
  failure: SvmError | null
  running: boolean
}

export class Sequencer {
  /** In the order of the calls. */
  #places: Place[] = []
  #running = false
  /** A look at what may run is due, when the program has made its calls. */
  #due = false
  #idle: (() => void)[] = []
  #closed: SvmError | null = null

  add(entry: Entry): void {
    if (this.#closed !== null) {
      entry.refuse(this.#closed)
      return
    }
    const place: Place = { entry, waits: entry.waitFor.length, failure: null, running: false }
    this.#places.push(place)
    for (const wait of entry.waitFor) this.#watch(place, wait)
    entry.signal?.addEventListener('abort', () => this.#abort(place), { once: true })
    if (entry.runAll === undefined) this.#pump()
    else this.#pumpSoon()
  }

  /** Resolves when nothing is left. */
  whenIdle(): Promise<void> {
    if (this.#places.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** From now on entries are refused. */
  close(error: SvmError): void {
    this.#closed = error
  }

  open(): void {
    this.#closed = null
  }

  /** A command of `lane` failed: what is enqueued behind it fails too, but for hardy entries. */
  failBehind(lane: Lane, cause: unknown, failed: Entry): void {
    const at = this.#places.findIndex((place) => place.entry === failed)
    for (const place of this.#places.slice(at + 1)) {
      if (place.entry.lane !== lane || place.entry.hardy || place.failure !== null) continue
      place.failure = dependencyFailed(cause)
    }
  }

  #watch(place: Place, wait: PromiseLike<unknown>): void {
    wait.then(
      () => {
        place.waits--
        this.#pump()
      },
      (cause: unknown) => {
        const why = cause instanceof Error ? cause.message : String(cause)
        place.failure ??= new SvmError('dependency-failed', `Something in waitFor failed, so this command did not run: ${why}`, { cause })
        place.waits--
        this.#pump()
      },
    )
  }

  #abort(place: Place): void {
    if (place.running) return
    place.failure ??= new SvmError('aborted', 'The command was aborted by its signal before it started. Nothing ran.', { cause: place.entry.signal?.reason })
    this.#pump()
  }

  #pump(): void {
    if (this.#running) return
    const next = this.#next()
    if (next !== null) void this.#start(next)
  }

  /** What the program enqueues in the same go as this can be run with it. */
  #pumpSoon(): void {
    if (this.#running || this.#due) return
    this.#due = true
    queueMicrotask(() => {
      this.#due = false
      this.#pump()
    })
  }

  /** The earliest entry that may run. */
  #next(): Place | null {
    const only = this.#places[0]
    if (only === undefined) return null
    if (this.#places.length === 1) return only.waits === 0 || only.failure !== null || only.entry.barrier ? only : null
    const lanes = new Set<Lane>()
    for (let at = 0; at < this.#places.length; at++) {
      const place = this.#places[at] as Place
      const { entry } = place
      if (entry.barrier) return at === 0 ? place : null
      const blocked = entry.lane?.inOrder === true && lanes.has(entry.lane)
      if (!blocked && (place.waits === 0 || place.failure !== null)) return place
      if (entry.lane !== null) lanes.add(entry.lane)
    }
    return null
  }

  async #start(place: Place): Promise<void> {
    this.#running = true
    place.running = true
    if (place.failure !== null || place.entry.signal?.aborted === true) {
      place.failure ??= new SvmError('aborted', 'The command was aborted by its signal before it started. Nothing ran.', { cause: place.entry.signal?.reason })
      place.entry.refuse(place.failure)
    } else {
      const chain = this.#chainFrom(place)
      if (chain.length > 1 && place.entry.runAll !== undefined) await place.entry.runAll(chain)
      else await place.entry.run()
    }
    this.#places = this.#places.filter(({ running }) => !running)
    this.#running = false
    if (this.#places.length === 0) for (const resolve of this.#idle.splice(0)) resolve()
    this.#pump()
  }

  /** The entry, and those of its lane that would run right after it, one after the other, and can be run with it. */
  #chainFrom(first: Place): Entry[] {
    const { lane, runAll } = first.entry
    const chain = [first.entry]
    if (lane === null || runAll === undefined || this.#places.length === 1) return chain
    const waiting = new Set<Lane>()
    for (let at = this.#places.indexOf(first) + 1; at < this.#places.length && chain.length < CHAIN_MAX; at++) {
      const place = this.#places[at] as Place
      const { entry } = place
      const ready = place.waits === 0 || place.failure !== null
      if (entry.barrier) break
      if (entry.lane !== lane) {
        // Of another queue: its turn comes before what was called later, unless it waits.
        if (ready && !(entry.lane?.inOrder === true && waiting.has(entry.lane))) break
        if (entry.lane !== null) waiting.add(entry.lane)
        continue
      }
      if (!ready && !lane.inOrder) continue
      if (entry.runAll !== runAll || !ready || place.failure !== null || entry.signal?.aborted === true) break
      place.running = true
      chain.push(entry)
    }
    return chain
  }
}
