// The device contract on a real GPUDevice (hardware, or the packaged software GPU). Skipped, with the reason, where there is none.

import { afterEach, describe, expect, test } from 'vitest'
import { findGpu } from '../../node/adapter.ts'
import { type DeviceBuffer, DeviceFailure, type DispatchBindings, type ProgramDescriptor, ProgramFailure } from '../device.ts'
import { WebgpuDevice } from './webgpu-device.ts'

const KIB = 1024
const MIB = 1024 * 1024
const found = await findGpu().catch((error: Error) => error.message)
if (typeof found === 'string') console.warn(`GPU tests are skipped: ${found}`)

const opened: GPUDevice[] = []
async function openDevice(readback?: { ringBytes: number; slotBytes: number }): Promise<{ device: WebgpuDevice; gpu: GPUDevice }> {
  if (typeof found === 'string') throw new Error(found)
  const gpu = await found.device()
  opened.push(gpu)
  const device = new WebgpuDevice(gpu)
  if (readback !== undefined) device.configure(readback)
  return { device, gpu }
}
afterEach(() => {
  for (const gpu of opened.splice(0)) gpu.destroy()
})

/** Bytes that differ everywhere: word i is i times an odd number. */
function pattern(byteLength: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(byteLength / 4))
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + seed, 0x9e3779b1)
  return new Uint8Array(words.buffer, 0, byteLength)
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

describe.skipIf(typeof found === 'string')('bytes', () => {
  test('go there and back, at any offset and length', async () => {
    const { device } = await openDevice()
    const pool = await device.createBuffer('pool', 64 * KIB, 'a')
    const bytes = pattern(64 * KIB)
    device.write(pool, 0, bytes)
    const whole = new Uint8Array(64 * KIB)
    const odd = new Uint8Array(1001)
    await device.submit(
      [],
      [
        { from: pool, offset: 0, into: whole },
        { from: pool, offset: 4099, into: odd },
      ],
    )
    expect(same(whole, bytes)).toBe(true)
    expect(same(odd, bytes.subarray(4099, 4099 + 1001))).toBe(true)
    expect(device.counters.submits).toBe(1)
    expect(device.counters.maps).toBe(1)
  })

  test('of shared memory are written, and the array may change at once', async () => {
    const { device } = await openDevice()
    const pool = await device.createBuffer('pool', 3 * MIB, 'shared')
    const shared = new Uint8Array(new SharedArrayBuffer(3 * MIB))
    shared.set(pattern(3 * MIB))
    device.write(pool, 0, shared)
    shared.fill(0)
    const back = new Uint8Array(new SharedArrayBuffer(3 * MIB))
    await device.submit([], [{ from: pool, offset: 0, into: back }])
    expect(same(back, pattern(3 * MIB))).toBe(true)
  })

  test('copies and clears come in their order', async () => {
    const { device, gpu } = await openDevice()
    const pool = await device.createBuffer('pool', 4096, 'a')
    const bounce = await device.createBuffer('bounce', 4096, 'b')
    const foreign = device.foreignBuffer(gpu.createBuffer({ size: 4096, usage: 12 }))
    device.write(pool, 0, pattern(4096))
    const into = new Uint8Array(4096)
    await device.submit(
      [
        { kind: 'copy', from: pool, fromOffset: 0, to: bounce, toOffset: 0, byteLength: 4096 },
        { kind: 'clear', buffer: pool, offset: 0, byteLength: 4096 },
        { kind: 'copy', from: bounce, fromOffset: 0, to: foreign, toOffset: 0, byteLength: 4096 },
        { kind: 'copy', from: foreign, fromOffset: 1024, to: pool, toOffset: 0, byteLength: 1024 },
      ],
      [{ from: pool, offset: 0, into }],
    )
    const expected = new Uint8Array(4096)
    expected.set(pattern(4096).subarray(1024, 2048))
    expect(same(into, expected)).toBe(true)
    await device.submit([])
  })
})

