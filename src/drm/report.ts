// What is where, as plain data. Always: it looks and never touches.

import { unreachable } from '../base/assert.ts'
import { pagesAround, type VpnRange } from '../base/units.ts'
import type { Mirror } from '../driver/svmm.ts'
import { PAGE } from '../mm/page-table.ts'
import type { Space } from '../mm/space.ts'
import { isSameAdvice, NO_ADVICE, type Vma } from '../mm/vma.ts'
import { wordsOf } from './advice.ts'
import type { QueryRun, SpaceDump, SpaceStats } from './request.ts'

export interface ExecCounts {
  attempt: number
  resident: number
  direct: number
  rounds: number
  faults: number
  hints: number
}

type Place = Omit<QueryRun, 'pointer' | 'byteLength'>

/** Runs of pages in the same place, cut to the range that was asked for. */
export function queryRuns(space: Space, pointer: number, byteLength: number): QueryRun[] {
  const { pageBytes } = space.geometry
  const runs: QueryRun[] = []
  const add = (start: number, end: number, where: Place) => {
    const from = Math.max(pointer, start * pageBytes)
    const to = Math.min(pointer + byteLength, end * pageBytes)
    const last = runs[runs.length - 1]
    if (last !== undefined && isSame(last, where)) runs[runs.length - 1] = { ...last, byteLength: last.byteLength + to - from }
    else runs.push({ pointer: from, byteLength: to - from, ...where })
  }
  forEachPage(
    space,
    pagesAround(pointer, byteLength, pageBytes),
    (start, end) => add(start, end, { where: 'none', memory: -1, systemMapped: 0, dirty: false }),
    (vpn) => add(vpn, vpn + 1, placeOf(space, vpn)),
  )
  return runs
}

function isSame(a: Place, b: Place): boolean {
  return a.where === b.where && a.memory === b.memory && a.systemMapped === b.systemMapped && a.dirty === b.dirty
}

/** Pages in ascending order: those that were never touched by range, so that a vast mapping costs what is in it. */
function forEachPage(space: Space, range: VpnRange, untouched: (start: number, end: number) => void, touched: (vpn: number) => void): void {
  let next = range.start
  space.pages.forEachTouched(range, (start, end) => {
    if (next < start) untouched(next, start)
    for (let vpn = start; vpn < end; vpn++) touched(vpn)
    next = end
  })
  if (next < range.end) untouched(next, range.end)
}

function placeOf(space: Space, vpn: number): Place {
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
      thrash: mirror.thrash.counts,
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
  const add = (start: number, end: number, state: string) => {
    const last = pages[pages.length - 1]
    if (last !== undefined && last.state === state && last.pointer + last.pages * pageBytes === start * pageBytes) last.pages += end - start
    else pages.push({ pointer: start * pageBytes, pages: end - start, state })
  }
  for (const vma of space.addresses.vmas) {
    forEachPage(
      space,
      vma,
      (start, end) => add(start, end, 'none'),
      (vpn) => add(vpn, vpn + 1, space.pages.print(vpn).replace(/ frame \d+/, '')),
    )
  }
  return {
    mappings: space.addresses.vmas.map((vma) => ({
      pointer: vma.start * pageBytes,
      byteLength: (vma.end - vma.start) * pageBytes,
      label: vma.allocation.label,
      kind: vma.backing.kind,
      access: vma.access,
      ...(isSameAdvice(vma.advice, NO_ADVICE) ? {} : { advice: wordsOf(vma.advice, (memory) => space.owners[memory]?.label ?? `device ${memory}`) }),
    })),
    pages,
  }
}
