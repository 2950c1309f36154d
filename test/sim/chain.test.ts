// chain.test.ts: consecutive launches as one submission: each has the result that it has alone, whatever goes wrong in which of them.

import { describe, expect, it } from 'vitest'
import { openSvm } from '../../src/open.ts'
import { type KernelTwin, simDevice } from '../../src/sim.ts'
import type { SvmEvent, SvmQueue, TraceEvent } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, type RigOptions, sequence } from './rig.ts'

const WORDS = 4 * PAGE_WORDS
/** A work-item has one word in sixteen. */
const ITEMS = WORDS / 16

/** Two arrays, `from` and `to` of a kernel that mixes one into the other, and a page beside them. */
async function made(options: RigOptions = {}) {
  const rig = await openRig({ frames: 24, ...options })
  const { svm } = rig
  const a = svm.allocFrom(sequence(WORDS, 1))
  const b = svm.alloc(WORDS * 4)
  const step = await makeKernel(
    svm,
    (item, args, m) => {
      const at = item.globalId[0] * 64
      m.storeU32(args.to + at, Math.imul(m.loadU32(args.from + at), 3) + args.term + item.globalId[0])
    },
    { pointers: ['to', 'from'], numbers: ['term'], size: 4 },
  )
  const launch = (n: number, more: object = {}) =>
    svm.queue.enqueue(step, { args: n % 2 === 0 ? { to: b, from: a, term: n } : { to: a, from: b, term: n }, global: ITEMS, ...more })
  const bytes = async () => [await svm.read(a, Uint32Array, WORDS), await svm.read(b, Uint32Array, WORDS)]
  return { rig, svm, a, b, step, launch, bytes }
}
const STAMP = {
  code: `struct Args { a: svm_ptr, value: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.a, args.value); }`,
  entryPoint: 'k',
  twin: ((_, args, m) => m.storeU32(args.a, args.value)) satisfies KernelTwin,
}
type Made = Awaited<ReturnType<typeof made>>

/** Launches of `warm`: the first of each kind tells what it stores to, the second has its program made. */
const WARM = 4

/** Everything is on the device, and the kernel has run. */
async function warm({ rig, svm, launch }: Made, first = WARM): Promise<{ submits: number; maps: number }> {
  for (const { pointer } of rig.space.addresses.vmas.map(({ allocation }) => allocation)) await svm.queue.migrate({ pointer }).done
  for (let n = 0; n < first; n++) await launch(n).done
  const { submits, maps } = rig.device.counters
  return { submits, maps }
}
/** A page that no kernel touches, on the host: from now on faults are possible. */
const elsewhere = ({ svm }: Made) => svm.allocFrom(sequence(8))
const all = <T>(events: SvmEvent<T>[]) => Promise.all(events.map((event) => event.done))
const variants = (rig: Rig) => rig.events.filter((event) => event.kind === 'chain')

async function alone(count: number, first = 0): Promise<Uint32Array[]> {
  const one = await made()
  for (let n = first; n < first + count; n++) await one.launch(n).done
  expect(variants(one.rig)).toEqual([])
  return one.bytes()
}

