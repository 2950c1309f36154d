// split.test.ts: launches in windows, and launches that fail: working sets, atomic launches, classes, reach, geometry, bad accesses.
// Always: after a failure the space is as SYSTEM.md section 5 says, and the next launch works.

import { describe, expect, it } from 'vitest'
import type { SvmError } from '../../src/base/error.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const errorOf = async (promise: Promise<unknown>): Promise<SvmError> => {
  try {
    await promise
  } catch (error) {
    return error as SvmError
  }
  throw new Error('expected a failure')
}

/** Adds 1 to the first word of `span` pages from the workgroup's on, in place. */
const touching =
  (span: number): KernelTwin =>
  (item, { a }, m) => {
    for (let i = 0; i < span; i++) {
      const at = a + (item.globalId[0] * span + i) * PAGE_BYTES
      m.storeU32(at, m.loadU32(at) + 1)
    }
  }

async function firstWords(rig: Rig, pointer: number, pages: number): Promise<number[]> {
  const words = await rig.svm.read(pointer, Uint32Array, pages * PAGE_WORDS)
  return Array.from({ length: pages }, (_, page) => words[page * PAGE_WORDS])
}

describe('larger than the device', () => {
  it.each([7, 8, 9, 11])('%d frames, seven pages a workgroup, 70 pages in all', async (frames) => {
    const rig = await openRig({ frames, seed: frames })
    const pointer = rig.svm.alloc(70 * PAGE_BYTES)
    const kernel = await makeKernel(rig.svm, touching(7))
    for (let launch = 1; launch <= 2; launch++) {
      const result = await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 10 }).done
      expect(result.rounds).toBeLessThan(10 * 5)
      expect(result.evictions).toBeGreaterThan(0)
      await checkInvariants(rig)
      expect(await firstWords(rig, pointer, 70)).toEqual(new Array(70).fill(launch))
    }
  })

  it('a workgroup that needs more than there is: names itself, the pages it needs and the pages there are', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.alloc(20 * PAGE_BYTES)
    const one = await makeKernel(rig.svm, touching(1))
    const kernel = await makeKernel(rig.svm, (item, args, m) => touching(item.globalId[0] === 1 ? 10 : 1)(item, args, m), { label: 'greedy' })
    const error = await errorOf(rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 2 }).done)
    expect(error).toMatchObject({ code: 'working-set', kernel: 'greedy', workgroup: [1, 0, 0], retiredWorkgroups: 1 })
    expect(error.message).toMatch(/at least (9|10) pages/)
    expect(error.message).toContain('has 8')
    await checkInvariants(rig)
    expect((await firstWords(rig, pointer, 1))[0]).toBe(1)
    expect(await codeOf(() => rig.svm.queue.enqueue(one, { args: { a: pointer }, global: 20 }).done)).toBe('no error')
    await checkInvariants(rig)
  })
})

describe('atomic launches', () => {
  const late: KernelTwin = (item, { a }, m) => {
    const at = a + item.globalId[0] * PAGE_BYTES
    m.storeU32(at, m.loadU32(at) + 1)
    m.silentAtomicAddU32(a + 8, 1)
    if (item.globalId[0] === 6 && m.loadU32(at + 4) === 1) m.storeU32(64, 1)
  }

  it('restore all bytes after a bad access in a late window, dirty pages and all', async () => {
    const rig = await openRig({ frames: 12 })
    const pointer = rig.svm.allocFrom(sequence(8 * PAGE_WORDS, 3))
    const kernel = await makeKernel(rig.svm, late)
    const plain = await makeKernel(rig.svm, touching(1))
    await rig.svm.queue.enqueue(plain, { args: { a: pointer }, global: 3 }).done
    await rig.svm.write(pointer + 6 * PAGE_BYTES + 4, Uint32Array.of(1))
    const before = await rig.svm.read(pointer, 8 * PAGE_BYTES)
    await rig.svm.queue.enqueue(plain, { args: { a: pointer + 3 * PAGE_BYTES }, global: 2 }).done
    const error = await errorOf(rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 8, atomic: true }).done)
    expect(error.code).toBe('access-violation')
    await checkInvariants(rig)
    const words = new Uint32Array(before.slice().buffer)
    words[3 * PAGE_WORDS]++
    words[4 * PAGE_WORDS]++
    expect(await rig.svm.read(pointer, Uint32Array, 8 * PAGE_WORDS)).toEqual(words)
    await checkInvariants(rig)
    await rig.svm.write(pointer + 6 * PAGE_BYTES + 4, Uint32Array.of(0))
    expect(await codeOf(() => rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 8, atomic: true }).done)).toBe('no error')
    await checkInvariants(rig)
  })

  it('are refused with working-set where the copies do not fit, and nothing has happened', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.alloc(12 * PAGE_BYTES)
    const kernel = await makeKernel(rig.svm, touching(1))
    expect(await codeOf(() => rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 12, atomic: true }).done)).toBe('working-set')
    await checkInvariants(rig)
    expect(await firstWords(rig, pointer, 12)).toEqual(new Array(12).fill(0))
  })
})

