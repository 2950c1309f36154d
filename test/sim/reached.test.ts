// reached.test.ts: launches whose reach is known before they run, on a device whose twins do what their texts say. Always: an access outside of what was said is
// an assertion of the device; here it is seen what follows for bytes, dirty pages, chains and windows.

import { describe, expect, it } from 'vitest'
import { makePte, PTE } from '../../src/abi/pte.ts'
import type { PassMischief } from '../../src/device/device.ts'
import type { Launch } from '../../src/driver/launch.ts'
import { provenSteady, type Reached } from '../../src/driver/reached.ts'
import type { KernelTwin } from '../../src/sim.ts'
import { checkInvariants, codeOf, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, type RigOptions, sequence } from './rig.ts'

const HEAD = (fields: string) => `struct Args { ${fields} }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(workgroup_id) group: vec3u) {`

/** Each workgroup stores a word of its own, from a byte on that the launch tells. */
const STORE = {
  entryPoint: 'k',
  code: `${HEAD('p: svm_ptr, at: u32, value: u32')} svm_store_u32(svm_add(args.p, args.at + group.x * 4u), args.value); }`,
  twin: ((item, { p, at, value }, m) => m.storeU32(p + at + item.workgroupId[0] * 4, value + 0 * item.localIndex)) satisfies KernelTwin,
}

const ADD = {
  entryPoint: 'k',
  code: `${HEAD('from: svm_ptr, to: svm_ptr, term: u32')}
  svm_store_u32(svm_index(args.to, group.x, 4u), svm_load_u32(svm_index(args.from, group.x, 4u)) + args.term);
}`,
  twin: ((item, { from, to, term }, m) => {
    const at = item.workgroupId[0] * 4
    m.storeU32(to + at, m.loadU32(from + at) + term)
  }) satisfies KernelTwin,
}

interface Scene {
  readonly rig: Rig
  /** Variants of the dispatches that were sent, '+' where nobody looks at accesses. */
  readonly sent: string[]
}

/** A page that no kernel here touches is on the host: without a known reach faults are possible. */
async function open(options: RigOptions = {}): Promise<Scene> {
  const sent: string[] = []
  const rig = await openRig({
    frames: 24,
    faithfulTwins: true,
    ...options,
    wrap: (device) => {
      const submit = device.submit.bind(device)
      device.submit = (work, readbacks) => {
        for (const one of work) if (one.kind === 'dispatch') sent.push(one.program.descriptor.variant + (one.program.descriptor.proven === true ? '+' : ''))
        return submit(work, readbacks)
      }
      return device
    },
  })
  rig.svm.allocFrom(sequence(8))
  return { rig, sent }
}

const there = async ({ svm }: Rig, ...pointers: number[]) => svm.queue.migrate(pointers.map((pointer) => ({ pointer }))).done
const home = async ({ svm }: Rig, ...pointers: number[]) =>
  svm.queue.migrate(
    pointers.map((pointer) => ({ pointer })),
    { to: 'host' },
  ).done

