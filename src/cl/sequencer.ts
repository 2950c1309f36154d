// The one order of a space. Every command and every call on Svm takes a place in it, the order of the JavaScript calls.
//
// Always: at most one entry runs; an entry runs when its own wait list is settled, its in-order predecessor has ended and no barrier before it
// is left; a barrier (a call on Svm) runs when everything before it has ended. Of those that may run, the earliest does. So a dispatch is
// isolated: between its rounds nothing else happens.

import { SvmError } from '../base/error.ts'

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
  /** The entry will not run. */
  refuse(error: SvmError): void
}

interface Place {
  readonly entry: Entry
  waits: number
  failure: SvmError | null
  running: boolean
}

export class Sequencer {
  /** In the order of the calls. */
  readonly #places: Place[] = []
  #running = false
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
    this.#pump()
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
      const why = cause instanceof Error ? cause.message : String(cause)
      place.failure = new SvmError('dependency-failed', `A command before this one in its queue failed, so this one did not run: ${why}`, { cause })
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

  /** The earliest entry that may run. */
  #next(): Place | null {
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
    } else await place.entry.run()
    this.#places.splice(this.#places.indexOf(place), 1)
    this.#running = false
    if (this.#places.length === 0) for (const resolve of this.#idle.splice(0)) resolve()
    this.#pump()
  }
}
