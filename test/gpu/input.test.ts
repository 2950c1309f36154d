// What a program can get wrong: each is refused with an SvmError of the right code. And what is not built says so. Always: a refused call leaves every
// open space as it was: mappings, the place of each page, all counts and, looked at when a test ends, the bytes.

import { afterEach, describe, expect, test, vi } from 'vitest'
import { openSvm, type Pager, type Svm, type SvmDevice, SvmError, type SvmErrorCode, type SvmOptions, type SvmStats, webgpuDevice } from '../../src/index.ts'
import { simDevice } from '../../src/sim.ts'
import { KIB, MIB, PAGE, useGpu } from './device.ts'
import { expectSame, USAGE, words } from './regime.ts'

const gpu = useGpu()

const PATTERN = words((4 * PAGE) / 4, (i) => i * 7 + 1)
const TOUCH = `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.p, svm_load_u32(args.p)); }`
/** Memory that no test names. */
const bystanders: { svm: Svm; pointer: number }[] = []

/** A space with pages in every place: on the host, on the device with its bytes also at home or not, and never touched. */
async function open(): Promise<Svm> {
  const svm = await gpu.open()
  const pointer = svm.allocFrom(PATTERN)
  svm.alloc(PAGE, { label: 'untouched' })
  await svm.queue.migrate({ pointer: pointer + PAGE, byteLength: 2 * PAGE }).done
  await store(svm, pointer + 2 * PAGE)
  expect(svm.snapshot().pages.map(({ state }) => state)).toEqual(['none', 'host', 'clean in memory 0', 'dirty in memory 0', 'host'])
  bystanders.push({ svm, pointer })
  return svm
}
/** A kernel stores to the page, what is there: only the device has it then, and whoever looks at its bytes brings it home. */
async function store(svm: Svm, p: number): Promise<void> {
  const kernel = await svm.createKernel({ code: TOUCH, entryPoint: 'k' })
  await svm.queue.enqueue(kernel, { args: { p }, global: 1 }).done
}
afterEach(async () => {
  for (const { svm, pointer } of bystanders.splice(0)) expectSame(await svm.read(pointer, Uint32Array, PATTERN.length), PATTERN)
})

/** One of the program's own, for copies. */
let ownBuffer: GPUBuffer | null = null
function buffer(): GPUBuffer {
  ownBuffer ??= gpu.device.createBuffer({ size: MIB, usage: USAGE.copySource | USAGE.copyDestination })
  return ownBuffer
}

class CountingPager implements Pager {
  readonly size = 2 * PAGE + 100
  reads = 0

  async read(_offset: number, into: Uint8Array): Promise<number> {
    this.reads++
    return into.fill(9).length
  }
}

/** All that a program can see of the spaces that are open, but for bytes: to read those moves pages. */
function look(): unknown {
  return gpu.spaces.map((svm) => {
    const snapshot = svm.snapshot()
    return { snapshot, places: snapshot.mappings.map(({ pointer, byteLength }) => placesOf(svm, pointer, byteLength)) }
  })
}

/** Of each page; or why there is none, where memory is about to go. */
function placesOf(svm: Svm, pointer: number, byteLength: number): unknown[] {
  return Array.from({ length: byteLength / svm.pageSize }, (_, n) => {
    try {
      return svm.residency(pointer + n * svm.pageSize, 1)
    } catch (error) {
      return (error as SvmError).code
    }
  })
}

/** Runs a call that throws, rejects, or gives an event that fails, and holds that nothing has changed by it. */
async function refused(code: SvmErrorCode, call: () => unknown): Promise<SvmError> {
  const before = look()
  const error = await errorOf(call)
  expect(error).toBeInstanceOf(SvmError)
  expect(error).toMatchObject({ name: 'SvmError', code })
  expect(look()).toEqual(before)
  return error as SvmError
}

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const result = call()
    const isEvent = typeof result === 'object' && result !== null && 'done' in result
    await (isEvent ? (result as { done: Promise<unknown> }).done : result)
  } catch (error) {
    return error
  }
  throw new Error(`This was not refused: ${call.toString()}`)
}

