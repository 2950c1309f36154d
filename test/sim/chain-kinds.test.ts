// chain-kinds.test.ts: links that may not reach all that is mapped, launches of queues out of order, links with bindings of the author's, and links whose loops may
// wait. Always: what a chain leaves, and what becomes of each command, is what it is one by one.

import { describe, expect, it } from 'vitest'
import { SvmError } from '../../src/base/error.ts'
import { Random } from '../../src/base/world.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { DispatchResult, KernelDescriptor, KernelLaunch, KernelTwin, SvmEvent, SvmKernel, SvmPointer, SvmQueue } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, type RigOptions, sequence } from './rig.ts'

const PAGES = 3
const WORDS = PAGES * PAGE_WORDS
const ITEMS = 8
/** The arrays are neighbours, the first one highest: from arrays 2 and 3 on, a word of arrays 0 and 1. */
const BEYOND = 2 * WORDS

/** Word `at + id` of one array into the same of another. */
const mix: KernelTwin = (item, { from, to, at, term }, m) => {
  const place = (at + item.globalId[0]) * 4
  m.storeU32(to + place, (Math.imul(m.loadU32(from + place), 3) + term) >>> 0)
}
const MIX = { pointers: ['to', 'from'], numbers: ['at', 'term'], size: 4 }

type Batch = readonly (() => SvmEvent<DispatchResult>)[]

interface Scene {
  readonly rig: Rig
  readonly arrays: readonly SvmPointer[]
  readonly kernel: SvmKernel
  launch(from: number, to: number, more?: { at?: number; term?: number; queue?: SvmQueue } & Partial<KernelLaunch>): SvmEvent<DispatchResult>
  /** Enqueues all of them, or each when the one before has ended, until one fails; what became of each. */
  run(batch: Batch, together: boolean): Promise<string[]>
  bytes(): Promise<number[][]>
}

/** Some arrays, all on the device; a page that no kernel touches is on the host, so that who reaches all might fault. */
async function scene(descriptor: Partial<KernelDescriptor> = {}, options: RigOptions = {}, count = 4): Promise<Scene> {
  const rig = await openRig({ frames: 32, ...options })
  const { svm } = rig
  const arrays = Array.from({ length: count }, (_, n) => svm.allocFrom(sequence(WORDS, 100 * n)))
  const kernel = await makeKernel(svm, mix, { ...MIX, ...descriptor })
  await svm.queue.migrate(arrays.map((pointer) => ({ pointer }))).done
  svm.allocFrom(sequence(8))
  const launch: Scene['launch'] = (from, to, { at = 0, term = 1, queue = svm.queue, ...more } = {}) =>
    queue.enqueue(kernel, { args: { from: arrays[from] as number, to: arrays[to] as number, at, term }, global: ITEMS, ...more })
  const run: Scene['run'] = async (batch, together) => {
    if (together) return Promise.all(batch.map((one) => one()).map(fateOf))
    const fates: string[] = []
    // Enqueued behind one that failed, they would fail with it.
    for (const one of batch) fates.push(fates.some((fate) => fate !== 'no error') ? 'dependency-failed' : await fateOf(one()))
    return fates
  }
  const bytes = () => Promise.all(arrays.map(async (pointer) => [...(await svm.read(pointer, Uint32Array, WORDS))]))
  return { rig, arrays, kernel, launch, run, bytes }
}

/** What became of a command: of one that failed by itself all that its error says. */
function fateOf({ done }: SvmEvent<unknown>): Promise<string> {
  return done.then(
    () => 'no error',
    ({ code, message, pointer, workgroup, retiredWorkgroups }: SvmError) =>
      code === 'dependency-failed' ? code : [code, message, pointer, workgroup, retiredWorkgroups].join(' | '),
  )
}

const chainsOf = ({ events }: Rig) => events.flatMap((event) => (event.kind === 'chain' ? [{ links: event.links, done: event.done }] : []))
const counters = ({ device }: Rig) => ({ submits: device.counters.submits, maps: device.counters.maps })
const many = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))

