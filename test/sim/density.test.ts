// The density prefetcher: as a function, against its definition, and at work. Always: what comes along costs no round, and nobody goes for it.

import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/world.ts'
import { DENSITY_THRESHOLD, densityPrefetch } from '../../src/policy/density.ts'
import type { KernelTwin } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

/** Bitmaps as text: `.` nothing, `h` here, `w` wanted, `t` wanted and thrashing, `x` thrashing. Answers: `p` comes along. */
function drawn(map: string, { unitPages = 1, offset = 0, threshold = DENSITY_THRESHOLD } = {}): string {
  const bits = (letters: string) => Uint8Array.from(map, (letter) => Number(letters.includes(letter)))
  const chosen = densityPrefetch({ pages: map.length, unitPages, offset, threshold }, bits('h'), bits('wt'), bits('tx'))
  return [...map].map((letter, n) => (chosen[n] === 1 ? 'p' : letter)).join('')
}

describe('density', () => {
  it.each([
    // One page says nothing of its neighbours; half is not enough, three of four are.
    ['w.......', 'w.......'],
    ['ww......', 'ww......'],
    ['hhw.....', 'hhwp....'],
    ['h.w.h.hw', 'hpwphphw'],
    ['hhhww...', 'hhhwwppp'],
    ['hhhhh.w.', 'hhhhhpwp'],
    // What is dense without a wanted page stays as it is.
    ['hhh..w..', 'hhh..w..'],
    // A page that thrashes brings nobody and is not brought.
    ['hht.....', 'hht.....'],
    ['hhwx....', 'hhwx....'],
  ])('%s: %s', (map, answer) => expect(drawn(map)).toBe(answer))

  it('brings the unit of 64 KiB at once, and then larger subtrees', () => {
    expect(drawn('.w..............', { unitPages: 4 })).toBe('pwpp............')
    expect(drawn('hhhh.w..........', { unitPages: 4 })).toBe('hhhhpwpp........')
    expect(drawn('hhhhhhhh.w......', { unitPages: 4 })).toBe('hhhhhhhhpwpppppp')
    expect(drawn('.t.w............', { unitPages: 4 })).toBe('.t.w............')
  })

  it('knows ragged ends: units and subtrees lie as addresses do, and nothing lies beyond', () => {
    expect(drawn('w......', { unitPages: 4, offset: 3 })).toBe('w......')
    expect(drawn('.w.........', { unitPages: 4, offset: 3 })).toBe('pwppp......')
    expect(drawn('....w', { unitPages: 4 })).toBe('....w')
    expect(drawn('hhh', { threshold: 99 })).toBe('hhh')
    expect(drawn('.w.', { unitPages: 8, offset: 2 })).toBe('pwp')
  })

  it('is strictly above the threshold', () => {
    expect(drawn('hw..', { threshold: 50 })).toBe('hw..')
    expect(drawn('hw..', { threshold: 49 })).toBe('hwpp')
  })

  it('chooses, for random blocks, exactly what the definition says', () => {
    const random = new Random(3)
    for (let n = 0; n < 2000; n++) {
      const pages = 1 + random.below(40)
      const offset = random.below(8)
      const threshold = 1 + random.below(100)
      const dense = 1 + random.below(9)
      const here = Uint8Array.from({ length: pages }, () => Number(random.chance(dense, 10)))
      const wanted = here.map((bit) => (bit === 1 ? 0 : Number(random.chance(1, 4))))
      const chosen = densityPrefetch({ pages, unitPages: 1, offset, threshold }, here, wanted)
      for (let page = 0; page < pages; page++) {
        let comes = false
        for (let size = 1; size <= 64; size *= 2) {
          const first = Math.floor((page + offset) / size) * size - offset
          const tree = Array.from({ length: size }, (_, i) => first + i).filter((at) => at >= 0 && at < pages)
          const count = tree.filter((at) => here[at] === 1 || wanted[at] === 1).length
          comes ||= tree.some((at) => wanted[at] === 1) && count * 100 > tree.length * threshold
        }
        expect(chosen[page] === 1).toBe(comes && here[page] === 0 && wanted[page] === 0)
      }
    }
  })
})