const BAD_SIZES = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]

describe('pointers and sizes', () => {
  type Call = (svm: Svm, pointer: number, byteLength: number) => unknown
  /** Every call that takes a pointer and a size. */
  const CALLS: readonly (readonly [string, Call])[] = [
    ['read', (svm, p, n) => svm.read(p, n)],
    ['read of a type', (svm, p, n) => svm.read(p, Uint8Array, n)],
    ['map', (svm, p, n) => svm.map(p, n, 'read')],
    ['using', (svm, p, n) => svm.using(p, n, 'read', () => undefined)],
    ['residency', (svm, p, n) => svm.residency(p, n)],
    ['queue.map', (svm, p, n) => svm.queue.map(p, n, 'write')],
    ['queue.migrate', (svm, p, n) => svm.queue.migrate({ pointer: p, byteLength: n })],
    ['queue.memcpy from', (svm, p, n) => svm.queue.memcpy(new Uint8Array(MIB), p, n)],
    ['queue.memcpy to', (svm, p, n) => svm.queue.memcpy(p, new Uint8Array(MIB), n)],
    ['queue.memfill', (svm, p, n) => svm.queue.memfill(p, Uint8Array.of(1), n)],
    ['queue.copyFromBuffer', (svm, p, n) => svm.queue.copyFromBuffer(buffer(), 0, p, n)],
    ['queue.copyToBuffer', (svm, p, n) => svm.queue.copyToBuffer(p, buffer(), 0, n)],
    ['munmap', (svm, p, n) => svm.munmap(p, n)],
    ['mprotect', (svm, p, n) => svm.mprotect(p, n, 'read')],
    ['advise', (svm, p, n) => svm.advise(p, n, 'dont-need')],
  ]
  /** The size is that of an array, which has no bad one. */
  const WRITE: readonly [string, Call] = ['write', (svm, p, n) => svm.write(p, new Uint8Array(n))]

  test.each([...CALLS, WRITE])('%s', async (name, call) => {
    const svm = await open()
    const p = svm.allocFrom(words(PAGE / 4, (i) => i))
    const freed = svm.alloc(PAGE)
    svm.free(freed)
    await store(svm, p)
    if (name !== WRITE[0]) for (const size of BAD_SIZES) await refused('invalid-value', () => call(svm, p, size))
    for (const excess of [1, 4]) {
      await refused('invalid-value', () => call(svm, p, PAGE + excess))
      await refused('invalid-value', () => call(svm, p + PAGE - 4, 4 + excess))
    }
    for (const pointer of [0, 4096, freed]) await refused('not-mapped', () => call(svm, pointer, 16))
    for (const pointer of [-4, 0.5, Number.NaN, 2 ** 32, 2 ** 60]) await refused('invalid-value', () => call(svm, pointer, 16))
    expectSame(
      await svm.read(p, Uint32Array, PAGE / 4),
      words(PAGE / 4, (i) => i),
    )
  })

  test("offsets in the program's buffers, buffers that cannot be copied with, and what is no buffer", async () => {
    const svm = await open()
    const p = svm.allocFrom(PATTERN)
    await store(svm, p)
    for (const offset of [...BAD_SIZES, 2, MIB - 4, 2 * MIB]) {
      await refused('invalid-value', () => svm.queue.copyFromBuffer(buffer(), offset, p, 8))
      await refused('invalid-value', () => svm.queue.copyToBuffer(p, buffer(), offset, 8))
    }
    for (const bad of [null, undefined, {}, { size: 64 }, new Uint8Array(64)] as unknown as GPUBuffer[]) {
      await refused('invalid-value', () => svm.queue.copyFromBuffer(bad, 0, p, 8))
      await refused('invalid-value', () => svm.queue.copyToBuffer(p, bad, 0, 8))
    }
    const both = USAGE.copySource | USAGE.copyDestination
    const destroyed = gpu.device.createBuffer({ size: 64, usage: both })
    destroyed.destroy()
    const others = (await gpu.another()).createBuffer({ size: 64, usage: both })
    const mapped = gpu.device.createBuffer({ size: 64, usage: both, mappedAtCreation: true })
    const source = gpu.device.createBuffer({ size: 64, usage: USAGE.copySource })
    const destination = gpu.device.createBuffer({ size: 64, usage: USAGE.copyDestination })
    // These the device refuses: bytes have come home for it by then.
    const before = svm.snapshot().mappings
    const wanted = { name: 'SvmError', code: 'invalid-value' }
    for (const bad of [destroyed, others, mapped, destination]) expect(await errorOf(() => svm.queue.copyFromBuffer(bad, 0, p, 8))).toMatchObject(wanted)
    for (const bad of [destroyed, others, mapped, source]) expect(await errorOf(() => svm.queue.copyToBuffer(p, bad, 0, 8))).toMatchObject(wanted)
    expect(svm.snapshot().mappings).toEqual(before)
    expectSame(await svm.read(p, Uint32Array, PATTERN.length), PATTERN)
  })

  test('munmap, mprotect and advise: parts of pages, words that there are not, a device of others, a mapping that is read-only', async () => {
    const svm = await open()
    const p = svm.allocFrom(PATTERN)
    await store(svm, p)
    await refused('invalid-value', () => svm.munmap(p + 4))
    await refused('invalid-value', () => svm.munmap(p, PAGE - 4))
    await refused('invalid-value', () => svm.munmap(p + PAGE, PAGE + 4))
    await refused('invalid-value', () => svm.mprotect(p + 4, 4, 'read'))
    for (const word of ['write', '', undefined, 1]) await refused('invalid-value', () => svm.mprotect(p, PAGE, word as 'read'))
    for (const word of ['soon', '', undefined, 1]) await refused('invalid-value', () => svm.advise(p, PAGE, word as 'random'))
    await refused('invalid-value', () => svm.advise(p, PAGE, 'will-need', {} as SvmDevice))
    const file = await svm.mmap(new CountingPager(), { label: 'mine' })
    await refused('access-violation', () => svm.mprotect(file, PAGE, 'read-write'))
    await refused('access-violation', () => svm.write(file, new Uint8Array(4)))
    expectSame(await svm.read(p, Uint32Array, PATTERN.length), PATTERN)
  })

  test('mmap: offsets, lengths, sources and words', async () => {
    const svm = await open()
    const pager = new CountingPager()
    for (const offset of [...BAD_SIZES, -PAGE, 100, 3 * PAGE, '0', null]) await refused('invalid-value', () => svm.mmap(pager, { offset: offset as number }))
    for (const byteLength of [...BAD_SIZES, 0, pager.size + 1, '8']) await refused('invalid-value', () => svm.mmap(pager, { byteLength: byteLength as number }))
    await refused('invalid-value', () => svm.mmap(pager, { offset: PAGE, byteLength: pager.size - PAGE + 1 }))
    await refused('invalid-value', () => svm.mmap(pager, { access: 'write' as 'read' }))
    await refused('invalid-value', () => svm.mmap(pager, { sharing: 'both' as 'shared' }))
    await refused('invalid-value', () => svm.mmap(pager, { label: 5 as unknown as string }))
    for (const size of [...BAD_SIZES, '5', undefined])
      await refused('invalid-value', () => svm.mmap({ size: size as number, read: async () => 0 }, { byteLength: 1 }))
    for (const bad of [null, undefined, {}, { size: 5 }, new Uint8Array(8)]) await refused('invalid-value', () => svm.mmap(bad as unknown as Pager))
    expect(pager.reads).toBe(0)
    const p = await svm.mmap(pager, { offset: PAGE, byteLength: pager.size - PAGE })
    expectSame(await svm.read(p, pager.size - PAGE), new Uint8Array(pager.size - PAGE).fill(9))
  })

  test('one bad range of a list refuses the list', async () => {
    const svm = await open()
    const p = svm.alloc(PAGE)
    const q = svm.alloc(PAGE)
    await refused('not-mapped', () => svm.queue.migrate([{ pointer: p }, { pointer: 4096 }]))
    await refused('invalid-value', () => svm.queue.migrate([{ pointer: p }, { pointer: q, byteLength: PAGE + 1 }]))
    await refused('not-mapped', () => svm.queue.free([p, q, 4096]))
    await refused('invalid-value', () => svm.queue.free([p, p]))
    expect(svm.residency(p, PAGE)[0]?.where).toBe('none')
    svm.free(p)
    svm.free(q)
  })

  test('sizes and options of alloc, writes beyond the end', async () => {
    const svm = await open()
    for (const size of BAD_SIZES) await refused('invalid-value', () => svm.alloc(size))
    await refused('invalid-value', () => svm.alloc(16, { alignment: 3 }))
    await refused('invalid-value', () => svm.alloc(16, { access: 'none' as 'read' }))
    await refused('invalid-value', () => svm.allocFrom([1, 2] as unknown as Uint8Array))
    const p = svm.alloc(100)
    await refused('invalid-value', () => svm.write(p, new Uint8Array(101)))
    await refused('invalid-value', () => svm.write(p, 'text' as unknown as Uint8Array))
    await refused('not-mapped', () => svm.write(0, new Uint8Array(1)))
    await refused('invalid-value', () => svm.map(p, 4, 'readwrite' as 'read'))
    expectSame(await svm.read(p, 100), new Uint8Array(100))
  })

  test('free: twice, inside, of what was never there', async () => {
    const svm = await open()
    const p = svm.alloc(2 * PAGE)
    await refused('not-mapped', () => svm.free(p + 4))
    await refused('not-mapped', () => svm.free(12_345))
    await refused('not-mapped', () => svm.free(Number.NaN))
    const q = svm.alloc(PAGE)
    let release: () => void = () => undefined
    // What was freed is refused from the call on, whether or not the free has run.
    svm.queue.free([0], { waitFor: [new Promise<void>((resolve) => (release = resolve))] })
    svm.free(p)
    await refused('not-mapped', () => svm.free(p))
    const freeing = svm.queue.free([q, 0])
    await refused('not-mapped', () => svm.queue.free([q]))
    await refused('not-mapped', () => svm.queue.migrate({ pointer: q }))
    release()
    await freeing.done
    await refused('not-mapped', () => svm.free(p))
    await refused('not-mapped', () => svm.queue.free([q]))
  })

  test('copies that overlap, fills that do not fit their pattern', async () => {
    const svm = await open()
    const p = svm.allocFrom(words(256, (i) => i))
    await store(svm, p)
    await refused('invalid-value', () => svm.queue.memcpy(p, p, 4))
    await refused('invalid-value', () => svm.queue.memcpy(p + 10, p, 20))
    await refused('invalid-value', () => svm.queue.memcpy(p, p + 10, 20))
    await refused('invalid-value', () => svm.queue.memcpy(new Uint8Array(3), p, 4))
    await refused('invalid-value', () => svm.queue.memcpy(p, new Uint8Array(3), 4))
    await refused('invalid-value', () => svm.queue.memcpy('p' as unknown as number, p, 4))
    await refused('invalid-value', () => svm.queue.memcpy(p, p + 512))
    for (const size of [0, 3, 24, 256]) await refused('invalid-value', () => svm.queue.memfill(p, new Uint8Array(size), 768))
    await refused('invalid-value', () => svm.queue.memfill(p + 2, Uint32Array.of(1), 16))
    await refused('invalid-value', () => svm.queue.memfill(p, Uint32Array.of(1), 18))
    await refused('invalid-value', () => svm.queue.memfill(p, 7 as unknown as Uint8Array, 16))
    expectSame(
      await svm.read(p, Uint32Array, 256),
      words(256, (i) => i),
    )
    await svm.queue.memcpy(p + 20, p, 20).done
  })

  test('options of migrate', async () => {
    const svm = await open()
    const p = svm.alloc(PAGE)
    await refused('invalid-value', () => svm.queue.migrate({ pointer: p }, { to: 'gpu' as 'device' }))
    await refused('invalid-value', () => svm.queue.migrate({ pointer: p }, { mode: 'some' as 'best-effort' }))
  })
})

