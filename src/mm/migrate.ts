// Moving pages between the host and one owner's memory, in three steps. Compare mm/migrate_device.c.
//
//   1. setup     collects the pages that may move and takes them: their state is `migrating` until finalize. Nothing else has happened.
//   2. (owner)   takes frames and copies: `dst[i]` is the frame, or -1 to leave the page where it is. Homeward, the owner first drops its
//                own entries of exactly the pages that setup took, since its notifier ignores a migration of its own.
//   3. pages     commits: every page with a destination is now there. Pages without one are no longer marked SRC.migrate.
//   4. finalize  restores what did not move, gives back the frames that nobody names any more, and wakes who waited for these pages.
//
// Always: the direction is named twice, by where pages may come from (`select`) and where they go (`to`), and pages that are already in
// place are never collected, so their entries survive; per-page refusal is a verdict, not an error; collected + present + passed + skipped =
// pages of the range. Where Linux takes holes whatever was selected, and tells every mirror of the whole range, this takes holes as the
// system pages they are and names only the pages that really move.

import { assert, unreachable } from '../base/assert.ts'
import type { Vpn } from '../base/units.ts'
import { PAGE, type PageState } from './page-table.ts'
import type { PageOwner, Space } from './space.ts'
import type { Vma } from './vma.ts'

/** Where pages may come from: bits of `select`. Compare MIGRATE_VMA_SELECT_SYSTEM and _DEVICE_PRIVATE. */
export const SELECT = {
  /** Pages of the host, untouched ones among them. */
  system: 1,
  /** Device-private pages of the owner that is named; never somebody else's. */
  devicePrivate: 2,
} as const

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
  /** The page is in the owner's memory and goes to another frame of it. */
  moves: 32,
} as const

/** Why a page stayed where it was. */
export type SkipReason = 'host-mapped' | 'pinned' | 'busy' | 'no-memory' | 'not-mapped' | 'read-only' | 'lost'

export interface MigrateWish {
  readonly space: Space
  readonly vma: Vma
  readonly start: Vpn
  readonly end: Vpn
  /** Whose memory it is: the destination, or (homeward) the only owner whose pages are taken. Compare migrate_vma.pgmap_owner. */
  readonly owner: PageOwner
  /** Bits of SELECT. Both with `to: 'owner'` also moves the owner's pages to other frames of its own (compaction). */
  readonly select: number
  readonly to: 'owner' | 'host'
  /** To the host only: the owner keeps its frames as read-only copies. */
  readonly keepCopy?: boolean | undefined
  /** Pages besides these are passed over. */
  readonly only?: ((vpn: Vpn) => boolean) | undefined
  /** To the owner only: frames that he has. Pages beyond them are skipped before anybody hears of them. */
  readonly room?: number
}

export interface MigrateArgs extends MigrateWish {
  /** Bits of SRC, one byte a page. */
  readonly src: Uint8Array
  /** Frames by page; -1: none. To the owner: set by the owner. To the host: the frame that the page leaves. */
  readonly dst: Int32Array
  /** Pages taken. Compare migrate_vma.cpages. */
  collected: number
  /** Pages that are in place already. */
  present: number
  /** Pages that `select` or `only` does not name. */
  passed: number
  readonly skipped: Partial<Record<SkipReason, number>>
}

/** Step 1. Never waits, and with nothing to do changes nothing. Compare migrate_vma_setup(). */
export function migrateSetup(wish: MigrateWish): MigrateArgs {
  const { space, vma, start, end, owner, select, to, keepCopy, only } = wish
  assert(end > start && start >= wish.vma.start && end <= wish.vma.end, 'a migration lies within one VMA')
  assert(wish.select > 0 && wish.select <= (SELECT.system | SELECT.devicePrivate), 'a migration names where pages may come from')
  const count = end - start
  const src = new Uint8Array(count)
  const dst = new Int32Array(count).fill(-1)
  let room = wish.room ?? Number.POSITIVE_INFINITY
  // Each named: to spread the wish takes longer than all else that is done for one page.
  const args: MigrateArgs = { space, vma, start, end, owner, select, to, keepCopy, only, room, src, dst, collected: 0, present: 0, passed: 0, skipped: {} }
  const held = space.hostMappings.count > 0
  for (let i = 0; i < count; i++) {
    const vpn = start + i
    let verdict = wish.to === 'owner' ? collectForOwner(args, vpn, i, held) : collectForHost(args, vpn, i)
    if (verdict === 'take' && ((src[i] as number) & SRC.copied) === 0 && room-- <= 0) {
      src[i] = 0
      verdict = 'no-memory'
    }
    if (verdict === 'take') {
      space.pages.beginMigrate(vpn)
      src[i] = (src[i] as number) | SRC.migrate | SRC.taken
      args.collected++
    } else if (verdict === 'present') args.present++
    else if (verdict === 'pass') args.passed++
    else skip(args, verdict)
  }
  if (args.collected > 0) notify(args)
  return args
}