/** The same batch in two worlds, together and one by one: they end alike, and the first had these chains. */
async function alike(
  open: () => Promise<Scene>,
  batchOf: (it: Scene) => Batch,
  prepare: (it: Scene) => Promise<unknown>,
): Promise<{ codes: string[]; rig: Rig; chains: ReturnType<typeof chainsOf> }> {
  const worlds: { fates: string[]; codes: string[]; bytes: number[][]; rig: Rig; chains: ReturnType<typeof chainsOf> }[] = []
  for (const together of [true, false]) {
    const it = await open()
    await prepare(it)
    it.rig.events.length = 0
    const fates = await it.run(batchOf(it), together)
    const codes = fates.map((fate) => fate.replace(/ \|.*/s, ''))
    await checkInvariants(it.rig)
    worlds.push({ fates, codes, bytes: await it.bytes(), rig: it.rig, chains: chainsOf(it.rig) })
  }
  const [first, second] = worlds as [(typeof worlds)[number], (typeof worlds)[number]]
  expect(first.fates).toEqual(second.fates)
  expect(first.bytes).toEqual(second.bytes)
  expect(second.chains).toEqual([])
  return first
}

describe.each([true, false])('links that may not reach all (direct: %s)', (direct) => {
  const open =
    (descriptor: Partial<KernelDescriptor> = { reach: 'arguments' }) =>
    () =>
      scene(descriptor, { policy: { direct } })
  const warm = async ({ launch }: Scene, pairs: readonly (readonly [number, number])[]) => {
    for (let n = 0; n < 3; n++) for (const [from, to] of pairs) await launch(from, to).done
  }

  /** Of what the last two arrays' launches reach, a page is missing that they do not touch. */
  const prepare = async (it: Scene) => {
    await warm(it, [
      [0, 1],
      [2, 3],
    ])
    await it.rig.svm.queue.migrate({ pointer: (it.arrays[3] as number) + PAGE_BYTES, byteLength: PAGE_BYTES }, { to: 'host' }).done
    for (let n = 0; n < 2; n++) await it.launch(2, 3).done
  }

  it('go together where all that they reach is here, whatever else is missing: one submission, one map', async () => {
    const pairs = [
      [0, 1],
      [1, 0],
      [2, 3],
    ] as const
    const batch = ({ launch }: Scene) => many(30, (n) => () => launch(...(pairs[n % 3] as readonly [number, number]), { term: n }))
    const it = await open()()
    await warm(it, pairs)
    it.rig.events.length = 0
    const before = counters(it.rig)
    const tables = new Set<unknown>()
    const { submit } = it.rig.device
    it.rig.device.submit = (work, readbacks) => {
      for (const one of work) if (one.kind === 'dispatch') tables.add(one.bindings.table)
      return submit.call(it.rig.device, work, readbacks)
    }
    const results = await Promise.all(batch(it).map((one) => one().done))
    expect(counters(it.rig)).toEqual({ submits: before.submits + 1, maps: before.maps + 1 })
    expect(chainsOf(it.rig)).toEqual([{ links: 30, done: 30 }])
    expect(results.every(({ variant, rounds }) => variant === (direct ? 'direct' : 'resident') && rounds === 1)).toBe(true)
    // Those whose arguments change places reach the same; a window needs no table.
    expect(tables.size).toBe(direct ? 1 : 2)
    await alike(open(), batch, (one) => warm(one, pairs))
  })

  it.each([0, 2, 5])('link %i reaches what others may and it may not: it alone is refused, those before are done, those behind change nothing', async (k) => {
    const pairs = [
      [0, 1],
      [2, 3],
      [3, 2],
    ] as const
    const good = (n: number) => pairs[n % 3] as readonly [number, number]
    const batch = (it: Scene) => many(7, (n) => () => (n === k ? it.launch(2, 3, { at: BEYOND, term: 77 }) : it.launch(...good(n), { term: n })))
    const { codes, chains, rig } = await alike(open(), batch, (one) => warm(one, pairs))
    expect(codes).toEqual(many(7, (n) => (n < k ? 'no error' : n === k ? 'access-violation' : 'dependency-failed')))
    expect(chains).toEqual([{ links: 7, done: k }])
    expect(rig.svm.stats().dispatches.attempt).toBe(0)
  })

  it('who reaches a page that is on the host goes by its history, and is held to its reach in that table too', async () => {
    const batch = (wrong: boolean) => (it: Scene) => [
      () => it.launch(0, 1, { term: 5 }),
      () => it.launch(2, 3, { term: 6 }),
      () => it.launch(0, 1, { term: 7 }),
      () => (wrong ? it.launch(2, 3, { at: BEYOND, term: 8 }) : it.launch(2, 3, { term: 8 })),
      () => it.launch(2, 3, { term: 9 }),
    ]
    const good = await alike(open(), batch(false), prepare)
    expect(good.chains).toEqual([{ links: 5, done: 5 }])
    const bad = await alike(open(), batch(true), prepare)
    expect(bad.codes).toEqual(['no error', 'no error', 'no error', 'access-violation', 'dependency-failed'])
    expect(bad.chains).toEqual([{ links: 5, done: 3 }])
  })

  it('a store that nobody foresaw, before a link that faults: its page comes home with it', async () => {
    const batch = (it: Scene) => [
      () => it.launch(0, 1, { at: 2 * PAGE_WORDS, term: 5 }),
      () => it.launch(2, 3, { at: PAGE_WORDS, term: 6 }),
      () => it.launch(0, 1, { term: 7 }),
    ]
    const { codes, chains } = await alike(open(), batch, prepare)
    expect(codes).toEqual(['no error', 'no error', 'no error'])
    expect(chains[0]).toEqual({ links: 3, done: 1 })
  })

  it('more lists than there are tables, and lists that change between chains', async () => {
    const pairs = many(6, (n) => [n, (n + 1) % 6] as const)
    const batch = ({ launch }: Scene) => many(48, (n) => () => launch(...(pairs[Math.floor(n / 2) % 6] as readonly [number, number]), { term: n }))
    const { codes, chains } = await alike(
      () => scene({ reach: 'arguments' }, { policy: { direct } }, 6),
      batch,
      (one) => warm(one, pairs),
    )
    expect(new Set(codes)).toEqual(new Set(['no error']))
    expect(chains.reduce((sum, { done }) => sum + done, 0)).toBe(48)
    expect(chains.length).toBeGreaterThan(direct ? 0 : 4)
  })

  it('what came to the host by a read in between becomes the device’s own again, for what they reach', async () => {
    const it = await open()()
    await warm(it, [
      [0, 1],
      [1, 0],
    ])
    await it.rig.svm.read(it.arrays[1] as number, Uint32Array, WORDS)
    it.rig.events.length = 0
    const results = await Promise.all(many(6, (n) => it.launch(n % 2, (n + 1) % 2, { term: n }).done))
    expect(chainsOf(it.rig)).toEqual([{ links: 6, done: 6 }])
    expect(results.every(({ variant }) => variant !== 'attempt')).toBe(true)
  })
})

