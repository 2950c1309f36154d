// Thrash: pages that go to and fro, and pages that come back as soon as they went. Always: what damping saves is counted beside the same without it,
// and bytes are the same with and without.

import { describe, expect, it } from 'vitest'
import { Random } from '../../src/base/world.ts'
import { Bounces, Refaults, THRASH_RULES, Thrash } from '../../src/policy/thrash.ts'
import type { EvictionPolicy, KernelTwin, PolicyOptions, SvmKernel } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const BLOCK = 16

describe('pages that bounce', () => {
  const bounces = () => new Bounces(BLOCK, { moves: 3, lapse: 4, epoch: 20 })

  it('are those that moved so often, each way within a lapse; not those that moved slower, or one way', () => {
    const b = bounces()
    for (let turn = 1; turn <= 5; turn++) {
      b.moved(1, turn % 2 === 1, turn)
      b.moved(2, true, turn)
    }
    for (let n = 0; n < 6; n++) b.moved(100, n % 2 === 0, 10 * n)
    expect([b.is(1, 5), b.is(2, 5), b.is(100, 50), b.found]).toEqual([true, false, false, 1])
  })

  it('bounce no more after an epoch, and again only after as many moves', () => {
    const b = bounces()
    for (let turn = 1; turn <= 5; turn++) b.moved(1, turn % 2 === 1, turn)
    expect([b.is(1, 25), b.is(1, 26), b.count(25), b.count(26)]).toEqual([true, false, 1, 0])
    b.moved(1, false, 30)
    expect(b.is(1, 30)).toBe(false)
    b.moved(1, true, 31)
    b.moved(1, false, 32)
    expect([b.is(1, 32), b.found]).toEqual([true, 2])
  })

  it('know their companions in the block, and nobody else', () => {
    const b = bounces()
    for (let turn = 1; turn <= 6; turn++) for (const vpn of [17, 19, 20, 33]) b.moved(vpn, turn % 2 === 1, turn)
    b.moved(18, true, 6)
    expect([...b.companions([17], 6)].sort()).toEqual([19, 20])
    expect([...b.companions([17, 20, 33], 6)]).toEqual([19])
    expect([...b.companions([18], 6)]).toEqual([])
    b.reset(18, 20)
    expect([...b.companions([17], 6)]).toEqual([20])
    b.reset(16, 32)
    expect([...b.companions([17], 6)]).toEqual([])
    expect(b.is(33, 6)).toBe(true)
  })

  it('cost little, whatever is touched: records only where both sides move, and of so many blocks', () => {
    const b = new Bounces(512, THRASH_RULES)
    for (let vpn = 0; vpn < 1e6; vpn += 100) b.moved(vpn, true, 1)
    expect([b.isQuiet, b.byteLength]).toEqual([true, 64 * 16])
    for (let vpn = 0; vpn < 1e6; vpn += 100) b.moved(vpn, false, 2)
    expect(b.byteLength).toBeLessThanOrEqual(64 * (16 + 6 * 512))
  })

  it.each([1, 2, 3])('agree with a plain list of each page’s moves (seed %d)', (seed) => {
    const random = new Random(seed)
    const rules = { moves: 3, lapse: 4, epoch: 20 }
    const b = new Bounces(BLOCK, rules)
    // The first move of each side in the block only says that it is worth a look.
    b.moved(0, true, 0)
    b.moved(0, false, 0)
    const moves: { away: boolean; turn: number }[][] = Array.from({ length: BLOCK }, () => [])
    const isBouncing = (list: { away: boolean; turn: number }[], turn: number) => {
      let count = 0
      list.forEach((move, n) => {
        const before = list[n - 1]
        count = before === undefined || move.turn - before.turn > rules.lapse ? 1 : move.away === before.away ? count : count + 1
      })
      return count >= rules.moves && turn - (list.at(-1)?.turn ?? 0) <= rules.epoch
    }
    for (let turn = 1; turn < 2000; turn += random.below(3)) {
      const vpn = 1 + random.below(BLOCK - 1)
      const away = random.chance(1, 2)
      b.moved(vpn, away, turn)
      moves[vpn].push({ away, turn })
      for (let page = 1; page < BLOCK; page++) expect(b.is(page, turn), `page ${page} at ${turn}`).toBe(isBouncing(moves[page], turn))
    }
  })
})