/** Step 3. Commits every page that has a destination. Compare migrate_vma_pages(). Returns the number of pages that moved. */
export function migratePages(args: MigrateArgs): number {
  const { src, dst, start, to, keepCopy } = args
  const { pages } = args.space
  const { memory } = args.owner
  let moved = 0
  for (let i = 0; i < src.length; i++) {
    const bits = src[i] as number
    if ((bits & SRC.taken) === 0) continue
    const frame = dst[i] as number
    if (frame < 0) {
      src[i] = bits & ~SRC.migrate
      continue
    }
    const vpn = start + i
    if (to === 'host') {
      if (keepCopy === true) pages.endMigrateOnHostMapped(vpn, memory)
      else pages.endMigrateOnHost(vpn)
    } else if ((bits & SRC.moves) !== 0) moveWithin(args, vpn, i)
    else pages.endMigrateOnDevice(vpn, memory, frame)
    moved++
  }
  return moved
}

/** Step 4. Restores the rest, frees what nobody names, wakes who waits. Compare migrate_vma_finalize(). */
export function migrateFinalize(args: MigrateArgs): void {
  const { src, dst, start, owner } = args
  const { pages } = args.space
  const leaves = args.to === 'host' && args.keepCopy !== true
  for (let i = 0; i < src.length; i++) {
    const bits = src[i] as number
    if ((bits & SRC.taken) === 0) continue
    if ((bits & SRC.migrate) === 0) pages.restore(start + i)
    else if (leaves) owner.pageFree(dst[i] as number)
  }
  if (args.collected > 0) args.space.settled.wake()
}

export function skip(args: MigrateArgs, reason: SkipReason, count = 1): void {
  args.skipped[reason] = (args.skipped[reason] ?? 0) + count
}

/** A page that moves within its memory: the old frame is free, and what the host has not seen is still unseen. */
function moveWithin(args: MigrateArgs, vpn: Vpn, i: number): void {
  const { pages } = args.space
  const old = pages.frame(vpn)
  pages.endMigrateOnDevice(vpn, args.owner.memory, args.dst[i] as number)
  if (((args.src[i] as number) & SRC.dirty) !== 0) pages.markDirty(vpn)
  args.owner.pageFree(old)
}

/** Mirrors hear of exactly the pages that were taken; Linux tells them of the whole range. */
function notify({ space, src, start, end, owner }: MigrateArgs): void {
  const range = { start, end }
  const moving: Vpn[] = []
  if (space.notifiers.othersListen(range, owner)) {
    for (let i = 0; i < src.length; i++) if (((src[i] as number) & SRC.taken) !== 0) moving.push(start + i)
  }
  space.notifiers.invalidate({ range, event: 'migrate', owner, pages: moving })
}

type Verdict = 'take' | 'present' | 'pass' | SkipReason

function collectForOwner(args: MigrateArgs, vpn: Vpn, i: number, held: boolean): Verdict {
  const { space, owner } = args
  if (args.only?.(vpn) === false) return 'pass'
  const state: PageState = space.pages.state(vpn)
  switch (state) {
    case PAGE.clean:
    case PAGE.dirty:
      if (space.pages.memory(vpn) !== owner.memory) return 'busy'
      if ((args.select & SELECT.devicePrivate) === 0) return 'present'
      args.src[i] = SRC.moves | (state === PAGE.dirty ? SRC.dirty : 0)
      return 'take'
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
  if ((args.select & SELECT.system) === 0) return 'pass'
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
      if ((args.select & SELECT.devicePrivate) === 0 || args.only?.(vpn) === false) return 'pass'
      if (pages.memory(vpn) !== args.owner.memory) return 'busy'
      args.dst[i] = pages.frame(vpn)
      args.src[i] = state === PAGE.dirty ? SRC.dirty : 0
      return 'take'
    default:
      return unreachable(state)
  }
}