describe('a queue out of order', () => {
  const open = async () => {
    const it = await scene({ reach: 'arguments' })
    for (let n = 0; n < 3; n++)
      for (const [from, to] of [
        [0, 1],
        [0, 2],
        [0, 3],
        [2, 3],
      ] as const)
        await it.launch(from, to).done
    it.rig.events.length = 0
    return { ...it, queue: it.rig.svm.createQueue({ outOfOrder: true }), before: counters(it.rig) }
  }

  it('runs what waits for nothing as one chain', async () => {
    const it = await open()
    await Promise.all(many(20, (n) => it.launch(0, 1 + (n % 3), { at: 8 * n, term: n, queue: it.queue }).done))
    expect(counters(it.rig)).toEqual({ submits: it.before.submits + 1, maps: it.before.maps + 1 })
    expect(chainsOf(it.rig)).toEqual([{ links: 20, done: 20 }])
  })

  it('a link that fails fails alone: those behind it run, in chains again', async () => {
    const it = await open()
    const wrong = [3, 4, 9]
    const events = many(12, (n) =>
      wrong.includes(n) ? it.launch(2, 3, { at: BEYOND, queue: it.queue }) : it.launch(0, 2, { at: 8 * n, term: n, queue: it.queue }),
    )
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(many(12, (n) => (wrong.includes(n) ? 'access-violation' : 'no error')))
    // Half as many after each failure, twice as many after a success; the first of what is left may be one that fails.
    expect(chainsOf(it.rig)).toEqual([
      { links: 12, done: 3 },
      { links: 6, done: 0 },
      { links: 3, done: 3 },
      { links: 4, done: 1 },
      { links: 2, done: 2 },
    ])
    const words = await it.rig.svm.read(it.arrays[2] as number, Uint32Array, WORDS)
    for (let n = 0; n < 12; n++) for (let i = 0; i < ITEMS; i++) expect(words[8 * n + i]).toBe(wrong.includes(n) ? 200 + 8 * n + i : 3 * (8 * n + i) + n)
    await checkInvariants(it.rig)
  })

  it('a report that is lost fails all whose fate it was, and none of them runs again', async () => {
    let fails = 0
    const it = await scene({ reach: 'arguments' }, { mischief: { failReadback: () => fails > 0 && fails-- > 0 } })
    for (let n = 0; n < 3; n++) await it.launch(1, 1, { at: 8 * n }).done
    const before = await it.rig.svm.read(it.arrays[1] as number, Uint32Array, WORDS)
    await it.rig.svm.queue.migrate({ pointer: it.arrays[1] as number }).done
    const queue = it.rig.svm.createQueue({ outOfOrder: true })
    fails = 1
    const events = many(6, (n) => it.launch(1, 1, { at: 64 + 8 * n, queue }))
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(many(6, () => 'device-memory'))
    const after = await it.rig.svm.read(it.arrays[1] as number, Uint32Array, WORDS)
    for (let i = 64; i < 64 + 6 * ITEMS; i++) expect([before[i], (before[i] as number) * 3 + 1]).toContain(after[i])
    await it.launch(1, 1, { at: 200, queue }).done
    await checkInvariants(it.rig)
  })

  it('many that fail do not send all the others again and again', async () => {
    const it = await open()
    const events = many(64, (n) => it.launch(2, n % 2 === 0 ? 3 : 2, { at: n % 2 === 0 ? BEYOND : 8, queue: it.queue }))
    const fates = await Promise.all(events.map((event) => codeOf(() => event.done)))
    expect(fates).toEqual(many(64, (n) => (n % 2 === 0 ? 'access-violation' : 'no error')))
    expect(chainsOf(it.rig).reduce((sum, { links }) => sum + links, 0)).toBeLessThan(4 * 64)
  })

  it('what waits is passed over; it runs when that has ended, and not when that failed', async () => {
    const it = await open()
    let pass: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      pass = resolve
    })
    const order: string[] = []
    const note = (name: string, event: SvmEvent<DispatchResult>) => {
      event.done.then(
        () => order.push(name),
        (error: SvmError) => order.push(`${name} ${error.code}`),
      )
      return event
    }
    const other = it.rig.svm.createQueue()
    const a = note('a', it.launch(0, 1, { queue: it.queue }))
    const waits = note('waits', it.launch(0, 2, { queue: it.queue, waitFor: [gate] }))
    const b = note('b', it.launch(0, 1, { at: 8, queue: it.queue }))
    const wrong = note('wrong', it.launch(2, 3, { at: BEYOND, queue: it.queue }))
    const behind = note('behind', it.launch(1, 3, { term: 9, queue: other, waitFor: [b] }))
    const failed = note('failed', it.launch(0, 3, { at: 64, queue: it.queue, waitFor: [wrong] }))
    const c = note('c', it.launch(0, 1, { at: 16, queue: it.queue }))
    await Promise.all([a, b, c, behind].map(({ done }) => done))
    await codeOf(() => failed.done)
    expect(waits.status).toBe('queued')
    pass()
    await waits.done
    expect(chainsOf(it.rig)[0]).toEqual({ links: 4, done: 2 })
    expect(order.slice().sort()).toEqual(['a', 'b', 'behind', 'c', 'failed dependency-failed', 'waits', 'wrong access-violation'])
    expect(order.indexOf('behind')).toBeGreaterThan(order.indexOf('b'))
    const [first] = await it.rig.svm.read(it.arrays[3] as number, Uint32Array, 1)
    expect(first).toBe(0 * 9 + 1 * 3 + 9)
    expect((await it.rig.svm.read((it.arrays[3] as number) + 256, Uint32Array, 1))[0]).toBe(364)
  })

  it('one that is aborted leaves the others alone, and so does a lost device none', async () => {
    const it = await open()
    const stop = new AbortController()
    const events = many(6, (n) => it.launch(0, 1, { at: 8 * n, queue: it.queue, ...(n === 2 ? { signal: stop.signal } : {}) }))
    stop.abort()
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(many(6, (n) => (n === 2 ? 'aborted' : 'no error')))
    const lost = many(3, (n) => it.launch(0, 1, { at: 8 * n, queue: it.queue }))
    await Promise.resolve()
    it.rig.device.lose('pulled')
    expect(await Promise.all(lost.map((event) => codeOf(() => event.done)))).toEqual(many(3, () => 'device-lost'))
  })
})

