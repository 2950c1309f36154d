// Links that may not reach all that is mapped, launches of queues out of order, links with bindings of the author's, and links whose loops may wait, on a real
// device: as few submissions and maps as said, bytes as one by one, and what fails fails alone.

import { describe, expect, test } from 'vitest'
import type { KernelLaunch, Svm, SvmEvent } from '../../src/index.ts'
import { counted } from './counted.ts'
import { codes, PAGE, useGpu } from './device.ts'
import { words } from './regime.ts'

const gpu = useGpu({ authorStorageBuffers: 1 })
const ARRAYS = 4
const WORDS = (2 * PAGE) / 4
const GLOBAL = 64
/** The arrays are neighbours, the first one highest: from arrays 2 and 3 on, a word of arrays 0 and 1. */
const BEYOND = 2 * WORDS

/** Nobody knows that (x ^ x) adds nothing, so that accesses are looked at. */
const mix = (declared: string, value: string) => `struct Args { into: svm_ptr, source: svm_ptr, at: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
${declared}
@compute @workgroup_size(16) fn k(@builtin(global_invocation_id) id: vec3u) {
  let x = svm_load_u32(args.source);
  let at = (args.at + id.x + (x ^ x)) * 4u;
  svm_store_u32(svm_add(args.into, at), svm_load_u32(svm_add(args.source, at)) * 3u + ${value});
}`
const MIX = mix('', 'args.term')

interface Scene {
  readonly svm: Svm
  launch(from: number, to: number, at?: number, term?: number, more?: Partial<KernelLaunch> & { queue?: Svm['queue'] }): SvmEvent<unknown>
  bytes(): Promise<number[]>
}

/** All arrays on the device, and the kernel has run with these; a page that it may not reach is on the host. */
async function open(
  direct: boolean,
  pairs: readonly (readonly [number, number])[],
  { code = MIX, more = {} }: { code?: string; more?: Partial<KernelLaunch> } = {},
): Promise<Scene> {
  const svm = await gpu.open({ policy: { direct }, authorStorageBuffers: 1 })
  const arrays = Array.from({ length: ARRAYS }, (_, n) => svm.allocFrom(words(WORDS, (i) => i * 7 + n)))
  await svm.queue.migrate(arrays.map((pointer) => ({ pointer }))).done
  svm.allocFrom(words(4, () => 1))
  const kernel = await svm.createKernel({ code, entryPoint: 'k', label: 'mix', reach: 'arguments' })
  const launch: Scene['launch'] = (from, to, at = 0, term = 1, { queue = svm.queue, ...rest } = {}) =>
    queue.enqueue(kernel, { args: { into: arrays[to] as number, source: arrays[from] as number, at, term }, global: GLOBAL, ...more, ...rest })
  for (let n = 0; n < 3; n++) for (const [from, to] of pairs) await launch(from, to).done
  const bytes = async () => (await Promise.all(arrays.map(async (pointer) => [...(await svm.read(pointer, Uint32Array, WORDS))]))).flat()
  return { svm, launch, bytes }
}

const many = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))

/** Submissions and maps of these launches, all of which succeed. */
async function asked(make: () => Promise<() => readonly SvmEvent<unknown>[]>): Promise<{ submits: number; maps: number }> {
  const { counts, end } = counted(gpu.device)
  try {
    const launches = await make()
    Object.assign(counts, { submits: 0, maps: 0 })
    const events = launches()
    expect(await codes(events)).toEqual(events.map(() => 'done'))
    return { ...counts }
  } finally {
    end()
  }
}

const PAIRS = [
  [0, 1],
  [1, 0],
  [2, 3],
] as const
const pairOf = (n: number) => PAIRS[n % 3] as readonly [number, number]

describe.each([true, false])('links that may not reach all (direct: %s)', (direct) => {
  test('forty of them with different lists: one map, and the bytes of one by one', async () => {
    const scenes: Scene[] = []
    const asks = await asked(async () => {
      const it = await open(direct, PAIRS)
      scenes.push(it)
      return () => many(40, (n) => it.launch(...pairOf(n), 0, n))
    })
    expect(asks.maps).toBe(1)
    expect(asks.submits).toBeLessThanOrEqual(4)
    const [together] = scenes as [Scene]
    const bytes = await together.bytes()
    await together.svm.close()
    const other = await open(direct, PAIRS)
    for (let n = 0; n < 40; n++) await other.launch(...pairOf(n), 0, n).done
    expect(bytes).toEqual(await other.bytes())
  })

  test.each([0, 2, 5])('link %i reaches what others may: links before are done, links behind change nothing', async (k) => {
    const it = await open(direct, PAIRS)
    const events = many(6, (n) => (n === k ? it.launch(2, 3, BEYOND, 77) : it.launch(...pairOf(n), 0, n)))
    expect(await codes(events)).toEqual(many(6, (n) => (n < k ? 'done' : n === k ? 'access-violation' : 'dependency-failed')))
    await expect(events[k]?.done).rejects.toMatchObject({ kernel: 'mix' })
    const bytes = await it.bytes()
    await it.svm.close()
    const other = await open(direct, PAIRS)
    for (let n = 0; n < k; n++) await other.launch(...pairOf(n), 0, n).done
    expect(bytes).toEqual(await other.bytes())
  })
})

