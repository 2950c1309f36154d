// protect.test.ts: mprotect, partial munmap and releaseDevice as kernels on a real device see them.

import { describe, expect, test } from 'vitest'
import type { Pager } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const CODE = `struct Args { src: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1)
fn k() { svm_store_u32(args.dst, svm_load_u32(args.src) + 1u); }
`

async function made() {
  const svm = await gpu.open()
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'k' })
  const p = svm.allocFrom(new Uint32Array(PAGE).map((_, i) => i))
  const run = (src: number, dst: number) =>
    svm.queue.enqueue(kernel, { args: { src, dst }, global: 1 }).done.then(
      () => 'ok',
      (error) => error.code,
    )
  return { svm, p, run }
}

describe('mprotect', () => {
  test.each(['host', 'device'] as const)('of pages on the %s: rights go and come back, bytes stay', async (where) => {
    const { svm, p, run } = await made()
    if (where === 'device') await svm.queue.migrate({ pointer: p }).done
    await svm.mprotect(p + PAGE, PAGE, 'read')
    await svm.mprotect(p + 2 * PAGE, PAGE, 'none')
    expect(await run(p + PAGE, p)).toBe('ok')
    expect(await run(p, p + PAGE)).toBe('access-violation')
    expect(await run(p + 2 * PAGE, p)).toBe('access-violation')
    expect(await run(p, p + 2 * PAGE)).toBe('access-violation')
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(PAGE / 4 + 1)
    await expect(svm.read(p + 2 * PAGE, 4)).rejects.toMatchObject({ code: 'access-violation' })
    await svm.mprotect(p, 4 * PAGE, 'read-write')
    expect(await run(p + 2 * PAGE, p + PAGE)).toBe('ok')
    expect((await svm.read(p + PAGE, Uint32Array, 2))[0]).toBe(PAGE / 2 + 1)
    expect((await svm.read(p + 2 * PAGE, Uint32Array, 2))[1]).toBe(PAGE / 2 + 1)
  })

  test('a resident kernel that ran before the change does not run past it', async () => {
    const { svm, p, run } = await made()
    await svm.queue.migrate({ pointer: p }).done
    expect(await run(p, p + 4)).toBe('ok')
    const before = run(p, p + 8)
    const change = svm.mprotect(p, PAGE, 'read')
    const after = run(p, p + 12)
    expect([await before, await after]).toEqual(['ok', 'access-violation'])
    await change
    expect([...(await svm.read(p, Uint32Array, 4))]).toEqual([0, 1, 1, 3])
  })
})

test('munmap in the middle of a file: kernels read what is left, and miss what is gone', async () => {
  const { svm, p, run } = await made()
  const pager: Pager = { size: 4 * PAGE, read: async (_offset, into) => into.fill(1).length }
  const file = await svm.mmap(pager)
  expect(await run(file + PAGE, p)).toBe('ok')
  await svm.munmap(file + PAGE, PAGE)
  expect(await run(file + PAGE, p)).toBe('access-violation')
  expect([await run(file, p), await run(file + 2 * PAGE, p)]).toEqual(['ok', 'ok'])
  expect(await svm.queue.migrate({ pointer: file }).done).toMatchObject({ skipped: { 'not-mapped': 1 } })
})

test('a device that is released sends its pages home, and the space stays', async () => {
  const { svm, p, run } = await made()
  await svm.queue.migrate({ pointer: p }).done
  expect(await run(p, p + 4)).toBe('ok')
  await svm.releaseDevice(svm.devices[0])
  expect(svm.stats().devices[0]).toMatchObject({ released: true, framesUsed: 0 })
  expect(svm.residency(p, 4 * PAGE)).toEqual([{ pointer: p, byteLength: 4 * PAGE, where: 'host', systemMapped: [], dirty: false }])
  expect([...(await svm.read(p, Uint32Array, 4))]).toEqual([0, 1, 2, 3])
  expect(() => svm.queue.migrate({ pointer: p })).toThrow(expect.objectContaining({ code: 'closed' }))
  // The device is free for another space.
  const other = await gpu.open()
  const q = other.allocFrom(Uint32Array.of(5))
  await other.queue.migrate({ pointer: q }).done
  expect((await other.read(q, Uint32Array, 1))[0]).toBe(5)
})
