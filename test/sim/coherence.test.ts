// coherence.test.ts: who sees which bytes where, and what it costs: dirty and clean pages, system copies, live mappings of the host, pagers.
// Pages are drawn: `.` none, `z` zero, `h` host, `m` mapped, `c` clean, `d` dirty, `L` lost.

import { describe, expect, it } from 'vitest'
import type { MapMode, Pager, SvmKernel } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

/** Adds the first word of each page of a to the first word of b's. */
const copyKernel = (rig: Rig): Promise<SvmKernel> =>
  makeKernel(rig.svm, (item, { a, b }, m) => m.storeU32(b + item.globalId[0] * PAGE_BYTES, m.loadU32(a + item.globalId[0] * PAGE_BYTES) + 1), {
    pointers: ['a', 'b'],
  })

async function made(frames = 16) {
  const rig = await openRig({ frames })
  const a = rig.svm.allocFrom(sequence(3 * PAGE_WORDS, 10))
  const b = rig.svm.allocFrom(sequence(3 * PAGE_WORDS, 20))
  const kernel = await copyKernel(rig)
  const launch = (count = 3) => rig.svm.queue.enqueue(kernel, { args: { a, b }, global: count }).done
  return { rig, a, b, launch }
}

describe('faults of kernels', () => {
  it('a read fault maps a copy and the host stays the master; a write fault makes the page device-private', async () => {
    const { rig, a, b, launch } = await made()
    await launch(2)
    expect([rig.draw(a, 3), rig.draw(b, 3)]).toEqual(['mmh', 'ddh'])
    expect(rig.svm.residency(a, PAGE_BYTES)[0]).toMatchObject({ where: 'host', systemMapped: rig.svm.devices, dirty: false })
    expect(rig.svm.residency(b, PAGE_BYTES)[0]).toMatchObject({ where: 'device', systemMapped: [], dirty: true })
    await checkInvariants(rig)
  })

  it('turning a copy device-private copies nothing', async () => {
    const { rig, a, launch } = await made()
    await launch()
    const before = rig.mirror.copies.bytesIn
    expect(await rig.svm.queue.migrate({ pointer: a }).done).toMatchObject({ moved: 3, bytesCopied: 0 })
    expect(rig.mirror.copies.bytesIn).toBe(before)
    expect(rig.draw(a, 3)).toBe('ccc')
    await checkInvariants(rig)
  })

  it('dirty is what was really stored: the other pages come home without a copy', async () => {
    const { rig, a, b, launch } = await made()
    await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    await launch(1)
    expect([rig.draw(a, 3), rig.draw(b, 3)]).toEqual(['ccc', 'dcc'])
    const before = rig.mirror.copies.bytesOut
    await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }], { to: 'host' }).done
    expect(rig.mirror.copies.bytesOut - before).toBe(PAGE_BYTES)
    await checkInvariants(rig)
  })

  it('eviction writes back dirty pages only', async () => {
    const { rig, a, b, launch } = await made(8)
    await launch()
    const big = rig.svm.allocFrom(sequence(8 * PAGE_WORDS))
    const before = rig.mirror.copies.bytesOut
    await rig.svm.queue.migrate({ pointer: big }).done
    expect([rig.draw(a, 3), rig.draw(b, 3)]).toEqual(['hhh', 'hhh'])
    expect(rig.mirror.copies.bytesOut - before).toBe(3 * PAGE_BYTES)
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(11)
    await checkInvariants(rig)
  })

  it('a resident launch takes one round, copies nothing, and marks what it stores', async () => {
    const { rig, a, b, launch } = await made()
    await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    const { bytesIn } = rig.mirror.copies
    expect(await launch()).toMatchObject({ rounds: 1, faults: 0, privateCopies: 0, variant: 'resident', bytesIn: 0, bytesOut: 0 })
    expect(rig.mirror.copies.bytesIn).toBe(bytesIn)
    expect(rig.draw(b, 3)).toBe('ddd')
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(11)
    await checkInvariants(rig)
  })
})

