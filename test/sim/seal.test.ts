// seal.test.ts: sealed passes. Always: where history says what a launch needs and all of it is here, the kernel runs without what faults cost; where it
// was wrong the pass leaves nothing that its repetition does not leave, and the kernel is not sealed for a while.

import { describe, expect, it } from 'vitest'
import type { Readback, Work } from '../../src/device/device.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import type { TraceEvent } from '../../src/index.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

const FAR = PAGE_WORDS
const variantOf = (label: string) => /\((\w+)\)$/.exec(label)?.[1]

interface Shape {
  readonly twin: KernelTwin
  readonly size: number
  readonly barriers?: boolean
  /** It uses what its atomics give. */
  readonly takes?: boolean
  /** Further arrays, and a page that no launch touches: with it on the host nothing is in its steady state. */
  readonly arrays: number
  readonly seed?: number
}

async function made(shape: Shape) {
  const passes: (string | undefined)[] = []
  const events: TraceEvent[] = []
  const rig = await openRig({
    frames: 24,
    seed: shape.seed ?? 1,
    trace: (event) => events.push(event),
    wrap: (device) => {
      const submit = device.submit.bind(device)
      device.submit = (work: readonly Work[], readbacks?: readonly Readback[]) => {
        for (const one of work) if (one.kind === 'dispatch') passes.push(variantOf(one.program.descriptor.label))
        return submit(work, readbacks)
      }
      return device
    },
  })
  rig.svm.alloc(PAGE_BYTES)
  // Two pages: where the first words point to decides what the launch needs.
  const a = rig.svm.allocFrom(new Uint32Array(2 * PAGE_WORDS))
  const others = Array.from({ length: shape.arrays }, () => rig.svm.alloc(PAGE_BYTES))
  const names = ['a', ...['b', 'c', 'd'].slice(0, shape.arrays)]
  const kernel = await makeKernel(rig.svm, shape.twin, { pointers: names, size: shape.size, barriers: shape.barriers, takes: shape.takes })
  const args = Object.fromEntries(names.map((name, n) => [name, [a, ...others][n] as number]))
  const launch = async () => {
    passes.length = 0
    await rig.svm.queue.enqueue(kernel, { args, global: shape.size }).done
    await checkInvariants(rig)
    return [...passes]
  }
  return { rig, a, others, launch }
}

