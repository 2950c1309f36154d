// The order of everything that waits. Devices, pagers and commands of one run stand in one line here, and a seed says who goes next.
//
// Always: nobody is let go before all that was ready has run; the same seed and the same waits give the same order; a wait that nobody can
// end, and a run without end, are errors.

import { Random } from '../src/base/world.ts'
import { eventLoopTurn } from '../src/device/sim/latency.ts'

/** Times that somebody may be let go before one step of a run must have ended. */
const PICKS_MAX = 20_000
/** Turns of the event loop after which nobody will come any more. */
const EMPTY_TURNS_MAX = 4

export class Scheduler {
  #random = new Random(0)
  readonly #waiting: (() => void)[] = []

  /** From now on the order is another seed's. */
  reseed(seed: number): void {
    this.#random = new Random(seed)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Resolves when the seed says so. */
  pass(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /**
   * Lets everybody go, one by one, until nobody waits and `done` says so. `look` is called before each pick, when all that was ready has run.
   * @throws Error when it does not come to an end
   */
  async run(done: () => boolean, look: (pick: number) => void): Promise<void> {
    let empty = 0
    for (let pick = 0; pick < PICKS_MAX; ) {
      await eventLoopTurn()
      look(pick)
      if (this.#waiting.length === 0) {
        if (done()) return
        if (++empty > EMPTY_TURNS_MAX) throw new Error('invariant 58: stuck: an operation has not ended, and nothing that it could wait for is under way')
        continue
      }
      empty = 0
      pick++
      const [next] = this.#waiting.splice(this.#random.below(this.#waiting.length), 1)
      next?.()
    }
    throw new Error(`invariant 58: endless: operations have not ended after ${PICKS_MAX} things that they waited for`)
  }
}
