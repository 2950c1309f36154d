// counterexamples.test.ts: C1 to C8 of replay-grants section 5, and the kernels of traps D1 and D3, each small, over many schedules.
// Always: a kernel is run cold, with pages of its words on the host, so that its workgroups fault and are replayed.

import { describe, expect, it } from 'vitest'
import type { KernelMemory, KernelTwin } from '../../src/device/twin.ts'
import type { DispatchResult } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, type Rig } from './rig.ts'

const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1)

interface Case {
  readonly twin: KernelTwin
  /** Pages of the arrays a, b, c, d. */
  readonly pages: readonly number[]
  readonly global: number
  readonly size?: number
  readonly barriers?: boolean
  readonly frames?: number
  readonly class?: 'transactional'
  /** Words to begin with. */
  readonly fill?: readonly (readonly number[])[]
  /** Arrays that are on the device already. */
  readonly resident?: readonly number[]
  check(words: Uint32Array[], result: DispatchResult, rig: Rig): void
}

async function everySchedule(test: Case): Promise<void> {
  for (const seed of SEEDS) {
    const rig = await openRig({ seed, frames: test.frames ?? 24, mischief: { latency: seed % 3 } })
    const names = ['a', 'b', 'c', 'd'].slice(0, test.pages.length)
    const pointers = test.pages.map((pages) => rig.svm.alloc(pages * PAGE_BYTES))
    for (const [i, words] of (test.fill ?? []).entries()) if (words.length > 0) await rig.svm.write(pointers[i], Uint32Array.from(words))
    for (const i of test.resident ?? []) await rig.svm.queue.migrate({ pointer: pointers[i] }).done
    const kernel = await makeKernel(rig.svm, test.twin, { pointers: names, size: test.size, barriers: test.barriers, class: test.class })
    const args = Object.fromEntries(names.map((name, i) => [name, pointers[i]]))
    const result = await rig.svm.queue.enqueue(kernel, { args, global: test.global }).done
    await checkInvariants(rig)
    const words: Uint32Array[] = []
    for (const [i, pages] of test.pages.entries()) words.push(await rig.svm.read(pointers[i], Uint32Array, (pages * PAGE_BYTES) / 4))
    try {
      test.check(words, result, rig)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    await rig.svm.close()
  }
}

/** Pages that are found one after the other, since each address is loaded from the page before: `rounds` passes fault, hints or not. */
const LATE = Array.from({ length: 8 * 1024 }, (_, i) => (i % 1024 === 0 ? (i / 1024 + 1) * PAGE_BYTES : 0))
function* late(m: KernelMemory, d: number, rounds: number): Generator<unknown, number> {
  let at = 0
  for (let i = 0; i < rounds; i++) {
    yield 'step'
    at = m.loadU32(d + at)
  }
  return at
}

const sorted = (words: Iterable<number>) => [...words].sort((x, y) => x - y)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('counter-examples of the first idea', () => {
  it('C1: a slot is taken, the queue written in place, then the pass is dropped: no stray entry', () =>
    everySchedule({
      // Odd values are stored in their slot; even ones take a slot and leave it empty. All fault afterwards.
      twin: function* (item, { a, b, c, d }, m) {
        const value = item.globalId[0] + 1
        const slot = m.atomicAddU32(a, 1)
        yield 'step'
        if (value & 1) m.storeU32(b + slot * 4, value)
        yield* late(m, d, 3)
        m.storeU32(c + item.globalId[0] * 4, slot + 1)
      },
      pages: [1, 1, 1, 8],
      global: 8,
      size: 2,
      fill: [[], [], [], LATE],
      check: ([a, b, c]) => {
        expect(a[0]).toBe(8)
        const slots = upTo(8).map((i) => c[i] - 1)
        expect(sorted(slots)).toEqual(upTo(8))
        for (const i of upTo(8)) expect(b[slots[i]]).toBe((i + 1) & 1 ? i + 1 : 0)
      },
    }))

  it('C2: a plain store whose place an atomic load chose, before another workgroup changes it', () =>
    everySchedule({
      twin: function* (item, { a, b, c, d }, m) {
        if (item.globalId[0] === 1) {
          m.atomicStoreU32((yield* late(m, d, 2)) === 0 ? c : a, 5)
          return
        }
        const k = m.atomicLoadU32(a)
        yield 'step'
        m.storeU32(b + k * 4, 9)
        yield* late(m, d, 7)
        m.storeU32(b + 4000, k + 1)
      },
      pages: [1, 1, 1, 8],
      global: 2,
      fill: [[], [], [], LATE],
      check: ([a, b]) => {
        expect(a[0]).toBe(5)
        const k = b[1000] - 1
        expect([0, 5]).toContain(k)
        expect(upTo(10).filter((i) => b[i] !== 0)).toEqual([k])
      },
    }))

  it('C3: a plain store whose place an atomic in workgroup memory chose', () =>
    everySchedule({
      twin: function* (item, { a, b, d }, m) {
        const slot = item.workgroupAtomicAdd('n', 1, 0, 1)
        yield 'step'
        if (item.localIndex % 2 === 0) m.storeU32(a + (item.workgroupId[0] * 4 + slot) * 4, item.globalId[0] + 1)
        yield* late(m, d, 3)
        m.storeU32(b + item.globalId[0] * 4, slot)
      },
      pages: [1, 1, 1, 8],
      global: 8,
      size: 4,
      fill: [[], [], [], LATE],
      check: ([a, b]) => {
        for (const i of upTo(8)) expect(a[(i >> 2) * 4 + b[i]]).toBe(i % 2 === 0 ? i + 1 : 0)
      },
    }))

  it('C4: an atomic store on a page that is written is not repeated over a newer value', () =>
    everySchedule({
      // Work-item 1 stores 1 and then faults for long; work-item 0 comes to its compare-exchange (1 to 2) meanwhile.
      twin: function* (item, { a, b, c, d }, m) {
        if (item.globalId[0] === 1) {
          m.atomicStoreU32(a, 1)
          yield* late(m, d, 7)
          return
        }
        const at = (yield* late(m, d, 2)) === 0 ? c : a
        if (m.atomicCompareExchangeU32(at, 1, 2) === 1) m.storeU32(b, 1)
      },
      pages: [1, 1, 1, 8],
      global: 2,
      fill: [[], [], [], LATE],
      check: ([a, b]) => expect(a[0]).toBe(b[0] === 1 ? 2 : 1),
    }))

  it('C5: what a poisoned work-item left in workgroup memory goes nowhere', () =>
    everySchedule({
      twin: function* (item, { a, b }, m) {
        // The second load depends on the first, so a pass comes in which page b is granted already and the offset is still garbage.
        const shared = item.workgroupU32('x', 1)
        if (item.localIndex === 0) shared[0] = m.loadU32(a + PAGE_BYTES + m.loadU32(a)) * 4
        yield
        if (item.localIndex === 1) m.storeU32(b + shared[0], 7)
      },
      pages: [4, 1],
      global: 2,
      size: 2,
      barriers: true,
      fill: [Array.from({ length: 4096 }, (_, i) => (i === 0 ? 2 * PAGE_BYTES : i === 3072 ? 3 : 0))],
      check: ([, b]) => expect([...b.subarray(0, 5)]).toEqual([0, 0, 0, 7, 0]),
    }))

  it('C1 and C5: taint crosses barriers, or a slot that another work-item took is written twice', () =>
    everySchedule({
      twin: function* (item, { a, b, c, d }, m) {
        const group = item.workgroupId[0]
        const shared = item.workgroupU32('x', 1)
        if (item.localIndex === 0) shared[0] = m.atomicAddU32(a, 1)
        yield
        if (item.localIndex === 1 && group & 1) m.storeU32(b + shared[0] * 4, group + 1)
        yield* late(m, d, 3)
        if (item.localIndex === 1) m.storeU32(c + group * 4, shared[0] + 1)
      },
      pages: [1, 1, 1, 8],
      global: 16,
      size: 2,
      barriers: true,
      fill: [[], [], [], LATE],
      check: ([a, b, c]) => {
        expect(a[0]).toBe(8)
        const slots = upTo(8).map((i) => c[i] - 1)
        expect(sorted(slots)).toEqual(upTo(8))
        for (const i of upTo(8)) expect(b[slots[i]]).toBe(i & 1 ? i + 1 : 0)
      },
    }))

  it('C6: an atomic on a page that became private through false sharing', () =>
    everySchedule({
      // Word 1 of page a is read and written in place, word 0 is atomic; outputs go where the atomic says.
      twin: function* (item, { a, b, c, d }, m) {
        const own = a + (item.globalId[0] + 1) * 4
        m.storeU32(own, m.loadU32(own) + 1)
        yield 'step'
        const slot = m.atomicAddU32(a, 1)
        if (item.globalId[0] & 1) m.storeU32(b + slot * 4, item.globalId[0] + 1)
        yield* late(m, d, 3)
        m.storeU32(c + item.globalId[0] * 4, slot)
      },
      pages: [1, 1, 1, 8],
      global: 6,
      size: 2,
      fill: [[], [], [], LATE],
      check: ([a, b, c]) => {
        expect([...a.subarray(0, 7)]).toEqual([6, 1, 1, 1, 1, 1, 1])
        for (const i of upTo(6)) expect(b[c[i]]).toBe(i & 1 ? i + 1 : 0)
      },
    }))

  it('C7: a kernel with data races, declared transactional, leaves a memory that some schedule leaves', () =>
    everySchedule({
      twin: function* (item, { a, b, c }, m) {
        if (item.globalId[0] === 0) {
          m.storeU32(b + m.loadU32(c) * 4, 1)
          yield 'step'
          m.storeU32(a, 1)
        } else {
          const x = m.loadU32(a)
          yield 'step'
          m.storeU32(b + (10 + x) * 4, 1)
          yield 'step'
          m.storeU32(b + PAGE_BYTES, x + 1)
        }
      },
      pages: [1, 2, 1],
      global: 2,
      class: 'transactional',
      check: ([a, b]) => {
        expect([a[0], b[0]]).toEqual([1, 1])
        const x = b[1024] - 1
        expect([b[10], b[11]]).toEqual(x === 0 ? [1, 0] : [0, 1])
      },
    }))

  it.each([7, 8, 9])('C8: no livelock with %d frames, where each workgroup needs 7', (frames) =>
    everySchedule({
      // Two workgroups, both atomic on a shared page, six more pages each: together they never fit.
      twin: function* (item, { a, b }, m) {
        m.atomicAddU32(a, 1)
        for (let i = 0; i < 6; i++) {
          yield 'step'
          const at = b + (item.globalId[0] * 6 + i) * PAGE_BYTES
          m.storeU32(at, m.loadU32(at) + 1)
        }
      },
      pages: [1, 24],
      global: 4,
      frames,
      check: ([a, b], result) => {
        expect(a[0]).toBe(4)
        expect(upTo(24).map((i) => b[i * 1024])).toEqual(upTo(24).map(() => 1))
        expect(result.rounds).toBeLessThan(60)
      },
    }),
  )
})

describe('traps D1 and D3', () => {
  it('D1: frontier append, where every entry has exactly one slot', () =>
    everySchedule({
      twin: function* (item, { a, b, c }, m) {
        const vertex = m.loadU32(c + item.globalId[0] * 64)
        yield 'step'
        if (m.atomicExchangeU32(a + 4 + vertex * 4, 1) === 1) return
        yield 'step'
        const slot = m.atomicAddU32(a, 1)
        yield 'step'
        m.storeU32(b + slot * 256, vertex + 100)
      },
      pages: [1, 4, 1],
      global: 64,
      size: 4,
      fill: [[], [], Array.from({ length: 1024 }, (_, i) => ((i >> 4) * 7) % 40)],
      check: ([a, b]) => {
        expect(a[0]).toBe(40)
        expect(sorted(upTo(40).map((i) => b[i * 64]))).toEqual(upTo(40).map((i) => i + 100))
      },
    }))

  it('D3: a pop loop takes every entry once', () =>
    everySchedule({
      twin: function* (item, { a, b, c }, m) {
        while (!m.faulted()) {
          const at = m.atomicAddU32(a, 1)
          if (at >= 30) return
          yield 'step'
          const job = m.loadU32(b + at * 4)
          yield 'step'
          m.atomicAddU32(c + (job % 4) * PAGE_BYTES + (job >> 2) * 4, item.globalId[0] + 1)
        }
      },
      pages: [1, 1, 4],
      global: 6,
      size: 2,
      fill: [[], upTo(30)],
      check: ([, , c]) => {
        for (const job of upTo(30)) expect([1, 2, 3, 4, 5, 6]).toContain(c[(job % 4) * 1024 + (job >> 2)])
      },
    }))

  it('D3: a CAS loop adds up', () =>
    everySchedule({
      twin: function* (item, { a, b }, m) {
        const value = m.loadU32(b + item.globalId[0] * PAGE_BYTES)
        while (!m.faulted()) {
          yield 'step'
          const old = m.atomicLoadU32(a)
          yield 'step'
          if (m.atomicCompareExchangeU32(a, old, old + value) === old) return
        }
      },
      pages: [1, 6],
      global: 6,
      size: 3,
      fill: [[], Array.from({ length: 6 * 1024 }, (_, i) => (i >> 10) + 1)],
      check: ([a]) => expect(a[0]).toBe(21),
    }))

  it('D3: a list pushed and walked at once holds every node once', () =>
    everySchedule({
      twin: function* (item, { a, b, c }, m) {
        // A link is where the node lies in b, plus 8: 0 ends the list, in either width of addresses.
        const node = b + item.globalId[0] * (PAGE_BYTES / 2)
        m.storeU32(node, item.globalId[0] + 1)
        while (!m.faulted()) {
          yield 'step'
          const head = m.atomicLoadU32(a)
          yield 'step'
          m.storeU32(node + 4, head)
          yield 'step'
          if (m.atomicCompareExchangeU32(a, head, node - b + 8) === head) break
        }
        // Whoever is behind me was there before me, and stays.
        let count = 0
        for (let at = m.atomicLoadU32(a); at !== 0 && !m.faulted(); at = m.loadU32(b + at - 4)) {
          yield 'step'
          count++
        }
        m.storeU32(c + item.globalId[0] * 4, count)
      },
      pages: [1, 5, 1],
      global: 10,
      size: 2,
      check: ([a, b, c]) => {
        const seen: number[] = []
        for (let at = a[0]; at !== 0 && seen.length < 20; at = b[at / 4 - 1]) seen.push(b[at / 4 - 2])
        expect(sorted(seen)).toEqual(upTo(10).map((i) => i + 1))
        for (const count of c.subarray(0, 10)) expect(count).toBeGreaterThanOrEqual(1)
        expect(Math.max(...c.subarray(0, 10))).toBe(10)
      },
    }))
})
