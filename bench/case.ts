// What a benchmark is, and how its samples are taken. Always: both sides run in turns in one run, each as often, after a warm-up; what differs
// between their results is an error, not a number.

import type { Svm, SvmOptions } from '../src/index.ts'

export interface BenchResult {
  readonly name: string
  /** Medians, in `unit`. `plain` is null where plain WebGPU has no such work, or where the case compares with something else. */
  readonly svm: number
  readonly plain: number | null
  /** Median of this library doing the same in memory: only in cases that compare with that. */
  readonly base?: number
  readonly unit: Unit
  /** svm / plain, or svm / base: lower is better. */
  readonly ratio: number | null
  /** The most that the ratio may be (the figure itself, where there is no ratio); null: it is only reported. */
  readonly goal: number | null
  readonly met: boolean | null
  /** It was measured with less of everything, so the figure is rougher: rows of one file may come from several runs. */
  readonly quick: boolean
  /** The day it was measured: YYYY-MM-DD, UTC. */
  readonly date: string
  /** What else was seen: sizes, the variant that ran, faults, bytes. */
  readonly notes?: Notes
  /** All samples, in the order in which they were taken. */
  readonly samples: Samples
}

export type Notes = Readonly<Record<string, string | number>>

export type Unit = 'ms' | 'µs' | 'ns a page' | 'rounds'

export interface Bench {
  readonly name: string
  /** Of the samples; milliseconds if left out. */
  readonly unit?: Unit
  /** What is timed on the two sides. */
  readonly about: string
  readonly goal: number | null | Goal
  run(bed: Bed, rounds: number): Promise<Measured>
}

/** A goal that depends on the device, or on what plain WebGPU took. */
export interface Goal {
  /** For people. */
  readonly text: string
  /** @param plain the median of plain WebGPU, in the unit of the bench */
  of(software: boolean, plain: number | null): number | null
}

export type SpaceOptions = Pick<SvmOptions, 'policy' | 'pageSize' | 'trace'>

/** What a benchmark runs on: one GPUDevice for both sides. */
export interface Bed {
  readonly device: GPUDevice
  /** The device computes on the host's processor. */
  readonly software: boolean
  /** Less of everything: the figures are rougher. */
  readonly quick: boolean
  /** Opens a space on that device. */
  open(deviceMemory: number, options?: SpaceOptions): Promise<Svm>
  /** Opens a space on another device of the same GPU: a device has one space. */
  openBeside(deviceMemory: number, options?: SpaceOptions): Promise<Svm>
  /** One more round of `of` is done. */
  tick(done: number, of: number): void
}

export interface Samples {
  readonly svm: readonly number[]
  /** Empty where plain WebGPU has no such work. */
  readonly plain: readonly number[]
  /** This library doing the same in memory. */
  readonly base?: readonly number[]
}

/** What a benchmark brings back. */
export interface Measured extends Samples {
  readonly notes?: Notes
}

/** One side of a comparison. `prepare` and `after` are not timed. */
export interface Side {
  prepare?(round: number): Promise<void>
  timed(round: number): Promise<void>
  /** Milliseconds that it took down itself while it was timed; left out: the whole is one sample. */
  own?(): readonly number[]
  after?(round: number): Promise<void>
}

export class BenchMismatch extends Error {
  override readonly name = 'BenchMismatch'
}

/** A migrate goes page by page in code that the engine compiles while it runs: the first rounds measure the compiler. */
export const WARM_UP = 30

/** Samples of both sides, taken in turns. Milliseconds. */
export function alternate(bed: Bed, rounds: number, svm: Side, plain: Side, warmUp = WARM_UP): Promise<{ svm: number[]; plain: number[] }> {
  return alternateAll(bed, rounds, { svm, plain }, warmUp)
}

/**
 * Samples of all sides, taken in turns; the side that goes first changes from round to round. Milliseconds.
 * @param patience of the whole, in milliseconds: when half of it is over the warm-up ends, and when all of it is no round is begun, if each side has a sample.
 *   A side whose first round takes more than half of it has that round as its only sample.
 */
export async function alternateAll<Name extends string>(
  bed: Pick<Bed, 'tick'>,
  rounds: number,
  sides: Readonly<Record<Name, Side>>,
  warmUp: number,
  patience = Number.POSITIVE_INFINITY,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(sides) as Name[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  const slow = new Set<Name>()
  const begun = performance.now()
  let warm = warmUp
  for (let round = 0; round < warm + rounds && slow.size < names.length; round++) {
    const elapsed = performance.now() - begun
    if (round > 0 && elapsed > patience / 2) warm = Math.min(warm, round)
    if (round > warm && elapsed > patience) break
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(turn + round) % names.length] as Name
      if (slow.has(name)) continue
      const side = sides[name]
      await side.prepare?.(round)
      const started = performance.now()
      await side.timed(round)
      const milliseconds = performance.now() - started
      await side.after?.(round)
      if (round === 0 && milliseconds > patience / 2) slow.add(name)
      if (round >= warm || slow.has(name)) samples[name].push(...(side.own?.() ?? [milliseconds]))
    }
    bed.tick(round + 1, warm + rounds)
  }
  return samples
}

/** Rounds with the warm-up: how many different pages or values a case needs. */
export function roundsInAll(rounds: number, warmUp = WARM_UP): number {
  return rounds + warmUp
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** @throws BenchMismatch */
export function expectSameBytes(what: string, svm: Uint8Array, plain: Uint8Array): void {
  const at = svm.length === plain.length ? Buffer.compare(svm, plain) : 1
  if (at === 0) return
  const first = svm.findIndex((byte, n) => byte !== plain[n])
  throw new BenchMismatch(`${what}: the two sides differ from byte ${first} on (${svm.length} and ${plain.length} bytes).`)
}

/** @throws BenchMismatch */
export function expect(right: boolean, sentence: string): void {
  if (!right) throw new BenchMismatch(sentence)
}
