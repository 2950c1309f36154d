// Least recently used first; of two equally old ones, the clean one, since it goes without traffic.

import type { EvictionPolicy } from './policy.ts'

export const lru: EvictionPolicy = {
  name: 'lru',
  victims(lastUse, dirty, wanted) {
    const order = Array.from(lastUse, (_, index) => index)
    order.sort((a, b) => (lastUse[a] as number) - (lastUse[b] as number) || (dirty[a] as number) - (dirty[b] as number) || a - b)
    return order.slice(0, wanted)
  },
}
