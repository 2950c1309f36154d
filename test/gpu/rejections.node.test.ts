// Failures that nobody waits for never end the process: Node would end on the first rejection that nobody handles. Runs in Node only, where a
// program can hear of them; vitest counts what it hears itself as a failure too.

import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Svm, SvmError } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const unhandled: unknown[] = []
const hear = (reason: unknown) => unhandled.push(reason)

beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', hear)
})
afterEach(() => process.off('unhandledRejection', hear))

/** Node tells after the microtasks of a turn; a few turns, to be sure. */
async function turns(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function fails(svm: Svm): Promise<void> {
  const kernel = await svm.createKernel({
    code: '@compute @workgroup_size(1) fn k() { svm_store_u32(SVM_NULL, 1u); }',
    entryPoint: 'k',
  })
  const p = svm.alloc(PAGE)
  const failed = svm.queue.enqueue(kernel, { args: {}, global: 1 })
  svm.queue.memfill(p, Uint8Array.of(1), 4)
  const other = svm.createQueue({ outOfOrder: true })
  other.memfill(p, Uint8Array.of(1), 4, { waitFor: [failed] })
  other.memfill(p, Uint8Array.of(1), 4, { waitFor: [Promise.reject(new Error('mine'))] })
  other.map(p, 4, 'read', { signal: AbortSignal.abort() })
  svm.queue.free([p], { waitFor: [failed] })
  await svm.read(0, 0)
}

test('failed commands that nobody looks at, with and without onerror', async () => {
  for (const listens of [false, true]) {
    const svm = await gpu.open()
    const told: SvmError[] = []
    if (listens) svm.onerror = (error) => told.push(error)
    await fails(svm)
    await turns()
    await svm.close()
    await turns()
    expect(unhandled).toEqual([])
    if (listens) expect(told.map(({ code }) => code)).toContain('access-violation')
  }
})

test('a promise that was read belongs to its reader, and is rejected once', async () => {
  const svm = await gpu.open()
  const p = svm.alloc(PAGE)
  const event = svm.queue.memfill(p, Uint8Array.of(1), 4, { signal: AbortSignal.abort() })
  await expect(event.done).rejects.toMatchObject({ code: 'aborted' })
  await turns()
  expect(unhandled).toEqual([])
})

test('a lost device, with commands under way and behind', async () => {
  const device = await gpu.another()
  const svm = await gpu.open({ on: device })
  const p = svm.alloc(64 * PAGE)
  for (let n = 0; n < 8; n++) {
    svm.queue.migrate({ pointer: p })
    svm.queue.migrate({ pointer: p }, { to: 'host' })
  }
  svm.free(p)
  device.destroy()
  await device.lost
  await turns()
  await svm.close()
  await turns()
  expect(unhandled).toEqual([])
})

test('close at once, with commands that wait for ever', async () => {
  const svm = await gpu.open()
  const p = svm.alloc(PAGE)
  const stop = new AbortController()
  svm.queue.memfill(p, Uint8Array.of(1), 4, { waitFor: [new Promise(() => undefined)], signal: stop.signal })
  const closed = svm.close()
  stop.abort()
  await closed
  await turns()
  expect(unhandled).toEqual([])
})
