// What the dispatches of a chain are told by: a header, grants and arguments for each, in two buffers.
//
//   control: [ header of link 0 ][ of link 1 ] … [ grant set 0 ][ grant set 1 ] … [ as many bytes as the headers have ]
//   args:    [ arguments of link 0 ][ of link 1 ] …
//
// A link sees control from its own header on. Always: they fit what the tables leave of the reserve, and go when the tables go; the part at the
// end is never read: it is there so that the last link, too, sees as many bytes as the first, which is what a dynamic offset means.

import { type Bytes, roundUp } from '../base/units.ts'
import { type Device, type DeviceBuffer, WINDOW_UNIT } from '../device/device.ts'
import type { TableBuffers } from './tables.ts'

/** Links that one submission may have. */
const LINKS_MAX = 256
/** Fewer are not worth buffers of their own. */
const LINKS_MIN = 4
/** Different grants that the links of a chain may have. */
export const SETS_MAX = 4

export interface ChainBuffers {
  readonly control: DeviceBuffer
  readonly args: DeviceBuffer
  /** Links that there is room for. */
  readonly links: number
  /** Bytes from the arguments of one link to those of the next. */
  readonly argsStride: Bytes
  /** Grant sets that there is room for. */
  readonly sets: number
  /** Bytes of control that a link sees, with its grants. */
  readonly controlWindow: Bytes
  /** What of each grant set the device has. */
  readonly sent: Uint32Array[]
}

/** The buffers that there are, if they do. */
export function chainNow({ chain }: TableBuffers, argumentBytes: Bytes, grants: boolean): ChainBuffers | null {
  return chain !== null && chain.argsStride >= argumentBytes && (!grants || chain.sets > 0) ? chain : null
}

/** Buffers for chains of links with so many bytes of arguments and, if they may fault, grants; null: there is no room. @throws DeviceFailure */
export async function makeChain(device: Device, tables: TableBuffers, argumentBytes: Bytes, grants: boolean): Promise<ChainBuffers | null> {
  const now = tables.chain
  const argsStride = Math.max(now?.argsStride ?? 0, roundUp(Math.max(1, argumentBytes), WINDOW_UNIT))
  const plan = planChain(tables, argsStride, grants || (now?.sets ?? 0) > 0) ?? (grants ? null : planChain(tables, argsStride, false))
  if (plan === null) return null
  now?.control.destroy()
  now?.args.destroy()
  tables.chain = null
  const { links, sets, controlWindow } = plan
  const control = await device.createBuffer('control', links * WINDOW_UNIT + (sets > 0 ? controlWindow : 0), 'svm:chain')
  try {
    const args = await device.createBuffer('arguments', links * argsStride, 'svm:chain')
    const sent = Array.from({ length: sets }, () => new Uint32Array(tables.entries))
    tables.chain = { control, args, links, argsStride, sets, controlWindow, sent }
    return tables.chain
  } catch (failure) {
    control.destroy()
    throw failure
  }
}

/** Where a grant set lies in control, in bytes. */
export function grantsAt({ links }: ChainBuffers, { entries }: TableBuffers, set: number): Bytes {
  return links * WINDOW_UNIT + set * roundUp(entries * 4, WINDOW_UNIT)
}

/** As many links as fit, with as many grant sets as leave room for them. */
function planChain({ spareBytes, entries }: TableBuffers, argsStride: Bytes, grants: boolean): { links: number; sets: number; controlWindow: Bytes } | null {
  const setBytes = roundUp(entries * 4, WINDOW_UNIT)
  for (let sets = grants ? SETS_MAX : 0; grants ? sets > 0 : sets === 0; sets--) {
    // Headers count twice where a window reaches past them.
    const perLink = argsStride + WINDOW_UNIT * (sets > 0 ? 2 : 1)
    const links = Math.min(LINKS_MAX, Math.floor((spareBytes - sets * setBytes) / perLink))
    if (links >= LINKS_MIN) return { links, sets, controlWindow: sets > 0 ? links * WINDOW_UNIT + sets * setBytes : WINDOW_UNIT }
  }
  return null
}
