// Where pages are, and how they move on request: migrate both ways, residency, what a move copies, copies and fills between all sides.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmKernel } from '../../src/index.ts'
import { KIB, MIB, PAGE, useGpu } from './device.ts'
import { expectSame, expectWithinBudget, noise, USAGE, words } from './regime.ts'

const gpu = useGpu()
const NOTHING = { moved: 0, discarded: 0, skipped: {}, bytesCopied: 0, ptesWritten: 0 }

/** Adds one to `count` words, a page apart. */
async function incrementer(svm: Svm): Promise<SvmKernel> {
  const code = `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.p, id.x, ${PAGE}u);
  svm_store_u32(p, svm_load_u32(p) + 1u);
}`
  return svm.createKernel({ code, entryPoint: 'k', label: 'increment' })
}

const READER = `struct Args { p: svm_ptr, out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) {
  svm_atomic_add_u32(args.out, svm_load_u32(svm_index(args.p, id.x, ${PAGE}u)));
}`

const where = (svm: Svm, p: number, byteLength: number) => svm.residency(p, byteLength).map((run) => `${run.where}${run.dirty ? '*' : ''}:${run.byteLength}`)

describe('migrate', () => {
  test('there and back; a second time moves nothing and leaves every mapping valid', async () => {
    const svm = await gpu.open()
    const data = words((10 * PAGE) / 4, noise(1))
    const p = svm.allocFrom(data)
    const { queue } = svm
    expect(await queue.migrate({ pointer: p }).done).toMatchObject({ moved: 10, present: 0, bytesCopied: 10 * PAGE })
    expect(where(svm, p, 10 * PAGE)).toEqual([`device:${10 * PAGE}`])
    expect(svm.residency(p, 10 * PAGE)[0]).toMatchObject({ device: svm.devices[0], systemMapped: [] })
    const before = svm.stats().devices[0]
    expect(await queue.migrate({ pointer: p }).done).toEqual({ ...NOTHING, present: 10 })
    expect(svm.stats().devices[0]).toMatchObject({ mappingsLost: before?.mappingsLost, ptesWritten: before?.ptesWritten, bytesIn: before?.bytesIn })
    expect(await queue.migrate({ pointer: p }, { to: 'host' }).done).toMatchObject({ moved: 10, present: 0, bytesCopied: 0 })
    expect(await queue.migrate({ pointer: p }, { to: 'host' }).done).toEqual({ ...NOTHING, present: 10 })
    expectSame(await svm.read(p, Uint32Array, data.length), data)
  })

  test('only dirty pages are copied home, and pools go when empty', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words((8 * PAGE) / 4, (i) => i))
    const kernel = await incrementer(svm)
    await svm.queue.migrate({ pointer: p }).done
    expect(svm.stats().devices[0]?.pools).toBe(1)
    await svm.queue.enqueue(kernel, { args: { p }, global: 3 }).done
    expect(where(svm, p, 8 * PAGE)).toEqual([`device*:${3 * PAGE}`, `device:${5 * PAGE}`])
    expect(await svm.queue.migrate({ pointer: p }, { to: 'host' }).done).toMatchObject({ moved: 8, bytesCopied: 3 * PAGE })
    expect(svm.stats().devices[0]).toMatchObject({ pools: 0, framesUsed: 0 })
    expectSame(
      await svm.read(p, Uint32Array, (8 * PAGE) / 4),
      words((8 * PAGE) / 4, (i) => (i % 1024 === 0 && i < 3 * 1024 ? i + 1 : i)),
    )
  })

  test('single bytes at odd places, overlapping ranges, the same allocation several times', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words((6 * PAGE) / 4, (i) => i))
    const odd = await svm.queue.migrate({ pointer: p + PAGE + 17, byteLength: 1 }).done
    expect(odd).toMatchObject({ moved: 1, present: 0 })
    expect(where(svm, p, 6 * PAGE)).toEqual([`host:${PAGE}`, `device:${PAGE}`, `host:${4 * PAGE}`])
    const ranges = [{ pointer: p + 100, byteLength: 2 * PAGE }, { pointer: p + PAGE, byteLength: 2 * PAGE }, { pointer: p + 5 }]
    const done = await svm.queue.migrate(ranges).done
    expect(done.moved).toBe(5)
    expect(done.moved + done.present).toBe(3 + 2 + 6)
    expect(where(svm, p, 6 * PAGE)).toEqual([`device:${6 * PAGE}`])
    expect(where(svm, p + PAGE + 1, 10)).toEqual(['device:10'])
  })

  test('what is legal and does nothing', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(100)
    const empty = { ...NOTHING, present: 0 }
    expect(await svm.queue.migrate([]).done).toEqual(empty)
    expect(await svm.queue.migrate({ pointer: 0 }).done).toEqual(empty)
    expect(await svm.queue.migrate({ pointer: 4096, byteLength: 0 }).done).toEqual(empty)
    expect(await svm.queue.migrate({ pointer: p + 50, byteLength: 0 }).done).toMatchObject({ moved: 1 })
    expect(svm.alloc(0)).toBe(0)
    expect(svm.allocFrom(new Uint8Array(0))).toBe(0)
    svm.free(0)
    await svm.queue.free([0, 0]).done
    await svm.queue.memcpy(0, 12345, 0).done
    await svm.queue.memcpy(p, new Uint8Array(0)).done
    await svm.queue.memfill(3, Uint8Array.of(1, 2), 0).done
    await svm.write(0, new Uint8Array(0))
    expect((await svm.read(77, 0)).length).toBe(0)
    expect(svm.residency(0, 0)).toEqual([])
    const mapping = await svm.map(0, 0, 'read-write')
    expect(mapping.bytes.length).toBe(0)
    mapping.unmap()
    const queued = await svm.queue.map(0, 0, 'read').done
    queued.unmap()
  })

  test('pages never touched are zero, and cost no copy', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(4 * PAGE)
    expect(where(svm, p, 4 * PAGE)).toEqual([`none:${4 * PAGE}`])
    expect(await svm.queue.migrate({ pointer: p }).done).toMatchObject({ moved: 4, bytesCopied: 0 })
    expectSame(await svm.read(p, 4 * PAGE), new Uint8Array(4 * PAGE))
    // Frames that held other data before show zeros too.
    const other = svm.allocFrom(words((64 * PAGE) / 4, () => 0xdeadbeef))
    await svm.queue.migrate({ pointer: other }).done
    svm.free(other)
    const fresh = svm.alloc(64 * PAGE)
    const kernel = await svm.createKernel({ code: READER, entryPoint: 'k' })
    const out = svm.alloc(4)
    await svm.queue.migrate([{ pointer: fresh }, { pointer: out }]).done
    await svm.queue.enqueue(kernel, { args: { p: fresh, out }, global: 64 }).done
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(0)
  })

  test('contentUndefined drops only pages wholly inside', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words((4 * PAGE) / 4, () => 7))
    const done = await svm.queue.migrate({ pointer: p + 100, byteLength: 3 * PAGE }, { contentUndefined: true }).done
    expect(done).toMatchObject({ moved: 2, discarded: 2, bytesCopied: 2 * PAGE })
    const got = await svm.read(p, Uint32Array, (4 * PAGE) / 4)
    for (const i of [0, 24, 25, 1023, 3 * 1024, 3 * 1024 + 24, 3 * 1024 + 25, 4095]) expect(got[i]).toBe(7)
    const home = await svm.queue.migrate({ pointer: p }, { to: 'host', contentUndefined: true }).done
    expect(home.bytesCopied).toBe(0)
  })

  test('more than fits: best effort says what did not, all-or-nothing leaves everything', async () => {
    const svm = await gpu.open({ deviceMemory: MIB })
    const p = svm.allocFrom(words((2 * MIB) / 4, (i) => i))
    await expect(svm.queue.migrate({ pointer: p }, { mode: 'all-or-nothing' }).done).rejects.toMatchObject({ code: 'device-memory' })
    expect(where(svm, p, 2 * MIB)).toEqual([`host:${2 * MIB}`])
    const done = await svm.queue.migrate({ pointer: p }).done
    expect(done.moved).toBeGreaterThan(50)
    expect(done.moved + (done.skipped['no-memory'] ?? 0)).toBe(512)
    expectWithinBudget(svm)
    expectSame(
      await svm.read(p, Uint32Array, (2 * MIB) / 4),
      words((2 * MIB) / 4, (i) => i),
    )
  })
})