describe('pages that come back', () => {
  it('too soon are those before whose return fewer went than there are frames', () => {
    const r = new Refaults(4)
    for (const vpn of [10, 11, 12, 13, 14]) r.evicted(vpn)
    r.arrived(10)
    r.arrived(11)
    r.arrived(11)
    r.arrived(99)
    expect([r.found, r.isPinned(10), r.isPinned(11)]).toEqual([1, false, true])
  })

  it('are pinned for as many evictions as twice the frames, and never more than half of the frames', () => {
    const r = new Refaults(8)
    for (let vpn = 0; vpn < 6; vpn++) r.evicted(vpn)
    for (let vpn = 0; vpn < 6; vpn++) r.arrived(vpn)
    expect([r.found, r.pins]).toEqual([6, 4])
    for (let vpn = 100; vpn < 115; vpn++) r.evicted(vpn)
    expect(r.isPinned(0)).toBe(true)
    r.evicted(115)
    expect([r.isPinned(0), r.pins]).toEqual([false, 0])
  })

  it('are frequent when more than a quarter of those that came lately did', () => {
    const r = new Refaults(64)
    for (let vpn = 0; vpn < 20; vpn++) r.evicted(vpn)
    for (let vpn = 100; vpn < 120; vpn++) r.arrived(vpn)
    expect(r.areFrequent).toBe(false)
    for (let vpn = 0; vpn < 10; vpn++) r.arrived(vpn)
    expect(r.areFrequent).toBe(true)
    for (let vpn = 1000; vpn < 1100; vpn++) r.arrived(vpn)
    expect(r.areFrequent).toBe(false)
  })

  it('are forgotten when the program moves them itself, and without rules nobody looks', () => {
    for (const [start, end] of [
      [0, 3],
      [0, 2 ** 30],
    ]) {
      const r = new Refaults(8)
      for (const vpn of [1, 2]) r.evicted(vpn)
      r.arrived(1)
      r.reset(start, end)
      r.arrived(2)
      expect([r.found, r.pins, r.isPinned(1)]).toEqual([1, 0, false])
    }
    const thrash = new Thrash(BLOCK, 8, null)
    for (let n = 0; n < 9; n++) {
      thrash.turn++
      thrash.left(1)
      thrash.evicted(1)
      thrash.arrived(1)
    }
    expect(thrash.counts).toEqual({ pingPongs: 0, refaults: 0, bouncing: 0, pinned: 0, throttled: 0 })
    expect(thrash.byteLength).toBe(0)
  })
})

describe('the time slice of a page that bounces', () => {
  it('is the command that it came for: then it goes when nobody else can, later like any other', () => {
    const thrash = new Thrash(BLOCK, 8, { moves: 3, lapse: 4, epoch: 20 })
    // The first move of each side in the block only says that it is worth a look.
    thrash.arrived(3)
    thrash.left(3)
    const stays: boolean[] = []
    for (let n = 0; n < 2; n++) {
      thrash.turn++
      thrash.arrived(1)
      stays.push(thrash.staysLonger(1))
      thrash.turn++
      thrash.left(1)
    }
    thrash.turn++
    thrash.arrived(1)
    thrash.arrived(2)
    expect([...stays, thrash.staysLonger(1), thrash.staysLonger(2)]).toEqual([false, true, true, false])
    expect(thrash.counts).toEqual({ pingPongs: 1, refaults: 0, bouncing: 1, pinned: 0, throttled: 0 })
    thrash.turn++
    expect([thrash.staysLonger(1), thrash.isBouncing(1)]).toEqual([false, true])
  })

  it('keeps it on a full device through the rounds of its launch, though the policy would take who came last', async () => {
    // Without it `a` goes for what others lack, and has to come once more.
    expect([await roundsOf({}), await roundsOf(false)]).toEqual([4, 5])
  })
})

