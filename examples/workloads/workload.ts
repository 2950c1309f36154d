// What a workload of the collection is: a program for shared virtual memory that a reader can learn from, and that benches and tests can run.
//
// Always: the data are deterministic; `check` compares with what the host computed by other means; `run` may be repeated, and gives the same results
// each time (after `reset`, where there is one); nothing is pinned or migrated by hand unless the workload is about that.

import type { DispatchResult, Svm } from '../../src/index.ts'

export interface Workload {
  /** As the file is called: `triad`. */
  readonly name: string
  /** What it does, and what it asks of a memory system: one sentence. */
  readonly about: string
  /** Inputs whose working set (inputs, outputs, scratch) is about `bytes`. */
  make(bytes: number): Problem | Promise<Problem>
}

export type Numbers = Readonly<Record<string, number>>
export type Arrays = Readonly<Record<string, Uint8Array | Uint32Array | Int32Array | Float32Array>>
/** Results as bytes, by name: the plain side gives the same names. */
export type Results = Readonly<Record<string, Uint8Array>>

export interface Problem {
  /** Bytes of all that the kernels touch. */
  readonly workingSetBytes: number
  /** What both sides start from. */
  readonly inputs: Arrays
  /** Lengths, factors, counts: what both sides need to know beside the inputs. */
  readonly numbers: Numbers
  /** Puts the inputs into a space and builds the kernels. */
  place(svm: Svm): Promise<Placed>
  /** @throws Error naming the first wrong element */
  check(results: Results): void
  /** False where only `check` can tell, since several results are right (order of a queue, of a list): then the sides are not compared byte for byte. */
  readonly exact: boolean
}

/** A problem in a space. */
export interface Placed {
  /** The work, once: every kernel enqueued, the last one awaited. */
  run(): Promise<DispatchResult[]>
  /** Makes the next `run` start from the inputs; not timed. */
  reset?(): Promise<void>
  results(): Promise<Results>
  /** Brings the results to the host, where they stay; for those that are timed until the host has them. */
  home?(): Promise<void>
  /** Gives the memory back. */
  free(): Promise<void>
}