describe.skipIf(typeof found === 'string')('work that is held', () => {
  test('goes with the next submission, or before a write to what it names, or its end', async () => {
    const { device } = await openDevice()
    const [a, b, c] = [
      await device.createBuffer('pool', 4096, 'a'),
      await device.createBuffer('bounce', 4096, 'b'),
      await device.createBuffer('pool', 4096, 'c'),
    ]
    const copy = (from: DeviceBuffer, to: DeviceBuffer) => ({ kind: 'copy', from, fromOffset: 0, to, toOffset: 0, byteLength: 4096 }) as const
    const read = async (from: DeviceBuffer) => {
      const into = new Uint8Array(4096)
      await device.submit([], [{ from, offset: 0, into }])
      return [1, 2, 3].find((seed) => same(into, pattern(4096, seed)))
    }
    device.write(a, 0, pattern(4096, 1))
    device.hold([copy(a, b)])
    device.write(c, 0, pattern(4096, 3))
    expect([device.counters.submits, await read(b), device.counters.submits]).toEqual([0, 1, 1])
    device.hold([copy(a, b)])
    device.write(a, 0, pattern(4096, 2))
    expect([device.counters.submits, await read(b)]).toEqual([2, 1])
    device.hold([copy(a, b), copy(b, c)])
    a.destroy()
    expect([device.counters.submits, await read(c)]).toEqual([4, 2])
  })
})

describe.skipIf(typeof found === 'string')('work that comes again', () => {
  /** The order of encoders made and submissions, as letters. */
  function watch(gpu: GPUDevice): string[] {
    const calls: string[] = []
    const { queue } = gpu
    const make = gpu.createCommandEncoder.bind(gpu)
    const submit = queue.submit.bind(queue)
    const noted = <T>(letter: string, result: T) => {
      calls.push(letter)
      return result
    }
    Object.defineProperty(gpu, 'createCommandEncoder', { value: () => noted('e', make()) })
    Object.defineProperty(queue, 'submit', { value: (buffers: GPUCommandBuffer[]) => noted('S', submit(buffers)) })
    return calls
  }

  test('is encoded while the device is busy with it, and does then what it does', async () => {
    const { device, gpu } = await openDevice()
    const calls = watch(gpu)
    const pool = await device.createBuffer('pool', 4096, 'a')
    const bounce = await device.createBuffer('bounce', 4096, 'b')
    const work = [{ kind: 'copy', from: pool, fromOffset: 0, to: bounce, toOffset: 0, byteLength: 4096 }] as const
    const into = new Uint8Array(4096)
    const readbacks = [{ from: bounce, offset: 0, into }]
    for (const seed of [1, 2, 3]) {
      device.write(pool, 0, pattern(4096, seed))
      await device.submit(work, readbacks, seed < 3)
      expect(same(into, pattern(4096, seed))).toBe(true)
    }
    expect(calls.join('')).toBe('eSeSeS')
    expect(device.counters).toMatchObject({ submits: 3, maps: 3 })
  })

  test('is encoded anew when its slot is taken, or when other work came instead', async () => {
    const { device, gpu } = await openDevice()
    const calls = watch(gpu)
    const pool = await device.createBuffer('pool', 4096, 'a')
    device.write(pool, 0, pattern(4096))
    const into = new Uint8Array(4096)
    const other = new Uint8Array(4096)
    const work = [{ kind: 'clear', buffer: pool, offset: 0, byteLength: 1024 }] as const
    const readbacks = [{ from: pool, offset: 0, into }]
    await device.submit(work, readbacks, true)
    device.write(pool, 0, pattern(4096, 2))
    await Promise.all([device.submit([], [{ from: pool, offset: 0, into: other }]), device.submit(work, readbacks, true)])
    expect(same(other, pattern(4096, 2))).toBe(true)
    const cleared = pattern(4096, 2)
    cleared.fill(0, 0, 1024)
    expect(same(into, cleared)).toBe(true)
    await device.submit([...work], readbacks, false)
    expect(calls.join('')).toBe('eSeeSeSeeS')
  })
})