/** Of a launch on a full device, two of whose workgroups want a page that bounces. */
async function roundsOf(thrash: NonNullable<PolicyOptions['thrash']>): Promise<number> {
  const frames = 16
  const newest: EvictionPolicy = {
    name: 'newest',
    victims: (lastUse, _dirty, wanted) =>
      Array.from(lastUse.keys())
        .sort((a, b) => lastUse[b] - lastUse[a] || a - b)
        .slice(0, wanted),
  }
  const rig = await openRig({ frames, policy: { thrash, eviction: newest } })
  const [a, b, sums] = [rig.svm.alloc(PAGE_BYTES), rig.svm.alloc(3 * PAGE_BYTES), rig.svm.alloc(PAGE_BYTES)]
  for (const [page, word] of [1, 10, 20].entries()) await rig.svm.write(b + page * PAGE_BYTES, Uint32Array.of(word))
  // What the first load gives says where the second goes. Workgroup 0 is done in the second round, and its pages may go then, though 2 wants `a` too.
  const twice: KernelTwin = ({ globalId: [i] }, args, memory) => {
    const page = memory.loadU32((i === 1 ? args.b : args.a) as number)
    if (i > 0) memory.storeU32((args.sums as number) + 4 * i, memory.loadU32((args.b as number) + page * PAGE_BYTES))
  }
  const kernel = await makeKernel(rig.svm, twice, { pointers: ['a', 'b', 'sums'] })
  const bump = await makeKernel(rig.svm, increment)
  for (let turn = 0; turn < 4; turn++) {
    await rig.svm.queue.enqueue(bump, { args: { a }, global: 1 }).done
    await rig.svm.write(a, Uint32Array.of(2))
  }
  const others = rig.svm.allocFrom(sequence(frames * PAGE_WORDS))
  await rig.svm.queue.migrate({ pointer: others }).done
  expect(rig.svm.stats().devices[0].framesUsed).toBe(frames)
  const { rounds } = await rig.svm.queue.enqueue(kernel, { args: { a, b, sums }, global: 3 }).done
  expect([...(await rig.svm.read(sums, Uint32Array, 3))]).toEqual([0, 10, 20])
  await checkInvariants(rig)
  await rig.svm.close()
  return rounds
}

const PAGES = 8
/** Follows the pages one after the other: each fault is known only after the one before it. */
const chain: KernelTwin = (_item, args, memory) => {
  let at = args.a as number
  for (let page = 0; page < PAGES; page++) at = (args.b as number) + memory.loadU32(at) * PAGE_BYTES
  memory.storeU32(args.sum as number, at)
}
const increment: KernelTwin = ({ globalId: [i] }, args, memory) => {
  const at = (args.a as number) + i * PAGE_BYTES
  memory.storeU32(at, memory.loadU32(at) + 1)
}

/** Both ways, with damping and without: what `count` says of the last of `turns` turns. */
async function compare(turns: number, body: (rig: Rig, turn: number) => Promise<number>, options: { frames?: number } = {}): Promise<number[]> {
  const counts: number[] = []
  for (const thrash of [{}, false] as NonNullable<PolicyOptions['thrash']>[]) {
    const rig = await openRig({ frames: 32, ...options, policy: { thrash } })
    let last = 0
    for (let turn = 0; turn < turns; turn++) last = await body(rig, turn)
    counts.push(last)
    await checkInvariants(rig)
    await rig.svm.close()
  }
  return counts
}

