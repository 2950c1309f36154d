// The driver's half as it was in Linux 5.8-rc2: allocate, copy, pages, map, finalize. Compare nouveau_dmem_migrate_chunk() of that time.
//
// Always: frames, copies, entries and the steps of the core are the library's own. A host page goes through the DMA map before it is copied, and the
// map is guarded: a device page is no address that the bus could read, so handing one over is the crash that it would have been.

import type { VpnRange } from '../../src/base/units.ts'
import { nameFrames } from '../../src/driver/bind.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import { type MigrateArgs, migrateFinalize, migratePages, SRC } from '../../src/mm/migrate.ts'
import { PAGE } from '../../src/mm/page-table.ts'
import { collect } from './core.ts'

/** One row of the table: which halves of the fix are in. */
export interface Halves {
  /** M: the core takes present pages although a source owner is named. */
  readonly m: 0 | 1
  /** S: the driver names itself as the source owner. */
  readonly s: 0 | 1
  /** C: the driver checks for pages that are its own already. */
  readonly c: 0 | 1
}

/** What a struct page of a source may be. */
type SourcePage = { readonly kind: 'hole' } | { readonly kind: 'host' } | { readonly kind: 'device'; readonly memory: number; readonly frame: number }

/** The machine would be down: dma_map_page() got a page that is no host memory. */
export class HostCrash extends Error {
  override readonly name = 'HostCrash'
}

/** Compare dma_map_page(). @throws HostCrash */
function dmaMap(page: SourcePage, vpn: number): void {
  if (page.kind === 'host') return
  const what = page.kind === 'device' ? `the device page ${page.frame} of memory ${page.memory}` : 'a hole'
  throw new HostCrash(`dma_map_page() of page ${vpn} was given ${what}, which is not a valid address of the host.`)
}

/** The migrate request with some halves of the fix. Returns the pages that moved. @throws HostCrash */
export async function migrate58(mirror: Mirror, range: VpnRange, { m, s, c }: Halves): Promise<number> {
  if (range.end === range.start) return 0
  const { space } = mirror
  const vma = space.addresses.find(range.start)
  if (vma === undefined) return 0
  await mirror.dmem.reserve(range.end - range.start)
  const { args, fence } = collect({ space, vma, range, owner: mirror, srcOwner: s === 1 ? mirror : null, presentToo: m === 1 })
  if (fence !== null) await fence
  // With nothing collected the chunk is never reached, and nobody maps again what the notifier took away.
  return args.collected === 0 ? 0 : migrateChunk(mirror, args, c === 1)
}

function migrateChunk(mirror: Mirror, args: MigrateArgs, checksPrivate: boolean): number {
  const upload = new Int32Array(args.src.length).fill(-1)
  const zero = new Int32Array(args.src.length).fill(-1)
  const mapped: number[] = []
  for (let i = 0; i < args.src.length; i++) {
    if (((args.src[i] as number) & SRC.migrate) === 0) continue
    const vpn = args.start + i
    mapped.push(vpn)
    const page = sourcePage(mirror, vpn)
    // The check of the seed's second patch. The patch as posted then returned a destination that it had never set; none is what is right.
    if (checksPrivate && page.kind === 'device') continue
    if (page.kind !== 'hole') dmaMap(page, vpn)
    const frame = mirror.dmem.take(1)[0] as number
    const into = page.kind === 'hole' ? zero : upload
    into[i] = frame
    args.dst[i] = frame
  }
  mirror.copies.clear(zero)
  mirror.copies.upload(args.vma, args.start, upload)
  const moved = migratePages(args)
  migrateFinalize(args)
  nameFrames(mirror, args)
  for (const vpn of mapped) mirror.refreshPage(vpn)
  return moved
}

function sourcePage({ space }: Mirror, vpn: number): SourcePage {
  const state = space.pages.settledState(vpn)
  if (state === PAGE.clean || state === PAGE.dirty) return { kind: 'device', memory: space.pages.memory(vpn), frame: space.pages.frame(vpn) }
  return state === PAGE.none || state === PAGE.zero ? { kind: 'hole' } : { kind: 'host' }
}
