// Reading ahead of what is wanted from a pager. Always: requests to the pager are counted, every byte is compared, and nothing is evicted for it.

import { describe, expect, it } from 'vitest'
import { MIB } from '../../src/base/units.ts'
import { ReadAhead } from '../../src/mm/read-ahead.ts'
import type { KernelTwin } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type RigOptions, sequence } from './rig.ts'

const PAGES = 256
/** 128 KiB. */
const FIRST = 32
const KIB64 = 16

interface Request {
  readonly page: number
  readonly pages: number
}

async function open(options: RigOptions & { pages?: number; broken?: (page: number) => boolean } = {}) {
  const { pages = PAGES, broken = () => false, ...rest } = options
  const requests: Request[] = []
  const source = new Uint8Array(sequence(pages * PAGE_WORDS).buffer)
  const rig = await openRig({ frames: 300, hostCache: 4096 * PAGE_BYTES, ...rest })
  const file = await rig.svm.mmap({
    size: source.length,
    async read(offset, into) {
      const request = { page: offset / PAGE_BYTES, pages: into.length / PAGE_BYTES }
      requests.push(request)
      await Promise.resolve()
      for (let n = 0; n < request.pages; n++) if (broken(request.page + n)) throw new Error('a bad sector')
      into.set(source.subarray(offset, offset + into.length))
      return into.length
    },
  })
  const out = rig.svm.alloc(PAGES * 4)
  const copyFirst: KernelTwin = ({ globalId: [i] }, { a, out: to, page }, m) =>
    m.storeU32((to as number) + 4 * i, m.loadU32((a as number) + ((page as number) + i) * PAGE_BYTES))
  const kernel = await makeKernel(rig.svm, copyFirst, { pointers: ['a', 'out'], numbers: ['page'] })
  /** A launch reads pages from `page` on. */
  const read = async (page: number, count = 1) => {
    const result = await rig.svm.queue.enqueue(kernel, { args: { a: file, out, page }, global: count }).done
    const words = await rig.svm.read(out, Uint32Array, count)
    expect([...words]).toEqual(Array.from({ length: count }, (_, n) => (page + n) * PAGE_WORDS))
    return result
  }
  return { rig, file, requests, read }
}

describe('the window', () => {
  const MANY = 1 << 20

  it('doubles while requests follow each other, up to 2 MiB or an eighth of the cache', () => {
    for (const [slots, largest] of [
      [MANY, 512],
      [8 * 100, 100],
    ] as const) {
      const ahead = new ReadAhead(PAGE_BYTES)
      const windows: number[] = []
      for (let at = 0, n = 0; n < 8; n++) {
        const window = ahead.beyond(at, at + 1, 'normal', slots)
        windows.push(window)
        at += 1 + window
        ahead.asked(at)
      }
      expect(windows).toEqual([0, 32, 64, 128, 256, 512, 512, 512].map((window) => Math.min(window, largest)))
    }
  })

  it('is at least a page, and none where an eighth of the cache is less', () => {
    const windowOf = (pageBytes: number, slots: number) => {
      const ahead = new ReadAhead(pageBytes)
      ahead.asked(1)
      return ahead.beyond(1, 2, 'normal', slots)
    }
    expect(windowOf(MIB, 1000)).toBe(2)
    expect(windowOf(2 * MIB, 1000)).toBe(1)
    expect(windowOf(4 * MIB, 1000)).toBe(0)
    expect(windowOf(PAGE_BYTES, 7)).toBe(0)
  })

  it('ends where somebody jumps, also back, and goes on over a hole of less than 64 KiB', () => {
    const windowAt = (at: number) => {
      const ahead = new ReadAhead(PAGE_BYTES)
      ahead.asked(100)
      const first = ahead.beyond(100, 101, 'normal', MANY)
      ahead.asked(101 + first)
      return ahead.beyond(at, at + 1, 'normal', MANY)
    }
    expect([101 + FIRST, 101 + FIRST + KIB64 - 1, 101 + FIRST + KIB64, 100 + FIRST].map(windowAt)).toEqual([64, 64, 0, 0])
  })

  it('is as large as what is asked for, twice', () => {
    const ahead = new ReadAhead(PAGE_BYTES)
    ahead.asked(100)
    expect(ahead.beyond(100, 150, 'normal', MANY)).toBe(100)
  })

  it('begins at its largest where that is advised, and is none where use is random', () => {
    const ahead = new ReadAhead(PAGE_BYTES)
    expect(ahead.beyond(7, 8, 'sequential', MANY)).toBe(512)
    ahead.asked(8 + 512)
    expect(ahead.beyond(8 + 512, 521, 'random', MANY)).toBe(0)
  })
})

