// What a policy decides, as pure functions: numbers in, choices out. Only the driver acts.

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
}
