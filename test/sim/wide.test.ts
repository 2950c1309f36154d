// wide.test.ts: what only a 64-bit space has: a sparse table, pages without an entry, addresses of more than a word.
// Does not cover: the suites of replay, which wide-suites.test.ts runs in such a space.

import { describe, expect, it } from 'vitest'
import { BUCKET_WORDS, firstPageOfLeaf, LEAF_PAGES, leafHash, leafKey, MISS_LEAVES } from '../../src/abi/leaf.ts'
import { Leaves } from '../../src/driver/leaves.ts'
import type { SvmError } from '../../src/index.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, type Rig } from './rig.ts'

const LEAF_BYTES = LEAF_PAGES * PAGE_BYTES
const open = (options: Parameters<typeof openRig>[0] = {}) => openRig({ addressBits: 64, ...options })

/** One page in each of so many leaves, at different places in them. */
function scatter({ svm }: Rig, leaves: number): number[] {
  return Array.from({ length: leaves }, (_, n) => svm.alloc(LEAF_BYTES) + (n % LEAF_PAGES) * PAGE_BYTES)
}

async function writePointer(rig: Rig, at: number, value: number): Promise<void> {
  await rig.svm.using(at, 8, 'write', (mapping) => mapping.setPointer(at, value))
}

describe('pointers of 64 bits', () => {
  it('are 8 bytes in a host mapping, and one word does not tell them', async () => {
    const rig = await open()
    const at = rig.svm.alloc(64)
    expect(at).toBeGreaterThan(2 ** 47)
    await writePointer(rig, at + 8, at + 40)
    expect([...(await rig.svm.read(at + 8, Uint32Array, 2))]).toEqual([(at + 40) % 2 ** 32, 0xffff])
    await rig.svm.using(at, 64, 'read', (mapping) => {
      expect(mapping.getPointer(at + 8)).toBe(at + 40)
      expect(mapping.getPointer(at)).toBe(0)
      expect(() => mapping.getPointer(at + 60)).toThrow(/does not lie in this mapping/)
    })
    await rig.svm.using(at, 64, 'write', (mapping) => expect(() => mapping.setPointer(at, 2 ** 48)).toThrow(/0 to 281474976710655/))
    await rig.svm.close()
  })

  it('a list over hundreds of leaves is followed, whatever fits; arguments may be bigints', async () => {
    for (const frames of [400, 12]) {
      const rig = await open({ frames })
      const nodes = scatter(rig, 300)
      for (const [n, node] of nodes.entries()) {
        await rig.svm.write(node, Uint32Array.of(0, 0, n + 1))
        await writePointer(rig, node, nodes[n + 1] ?? 0)
      }
      const sum = rig.svm.alloc(8)
      const kernel = await makeKernel(
        rig.svm,
        (item, args, m) => {
          let total = 0
          for (let at = args.a as number, n = 0; at !== 0 && n < 1000; at = m.loadPointer(at), n++) total += m.loadU32(at + 8)
          m.storeU32((args.b as number) + item.globalId[0] * 4, total)
        },
        { pointers: ['a', 'b'] },
      )
      const launch = { args: { a: BigInt(nodes[0] as number), b: sum }, global: 2 }
      // Twelve frames cannot hold 300 pages at once, which one workgroup needs; and with all of them the second launch knows every page.
      if (frames === 12) await expect(rig.svm.queue.enqueue(kernel, launch).done).rejects.toMatchObject({ code: 'working-set' })
      else {
        await rig.svm.queue.enqueue(kernel, launch).done
        expect([...(await rig.svm.read(sum, Uint32Array, 2))]).toEqual([45_150, 45_150])
        expect((await rig.svm.queue.enqueue(kernel, launch).done).rounds).toBe(1)
      }
      await checkInvariants(rig)
      await rig.svm.close()
    }
  })
})

