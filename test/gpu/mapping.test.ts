// Host mappings: the table of what a live mapping lets others do (ARCHITECTURE.md, SYSTEM.md section 4), views, pointers, and debug copies; and pagers.

import { describe, expect, test } from 'vitest'
import { blobPager } from '../../examples/workloads/file.ts'
import type { MapMode, Pager, Svm } from '../../src/index.ts'
import { KIB, PAGE, useGpu } from './device.ts'
import { expectSame, words } from './regime.ts'

const gpu = useGpu()
const WRITING = ['write', 'read-write', 'write-discard'] as const
const HELD = expect.objectContaining({ code: 'host-mapped' })

const COPY = `struct Args { src: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.dst, svm_load_u32(args.src)); }`

async function prepared(onDevice: boolean): Promise<{ svm: Svm; p: number; out: number; copy: (src: number, dst: number) => Promise<unknown> }> {
  const svm = await gpu.open()
  const p = svm.allocFrom(words((3 * PAGE) / 4, (i) => i))
  const out = svm.alloc(PAGE)
  const kernel = await svm.createKernel({ code: COPY, entryPoint: 'k' })
  const copy = (src: number, dst: number) => svm.queue.enqueue(kernel, { args: { src, dst }, global: 1 }).done
  if (onDevice) {
    await svm.queue.migrate({ pointer: p }).done
    await copy(p + 4, p + PAGE)
  }
  return { svm, p, out, copy }
}

describe.each([
  ['pages on the host', false],
  ['pages dirty on the device', true],
])('%s', (_, onDevice) => {
  test('a reading mapping: kernels read; writes, free and munmap are refused; migrate skips; maps for reading join', async () => {
    const { svm, p, out, copy } = await prepared(onDevice)
    const mapping = await svm.map(p + PAGE, 8, 'read')
    expect(mapping.u32[0]).toBe(onDevice ? 1 : 1024)
    await copy(p + PAGE, out)
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(onDevice ? 1 : 1024)
    await expect(copy(p, p + PAGE)).rejects.toEqual(HELD)
    expect(await svm.queue.migrate({ pointer: p }).done).toMatchObject({ skipped: { 'host-mapped': 1 } })
    expect(svm.residency(p + PAGE, PAGE)[0]?.where).toBe('host')
    expect(() => svm.free(p)).toThrow(HELD)
    expect(() => svm.queue.free([p])).toThrow(HELD)
    const second = await svm.map(p, 3 * PAGE, 'read')
    second.unmap()
    for (const mode of WRITING) await expect(svm.map(p, 3 * PAGE, mode)).rejects.toEqual(HELD)
    await expect(svm.write(p + PAGE + 100, Uint8Array.of(1))).rejects.toEqual(HELD)
    await expect(svm.queue.memfill(p, Uint8Array.of(1), 3 * PAGE).done).rejects.toEqual(HELD)
    expect((await svm.read(p, 3 * PAGE)).length).toBe(3 * PAGE)
    await svm.queue.memcpy(out, p + PAGE, 4).done
    mapping.unmap()
    await copy(p, p + PAGE)
    svm.free(p)
  })

  test.each(WRITING)('a mapping for %s: nobody else touches the page', async (mode) => {
    const { svm, p, out, copy } = await prepared(onDevice)
    const mapping = await svm.map(p + PAGE, 8, mode)
    await expect(copy(p + PAGE, out)).rejects.toEqual(HELD)
    await expect(copy(p, p + PAGE + 100)).rejects.toEqual(HELD)
    expect(await svm.queue.migrate({ pointer: p }).done).toMatchObject({ skipped: { 'host-mapped': 1 } })
    await expect(svm.queue.migrate({ pointer: p }, { mode: 'all-or-nothing' }).done).rejects.toEqual(HELD)
    expect(() => svm.free(p)).toThrow(HELD)
    for (const other of ['read', ...WRITING] as const) await expect(svm.map(p + PAGE + 64, 8, other)).rejects.toEqual(HELD)
    await expect(svm.read(p, 3 * PAGE)).rejects.toEqual(HELD)
    await expect(svm.queue.memcpy(out, p + PAGE, 4).done).rejects.toEqual(HELD)
    // Other pages of the same allocation are free.
    await copy(p, p + 2 * PAGE)
    mapping.u32.set([77, 78])
    mapping.unmap()
    await copy(p + PAGE, out)
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(77)
    // Bytes around the mapping were kept, with write-discard too.
    expect([...(await svm.read(p + PAGE, Uint32Array, 4))]).toEqual([77, 78, 1026, 1027])
    expect((await svm.read(p + 2 * PAGE, Uint32Array, 1))[0]).toBe(0)
  })
})