describe('a launch whose reach is known', () => {
  it('runs without a look though something else is missing, and what it stores to is dirty', async () => {
    const { rig, sent } = await open()
    const p = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    await there(rig, p)
    const store = await rig.svm.createKernel(STORE)
    const { rounds, faults } = await rig.svm.queue.enqueue(store, { args: { p, at: PAGE_BYTES, value: 7 }, global: 4 }).done
    expect({ rounds, faults, sent }).toEqual({ rounds: 1, faults: 0, sent: ['direct+'] })
    expect(rig.draw(p, 2)).toBe('cd')
    await checkInvariants(rig)
    await home(rig, p)
    expect([...(await rig.svm.read(p + PAGE_BYTES, Uint32Array, 5))]).toEqual([7, 7, 7, 7, PAGE_WORDS + 4])
  })

  it('is looked at where it reaches beyond what it may', async () => {
    const { rig, sent } = await open()
    const [p, other] = [rig.svm.alloc(PAGE_BYTES), rig.svm.alloc(PAGE_BYTES)]
    await there(rig, p, other)
    const store = await rig.svm.createKernel({ ...STORE, reach: [other] })
    const launch = rig.svm.queue.enqueue(store, { args: { p, at: 0, value: 7 }, global: 4 })
    expect(await codeOf(() => launch.done)).toBe('access-violation')
    expect(sent.some((variant) => variant.endsWith('+'))).toBe(false)
  })

  it('is not taken for one window where two pools, two thousand MiB apart, have the same entries', async () => {
    const { rig } = await open({ frames: 16, policy: { pools: 2 } })
    const { svm, mirror } = rig
    const upper = svm.alloc(8 * PAGE_BYTES)
    svm.alloc(2 ** 31 - 8 * PAGE_BYTES)
    const lower = svm.alloc(8 * PAGE_BYTES)
    await there(rig, lower, upper)
    expect([upper - lower, mirror.dmem.poolsInUse]).toEqual([2 ** 31, 2])
    const flags = PTE.load | PTE.store | PTE.dirty
    const entries = () => {
      for (let n = 0; n < 8; n++) {
        const at = n * PAGE_BYTES
        mirror.vmm.set((lower + at) / PAGE_BYTES, makePte(0, n * PAGE_WORDS, flags, lower + at))
        mirror.vmm.set((upper + at) / PAGE_BYTES, makePte(1, n * PAGE_WORDS, flags, upper + at))
      }
      return mirror.vmm.get(lower / PAGE_BYTES) === mirror.vmm.get(upper / PAGE_BYTES)
    }
    const part = (pointer: number) => ({ start: pointer / PAGE_BYTES, end: pointer / PAGE_BYTES + 8, need: PTE.load, certain: true })
    const parts = [part(lower), part(upper)]
    const way = () => provenSteady(mirror, { reach: null } as Launch, { parts, crosses: false } as unknown as Reached)?.variant
    expect([entries(), way()]).toEqual([true, 'resident'])
    // Of one of them alone all pages stand in order.
    parts.pop()
    expect(way()).toBe('direct')
  })

  it('is looked at where it says nothing of itself, or says it wrongly', async () => {
    const { rig, sent } = await open({ faithfulTwins: false })
    const p = rig.svm.alloc(PAGE_BYTES)
    await there(rig, p)
    await rig.svm.queue.enqueue(await rig.svm.createKernel(STORE), { args: { p, at: 0, value: 7 }, global: 4 }).done
    expect(sent.some((variant) => variant.endsWith('+'))).toBe(false)
  })
})

describe('a chain', () => {
  it('of launches that differ in a number which decides where they reach: each page that is stored to is dirty', async () => {
    const { rig, sent } = await open()
    const PAGES = 6
    const p = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    await there(rig, p)
    const store = await rig.svm.createKernel(STORE)
    const launch = (page: number) => rig.svm.queue.enqueue(store, { args: { p, at: page * PAGE_BYTES, value: 100 + page }, global: 4 })
    await launch(0).done
    sent.length = 0
    await Promise.all(Array.from({ length: PAGES }, (_, page) => launch(page).done))
    expect(rig.events.some(({ kind }) => kind === 'chain')).toBe(true)
    expect(sent).toEqual(new Array(PAGES).fill('direct+'))
    expect(rig.draw(p, PAGES)).toBe('d'.repeat(PAGES))
    await home(rig, p)
    for (let page = 0; page < PAGES; page++) expect((await rig.svm.read(p + page * PAGE_BYTES, Uint32Array, 1))[0]).toBe(100 + page)
  })

  it('walks the page table as it is, though others of it may fault', async () => {
    const { rig, sent } = await open({ policy: { direct: false } })
    const [a, b] = [rig.svm.allocFrom(sequence(8)), rig.svm.alloc(32)]
    const add = await rig.svm.createKernel(ADD)
    const launch = (n: number) => rig.svm.queue.enqueue(add, { args: n % 2 === 0 ? { from: a, to: b, term: n } : { from: b, to: a, term: n }, global: 8 })
    // It stays, and with it the pool and the tables.
    const other = rig.svm.alloc(PAGE_BYTES)
    await there(rig, other, a, b)
    for (let n = 0; n < 4; n++) await launch(n).done
    await Promise.all([launch(4).done, launch(5).done])
    // They come back to other frames: theirs are taken.
    await home(rig, a, b)
    await there(rig, rig.svm.alloc(22 * PAGE_BYTES))
    await there(rig, b, a)
    sent.length = 0
    await Promise.all([launch(6).done, launch(7).done])
    expect(sent).toEqual(['resident+', 'resident+'])
    expect(rig.events.filter(({ kind }) => kind === 'chain').length).toBe(2)
    expect([...(await rig.svm.read(a, Uint32Array, 8))]).toEqual(Array.from({ length: 8 }, (_, i) => i + 28))
  })

  it('asks whether a link failed only where one can', async () => {
    const { rig } = await open()
    const [a, b] = [rig.svm.allocFrom(sequence(8)), rig.svm.alloc(32)]
    await there(rig, a, b)
    const add = await rig.svm.createKernel(ADD)
    // Its place comes from memory: everybody behind it must ask.
    const chase = await rig.svm.createKernel({
      entryPoint: 'k',
      code: `${HEAD('p: svm_ptr, q: svm_ptr')} svm_store_u32(svm_index(args.q, svm_load_u32(args.p), 4u), 9u); }`,
      twin: (_item, { p, q }, m) => m.storeU32(q + m.loadU32(p) * 4, 9),
    })
    const at = rig.svm.allocFrom(Uint32Array.of(1))
    await there(rig, at)
    const adds = (n: number) => rig.svm.queue.enqueue(add, { args: { from: a, to: b, term: n }, global: 8 })
    const chases = () => rig.svm.queue.enqueue(chase, { args: { p: at, q: b }, global: 1 })
    for (let n = 0; n < 3; n++) {
      await adds(n).done
      await chases().done
    }
    await rig.svm.write(at, Uint32Array.of(0x1000_0000))
    await there(rig, at)
    const events = [adds(3), chases(), adds(4)]
    expect(
      await Promise.all(
        events.map(({ done }) =>
          done.then(
            () => 'done',
            (error) => error.code,
          ),
        ),
      ),
    ).toEqual(['done', 'access-violation', 'dependency-failed'])
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(3)
  })
})