describe('leaves without entries', () => {
  it.each([
    ['all of them fit', 1000],
    ['the device holds a few', 40],
  ])('more in one pass than the set of misses holds: %s', async (_, frames) => {
    const rig = await open({ frames })
    const count = MISS_LEAVES * 3
    const pages = scatter(rig, count)
    for (const [n, page] of pages.entries()) await rig.svm.write(page, Uint32Array.of(n * 3))
    const table = rig.svm.allocFrom(Uint32Array.from(pages.flatMap((page) => [page % 2 ** 32, Math.floor(page / 2 ** 32)])))
    const out = rig.svm.alloc(count * 4)
    const kernel = await makeKernel(
      rig.svm,
      (item, args, m) => {
        const page = m.loadPointer((args.a as number) + item.globalId[0] * 8)
        m.storeU32(page + 4, m.loadU32(page) + 1)
        m.storeU32((args.b as number) + item.globalId[0] * 4, m.loadU32(page) + 2)
      },
      { pointers: ['a', 'b'], size: 4 },
    )
    await rig.svm.queue.enqueue(kernel, { args: { a: table, b: out }, global: count }).done
    await checkInvariants(rig)
    expect(await rig.svm.read(out, Uint32Array, count)).toEqual(Uint32Array.from({ length: count }, (_, n) => n * 3 + 2))
    for (const [n, page] of pages.entries()) expect([...(await rig.svm.read(page, Uint32Array, 2))]).toEqual([n * 3, n * 3 + 1])
    await rig.svm.close()
  })

  it('are no entries: a large mapping costs none until it is touched, and then those of one leaf', async () => {
    const rig = await open({ deviceMemory: 512 * 1024 })
    const pointer = rig.svm.alloc(256 * 2 ** 20)
    expect(rig.mirror.vmm.entries).toBe(LEAF_PAGES)
    expect(rig.mirror.incomplete).toBe(65_536)
    const kernel = await makeKernel(rig.svm, (item, args, m) => m.storeU32((args.a as number) + item.globalId[0] * 64 * 2 ** 20 + 4, 7))
    await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 4 }).done
    expect(rig.mirror.vmm.entries).toBe(5 * LEAF_PAGES)
    for (let n = 0; n < 4; n++) expect([...(await rig.svm.read(pointer + n * 64 * 2 ** 20, Uint32Array, 2))]).toEqual([0, 7])
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it.each([4096, 65_536])('a mapping of 1 TiB costs nothing until it is touched, with pages of %i bytes', async (pageSize) => {
    const rig = await open({ deviceMemory: 4 * 2 ** 20, pageSize })
    const started = performance.now()
    const pointer = rig.svm.alloc(2 ** 40)
    expect(performance.now() - started).toBeLessThan(500)
    expect(rig.mirror.vmm.entries).toBe(LEAF_PAGES)
    // Ends and middle, on both sides of a carry into the high word.
    const places = [0, 2 ** 39, 2 ** 32 * 77 - (pointer % 2 ** 32) - 4, 2 ** 32 * 77 - (pointer % 2 ** 32), 2 ** 40 - 4]
    const table = rig.svm.alloc(64)
    await rig.svm.using(table, 64, 'write', (mapping) => {
      places.forEach((place, n) => {
        mapping.setPointer(table + n * 8, pointer + place)
      })
    })
    const kernel = await makeKernel(rig.svm, (item, args, m) => {
      const at = m.loadPointer((args.a as number) + item.globalId[0] * 8)
      m.storeU32(at, m.loadU32(at) + item.globalId[0] + 1)
    })
    for (let round = 0; round < 2; round++) await rig.svm.queue.enqueue(kernel, { args: { a: table }, global: places.length }).done
    for (const [n, place] of places.entries()) expect([...(await rig.svm.read(pointer + place, Uint32Array, 1))]).toEqual([2 * (n + 1)])
    expect(rig.mirror.vmm.entries).toBeLessThanOrEqual((places.length + 2) * LEAF_PAGES)
    expect(rig.device.peakBytes).toBeLessThanOrEqual(4 * 2 ** 20)
    // A request that names all of it looks at what was touched.
    const asked = performance.now()
    const pages = 2 ** 40 / pageSize
    const moved = await rig.svm.queue.migrate({ pointer }).done
    expect(moved.moved + moved.present + (moved.skipped['no-memory'] ?? 0)).toBe(pages)
    expect((await rig.svm.queue.migrate({ pointer }, { to: 'host' }).done).present).toBe(pages - moved.moved - moved.present)
    expect(await codeOf(() => rig.svm.queue.migrate({ pointer }, { mode: 'all-or-nothing' }).done)).toBe('device-memory')
    expect(rig.svm.residency(pointer, 2 ** 40).length).toBeLessThan(2 * places.length + 2)
    expect(performance.now() - asked).toBeLessThan(10_000)
    const freed = performance.now()
    rig.svm.free(pointer)
    await rig.svm.queue.finish()
    expect(performance.now() - freed).toBeLessThan(1000)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('give their slots to others when nothing of them is mapped any more', async () => {
    const rig = await open()
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a as number, 1))
    for (let n = 0; n < 20; n++) {
      const pointer = rig.svm.alloc(3 * LEAF_BYTES)
      await rig.svm.queue.migrate({ pointer, byteLength: 3 * LEAF_BYTES }).done
      await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 1 }).done
      rig.svm.free(pointer)
      await rig.svm.queue.finish()
    }
    expect(rig.mirror.vmm.entries).toBeLessThanOrEqual(10 * LEAF_PAGES)
    await rig.svm.close()
  })

  it('are given up where nothing is here, when the table would not fit', async () => {
    const rig = await open({ frames: 24 })
    const pages = scatter(rig, 400)
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32((args.a as number) + 8, m.loadU32((args.a as number) + 8) + 1))
    for (let round = 0; round < 2; round++) for (const a of pages) await rig.svm.queue.enqueue(kernel, { args: { a }, global: 1 }).done
    expect(rig.mirror.vmm.entries).toBeLessThan(400 * LEAF_PAGES)
    for (const a of pages) expect((await rig.svm.read(a + 8, Uint32Array, 1))[0]).toBe(2)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('are given up in the middle of a launch too', async () => {
    const rig = await open({ frames: 24, seed: 5 })
    const count = 400
    const pages = scatter(rig, count)
    const table = rig.svm.allocFrom(Uint32Array.from(pages.flatMap((page) => [page % 2 ** 32, Math.floor(page / 2 ** 32)])))
    const kernel = await makeKernel(
      rig.svm,
      (item, args, m) => {
        // Each work-item adds to three pages, of which two are others' too.
        for (const n of [0, 1, 37]) {
          const page = m.loadPointer((args.a as number) + ((item.globalId[0] + n) % count) * 8)
          m.silentAtomicAddU32(page + 12, n + 1)
        }
      },
      { size: 2 },
    )
    const result = await rig.svm.queue.enqueue(kernel, { args: { a: table }, global: count }).done
    expect(result.evictions).toBeGreaterThan(count)
    expect(rig.mirror.vmm.entries).toBeLessThan(count * LEAF_PAGES)
    await checkInvariants(rig)
    for (const page of pages) expect((await rig.svm.read(page + 12, Uint32Array, 1))[0]).toBe(1 + 2 + 38)
    await rig.svm.close()
  })

  it('a kernel runs resident once all that is mapped is here', async () => {
    const rig = await open()
    const pointer = rig.svm.alloc(2 * LEAF_BYTES)
    const kernel = await makeKernel(rig.svm, (item, args, m) => m.storeU32((args.a as number) + item.globalId[0] * PAGE_BYTES, 5))
    const launch = { args: { a: pointer }, global: 2 * LEAF_PAGES }
    await rig.svm.queue.migrate({ pointer, byteLength: LEAF_BYTES }).done
    expect((await rig.svm.queue.enqueue(kernel, { ...launch, global: 1 }).done).variant).toBe('attempt')
    await rig.svm.queue.migrate({ pointer }).done
    expect((await rig.svm.queue.enqueue(kernel, launch).done).variant).toBe('resident')
    const other = rig.svm.alloc(1)
    expect((await rig.svm.queue.enqueue(kernel, launch).done).variant).toBe('attempt')
    rig.svm.free(other)
    expect((await rig.svm.queue.enqueue(kernel, launch).done).variant).toBe('direct')
    await rig.svm.close()
  })
})

