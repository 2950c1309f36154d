// migrate.test.ts: the migrate request on a simulated device: counts add up, a second time moves nothing, and refusals leave everything.
// Pages are drawn: `.` none, `z` zero, `h` host, `m` mapped, `c` clean, `d` dirty, `L` lost.

import { describe, expect, it } from 'vitest'
import type { MigrateResult } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const pagesOf = (result: MigrateResult) =>
  result.moved + result.present + result.discarded + Object.values(result.skipped).reduce((sum, count) => sum + (count ?? 0), 0)

/** An allocation of so many pages, with numbers in them. */
async function filled(rig: Rig, pages: number): Promise<number> {
  const pointer = rig.svm.allocFrom(sequence(pages * PAGE_WORDS, 1))
  await rig.svm.read(pointer, 4)
  return pointer
}

/** Stores 7 to the first word of each page in [pointer, pointer + pages). */
async function dirty(rig: Rig, pointer: number, pages: number): Promise<void> {
  const kernel = await makeKernel(rig.svm, (item, args, memory) => memory.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 7))
  await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: pages }).done
}

describe('migrate', () => {
  it('a second time moves nothing, writes no entry, loses no mapping and keeps the frames', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 6)
    const first = await rig.svm.queue.migrate({ pointer }).done
    expect(first).toMatchObject({ moved: 6, present: 0, skipped: {}, bytesCopied: 6 * PAGE_BYTES })
    const vpn = pointer / PAGE_BYTES
    const frames = [0, 1, 2, 3, 4, 5].map((i) => rig.space.pages.frame(vpn + i))
    const before = rig.svm.stats().devices[0]
    const second = await rig.svm.queue.migrate({ pointer }).done
    expect(second).toEqual({ moved: 0, present: 6, discarded: 0, skipped: {}, bytesCopied: 0, ptesWritten: 0 })
    const after = rig.svm.stats().devices[0]
    expect(after.ptesWritten).toBe(before.ptesWritten)
    expect(after.mappingsLost).toBe(before.mappingsLost)
    expect([0, 1, 2, 3, 4, 5].map((i) => rig.space.pages.frame(vpn + i))).toEqual(frames)
    await checkInvariants(rig)
  })

  it('mixed ranges: what is there stays, the rest comes; both directions', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 8)
    await rig.svm.queue.migrate({ pointer: pointer + 2 * PAGE_BYTES, byteLength: 3 * PAGE_BYTES }).done
    await dirty(rig, pointer + 2 * PAGE_BYTES, 1)
    expect(rig.draw(pointer, 8)).toBe('hhdcchhh')
    const result = await rig.svm.queue.migrate({ pointer }).done
    expect(result).toMatchObject({ moved: 5, present: 3, bytesCopied: 5 * PAGE_BYTES })
    expect(rig.draw(pointer, 8)).toBe('ccdccccc')
    await checkInvariants(rig)
    const home = await rig.svm.queue.migrate({ pointer, byteLength: 4 * PAGE_BYTES }, { to: 'host' }).done
    expect(home).toMatchObject({ moved: 4, present: 0, bytesCopied: PAGE_BYTES })
    expect(rig.draw(pointer, 8)).toBe('hhhhcccc')
    const again = await rig.svm.queue.migrate({ pointer }, { to: 'host' }).done
    expect(again).toMatchObject({ moved: 4, present: 4, bytesCopied: 0 })
    const expected = sequence(8 * PAGE_WORDS, 1)
    expected[2 * PAGE_WORDS] = 7
    expect(await rig.svm.read(pointer, Uint32Array, 8 * PAGE_WORDS)).toEqual(expected)
    await checkInvariants(rig)
  })

  it('best effort: pages for which there is no memory stay usable on the host', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = await filled(rig, 12)
    const result = await rig.svm.queue.migrate({ pointer }).done
    expect(result).toMatchObject({ moved: 8, skipped: { 'no-memory': 4 } })
    await checkInvariants(rig)
    expect(rig.draw(pointer, 12)).toBe('cccccccchhhh')
    expect(await rig.svm.read(pointer, Uint32Array, 12 * PAGE_WORDS)).toEqual(sequence(12 * PAGE_WORDS, 1))
    await checkInvariants(rig)
  })

  it('overlapping ranges are legal and count in each', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 6)
    const result = await rig.svm.queue.migrate([
      { pointer, byteLength: 4 * PAGE_BYTES },
      { pointer: pointer + 2 * PAGE_BYTES, byteLength: 4 * PAGE_BYTES },
      { pointer: pointer + 100, byteLength: 1 },
    ]).done
    expect(result).toMatchObject({ moved: 6, present: 3 })
    expect(pagesOf(result)).toBe(9)
    await checkInvariants(rig)
  })

  it('scattered ranges of one request do what they do one by one, and what lies between stays', async () => {
    // By page: what there is before, a mapping by the host, and the ranges asked for; some with far more than a step's gap between them.
    const PAGES = 48
    const ranges = [
      [1, 1],
      [3, 2],
      [6, 1],
      [7, 1],
      [10, 3],
      [44, 2],
      [40, 1],
      [40, 2],
      [47, 1],
    ] as const
    const prepared = async () => {
      const rig = await openRig({ frames: 60 })
      const pointer = await filled(rig, PAGES)
      const at = (page: number) => pointer + page * PAGE_BYTES
      await rig.svm.queue.migrate({ pointer: at(4), byteLength: 2 * PAGE_BYTES }).done
      await dirty(rig, at(5), 1)
      const held = await rig.svm.map(at(11), 4, 'read')
      const asked = ranges.map(([page, pages]) => ({ pointer: at(page), byteLength: pages * PAGE_BYTES }))
      return { rig, pointer, held, asked }
    }
    const [together, apart] = [await prepared(), await prepared()]
    const result = await together.rig.svm.queue.migrate(together.asked).done
    const sum = { moved: 0, present: 0, discarded: 0, skipped: 0, bytesCopied: 0, ptesWritten: 0 }
    for (const range of apart.asked) {
      const { skipped, ...counts } = await apart.rig.svm.queue.migrate(range).done
      for (const [name, count] of Object.entries(counts)) sum[name as 'moved'] += count
      sum.skipped += skipped['host-mapped'] ?? 0
    }
    expect({ ...result, skipped: result.skipped['host-mapped'] }).toEqual(sum)
    expect(result).toMatchObject({ moved: 11, present: 2, skipped: { 'host-mapped': 1 } })
    expect(together.rig.draw(together.pointer, PAGES)).toBe(apart.rig.draw(apart.pointer, PAGES))
    expect(together.rig.draw(together.pointer, 14)).toBe('hchccdcchhchch')
    // What lies close is one step; what comes again or lies before is another.
    const steps = together.rig.events.filter((event) => event.kind === 'migrate' && event.to === 'device' && event.why === 'request')
    expect(steps.slice(1).map((event) => (event as { pages: number }).pages)).toEqual([6, 2, 1, 2])
    for (const { rig, held } of [together, apart]) {
      await checkInvariants(rig)
      held.unmap()
      expect(rig.svm.stats().devices[0].mappingsLost).toBe(0)
    }
  })

  it('bytes at any offset are rounded outwards; content undefined only drops whole pages', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 4)
    const range = { pointer: pointer + 100, byteLength: 3 * PAGE_BYTES }
    const result = await rig.svm.queue.migrate(range, { contentUndefined: true }).done
    expect(result).toMatchObject({ moved: 2, discarded: 2, bytesCopied: 2 * PAGE_BYTES })
    expect(rig.draw(pointer, 4)).toBe('cddc')
    await checkInvariants(rig)
    const words = await rig.svm.read(pointer, Uint32Array, 4 * PAGE_WORDS)
    expect(words.subarray(0, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS, 1))
    expect(words.subarray(3 * PAGE_WORDS)).toEqual(sequence(PAGE_WORDS, 1 + 3 * PAGE_WORDS))
  })

  it('content undefined with too little memory counts what was really dropped', async () => {
    const rig = await openRig({ frames: 8 })
    const first = await filled(rig, 7)
    const second = await filled(rig, 4)
    const result = await rig.svm.queue.migrate([{ pointer: first }, { pointer: second + 100, byteLength: 3 * PAGE_BYTES }], { contentUndefined: true }).done
    expect(pagesOf(result)).toBe(11)
    expect(result).toMatchObject({ moved: 1, discarded: 7, skipped: { 'no-memory': 3 } })
    await checkInvariants(rig)
  })

  it('host-mapped pages are skipped, and move once they are unmapped', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 4)
    const mapping = await rig.svm.map(pointer + PAGE_BYTES, 10, 'read')
    const result = await rig.svm.queue.migrate({ pointer }).done
    expect(result).toMatchObject({ moved: 3, skipped: { 'host-mapped': 1 } })
    expect(await codeOf(() => rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done)).toBe('host-mapped')
    await checkInvariants(rig)
    mapping.unmap()
    expect(await rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done).toMatchObject({ moved: 1, present: 3 })
    await checkInvariants(rig)
  })

  it('size 0, null and whole allocations', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 3)
    expect(await rig.svm.queue.migrate({ pointer: 0, byteLength: 0 }).done).toMatchObject({ moved: 0, present: 0 })
    expect(await rig.svm.queue.migrate({ pointer: pointer + PAGE_BYTES }).done).toMatchObject({ moved: 3 })
    expect(await codeOf(() => rig.svm.queue.migrate([{ pointer }, { pointer: 0x1000, byteLength: 4 }]))).toBe('not-mapped')
    expect(await codeOf(() => rig.svm.queue.migrate({ pointer, byteLength: 1.5 }))).toBe('invalid-value')
    await checkInvariants(rig)
  })
})

