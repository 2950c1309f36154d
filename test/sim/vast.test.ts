// vast.test.ts: requests about 1 TiB that nobody has touched cost what is in it, which is nothing.

import { expect, it } from 'vitest'
import { checkInvariants, codeOf, openRig } from './rig.ts'

const TIB = 2 ** 40
const PAGE_BYTES = 65_536

it('alloc, mprotect, residency, snapshot, stats and free of 1 TiB look at touched pages only', async () => {
  const rig = await openRig({ addressBits: 64, pageSize: PAGE_BYTES, deviceMemory: 2 ** 22 })
  const { svm, space } = rig
  const visited = { pages: 0 }
  const state = space.pages.state.bind(space.pages)
  space.pages.state = (vpn) => {
    visited.pages++
    return state(vpn)
  }
  const p = svm.alloc(TIB)
  const middle = p + TIB / 2
  await svm.write(middle, Uint32Array.of(1, 2, 3))
  await svm.mprotect(p, TIB / 2, 'read')
  await svm.mprotect(p, TIB, 'none')
  expect(await codeOf(() => svm.read(middle, 12))).toBe('access-violation')
  await svm.mprotect(p, TIB, 'read-write')
  expect(svm.snapshot().mappings).toHaveLength(1)
  expect(svm.residency(p, TIB).map(({ where, byteLength }) => [where, byteLength])).toEqual([
    ['none', TIB / 2],
    ['host', PAGE_BYTES],
    ['none', TIB / 2 - PAGE_BYTES],
  ])
  await svm.queue.migrate({ pointer: middle, byteLength: 12 }).done
  expect([...(await svm.read(middle, Uint32Array, 3))]).toEqual([1, 2, 3])
  const { mappedBytes, bookkeepingBytes } = svm.stats()
  expect(mappedBytes).toBe(TIB)
  expect(bookkeepingBytes).toBeLessThan(2 ** 20)
  svm.free(p)
  await svm.read(0, 0)
  expect(svm.stats().allocations).toBe(0)
  // Blocks of 32 pages, a few looks each.
  expect(visited.pages).toBeLessThan(2000)
  await checkInvariants(rig)
})