describe('a bad access', () => {
  const failure = async (rig: Rig, address: number, how: 'load' | 'store' = 'load', more = {}): Promise<SvmError> => {
    const kernel = await makeKernel(
      rig.svm,
      (item, args, m) => {
        if (item.workgroupId[0] !== 3) return
        if (how === 'load') m.storeU32(args.a as number, m.loadU32(address))
        else m.storeU32(address, 1)
      },
      more,
    )
    const a = rig.svm.alloc(8)
    return rig.svm.queue.enqueue(kernel, { args: { a }, global: 5 }).done.then(
      () => expect.unreachable('it should fail'),
      (error: SvmError) => error,
    )
  }

  it.each([
    ['in a leaf where nothing is mapped', 0x1234_5678_9abc, 'load'],
    ['at null', 0, 'store'],
    ['in the first leaf', 4100, 'load'],
    ['above the low word', 2 ** 32, 'store'],
    ['at the last word of the space', 2 ** 48 - 4, 'load'],
    ['misaligned', 0x7777_0000_0002, 'load'],
  ] as const)('%s names its address, kind and workgroup', async (_, address, how) => {
    for (const resident of [false, true]) {
      const rig = await open()
      if (resident) await rig.svm.queue.migrate({ pointer: rig.svm.alloc(1) }).done
      const error = await failure(rig, address, how)
      expect(error).toMatchObject({ code: 'access-violation', pointer: address, workgroup: [3, 0, 0] })
      expect(error.message).toContain(how === 'load' ? 'made a load' : 'made a store')
      await checkInvariants(rig)
      await rig.svm.close()
    }
  })

  it('beside a mapping, in a leaf that has one', async () => {
    const rig = await open()
    const pointer = rig.svm.alloc(PAGE_BYTES)
    const error = await failure(rig, pointer - 3 * PAGE_BYTES, 'store')
    expect(error).toMatchObject({ code: 'access-violation', pointer: pointer - 3 * PAGE_BYTES })
    expect(error.message).toContain('where nothing is mapped')
    await rig.svm.close()
  })

  it('outside the reach, though mapped', async () => {
    const rig = await open()
    const other = rig.svm.alloc(LEAF_BYTES)
    const error = await failure(rig, other + 5 * PAGE_BYTES, 'load', { reach: 'arguments' })
    expect(error).toMatchObject({ code: 'access-violation', pointer: other + 5 * PAGE_BYTES })
    expect(error.message).toContain("outside the kernel's reach")
    await rig.svm.close()
  })

  it('that is the echo of a miss is forgotten', async () => {
    const rig = await open()
    const table = rig.svm.alloc(LEAF_BYTES)
    const other = rig.svm.alloc(LEAF_BYTES)
    await writePointer(rig, table, other + 12)
    // The poisoned load gave 0, and the other work-item, which is not poisoned, follows that.
    const kernel = await makeKernel(
      rig.svm,
      function* (item, args, m) {
        const handed = item.workgroupU32('p', 2)
        if (item.localIndex === 0) handed.set([1, m.loadPointer(args.a as number) === 0 ? 0 : 1])
        while (handed[0] === 0) yield 'step'
        if (item.localIndex === 1) m.storeU32(handed[1] === 0 ? 16 : other + 12, 9)
      },
      { size: 2 },
    )
    const result = await rig.svm.queue.enqueue(kernel, { args: { a: table }, global: 2 }).done
    expect(result.rounds).toBeGreaterThan(1)
    expect([...(await rig.svm.read(other + 12, Uint32Array, 1))]).toEqual([9])
    await rig.svm.close()
  })
})

describe('the directory', () => {
  it('finds every leaf, at wrap and collision too, and no other', () => {
    const leaves = new Leaves()
    const keys = [1, 2, 2 ** 31, 2 ** 31 - 1]
    // Keys whose search starts in the last bucket of a small directory: they wrap.
    for (let key = 100; keys.length < 15; key++) if ((leafHash(key) & 31) === 31) keys.push(key)
    for (const key of keys) expect(leaves.add(firstPageOfLeaf(key))).toBe(true)
    const words = leaves.directory(leaves.slots)
    expect(words.length).toBe(32 * BUCKET_WORDS)
    const find = (key: number) => {
      for (let n = 0; n < 32; n++) {
        const bucket = ((leafHash(key) + n) & 31) * BUCKET_WORDS
        if (words[bucket] === key) return words[bucket + 1]
        if (words[bucket] === 0) return 0
      }
      return 0
    }
    for (const key of keys) expect(find(key)).toBe(leaves.indexOf(firstPageOfLeaf(key)))
    expect([find(3), find(99), find(2 ** 31 - 2)]).toEqual([0, 0, 0])
    expect(leafKey(2 ** 36 - 1)).toBe(2 ** 31)
  })
})