/** One workgroup a window, in order; nothing else. */
const ONE_BY_ONE: PassMischief = {
  disturb: () => ({ absent: [], evicted: [] }),
  limit: () => 1,
  order: () => undefined,
  truncate: () => undefined,
  segment: (links) => links,
  vanish: () => [],
}

describe('windows, some of which are known', () => {
  it('see each other’s updates: no private copy outlives a pass that stores to the page itself', async () => {
    const { rig, sent } = await open({ mischief: { passes: ONE_BY_ONE } })
    const [sum, flag] = [rig.svm.alloc(PAGE_BYTES), rig.svm.alloc(PAGE_BYTES)]
    // On the host, in the reach of the first and the last workgroup, and never touched.
    const rare = rig.svm.allocFrom(sequence(8))
    const kernel = await rig.svm.createKernel({
      entryPoint: 'k',
      code: `${HEAD('sum: svm_ptr, flag: svm_ptr, rare: svm_ptr')}
  if (group.x != 1u) { if (svm_load_u32(args.flag) == 5u) { svm_store_u32(args.rare, 1u); } }
  if (group.x != 0u) { svm_atomic_add_u32(args.sum, 1u); }
}`,
      twin: (item, args, m) => {
        const [x] = item.workgroupId
        if (x !== 1 && m.loadU32(args.flag) === 5) m.storeU32(args.rare, 1)
        if (x !== 0) m.atomicAddU32(args.sum, 1)
      },
    })
    await there(rig, sum, flag)
    for (let launch = 1; launch <= 5; launch++) {
      sent.length = 0
      await rig.svm.queue.enqueue(kernel, { args: { sum, flag, rare }, global: 3 }).done
      await checkInvariants(rig)
    }
    expect((await rig.svm.read(sum, Uint32Array, 1))[0]).toBe(10)
    // The middle one alone is known.
    expect(sent.map((variant) => variant.endsWith('+'))).toEqual([false, true, false])
  })
})

describe('what is known', () => {
  it('of a store that only some make: a clean page is marked when it is made', async () => {
    const { rig, sent } = await open()
    const [flag, p] = [rig.svm.allocFrom(Uint32Array.of(5)), rig.svm.allocFrom(sequence(2 * PAGE_WORDS))]
    await there(rig, flag, p)
    const kernel = await rig.svm.createKernel({
      entryPoint: 'k',
      code: `${HEAD('flag: svm_ptr, p: svm_ptr')} if (svm_load_u32(args.flag) == 5u) { svm_store_u32(svm_index(args.p, group.x, 4u), 9u); } }`,
      twin: (item, { flag, p }, m) => {
        if (m.loadU32(flag) === 5) m.storeU32(p + item.workgroupId[0] * 4, 9)
      },
    })
    await rig.svm.queue.enqueue(kernel, { args: { flag, p }, global: 4 }).done
    expect(sent).toEqual(['resident+'])
    expect(rig.draw(p, 2)).toBe('dc')
    await home(rig, p)
    expect((await rig.svm.read(p, Uint32Array, 1))[0]).toBe(9)
  })

  it('of pages that do not stand in order: they are looked up', async () => {
    const { rig, sent } = await open()
    const p = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const middle = p + PAGE_BYTES
    await there(rig, p)
    await rig.svm.queue.migrate([{ pointer: middle, byteLength: 4 }], { to: 'host' }).done
    // Its place is taken.
    await there(rig, rig.svm.alloc(21 * PAGE_BYTES))
    await there(rig, p)
    const store = await rig.svm.createKernel(STORE)
    const { faults } = await rig.svm.queue.enqueue(store, { args: { p, at: 0, value: 7 }, global: 2 * PAGE_WORDS }).done
    expect({ faults, sent }).toEqual({ faults: 0, sent: ['resident+'] })
    await home(rig, p)
    expect([...new Set(await rig.svm.read(p, Uint32Array, 2 * PAGE_WORDS))]).toEqual([7])
    await checkInvariants(rig)
  })
})