describe('queues in order and out of order, with waits and failures at random', () => {
  /** Its own word becomes 1; more, where something that it waited for has not run, or it has run before. */
  const AFTER = { pointers: ['p'], numbers: ['own', 'left', 'right', 'wrong'] }
  const after: KernelTwin = (_item, { p, own, left, right, wrong }, m) => {
    const missing = [left, right].filter((n) => n !== own && m.loadU32(p + n * 4) !== 1).length
    m.storeU32(p + own * 4 + wrong * PAGE_BYTES, m.loadU32(p + own * 4) + 1 + missing)
  }

  const SEEDS = 40
  const chains: ReturnType<typeof chainsOf> = []

  it.each(many(SEEDS, (n) => n + 1))('seed %i: each command ends as what it waits for says, and runs once, behind that', async (seed) => {
    const random = new Random(seed)
    const { rig } = await scene({}, { seed, mischief: { latency: random.below(4) } })
    const { svm } = rig
    const p = svm.alloc(PAGE_BYTES)
    const kernel = await makeKernel(svm, after, { ...AFTER, reach: 'arguments' })
    await svm.queue.migrate({ pointer: p }).done
    for (let n = 0; n < 2; n++) await svm.queue.enqueue(kernel, { args: { p, own: n, left: n, right: n, wrong: 0 }, global: 1 }).done
    rig.events.length = 0
    const queues = [true, true, false].map((outOfOrder) => ({ queue: svm.createQueue({ outOfOrder }), outOfOrder, failed: false }))
    let place = random.pick(queues)
    const made: { event: SvmEvent<unknown>; fails: boolean }[] = []
    for (let n = 0; n < 40; n++) {
      if (random.chance(1, 3)) place = random.pick(queues)
      const waits = n > 0 && random.chance(1, 3) ? many(1 + random.below(2), () => random.below(n)) : []
      const wrong = random.chance(1, 12)
      const behind = place.failed || waits.some((one) => made[one]?.fails)
      const [left = n, right = n] = waits
      const args = { p, own: 8 + n, left: 8 + left, right: 8 + right, wrong: Number(wrong) }
      const waitFor = waits.map((one) => (made[one] as (typeof made)[number]).event)
      made.push({ event: place.queue.enqueue(kernel, { args, global: 1, waitFor }), fails: behind || wrong })
      // In order what is enqueued already fails with it: so nothing else is, until it has.
      if (!place.outOfOrder && (behind || wrong)) place.failed = true
      if (random.chance(1, 10)) await Promise.all(made.map(({ event }) => codeOf(() => event.done)))
      for (const one of queues) if (made.every(({ event }) => event.status === 'complete' || event.status === 'failed')) one.failed = false
    }
    const codes = await Promise.all(made.map(({ event }) => codeOf(() => event.done)))
    expect(codes.map((code) => code !== 'no error')).toEqual(made.map(({ fails }) => fails))
    await checkInvariants(rig)
    const words = await svm.read(p + 32, Uint32Array, 40)
    expect([...words]).toEqual(made.map(({ fails }) => Number(!fails)))
    chains.push(...chainsOf(rig))
  })

  it('and most of them ran in chains, of which some failed in the middle', () => {
    expect(chains.reduce((sum, { done }) => sum + done, 0)).toBeGreaterThan(20 * SEEDS)
    expect(chains.filter(({ links, done }) => done > 0 && done < links).length).toBeGreaterThan(SEEDS / 2)
  })
})