describe('a mapping', () => {
  test('has views of every kind, where the bytes are aligned to them', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(Uint8Array.from({ length: 64 }, (_, i) => i))
    const mapping = await svm.map(p + 2, 30, 'read-write')
    expect(mapping).toMatchObject({ pointer: p + 2, byteLength: 30, live: true })
    expect(mapping.bytes[0]).toBe(2)
    expect(mapping.view.getUint16(1, true)).toBe(0x0403)
    expect(mapping.as(Uint16Array, 2, 3)[0]).toBe(0x0504)
    expect(mapping.as(Uint32Array, 2, 1)[0]).toBe(0x07060504)
    const misaligned = expect.objectContaining({ code: 'invalid-value', message: expect.stringContaining('not aligned') })
    expect(() => mapping.u32).toThrow(misaligned)
    expect(() => mapping.as(Float64Array)).toThrow(misaligned)
    const outside = expect.objectContaining({ code: 'invalid-value' })
    for (const [offset, length] of [
      [-2, 1],
      [0, 16],
      [31, 1],
      [0.5, 1],
      [0, -1],
    ] as const)
      expect(() => mapping.as(Uint16Array, offset, length)).toThrow(outside)
    mapping.unmap()
    expect(mapping.live).toBe(false)
    expect(() => mapping.bytes).toThrow(outside)
    expect(() => mapping.unmap()).toThrow(outside)
    expect(() => svm.queue.unmap(mapping)).toThrow(outside)
  })

  test('holds pointers that kernels follow', async () => {
    const svm = await gpu.open()
    const target = svm.allocFrom(Uint32Array.of(5))
    const holder = svm.alloc(16)
    const mapping = await svm.map(holder, 16, 'write-discard')
    mapping.setPointer(holder + 4, target)
    expect(mapping.getPointer(holder + 4)).toBe(target)
    for (const bad of [-1, 0.5, 2 ** 32]) expect(() => mapping.setPointer(holder, bad)).toThrow(expect.objectContaining({ code: 'invalid-value' }))
    for (const bad of [holder - 4, holder + 13, Number.NaN]) expect(() => mapping.getPointer(bad)).toThrow(expect.objectContaining({ code: 'invalid-value' }))
    for (const [at, n] of [
      [holder - 1, 2],
      [holder, 17],
      [holder, -1],
    ] as const)
      expect(() => mapping.dirty(at, n)).toThrow(expect.objectContaining({ code: 'invalid-value' }))
    mapping.unmap()
    const reading = await svm.map(holder, 16, 'read')
    expect(() => reading.setPointer(holder, target)).toThrow(expect.objectContaining({ code: 'access-violation' }))
    reading.unmap()
    const code = COPY.replace('svm_load_u32(args.src)', 'svm_load_u32(svm_load_ptr(args.src))')
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    const out = svm.alloc(4)
    await svm.queue.enqueue(kernel, { args: { src: holder + 4, dst: out }, global: 1 }).done
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(5)
  })

  test('using() always unmaps', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(Uint32Array.of(1))
    expect(await svm.using(p, 4, 'read-write', async ({ u32 }) => ++u32[0])).toBe(2)
    await expect(
      svm.using(p, 4, 'read-write', () => {
        throw new Error('mine')
      }),
    ).rejects.toThrow('mine')
    await svm.using(p, 4, 'read', (mapping) => mapping.unmap())
    expect(svm.stats().hostMappings).toBe(0)
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(2)
  })

  test.each(['read', 'write', 'read-write', 'write-discard'] as const)('with debug it is a copy, detached at unmap (%s)', async (mode: MapMode) => {
    const svm = await gpu.open({ debug: true })
    const p = svm.allocFrom(words(8, (i) => i))
    const mapping = await svm.map(p, 32, mode)
    const kept = mapping.u32
    kept[0] = 99
    kept[7] = 98
    mapping.dirty(p, 4)
    expect(await svm.stats().hostMappings).toBe(1)
    mapping.unmap()
    expect(kept.length).toBe(0)
    const written = mode !== 'read'
    const got = await svm.read(p, Uint32Array, 8)
    expect(got[0]).toBe(written ? 99 : 0)
    if (mode === 'read') expect(got[7]).toBe(7)
  })
})

