// The plain side of a workload: the same work in plain WebGPU, as a good author would write it. Always: it imports nothing of ours, so the shapes
// are written down once more.

export interface PlainProblem {
  readonly inputs: Readonly<Record<string, Uint8Array | Uint32Array | Int32Array | Float32Array>>
  readonly numbers: Readonly<Record<string, number>>
}

/** Buffers and pipelines, made and filled. */
export interface PlainRun {
  /** The work, once, until the device has done it. */
  run(): Promise<void>
  /** Makes the next `run` start from the inputs; not timed. */
  reset?(): Promise<void>
  results(): Promise<Record<string, Uint8Array>>
  destroy(): void
}

/** Everything in buffers of its own, all at once. */
export type PlainWorkload = (device: GPUDevice, problem: PlainProblem) => Promise<PlainRun>
/** The same with at most `budgetBytes` of buffers, tiled by hand. */
export type TiledWorkload = (device: GPUDevice, problem: PlainProblem, budgetBytes: number) => Promise<PlainRun>