describe('kernels', () => {
  const ARGS = 'struct Args { p: svm_ptr, n: u32, v: vec2f }\n@group(0) @binding(0) var<uniform> args: Args;\n'
  const HEAD = `${ARGS}@compute @workgroup_size(4)\nfn k(@builtin(global_invocation_id) id: vec3u) {\n`

  test.each([
    ['a type error', `${HEAD}  let x = 1u;\n  let y: f32 = x;\n}`, /line 6:\d+/],
    ['a type error after blank lines and comments', `/* one\ntwo */\n\n\n${HEAD}  svm_store_u32(args.p, 1.5f);\n}`, /line 9:\d+/],
    ['an unknown name', `${HEAD}  svm_store_u32(args.p, frobnicate);\n}`, /line 5:\d+.*frobnicate/],
    ['a missing bracket', `${HEAD}  svm_store_u32(args.p, 1u;\n}`, /line \d+/],
    ['an operator on a pointer', `${HEAD}  let q = args.p + 4u;\n  svm_store_u32(q, 1u);\n}`, /line 5:\d+.*svm_add/],
    ['a comparison of pointers', `${HEAD}  let q = args.p;\n  if (q == SVM_NULL) { return; }\n  svm_store_u32(q, 1u);\n}`, /line 6:\d+.*svm_equal/],
    ['a pointer as a number', `${HEAD}  svm_store_u32(args.p, args.p);\n}`, /line 5:\d+/],
    ['a function called svm_…', `fn svm_mine() {}\n${HEAD}}`, /line 1:\d+.*svm_mine/],
    ['a variable called svm_…', `${HEAD}  let svm_x = 1u;\n}`, /line 5:\d+.*svm_x/],
    ['a struct called svm_…', `struct svm_s { x: u32 }\n${HEAD}}`, /line 1:\d+.*'svm_s' cannot be declared/],
    ['a member called svm_…', `struct S { svm_m: u32 }\n${HEAD}}`, /line 1:\d+.*'svm_m' cannot be declared/],
    ['an argument called svm_…', `${HEAD}}`.replace('n: u32', 'svm_n: u32'), /line 1:\d+.*'svm_n' cannot be declared/],
    ['an entry point called svm_…', `${HEAD}}`.replace('fn k(', 'fn svm_k('), /line 4:\d+.*'svm_k' cannot be declared/, 'svm_k'],
    ['a constant called svm_…', `const svm_c = 1u;\n${HEAD}}`, /line 1:\d+.*'svm_c' cannot be declared/],
    ['an override called svm_…', `@id(1) override svm_o: u32 = 1u;\n${HEAD}}`, /line 1:\d+.*'svm_o' cannot be declared/],
    ['a parameter called svm_…', `fn f(x: u32, svm_p: u32) -> u32 { return x; }\n${HEAD}}`, /line 1:\d+.*'svm_p' cannot be declared/],
    ['a function that the runtime has not', `${HEAD}  svm_store_u64(args.p, 1u);\n}`, /line 5:\d+.*svm_store_u64.*did you mean/],
    ["a binding in the runtime's group", `@group(3) @binding(0) var<storage, read> b: array<u32>;\n${HEAD}  _ = b[0];\n}`, /line 1:\d+.*group 3/],
    ['two argument structs', `struct B { x: u32 }\n@group(1) @binding(0) var<uniform> b: B;\n${HEAD}  svm_store_u32(args.p, b.x);\n}`, /line \d+:\d+/],
  ] as [string, string, RegExp, string?][])('%s', async (_, code, message, entryPoint = 'k') => {
    const svm = await open()
    const error = await refused('build-failed', () => svm.createKernel({ code, entryPoint, label: 'broken' }))
    expect(error.message).toMatch(message)
    expect(error).toMatchObject({ kernel: 'broken' })
  })

  test('entry points, overrides and options that are not there', async () => {
    const svm = await open()
    const code = `${HEAD}  svm_store_u32(args.p, args.n);\n}\nfn plain() {}`
    expect((await refused('build-failed', () => svm.createKernel({ code, entryPoint: 'nothing' }))).message).toMatch(/'k'/)
    await refused('build-failed', () => svm.createKernel({ code, entryPoint: 'plain' }))
    await refused('build-failed', () => svm.createKernel({ code: '', entryPoint: 'k' }))
    await refused('invalid-value', () => svm.createKernel({ code, entryPoint: 'k', constants: { width: 1 } }))
    await refused('invalid-value', () => svm.createKernel({ code: 5 as unknown as string, entryPoint: 'k' }))
    await refused('invalid-value', () => svm.createKernel({ code, entryPoint: 'k', class: 'racy' as 'transactional' }))
    await refused('invalid-value', () => svm.createKernel({ code, entryPoint: 'k', reach: 'all' as 'any' }))
  })

  test('launches', async () => {
    const svm = await open()
    const p = svm.alloc(PAGE)
    await store(svm, p)
    const code = `${HEAD}  svm_store_u32(args.p, args.n + u32(args.v.x));\n}`
    const kernel = await svm.createKernel({ code, entryPoint: 'k', label: 'mine' })
    const good = { p, n: 1, v: [1, 2] }
    const launch = (args: Record<string, unknown>, more: object = {}) =>
      refused('invalid-value', () => svm.queue.enqueue(kernel, { args: args as typeof good, global: 4, ...more }))
    expect((await launch({ p, n: 1 })).message).toMatch(/'v' .*missing/)
    expect((await launch({ ...good, x: 1 })).message).toMatch(/no argument 'x'.*p, n, v/)
    for (const bad of [-1, 2 ** 32, 0.5, Number.NaN, '1', null, [1], 1n << 40n]) {
      await launch({ ...good, p: bad })
      await launch({ ...good, n: bad })
    }
    for (const bad of [1, [1], [1, 2, 3], ['a', 'b'], new Float32Array(3)]) await launch({ ...good, v: bad })
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 32, [], [1, 2, 3, 4], [65536 * 4, 65536 * 4]]) await launch(good, { global: bad })
    for (const bad of [-1, 0.5, [0, 0, 0, 0]]) await launch(good, { offset: bad })
    for (const bad of [8, [4, 2], 0, [2, 2]]) await launch(good, { local: bad })
    await launch(good, { bindGroups: [undefined, undefined, undefined, undefined] })
    await refused('invalid-value', () => svm.queue.enqueue({} as typeof kernel, { args: {}, global: 1 }))
    await svm.queue.enqueue(kernel, { args: good, global: 4, local: 4 }).done
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(2)
  })

  test('a remainder in a kernel with barriers', async () => {
    const svm = await open()
    const p = svm.alloc(64)
    const kernel = await svm.createKernel({
      code: `${HEAD}  workgroupBarrier();\n  svm_store_u32(svm_index(args.p, id.x, 4u), args.n + u32(args.v.x));\n}`,
      entryPoint: 'k',
    })
    const error = await refused('invalid-value', () => svm.queue.enqueue(kernel, { args: { p, n: 1, v: [0, 0] }, global: 6 }))
    expect(error.message).toMatch(/barriers/)
  })
})

