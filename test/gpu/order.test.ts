// The one order of a space, and what events tell: queues, wait lists, failures and who hears of them, abort signals, closing.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmError, SvmKernel } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'
import { words } from './regime.ts'

const gpu = useGpu()

const ADD = `struct Args { p: svm_ptr, factor: u32, term: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.p, svm_load_u32(args.p) * args.factor + args.term); }`
const adder = (svm: Svm): Promise<SvmKernel> => svm.createKernel({ code: ADD, entryPoint: 'k' })
const first = async (svm: Svm, p: number) => (await svm.read(p, Uint32Array, 1))[0]

/** A promise, and the handle on it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

describe('order', () => {
  test('an in-order queue runs commands of all kinds one after the other', async () => {
    const svm = await gpu.open()
    const kernel = await adder(svm)
    const p = svm.alloc(PAGE)
    const q = svm.alloc(PAGE)
    const { queue } = svm
    queue.memfill(p, Uint32Array.of(3), 16)
    queue.enqueue(kernel, { args: { p, factor: 10, term: 1 }, global: 1 })
    queue.migrate({ pointer: p }, { to: 'host' })
    queue.memcpy(q, p, 4)
    queue.enqueue(kernel, { args: { p, factor: 0, term: 99 }, global: 1 })
    const mapped = queue.map(q, 4, 'read-write')
    const mapping = await mapped.done
    expect(mapping.u32[0]).toBe(31)
    mapping.u32[0] = 32
    queue.unmap(mapping)
    queue.enqueue(kernel, { args: { p: q, factor: 2, term: 0 }, global: 1 })
    await queue.finish()
    expect(await first(svm, q)).toBe(64)
    expect(await first(svm, p)).toBe(99)
  })

  test('an out-of-order queue runs what may run, and waitFor orders it', async () => {
    const svm = await gpu.open()
    const queue = svm.createQueue({ outOfOrder: true })
    const p = svm.alloc(PAGE)
    const door = gate()
    const order: string[] = []
    const late = queue.memfill(p, Uint32Array.of(1), 4, { waitFor: [door.opened] })
    const free = queue.memfill(p + 8, Uint32Array.of(2), 4)
    const last = queue.memcpy(p + 4, p, 4, { waitFor: [late, free] })
    for (const [name, event] of Object.entries({ late, free, last })) void event.done.then(() => order.push(name))
    await free.done
    expect([late.status, last.status]).toEqual(['queued', 'queued'])
    queue.flush()
    expect([late.status, last.status]).toEqual(['submitted', 'submitted'])
    door.open()
    await last.done
    expect(order).toEqual(['free', 'late', 'last'])
    expect([...(await svm.read(p, Uint32Array, 3))]).toEqual([1, 1, 2])
  })

  test('queues are ordered among each other by waitFor only; an in-order one stays in order', async () => {
    const svm = await gpu.open()
    const [a, b] = [svm.createQueue(), svm.createQueue()]
    const p = svm.alloc(PAGE)
    const door = gate()
    a.memfill(p, Uint32Array.of(1), 4, { waitFor: [door.opened] })
    const behind = a.memcpy(p + 4, p, 4)
    const other = b.memfill(p, Uint32Array.of(7), 4)
    await other.done
    expect(behind.status).toBe('queued')
    const after = b.memcpy(p + 8, p + 4, 4, { waitFor: [behind] })
    door.open()
    await after.done
    expect([...(await svm.read(p, Uint32Array, 3))]).toEqual([1, 1, 1])
  })

  test('calls on Svm are barriers for all queues', async () => {
    const svm = await gpu.open()
    const queue = svm.createQueue({ outOfOrder: true })
    const p = svm.alloc(PAGE)
    const door = gate()
    queue.memfill(p, Uint32Array.of(1), 4, { waitFor: [door.opened] })
    const read = first(svm, p)
    const later = queue.memfill(p, Uint32Array.of(2), 4)
    expect(later.status).toBe('queued')
    door.open()
    expect(await read).toBe(1)
    await later.done
    expect(await first(svm, p)).toBe(2)
  })

  test('free waits for what was called before it', async () => {
    const svm = await gpu.open()
    const kernel = await adder(svm)
    const p = svm.alloc(PAGE)
    const q = svm.alloc(PAGE)
    const door = gate()
    const freed: number[][] = []
    svm.queue.memfill(p, Uint32Array.of(5), 4, { waitFor: [door.opened] })
    svm.queue.enqueue(kernel, { args: { p, factor: 3, term: 0 }, global: 1 })
    const copied = svm.queue.memcpy(q, p, 4)
    const migrated = svm.queue.migrate({ pointer: p })
    const read = new Uint32Array(1)
    svm.queue.memcpy(read, p, 4)
    svm.queue.free([p, 0], { onFree: (pointers) => freed.push(pointers) })
    expect(() => svm.queue.memcpy(q, p, 4)).toThrow(expect.objectContaining({ code: 'not-mapped' }))
    door.open()
    await copied.done
    await migrated.done
    await svm.queue.finish()
    expect(read[0]).toBe(15)
    expect(await first(svm, q)).toBe(15)
    expect(freed).toEqual([[p, 0]])
    const again = svm.queue.memcpy(new Uint8Array(4), q, 4)
    svm.free(q)
    await again.done
    await svm.read(0, 0)
    expect(svm.stats().allocations).toBe(0)
  })
})

describe('a free that does not run', () => {
  test.each(['aborted', 'dependency-failed'] as const)('%s: the memory is there as before', async (code) => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words(4, () => 6))
    const stop = new AbortController()
    const door = gate()
    const waitFor = code === 'aborted' ? [door.opened] : [Promise.reject(new Error('mine'))]
    const freed = svm.queue.free([p], { signal: stop.signal, waitFor })
    expect(() => svm.residency(p, 4)).toThrow(expect.objectContaining({ code: 'not-mapped' }))
    if (code === 'aborted') stop.abort()
    await expect(freed.done).rejects.toMatchObject({ code })
    expect(await first(svm, p)).toBe(6)
    svm.free(p)
  })
})

test('a free behind a map that was not unmapped fails, and the memory stays', async () => {
  const svm = await gpu.open()
  const p = svm.allocFrom(words(4, () => 6))
  const door = gate()
  const mapped = svm.queue.map(p, 4, 'read-write', { waitFor: [door.opened] })
  const freed = svm.queue.free([p])
  door.open()
  const mapping = await mapped.done
  await expect(freed.done).rejects.toMatchObject({ code: 'host-mapped' })
  expect(mapping.u32[0]).toBe(6)
  mapping.unmap()
  await svm.queue.free([p]).done
})

describe('failures', () => {
  const BAD = ADD.replace('args.p)', 'SVM_NULL)')

  test('fail what is behind them in an in-order queue, but for unmap, free and migrate to the host', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words(4, () => 1))
    const q = svm.alloc(PAGE)
    const gone = svm.alloc(PAGE)
    const mapping = await svm.map(q, 4, 'read')
    const bad = await svm.createKernel({ code: BAD, entryPoint: 'k', label: 'bad' })
    const failed = svm.queue.enqueue(bad, { args: { p, factor: 1, term: 1 }, global: 1 })
    const behind = svm.queue.memfill(p, Uint32Array.of(2), 4)
    const unmapped = svm.queue.unmap(mapping)
    const freed = svm.queue.free([gone])
    const home = svm.queue.migrate({ pointer: p }, { to: 'host' })
    const away = svm.queue.migrate({ pointer: p })
    await expect(failed.done).rejects.toMatchObject({ code: 'access-violation' })
    await expect(behind.done).rejects.toMatchObject({ code: 'dependency-failed', cause: expect.objectContaining({ code: 'access-violation' }) })
    await expect(away.done).rejects.toMatchObject({ code: 'dependency-failed' })
    await Promise.all([unmapped.done, freed.done, home.done])
    expect([failed.status, behind.status, unmapped.status]).toEqual(['failed', 'failed', 'complete'])
    expect(mapping.live).toBe(false)
    expect(await first(svm, p)).toBe(1)
    // What is enqueued after the failure runs.
    await svm.queue.memfill(p, Uint32Array.of(3), 4).done
    expect(await first(svm, p)).toBe(3)
  })

  test('fail what waits for them, in any queue, and nothing else', async () => {
    const svm = await gpu.open()
    const queue = svm.createQueue({ outOfOrder: true })
    const p = svm.allocFrom(words(4, () => 1))
    const bad = await svm.createKernel({ code: BAD, entryPoint: 'k' })
    const failed = svm.queue.enqueue(bad, { args: { p, factor: 1, term: 1 }, global: 1 })
    const waits = queue.memfill(p, Uint32Array.of(2), 4, { waitFor: [failed] })
    const other = queue.memfill(p + 4, Uint32Array.of(9), 4)
    const promised = queue.memfill(p, Uint32Array.of(2), 4, { waitFor: [Promise.reject(new Error('mine'))] })
    await other.done
    await expect(waits.done).rejects.toMatchObject({ code: 'dependency-failed' })
    await expect(promised.done).rejects.toMatchObject({ code: 'dependency-failed', cause: expect.objectContaining({ message: 'mine' }) })
    await expect(svm.queue.finish()).rejects.toMatchObject({ code: 'access-violation' })
    expect([...(await svm.read(p, Uint32Array, 2))]).toEqual([1, 9])
  })

  test('finish() rejects with the first that nobody has seen, onerror gets the rest', async () => {
    const svm = await gpu.open()
    const told: SvmError[] = []
    svm.onerror = (error) => told.push(error)
    const p = svm.alloc(PAGE)
    const bad = await svm.createKernel({ code: BAD, entryPoint: 'k', label: 'the first' })
    const seen = svm.queue.enqueue(bad, { args: { p, factor: 1, term: 1 }, global: 1 })
    await expect(seen.done).rejects.toMatchObject({ code: 'access-violation' })
    await svm.queue.finish()
    svm.queue.enqueue(bad, { args: { p, factor: 1, term: 1 }, global: 1 })
    svm.queue.memfill(p, Uint32Array.of(2), 4)
    svm.queue.memfill(p, Uint32Array.of(2), 4)
    await expect(svm.queue.finish()).rejects.toMatchObject({ code: 'access-violation', kernel: 'the first' })
    expect(told.map(({ code }) => code)).toEqual(['dependency-failed', 'dependency-failed'])
    await svm.queue.finish()
    svm.queue.enqueue(bad, { args: { p, factor: 1, term: 1 }, global: 1 })
    await svm.close()
    expect(told.map(({ code }) => code)).toEqual(['dependency-failed', 'dependency-failed', 'access-violation'])
  })
})

describe('events', () => {
  test('have a status and the times of its changes', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(PAGE)
    const door = gate()
    const event = svm.queue.memfill(p, Uint8Array.of(1), 4, { waitFor: [door.opened] })
    expect(event).toMatchObject({ command: 'memfill', status: 'queued' })
    expect(event.profile.started).toBeUndefined()
    door.open()
    await event.done
    expect(event.status).toBe('complete')
    const { queued, submitted, started, ended } = event.profile
    const times = [queued, submitted, started, ended] as number[]
    expect(times).toEqual([...times].sort((a, b) => a - b))
    const commands = [svm.queue.migrate([]), svm.queue.memcpy(p, p + 8, 4), svm.queue.free([]), svm.queue.map(p, 4, 'read')]
    expect(commands.map(({ command }) => command)).toEqual(['migrate', 'memcpy', 'free', 'map'])
    await svm.queue.finish()
    svm.queue.unmap(await (commands[3] as ReturnType<typeof svm.queue.map>).done)
  })

  test('an abort signal stops what has not started, and a kernel between its passes', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words(4, () => 1))
    const door = gate()
    const stop = new AbortController()
    const held = svm.queue.memfill(p, Uint32Array.of(2), 4, { waitFor: [door.opened], signal: stop.signal })
    const read = svm.map(p, 4, 'read', { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(held.done).rejects.toMatchObject({ code: 'aborted', cause: expect.objectContaining({ message: 'enough' }) })
    await expect(read).rejects.toMatchObject({ code: 'aborted' })
    door.open()
    const kernel = await adder(svm)
    const dead = svm.queue.enqueue(kernel, { args: { p, factor: 2, term: 0 }, global: 1, signal: AbortSignal.abort() })
    await expect(dead.done).rejects.toMatchObject({ code: 'aborted' })
    expect(await first(svm, p)).toBe(1)
  })
})

describe('close', () => {
  test('runs what was called before, and refuses what comes after', async () => {
    const svm = await gpu.open()
    const p = svm.alloc(PAGE)
    const kernel = await adder(svm)
    const event = svm.queue.enqueue(kernel, { args: { p, factor: 1, term: 4 }, global: 1 })
    const read = first(svm, p)
    const closed = svm.close()
    const refusal = expect.objectContaining({ code: 'closed' })
    expect(() => svm.alloc(4)).toThrow(refusal)
    expect(() => svm.free(p)).toThrow(refusal)
    expect(() => svm.queue.migrate({ pointer: p })).toThrow(refusal)
    expect(() => svm.queue.enqueue(kernel, { args: {}, global: 1 })).toThrow(refusal)
    expect(() => svm.residency(p, 4)).toThrow(refusal)
    for (const call of [svm.read(p, 4), svm.map(p, 4, 'read'), svm.write(p, new Uint8Array(4)), svm.createKernel({ code: ADD, entryPoint: 'k' })]) {
      await expect(call).rejects.toMatchObject({ code: 'closed' })
    }
    await event.done
    expect(await read).toBe(4)
    await closed
    await svm.close()
    await expect(svm.read(p, 4)).rejects.toMatchObject({ code: 'closed' })
  })

  test('gives everything on the device back', async () => {
    const svm = await gpu.open()
    const p = svm.allocFrom(words(1024, (i) => i))
    await svm.queue.migrate({ pointer: p }).done
    await svm.close()
    expect(svm.stats().devices[0]).toMatchObject({ liveBytes: 0 })
  })
})