describe.skipIf(typeof found === 'string')('the read-back ring', () => {
  test('never holds more than it may, and brings home far more than it holds', async () => {
    const { device } = await openDevice({ ringBytes: 256 * KIB, slotBytes: 64 * KIB })
    const pool = await device.createBuffer('pool', 4 * MIB, 'big')
    const before = device.liveBytes
    device.write(pool, 0, pattern(4 * MIB))
    const sizes = [4 * MIB - 12, 5, 70 * KIB, 4 * KIB, 300 * KIB]
    const intos = sizes.map((size) => new Uint8Array(size))
    await Promise.all(intos.map((into, i) => device.submit([], [{ from: pool, offset: i * 4, into }])))
    for (const [i, into] of intos.entries()) expect(same(into, pattern(4 * MIB).subarray(i * 4, i * 4 + into.byteLength))).toBe(true)
    expect(device.peakBytes - before).toBeLessThanOrEqual(256 * KIB)
    expect(device.liveBytes).toBeLessThanOrEqual(device.peakBytes)
  })

  test('keeps the order: a write behind a read-back that waits for slots does not reach into it', async () => {
    const { device } = await openDevice({ ringBytes: 8 * KIB, slotBytes: 4 * KIB })
    const pool = await device.createBuffer('pool', MIB, 'p')
    device.write(pool, 0, pattern(MIB, 1))
    const first = new Uint8Array(MIB)
    const second = new Uint8Array(MIB)
    const one = device.submit([], [{ from: pool, offset: 0, into: first }])
    const change = pattern(MIB, 2)
    device.write(pool, 0, change)
    change.fill(0)
    const two = device.submit([], [{ from: pool, offset: 0, into: second }])
    pool.destroy()
    await Promise.all([one, two])
    expect(same(first, pattern(MIB, 1))).toBe(true)
    expect(same(second, pattern(MIB, 2))).toBe(true)
    expect(device.liveBytes).toBe(8 * KIB)
  })

  test('serves many small read-backs of one submission with one slot', async () => {
    const { device } = await openDevice({ ringBytes: MIB, slotBytes: 256 * KIB })
    const pool = await device.createBuffer('pool', 256 * KIB, 'p')
    device.write(pool, 0, pattern(256 * KIB))
    const readbacks = Array.from({ length: 100 }, (_, i) => ({ from: pool, offset: (i * 7919 * 4) % (200 * KIB), into: new Uint8Array(64 + i) }))
    await device.submit([], readbacks)
    for (const { offset, into } of readbacks) expect(same(into, pattern(256 * KIB).subarray(offset, offset + into.byteLength))).toBe(true)
    expect(device.counters.maps).toBe(1)
  })
})

describe.skipIf(typeof found === 'string')('buffers', () => {
  test('are counted, and a shortage is a failure that leaves nothing behind', async () => {
    const { device } = await openDevice()
    const made = await device.createBuffer('table', 1000, 't')
    expect(device.liveBytes).toBe(1000)
    await expect(device.createBuffer('pool', 64 * 1024 * MIB, 'huge')).rejects.toMatchObject({ name: 'DeviceFailure', reason: 'no-memory' })
    expect(device.liveBytes).toBe(1000)
    expect(device.peakBytes).toBe(1000)
    made.destroy()
    made.destroy()
    expect(device.liveBytes).toBe(0)
    await device.submit([])
    device.release()
    expect(device.liveBytes).toBe(0)
  })

  test('a submission of a foreign buffer that the device refuses rejects', async () => {
    const { device } = await openDevice()
    const pool = await device.createBuffer('pool', 4096, 'p')
    const foreign = device.foreignBuffer((pool as unknown as { gpu: GPUBuffer }).gpu)
    await expect(device.submit([{ kind: 'clear', buffer: foreign, offset: 0, byteLength: 8192 }])).rejects.toMatchObject({ code: 'invalid-value' })
    await expect(device.submit([], [{ from: foreign, offset: 4096, into: new Uint8Array(8) }])).rejects.toMatchObject({ code: 'invalid-value' })
    const into = new Uint8Array(8).fill(1)
    await device.submit([], [{ from: pool, offset: 0, into }])
    expect(into).toEqual(new Uint8Array(8))
  })
})