describe('a queue out of order', () => {
  test('forty launches that wait for nothing: one map', async () => {
    const asks = await asked(async () => {
      const it = await open(true, PAIRS)
      const queue = it.svm.createQueue({ outOfOrder: true })
      return () => many(40, (n) => it.launch(2, 3, n, 1, { queue }))
    })
    expect(asks.maps).toBe(1)
    expect(asks.submits).toBeLessThanOrEqual(4)
  })

  test('one that fails fails alone; what waits for it does not run, what waits for others does', async () => {
    const it = await open(false, PAIRS)
    const queue = it.svm.createQueue({ outOfOrder: true })
    const events = many(8, (n) => it.launch(2, 3, n === 3 ? BEYOND : n * GLOBAL, n, { queue }))
    const behind = it.launch(1, 0, 0, 5, { waitFor: [events[3] as SvmEvent<unknown>] })
    const beside = it.launch(3, 2, 0, 5, { queue, waitFor: [events[0] as SvmEvent<unknown>] })
    expect(await codes([...events, behind, beside])).toEqual([...many(8, (n) => (n === 3 ? 'access-violation' : 'done')), 'dependency-failed', 'done'])
    const bytes = await it.bytes()
    await it.svm.close()
    const other = await open(false, PAIRS)
    for (let n = 0; n < 8; n++) if (n !== 3) await other.launch(2, 3, n * GLOBAL, n).done
    await other.launch(3, 2, 0, 5).done
    expect(bytes).toEqual(await other.bytes())
  })
})

describe('bindings of the author’s', () => {
  const CODE = mix('@group(0) @binding(1) var<storage, read_write> own: array<atomic<u32>>;', 'args.term + atomicAdd(&own[id.x], 1u)')
  /** Some buffers of the author's, each in a group. */
  const groups = () => {
    const { device } = gpu
    const layout = device.createBindGroupLayout({ entries: [{ binding: 1, visibility: 4, buffer: { type: 'storage' } }] })
    const made = many(3, () => device.createBuffer({ size: GLOBAL * 4, usage: 0x80 | 0x4 }))
    return { made, groups: made.map((buffer) => device.createBindGroup({ layout, entries: [{ binding: 1, resource: { buffer } }] })) }
  }

  test('of each link are its own: forty links, one map, each buffer counts its launches', async () => {
    const mine = groups()
    const scenes: Scene[] = []
    const asks = await asked(async () => {
      const it = await open(true, PAIRS, { code: CODE, more: { bindGroups: [mine.groups[2] as GPUBindGroup] } })
      scenes.push(it)
      return () => many(40, (n) => it.launch(...pairOf(n), 0, n, { bindGroups: [mine.groups[n % 4 === 0 ? 1 : 0] as GPUBindGroup] }))
    })
    expect(asks).toEqual({ submits: 1, maps: 1 })
    const [{ svm }] = scenes as [Scene]
    const back = svm.alloc(GLOBAL * 4)
    for (const [n, count] of [30, 10, 9].entries()) {
      await svm.queue.copyFromBuffer(mine.made[n] as GPUBuffer, 0, back, GLOBAL * 4).done
      expect(await svm.read(back, Uint32Array, GLOBAL)).toEqual(words(GLOBAL, () => count))
    }
  })

  test.each([
    [0, 'of a buffer that is gone'],
    [3, 'of a buffer that is gone'],
    [3, 'that are none'],
  ])('that the device refuses fail link %i, and what is behind it: %s', async (k, what) => {
    const mine = groups()
    const [good, gone] = mine.groups as [GPUBindGroup, GPUBindGroup]
    const bad = what === 'that are none' ? ({} as GPUBindGroup) : gone
    const it = await open(true, PAIRS, { code: CODE, more: { bindGroups: [good] } })
    mine.made[1]?.destroy()
    const events = many(6, (n) => it.launch(...pairOf(n), 0, n, { bindGroups: [n === k ? bad : good] }))
    expect(await codes(events)).toEqual(many(6, (n) => (n < k ? 'done' : n === k ? 'invalid-value' : 'dependency-failed')))
    const back = it.svm.alloc(GLOBAL * 4)
    await it.svm.queue.copyFromBuffer(mine.made[0] as GPUBuffer, 0, back, GLOBAL * 4).done
    expect((await it.svm.read(back, Uint32Array, 1))[0]).toBe(9 + k)
  })
})

test.each(['unsplittable', undefined] as const)('loops that may wait, for what the link before has left (class %s): twenty links, one map', async (kind) => {
  const CODE = `struct Args { turn: svm_ptr, base: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  loop { if (svm_atomic_load_u32(args.turn) == args.base) { break; } }
  svm_atomic_add_u32(args.turn, 1u);
}`
  const spaces: Svm[] = []
  let turn = 0
  const asks = await asked(async () => {
    const svm = await gpu.open({ authorStorageBuffers: 1 })
    spaces.push(svm)
    turn = svm.alloc(PAGE)
    svm.allocFrom(words(4, () => 1))
    const kernel = await svm.createKernel({ code: CODE, entryPoint: 'k', reach: 'arguments', ...(kind === undefined ? {} : { class: kind }) })
    expect(kernel.analysis.waitLines).toHaveLength(1)
    await svm.queue.migrate({ pointer: turn }).done
    const launch = (n: number) => svm.queue.enqueue(kernel, { args: { turn, base: n }, global: 1 })
    for (let n = 0; n < 3; n++) await launch(n).done
    return () => many(20, (n) => launch(n + 3))
  })
  expect(asks.maps).toBe(1)
  expect(asks.submits).toBeLessThanOrEqual(4)
  expect((await spaces[0]?.read(turn, Uint32Array, 1))?.[0]).toBe(23)
})
