// A pool buffer: a head, then frames of one page each. The head serves accesses without a right in branch-free code:
// words 0 to 3 are zero and never written (suppressed loads), words 4 to 7 swallow suppressed stores. Always: it is as long as the smallest page, so that
// frames begin at multiples of it.

export const POOL_HEAD_BYTES = 4096
export const POOL_HEAD_WORDS = POOL_HEAD_BYTES / 4
export const POOL_ZERO_WORD = 0
export const POOL_SINK_WORD = 4
/** The largest pool: robust length queries fail at 2 GiB on some drivers, and an entry holds 19 bits of 4 KiB frames. */
export const POOL_BYTES_MAX = 2 * 1024 * 1024 * 1024 - 4096
