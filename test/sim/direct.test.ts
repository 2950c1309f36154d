// direct.test.ts: when the direct variant runs, and what it leaves. Always: each case is one reason for or against it; what it stored to is dirty,
// what it did not store to is not.

import { describe, expect, it } from 'vitest'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const PAGES = 4

/** Two allocations on the device, and a kernel that adds a word of each page of the first into the second. */
async function made(options: Parameters<typeof openRig>[0] = {}) {
  const rig = await openRig({ frames: 24, ...options })
  const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS, 1))
  const b = rig.svm.alloc(PAGES * PAGE_BYTES)
  const kernel = await makeKernel(
    rig.svm,
    (item, args, m) => {
      const at = item.globalId[0] * PAGE_BYTES
      m.storeU32(args.b + at, m.loadU32(args.a + at) + m.loadU32(args.b + at))
    },
    { pointers: ['a', 'b'] },
  )
  const launch = async (more = {}) => (await rig.svm.queue.enqueue(kernel, { args: { a, b, ...more }, global: PAGES }).done).variant
  await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
  return { rig, a, b, launch }
}

const frames = ({ space }: Rig, pointer: number, pages: number) => Array.from({ length: pages }, (_, i) => space.pages.frame(pointer / PAGE_BYTES + i))

describe('frames', () => {
  it('stand in the order of the pages, the topmost page in the last frame, in whatever order they are asked for', async () => {
    const rig = await openRig({ frames: 12 })
    const parts = [3, 2, 4].map((pages) => rig.svm.alloc(pages * PAGE_BYTES))
    for (const part of [parts[1], parts[2], parts[0]]) await rig.svm.queue.migrate({ pointer: part as number }).done
    expect(frames(rig, parts[2] as number, 9)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11])
    await checkInvariants(rig)
  })

  it('are taken elsewhere where theirs are in use', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.alloc(12 * PAGE_BYTES)
    await rig.svm.queue.migrate({ pointer: pointer + 8 * PAGE_BYTES, byteLength: 4 * PAGE_BYTES }).done
    await rig.svm.queue.migrate({ pointer, byteLength: 4 * PAGE_BYTES }).done
    const taken = [...frames(rig, pointer, 4), ...frames(rig, pointer + 8 * PAGE_BYTES, 4)]
    expect(taken.slice(4)).toEqual([4, 5, 6, 7])
    expect([...taken].sort((x, y) => x - y)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    await checkInvariants(rig)
  })
})

describe('the direct variant', () => {
  it('runs once it is known what is stored to; what is not stored to comes home without a copy', async () => {
    const { rig, a, b, launch } = await made()
    expect([await launch(), await launch(), await launch()]).toEqual(['resident', 'direct', 'direct'])
    expect([rig.draw(a, PAGES), rig.draw(b, PAGES)]).toEqual(['cccc', 'dddd'])
    expect((await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }], { to: 'host' }).done).bytesCopied).toBe(PAGES * PAGE_BYTES)
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(3)
    expect(rig.svm.stats()).toMatchObject({ dispatches: { direct: 2, resident: 1 } })
    await checkInvariants(rig)
  })

  it('does not run after the host has read: a page is clean again', async () => {
    const { b, launch, rig } = await made()
    await launch()
    expect(await launch()).toBe('direct')
    await rig.svm.read(b, 4)
    await rig.svm.queue.migrate({ pointer: b }).done
    expect([await launch(), await launch()]).toEqual(['resident', 'direct'])
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(4)
  })

  it('notes a store that was not foreseen, and foresees none of that kernel again', async () => {
    const { rig, a, b } = await made()
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a + args.at, 77), { numbers: ['at'] })
    const launch = async (at: number) => (await rig.svm.queue.enqueue(kernel, { args: { a: b, at }, global: 1 }).done).variant
    expect([await launch(0), await launch(0)]).toEqual(['resident', 'direct'])
    expect(await launch(2 * PAGE_BYTES)).toBe('direct')
    // Nobody knows where it was: all that could be stored to counts as dirty.
    expect([rig.draw(a, PAGES), rig.draw(b, PAGES)]).toEqual(['dddd', 'dddd'])
    expect(await launch(0)).toBe('direct')
    for (const to of ['host', 'device'] as const) await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }], { to }).done
    expect([await launch(0), await launch(0)]).toEqual(['resident', 'resident'])
    expect([rig.draw(a, PAGES), rig.draw(b, PAGES)]).toEqual(['cccc', 'dccc'])
    expect((await rig.svm.read(b + 2 * PAGE_BYTES, Uint32Array, 1))[0]).toBe(77)
    await checkInvariants(rig)
  })

  const cases: readonly (readonly [string, ((made: Case) => Promise<unknown>) | null])[] = [
    ['a hole between allocations', async ({ rig, b }: Case) => rig.svm.munmap(b + PAGE_BYTES, PAGE_BYTES)],
    ['a page for which the host has a mapping to write', async ({ rig, b }: Case) => rig.svm.map(b + PAGE_BYTES, PAGE_BYTES, 'write')],
    ['a page in the middle that may not be written', async ({ rig, b }: Case) => rig.svm.mprotect(b + PAGE_BYTES, PAGE_BYTES, 'read')],
    ['policy.direct: false', null],
    ['two pools', null],
  ]
  it.each(cases)('does not run with %s', async (name, change) => {
    const options = name.startsWith('policy') ? { policy: { direct: false } } : name === 'two pools' ? { policy: { pools: 2 }, frames: 9 } : {}
    const { rig, a, b, launch } = await made(options)
    await launch()
    if (change === null) {
      expect(await launch()).toBe('resident')
      return
    }
    expect(await launch()).toBe('direct')
    await change({ rig, b })
    // One work-item, which touches none of the pages in question.
    const kernel = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.b, m.loadU32(args.a)), { pointers: ['a', 'b'] })
    const one = async () => (await rig.svm.queue.enqueue(kernel, { args: { a, b }, global: 1 }).done).variant
    expect([await one(), await one()]).not.toContain('direct')
  })

  it('refuses what lies outside, below and above, misaligned and read-only', async () => {
    const { rig, a, b, launch } = await made()
    await rig.svm.mprotect(a, PAGES * PAGE_BYTES, 'read')
    await launch()
    expect(await launch()).toBe('direct')
    const load = (m: { loadU32(p: number): number }, at: number) => m.loadU32(at)
    const cases = [
      [b - 8, 'load', 'where nothing is mapped'],
      [a + PAGES * PAGE_BYTES, 'load', 'where nothing is mapped'],
      [b + 2, 'load', 'not aligned'],
      [a + 4, 'store', 'read-only'],
    ] as const
    for (const [at, how, why] of cases) {
      const bad = await makeKernel(rig.svm, (_item, args, m) => (how === 'load' ? m.storeU32(args.b, load(m, args.at)) : m.storeU32(args.at, 9)), {
        pointers: ['b'],
        numbers: ['at'],
        label: 'bad',
      })
      const failed = rig.svm.queue.enqueue(bad, { args: { b, at }, global: 1 }).done
      await expect(failed).rejects.toMatchObject({ pointer: at, kernel: 'bad', workgroup: [0, 0, 0], message: expect.stringContaining(why) })
    }
    expect(await codeOf(() => launch())).toBe('no error')
    await checkInvariants(rig)
  })
})

interface Case {
  readonly rig: Rig
  readonly b: number
}