describe('a kernel that reads a file from its start to its end', () => {
  it('asks the pager a few times, not once a page, and each page once', async () => {
    const { rig, file, requests, read } = await open()
    for (let page = 0; page < PAGES; page++) expect(await read(page)).toMatchObject({ bytesIn: PAGE_BYTES, evictions: 0 })
    expect(requests).toEqual([
      { page: 0, pages: 1 },
      { page: 1, pages: 1 + 32 },
      { page: 34, pages: 1 + 64 },
      { page: 99, pages: 1 + 128 },
      // Not beyond the end of the mapping.
      { page: 228, pages: 28 },
    ])
    expect(await rig.svm.read(file, Uint32Array, PAGES * PAGE_WORDS)).toEqual(sequence(PAGES * PAGE_WORDS))
    await checkInvariants(rig)
  })

  it('asks once for all that one pass wants, and takes no frame for what it reads ahead', async () => {
    const { rig, requests, read, file } = await open({ frames: 40 })
    expect(await read(0, 30)).toMatchObject({ rounds: 2, bytesIn: 30 * PAGE_BYTES })
    expect(requests).toEqual([{ page: 0, pages: 30 }])
    const { framesUsed } = rig.svm.stats().devices[0]
    expect(await read(30, 2)).toMatchObject({ bytesIn: 2 * PAGE_BYTES, evictions: 0 })
    expect(rig.svm.stats().devices[0].framesUsed).toBe(framesUsed + 2)
    expect(requests.slice(1)).toEqual([{ page: 30, pages: 2 + 32 }])
    expect(rig.draw(file, 70)).toBe(`${'m'.repeat(32)}${'h'.repeat(32)}${'.'.repeat(6)}`)
    await checkInvariants(rig)
  })

  it('asks for every other page in few requests too', async () => {
    const { rig, requests, read } = await open()
    for (let page = 0; page < PAGES; page += 2) await read(page)
    expect(requests.length).toBe(5)
    await checkInvariants(rig)
  })

  it('brings what was read ahead along with the prefetcher, into the same block', async () => {
    const { rig, requests, read, file } = await open({ policy: { prefetch: 'density' } })
    await read(0)
    await read(1)
    expect(requests.length).toBe(2)
    const unitEnd = KIB64 - ((file / PAGE_BYTES + 1) % KIB64) + 1
    expect(rig.draw(file, 34)).toBe('m'.repeat(unitEnd).padEnd(34, 'h'))
    await checkInvariants(rig)
  })
})

describe('reading ahead', () => {
  it('knows the advice: sequential from the first request on, random never', async () => {
    const sequential = await open()
    sequential.rig.svm.advise(sequential.file, PAGES * PAGE_BYTES, 'sequential')
    for (let page = 0; page < 100; page++) await sequential.read(page)
    expect(sequential.requests).toEqual([{ page: 0, pages: PAGES }])
    const random = await open()
    random.rig.svm.advise(random.file, PAGES * PAGE_BYTES, 'random')
    for (let page = 0; page < 100; page++) await random.read(page)
    expect(random.requests).toEqual(Array.from({ length: 100 }, (_, page) => ({ page, pages: 1 })))
    for (const { rig } of [sequential, random]) await checkInvariants(rig)
  })

  it('crosses the borders of blocks, and no border of the mapping', async () => {
    const { rig, requests, read, file } = await open({ pages: 1100, frames: 64 })
    const block = rig.space.pages.blockPages
    const first = block - (Math.floor(file / PAGE_BYTES) % block) - 10
    await read(first, 2)
    await read(first + 2)
    const last = requests[requests.length - 1] as Request
    expect([last.page < first + 10, last.page + last.pages > first + 10]).toEqual([true, true])
    await rig.svm.mprotect(file + 500 * PAGE_BYTES, 100 * PAGE_BYTES, 'none')
    await read(490)
    await read(491)
    expect(requests[requests.length - 1]).toEqual({ page: 491, pages: 9 })
    await checkInvariants(rig)
  })

  it('fails nobody: what was wanted is asked for alone, and served', async () => {
    const { rig, requests, read, file } = await open({ broken: (page) => page === 20 })
    for (let page = 0; page < 20; page++) await read(page)
    expect(requests.slice(0, 3)).toEqual([
      { page: 0, pages: 1 },
      { page: 1, pages: 33 },
      { page: 1, pages: 1 },
    ])
    await expect(read(20)).rejects.toMatchObject({ code: 'pager-failed' })
    await read(21)
    expect(rig.draw(file + 20 * PAGE_BYTES, 2)).toBe('.m')
    await checkInvariants(rig)
  })

  it('leaves room in a small host cache for what is wanted', async () => {
    const { rig, requests, file } = await open({ hostCache: 16 * PAGE_BYTES, frames: 300 })
    expect(await rig.svm.read(file, Uint32Array, PAGES * PAGE_WORDS)).toEqual(sequence(PAGES * PAGE_WORDS))
    const read = requests.reduce((sum, { pages }) => sum + pages, 0)
    // Each page once: what was read ahead was still there when it was wanted.
    expect(read).toBe(PAGES)
    expect(await rig.svm.queue.migrate({ pointer: file }).done).toMatchObject({ moved: PAGES })
    await checkInvariants(rig)
  })
})
