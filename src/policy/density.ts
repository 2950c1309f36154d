// The density prefetcher: which pages of a block come along with those that were wanted. Compare compute_prefetch_mask() in uvm_perf_prefetch.c.
//
// Always: what is chosen lies in the block, was not wanted and is not here; a page that thrashes brings no other and is not brought; the answer depends on
// nothing but the arguments.

/** A subtree comes along when strictly more than this part of its pages, in percent, is here or wanted. Compare uvm_perf_prefetch_threshold. */
export const DENSITY_THRESHOLD = 51

export interface DensityBlock {
  /** Pages of the block; the bitmaps have at least so many bits. */
  readonly pages: number
  /** Pages in the smallest unit: one wanted page of it brings the others (64 KiB). A power of two. */
  readonly unitPages: number
  /** Where the first page lies in its first unit, so that units and subtrees are aligned as addresses are. */
  readonly offset: number
  readonly threshold: number
}

/**
 * @param here 1 for each page that is resident where the others would go
 * @param wanted 1 for each page that was faulted on
 * @param thrashing 1 for each page that is to be left alone; null: none
 * @returns 1 for each page that comes along
 */
export function densityPrefetch(block: DensityBlock, here: Uint8Array, wanted: Uint8Array, thrashing: Uint8Array | null = null): Uint8Array {
  const { pages, unitPages, offset } = block
  const bits = new Uint8Array(pages)
  for (let page = 0; page < pages; page++) bits[page] = (here[page] as number) | (wanted[page] as number)
  if (unitPages > 1) growToUnits(bits, wanted, thrashing, pages, unitPages, offset)
  const sums = new Uint32Array(pages + 1)
  for (let page = 0; page < pages; page++) sums[page + 1] = (sums[page] as number) + (bits[page] as number)
  const chosen = new Uint8Array(pages)
  // One page alone is half of the smallest subtree around it, and less of the others.
  if (sums[pages] === 1 && block.threshold >= 50) return chosen
  for (let page = 0; page < pages; page++) {
    if (wanted[page] === 0 || thrashing?.[page] === 1) continue
    const region = densestRegion(block, sums, page)
    chosen.fill(1, region.start, region.end)
    if (region.end === pages) break
  }
  for (let page = 0; page < pages; page++) if (wanted[page] === 1 || here[page] === 1 || thrashing?.[page] === 1) chosen[page] = 0
  return chosen
}

/** A unit with a wanted page, and none that thrashes, counts as here. The ragged ends of a block are units too. Compare grow_fault_granularity(). */
function growToUnits(bits: Uint8Array, wanted: Uint8Array, thrashing: Uint8Array | null, pages: number, unitPages: number, offset: number): void {
  for (let start = 0; start < pages; ) {
    const end = Math.min(pages, start + unitPages - ((start + offset) % unitPages))
    const has = (words: Uint8Array | null) => words?.subarray(start, end).includes(1) === true
    if (has(wanted) && !has(thrashing)) bits.fill(1, start, end)
    start = end
  }
}

/** The largest subtree around a page that is dense enough; empty when none is. */
function densestRegion({ pages, offset, threshold }: DensityBlock, sums: Uint32Array, page: number): { start: number; end: number } {
  let region = { start: page, end: page }
  for (let size = 1; ; size *= 2) {
    const first = Math.floor((page + offset) / size) * size - offset
    const start = Math.max(0, first)
    const end = Math.min(pages, first + size)
    const count = (sums[end] as number) - (sums[start] as number)
    if (count * 100 > (end - start) * threshold) region = { start, end }
    if (start === 0 && end === pages) return region
  }
}