const CODE = `
@group(3) @binding(0) var<storage, read> table: array<u32>;
@group(3) @binding(1) var<storage, read_write> faults: array<atomic<u32>>;
@group(3) @binding(2) var<storage, read> control: array<u32>;
@group(3) @binding(3) var<uniform> args: vec4<u32>;
@group(3) @binding(4) var<storage, read_write> pool0: array<u32>;
@group(3) @binding(5) var<storage, read_write> pool1: array<u32>;
@group(1) @binding(2) var<storage, read> more: array<u32>;
override scale: u32 = 1u;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  pool0[i] = table[0] + control[0] + args.x * scale + i + more[0];
  pool1[0] = 77u;
  atomicAdd(&faults[0], 1u);
}`

const PROGRAM: ProgramDescriptor = {
  label: 'test',
  variant: 'attempt',
  code: CODE,
  entryPoint: 'main',
  constants: { scale: 10 },
  pools: 2,
  hasArguments: true,
  authorBindings: [{ group: 1, binding: 2, name: 'more', kind: 'read-only-storage', type: 'array<u32>' }],
  workgroupSize: [64, 1, 1],
  guard: false,
  startTainted: false,
  abort: 'ignored',
  addressBits: 32,
  pageShift: 16,
}

describe.skipIf(typeof found === 'string')('programs', () => {
  async function parts(device: WebgpuDevice): Promise<DispatchBindings & { pool: DeviceBuffer }> {
    const pool = await device.createBuffer('pool', 4096, 'pool')
    const [table, faults, control] = await Promise.all((['table', 'faults', 'control'] as const).map((role) => device.createBuffer(role, 256, role)))
    const args = await device.createBuffer('arguments', 4, 'args')
    device.write(table, 0, new Uint8Array(Uint32Array.of(1000).buffer))
    device.write(control, 0, new Uint8Array(Uint32Array.of(2000).buffer))
    device.write(args, 0, new Uint8Array(Uint32Array.of(5).buffer))
    return { table, faults, control, args, pools: [pool, null], pool }
  }

  test('run with the runtime group, the author groups and placeholders', async () => {
    const { device, gpu } = await openDevice()
    const program = await device.createProgram(PROGRAM)
    const bindings = await parts(device)
    const more = gpu.createBuffer({ size: 16, usage: 0x88 })
    gpu.queue.writeBuffer(more, 0, Uint32Array.of(100000))
    const layout = device.bindGroupLayouts(program)[1]
    const group = gpu.createBindGroup({ layout, entries: [{ binding: 2, resource: { buffer: more } }] })
    const before = device.liveBytes
    const dispatch = { kind: 'dispatch', program, bindings, groups: [2, 1, 1], authorGroups: [undefined, group], args: {} } as const
    const words = new Uint32Array(128)
    const count = new Uint32Array(1)
    await device.submit(
      [dispatch, dispatch],
      [
        { from: bindings.pool, offset: 0, into: new Uint8Array(words.buffer) },
        { from: bindings.faults, offset: 0, into: new Uint8Array(count.buffer) },
      ],
    )
    expect(Array.from(words)).toEqual(Array.from(words, (_, i) => 103050 + i))
    expect(count[0]).toBe(256)
    expect(device.liveBytes - before).toBe(256 + 4096)
    // Another variant of the kernel takes the same author group.
    const second = await device.createProgram({ ...PROGRAM, constants: {} })
    await device.submit([{ ...dispatch, program: second }], [{ from: bindings.pool, offset: 0, into: new Uint8Array(words.buffer) }])
    expect(words[0]).toBe(103005)
    await expect(device.submit([{ ...dispatch, authorGroups: [] }])).rejects.toMatchObject({ code: 'invalid-value' })
  })

  test('that do not compile name the line', async () => {
    const { device } = await openDevice()
    const broken = device.createProgram({ ...PROGRAM, code: CODE.replace('77u', 'seven') })
    await expect(broken).rejects.toBeInstanceOf(ProgramFailure)
    const { messages } = (await broken.catch((error) => error)) as ProgramFailure
    expect(messages[0]).toMatchObject({ type: 'error', line: 13, column: 14 })
    await expect(device.createProgram({ ...PROGRAM, entryPoint: 'nobody' })).rejects.toBeInstanceOf(ProgramFailure)
    await expect(device.createProgram({ ...PROGRAM, constants: { nothing: 1 } })).rejects.toBeInstanceOf(ProgramFailure)
    expect(await device.checkText(CODE)).toEqual([])
    expect((await device.checkText('fn a() -> u32 { return 1.5f; }'))[0]).toMatchObject({ type: 'error', line: 1 })
    await device.createProgram(PROGRAM)
  })

  test('get layouts for textures and samplers from their types', async () => {
    const { device } = await openDevice()
    const code = `
@group(0) @binding(0) var t: texture_2d<f32>;
@group(0) @binding(1) var s: sampler;
@group(0) @binding(2) var d: texture_depth_2d;
@group(0) @binding(3) var o: texture_storage_2d<rgba8unorm, write>;
@group(2) @binding(0) var m: texture_multisampled_2d<f32>;
@group(2) @binding(1) var u: texture_3d<u32>;
@compute @workgroup_size(1) fn main() {
  let v = textureSampleLevel(t, s, vec2f(0), 0) + vec4f(textureLoad(d, vec2u(0), 0)) + textureLoad(m, vec2u(0), 0) + vec4f(textureLoad(u, vec3u(0), 0));
  textureStore(o, vec2u(0), v);
}`
    const authorBindings = [
      { group: 0, binding: 0, name: 't', kind: 'texture', type: 'texture_2d<f32>' },
      { group: 0, binding: 1, name: 's', kind: 'sampler', type: 'sampler' },
      { group: 0, binding: 2, name: 'd', kind: 'texture', type: 'texture_depth_2d' },
      { group: 0, binding: 3, name: 'o', kind: 'storage-texture', type: 'texture_storage_2d<rgba8unorm, write>' },
      { group: 2, binding: 0, name: 'm', kind: 'texture', type: 'texture_multisampled_2d<f32>' },
      { group: 2, binding: 1, name: 'u', kind: 'texture', type: 'texture_3d<u32>' },
    ] as const
    await device.createProgram({ ...PROGRAM, code, constants: {}, authorBindings })
  })
})