describe('where no fault is possible', () => {
  it('a loop of launches that depend on each other is one submission and one map, with the bytes of one by one', async () => {
    const it = await made()
    const before = await warm(it)
    const events = Array.from({ length: 40 }, (_, n) => it.launch(n + WARM))
    const results = await all(events)
    expect(it.rig.device.counters).toMatchObject({ submits: before.submits + 1, maps: before.maps + 1 })
    expect(results.every(({ rounds, variant, faults }) => rounds === 1 && variant !== 'attempt' && faults === 0)).toBe(true)
    expect(await it.bytes()).toEqual(await alone(40 + WARM))
    expect(variants(it.rig)).toMatchObject([{ links: 40, done: 40 }])
    const { resident, direct } = it.svm.stats().dispatches
    expect(resident + direct).toBe(40 + WARM)
    await checkInvariants(it.rig)
  })

  it('a long chain begins before all of it is told: 64 links, then 128, then the rest, one map', async () => {
    const it = await made()
    const before = await warm(it)
    const results = await all(Array.from({ length: 200 }, (_, n) => it.launch(n + WARM)))
    expect(results).toHaveLength(200)
    expect(it.rig.device.counters).toMatchObject({ submits: before.submits + 3, maps: before.maps + 1 })
    expect(variants(it.rig)).toMatchObject([{ links: 200, done: 200 }])
    expect(await it.bytes()).toEqual(await alone(200 + WARM))
    await checkInvariants(it.rig)
  })

  it('links of more kinds than are remembered, of other sizes and offsets, each with its own arguments', async () => {
    const it = await made()
    const { svm } = it
    const add = await makeKernel(svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * 4, m.loadU32(args.a + item.globalId[0] * 4) + args.n), {
      numbers: ['n'],
      size: 2,
    })
    const arrays = Array.from({ length: 12 }, () => svm.alloc(64 * 4))
    await warm(it)
    const kinds = arrays.flatMap((a) => [
      { a, global: 8, offset: 0 },
      { a, global: 8, offset: 16 },
      { a, global: 6, offset: 32 },
    ])
    const launch = ({ a, global, offset }: (typeof kinds)[number], n: number) => svm.queue.enqueue(add, { args: { a, n }, global, offset })
    // Where the first stands alone, its stores are learnt and its program is made.
    for (const kind of kinds) await launch(kind, 1).done
    for (const a of arrays) await svm.queue.migrate({ pointer: a }).done
    await all(kinds.map((kind, k) => launch(kind, k)))
    it.rig.events.length = 0
    await all([0, 1].flatMap((turn) => kinds.map((kind, k) => launch(kind, 100 * turn + k))))
    expect(variants(it.rig)).toMatchObject([{ links: 72, done: 72 }])
    for (const [k, { a, global, offset }] of kinds.entries()) {
      const words = await svm.read(a + offset * 4, Uint32Array, 16)
      expect([...words]).toEqual(Array.from({ length: 16 }, (_, w) => (w < global ? 1 + 3 * k + 100 : 0)))
    }
    await checkInvariants(it.rig)
  })

  it('a running chain lets the next one gather; each event has its own times', async () => {
    const it = await made({ mischief: { latency: 3 } })
    await warm(it)
    const events = Array.from({ length: 5 }, (_, n) => it.launch(n + WARM))
    await Promise.resolve()
    expect(events.map(({ status }) => status)).toEqual(new Array(5).fill('running'))
    const more = Array.from({ length: 6 }, (_, n) => it.launch(n + WARM + 5))
    expect(more.every(({ status }) => status === 'queued')).toBe(true)
    await all([...events, ...more])
    expect(variants(it.rig)).toMatchObject([{ links: 5 }, { links: 6 }])
    for (const { profile } of [...events, ...more]) {
      const { queued, submitted, started, ended } = profile
      expect([queued, submitted, started, ended]).toEqual([queued, submitted, started, ended].sort((x, y) => (x as number) - (y as number)))
    }
    expect((events[4] as SvmEvent<unknown>).profile.ended).toBeLessThanOrEqual((more[0] as SvmEvent<unknown>).profile.started as number)
    expect(await it.bytes()).toEqual(await alone(11 + WARM))
  })

  it('atomics count every link once; kernels and arguments of any size are mixed', async () => {
    const it = await made()
    const { svm, a } = it
    const count = await makeKernel(svm, (_item, args, m) => void m.atomicAddU32(args.a, args.n), { numbers: ['n'], size: 2 })
    const many = Array.from({ length: 90 }, (_, n) => `n${n}`)
    const sum = await makeKernel(
      svm,
      (_item, args, m) =>
        m.storeU32(
          args.a + 4,
          many.reduce((s, name) => s + args[name], m.loadU32(args.a)),
        ),
      { numbers: many },
    )
    await warm(it)
    await svm.write(a, Uint32Array.of(0, 0))
    await svm.queue.migrate({ pointer: a }).done
    const counts = (n: number, global = 8) => svm.queue.enqueue(count, { args: { a, n }, global })
    const sums = (n: number) => svm.queue.enqueue(sum, { args: { a, ...Object.fromEntries(many.map((name) => [name, n])) }, global: 1 })
    for (const launch of [counts(0), counts(0, 16), counts(0, 6), sums(0), counts(0), counts(0, 16), counts(0, 6), sums(0)]) await launch.done
    const chains = variants(it.rig).length
    await all([counts(1), counts(2, 16), sums(1), counts(3), sums(2), counts(5, 6)])
    expect(variants(it.rig).length).toBe(chains + 1)
    expect([...(await svm.read(a, Uint32Array, 2))]).toEqual([8 + 32 + 24 + 30, 8 + 32 + 24 + 180])
    await checkInvariants(it.rig)
  })

  it.each([0, 3, 6])('a bad access in link %i names it; links before are done, links behind have changed nothing', async (k) => {
    const it = await made()
    const { svm, a, b, step } = it
    await warm(it)
    const events = Array.from({ length: 7 }, (_, n) =>
      n === k ? svm.queue.enqueue(step, { args: { to: 64, from: n % 2 === 0 ? a : b, term: 0 }, global: 4, label: 'wrong' }) : it.launch(n + WARM),
    )
    const codes = await Promise.all(events.map((event) => codeOf(() => event.done)))
    expect(codes).toEqual(events.map((_, n) => (n < k ? 'no error' : n === k ? 'access-violation' : 'dependency-failed')))
    await expect((events[k] as SvmEvent<unknown>).done).rejects.toMatchObject({
      workgroup: [0, 0, 0],
      retiredWorkgroups: 0,
      message: expect.stringMatching(/store at 0x(40|80|c0|100) /),
    })
    expect(variants(it.rig)).toMatchObject([{ links: 7, done: k }])
    expect(await it.bytes()).toEqual(await alone(WARM + k))
    await checkInvariants(it.rig)
    await it.launch(WARM + k).done
    expect(await it.bytes()).toEqual(await alone(WARM + k + 1))
  })

  it('kernels with barriers are told by their header, and do nothing behind a bad access either', async () => {
    const it = await made()
    const { svm, a, b } = it
    const turn = await makeKernel(
      svm,
      function* (item, args, m) {
        const value = m.loadU32(args.from + item.localIndex * 4)
        yield
        m.storeU32(args.from + ((item.localIndex + 1) % 4) * 4, value + 1)
      },
      { pointers: ['from'], size: 4, barriers: true },
    )
    await warm(it)
    const barrier = (from: number) => svm.queue.enqueue(turn, { args: { from }, global: 4 })
    for (let n = 0; n < 2; n++) await barrier(a).done
    for (let n = 0; n < 2; n++) await barrier(b).done
    const failed = [barrier(a), barrier(a), it.launch(4), barrier(32), barrier(a), it.launch(5), barrier(b)]
    const codes = await Promise.all(failed.map((event) => codeOf(() => event.done)))
    expect(codes).toEqual(['no error', 'no error', 'no error', 'access-violation', ...new Array(3).fill('dependency-failed')])
    const [left, right] = (await it.bytes()) as [Uint32Array, Uint32Array]
    const [expected] = await alone(WARM)
    const turned = [...(expected as Uint32Array).subarray(0, 4)].map((value) => value + 4)
    expect([...left.subarray(0, 4)]).toEqual(turned)
    expect(right[0]).toBe((Math.imul(turned[0] as number, 3) + WARM) >>> 0)
  })
})

