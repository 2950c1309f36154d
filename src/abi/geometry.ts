// Geometry of a space that both sides must agree on.

import type { Vpn } from '../base/units.ts'

export interface Geometry {
  readonly addressBits: 32 | 64
  readonly pageBytes: number
  /** log2(pageBytes). */
  readonly pageShift: number
  /** Bytes in the whole space: 2^32, or 2^48 in a 64-bit space, whose addresses stay exact numbers. */
  readonly spaceBytes: number
  readonly spacePages: number
}

export const SPACE_BYTES = { 32: 2 ** 32, 64: 2 ** 48 } as const

export function makeGeometry(addressBits: 32 | 64, pageBytes: number): Geometry {
  const pageShift = Math.round(Math.log2(pageBytes))
  const spaceBytes = SPACE_BYTES[addressBits]
  return { addressBits, pageBytes, pageShift, spaceBytes, spacePages: spaceBytes / pageBytes }
}

/** In a 32-bit space: index of a page in the table, and in every per-page array that a kernel sees: 0 is the topmost page. In WGSL: `~address >> pageShift`. */
export function tableIndex(vpn: Vpn, geometry: Geometry): number {
  return geometry.spacePages - 1 - vpn
}

export function vpnOfIndex(index: number, geometry: Geometry): Vpn {
  return geometry.spacePages - 1 - index
}
