// The core's half as it was in Linux 5.8-rc2: collect, with its two bits. Compare migrate_vma_collect_pmd() of that time.
//
// Always: it works on the real page table and the real notifiers; what it takes is finished by the library's own pages and finalize. The notifier
// is told of the whole range with the event `clear`, whoever asked, so the device loses every entry of it, moved or not: that was the defect.

import type { VpnRange } from '../../src/base/units.ts'
import { type MigrateArgs, SELECT, SRC } from '../../src/mm/migrate.ts'
import { PAGE } from '../../src/mm/page-table.ts'
import type { PageOwner, Space } from '../../src/mm/space.ts'
import type { Vma } from '../../src/mm/vma.ts'

export interface CollectWish {
  readonly space: Space
  readonly vma: Vma
  readonly range: VpnRange
  /** Whose memory the pages go to. */
  readonly owner: PageOwner
  /** Bit S: whose device-private pages may be sources. null: nobody's, which then also meant that present pages are. Compare migrate_vma.src_owner. */
  readonly srcOwner: PageOwner | null
  /** Bit M, the change to mm/migrate.c: present pages are taken although a source owner is named. */
  readonly presentToo: boolean
}

/** What setup took, and the fence of the invalidation that went with it. */
export interface Collected {
  readonly args: MigrateArgs
  readonly fence: Promise<void> | null
}

export function collect(wish: CollectWish): Collected {
  const { space, vma, range, owner } = wish
  const pages = range.end - range.start
  const args: MigrateArgs = {
    space,
    vma,
    ...range,
    owner,
    select: SELECT.system | SELECT.devicePrivate,
    to: 'owner',
    src: new Uint8Array(pages),
    dst: new Int32Array(pages).fill(-1),
    collected: 0,
    present: 0,
    passed: 0,
    skipped: {},
  }
  const fence = space.notifiers.invalidate({ range, event: 'clear', owner: null, pages: null }, () => {
    for (let i = 0; i < pages; i++) collectPage(wish, args, i)
  })
  return { args, fence }
}

function collectPage({ space, srcOwner, presentToo }: CollectWish, args: MigrateArgs, i: number): void {
  const vpn = args.start + i
  const state = space.pages.state(vpn)
  const hole = state === PAGE.none || state === PAGE.zero
  const taken = space.pages.isDevicePrivate(vpn) ? srcOwner?.memory === space.pages.memory(vpn) : hole || srcOwner === null || presentToo
  if (!taken) {
    args.passed++
    return
  }
  space.pages.beginMigrate(vpn)
  args.src[i] = SRC.taken | SRC.migrate | (hole ? SRC.zero : 0)
  args.collected++
}