describe('where faults are possible', () => {
  it('launches whose history says what they need are a chain, with the bytes of one by one', async () => {
    const it = await made()
    elsewhere(it)
    await warm(it, 2)
    await it.svm.queue.migrate({ pointer: it.a }).done
    const { pointer } = [...it.rig.space.addresses.vmas].map(({ allocation }) => allocation).find(({ byteLength }) => byteLength === 32) as { pointer: number }
    await it.svm.queue.migrate({ pointer }, { to: 'host' }).done
    const before = { ...it.rig.device.counters }
    // Nothing is known of what they need yet.
    for (const n of [2, 3]) await it.launch(n).done
    expect(it.rig.device.counters.maps).toBe(before.maps + 2 * 2)
    const { submits, maps } = it.rig.device.counters
    const results = await all(Array.from({ length: 30 }, (_, n) => it.launch(n + 4)))
    expect(it.rig.device.counters).toMatchObject({ submits: submits + 1, maps: maps + 1 })
    expect(results.every(({ rounds, variant, faults }) => rounds === 1 && variant === 'attempt' && faults === 0)).toBe(true)
    expect(await it.bytes()).toEqual(await alone(34))
    await checkInvariants(it.rig)
  })

  it('a page that left behind the history’s back', async () => {
    const it = await made()
    const far = elsewhere(it)
    for (let n = 0; n < 4; n++) await it.launch(n).done
    await all([it.launch(4), it.launch(5), it.launch(6)])
    expect(variants(it.rig)).toMatchObject([{ links: 3, done: 3 }])
    await it.svm.queue.migrate({ pointer: it.a + PAGE_BYTES, byteLength: PAGE_BYTES }, { to: 'host' }).done
    const results = await all(Array.from({ length: 8 }, (_, n) => it.launch(n + 7)))
    // History brings the page back for the first, alone; then they are a chain again.
    expect(results[0]).toMatchObject({ rounds: 1, variant: 'attempt' })
    expect(variants(it.rig).slice(1)).toMatchObject([{ links: 7, done: 7 }])
    expect(await it.bytes()).toEqual(await alone(15))
    expect(it.rig.state(far)).toBe('host')
  })

  it.each([1, 2, 3, 4, 5])('a data-dependent address that changes in the middle (seed %i)', async (seed) => {
    const run = async (chained: boolean) => {
      const rig = await openRig({ seed, frames: 24 })
      const { svm } = rig
      const a = svm.alloc(8 * PAGE_BYTES)
      const out = svm.alloc(PAGE_BYTES)
      svm.allocFrom(sequence(8))
      // Which page is read turns with what was written.
      const follow = await makeKernel(
        svm,
        (item, args, m) => {
          const turn = m.loadU32(args.a) + args.n
          const page = turn % 5 < 4 ? 1 : 2 + (turn % 3)
          m.storeU32(args.out + item.globalId[0] * 4, m.loadU32(args.a + page * PAGE_BYTES) + turn)
        },
        { pointers: ['a', 'out'], numbers: ['n'], size: 1 },
      )
      const advance = await makeKernel(svm, (item, args, m) => m.storeU32(args.a, m.loadU32(args.out + item.globalId[0]) % 97), { pointers: ['a', 'out'] })
      const log: number[] = []
      for (let n = 0; n < 24; n++) {
        const events = [
          svm.queue.enqueue(follow, { args: { a, out, n }, global: 4 }),
          svm.queue.enqueue(advance, { args: { a, out }, global: 1 }),
          svm.queue.enqueue(follow, { args: { a, out, n: n + 1 }, global: 4 }),
        ]
        if (!chained) for (const event of events) await event.done
        else if (n % 6 === 5) await all(events)
        if (n % 6 === 5) log.push(...(await svm.read(out, Uint32Array, 4)), ...(await svm.read(a, Uint32Array, 1)))
      }
      await checkInvariants(rig)
      return { log, chains: rig.events.filter((event) => event.kind === 'chain') }
    }
    const together = await run(true)
    expect(together.log).toEqual((await run(false)).log)
    expect(together.chains.length).toBeGreaterThan(0)
    // Some were cut short by a fault.
    expect(together.chains.some((event) => event.kind === 'chain' && event.done < event.links)).toBe(true)
  })

  it('a bad access behind done links: the ordinary way finds it, and nothing behind it runs', async () => {
    const it = await made()
    const { svm, a, b, step } = it
    elsewhere(it)
    for (let n = 0; n < 4; n++) await it.launch(n).done
    const wrong = svm.queue.enqueue(step, { args: { to: b, from: a, term: 0 }, global: ITEMS + 4 })
    const events = [it.launch(4), it.launch(5), wrong, it.launch(6)]
    const codes = await Promise.all([wrong, ...events].map((event) => codeOf(() => event.done)))
    expect(codes).toEqual(['access-violation', 'dependency-failed', 'dependency-failed', 'access-violation', 'dependency-failed'])
    await checkInvariants(it.rig)
  })
})