describe('reading maps a copy', () => {
  test('a kernel that reads leaves the host the master; one that writes takes the page', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words((3 * PAGE) / 4, (i) => i))
    const out = svm.alloc(4)
    const reader = await svm.createKernel({ code: READER, entryPoint: 'k' })
    await svm.queue.enqueue(reader, { args: { p, out }, global: 3 }).done
    expect(svm.residency(p, 3 * PAGE)).toMatchObject([{ where: 'host', systemMapped: [svm.devices[0]], dirty: false }])
    expect(svm.stats().devices[0]).toMatchObject({ systemCopies: 3, bytesOut: 0 })
    // Turning them device-private copies nothing.
    expect(await svm.queue.migrate({ pointer: p }).done).toMatchObject({ moved: 3, bytesCopied: 0 })
    await svm.queue.migrate({ pointer: p }, { to: 'host' }).done
    await svm.queue.enqueue(reader, { args: { p, out }, global: 3 }).done
    // The host writes: the copy must go.
    await svm.write(p, Uint32Array.of(1000))
    expect(svm.residency(p, 3 * PAGE)[0]).toMatchObject({ systemMapped: [], byteLength: PAGE })
    await svm.write(out, Uint32Array.of(0))
    await svm.queue.enqueue(reader, { args: { p, out }, global: 3 }).done
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(1000 + 1024 + 2048)
    await svm.queue.enqueue(await incrementer(svm), { args: { p }, global: 3 }).done
    expect(where(svm, p, 3 * PAGE)).toEqual([`device*:${3 * PAGE}`])
    // A host read brings the bytes home once, and leaves the device a clean copy.
    const { bytesOut } = svm.stats().devices[0] ?? { bytesOut: -1 }
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(1001)
    expect(svm.stats().devices[0]?.bytesOut).toBe(bytesOut + PAGE)
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(1001)
    expect(svm.stats().devices[0]?.bytesOut).toBe(bytesOut + PAGE)
    expect(svm.residency(p, PAGE)[0]).toMatchObject({ dirty: false })
  })
})

