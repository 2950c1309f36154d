// What is where, as plain data. Always: it looks and never touches.

import { unreachable } from '../base/assert.ts'
import { pagesAround } from '../base/units.ts'
import type { Mirror } from '../driver/svmm.ts'
import { PAGE } from '../mm/page-table.ts'
import type { Space } from '../mm/space.ts'
import type { Vma } from '../mm/vma.ts'
import type { QueryRun, SpaceDump, SpaceStats } from './request.ts'

export interface ExecCounts {
  attempt: number
  resident: number
  direct: number
  rounds: number
  faults: number
  hints: number
}

/** Runs of pages in the same place, cut to the range that was asked for. */
export function queryRuns(space: Space, pointer: number, byteLength: number): QueryRun[] {
  const { pageBytes } = space.geometry
  const pages = pagesAround(pointer, byteLength, pageBytes)
  const runs: QueryRun[] = []
  for (let vpn = pages.start; vpn < pages.end; vpn++) {
    const from = Math.max(pointer, vpn * pageBytes)
    const to = Math.min(pointer + byteLength, (vpn + 1) * pageBytes)
    const where = placeOf(space, vpn)
    const last = runs[runs.length - 1]
    if (
      last !== undefined &&
      last.where === where.where &&
      last.memory === where.memory &&
      last.systemMapped === where.systemMapped &&
      last.dirty === where.dirty
    ) {
      runs[runs.length - 1] = { ...last, byteLength: last.byteLength + to - from }
    } else runs.push({ pointer: from, byteLength: to - from, ...where })
  }
  return runs
}

function placeOf(space: Space, vpn: number): Omit<QueryRun, 'pointer' | 'byteLength'> {
  const state = space.pages.settledState(vpn)
  const systemMapped = space.pages.mappedOn(vpn)
  switch (state) {
    case PAGE.none:
      return { where: 'none', memory: -1, systemMapped, dirty: false }
    case PAGE.zero:
    case PAGE.host:
    case PAGE.mapped:
    case PAGE.migrating:
      return { where: 'host', memory: -1, systemMapped, dirty: false }
    case PAGE.clean:
    case PAGE.dirty:
      return { where: 'device', memory: space.pages.memory(vpn), systemMapped, dirty: state === PAGE.dirty }
    case PAGE.lost:
      return { where: 'lost', memory: -1, systemMapped, dirty: false }
    default:
      return unreachable(state)
  }
}

export function spaceStats(space: Space, mirrors: readonly Mirror[], counts: ExecCounts, isReleased: (memory: number) => boolean): SpaceStats {
  const allocations = [...space.addresses.allocations]
  return {
    allocations: allocations.length,
    mappedBytes: space.addresses.vmas.reduce((sum, vma) => sum + bytesOf(space, vma), 0),
    hostMappings: space.hostMappings.count,
    hostCacheBytes: space.cache.byteLength,
    bookkeepingBytes: mirrors.reduce((sum, mirror) => sum + mirror.bookkeepingBytes, space.pages.byteLength),
    dispatches: { attempt: counts.attempt, resident: counts.resident, direct: counts.direct },
    rounds: counts.rounds,
    faults: counts.faults,
    hints: counts.hints,
    devices: mirrors.map((mirror) => ({
      label: mirror.label,
      lost: mirror.device.lostReason !== null,
      released: isReleased(mirror.memory),
      budgetBytes: mirror.plan.budgetBytes,
      liveBytes: mirror.device.liveBytes,
      peakBytes: mirror.device.peakBytes,
      pools: mirror.dmem.poolBuffers.filter((buffer) => buffer !== null).length,
      frames: mirror.dmem.capacity,
      framesUsed: mirror.dmem.used,
      systemCopies: mirror.systemCopies,
      bytesIn: mirror.copies.bytesIn,
      bytesOut: mirror.copies.bytesOut,
      evictions: mirror.evictions,
      ptesWritten: mirror.vmm.written,
      mappingsLost: mirror.vmm.mappingsLost,
      invalidations: mirror.invalidations,
      entriesDropped: mirror.entriesDropped,
      submits: mirror.device.counters.submits,
      maps: mirror.device.counters.maps,
    })),
  }
}

/** Bytes of a VMA that were asked for: the last page may have more. */
function bytesOf(space: Space, { start, end, allocation }: Vma): number {
  const { pageBytes } = space.geometry
  return Math.min(end * pageBytes, allocation.pointer + allocation.byteLength) - start * pageBytes
}

export function dumpSpace(space: Space): SpaceDump {
  const { pageBytes } = space.geometry
  const pages: { pointer: number; pages: number; state: string }[] = []
  for (const vma of space.addresses.vmas) {
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      const state = space.pages.print(vpn).replace(/ frame \d+/, '')
      const last = pages[pages.length - 1]
      if (last !== undefined && last.state === state && last.pointer + last.pages * pageBytes === vpn * pageBytes) last.pages++
      else pages.push({ pointer: vpn * pageBytes, pages: 1, state })
    }
  }
  return {
    mappings: space.addresses.vmas.map((vma) => ({
      pointer: vma.start * pageBytes,
      byteLength: (vma.end - vma.start) * pageBytes,
      label: vma.allocation.label,
      kind: vma.backing.kind,
      access: vma.access,
    })),
    pages,
  }
}
