// How device faults are serviced: what is brought for them, in how many rounds, and what is told of them. Always: counts, never times.

import { describe, expect, it } from 'vitest'
import type { KernelTwin } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

describe('examples of faults', () => {
  it('are traced with address, access and workgroup', async () => {
    const rig = await openRig({ frames: 16 })
    const a = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const twin: KernelTwin = (item, args, m) => {
      const at = (args.a as number) + (item.globalId[0] as number) * PAGE_BYTES + 8
      if (item.globalId[0] === 1) m.storeU32(at, 1)
      else if (item.globalId[0] === 2) m.silentAtomicAddU32(at, 1)
      else m.loadU32(at)
    }
    const kernel = await makeKernel(rig.svm, twin)
    await rig.svm.queue.enqueue(kernel, { args: { a }, global: 3 }).done
    const [event] = rig.events.filter(({ kind }) => kind === 'fault')
    expect(event).toMatchObject({ kernel: 'k', round: 1 })
    const examples = event?.kind === 'fault' ? [...event.examples].sort((x, y) => x.workgroup - y.workgroup) : []
    expect(examples).toEqual([
      { pointer: a + 8, access: 'load', workgroup: 0 },
      { pointer: a + PAGE_BYTES + 8, access: 'store', workgroup: 1 },
      { pointer: a + 2 * PAGE_BYTES + 8, access: 'atomic', workgroup: 2 },
    ])
    await checkInvariants(rig)
  })

  it('are few, however many faults there are, and nothing depends on them', async () => {
    const rig = await openRig({ frames: 128 })
    const a = rig.svm.allocFrom(sequence(100 * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, (item, args, m) => void m.loadU32((args.a as number) + (item.globalId[0] as number) * PAGE_BYTES))
    const result = await rig.svm.queue.enqueue(kernel, { args: { a }, global: 100 }).done
    expect(result).toMatchObject({ rounds: 2, faults: 100 })
    const [event] = rig.events.filter(({ kind }) => kind === 'fault')
    expect(event?.kind === 'fault' ? event.examples.length : 0).toBe(32)
  })
})

describe('a launch that does not fit', () => {
  const PAGES = 60
  /** Workgroup n reads page n of `a` and writes page n of `b`. */
  const copy: KernelTwin = (item, args, m) => {
    const at = (item.globalId[0] as number) * PAGE_BYTES
    m.storeU32((args.b as number) + at, m.loadU32((args.a as number) + at) + 1)
  }

  async function open() {
    const rig = await openRig({ frames: 40 })
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const b = rig.svm.alloc(PAGES * PAGE_BYTES)
    const kernel = await makeKernel(rig.svm, copy, { pointers: ['a', 'b'] })
    const launch = () => rig.svm.queue.enqueue(kernel, { args: { a, b }, global: PAGES }).done
    const check = async () => {
      const words = await rig.svm.read(b, Uint32Array, PAGES * PAGE_WORDS)
      for (let page = 0; page < PAGES; page++) expect(words[page * PAGE_WORDS]).toBe(page * PAGE_WORDS + 1)
      await checkInvariants(rig)
    }
    const passes = (from: number) => rig.events.slice(from).flatMap((event) => (event.kind === 'pass' ? [event] : []))
    return { rig, a, b, launch, check, passes }
  }

  it('takes one pass a window and no fault when it was seen before, and begins with what is here', async () => {
    const { rig, launch, check, passes } = await open()
    const first = await launch()
    // One pass that finds out, and one a window of twenty workgroups.
    expect(first).toMatchObject({ rounds: 4, faults: PAGES })
    for (let n = 0; n < 3; n++) {
      const from = rig.events.length
      const result = await launch()
      expect(result).toMatchObject({ rounds: 3, faults: 0, hints: 0 })
      expect(passes(from).map(({ retired }) => retired)).toEqual([20, 20, 20])
      // A third of both arrays was there.
      expect(result.bytesIn).toBe(2 * 40 * PAGE_BYTES)
      await checkInvariants(rig)
    }
    await check()
  })

  it('is right when what was seen before is not what happens', async () => {
    const rig = await openRig({ frames: 40 })
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const b = rig.svm.alloc(PAGES * PAGE_BYTES)
    let shift = 0
    const twin: KernelTwin = (item, args, m) => {
      const n = item.globalId[0] as number
      const from = ((n + shift) % PAGES) * PAGE_BYTES
      m.storeU32((args.b as number) + n * PAGE_BYTES, m.loadU32((args.a as number) + from) + shift)
    }
    const kernel = await makeKernel(rig.svm, twin, { pointers: ['a', 'b'] })
    for (shift of [0, 30, 17, 59]) {
      await rig.svm.queue.enqueue(kernel, { args: { a, b }, global: PAGES }).done
      await checkInvariants(rig)
    }
    const words = await rig.svm.read(b, Uint32Array, PAGES * PAGE_WORDS)
    for (let page = 0; page < PAGES; page++) expect(words[page * PAGE_WORDS]).toBe(((page + 59) % PAGES) * PAGE_WORDS + 59)
  })

  it('keeps what all workgroups read, however often it is read', async () => {
    const rig = await openRig({ frames: 20 })
    const a = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const shared = rig.svm.allocFrom(sequence(10 * PAGE_WORDS))
    const twin: KernelTwin = (item, args, m) => {
      for (let page = 0; page < 10; page++) m.loadU32((args.b as number) + page * PAGE_BYTES)
      m.loadU32((args.a as number) + (item.globalId[0] as number) * PAGE_BYTES)
    }
    const kernel = await makeKernel(rig.svm, twin, { pointers: ['a', 'b'] })
    const launch = () => rig.svm.queue.enqueue(kernel, { args: { a, b: shared }, global: PAGES }).done
    expect(await launch()).toMatchObject({ bytesIn: (PAGES + 10) * PAGE_BYTES })
    expect(await launch()).toMatchObject({ faults: 0, bytesIn: (PAGES - 10) * PAGE_BYTES })
    await checkInvariants(rig)
  })
})

describe('rounds', () => {
  const PAGES = 24

  it('of any number of independent faults are two, and one when they were seen before', async () => {
    const rig = await openRig({ frames: 8 * PAGES })
    const pages = (first: number) => rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS, first))
    const args = { a: pages(0), b: pages(7), c: rig.svm.alloc(PAGES * PAGE_BYTES), d: rig.svm.alloc(PAGES * PAGE_BYTES) }
    const twin: KernelTwin = (item, { a, b, c, d }, m) => {
      const at = (item.globalId[0] as number) * PAGE_BYTES
      const sum = m.loadU32((a as number) + at) + m.loadU32((b as number) + at)
      m.storeU32((c as number) + at, sum)
      m.silentAtomicAddU32((d as number) + at, 1)
    }
    const kernel = await makeKernel(rig.svm, twin, { pointers: ['a', 'b', 'c', 'd'] })
    const launch = () => rig.svm.queue.enqueue(kernel, { args, global: PAGES }).done
    expect(await launch()).toMatchObject({ rounds: 2, faults: PAGES, hints: 3 * PAGES })
    for (const pointer of Object.values(args)) await rig.svm.queue.migrate({ pointer }, { to: 'host' }).done
    expect(await launch()).toMatchObject({ rounds: 1, faults: 0, hints: 0 })
    const sums = await rig.svm.read(args.c, Uint32Array, PAGES * PAGE_WORDS)
    const counts = await rig.svm.read(args.d, Uint32Array, PAGES * PAGE_WORDS)
    for (let page = 0; page < PAGES; page++) expect([sums[page * PAGE_WORDS], counts[page * PAGE_WORDS]]).toEqual([2 * page * PAGE_WORDS + 7, 2])
    await checkInvariants(rig)
  })
})
