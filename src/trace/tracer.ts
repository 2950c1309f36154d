// The one place that calls a sink. Without a sink an emit costs one test.

import type { Clock } from '../base/world.ts'
import type { TraceEvent, TraceSink } from './event.ts'

export class Tracer {
  readonly #sink: TraceSink | undefined
  readonly #clock: Clock

  constructor(sink: TraceSink | undefined, clock: Clock) {
    this.#sink = sink
    this.#clock = clock
  }

  /** False: whoever makes an event makes it for nobody. */
  get listens(): boolean {
    return this.#sink !== undefined
  }

  emit(event: TraceEvent): void {
    if (this.#sink !== undefined) this.#sink(event, this.#clock.now())
  }
}
