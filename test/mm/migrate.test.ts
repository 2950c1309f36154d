// The three steps of a migration, with an owner that is no GPU. Always: drawings are one letter a page.

import { describe, expect, it, vi } from 'vitest'
import { hostFault } from '../../src/mm/fault.ts'
import { migrateFinalize, migratePages, migrateSetup, SELECT } from '../../src/mm/migrate.ts'
import { unmapRange } from '../../src/mm/unmap.ts'
import { bareSpace, gate } from './bare-space.ts'
import { CompressingStore } from './compressing-store.ts'

function setUp(pages = 6, options: { touched?: boolean } = {}) {
  const bare = bareSpace(pages, options)
  const store = new CompressingStore(bare.space)
  return { ...bare, store, end: bare.start + pages }
}

describe('a compressing store', () => {
  it('takes pages, keeps them small, and gives them back with their bytes', async () => {
    const { space, vma, start, end, store, draw, bytes } = setUp()
    expect(await store.take(vma, start, end)).toMatchObject({ collected: 6, present: 0, skipped: {} })
    expect(draw()).toBe('cccccc')
    expect(store.byteLength).toBeLessThan(6 * 64)
    store.forgetHostBytes(vma, start, end)
    expect(draw()).toBe('dddddd')
    expect(await hostFault(space, vma, start + 1, start + 3, 'read')).toBe('ok')
    expect(draw()).toBe('dhhddd')
    expect([...bytes(1).subarray(0, 3), ...bytes(2).subarray(0, 3)]).toEqual([2, 2, 2, 3, 3, 3])
    expect(await store.give(vma, start, end)).toMatchObject({ collected: 4, present: 2 })
    expect(draw()).toBe('hhhhhh')
    expect(Array.from({ length: 6 }, (_, page) => bytes(page)[9])).toEqual([1, 2, 3, 4, 5, 6])
    expect(store.frames.size).toBe(0)
    space.assertPages(start, end)
  })

  it('takes a hole and a zero page as zeros', async () => {
    const { space, vma, start, end, store, draw, bytes } = setUp(3, { touched: false })
    await hostFault(space, vma, start + 1, start + 2, 'read')
    expect(draw()).toBe('.z.')
    await store.take(vma, start, end)
    store.forgetHostBytes(vma, start, end)
    await hostFault(space, vma, start, end, 'write')
    for (let page = 0; page < 3; page++) expect(bytes(page).every((byte) => byte === 0)).toBe(true)
  })

  it('a second time moves nothing and changes nothing', async () => {
    const { space, vma, start, end, store } = setUp()
    await store.take(vma, start, end)
    const before = [...store.frames.keys()]
    const sequence = space.notifiers.sequence
    expect(await store.take(vma, start, end)).toMatchObject({ collected: 0, present: 6 })
    expect([...store.frames.keys()]).toEqual(before)
    expect(space.notifiers.sequence).toBe(sequence)
  })

  it('that is full takes what fits; the rest is restored and counted', async () => {
    const { vma, start, end, store, draw } = setUp()
    store.capacity = 4
    const args = await store.take(vma, start, end)
    expect(args).toMatchObject({ collected: 6, skipped: { 'no-memory': 2 } })
    expect(draw()).toBe('cccchh')
  })

  it('that fails in between leaves every page as it was, both ways', async () => {
    const { vma, start, end, store, draw } = setUp()
    await store.take(vma, start, start + 2)
    store.forgetHostBytes(vma, start, start + 1)
    expect(draw()).toBe('dchhhh')
    store.pause = async () => {
      throw new Error('out of luck')
    }
    await expect(store.take(vma, start, end)).rejects.toThrow('out of luck')
    expect(draw()).toBe('dchhhh')
    await expect(store.give(vma, start, end)).rejects.toThrow('out of luck')
    expect(draw()).toBe('dchhhh')
    expect(store.frames.size).toBe(2)
  })

  it('gives its frames back when the pages are unmapped', async () => {
    const { space, vma, start, end, store, draw } = setUp()
    await store.take(vma, start, end)
    unmapRange(space, { start: start + 1, end: end - 1 })
    expect(draw()).toBe('c....c')
    expect(store.frames.size).toBe(2)
    expect(space.addresses.vmas.map((left) => [left.start - start, left.end - start])).toEqual([
      [0, 1],
      [5, 6],
    ])
  })
})

