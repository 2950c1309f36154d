// Moving pages between the host and one owner's memory, in three steps. Compare mm/migrate_device.c.
//
//   1. setup     collects the pages that may move and takes them: their state is `migrating` until finalize. Nothing else has happened.
//   2. (owner)   takes frames and copies: `dst[i]` is the frame, or -1 to leave the page where it is.
//   3. pages     commits: every page with a destination is now there. Pages without one are no longer marked SRC.migrate.
//   4. finalize  restores what did not move, and gives back the frames that nobody names any more.
//
// Always: the direction is named, and pages that are already in place are never collected, so their entries survive; per-page refusal is a
// verdict in `skipped`, not an error; moved + present + discarded + skipped = pages of the range.

import { assert, unreachable } from '../base/assert.ts'
import type { Vpn } from '../base/units.ts'
import { PAGE, type PageState } from './page-table.ts'
import type { PageOwner, Space } from './space.ts'
import type { Vma } from './vma.ts'

/** Bits of `src[i]`. */
export const SRC = {
  /** The page is taken and may move. */
  migrate: 1,
  /** There is nothing to copy: the page is zero (a hole or a zero page). */
  zero: 2,
  /** The owner has a read-only copy already. */
  copied: 4,
  /** Device-private with stores that the host has not seen. */
  dirty: 8,
  /** The page was taken by setup, and stays so until finalize. */
  taken: 16,
} as const

/** Why a page stayed where it was. */
export type SkipReason = 'host-mapped' | 'pinned' | 'busy' | 'no-memory' | 'not-mapped' | 'read-only' | 'lost'

export interface MigrateArgs {
  readonly space: Space
  readonly vma: Vma
  readonly start: Vpn
  readonly end: Vpn
  readonly owner: PageOwner
  readonly to: 'device' | 'host'
  /** To the host only: the owner keeps its frames as read-only copies. */
  readonly keepCopy: boolean
  /** Bits of SRC, one byte a page. */
  readonly src: Uint8Array
  /** Frames by page; -1: none. To the device: set by the owner. To the host: the frame that the page leaves. */
  readonly dst: Int32Array
  /** Pages taken. */
  collected: number
  /** Pages that are in place already. */
  present: number
  readonly skipped: Partial<Record<SkipReason, number>>
}

/** Step 1. Never waits. Compare migrate_vma_setup(). */
export function migrateSetup(wish: { space: Space; vma: Vma; start: Vpn; end: Vpn; owner: PageOwner; to: 'device' | 'host'; keepCopy?: boolean }): MigrateArgs {
  const pages = wish.end - wish.start
  assert(pages > 0 && wish.start >= wish.vma.start && wish.end <= wish.vma.end, 'a migration lies within one VMA')
  const args: MigrateArgs = {
    ...wish,
    keepCopy: wish.keepCopy === true,
    src: new Uint8Array(pages),
    dst: new Int32Array(pages).fill(-1),
    collected: 0,
    present: 0,
    skipped: {},
  }
  const held = wish.space.hostMappings.count > 0
  const moving: Vpn[] = []
  for (let i = 0; i < pages; i++) {
    const vpn = wish.start + i
    const verdict = wish.to === 'device' ? collectForDevice(args, vpn, i, held) : collectForHost(args, vpn, i)
    if (verdict === 'take') {
      wish.space.pages.beginMigrate(vpn)
      args.src[i] = (args.src[i] as number) | SRC.migrate | SRC.taken
      args.collected++
      moving.push(vpn)
    } else if (verdict === 'present') args.present++
    else skip(args, verdict)
  }
  if (moving.length > 0) {
    const range = { start: wish.start, end: wish.end }
    wish.space.notifiers.invalidate({ range, event: 'migrate', owner: wish.owner, pages: moving })
  }
  return args
}

/** Step 3. Commits every page that has a destination. Compare migrate_vma_pages(). Returns the number of pages that moved. */
export function migratePages(args: MigrateArgs): number {
  const { pages } = args.space
  let moved = 0
  for (let i = 0; i < args.src.length; i++) {
    if (((args.src[i] as number) & SRC.taken) === 0) continue
    const vpn = args.start + i
    const frame = args.dst[i] as number
    if (frame < 0) {
      args.src[i] = (args.src[i] as number) & ~SRC.migrate
      continue
    }
    if (args.to === 'device') pages.endMigrateOnDevice(vpn, { memory: args.owner.memory, frame })
    else if (args.keepCopy) pages.endMigrateOnHostMapped(vpn, args.owner.memory)
    else pages.endMigrateOnHost(vpn)
    moved++
  }
  return moved
}

/** Step 4. Restores the rest and frees what nobody names. Compare migrate_vma_finalize(). */
export function migrateFinalize(args: MigrateArgs): void {
  const { pages } = args.space
  for (let i = 0; i < args.src.length; i++) {
    const vpn = args.start + i
    if (((args.src[i] as number) & SRC.taken) === 0) continue
    if (pages.state(vpn) === PAGE.migrating) pages.restore(vpn)
    else if (args.to === 'host' && !args.keepCopy) args.owner.pageFree(args.dst[i] as number)
  }
}

export function skip(args: MigrateArgs, reason: SkipReason, count = 1): void {
  args.skipped[reason] = (args.skipped[reason] ?? 0) + count
}

type Verdict = 'take' | 'present' | SkipReason

function collectForDevice(args: MigrateArgs, vpn: Vpn, i: number, held: boolean): Verdict {
  const { space, owner } = args
  const state: PageState = space.pages.state(vpn)
  switch (state) {
    case PAGE.clean:
    case PAGE.dirty:
      return space.pages.memory(vpn) === owner.memory ? 'present' : 'busy'
    case PAGE.migrating:
      return 'busy'
    case PAGE.lost:
      return 'lost'
    case PAGE.none:
    case PAGE.zero:
    case PAGE.host:
    case PAGE.mapped:
      break
    default:
      return unreachable(state)
  }
  if (held && space.hostMappings.holdOn(vpn) !== 'none') return 'host-mapped'
  if (state === PAGE.mapped && (space.pages.mappedOn(vpn) & (1 << owner.memory)) !== 0) args.src[i] = SRC.copied
  else if (!space.hasHostBytes(args.vma, vpn)) return 'busy'
  else if (args.vma.backing.kind === 'anonymous' && (state === PAGE.none || state === PAGE.zero)) args.src[i] = SRC.zero
  return 'take'
}

function collectForHost(args: MigrateArgs, vpn: Vpn, i: number): Verdict {
  const { pages } = args.space
  const state = pages.state(vpn)
  switch (state) {
    case PAGE.none:
    case PAGE.zero:
    case PAGE.host:
    case PAGE.mapped:
      return 'present'
    case PAGE.migrating:
      return 'busy'
    case PAGE.lost:
      return 'lost'
    case PAGE.clean:
    case PAGE.dirty:
      if (pages.memory(vpn) !== args.owner.memory) return 'busy'
      args.dst[i] = pages.frame(vpn)
      args.src[i] = state === PAGE.dirty ? SRC.dirty : 0
      return 'take'
    default:
      return unreachable(state)
  }
}
