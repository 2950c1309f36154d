// A real file as memory, in Node: larger than the device's budget and the host cache, of an odd size, read on demand; and a file that shrinks,
// loses its name, or is closed while it is mapped. Always: an open file stays what it was mapped as, whatever becomes of its name.

import { access, mkdtemp, open, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { filePager, openNodeSvm, type Pager } from '../../src/node.ts'
import { KIB, MIB, PAGE, useGpu } from './device.ts'
import { expectSame, expectWithinBudget, noise, words } from './regime.ts'

const gpu = useGpu()
const BYTES = 3 * MIB + 4321
const data = new Uint8Array(words(Math.ceil(BYTES / 4), noise(12)).buffer).subarray(0, BYTES)

let folder = ''
let path = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svm-'))
  path = join(folder, 'data.bin')
  await writeFile(path, data)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Counts the bytes of a value, 64 to a work-item; the last work-item has the rest. */
const COUNT = `struct Args { file: svm_ptr, size: u32, wanted: u32, found: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  var found = 0u;
  for (var i = id.x * 64u; i < min(args.size, (id.x + 1u) * 64u); i++) {
    if (svm_load_u8(svm_add(args.file, i)) == args.wanted) { found++; }
  }
  if (found > 0u) { svm_atomic_add_u32(args.found, found); }
}`
const wantedCount = data.reduce((sum, byte) => sum + Number(byte === 0x5a), 0)

describe.each([PAGE, 64 * KIB])('pages of %i bytes', (pageSize) => {
  test('a file is searched by a kernel, and read by the host', async () => {
    const svm = await gpu.open({ pageSize, deviceMemory: 1.5 * MIB, hostCache: 512 * KIB })
    const pager = await filePager(path)
    expect(pager.size).toBe(BYTES)
    const file = await svm.mmap(pager, { label: 'data.bin' })
    const found = svm.alloc(4)
    const kernel = await svm.createKernel({ code: COUNT, entryPoint: 'k' })
    const global = Math.ceil(BYTES / 64)
    const result = await svm.queue.enqueue(kernel, { args: { file, size: BYTES, wanted: 0x5a, found }, global }).done
    expect((await svm.read(found, Uint32Array, 1))[0]).toBe(wantedCount)
    expect(result.evictions).toBeGreaterThan(0)
    expect(result.bytesIn).toBeGreaterThanOrEqual(BYTES)
    expectWithinBudget(svm)
    expectSame(await svm.read(file, BYTES), data)
    expect(svm.stats().hostCacheBytes).toBeLessThanOrEqual(512 * KIB)
    await svm.close()
    await pager.close?.()
  })
})

test('a migrate of a file brings what fits, and the bytes past its end are zero', async () => {
  const svm = await gpu.open({ deviceMemory: MIB, hostCache: 512 * KIB })
  const pager = await filePager(path)
  const file = await svm.mmap(pager)
  const done = await svm.queue.migrate({ pointer: file }).done
  expect(done.moved).toBeGreaterThan(0)
  expect(done.moved + done.present + Object.values(done.skipped).reduce((a, b) => a + b, 0)).toBe(Math.ceil(BYTES / PAGE))
  const tail = Math.floor(BYTES / PAGE) * PAGE
  const out = svm.alloc(PAGE)
  const kernel = await svm.createKernel({
    code: `struct Args { src: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  svm_store_u32(svm_index(args.dst, id.x, 4u), svm_load_u32(svm_index(args.src, id.x, 4u)));
}`,
    entryPoint: 'k',
  })
  await svm.queue.enqueue(kernel, { args: { src: file + tail, dst: out }, global: PAGE / 4 }).done
  const wanted = new Uint8Array(PAGE)
  wanted.set(data.subarray(tail))
  expectSame(await svm.read(out, PAGE), wanted)
  await svm.munmap(file)
  await pager.close?.()
})

/** Mapped and read up to MIB / 2, then something happens to the file. */
async function mappedThen(happens: (path: string, pager: Pager) => Promise<void> | undefined) {
  const own = join(folder, 'own.bin')
  await writeFile(own, data)
  const svm = await gpu.open({ deviceMemory: MIB, hostCache: 512 * KIB })
  const pager = await filePager(own)
  const file = await svm.mmap(pager, { label: 'own.bin' })
  const found = svm.alloc(4)
  const kernel = await svm.createKernel({ code: COUNT, entryPoint: 'k' })
  const launch = (pointer: number, size: number) =>
    svm.queue.enqueue(kernel, { args: { file: pointer, size, wanted: 0x5a, found }, global: Math.ceil(size / 64) }).done
  expectSame(await svm.read(file, MIB / 2), data.subarray(0, MIB / 2))
  await happens(own, pager)
  return { svm, pager, file, found, launch }
}

test('a file that shrinks while it is mapped fails what needs the lost part, by name; the rest goes on', async () => {
  const { svm, pager, file, found, launch } = await mappedThen((own) => truncate(own, MIB))
  await expect(launch(file, BYTES)).rejects.toMatchObject({ code: 'pager-failed', message: expect.stringContaining('own.bin') })
  await expect(svm.read(file + 2 * MIB, 16)).rejects.toMatchObject({ code: 'pager-failed' })
  expectSame(await svm.read(file, MIB), data.subarray(0, MIB))
  const handle = await open(join(folder, 'own.bin'), 'r+')
  await handle.write(data, MIB, BYTES - MIB, MIB)
  await handle.close()
  await svm.write(found, new Uint32Array(1))
  await launch(file, BYTES)
  expect((await svm.read(found, Uint32Array, 1))[0]).toBe(wantedCount)
  await svm.munmap(file)
  await pager.close?.()
})

const EXCHANGED = data.slice().reverse()

/** Windows lets nobody take the name of an open file. */
test.skipIf(process.platform === 'win32').each([
  ['unlinked', (own: string) => unlink(own)],
  [
    'replaced by rename',
    async (own: string) => {
      await writeFile(`${own}.new`, EXCHANGED)
      await rename(`${own}.new`, own)
    },
  ],
])('a file that is %s while it is mapped is read on through the open handle', async (what, happens) => {
  const { svm, pager, file, found, launch } = await mappedThen(happens)
  if (what === 'unlinked') await expect(access(join(folder, 'own.bin'))).rejects.toMatchObject({ code: 'ENOENT' })
  const { bytesIn } = await launch(file, BYTES)
  expect(bytesIn).toBeGreaterThanOrEqual(BYTES)
  expect((await svm.read(found, Uint32Array, 1))[0]).toBe(wantedCount)
  expectSame(await svm.read(file, BYTES), data)
  if (what !== 'unlinked') {
    const next = await filePager(join(folder, 'own.bin'))
    const file2 = await svm.mmap(next)
    expectSame(await svm.read(file2, BYTES), EXCHANGED)
    expectSame(await svm.read(file, MIB), data.subarray(0, MIB))
    await svm.munmap(file2)
    await next.close?.()
  }
  await svm.munmap(file)
  await pager.close?.()
})

test('a file that is closed under its mapping fails what needs it, by name, and changes nothing else', async () => {
  const { svm, file, found, launch } = await mappedThen((_, pager) => pager.close?.())
  const other = svm.allocFrom(data.subarray(0, 2 * PAGE))
  await svm.queue.migrate([{ pointer: other }, { pointer: found }]).done
  const cold = file + 2 * MIB
  const look = () => ({
    mappings: svm.snapshot().mappings,
    other: svm.residency(other, 2 * PAGE),
    found: svm.residency(found, 4),
    cold: svm.residency(cold, MIB),
  })
  const before = look()
  expect(before).toMatchObject({ other: [{ where: 'device' }], cold: [{ where: 'none' }] })
  const closed = expect.objectContaining({ code: 'pager-failed', message: expect.stringMatching(/own\.bin.*file closed/s) })
  for (const call of [
    () => svm.read(cold, 16),
    () => svm.map(cold, 16, 'read'),
    () => svm.queue.migrate({ pointer: cold, byteLength: PAGE }).done,
    () => svm.queue.memcpy(other, cold, 2 * PAGE).done,
  ]) {
    await expect(call()).rejects.toEqual(closed)
    expect(look()).toEqual(before)
  }
  await expect(launch(file, BYTES)).rejects.toEqual(closed)
  expect(look().mappings).toEqual(before.mappings)
  expect(svm.stats().hostMappings).toBe(0)
  expectSame(await svm.read(other, 2 * PAGE), data.subarray(0, 2 * PAGE))
  await svm.write(found, new Uint32Array(1))
  await launch(other, 2 * PAGE)
  expect((await svm.read(found, Uint32Array, 1))[0]).toBe(data.subarray(0, 2 * PAGE).reduce((sum, byte) => sum + Number(byte === 0x5a), 0))
  await svm.munmap(file)
  const pager = await filePager(path)
  const again = await svm.mmap(pager)
  expectSame(await svm.read(again, BYTES), data)
  await svm.munmap(again)
  await pager.close?.()
})

test('openNodeSvm finds a GPU and closes its device', async () => {
  const svm = await openNodeSvm({ pageSize: PAGE, deviceMemory: 4 * MIB })
  const p = svm.allocFrom(Uint32Array.of(1, 2, 3))
  await svm.queue.migrate({ pointer: p }).done
  expect([...(await svm.read(p, Uint32Array, 3))]).toEqual([1, 2, 3])
  expect(svm.devices[0]?.label).not.toBe('')
  await svm.close()
  await expect(openNodeSvm({ pageSize: 3 })).rejects.toMatchObject({ code: 'invalid-value' })
  await expect(openNodeSvm({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
})