describe('classes and reach', () => {
  it('an unsplittable kernel starts only when no fault is possible', async () => {
    const rig = await openRig({ frames: 12 })
    const pointer = rig.svm.alloc(4 * PAGE_BYTES)
    const kernel = await makeKernel(rig.svm, touching(1), { class: 'unsplittable' })
    const launch = (atomic = false) => rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 4, atomic }).done
    const error = await errorOf(launch())
    expect(error.code).toBe('unsupported')
    expect(error.message).toContain('4 pages')
    await rig.svm.queue.migrate({ pointer }).done
    // All is here, but what it writes could not be taken back.
    expect(await errorOf(launch(true))).toMatchObject({ code: 'unsupported', message: expect.stringContaining('without atomic') })
    expect(await launch()).toMatchObject({ variant: 'resident', rounds: 1 })
    expect(await firstWords(rig, pointer, 4)).toEqual([1, 1, 1, 1])
    await checkInvariants(rig)
  })

  it('an unsplittable kernel is one pass however long it takes, alone and in a row; another of the same length is cut by time', async () => {
    // Two passes of the length that a pass may have; every workgroup waits for the one behind it, the last for nobody.
    const groups = 16
    const rig = await openRig({ frames: 12, costs: { access: 1e7 } })
    const flags = rig.svm.alloc(groups * 4)
    const waiting: KernelTwin = function* (item, { a, round }, m) {
      const group = item.workgroupId[0]
      let turns = 0
      while (group + 1 < groups && m.atomicLoadU32(a + (group + 1) * 4) !== round && turns++ < 1000) yield 'step'
      m.atomicStoreU32(a + group * 4, turns < 1000 ? round : 0)
    }
    const alike: KernelTwin = (item, { a }, m) => m.storeU32(a + item.workgroupId[0] * 4, m.loadU32(a + item.workgroupId[0] * 4))
    const options = { pointers: ['a'], numbers: ['round'] }
    const unsplittable = await makeKernel(rig.svm, waiting, { ...options, class: 'unsplittable' })
    const splittable = await makeKernel(rig.svm, alike, options)
    await rig.svm.queue.migrate({ pointer: flags }).done
    const launch = (kernel: typeof splittable, round: number) => rig.svm.queue.enqueue(kernel, { args: { a: flags, round }, global: groups }).done
    const check = async (round: number) => {
      expect([...(await rig.svm.read(flags, Uint32Array, groups))]).toEqual(new Array(groups).fill(round))
      await rig.svm.queue.migrate({ pointer: flags }).done
    }
    for (let round = 1; round <= 3; round++) {
      const before = rig.device.now()
      expect(await launch(unsplittable, round)).toMatchObject({ rounds: 1, faults: 0 })
      expect(rig.device.now() - before).toBeGreaterThan(200)
      await check(round)
    }
    await launch(splittable, 0)
    expect((await launch(splittable, 0)).rounds).toBeGreaterThan(1)
    const row = await Promise.all([4, 5, 6].map((round) => launch(unsplittable, round)))
    expect(row.map(({ rounds }) => rounds)).toEqual([1, 1, 1])
    await check(6)
    await checkInvariants(rig)
  })

  it('a transactional launch that fails in its first window leaves the bytes as before', async () => {
    const rig = await openRig({ frames: 16 })
    const pointer = rig.svm.alloc(4 * PAGE_BYTES)
    const kernel = await makeKernel(
      rig.svm,
      (item, args, m) => {
        touching(1)(item, args, m)
        if (item.globalId[0] === 3) m.loadU32(4096)
      },
      { class: 'transactional' },
    )
    expect(await errorOf(rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 4 }).done)).toMatchObject({ retiredWorkgroups: 0 })
    await checkInvariants(rig)
    expect(await firstWords(rig, pointer, 4)).toEqual([0, 0, 0, 0])
  })

  it.each(['arguments', 'list'] as const)('reach by %s is enforced, in every variant', async (how) => {
    const rig = await openRig({ frames: 16 })
    const pointer = rig.svm.alloc(2 * PAGE_BYTES)
    const other = rig.svm.allocFrom(Uint32Array.of(pointer))
    const kernel = await makeKernel(rig.svm, (_item, { a, far }, m) => m.storeU32(a, m.loadU32(far === 1 ? other : a + PAGE_BYTES) + 1), {
      numbers: ['far'],
      reach: how === 'list' ? [pointer] : 'arguments',
    })
    const launch = (far: number) => rig.svm.queue.enqueue(kernel, { args: { a: pointer, far }, global: 1 }).done
    expect(await launch(0)).toMatchObject({ variant: 'attempt' })
    expect((await errorOf(launch(1))).message).toContain("outside the kernel's reach")
    await rig.svm.queue.migrate({ pointer }).done
    expect(await launch(0)).toMatchObject({ variant: 'direct' })
    expect(await errorOf(launch(1))).toMatchObject({ code: 'access-violation', pointer: other })
    await checkInvariants(rig)
  })
})