describe('copies', () => {
  const sides = ['host', 'device'] as const
  for (const from of sides) {
    for (const to of sides) {
      test(`memcpy at odd offsets, ${from} to ${to}`, async () => {
        const svm = await gpu.open()
        const data = new Uint8Array(words(5000, noise(3)).buffer)
        const a = svm.allocFrom(data)
        const b = svm.allocFrom(new Uint8Array(data.length).fill(9))
        if (from === 'device') await svm.queue.migrate({ pointer: a }).done
        if (to === 'device') await svm.queue.migrate({ pointer: b }).done
        svm.queue.memcpy(b + 1001, a + 13, 9999)
        const wanted = new Uint8Array(data.length).fill(9)
        wanted.set(data.subarray(13, 13 + 9999), 1001)
        expectSame(await svm.read(b, data.length), wanted)
        expectSame(await svm.read(a, data.length), data)
      })
    }
  }

  test('memcpy with a view of the program on either side, and on both', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(100)
    const source = Uint8Array.from({ length: 40 }, (_, i) => i + 1)
    svm.queue.memcpy(p + 3, source.subarray(10))
    source.fill(0)
    const back = new Uint8Array(30)
    const there = new Float32Array(2)
    svm.queue.memcpy(back, p + 3)
    svm.queue.memcpy(there, Float32Array.of(1.5, 2.5))
    await svm.queue.finish()
    expect([...back]).toEqual([...Array(30).keys()].map((i) => i + 11))
    expect([...there]).toEqual([1.5, 2.5])
  })

  test('memfill with patterns of 1 to 128 bytes', async () => {
    const svm = await gpu.open()
    for (let size = 1; size <= 128; size *= 2) {
      const p = svm.alloc(3 * PAGE)
      await svm.queue.migrate({ pointer: p }).done
      const pattern = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 0xff)
      svm.queue.memfill(p + 256, pattern, 2 * PAGE)
      pattern.fill(0)
      const got = await svm.read(p, 3 * PAGE)
      for (let i = 0; i < got.length; i++) {
        const inside = i >= 256 && i < 256 + 2 * PAGE
        const wanted = inside ? (((i - 256) % size) * 7 + size) & 0xff : 0
        if (got[i] !== wanted) expect({ size, i, byte: got[i] }).toEqual({ size, i, byte: wanted })
      }
      svm.free(p)
    }
  })

  test("between the space and a GPUBuffer of the program's", async () => {
    const svm = await gpu.open()
    const { device } = gpu
    const data = words(2048, noise(5))
    const buffer = device.createBuffer({ size: 8192 + 64, usage: USAGE.copySource | USAGE.copyDestination })
    const p = svm.allocFrom(data)
    const q = svm.alloc(8192)
    await svm.queue.migrate({ pointer: p }).done
    svm.queue.copyToBuffer(p + 4, buffer, 64, 8188)
    svm.queue.copyFromBuffer(buffer, 64, q, 8188)
    expectSame((await svm.read(q, Uint32Array, 2048)).subarray(0, 2047), data.subarray(1))
    expect(() => svm.queue.copyToBuffer(p, buffer, 2, 4)).toThrow(expect.objectContaining({ code: 'invalid-value' }))
    await expect(svm.queue.copyToBuffer(p, buffer, 8192, 128).done).rejects.toMatchObject({ code: 'invalid-value' })
    buffer.destroy()
  })
})

