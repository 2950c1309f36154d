// Pages that come along with those that a kernel faulted on, by the density of their block (policy/density). Compare uvm_perf_prefetch_get_hint_va_block().
//
// Always: nobody goes for them and nobody is asked for their bytes; they have the rights class of the fault that they come with, lie in its block and its
// mapping, and none of them is another device's, mapped by the host, or said to be used at random. They carry data, never needs.

import { KIB, type Vpn } from '../base/units.ts'
import { PAGE } from '../mm/page-table.ts'
import { deviceMayWrite, type Vma } from '../mm/vma.ts'
import { DENSITY_THRESHOLD, densityPrefetch } from '../policy/density.ts'
import { mayComeAlong } from './advice.ts'
import type { Want } from './service.ts'
import type { Mirror } from './svmm.ts'

/** What one fault brings at least, where pages are smaller. Compare UVM_PAGE_SIZE_64K in grow_fault_granularity(). */
const UNIT_BYTES = 64 * KIB

/** The part of a block in which pages are wanted, for reading or for writing. */
interface Dense {
  readonly vma: Vma
  readonly start: Vpn
  readonly end: Vpn
  readonly write: boolean
  readonly wanted: Uint8Array
}

export function denseNeighbours(mirror: Mirror, wants: readonly Want[]): Want[] {
  if (!mirror.prefetches || wants.length === 0 || mirror.dmem.freeNow === 0 || mirror.thrash.pausesReadAhead()) return []
  const along: Want[] = []
  for (const part of partsOf(mirror, wants)) {
    const { vma, start, end, write, wanted } = part
    const pages = end - start
    const here = new Uint8Array(pages)
    for (let n = 0; n < pages; n++) if (isHere(mirror, start + n, write)) here[n] = 1
    const unitPages = Math.max(1, UNIT_BYTES / mirror.space.geometry.pageBytes)
    const block = { pages, unitPages, offset: start % mirror.space.pages.blockPages, threshold: DENSITY_THRESHOLD }
    const thrashing = mirror.thrash.isQuiet ? null : Uint8Array.from(here, (_, n) => Number(mirror.thrash.isBouncing(start + n)))
    const chosen = densityPrefetch(block, here, wanted, thrashing)
    for (let n = 0; n < pages; n++) if (chosen[n] === 1 && canCome(mirror, vma, start + n, write)) along.push({ vpn: start + n, write, workgroup: 0 })
  }
  return along
}

function partsOf({ space }: Mirror, wants: readonly Want[]): Dense[] {
  const { blockPages } = space.pages
  const parts = new Map<string, Dense>()
  for (const { vpn, write } of wants) {
    const block = Math.floor(vpn / blockPages)
    const vma = space.addresses.find(vpn)
    if (vma === undefined) continue
    const start = Math.max(vma.start, block * blockPages)
    const end = Math.min(vma.end, (block + 1) * blockPages)
    const key = `${start} ${write}`
    let part = parts.get(key)
    if (part === undefined) {
      part = { vma, start, end, write, wanted: new Uint8Array(end - start) }
      parts.set(key, part)
    }
    part.wanted[vpn - start] = 1
  }
  return [...parts.values()]
}

function isHere(mirror: Mirror, vpn: Vpn, write: boolean): boolean {
  return mirror.frameOf(vpn) >= 0 && (!write || mirror.space.pages.isDevicePrivate(vpn))
}

function canCome(mirror: Mirror, vma: Vma, vpn: Vpn, write: boolean): boolean {
  const { pages, hostMappings } = mirror.space
  const state = pages.state(vpn)
  if (state > PAGE.mapped || mirror.frameOf(vpn) >= 0 || !mayComeAlong(mirror, vma, vpn) || !mirror.space.hasHostBytes(vma, vpn)) return false
  if (write && (!deviceMayWrite(vma) || pages.mappedOn(vpn) !== 0)) return false
  return hostMappings.count === 0 || hostMappings.holdOn(vpn) === 'none'
}