/** The author has a binding of his own, which the twin does not know. @param refused what a device says of groups that it does not like */
function withGroups(refused: unknown): RigOptions['wrap'] {
  return (device: SimDevice) => {
    const submit = device.submit.bind(device)
    device.submit = (work, readbacks) =>
      work.some((one) => one.kind === 'dispatch' && one.authorGroups.includes(refused))
        ? Promise.reject(new SvmError('invalid-value', 'The device refused a submission.'))
        : submit(work, readbacks)
    return device
  }
}

describe('bindings of the author’s', () => {
  const CODE = `struct Args { to: svm_ptr, from: svm_ptr, at: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(4) fn k(@builtin(global_invocation_id) id: vec3u) { out[id.x] = svm_load_u32(args.from); svm_store_u32(svm_add(args.to, 4u * (args.at + id.x)), out[0]); }`
  const GOOD = { group: 'good' } as unknown as GPUBindGroup
  const OTHER = { group: 'other' } as unknown as GPUBindGroup
  const BAD = { group: 'bad' } as unknown as GPUBindGroup
  const open = async () => {
    const it = await scene({ code: CODE, reach: 'arguments' }, { wrap: withGroups(BAD), storageBuffers: 8, authorStorageBuffers: 1 })
    for (let n = 0; n < 3; n++)
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ] as const)
        await it.launch(from, to, { bindGroups: [GOOD] }).done
    return it
  }

  it('are set link by link; each chain is one submission', async () => {
    const it = await open()
    it.rig.events.length = 0
    const before = counters(it.rig)
    const seen: unknown[] = []
    const { submit } = it.rig.device
    it.rig.device.submit = (work, readbacks) => {
      for (const one of work) if (one.kind === 'dispatch') seen.push(one.authorGroups[0])
      return submit(work, readbacks)
    }
    const groups = many(300, (n) => (n % 3 === 0 ? OTHER : GOOD))
    await Promise.all(groups.map((group, n) => it.launch(n % 2, 1 - (n % 2), { term: n, bindGroups: [group] }).done))
    // As many as its buffers hold.
    expect(chainsOf(it.rig)).toEqual([
      { links: 256, done: 256 },
      { links: 44, done: 44 },
    ])
    expect(counters(it.rig)).toEqual({ submits: before.submits + 2, maps: before.maps + 2 })
    expect(seen).toEqual(groups)
  })

  it.each([0, 3, 6])('the device refuses those of link %i: nothing of the chain ran, and alone all but that one run', async (k) => {
    const batch = (it: Scene) => many(7, (n) => () => it.launch(n % 2, 1 - (n % 2), { term: n, bindGroups: [n === k ? BAD : GOOD] }))
    const { codes, rig } = await alike(open, batch, async () => undefined)
    expect(codes).toEqual(many(7, (n) => (n < k ? 'no error' : n === k ? 'invalid-value' : 'dependency-failed')))
    expect(chainsOf(rig)).toEqual([])
  })

  it('what is no group is refused by the call', async () => {
    const it = await open()
    for (const group of [null, 42, 'group'])
      expect(() => it.launch(0, 1, { bindGroups: [group as unknown as GPUBindGroup] })).toThrow(/bindGroups\[0\] must be a GPUBindGroup, or undefined/)
  })

  it('out of order all others run', async () => {
    const it = await open()
    const queue = it.rig.svm.createQueue({ outOfOrder: true })
    const events = many(8, (n) => it.launch(0, 1, { at: 8 * n, queue, bindGroups: [n === 2 || n === 5 ? BAD : GOOD] }))
    expect(await Promise.all(events.map((event) => codeOf(() => event.done)))).toEqual(many(8, (n) => (n === 2 || n === 5 ? 'invalid-value' : 'no error')))
    await checkInvariants(it.rig)
  })
})

it.each(['unsplittable', undefined] as const)('kernels whose loops may wait are links where they cannot fault (class %s)', async (kind) => {
  const code = `struct Args { to: svm_ptr, from: svm_ptr, at: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k() { loop { if (svm_atomic_load_u32(args.from) != args.term) { break; } } svm_store_u32(args.to, args.at); }`
  const it = await scene({ code, reach: 'arguments', ...(kind === undefined ? {} : { class: kind }) })
  expect(it.kernel.analysis.waitLines).toEqual([3])
  for (let n = 0; n < 3; n++)
    for (const [from, to] of [
      [0, 1],
      [1, 0],
    ] as const)
      await it.launch(from, to).done
  it.rig.events.length = 0
  const before = counters(it.rig)
  await Promise.all(many(10, (n) => it.launch(n % 2, 1 - (n % 2), { term: n }).done))
  expect(chainsOf(it.rig)).toEqual([{ links: 10, done: 10 }])
  expect(counters(it.rig)).toEqual({ submits: before.submits + 1, maps: before.maps + 1 })
})
