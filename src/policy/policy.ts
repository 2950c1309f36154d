// What a policy decides, as pure functions: numbers in, choices out. Only the driver acts.

import type { ThrashRules } from './thrash.ts'

/** Whom to send home when frames are short. */
export interface EvictionPolicy {
  readonly name: string
  /**
   * Chooses victims among candidates 0 to lastUse.length - 1.
   * @param lastUse when each was last asked for, in ticks: greater is later
   * @param dirty 1 where sending it home costs a copy
   * @returns indices of at most `wanted` victims, first choice first
   */
  victims(lastUse: Uint32Array, dirty: Uint8Array, wanted: number): number[]
}

/** Choices that the program makes when it opens the space. */
export interface PolicyOptions {
  readonly eviction?: EvictionPolicy
  /** What comes along with a page that a kernel faulted on: what its block is dense with (the default), or nothing. */
  readonly prefetch?: 'density' | 'none'
  /** False: kernels are never run in the direct variant, also where nothing stands against it. For measuring; true if not given. */
  readonly direct?: boolean
  /** Pools (1 to 8) that device memory is divided into, as far as the device can bind so many. For measuring; if not given, the library chooses. */
  readonly pools?: number
  /** When a page thrashes; false: nobody looks. */
  readonly thrash?: Partial<ThrashRules> | false
}