describe('all or nothing', () => {
  it('refuses what the budget cannot hold, and leaves everything where it was', async () => {
    const rig = await openRig({ frames: 8 })
    const other = await filled(rig, 4)
    const pointer = await filled(rig, 12)
    await rig.svm.queue.migrate({ pointer: other }).done
    await dirty(rig, other, 2)
    const before = [rig.draw(other, 4), rig.draw(pointer, 12), rig.mirror.evictions]
    expect(await codeOf(() => rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done)).toBe('device-memory')
    expect([rig.draw(other, 4), rig.draw(pointer, 12), rig.mirror.evictions]).toEqual(before)
    await checkInvariants(rig)
    expect(await rig.svm.read(pointer, Uint32Array, 12 * PAGE_WORDS)).toEqual(sequence(12 * PAGE_WORDS, 1))
  })

  it('content undefined is still everything as it was when it is refused', async () => {
    // The pager of the second range fails after the first has moved.
    const rig = await openRig({ frames: 12 })
    const pointer = await filled(rig, 3)
    const pager = { size: 2 * PAGE_BYTES, read: () => Promise.reject(new Error('broken')) }
    const file = await rig.svm.mmap(pager)
    const ranges = [{ pointer }, { pointer: file }]
    expect(await codeOf(() => rig.svm.queue.migrate(ranges, { mode: 'all-or-nothing', contentUndefined: true }).done)).toBe('pager-failed')
    expect(rig.draw(pointer, 3)).toBe('hhh')
    expect(await rig.svm.read(pointer, Uint32Array, 3 * PAGE_WORDS)).toEqual(sequence(3 * PAGE_WORDS, 1))
    expect(rig.svm.stats().devices[0].pools).toBe(0)
    await checkInvariants(rig)
  })

  it('evicts others to make room', async () => {
    const rig = await openRig({ frames: 8 })
    const other = await filled(rig, 4)
    const pointer = await filled(rig, 8)
    await rig.svm.queue.migrate({ pointer: other }).done
    await dirty(rig, other, 2)
    const out = rig.mirror.copies.bytesOut
    expect(await rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done).toMatchObject({ moved: 8 })
    expect(rig.draw(other, 4)).toBe('hhhh')
    expect(rig.mirror.copies.bytesOut - out).toBe(2 * PAGE_BYTES)
    await checkInvariants(rig)
  })
})

