// Consecutive launches as one submission, on a real device: as few submissions and maps as said, bytes as one by one, and nothing runs behind a
// launch that failed.

import { describe, expect, test } from 'vitest'
import type { DispatchResult, Svm, SvmEvent, SvmKernel } from '../../src/index.ts'
import { counted } from './counted.ts'
import { codes, gpuDefaults, PAGE, useGpu } from './device.ts'
import { words } from './regime.ts'

const gpu = useGpu()
const WORDS = (4 * PAGE) / 4
const GLOBAL = WORDS / 16

const MIX = `struct Args { into: svm_ptr, source: svm_ptr, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(16) fn k(@builtin(global_invocation_id) id: vec3u) {
  let x = svm_load_u32(args.source);
  let at = id.x * 64u + (x ^ x);
  svm_store_u32(svm_add(args.into, at), svm_load_u32(svm_add(args.source, at)) * 3u + args.term + id.x);
}`
/** Whether something else is on the host, and whether reading the text tells where the kernels reach. */
interface Regime {
  readonly faults: boolean
  readonly known: boolean
}

/** Nobody knows that it adds nothing. */
const UNKNOWN = ' + (x ^ x)'
/** A workgroup turns 16 words around, by way of a barrier; `more` only makes the arguments long. */
const TURN = `struct Args { p: svm_ptr, term: u32, more: array<vec4u, 20> }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> seen: array<u32, 16>;
@compute @workgroup_size(16) fn k(@builtin(local_invocation_index) i: u32) {
  let x = svm_load_u32(args.p);
  let at = i * 64u + (x ^ x);
  seen[i] = svm_load_u32(svm_add(args.p, at));
  workgroupBarrier();
  svm_store_u32(svm_add(args.p, at), seen[15u - i] + args.term + args.more[19].w);
}`
const COUNT = `struct Args { p: svm_ptr, n: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(16) fn k() { svm_atomic_add_u32(args.p, args.n); }`

class Scene {
  readonly svm: Svm
  readonly a: number
  readonly b: number
  readonly #mix: SvmKernel
  readonly #turn: SvmKernel

  private constructor(svm: Svm, a: number, b: number, mix: SvmKernel, turn: SvmKernel) {
    this.svm = svm
    this.a = a
    this.b = b
    this.#mix = mix
    this.#turn = turn
  }

  /** Both arrays on the device, both kernels run once. */
  static async open({ faults, known }: Regime): Promise<Scene> {
    const svm = await gpu.open()
    const text = (code: string) => (known ? code.replace(UNKNOWN, '') : code)
    const a = svm.allocFrom(words(WORDS, (n) => n * 7 + 1))
    const b = svm.alloc(WORDS * 4)
    if (faults) svm.allocFrom(words(4, () => 1))
    const mix = await svm.createKernel({ code: text(MIX), entryPoint: 'k', label: 'mix' })
    const turn = await svm.createKernel({ code: text(TURN), entryPoint: 'k', label: 'turn' })
    const scene = new Scene(svm, a, b, mix, turn)
    await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    for (let n = 0; n < 3; n++) await scene.mix(n).done
    await scene.turn(0).done
    return scene
  }

