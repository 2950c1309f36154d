// Memory that a device refuses in the middle of launches. Always: at most one thing a launch, seeded and drawn apart from all other chance; once it is refused, or the launch has ended,
// the device gives everything again.

import { Random } from '../../src/base/world.ts'
import type { BufferRole } from '../../src/device/device.ts'
import type { Mischief } from '../../src/device/sim/mischief.ts'

/** Buffers of one role, or the bytes of a read-back. */
export type Refusable = BufferRole | 'read-back'
export const REFUSABLE: readonly Refusable[] = ['pool', 'table', 'control', 'faults', 'arguments', 'bounce', 'read-back']

const SEED = 0x4ef5e
/** A first launch makes so many buffers: a pool, five for its tables, one to copy through. */
const BUFFERS = 7
const READBACKS = 6

export class Refusals {
  /** How often each was refused. */
  readonly done = Object.fromEntries(REFUSABLE.map((what) => [what, 0])) as Record<Refusable, number>
  /** Launches that failed for it, and how many of those had workgroups that had retired; were atomic. */
  readonly launches = { failed: 0, midway: 0, atomic: 0 }
  /** In this launch. */
  refused: Refusable | null = null
  readonly #random: Random
  #buffers = 0
  /** Of this role alone; null: of any. */
  #role: BufferRole | null = null
  #readbacks = 0

  constructor(seed: number) {
    this.#random = new Random(seed ^ SEED)
  }

  /** A launch begins. @returns a buffer may be refused: it should have to make some. */
  begin(): boolean {
    this.refused = null
    const which = this.#random.below(4)
    this.#buffers = which < 2 ? 1 + this.#random.below(BUFFERS) : 0
    // Of these there is one, or none that is new: they are asked for by name.
    this.#role = this.#random.chance(1, 3) ? this.#random.pick(['pool', 'bounce'] as const) : null
    if (this.#role !== null) this.#buffers = Math.min(1, this.#buffers)
    this.#readbacks = which === 2 ? 1 + this.#random.below(READBACKS) : 0
    return this.#buffers > 0
  }

  end(): void {
    this.#buffers = 0
    this.#readbacks = 0
  }

  /** The launch failed for it. */
  failed(retired: number, atomic: boolean): void {
    this.launches.failed++
    if (retired > 0) this.launches.midway++
    if (atomic) this.launches.atomic++
  }

  /** For the device. */
  get mischief() {
    return {
      failBuffer: (role: BufferRole) => this.#buffers > 0 && role === (this.#role ?? role) && --this.#buffers === 0 && this.#note(role),
      failReadback: () => this.#readbacks > 0 && --this.#readbacks === 0 && this.#note('read-back'),
    } satisfies { failBuffer(role: BufferRole): boolean; failReadback: Mischief['failReadback'] }
  }

  #note(what: Refusable): true {
    this.refused = what
    this.done[what]++
    return true
  }
}