describe('frames and pools', () => {
  it('come with the first migration and go with the last page', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = await filled(rig, 4)
    expect(rig.svm.stats().devices[0]).toMatchObject({ pools: 0, framesUsed: 0 })
    await rig.svm.queue.migrate({ pointer }).done
    expect(rig.svm.stats().devices[0]).toMatchObject({ pools: 1, framesUsed: 4 })
    await rig.svm.queue.migrate({ pointer }, { to: 'host' }).done
    expect(rig.svm.stats().devices[0]).toMatchObject({ pools: 0, framesUsed: 0 })
    await rig.svm.queue.migrate({ pointer }).done
    rig.svm.free(pointer)
    const last = rig.svm.alloc(4)
    await rig.svm.read(last, 4)
    expect(rig.svm.stats().devices[0]).toMatchObject({ pools: 0, framesUsed: 0 })
    await checkInvariants(rig)
  })

  it('several pools: pages spread over them, and frames freed in one are used again', async () => {
    const rig = await openRig({ deviceMemory: 3 * 2 ** 20, bufferBytes: 2 ** 20, pageSize: 64 * 1024 })
    const { plan } = rig.mirror
    expect(plan.poolCount).toBeGreaterThan(1)
    const words = (plan.frames * 64 * 1024) / 4
    const pointer = rig.svm.allocFrom(sequence(words))
    await rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done
    expect(rig.svm.stats().devices[0].pools).toBe(plan.poolCount)
    await checkInvariants(rig)
    await rig.svm.queue.migrate({ pointer, byteLength: 10 * 64 * 1024 }, { to: 'host' }).done
    await checkInvariants(rig)
    await rig.svm.queue.migrate({ pointer }).done
    expect(Buffer.compare(await rig.svm.read(pointer, words * 4), new Uint8Array(sequence(words).buffer))).toBe(0)
    await checkInvariants(rig)
  })

  it('zero pages never show old data: freed frames hold garbage, and come back clear', async () => {
    const rig = await openRig({ frames: 8 })
    const old = rig.svm.allocFrom(sequence(8 * PAGE_WORDS, 0xdead0000))
    await rig.svm.queue.migrate({ pointer: old }).done
    const kept = rig.svm.alloc(PAGE_BYTES)
    rig.svm.free(old)
    const fresh = rig.svm.alloc(4 * PAGE_BYTES)
    await rig.svm.queue.migrate([{ pointer: fresh }, { pointer: kept }]).done
    expect(rig.mirror.copies.bytesIn).toBe(8 * PAGE_BYTES)
    await checkInvariants(rig)
    const out = rig.svm.alloc(8)
    const kernel = await makeKernel(
      rig.svm,
      (_item, args, m) => {
        let sum = 0
        for (let at = 0; at < 4 * PAGE_BYTES; at += 4) sum |= m.loadU32(args.a + at)
        for (let at = 0; at < PAGE_BYTES; at += 4) sum |= m.loadU32(args.c + at)
        m.storeU32(args.b, sum >>> 0)
        m.storeU32(args.b + 4, 1)
      },
      { pointers: ['a', 'b', 'c'] },
    )
    await rig.svm.queue.enqueue(kernel, { args: { a: fresh, b: out, c: kept }, global: 1 }).done
    expect(await rig.svm.read(out, Uint32Array, 2)).toEqual(Uint32Array.of(0, 1))
    await checkInvariants(rig)
  })

  it('the peak stays below the budget with thousands of pages in flight', async () => {
    const rig = await openRig({ deviceMemory: 2 ** 20 })
    const pointer = rig.svm.allocFrom(sequence(800 * PAGE_WORDS))
    const total = await makeKernel(
      rig.svm,
      (item, args, m) => {
        for (let i = 0; i < 8; i++) m.silentAtomicAddU32(args.b, m.loadU32(args.a + (item.globalId[0] * 8 + i) * PAGE_BYTES))
      },
      { pointers: ['a', 'b'] },
    )
    const sum = rig.svm.alloc(4)
    await rig.svm.queue.enqueue(total, { args: { a: pointer, b: sum }, global: 100 }).done
    expect((await rig.svm.read(sum, Uint32Array, 1))[0]).toBe((PAGE_WORDS * ((800 * 799) / 2)) >>> 0)
    expect(rig.svm.stats().devices[0].peakBytes).toBeLessThanOrEqual(2 ** 20)
    expect(rig.mirror.evictions).toBeGreaterThan(500)
    await checkInvariants(rig)
  })
})