describe('a space', () => {
  test('of many allocations in a small budget keeps all its bytes', async () => {
    const svm = await gpu.open({ deviceMemory: 512 * KIB })
    const kernel = await incrementer(svm)
    const all = Array.from({ length: 20 }, (_, n) => svm.allocFrom(words((16 * PAGE) / 4, (i) => n * 100_000 + i)))
    for (let round = 0; round < 2; round++) for (const p of all) svm.queue.enqueue(kernel, { args: { p }, global: 16 })
    await svm.queue.finish()
    expectWithinBudget(svm)
    for (const [n, p] of all.entries()) {
      expectSame(
        await svm.read(p, Uint32Array, (16 * PAGE) / 4),
        words((16 * PAGE) / 4, (i) => n * 100_000 + i + (i % 1024 === 0 ? 2 : 0)),
      )
      svm.free(p)
    }
    await svm.queue.finish()
    await svm.read(0, 0)
    expect(svm.stats()).toMatchObject({ allocations: 0, mappedBytes: 0, devices: [{ framesUsed: 0, pools: 0 }] })
  })

  test('is described by its snapshot, which is plain data', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(2 * PAGE, { label: 'mine' })
    const snapshot = svm.snapshot()
    expect(structuredClone(snapshot)).toEqual(snapshot)
    expect(snapshot.mappings).toMatchObject([{ pointer: p, byteLength: 2 * PAGE, label: 'mine', kind: 'anonymous' }])
  })

  test('allocates with alignments, and with pages of its own', async () => {
    const svm = await gpu.open()
    const a = svm.alloc(1)
    const b = svm.alloc(1, { alignment: 65536 })
    expect(a % PAGE).toBe(0)
    expect(b % 65536).toBe(0)
    expect(Math.floor(a / PAGE)).not.toBe(Math.floor(b / PAGE))
  })
})