describe('the host', () => {
  it('reads a dirty page once, and leaves the device a clean copy', async () => {
    const { rig, b, launch } = await made()
    await launch()
    const before = rig.mirror.copies.bytesOut
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(11)
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(11)
    expect(rig.mirror.copies.bytesOut - before).toBe(PAGE_BYTES)
    expect(rig.draw(b, 3)).toBe('mdd')
    await checkInvariants(rig)
  })

  it('writes, and the copies of devices go', async () => {
    const { rig, a, b, launch } = await made()
    await launch()
    await rig.svm.write(a, Uint32Array.of(100))
    expect(rig.draw(a, 3)).toBe('hmm')
    await checkInvariants(rig)
    await launch()
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(101)
    await checkInvariants(rig)
  })

  it('write-discard fetches the edges only, and keeps their bytes', async () => {
    const { rig, b, launch } = await made()
    await launch()
    const before = rig.mirror.copies.bytesOut
    const mapping = await rig.svm.map(b + 8, 2 * PAGE_BYTES, 'write-discard')
    expect(rig.mirror.copies.bytesOut - before).toBe(2 * PAGE_BYTES)
    mapping.bytes.fill(0)
    mapping.unmap()
    const words = await rig.svm.read(b, Uint32Array, 3 * PAGE_WORDS)
    expect([words[0], words[1], words[2], words[2 * PAGE_WORDS + 1], words[2 * PAGE_WORDS + 2]]).toEqual([11, 21, 0, 0, 20 + 2 * PAGE_WORDS + 2])
    await checkInvariants(rig)
  })

  const writes: MapMode[] = ['write', 'read-write', 'write-discard']
  it.each(['read', ...writes] as MapMode[])("a live '%s' mapping: what works beside it", async (mode) => {
    const { rig, a, b, launch } = await made()
    const { svm } = rig
    const mapping = await svm.map(a, 4, mode)
    await checkInvariants(rig)
    expect(await codeOf(launch), 'kernel reads').toBe(mode === 'read' ? 'no error' : 'host-mapped')
    const store = await makeKernel(svm, (_i, args, m) => m.storeU32(args.a, 1))
    expect(await codeOf(() => svm.queue.enqueue(store, { args: { a }, global: 1 }).done), 'kernel writes').toBe('host-mapped')
    expect(await svm.queue.migrate({ pointer: a, byteLength: 4 }).done, 'migrate').toMatchObject({ moved: 0, skipped: { 'host-mapped': 1 } })
    expect(await codeOf(() => svm.free(a)), 'free').toBe('host-mapped')
    expect(await codeOf(() => svm.map(a, 4, 'write')), 'map for writing').toBe('host-mapped')
    expect(await codeOf(() => svm.write(a, Uint32Array.of(1)))).toBe('host-mapped')
    const second = svm.map(a + 8, 4, 'read')
    if (mode === 'read') (await second).unmap()
    else expect(await codeOf(() => second), 'map for reading').toBe('host-mapped')
    expect(await codeOf(() => svm.queue.enqueue(store, { args: { a: b }, global: 1 }).done), 'another page').toBe('no error')
    await checkInvariants(rig)
    mapping.unmap()
    expect(await codeOf(() => mapping.unmap())).toBe('invalid-value')
    expect(await codeOf(() => svm.queue.enqueue(store, { args: { a }, global: 1 }).done)).toBe('no error')
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(1)
    await checkInvariants(rig)
  })

  it('a page under a reading mapping is never made device-private, and never written back', async () => {
    const { rig, a, b, launch } = await made()
    await rig.svm.queue.migrate({ pointer: a }).done
    const mapping = await rig.svm.map(a, 4, 'read')
    const before = rig.mirror.copies.bytesOut
    await launch()
    expect(rig.draw(a, 3)).toBe('mcc')
    expect(mapping.u32[0]).toBe(10)
    mapping.unmap()
    await rig.svm.queue.migrate({ pointer: a }, { to: 'host' }).done
    expect(rig.mirror.copies.bytesOut).toBe(before)
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(11)
    await checkInvariants(rig)
  })
})