describe('a sealed pass', () => {
  it('runs where history says what is needed and all of it is here, and not where nothing is known', async () => {
    const { rig, others, launch } = await made({
      twin: (item, { a, b }, m) => m.storeU32(b + item.globalId[0] * 4, m.loadU32(a) + 1),
      size: 4,
      arrays: 1,
    })
    expect(await launch()).toEqual(['attempt', 'attempt'])
    // The first launch that could be sealed has the variant made.
    await launch()
    expect(await launch()).toEqual(['sealed'])
    expect([...(await rig.svm.read(others[0] as number, Uint32Array, 4))]).toEqual([1, 1, 1, 1])
  })

  it('that is refused leaves no store of a work-item that saw what was refused', async () => {
    const { rig, a, others, launch } = await made({
      twin: function* (item, { a, b }, m) {
        const shared = item.workgroupU32('from', 1)
        if (item.localIndex === 0) shared[0] = m.loadU32(a + m.loadU32(a) * 4)
        yield
        if (item.localIndex === 1) m.storeU32(b + (shared[0] as number) * 4, 1)
      },
      size: 2,
      barriers: true,
      arrays: 1,
    })
    await rig.svm.write(a, Uint32Array.of(1, 7))
    await launch()
    await launch()
    expect(await launch()).toEqual(['sealed'])
    await rig.svm.write(others[0] as number, new Uint32Array(8))
    // Now the way leads to a page that no launch has touched. To the work-item behind the barrier a refused load is 0.
    await rig.svm.write(a, Uint32Array.of(FAR))
    await rig.svm.write(a + FAR * 4, Uint32Array.of(5))
    expect((await launch()).slice(0, 2)).toEqual(['sealed', 'attempt'])
    expect([...(await rig.svm.read(others[0] as number, Uint32Array, 8))]).toEqual([0, 0, 0, 0, 0, 1, 0, 0])
  })

  it('that is refused leaves no store to a slot that it took', async () => {
    const { rig, a, others, launch } = await made({
      // All take a slot, and odd ones store to it; the last one then follows a pointer.
      twin: function* (item, { a, b, c, d }, m) {
        const slot = m.atomicAddU32(b, 1)
        yield 'step'
        if (item.localIndex % 2 === 1) m.storeU32(c + slot * 4, item.localIndex + 1)
        yield 'step'
        m.storeU32(d + slot * 4, m.loadU32(a + m.loadU32(a) * 4) + 1)
      },
      size: 8,
      arrays: 3,
      takes: true,
    })
    await rig.svm.write(a, Uint32Array.of(1, 7))
    await launch()
    await launch()
    await launch()
    for (let far = 0; far < 20; far++) {
      for (const array of others) await rig.svm.write(array, new Uint32Array(8))
      await rig.svm.write(a, Uint32Array.of(far % 2 === 0 ? FAR : 1))
      await rig.svm.queue.migrate({ pointer: a + PAGE_BYTES, byteLength: PAGE_BYTES }, { to: 'host' }).done
      await launch()
      const [taken, queue] = [await rig.svm.read(others[0] as number, Uint32Array, 1), await rig.svm.read(others[1] as number, Uint32Array, 8)]
      expect(taken[0]).toBe(8)
      expect([...queue].filter((value) => value > 0).sort()).toEqual([2, 4, 6, 8])
    }
  })

  it('that is refused leaves no store where an atomic decided on it, though history knows of a plain one', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { rig, a, others, launch } = await made({
        // At first all store to c before they take a slot; then what they take decides who stores, and where.
        twin: function* (item, { a, b, c, d }, m) {
          const id = item.localIndex
          const bySlot = m.loadU32(a) === FAR
          if (!bySlot) m.storeU32(c + id * 4, 1)
          yield 'step'
          const slot = m.atomicAddU32(b, 1)
          yield 'step'
          if (bySlot && (slot + id) % 2 === 0) m.storeU32(c + slot * 4, id + 1)
          yield 'step'
          m.storeU32(d + id * 4, slot + 1)
          m.loadU32(a + m.loadU32(a) * 4)
        },
        size: 8,
        arrays: 3,
        takes: true,
        seed,
      })
      await rig.svm.write(a, Uint32Array.of(1, 7))
      for (let n = 0; n < 3; n++) await launch()
      for (const array of others) await rig.svm.write(array, new Uint32Array(8))
      await rig.svm.write(a, Uint32Array.of(FAR))
      expect((await launch())[0]).toBe('sealed')
      const [c, d] = await Promise.all([others[1], others[2]].map((array) => rig.svm.read(array as number, Uint32Array, 8)))
      const wanted = new Array<number>(8).fill(0)
      for (const [id, taken] of (d as Uint32Array).entries()) if ((taken - 1 + id) % 2 === 0) wanted[taken - 1] = id + 1
      expect([...(c as Uint32Array)]).toEqual(wanted)
    }
  })

  it('is not tried again at once where it was refused', async () => {
    const { rig, a, launch } = await made({
      twin: (item, { a, b }, m) => m.storeU32(b + item.globalId[0] * 4, m.loadU32(a + m.loadU32(a) * 4)),
      size: 1,
      arrays: 1,
    })
    await rig.svm.write(a, sequence(4, 1))
    await launch()
    await launch()
    expect(await launch()).toEqual(['sealed'])
    await rig.svm.write(a, Uint32Array.of(FAR))
    const [first, ...rest] = await launch()
    expect(first).toBe('sealed')
    expect(rest.length).toBeGreaterThan(0)
    expect(rest.every((variant) => variant === 'attempt')).toBe(true)
  })
})