  mix(n: number, into?: number): SvmEvent<DispatchResult> {
    const [from, to] = n % 2 === 0 ? [this.a, this.b] : [this.b, this.a]
    return this.svm.queue.enqueue(this.#mix, { args: { into: into ?? to, source: from, term: n }, global: GLOBAL })
  }

  turn(n: number, p = this.b): SvmEvent<DispatchResult> {
    return this.svm.queue.enqueue(this.#turn, { args: { p, term: n, more: new Uint32Array(80).fill(5) }, global: 16 })
  }

  /** The last look at it: a device has one space at a time. */
  async bytes(): Promise<number[]> {
    const bytes = [...(await this.svm.read(this.a, Uint32Array, WORDS)), ...(await this.svm.read(this.b, Uint32Array, WORDS))]
    await this.svm.close()
    return bytes
  }
}

describe.each([
  { faults: false, known: false },
  { faults: true, known: false },
  { faults: true, known: true },
])('chains %j', (regime) => {
  const { faults, known } = regime
  test('forty launches that depend on each other: one map, and no more submissions than the time of a pass asks for', async () => {
    const { counts, end } = counted(gpu.device)
    try {
      const scene = await Scene.open(regime)
      await scene.mix(3).done
      Object.assign(counts, { submits: 0, maps: 0 })
      const results = await Promise.all(Array.from({ length: 40 }, (_, n) => scene.mix(n + 4)).map(({ done }) => done))
      expect(counts.maps).toBe(1)
      expect(counts.submits).toBeLessThanOrEqual(4)
      expect(results.every(({ rounds, variant }) => rounds === 1 && (variant === 'attempt') === (faults && !known))).toBe(true)
      const bytes = await scene.bytes()
      const other = await Scene.open(regime)
      for (let n = 3; n < 44; n++) await other.mix(n).done
      expect(bytes).toEqual(await other.bytes())
    } finally {
      end()
    }
  })

  test('kernels with and without barriers, and with arguments of several sizes', async () => {
    const run = async (together: boolean) => {
      const scene = await Scene.open(regime)
      const events: SvmEvent<unknown>[] = []
      for (let n = 3; n < 24; n++) {
        events.push(n % 3 === 0 ? scene.turn(n) : scene.mix(n))
        if (!together) await events[events.length - 1]?.done
      }
      expect(await codes(events)).toEqual(events.map(() => 'done'))
      return scene.bytes()
    }
    expect(await run(true)).toEqual(await run(false))
  })

  test.each([0, 2, 5])('a bad access in link %i: links before are done, links behind change nothing', async (k) => {
    const scene = await Scene.open(regime)
    const events = Array.from({ length: 6 }, (_, n) => (n === k ? scene.mix(n + 3, 64) : n === k + 1 ? scene.turn(n) : scene.mix(n + 3)))
    const expected = events.map((_, n) => (n < k ? 'done' : n === k ? 'access-violation' : 'dependency-failed'))
    expect(await codes(events)).toEqual(expected)
    await expect(events[k]?.done).rejects.toMatchObject({ kernel: 'mix', workgroup: [expect.any(Number), 0, 0] })
    expect(await codes([scene.mix(3 + k)])).toEqual(['done'])
    const bytes = await scene.bytes()
    const other = await Scene.open(regime)
    for (let n = 0; n <= k; n++) await other.mix(n + 3).done
    expect(bytes).toEqual(await other.bytes())
  })
})

test('a fault in the middle of a chain that history did not foresee: the bytes are as one by one', async () => {
  const CHASE = `struct Args { p: svm_ptr, out: svm_ptr, n: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k(@builtin(global_invocation_id) id: vec3u) {
  let turn = args.n + id.x;
  let page = select(turn % 8u, 0u, turn % 7u < 5u);
  svm_store_u32(svm_index(args.out, turn % 64u, 4u), svm_load_u32(svm_add(args.p, page * ${PAGE}u)) + turn);
}`
  const run = async (together: boolean) => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words(8 * (PAGE / 4), (n) => n))
    const out = svm.alloc(PAGE)
    const kernel = await svm.createKernel({ code: CHASE, entryPoint: 'k' })
    const events: SvmEvent<DispatchResult>[] = []
    for (let n = 0; n < 60; n++) {
      events.push(svm.queue.enqueue(kernel, { args: { p, out, n }, global: 16 }))
      if (!together || n % 15 === 14) await events[n]?.done
    }
    await Promise.all(events.map(({ done }) => done))
    const bytes = [...(await svm.read(out, Uint32Array, 64))]
    await svm.close()
    return bytes
  }
  expect(await run(true)).toEqual(await run(false))
})

test('atomics, abort signals and waits', async () => {
  const svm = await gpu.open()
  const p = svm.alloc(PAGE)
  const kernel = await svm.createKernel({ code: COUNT, entryPoint: 'k' })
  const add = (n: number, more: object = {}) => svm.queue.enqueue(kernel, { args: { p, n }, global: 64, ...more })
  const total = async () => (await svm.read(p, Uint32Array, 1))[0]
  await svm.queue.migrate({ pointer: p }).done
  await add(1).done
  await Promise.all([add(1), add(2), add(3)].map(({ done }) => done))
  expect(await total()).toBe(64 * 7)
  await svm.queue.migrate({ pointer: p }).done
  const stop = new AbortController()
  const events = [add(1), add(1, { waitFor: [add(5)] }), add(1, { signal: stop.signal }), add(1)]
  stop.abort()
  expect(await codes(events)).toEqual(['done', 'done', 'aborted', 'dependency-failed'])
  expect(await total()).toBe(64 * (7 + 7))
})

test('a chain in a 64-bit space, and close behind one', async () => {
  const before = gpuDefaults.addressBits
  gpuDefaults.addressBits = 64
  try {
    const scene = await Scene.open({ faults: false, known: true })
    const events = Array.from({ length: 12 }, (_, n) => scene.mix(n + 3))
    await scene.svm.close()
    expect(events.map(({ status }) => status)).toEqual(events.map(() => 'complete'))
  } finally {
    gpuDefaults.addressBits = before
  }
})

test('a loop that never ends, in the middle: links before are done, links behind change nothing', async () => {
  const WAIT = COUNT.replace('svm_atomic_add_u32(args.p, args.n);', 'loop { if (svm_atomic_load_u32(args.p) == 12345u) { break; } }').replace('16', '1')
  const svm = await gpu.open()
  const p = svm.alloc(PAGE)
  const count = await svm.createKernel({ code: COUNT, entryPoint: 'k' })
  const wait = await svm.createKernel({ code: WAIT, entryPoint: 'k', label: 'waits' })
  const add = (n: number) => svm.queue.enqueue(count, { args: { p, n }, global: 64 })
  const stall = () => svm.queue.enqueue(wait, { args: { p, n: 0 }, global: 1 })
  await svm.write(p, Uint32Array.of(12345))
  await svm.queue.migrate({ pointer: p }).done
  // Both ends of it are known: it waits for what is there.
  for (let n = 0; n < 3; n++) await Promise.all([stall().done, add(0).done])
  const events = [add(1), stall(), add(2), add(4)]
  expect(await codes(events)).toEqual(['done', 'access-violation', 'dependency-failed', 'dependency-failed'])
  await expect(events[1]?.done).rejects.toMatchObject({ kernel: 'waits', message: expect.stringContaining('did not end') })
  expect((await svm.read(p, Uint32Array, 1))[0]).toBe(12345 + 64)
})
