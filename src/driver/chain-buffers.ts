// What the dispatches of a chain are told by: a header and arguments for each, in two buffers, and where faults are possible a table for each set of grants.
//
//   control: [ header of link 0 ][ of link 1 ] …
//   args:    [ arguments of link 0 ][ of link 1 ] …
//
// Always: they fit what the tables leave of the reserve, and go when the tables go.

import { type Bytes, roundUp } from '../base/units.ts'
import { type BufferRole, type DeviceBuffer, WINDOW_UNIT } from '../device/device.ts'
import { PassTable } from './pass-table.ts'
import type { Mirror } from './svmm.ts'
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
  /** Where the parts of each link begin. */
  readonly places: readonly { readonly control: Bytes; readonly args: Bytes }[]
  /** Of the grant sets that there is room for. */
  readonly tables: readonly PassTable[]
}

/** The buffers that there are, if they do. */
export function chainNow({ chain }: TableBuffers, argumentBytes: Bytes, grants: boolean): ChainBuffers | null {
  return chain !== null && chain.argsStride >= argumentBytes && (!grants || chain.tables.length > 0) ? chain : null
}

/** Buffers for chains of links with so many bytes of arguments and, if they may fault, grants; null: there is no room. @throws DeviceFailure */
export async function makeChain({ device, vmm }: Mirror, tables: TableBuffers, argumentBytes: Bytes, grants: boolean): Promise<ChainBuffers | null> {
  const now = tables.chain
  const argsStride = Math.max(now?.argsStride ?? 0, roundUp(Math.max(1, argumentBytes), WINDOW_UNIT))
  const plan = planChain(tables, argsStride, grants || (now?.tables.length ?? 0) > 0) ?? (grants ? null : planChain(tables, argsStride, false))
  if (plan === null) return null
  for (const buffer of [now?.control, now?.args, ...(now?.tables ?? [])]) buffer?.destroy()
  tables.chain = null
  const made: DeviceBuffer[] = []
  const make = async (role: BufferRole, byteLength: Bytes) => {
    const buffer = await device.createBuffer(role, byteLength, 'svm:chain')
    made.push(buffer)
    return buffer
  }
  try {
    const control = await make('control', plan.links * WINDOW_UNIT)
    const args = await make('arguments', plan.links * argsStride)
    const granted: DeviceBuffer[] = []
    for (let n = 0; n < plan.sets; n++) granted.push(await make('table', tables.table.byteLength))
    const places = Array.from({ length: plan.links }, (_, n) => ({ control: n * WINDOW_UNIT, args: n * argsStride }))
    const sets = granted.map((buffer) => new PassTable(vmm, buffer, tables.entries))
    tables.chain = { control, args, links: plan.links, argsStride, places, tables: sets }
    return tables.chain
  } catch (failure) {
    for (const buffer of made) buffer.destroy()
    throw failure
  }
}

/** As many links as fit, with as many grant sets as leave room for them. */
function planChain({ spareBytes, table }: TableBuffers, argsStride: Bytes, grants: boolean): { links: number; sets: number } | null {
  for (let sets = grants ? SETS_MAX : 0; grants ? sets > 0 : sets === 0; sets--) {
    const links = Math.min(LINKS_MAX, Math.floor((spareBytes - sets * table.byteLength) / (argsStride + WINDOW_UNIT)))
    if (links >= LINKS_MIN) return { links, sets }
  }
  return null
}