/** A file of numbers; `fail` says which reads fail, and how. */
function numbers(words: number, fail: (nth: number) => 'ok' | 'throw' | 'short' = () => 'ok'): Pager & { reads: number } {
  const bytes = new Uint8Array(sequence(words, 1).buffer)
  const pager = {
    size: bytes.length,
    reads: 0,
    async read(offset: number, into: Uint8Array) {
      const how = fail(++pager.reads)
      await Promise.resolve()
      if (how === 'throw') throw new Error('the disk is on fire')
      into.set(bytes.subarray(offset, offset + into.length))
      return how === 'short' ? Math.floor(into.length / 2) : into.length
    },
  }
  return pager
}

/** Sums a file by 64 workgroups. */
async function sumFile(rig: Rig, file: number, words: number): Promise<number> {
  const sum = rig.svm.allocFrom(Uint32Array.of(0))
  const kernel = await makeKernel(
    rig.svm,
    (item, args, m) => {
      let total = 0
      for (let at = item.globalId[0]; at < words; at += 64) total += m.loadU32(args.a + at * 4)
      m.silentAtomicAddU32(args.b, total >>> 0)
    },
    { pointers: ['a', 'b'] },
  )
  try {
    await rig.svm.queue.enqueue(kernel, { args: { a: file, b: sum }, global: 64 }).done
    return (await rig.svm.read(sum, Uint32Array, 1))[0]
  } finally {
    rig.svm.free(sum)
  }
}

describe('pagers', () => {
  const WORDS = 20 * PAGE_WORDS + 100
  const SUM = ((WORDS * (WORDS + 1)) / 2) >>> 0

  it('a file larger than the host cache, and its last page', async () => {
    const rig = await openRig({ frames: 24, hostCache: 6 * PAGE_BYTES })
    const file = await rig.svm.mmap(numbers(WORDS))
    expect(await rig.svm.read(file, Uint32Array, WORDS)).toEqual(sequence(WORDS, 1))
    expect(await sumFile(rig, file, WORDS)).toBe(SUM)
    await checkInvariants(rig)
    expect(await rig.svm.queue.migrate({ pointer: file }).done).toMatchObject({ moved: 21, bytesCopied: 0 })
    await checkInvariants(rig)
    expect(await rig.svm.read(file, Uint32Array, WORDS)).toEqual(sequence(WORDS, 1))
    await checkInvariants(rig)
    await rig.svm.queue.migrate({ pointer: file }, { to: 'host' }).done
    await checkInvariants(rig)
    await rig.svm.munmap(file)
    expect(await codeOf(() => rig.svm.read(file, 4))).toBe('not-mapped')
    await checkInvariants(rig)
  })

  it('is read-only, for kernels and the host', async () => {
    const rig = await openRig({ frames: 24 })
    const file = await rig.svm.mmap(numbers(WORDS))
    expect(await codeOf(() => rig.svm.write(file, Uint32Array.of(1)))).toBe('access-violation')
    const store = await makeKernel(rig.svm, (_i, args, m) => m.storeU32(args.a, 1))
    expect(await codeOf(() => rig.svm.queue.enqueue(store, { args: { a: file }, global: 1 }).done)).toBe('access-violation')
    await checkInvariants(rig)
  })

  it.each([1, 2, 3, 4, 5])('read %d fails or is short in the middle of a dispatch: an error, and the next try works', async (nth) => {
    for (const how of ['throw', 'short'] as const) {
      const rig = await openRig({ frames: 24, hostCache: 6 * PAGE_BYTES, mischief: { latency: 2 } })
      const file = await rig.svm.mmap(numbers(WORDS, (n) => (n === nth ? how : 'ok')))
      await expect(sumFile(rig, file, WORDS)).rejects.toMatchObject({
        code: 'pager-failed',
        retiredWorkgroups: 0,
        kernel: expect.any(String),
        message: expect.stringContaining('mmap@0x'),
      })
      await checkInvariants(rig)
      expect(await sumFile(rig, file, WORDS)).toBe(SUM)
      expect(await rig.svm.read(file, Uint32Array, WORDS)).toEqual(sequence(WORDS, 1))
      await checkInvariants(rig)
    }
  })
})