describe('at work', () => {
  const open = (prefetch: 'density' | 'none', frames = 256) => openRig({ frames, policy: { prefetch } })
  const PAGES = 64
  const readOne: KernelTwin = ({ globalId: [i] }, { a, page }, m) => void m.loadU32((a as number) + ((page as number) + i) * PAGE_BYTES)

  it('brings 64 KiB for one page, in the mapping and with the same rights', async () => {
    const rig = await open('density')
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const b = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.b as number, m.loadU32((args.a as number) + 20 * PAGE_BYTES)), {
      pointers: ['a', 'b'],
    })
    const result = await rig.svm.queue.enqueue(kernel, { args: { a, b }, global: 1 }).done
    expect(result.rounds).toBe(2)
    expect([...rig.draw(a, PAGES)].filter((letter) => letter === 'm')).toHaveLength(16)
    expect(rig.draw(b, 3)).toBe('dcc')
    await checkInvariants(rig)
  })

  it('brings of a file only what the host has at hand, and asks its pager for no more', async () => {
    const rig = await open('density')
    let asked = 0
    const read = async (_offset: number, into: Uint8Array) => {
      asked += into.length
      return into.fill(7).length
    }
    const a = await rig.svm.mmap({ size: 4 * PAGES * PAGE_BYTES, read })
    const kernel = await makeKernel(rig.svm, readOne, { numbers: ['page'] })
    const launch = (page: number) => rig.svm.queue.enqueue(kernel, { args: { a, page }, global: 1 }).done
    expect([(await launch(20)).bytesIn, asked]).toEqual([PAGE_BYTES, PAGE_BYTES])
    // All of it is at the host now.
    await rig.svm.read(a, 4 * PAGES * PAGE_BYTES)
    asked = 0
    expect([(await launch(3 * PAGES)).bytesIn, asked]).toEqual([16 * PAGE_BYTES, 0])
    await checkInvariants(rig)
  })

  it('never evicts: where frames are short only what was wanted comes', async () => {
    const rig = await open('density', 8)
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, (_item, args, m) => void m.loadU32((args.a as number) + 20 * PAGE_BYTES))
    const result = await rig.svm.queue.enqueue(kernel, { args: { a }, global: 1 }).done
    expect(result).toMatchObject({ rounds: 2, bytesIn: PAGE_BYTES, evictions: 0 })
    await checkInvariants(rig)
  })

  it.each(['random', 'preferred-location'] as const)('leaves mappings alone that are advised %s', async (advice) => {
    const rig = await open('density')
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, readOne, { numbers: ['page'] })
    const bytesIn = async (page: number) => (await rig.svm.queue.enqueue(kernel, { args: { a, page }, global: 1 }).done).bytesIn
    rig.svm.advise(a, PAGES * PAGE_BYTES, advice)
    expect(await bytesIn(20)).toBe(PAGE_BYTES)
    rig.svm.advise(a, PAGES * PAGE_BYTES, 'normal')
    expect(await bytesIn(40)).toBeGreaterThanOrEqual(16 * PAGE_BYTES)
    await checkInvariants(rig)
  })

  it('brings nothing to a kernel that stores which the host has mapped', async () => {
    const rig = await open('density')
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32((args.a as number) + 20 * PAGE_BYTES, 1))
    const mapping = await rig.svm.map(a + 24 * PAGE_BYTES, 2 * PAGE_BYTES, 'read')
    await rig.svm.queue.enqueue(kernel, { args: { a }, global: 1 }).done
    expect(rig.draw(a + 24 * PAGE_BYTES, 2)).toBe('hh')
    expect([...rig.draw(a, PAGES)].filter((letter) => letter === 'c')).toHaveLength(13)
    mapping.unmap()
    await checkInvariants(rig)
  })

  it('pauses while what comes has just gone, and says so', async () => {
    const rig = await open('density', 40)
    const kernel = await makeKernel(rig.svm, readOne, { numbers: ['page'] })
    const a = rig.svm.allocFrom(sequence(60 * PAGE_WORDS))
    const b = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const launch = (pointer: number, page: number, global: number) => rig.svm.queue.enqueue(kernel, { args: { a: pointer, page }, global }).done
    for (let n = 0; n < 24; n++) await launch(a, (n % 6) * 10, 10)
    const { thrash } = rig.svm.stats().devices[0]
    expect(thrash.refaults).toBeGreaterThan(8)
    rig.svm.free(a)
    expect(await launch(b, 20, 1)).toMatchObject({ bytesIn: PAGE_BYTES, evictions: 0 })
    expect(rig.svm.stats().devices[0].thrash.throttled).toBe(thrash.throttled + 1)
    await checkInvariants(rig)
  })

  it('does not amplify what is touched sparsely in pages of 64 KiB', async () => {
    const pageSize = 65_536
    const pages = 1000
    const rig = await openRig({ pageSize, deviceMemory: 40 * 2 ** 20, memory: 64 * 2 ** 20, policy: { prefetch: 'density' } })
    const a = rig.svm.alloc(pages * pageSize)
    await rig.svm.write(a, new Uint8Array(pages * pageSize).fill(1))
    const kernel = await makeKernel(rig.svm, (item, args, m) => void m.loadU32((args.a as number) + (((item.globalId[0] as number) * 619) % pages) * pageSize))
    expect(await rig.svm.queue.enqueue(kernel, { args: { a }, global: 10 }).done).toMatchObject({ bytesIn: 10 * pageSize, rounds: 2 })
  })
})