describe('a host that reads page by page what a kernel wrote', () => {
  const made = new WeakMap<Rig, Promise<{ a: number; kernel: SvmKernel }>>()
  const setUp = (rig: Rig) => {
    const known = made.get(rig)
    if (known !== undefined) return known
    const fresh = makeKernel(rig.svm, increment).then((kernel) => ({ kernel, a: rig.svm.alloc(2 * PAGES * PAGE_BYTES) }))
    made.set(rig, fresh)
    return fresh
  }

  it('gets them in one read-back, not in one each, once they are known to go to and fro', async () => {
    const readBacks = await compare(
      6,
      async (rig, turn) => {
        const { a, kernel } = await setUp(rig)
        // Every other page: they are no run.
        for (let page = 0; page < PAGES; page++) await rig.svm.write(a + 2 * page * PAGE_BYTES + 4, Uint32Array.of(turn))
        await rig.svm.queue.enqueue(kernel, { args: { a }, global: 2 * PAGES }).done
        const { maps } = rig.svm.stats().devices[0]
        for (let page = 0; page < PAGES; page++) {
          expect([...(await rig.svm.read(a + 2 * page * PAGE_BYTES, Uint32Array, 2))]).toEqual([turn + 1, turn])
        }
        return rig.svm.stats().devices[0].maps - maps
        // So many frames that a slot of the read-back ring holds all of it.
      },
      { frames: 1024 },
    )
    expect(readBacks).toEqual([1, PAGES])
  })

  it('is seen in the statistics, and forgotten when the program migrates', async () => {
    const rig = await openRig({ frames: 32 })
    const { a, kernel } = await setUp(rig)
    const thrash = () => rig.svm.stats().devices[0].thrash
    for (let turn = 0; turn < 6; turn++) {
      await rig.svm.queue.enqueue(kernel, { args: { a }, global: PAGES }).done
      await rig.svm.read(a, PAGES * PAGE_BYTES)
    }
    expect(thrash()).toEqual({ pingPongs: PAGES, refaults: 0, bouncing: PAGES, pinned: 0, throttled: 0 })
    await rig.svm.queue.migrate({ pointer: a }).done
    expect(thrash()).toEqual({ pingPongs: PAGES, refaults: 0, bouncing: 0, pinned: 0, throttled: 0 })
    await rig.svm.close()
  })

  it('takes only what it asked for: the others stay on the device with their rights, and a store there is seen', async () => {
    const rig = await openRig({ frames: 32 })
    const { a, kernel } = await setUp(rig)
    for (let turn = 0; turn < 6; turn++) {
      await rig.svm.queue.enqueue(kernel, { args: { a }, global: 4 }).done
      for (let page = 0; page < 4; page++) await rig.svm.read(a + page * PAGE_BYTES, 4)
    }
    await rig.svm.queue.enqueue(kernel, { args: { a }, global: 4 }).done
    await rig.svm.read(a + PAGE_BYTES, 4)
    expect(rig.draw(a, 4)).toBe('cmcc')
    await checkInvariants(rig)
    expect((await rig.svm.queue.enqueue(kernel, { args: { a }, global: 4 }).done).rounds).toBe(1)
    expect([...(await rig.svm.read(a + 2 * PAGE_BYTES, Uint32Array, 1))]).toEqual([8])
    await rig.svm.close()
  })
})