describe.skipIf(typeof found === 'string')('a loss', () => {
  test('rejects what is pending and what comes, and is told once', async () => {
    const { device, gpu } = await openDevice({ ringBytes: 64 * KIB, slotBytes: 4 * KIB })
    const pool = await device.createBuffer('pool', 8 * MIB, 'p')
    const told: string[] = []
    device.onLost((reason) => told.push(reason))
    const pending = [
      device.submit([], [{ from: pool, offset: 0, into: new Uint8Array(8 * MIB) }]),
      device.submit([]),
      device.createBuffer('pool', 4096, 'late'),
      device.createProgram(PROGRAM),
    ]
    gpu.destroy()
    const outcomes = await Promise.allSettled(pending)
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'DeviceFailure', reason: 'lost' } })
    expect(device.lostReason).toContain('destroyed')
    expect(told).toEqual([device.lostReason])
    device.write(pool, 0, new Uint8Array(16))
    await expect(device.submit([])).rejects.toBeInstanceOf(DeviceFailure)
    await expect(device.checkText('')).rejects.toBeInstanceOf(DeviceFailure)
    pool.destroy()
    device.release()
    expect(device.liveBytes).toBe(0)
  })

  test('release ends what waits', async () => {
    const { device } = await openDevice({ ringBytes: 8 * KIB, slotBytes: 4 * KIB })
    const pool = await device.createBuffer('pool', MIB, 'p')
    const waiting = device.submit([], [{ from: pool, offset: 0, into: new Uint8Array(MIB) }])
    device.release()
    await expect(waiting).rejects.toMatchObject({ reason: 'lost' })
    pool.destroy()
    expect(device.liveBytes).toBe(0)
  })
})
