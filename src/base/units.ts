// Units of the address space. Always: an address is a byte offset that is an exact number (below 2^48);
// a virtual page number (Vpn) is an address divided by the page size; a range is half-open.

/** A virtual address in bytes. 0 is null and is never mapped. */
export type Address = number
/** A virtual page number. */
export type Vpn = number
/** A number of bytes. */
export type Bytes = number

/** Half-open range of virtual pages: [start, end). */
export interface VpnRange {
  readonly start: Vpn
  readonly end: Vpn
}

/** The page lies in one of these; null: all do. */
export function isWithin(ranges: readonly VpnRange[] | null, vpn: Vpn): boolean {
  return ranges === null || ranges.some(({ start, end }) => vpn >= start && vpn < end)
}

export function areSameRanges(a: readonly VpnRange[] | null, b: readonly VpnRange[] | null): boolean {
  if (a === null || b === null || a === b) return a === b
  return a.length === b.length && a.every(({ start, end }, n) => start === b[n]?.start && end === b[n].end)
}

/** Of ranges that ascend and do not overlap, the index of the first that ends after `at`; their number: none does. */
export function firstEndingAfter(ranges: readonly { readonly end: number }[], at: number): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ranges[middle] as { readonly end: number }).end > at) high = middle
    else low = middle + 1
  }
  return low
}

export const KIB = 1024
export const MIB = 1024 * 1024
export const GIB = 1024 * 1024 * 1024

export const PAGE_BYTES_MIN = 4 * KIB
export const PAGE_BYTES_MAX = 2 * MIB
export const PAGE_BYTES_DEFAULT = 64 * KIB

/** The smallest range of whole pages that holds [address, address + byteLength). */
export function pagesAround(address: Address, byteLength: Bytes, pageBytes: Bytes): VpnRange {
  return { start: Math.floor(address / pageBytes), end: Math.ceil((address + byteLength) / pageBytes) }
}

/** The largest range of whole pages inside [address, address + byteLength); may be empty (start >= end). */
export function pagesInside(address: Address, byteLength: Bytes, pageBytes: Bytes): VpnRange {
  return { start: Math.ceil(address / pageBytes), end: Math.floor((address + byteLength) / pageBytes) }
}

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

export function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value
}

export function hex(address: Address): string {
  return `0x${address.toString(16)}`
}

/** Bytes for people: `64 KiB`, `1.5 MiB`. */
export function printBytes(bytes: Bytes): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}
