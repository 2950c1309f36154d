// A command's fate. Compare cl_event.
//
//   queued ──▶ submitted ──▶ running ──▶ complete
//      └──────────┴────────────┴──────▶ failed
//
// Always: a state is never left backwards; an error is *seen* once somebody asked for `done`; an error that nobody saw never ends the process.

import { assert } from '../base/assert.ts'
import type { Clock } from '../base/world.ts'
import type { SvmCommandType, SvmEvent } from '../types.ts'

type Status = SvmEvent['status']
const ORDER: readonly Status[] = ['queued', 'submitted', 'running', 'complete', 'failed']

const ignore = () => undefined

export class CommandEvent<T> implements SvmEvent<T> {
  readonly command: SvmCommandType
  readonly label: string
  readonly profile: { queued: number; submitted?: number; started?: number; ended?: number }
  readonly #clock: Clock
  /** Made when somebody asks: most commands of a long line are never asked for. */
  #settled: Promise<T> | null = null
  #status: Status = 'queued'
  #seen = false
  #value: T | undefined
  #error: unknown
  #resolve: ((value: T) => void) | null = null
  #reject: ((error: unknown) => void) | null = null

  constructor(command: SvmCommandType, label: string, clock: Clock) {
    this.command = command
    this.label = label
    this.#clock = clock
    this.profile = { queued: clock.now() }
  }

  get status(): Status {
    return this.#status
  }

  get done(): Promise<T> {
    this.#seen = true
    return this.quiet
  }

  /** The promise, without marking its error as seen: for the sequencer. */
  get quiet(): Promise<T> {
    if (this.#settled !== null) return this.#settled
    this.#settled = new Promise((resolve, reject) => {
      if (this.#status === 'complete') resolve(this.#value as T)
      else if (this.#status === 'failed') reject(this.#error)
      else [this.#resolve, this.#reject] = [resolve, reject]
    })
    this.#settled.catch(ignore)
    return this.#settled
  }

  /** The error, when the command failed and nobody has asked for `done`. */
  get unseenError(): unknown {
    return this.#status === 'failed' && !this.#seen ? this.#error : undefined
  }

  submitted(): void {
    if (this.#status !== 'queued') return
    this.#move('submitted')
    this.profile.submitted = this.#clock.now()
  }

  started(): void {
    this.submitted()
    this.#move('running')
    this.profile.started = this.#clock.now()
  }

  complete(value: T): void {
    this.#move('complete')
    this.profile.ended = this.#clock.now()
    this.#value = value
    this.#resolve?.(value)
  }

  fail(error: unknown): void {
    this.#move('failed')
    this.#error = error
    this.profile.ended = this.#clock.now()
    this.#reject?.(error)
  }

  /** Called when an error was given to somebody in another way than `done`. */
  markSeen(): void {
    this.#seen = true
  }

  #move(to: Status): void {
    assert(
      this.#status !== 'complete' && this.#status !== 'failed' && ORDER.indexOf(to) > ORDER.indexOf(this.#status),
      `a ${this.#status} command does not become ${to}`,
    )
    this.#status = to
  }
}
