// When a promise of the simulated device settles. Always: a seed fixes how many turns everything takes; no latency means no turns, so
// that a promise then settles at the first microtask.

import type { Random } from '../../base/world.ts'

/** Lets everything else that is ready run: one round of the event loop. */
export type Turn = () => Promise<void>

export const LATENCY_TURNS_DEFAULT = 3
/** One delay in so many also waits for a round of the event loop; the others are microtasks only. */
const ROUND_ONE_IN = 8

interface RoundGlobals {
  setImmediate?: (callback: () => void) => unknown
  MessageChannel?: typeof MessageChannel
}

/** The fastest round that the host offers: Node has setImmediate, browsers have channels. */
export function eventLoopTurn(): Promise<void> {
  const globals = globalThis as RoundGlobals
  return new Promise((resolve) => {
    if (globals.setImmediate !== undefined) {
      globals.setImmediate(resolve)
    } else if (globals.MessageChannel !== undefined) {
      const channel = new globals.MessageChannel()
      channel.port1.onmessage = () => {
        channel.port1.close()
        resolve()
      }
      channel.port2.postMessage(0)
    } else {
      setTimeout(resolve, 0)
    }
  })
}

export class Latency {
  readonly #random: Random
  readonly #turnsMax: number
  readonly #turn: Turn

  constructor(random: Random, turnsMax: number, turn: Turn) {
    this.#random = random
    this.#turnsMax = turnsMax
    this.#turn = turn
  }

  /** Resolves after a seeded number of turns. The numbers are drawn at the call, so their order is the order of the calls. */
  pass(): Promise<void> {
    if (this.#turnsMax === 0) return Promise.resolve()
    const turns = this.#random.below(this.#turnsMax + 1)
    const round = this.#random.chance(1, ROUND_ONE_IN)
    return this.#wait(turns, round)
  }

  async #wait(turns: number, round: boolean): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    if (round) await this.#turn()
  }
}