describe('a pager', () => {
  const source = new Uint8Array(words((64 * PAGE) / 4 + 3, (i) => i * 5 + 1).buffer).subarray(0, 64 * PAGE + 9)

  /** A source in memory that can be made to fail. */
  class TestPager implements Pager {
    readonly size = source.length
    reads = 0
    fault: 'none' | 'throws' | 'short' | 'reads too much' = 'none'

    async read(offset: number, into: Uint8Array): Promise<number> {
      this.reads++
      if (this.fault === 'throws') throw new Error('the disk is on fire')
      if (this.fault === 'short') return 0
      if (this.fault === 'reads too much') return into.length + 1
      const bytes = source.subarray(offset, offset + into.length)
      into.set(bytes)
      return bytes.length
    }
  }

  const SUM = `struct Args { src: svm_ptr, sum: svm_ptr, count: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(16) fn k(@builtin(global_invocation_id) id: vec3u) {
  var sum = 0u;
  for (var n = 0u; n < 16u; n++) { sum += svm_load_u32(svm_index(args.src, id.x * 16u + n, 4u)); }
  svm_atomic_add_u32(args.sum, sum);
}`
  const wantedSum = words((64 * PAGE) / 4, (i) => i * 5 + 1).reduce((sum, value) => (sum + value) >>> 0, 0)

  test('larger than the budget and the host cache, of an odd size, read on demand', async () => {
    const svm = await gpu.open({ deviceMemory: 448 * KIB, hostCache: 8 * PAGE })
    const pager = new TestPager()
    const p = await svm.mmap(pager)
    expect(pager.reads).toBe(0)
    const sum = svm.alloc(4)
    const kernel = await svm.createKernel({ code: SUM, entryPoint: 'k' })
    const result = await svm.queue.enqueue(kernel, { args: { src: p, sum, count: 0 }, global: (64 * PAGE) / 64 }).done
    expect((await svm.read(sum, Uint32Array, 1))[0]).toBe(wantedSum)
    // Pages of the source are clean: only the sum ever comes home.
    expect(result.bytesOut).toBeLessThan(16 * PAGE)
    expect(svm.stats().hostCacheBytes).toBeLessThanOrEqual(8 * PAGE)
    expectSame(await svm.read(p, source.length), source)
    await expect(svm.read(p, source.length + 1)).rejects.toMatchObject({ code: 'invalid-value' })
    await svm.using(p + 64 * PAGE - 8, 17, 'read', ({ bytes }) => expectSame(bytes, source.subarray(64 * PAGE - 8)))
    await svm.munmap(p)
    await expect(svm.read(p, 4)).rejects.toMatchObject({ code: 'not-mapped' })
  })

  test('over a Blob: kernels and the host read it, a File and a slice of one too, larger than the budget and the host cache', async () => {
    const svm = await gpu.open({ deviceMemory: 448 * KIB, hostCache: 8 * PAGE })
    const kernel = await svm.createKernel({ code: SUM, entryPoint: 'k' })
    const parts = [source.subarray(0, 5000), source.subarray(5000)]
    const padded = new Blob([source.subarray(0, 77), ...parts, source.subarray(0, 99)])
    for (const blob of [new Blob(parts), new File(parts, 'data.bin'), padded.slice(77, 77 + source.length)]) {
      const pager = blobPager(blob)
      expect(pager.size).toBe(source.length)
      const p = await svm.mmap(pager)
      const sum = svm.alloc(4)
      const result = await svm.queue.enqueue(kernel, { args: { src: p, sum, count: 0 }, global: (64 * PAGE) / 64 }).done
      expect((await svm.read(sum, Uint32Array, 1))[0]).toBe(wantedSum)
      expect(result.bytesIn).toBeGreaterThanOrEqual(64 * PAGE)
      expect(result.evictions).toBeGreaterThan(0)
      expectSame(await svm.read(p, source.length), source)
      expect(svm.stats().hostCacheBytes).toBeLessThanOrEqual(8 * PAGE)
      await svm.munmap(p)
      svm.free(sum)
    }
  })

  test('a part of it, and its zero tail as kernels see it', async () => {
    const svm = await gpu.open()
    const p = await svm.mmap(new TestPager(), { offset: 63 * PAGE, byteLength: PAGE + 9 })
    const out = svm.alloc(16)
    const code = COPY.replaceAll('u32(', 'vec4_u32(')
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    await svm.queue.enqueue(kernel, { args: { src: p + PAGE, dst: out }, global: 1 }).done
    const tail = new Uint8Array(16)
    tail.set(source.subarray(64 * PAGE))
    expectSame(await svm.read(out, 16), tail)
    await expect(svm.mmap(new TestPager(), { offset: 100 })).rejects.toMatchObject({ code: 'invalid-value' })
    await expect(svm.mmap(new TestPager(), { offset: 64 * PAGE, byteLength: 10 })).rejects.toMatchObject({ code: 'invalid-value' })
    await expect(svm.mmap({ size: 5 } as Pager)).rejects.toMatchObject({ code: 'invalid-value' })
    expect(() => svm.free(p)).toThrow(expect.objectContaining({ code: 'invalid-value' }))
    await expect(svm.munmap(out + 1)).rejects.toMatchObject({ code: 'invalid-value' })
    await expect(svm.write(p, new Uint8Array(4))).rejects.toMatchObject({ code: 'access-violation' })
    await expect(svm.map(p, 4, 'write')).rejects.toMatchObject({ code: 'access-violation' })
    expect(() => svm.queue.memcpy(p, out, 4)).not.toThrow()
    await expect(svm.queue.finish()).rejects.toMatchObject({ code: 'access-violation' })
  })

  test.each(['throws', 'short', 'reads too much'] as const)('that %s fails what needs it; nothing is lost, and it works again after', async (fault) => {
    const svm = await gpu.open()
    const pager = new TestPager()
    const p = await svm.mmap(pager, { label: 'burning' })
    const sum = svm.allocFrom(Uint32Array.of(0))
    expectSame(await svm.read(p, 100), source.subarray(0, 100))
    const kernel = await svm.createKernel({ code: SUM, entryPoint: 'k' })
    const launch = () => svm.queue.enqueue(kernel, { args: { src: p, sum, count: 0 }, global: (64 * PAGE) / 64 }).done
    pager.fault = fault
    await expect(launch()).rejects.toMatchObject({ code: 'pager-failed', message: expect.stringContaining('burning') })
    await expect(svm.read(p, source.length)).rejects.toMatchObject({ code: 'pager-failed' })
    await expect(svm.queue.migrate({ pointer: p }).done).rejects.toMatchObject({ code: 'pager-failed' })
    await expect(svm.map(p, source.length, 'read')).rejects.toMatchObject({ code: 'pager-failed' })
    expect(svm.stats().hostMappings).toBe(0)
    pager.fault = 'none'
    await svm.write(sum, Uint32Array.of(0))
    await launch()
    expect((await svm.read(sum, Uint32Array, 1))[0]).toBe(wantedSum)
    expectSame(await svm.read(p, source.length), source)
  })
})
