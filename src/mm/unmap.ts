// The end of mappings. Always: mirrors lose their entries before anything is freed; every page that an owner has is given back to him; afterwards
// the range is a hole without records.

import type { VpnRange } from '../base/units.ts'
import { PAGE } from './page-table.ts'
import type { Space } from './space.ts'

/**
 * Unmaps what is mapped in `range`. Bytes may be handed to somebody else once the fence that is returned has passed. Compare
 * unmap_vmas() and zap_page_range(). Pages that migrate must have been waited for.
 */
export function unmapRange(space: Space, range: VpnRange): Promise<void> | null {
  return space.notifiers.invalidate({ range, event: 'unmap', owner: null, pages: null }, () => {
    const { pages } = space
    pages.forEachTouched(range, (start, end) => {
      for (let vpn = start; vpn < end; vpn++) {
        const state = pages.state(vpn)
        if (state === PAGE.clean || state === PAGE.dirty) space.owners[pages.memory(vpn)]?.pageFree(pages.frame(vpn))
      }
    })
    pages.clearRange(range)
    space.cache.forgetRange(range)
    space.addresses.remove(range)
  })
}