/** One workgroup a page. */
const MOVE = {
  entryPoint: 'k',
  code: `${HEAD('flags: svm_ptr, from: svm_ptr, to: svm_ptr')}
  if (svm_load_u32(svm_index(args.flags, group.x, 4u)) != 0u) {
    svm_store_u32(svm_index(args.to, group.x, ${PAGE_BYTES}u), svm_load_u32(svm_index(args.from, group.x, ${PAGE_BYTES}u)));
  }
}`,
  twin: ((item, { flags, from, to }, m) => {
    const [x] = item.workgroupId
    if (m.loadU32(flags + x * 4) !== 0) m.storeU32(to + x * PAGE_BYTES, m.loadU32(from + x * PAGE_BYTES))
  }) satisfies KernelTwin,
}

describe('what a launch like this one will need', () => {
  const PAGES = 10
  /** `flags` says which pages are moved. */
  async function place(flags: readonly number[], frames: number) {
    const scene = await open({ frames, policy: { prefetch: 'none' } })
    const { svm } = scene.rig
    const args = { flags: svm.allocFrom(Uint32Array.from(flags)), from: svm.allocFrom(sequence(PAGES * PAGE_WORDS)), to: svm.alloc(PAGES * PAGE_BYTES) }
    const kernel = await svm.createKernel(MOVE)
    const moved = async () => {
      const words = await svm.read(args.to, Uint32Array, PAGES * PAGE_WORDS)
      return flags.map((_, page) => words[page * PAGE_WORDS] as number)
    }
    return { ...scene, args, moved, run: () => svm.queue.enqueue(kernel, { args, global: PAGES }).done }
  }
  const ALL = new Array(PAGES).fill(1)
  const first = (flags: readonly number[], wanted: number[]) => expect(wanted).toEqual(flags.map((flag, page) => (flag === 0 ? 0 : page * PAGE_WORDS)))

  it('is also what was here when it ran', async () => {
    const { rig, args, run, moved } = await place(ALL, 24)
    await there(rig, args.from)
    expect((await run()).faults).toBe(PAGES + 1)
    await home(rig, args.flags, args.from, args.to)
    expect(await run()).toMatchObject({ rounds: 1, faults: 0, bytesIn: (2 * PAGES + 1) * PAGE_BYTES })
    first(ALL, await moved())
  })

  it('is only what it asked for, where that is little of its reach', async () => {
    const flags = ALL.map((_, page) => Number(page === 3))
    const { rig, args, run, moved } = await place(flags, 24)
    expect(await run()).toMatchObject({ faults: 2, hints: 1 })
    await home(rig, args.flags, args.from, args.to)
    expect(await run()).toMatchObject({ faults: 0, bytesIn: 3 * PAGE_BYTES })
    first(flags, await moved())
  })

  it('may be wrong: a window is looked at unless all that any of it reaches is here', async () => {
    const flags = ALL.map((_, page) => Number(page === 0))
    const { rig, args, run, moved } = await place(flags, 24)
    await run()
    await run()
    // What the first workgroup reaches is here, and nothing else was ever wanted.
    flags[7] = 1
    await rig.svm.write(args.flags, Uint32Array.from(flags))
    expect((await run()).faults).toBe(1)
    first(flags, await moved())
  })

  it('is brought window by window where it does not all fit, and nobody looks at an access', async () => {
    const { rig, args, sent, run, moved } = await place(ALL, 9)
    await there(rig, args.flags)
    await run()
    await checkInvariants(rig)
    sent.length = 0
    const { faults, evictions, variant, rounds } = await run()
    expect(rounds).toBeGreaterThan(1)
    expect(variant).toBe('resident')
    expect({ faults, looked: sent.filter((variant) => !variant.endsWith('+')) }).toEqual({ faults: 0, looked: [] })
    expect(evictions).toBeGreaterThan(0)
    first(ALL, await moved())
    await checkInvariants(rig)
  })
})