describe('the direction', () => {
  it('is named: system pages only, own pages only, or both', async () => {
    const { space, vma, start, end, store, draw } = setUp()
    await store.take(vma, start, start + 3)
    store.forgetHostBytes(vma, start, start + 1)
    expect(draw()).toBe('dcchhh')
    const wish = { space, vma, start, end, owner: store, to: 'owner' } as const
    const only = migrateSetup({ ...wish, select: SELECT.devicePrivate })
    expect(draw()).toBe('!!!hhh')
    expect(only).toMatchObject({ collected: 3, present: 0, passed: 3 })
    migratePages(only)
    migrateFinalize(only)
    expect(draw()).toBe('dcchhh')
    // Both: the owner's pages go to other frames of its own, the dirty one stays dirty, and the old frames are free.
    const old = [0, 1, 2].map((page) => space.pages.frame(start + page))
    const both = await store.take(vma, start, end, SELECT.system | SELECT.devicePrivate)
    expect(both.collected).toBe(6)
    expect(draw()).toBe('dccccc')
    expect(store.frames.size).toBe(6)
    for (const frame of old) expect(store.frames.has(frame)).toBe(false)
    await hostFault(space, vma, start, end, 'write')
    expect((space.hostRun(vma, start, 1) as Uint8Array)[0]).toBe(1)
  })

  it('homeward takes from nobody but the owner that is named', async () => {
    const { space, vma, start, end, store, draw } = setUp()
    const other = new CompressingStore(space)
    await store.take(vma, start, start + 3)
    await other.take(vma, start + 3, end)
    const args = await store.give(vma, start, end)
    expect(args).toMatchObject({ collected: 3, skipped: { busy: 3 } })
    expect(draw()).toBe('hhhccc')
    expect(await other.take(vma, start, end)).toMatchObject({ collected: 3, present: 3 })
  })

  it('counts every page of the range once', async () => {
    const { space, vma, start, end, store } = setUp(5)
    await store.take(vma, start, start + 1)
    space.hostMappings.add({ pointer: 0, byteLength: 1, pages: { start: start + 1, end: start + 2 }, mode: 'read' })
    const args = await store.take(vma, start, end)
    expect(args.collected + args.present + args.passed + (args.skipped['host-mapped'] ?? 0)).toBe(5)
    expect(args).toMatchObject({ collected: 3, present: 1, skipped: { 'host-mapped': 1 } })
  })
})

describe('a page that migrates', () => {
  it('is waited for by the host, and by nobody taken twice', async () => {
    const { space, vma, start, end, store, draw, bytes } = setUp()
    const other = new CompressingStore(space)
    const { passed, open } = gate()
    store.pause = () => passed
    const taking = store.take(vma, start, end)
    expect(draw()).toBe('!!!!!!')
    expect(await other.take(vma, start, end)).toMatchObject({ collected: 0, skipped: { busy: 6 } })
    let arrived = false
    const reading = hostFault(space, vma, start, start + 1, 'read').then(() => {
      arrived = true
    })
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(arrived).toBe(false)
    store.pause = async () => undefined
    open()
    await taking
    await reading
    expect(draw()).toBe('hccccc')
    expect(bytes(0)[0]).toBe(1)
  })

  it('is told to other mirrors and never to its own, page by page', async () => {
    const { space, vma, start, end, store } = setUp()
    const told = vi.fn(() => null)
    space.notifiers.insert({ start, end }, { invalidate: told })
    const mine = vi.spyOn(store, 'invalidate')
    const subscription = space.notifiers.insert({ start, end }, store)
    const ticket = space.notifiers.readBegin(subscription)
    await store.take(vma, start + 2, start + 3)
    await store.take(vma, start, end)
    expect(told.mock.calls.map(([invalidation]: never[]) => (invalidation as { pages: number[] }).pages.map((vpn) => vpn - start))).toEqual([
      [2],
      [0, 1, 3, 4, 5],
    ])
    expect(mine).toHaveBeenCalledTimes(2)
    expect(space.notifiers.readRetry(ticket), 'its own migration does not void its ticket').toBe(false)
  })
})