describe('geometry', () => {
  it('more than 65,535 workgroups, with an offset: every work-item once', async () => {
    const rig = await openRig({ deviceMemory: 4 * 2 ** 20 })
    const pointer = rig.svm.alloc(70_000 * 4)
    const kernel = await makeKernel(rig.svm, (item, { a }, m) => m.storeU32(a + (item.globalId[0] - 100) * 4, item.globalId[0] + item.workgroupId[0]))
    await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 70_000, offset: 100 }).done
    const words = await rig.svm.read(pointer, Uint32Array, 70_000)
    expect(words.findIndex((word, i) => word !== 2 * i + 100)).toBe(-1)
    await checkInvariants(rig)
  })

  it('a remainder in two dimensions is left out; with barriers it is refused', async () => {
    const rig = await openRig({ frames: 16 })
    const pointer = rig.svm.alloc(PAGE_BYTES)
    const twin: KernelTwin = (item, { a }, m) => m.storeU32(a + (item.globalId[1] * 16 + item.globalId[0]) * 4, 1)
    const kernel = await makeKernel(rig.svm, twin, { size: 4 })
    await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: [10, 3] }).done
    const words = await rig.svm.read(pointer, Uint32Array, 64)
    expect([0, 1, 2, 3].map((y) => words.subarray(y * 16, y * 16 + 16).reduce((x, y) => x + y))).toEqual([10, 10, 10, 0])
    const barriers = await makeKernel(rig.svm, twin, { size: 4, barriers: true })
    expect(await codeOf(() => rig.svm.queue.enqueue(barriers, { args: { a: pointer }, global: 10 }).done)).toBe('invalid-value')
    expect(await codeOf(() => rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 8, local: 2 }).done)).toBe('invalid-value')
    await checkInvariants(rig)
  })

  it('no work-items: nothing runs', async () => {
    const rig = await openRig({ frames: 16 })
    const kernel = await makeKernel(rig.svm, () => expect.unreachable())
    expect(await rig.svm.queue.enqueue(kernel, { args: { a: 0 }, global: 0 }).done).toMatchObject({ rounds: 0 })
  })
})

