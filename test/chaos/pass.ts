// What the monitor keeps of a pass, and how it reads and compares it. Always: nothing here changes what it is given.

import { CONTROL, WORKGROUP_BITMAPS } from '../../src/abi/fault-record.ts'
import type { DeviceBuffer, ProgramVariant, Work } from '../../src/device/device.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'

/** One pass, from its submission to its report. */
export interface Pass {
  readonly variant: ProgramVariant
  /** Nobody looks at its accesses. */
  readonly proven: boolean
  readonly transactional: boolean
  readonly table: Uint32Array
  readonly control: Uint32Array
  /** By slot. */
  readonly workgroups: readonly number[]
  readonly total: number
  readonly pools: readonly (DeviceBuffer | null)[]
  /** Frame by page. */
  readonly frames: ReadonlyMap<number, number>
  /** What the pools held when it began; empty on a real device. */
  readonly before: readonly (Uint32Array | null)[]
  /** The report: as it came, where the driver then reads it. */
  readonly report: Uint32Array
}

/** A bitmap of a report: of pages or of workgroups. */
export function bitmap({ report, control }: Pass, start: number, n: number, ofPages: boolean): Uint32Array {
  const workgroupWords = control[CONTROL.workgroupWords]
  const pageWords = control[CONTROL.pageWords]
  const from = ofPages ? start + WORKGROUP_BITMAPS * workgroupWords + n * pageWords : start + n * workgroupWords
  return report.subarray(from, from + (ofPages ? pageWords : workgroupWords))
}

export function copyOf(sim: SimDevice, from: DeviceBuffer, into: Uint32Array): Work {
  return { kind: 'copy', from, fromOffset: 0, to: sim.foreignBuffer(into), toOffset: 0, byteLength: from.byteLength }
}

export function sameMap(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}

export function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
}

export function same(a: Uint32Array, b: Uint32Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