describe('order', () => {
  it('a wait in the middle, a barrier, and commands of other kinds cut the chain', async () => {
    const it = await made()
    await warm(it)
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const first = [it.launch(4), it.launch(5)]
    const waiting = [it.launch(6, { waitFor: [gate] }), it.launch(7)]
    await all(first)
    expect(waiting.map(({ status }) => status)).toEqual(['queued', 'queued'])
    open()
    await all(waiting)
    const tail = [it.launch(8), it.launch(9), it.svm.queue.memfill(it.a, Uint32Array.of(9), 4), it.launch(10), it.launch(11)]
    const read = it.svm.read(it.b, Uint32Array, 1)
    const later = [it.launch(12), it.launch(13)]
    await Promise.all([...tail.map(({ done }) => done), read, ...later.map(({ done }) => done)])
    // The read left a copy; before the last two it is the device's own again.
    expect(variants(it.rig).map((event) => event.kind === 'chain' && event.links)).toEqual([2, 2, 2, 2])
  })

  it('an aborted launch does not run, and fails what is behind it; those before are done', async () => {
    const it = await made()
    await warm(it)
    const stop = new AbortController()
    const events = [it.launch(4), it.launch(5), it.launch(6, { signal: stop.signal }), it.launch(7)]
    stop.abort()
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(['no error', 'no error', 'aborted', 'dependency-failed'])
    expect(await it.bytes()).toEqual(await alone(WARM + 2))
  })

  it('each of two devices has its own chains', async () => {
    const events: TraceEvent[] = []
    const devices = [1, 2].map((seed) => simDevice({ seed }))
    const svm = await openSvm({ devices, pageSize: PAGE_BYTES, deviceMemory: 2 ** 20, policy: { prefetch: 'none' }, trace: (event) => events.push(event) })
    const queues = devices.map((_, memory) => svm.createQueue({ device: svm.devices[memory] }))
    const arrays = devices.map(() => svm.alloc(PAGE_BYTES))
    const kernel = await svm.createKernel(STAMP)
    const stamp = (memory: number, n: number) =>
      (queues[memory] as SvmQueue).enqueue(kernel, { args: { a: (arrays[memory] as number) + n * 4, value: 100 * memory + n }, global: 1 })
    for (const memory of [0, 1]) for (let n = 0; n < 8; n++) await stamp(memory, n).done
    await all([0, 1].flatMap((memory) => Array.from({ length: 8 }, (_, n) => stamp(memory, n))))
    // Every link of either device was in a chain: they have the same label.
    const links = events.reduce((sum, event) => sum + (event.kind === 'chain' ? event.done : 0), 0)
    expect(links).toBe(16)
    for (const memory of [0, 1]) expect([...(await svm.read(arrays[memory] as number, Uint32Array, 8))]).toEqual([...sequence(8, 100 * memory)])
    await svm.close()
  })

  it('close waits for a chain under way', async () => {
    const it = await made({ mischief: { latency: 4 } })
    await warm(it)
    const events = Array.from({ length: 9 }, (_, n) => it.launch(n + WARM))
    const closed = it.svm.close()
    await closed
    expect(events.map(({ status }) => status)).toEqual(new Array(9).fill('complete'))
  })

  it('the device is lost under a chain: the first link says so, the others depend on it', async () => {
    const it = await made({ mischief: { latency: 4 } })
    await warm(it)
    const events = Array.from({ length: 3 }, (_, n) => it.launch(n + WARM))
    await Promise.resolve()
    it.rig.device.lose('pulled')
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(['device-lost', 'dependency-failed', 'dependency-failed'])
    await checkInvariants(it.rig)
  })

  it('the smallest budget has shorter chains and no errors', async () => {
    const it = await made({ frames: 16 })
    await warm(it)
    const events = Array.from({ length: 600 }, (_, n) => it.launch(n + WARM, { global: 4 }))
    await all(events)
    const spare = it.rig.mirror.device.peakBytes
    expect(spare).toBeLessThanOrEqual(it.rig.mirror.plan.budgetBytes)
    expect(variants(it.rig).length).toBeGreaterThan(0)
  })
})
