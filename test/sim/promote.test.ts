// promote.test.ts: inputs that came by read faults become the device's own where nothing else keeps a launch from its steady state. Always: no byte is
// copied for it, and one page that has to stay what it is keeps all as they are.

import { describe, expect, it } from 'vitest'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

const PAGES = 4

/** A kernel that reads a word of each page of `a` and stores to `b`; nothing is migrated by hand. */
async function made(options: { reach?: 'any' | 'arguments' } = {}) {
  const rig = await openRig({ frames: 24 })
  const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS, 1))
  const b = rig.svm.alloc(PAGES * PAGE_BYTES)
  const kernel = await makeKernel(
    rig.svm,
    (item, args, m) => m.storeU32(args.b + item.globalId[0] * PAGE_BYTES, m.loadU32(args.a + item.globalId[0] * PAGE_BYTES)),
    {
      pointers: ['a', 'b'],
      ...options,
    },
  )
  const launch = async () => (await rig.svm.queue.enqueue(kernel, { args: { a, b }, global: PAGES }).done).variant
  return { rig, a, b, launch }
}

describe('promote', () => {
  it('lets a launch whose pages came by faults alone reach its steady state, without a byte', async () => {
    const { rig, a, b, launch } = await made()
    expect(await launch()).toBe('attempt')
    expect([rig.draw(a, PAGES), rig.draw(b, PAGES)]).toEqual(['mmmm', 'dddd'])
    const { bytesIn } = rig.mirror.copies
    expect([await launch(), await launch(), await launch()]).toEqual(['direct', 'direct', 'direct'])
    expect([rig.draw(a, PAGES), rig.draw(b, PAGES)]).toEqual(['cccc', 'dddd'])
    expect(rig.mirror.copies.bytesIn).toBe(bytesIn)
    expect([...(await rig.svm.read(a, Uint32Array, 2))]).toEqual([1, 2])
    expect(rig.mirror.copies.bytesOut, 'a clean page comes home without a copy').toBe(0)
    await checkInvariants(rig)
  })

  it('holds when the host has had a page in between: what the last launch needed is brought first', async () => {
    const { rig, b, launch } = await made()
    await launch()
    await launch()
    await rig.svm.write(b + PAGE_BYTES, Uint32Array.of(7))
    expect(rig.draw(b, PAGES)).toBe('dhdd')
    const { bytesIn } = rig.mirror.copies
    expect(await launch()).toBe('resident')
    expect(rig.mirror.copies.bytesIn - bytesIn).toBe(PAGE_BYTES)
    expect([...(await rig.svm.read(b + PAGE_BYTES, Uint32Array, 1))]).toEqual([PAGE_WORDS + 1])
    await checkInvariants(rig)
  })

  it('does nothing while another page of the reach is not here', async () => {
    const { rig, a, launch } = await made()
    rig.svm.alloc(PAGE_BYTES)
    expect([await launch(), await launch()]).toEqual(['attempt', 'attempt'])
    expect(rig.draw(a, PAGES)).toBe('mmmm')
    await checkInvariants(rig)
  })

  it('looks at the reach of the launch alone', async () => {
    const { rig, a, launch } = await made({ reach: 'arguments' })
    rig.svm.alloc(PAGE_BYTES)
    expect([await launch(), await launch()]).toEqual(['attempt', 'direct'])
    expect(rig.draw(a, PAGES)).toBe('cccc')
    await checkInvariants(rig)
  })

  it('leaves alone what was advised to be read mostly, and all else with it', async () => {
    const { rig, a, launch } = await made()
    rig.svm.advise(a + PAGE_BYTES, PAGE_BYTES, 'read-mostly')
    expect([await launch(), await launch()]).toEqual(['attempt', 'attempt'])
    expect(rig.draw(a, PAGES)).toBe('mmmm')
    await checkInvariants(rig)
  })

  it('leaves alone what the host reads: it may not be stored to, so nothing is missing', async () => {
    const { rig, a, launch } = await made()
    expect(await launch()).toBe('attempt')
    const mapping = await rig.svm.map(a, PAGES * PAGE_BYTES, 'read')
    expect(await launch()).toBe('direct')
    expect(rig.draw(a, PAGES)).toBe('mmmm')
    mapping.unmap()
    await checkInvariants(rig)
  })
})
