// Geometry of a space that both sides must agree on.

import type { Vpn } from '../base/units.ts'

export interface Geometry {
  readonly addressBits: 32 | 64
  readonly pageBytes: number
  /** log2(pageBytes). */
  readonly pageShift: number
  /** Pages in the whole space: 2^32 / pageBytes in a 32-bit space. */
  readonly spacePages: number
}

export function makeGeometry(addressBits: 32 | 64, pageBytes: number): Geometry {
  const pageShift = Math.round(Math.log2(pageBytes))
  return { addressBits, pageBytes, pageShift, spacePages: 2 ** (addressBits === 32 ? 32 : 48) / pageBytes }
}

/** Index of a page in the table, and in every per-page array that a kernel sees: 0 is the topmost page. In WGSL: `~address >> pageShift`. */
export function tableIndex(vpn: Vpn, geometry: Geometry): number {
  return geometry.spacePages - 1 - vpn
}

export function vpnOfIndex(index: number, geometry: Geometry): Vpn {
  return geometry.spacePages - 1 - index
}