describe('a kernel that follows pages which the host writes', () => {
  it('gets them in one upload, not in a round each, once they are known to go to and fro', async () => {
    const made = new WeakMap<Rig, Promise<{ a: number; sums: number; kernel: SvmKernel }>>()
    const setUp = (rig: Rig) => {
      const known = made.get(rig)
      if (known !== undefined) return known
      const fresh = makeKernel(rig.svm, chain, { pointers: ['a', 'b', 'sum'] }).then((kernel) => ({
        kernel,
        a: rig.svm.alloc(PAGES * PAGE_BYTES),
        sums: rig.svm.alloc(PAGE_BYTES),
      }))
      made.set(rig, fresh)
      return fresh
    }
    const rounds = await compare(8, async (rig, turn) => {
      const { a, sums, kernel } = await setUp(rig)
      // In another order each turn, and with other arguments: no history knows it.
      const order = Array.from({ length: PAGES }, (_, n) => (n * (2 * (turn % 4) + 1) + 1) % PAGES)
      for (let page = 0; page < PAGES; page++) await rig.svm.write(a + page * PAGE_BYTES, Uint32Array.of(order[page]))
      const result = await rig.svm.queue.enqueue(kernel, { args: { a, b: a, sum: sums + 4 * turn }, global: 1 }).done
      let at = a
      for (let page = 0; page < PAGES; page++) at = a + order[(at - a) / PAGE_BYTES] * PAGE_BYTES
      expect((await rig.svm.read(sums + 4 * turn, Uint32Array, 1))[0]).toBe(at)
      return result.rounds
    })
    expect(rounds[0]).toBeLessThanOrEqual(3)
    expect(rounds[1]).toBeGreaterThan(rounds[0])
  })
})

describe('a scan over a quarter more than there is', () => {
  const frames = 32
  const pages = 40
  const scans = 12

  /** Pages that came in after the third scan, refaults, and the most rounds of a launch; `perLaunch` pages a launch. */
  async function scan(perLaunch: number, thrash: NonNullable<PolicyOptions['thrash']>) {
    const rig = await openRig({ frames, policy: { thrash } })
    const a = rig.svm.allocFrom(sequence(pages * PAGE_WORDS))
    const out = rig.svm.alloc(4)
    const sum: KernelTwin = ({ globalId: [i] }, args, memory) =>
      void memory.atomicAddU32(args.out as number, memory.loadU32((args.a as number) + i * PAGE_BYTES))
    const kernel = await makeKernel(rig.svm, sum, { pointers: ['a', 'out'] })
    let came = 0
    let rounds = 0
    for (let n = 0; n < scans; n++) {
      for (let page = 0; page < pages; page += perLaunch) {
        const result = await rig.svm.queue.enqueue(kernel, { args: { a: a + page * PAGE_BYTES, out }, global: perLaunch }).done
        came += n > 2 ? result.bytesIn / PAGE_BYTES : 0
        rounds = Math.max(rounds, result.rounds)
      }
    }
    const total = (pages * (pages - 1) * PAGE_WORDS) / 2
    expect((await rig.svm.read(out, Uint32Array, 1))[0]).toBe((scans * total) % 2 ** 32)
    const { refaults, pinned } = rig.svm.stats().devices[0].thrash
    expect(pinned).toBeLessThanOrEqual(frames / 2)
    await checkInvariants(rig)
    await rig.svm.close()
    return { came, refaults, rounds }
  }

  it('by many launches comes back to what just went, every time; where some of it stays, less moves', async () => {
    const [damped, plain] = [await scan(4, {}), await scan(4, false)]
    expect(plain).toMatchObject({ came: (scans - 3) * pages, refaults: 0 })
    expect(damped.refaults).toBeGreaterThan(pages)
    expect(damped.came).toBeLessThan(0.75 * plain.came)
  })

  it('by one launch runs first what is here, and takes no more rounds for what stays', async () => {
    const [damped, plain] = [await scan(pages, {}), await scan(pages, false)]
    expect(damped.came).toBeLessThanOrEqual(plain.came)
    expect(damped.rounds).toBeLessThanOrEqual(plain.rounds)
  })
})

it('rules of the program are held to be whole numbers', async () => {
  expect(await codeOf(() => openRig({ policy: { thrash: { moves: 0 } } }))).toBe('invalid-value')
  expect(await codeOf(() => openRig({ policy: { thrash: { lapse: 1.5 } } }))).toBe('invalid-value')
  const rig = await openRig({ policy: { thrash: { moves: 2, epoch: 5 } } })
  await rig.svm.close()
})
