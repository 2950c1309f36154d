// The seeds of continuous integration. Always: over all of them every arrow of the page states is taken and every invariant that the fuzzer counts
// is checked; a seed that once found something stays.

export const STEPS = 200
export const SEEDS: readonly number[] = [1, 2, 3, 4, 5, 13, 20, 25, 78, 92, 1054, 1121]
/** Seeds that nobody has seen, at each run. */
export const FRESH = 2
