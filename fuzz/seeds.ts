// The seeds of continuous integration. Always: over all of them every arrow of the page states is taken and every invariant that the fuzzer counts
// is checked; a seed that once found something stays.

export const STEPS = 250
export const SEEDS: readonly number[] = [...Array.from({ length: 32 }, (_, i) => i + 1), 78, 92, 1054, 1121, 5071]
/** Seeds that nobody has seen, at each run. */
export const FRESH = 4
