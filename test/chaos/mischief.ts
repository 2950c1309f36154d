// Random mischief for the rounds of a dispatch. Always: it acts in a bounded number of passes, so that the run ends; the same seed does the same.

import type { Random } from '../../src/base/world.ts'
import type { PassMischief } from '../../src/device/device.ts'

/** How often each kind of mischief was done. */
export interface Done {
  absent: number
  evicted: number
  limited: number
  shuffled: number
  truncated: number
  /** Chains cut into more submissions. */
  segmented: number
  /** Pages that a chain was promised. */
  vanished: number
}

export class RandomMischief implements PassMischief {
  readonly done: Done = { absent: 0, evicted: 0, limited: 0, shuffled: 0, truncated: 0, segmented: 0, vanished: 0 }
  /** Told before each pass. */
  onRound: () => void = () => undefined
  readonly #random: Random
  #passes = 0
  #begun = false
  #absent: readonly [number, number] = [0, 1]
  #evicted: readonly [number, number] = [0, 1]

  constructor(random: Random) {
    this.#random = random
  }

  /** How much was done so far. */
  get acts(): number {
    return Object.values(this.done as unknown as Record<string, number>).reduce((sum, count) => sum + count, 0)
  }

  /** A launch begins: draws how bad it will be, and for how many passes. */
  begin(): void {
    this.#begun = true
    this.#passes = 2 + this.#random.below(9)
    this.#absent = this.#random.pick([
      [0, 1],
      [1, 9],
      [1, 3],
      [9, 10],
    ] as const)
    this.#evicted = this.#random.pick([
      [0, 1],
      [1, 9],
      [1, 3],
      [9, 10],
    ] as const)
  }

  /** No more of it. */
  end(): void {
    this.#begun = false
    this.#passes = 0
  }

  disturb(pages: readonly number[]): { absent: number[]; evicted: number[] } {
    this.onRound()
    if (this.#passes === 0) return { absent: [], evicted: [] }
    this.#passes--
    const evicted = pages.filter(() => this.#random.chance(...this.#evicted))
    const absent = pages.filter((page) => this.#random.chance(...this.#absent) && !evicted.includes(page))
    this.done.absent += absent.length
    this.done.evicted += evicted.length
    return { absent, evicted }
  }

  limit(slots: number): number {
    if (this.#passes === 0 || !this.#random.chance(1, 4)) return slots
    this.done.limited++
    return 1 + this.#random.below(slots)
  }

  order(workgroups: Uint32Array): void {
    if (this.#passes === 0 || workgroups.length < 2) return
    this.done.shuffled++
    const shuffled = this.#random.shuffle([...workgroups])
    workgroups.set(shuffled)
  }

  truncate(wanted: readonly Uint32Array[]): void {
    if (this.#passes === 0 || this.#random.chance(1, 2)) return
    const bits = wanted.flatMap((words, bitmap) => [...words].flatMap((word, at) => bitsOf(word).map((bit) => ({ bitmap, at, bit }))))
    const [, ...rest] = this.#random.shuffle(bits)
    const share = 1 + this.#random.below(4)
    for (const { bitmap, at, bit } of rest) {
      if (!this.#random.chance(share, 4)) continue
      const words = wanted[bitmap]
      words[at] = words[at] & ~(1 << bit)
      this.done.truncated++
    }
  }

  segment(links: number): number {
    if (links < 2 || this.#random.chance(1, 2)) return links
    this.done.segmented++
    return 1 + this.#random.below(links)
  }

  vanish(pages: readonly number[]): number[] {
    // A link that faults runs alone: that has an end without a count.
    if (!this.#begun || this.#random.chance(1, 2)) return []
    const vanished = pages.filter(() => this.#random.chance(1, Math.min(8, pages.length)))
    this.done.vanished += vanished.length
    return vanished
  }
}

function bitsOf(word: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word & (1 << bit)) !== 0)
}