describe('a bad access', () => {
  type Bad = (a: number) => { twin: KernelTwin; at: number; code: string; words: string[] }
  const cases: [string, Bad][] = [
    [
      'load below a mapping',
      (a) => ({
        twin: (_i, _a, m) => void m.loadU32(a - 16),
        at: a - 16,
        code: 'access-violation',
        words: ['a load', 'nothing is mapped', 'starts 16 bytes above'],
      }),
    ],
    ['atomic at null', () => ({ twin: (_i, _a, m) => void m.atomicAddU32(0, 1), at: 0, code: 'access-violation', words: ['an atomic', 'nothing is mapped'] })],
    [
      'misaligned store',
      (a) => ({ twin: (_i, _a, m) => m.storeU32(a + 2, 1), at: a + 2, code: 'access-violation', words: ['a store', 'not aligned', 'which holds it'] }),
    ],
  ]
  it.each(cases)('%s: kernel, address, kind, workgroup, nearest mapping; the space goes on', async (_name, bad) => {
    for (const resident of [false, true]) {
      const rig = await openRig({ frames: 16 })
      const pointer = rig.svm.alloc(4 * PAGE_BYTES, { label: 'the data' })
      const { twin, at, code, words } = bad(pointer)
      const kernel = await makeKernel(
        rig.svm,
        (item, args, m) => {
          if (item.globalId[0] === 2) twin(item, args, m)
          else m.storeU32(pointer + item.globalId[0] * PAGE_BYTES, 1)
        },
        { label: 'clumsy' },
      )
      if (resident) await rig.svm.queue.migrate({ pointer }).done
      const error = await errorOf(rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 4 }).done)
      expect(error).toMatchObject({ code, kernel: 'clumsy', pointer: at, workgroup: [2, 0, 0] })
      for (const word of words) expect(error.message).toContain(word)
      expect(error.message).toContain('the data')
      await checkInvariants(rig)
      const stored = (await firstWords(rig, pointer, 4)).filter((word) => word === 1).length
      expect(stored).toBe(error.retiredWorkgroups)
      const good = await makeKernel(rig.svm, touching(1))
      expect(await codeOf(() => rig.svm.queue.enqueue(good, { args: { a: pointer }, global: 4 }).done)).toBe('no error')
      await checkInvariants(rig)
    }
  })

  it('on memory that kernels may only read', async () => {
    const rig = await openRig({ frames: 16 })
    const pointer = rig.svm.alloc(PAGE_BYTES, { access: 'read' })
    const kernel = await makeKernel(rig.svm, touching(1))
    const error = await errorOf(rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: 1 }).done)
    expect(error.message).toContain('read-only for kernels')
    await checkInvariants(rig)
  })
})

describe('pages that are found one after the other', () => {
  it('stay until their workgroup has run: little is brought twice', async () => {
    const rig = await openRig({ frames: 16 })
    const pages = 4
    const workgroups = 24
    const pointer = rig.svm.alloc(workgroups * pages * PAGE_BYTES)
    const bytes = new Uint32Array((workgroups * pages * PAGE_BYTES) / 4)
    for (let page = 0; page < workgroups * pages; page++) {
      const next = pointer + (page + 1) * PAGE_BYTES
      bytes.set([next % 2 ** 32, Math.floor(next / 2 ** 32)], (page * PAGE_BYTES) / 4)
    }
    await rig.svm.write(pointer, bytes)
    // Each page names the next, so a pass finds one page of each workgroup.
    const kernel = await makeKernel(rig.svm, (item, args, m) => {
      let at = (args.a as number) + (item.workgroupId[0] as number) * pages * PAGE_BYTES
      for (let step = 0; step < pages && at !== 0; step++) at = m.loadPointer(at)
    })
    const result = await rig.svm.queue.enqueue(kernel, { args: { a: pointer }, global: workgroups }).done
    // 1.45 times; 9.7 without the two rules (pages kept for earlier workgroups, a window halved when nobody retires), 1.76 without the latter.
    expect(result.bytesIn / (workgroups * pages * PAGE_BYTES)).toBeLessThan(1.6)
    await checkInvariants(rig)
  })
})