describe('opening a space', () => {
  test.each([
    ['no device', {}],
    ['no GPUDevice', { device: {} as GPUDevice }],
    ['a page size that is no power of two', { pageSize: 5000 }],
    ['a page size that is too small', { pageSize: 2048 }],
    ['a page size that is too large', { pageSize: 4 * MIB }],
    ['a budget below the minimum', { pageSize: 64 * KIB, deviceMemory: 512 * KIB }],
    ['a negative budget', { deviceMemory: -1 }],
    ['a host cache of nothing', { hostCache: 0 }],
    ['address bits', { addressBits: 48 as 64 }],
    ['more storage buffers than there are', { authorStorageBuffers: 1000 }],
  ])('%s', async (name, options: SvmOptions) => {
    const device = name.startsWith('no ') ? {} : { device: webgpuDevice(gpu.device) }
    const before = await fresh()
    const made = vi.spyOn(gpu.device, 'createBuffer')
    await refused('invalid-value', () => openSvm({ ...device, ...options }))
    expect(made).not.toHaveBeenCalled()
    made.mockRestore()
    expect(await fresh()).toEqual(before)
  })

  /** What a new space on the device says of itself. */
  async function fresh(): Promise<SvmStats> {
    const svm = await gpu.open()
    await svm.queue.migrate({ pointer: svm.allocFrom(PATTERN) }).done
    const stats = svm.stats()
    await svm.close()
    return stats
  }

  test('the smallest budget that its message names does work', async () => {
    const error = await refused('invalid-value', () => gpu.open({ pageSize: 64 * KIB, deviceMemory: 100 }))
    const least = Number(/\((\d+) bytes\)/.exec(error.message)?.[1])
    await refused('invalid-value', () => gpu.open({ pageSize: 64 * KIB, deviceMemory: least - 1 }))
    const svm = await gpu.open({ pageSize: 64 * KIB, deviceMemory: least })
    const p = svm.alloc(MIB)
    const code = `struct Args { p: svm_ptr }\n@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) { svm_store_u32(svm_index(args.p, id.x, 65536u), id.x); }`
    await svm.queue.enqueue(await svm.createKernel({ code, entryPoint: 'k' }), { args: { p }, global: 16 }).done
    const got = await svm.read(p, Uint32Array, MIB / 4)
    for (let n = 0; n < 16; n++) expect(got[n * 16384]).toBe(n)
    expect(svm.stats().devices[0]?.peakBytes).toBeLessThanOrEqual(least)
  })

  test('one space a device at a time, whatever wraps it; another after close', async () => {
    const { device } = gpu
    const first = await openSvm({ device, pageSize: PAGE, deviceMemory: MIB })
    await refused('invalid-value', () => openSvm({ device }))
    await refused('invalid-value', () => openSvm({ device: webgpuDevice(device) }))
    await first.close()
    const wrapped = webgpuDevice(device)
    for (let n = 0; n < 2; n++) {
      for (const again of [device, wrapped]) {
        const svm = await openSvm({ device: again, pageSize: PAGE, deviceMemory: MIB })
        const p = svm.allocFrom(words(1024, (i) => i + n))
        await svm.queue.migrate({ pointer: p }).done
        expect((await svm.read(p, Uint32Array, 2))[1]).toBe(1 + n)
        await svm.close()
      }
    }
  })

  test('the budget of a second space on a device is its own', async () => {
    const big = await openSvm({ device: gpu.device, pageSize: PAGE, deviceMemory: 16 * MIB })
    await big.queue.migrate({ pointer: big.alloc(8 * MIB) }).done
    await big.close()
    const small = await openSvm({ device: gpu.device, pageSize: PAGE, deviceMemory: MIB })
    expect(small.stats().devices[0]?.peakBytes).toBeLessThanOrEqual(MIB)
    await small.close()
  })

  test('an aborted signal', async () => {
    await refused('aborted', () => openSvm({ device: webgpuDevice(gpu.device), signal: AbortSignal.abort() }))
    await refused('invalid-value', () => openSvm({ devices: Array.from({ length: 9 }, () => simDevice()) }))
    const svm = await open()
    await svm.read(0, 0)
  })
})

describe('what is not built yet says so', () => {
  test('and never looks like success', async () => {
    const svm = await open()
    const p = svm.alloc(PAGE)
    const pager: Pager = { size: 100, read: async () => 0, write: async () => undefined }
    await refused('unsupported', () => svm.adopt(new ArrayBuffer(PAGE)))
    await refused('unsupported', () => svm.release(p))
    await refused('unsupported', () => svm.msync(p))
    await refused('unsupported', () => svm.mmap(pager, { sharing: 'shared' }))
    await refused('unsupported', () => svm.mmap(pager, { access: 'read-write' }))
  })
})
