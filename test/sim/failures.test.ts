// failures.test.ts: devices that are lost, devices without memory, pagers that fail. Always: after each, every page is in one state, what was
// only on the device is lost by name and nothing else, and the space goes on as far as it can.

import { describe, expect, it } from 'vitest'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const PAGES = 12

/** A small day: migrations both ways, kernels that write in place and atomically, host reads and writes, more pages than frames. */
async function smallDay(rig: Rig, pointer: number, note: (words: Uint32Array) => void): Promise<void> {
  const { svm } = rig
  const model = sequence(PAGES * PAGE_WORDS, 1)
  const step = async (body: () => Promise<unknown>, change: () => void = () => undefined) => {
    await body()
    change()
    note(model)
  }
  const add = await makeKernel(svm, function* (item, args, m) {
    const at = args.a + item.globalId[0] * PAGE_BYTES
    m.storeU32(at, m.loadU32(at) + 1)
    yield 'step'
    m.silentAtomicAddU32(at + 4, 2)
  })
  const launch = (first: number, count: number) =>
    step(
      () => svm.queue.enqueue(add, { args: { a: pointer + first * PAGE_BYTES }, global: count }).done,
      () => {
        for (let page = first; page < first + count; page++) {
          model[page * PAGE_WORDS] += 1
          model[page * PAGE_WORDS + 1] += 2
        }
      },
    )
  await step(() => svm.queue.migrate({ pointer, byteLength: 4 * PAGE_BYTES }).done)
  await launch(0, 3)
  await step(
    () => svm.write(pointer + PAGE_BYTES - 8, sequence(PAGE_WORDS + 4, 5)),
    () => model.set(sequence(PAGE_WORDS + 4, 5), PAGE_WORDS - 2),
  )
  await launch(0, PAGES)
  await step(() => svm.queue.migrate({ pointer }, { to: 'host' }).done)
  await launch(4, 6)
  await step(() => svm.read(pointer + 5 * PAGE_BYTES, 10))
  await step(
    () => svm.queue.memcpy(pointer, pointer + 8 * PAGE_BYTES, 2 * PAGE_BYTES).done,
    () => model.copyWithin(0, 8 * PAGE_WORDS, 10 * PAGE_WORDS),
  )
}

describe('device loss', () => {
  it.each(Array.from({ length: 48 }, (_, i) => i + 1))('at submission %d: what is not lost is as it was', async (lossAt) => {
    const rig = await openRig({ seed: lossAt, frames: 8, mischief: { lossAt, latency: lossAt % 3 } })
    const pointer = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS, 1))
    let known = sequence(PAGES * PAGE_WORDS, 1)
    const code = await codeOf(() => smallDay(rig, pointer, (words) => (known = words.slice())))
    if (rig.device.lostReason === null) return expect(code).toBe('no error')
    expect(code).toBe('device-lost')
    await checkInvariants(rig)
    expect(rig.draw(pointer, PAGES)).toMatch(/^[hL]+$/)
    expect(rig.svm.stats().devices[0]).toMatchObject({ lost: true, framesUsed: 0 })
    for (let page = 0; page < PAGES; page++) {
      const at = pointer + page * PAGE_BYTES
      const [run] = rig.svm.residency(at, PAGE_BYTES)
      const read = rig.svm.read(at, Uint32Array, PAGE_WORDS)
      if (run.where === 'lost') {
        expect(await codeOf(() => read)).toBe('device-lost')
        expect(await codeOf(() => rig.svm.write(at, Uint32Array.of(1)))).toBe('device-lost')
        await rig.svm.write(at, sequence(PAGE_WORDS))
        expect(await rig.svm.read(at, Uint32Array, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS))
      } else expectPage(await read, known.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS))
    }
    expect(await codeOf(() => rig.svm.queue.migrate({ pointer }).done)).toBe('device-lost')
    rig.svm.free(pointer)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('loses exactly the dirty pages; close lists what is still lost', async () => {
    const rig = await openRig({ frames: 10 })
    const pointer = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer, byteLength: 4 * PAGE_BYTES }).done
    const store = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, m.loadU32(args.a + 4 * PAGE_BYTES)))
    await rig.svm.queue.enqueue(store, { args: { a: pointer + PAGE_BYTES }, global: 1 }).done
    expect(rig.draw(pointer, 6)).toBe('cdcchm')
    rig.device.lose('test')
    expect(rig.svm.residency(pointer, 6 * PAGE_BYTES).map(({ where }) => where)).toEqual(['host', 'lost', 'host'])
    await checkInvariants(rig)
    const errors: string[] = []
    rig.svm.onerror = ({ code, message }) => errors.push(`${code} ${message}`)
    await rig.svm.close()
    expect(errors).toHaveLength(1)
    expect(errors[0]).toContain(`${PAGE_BYTES} bytes at 0x${(pointer + PAGE_BYTES).toString(16)}`)
  })

  it('a write that fails half way has not dropped a page that it was to overwrite', async () => {
    // The middle page is overwritten wholly; the page after it must be fetched, and the device is lost then.
    const rig = await openRig({ frames: 10 })
    const pointer = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const store = await makeKernel(rig.svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 9))
    await rig.svm.queue.enqueue(store, { args: { a: pointer + PAGE_BYTES }, global: 2 }).done
    expect(rig.draw(pointer, 3)).toBe('hdd')
    const writing = codeOf(() => rig.svm.write(pointer + 8, new Uint8Array(2 * PAGE_BYTES + 100)))
    rig.device.lose('test')
    expect(await writing).toBe('device-lost')
    expect(rig.draw(pointer, 3)).toBe('hLL')
    expect(await rig.svm.read(pointer, Uint32Array, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS))
  })
})

function expectPage(words: Uint32Array, model: Uint32Array): void {
  // The operation in flight may have stored to the first two words, or not; a write in flight has done all or nothing to what it covers.
  expect(words.subarray(2)).toEqual(model.subarray(2))
}

describe('a device without memory', () => {
  it.each(Array.from({ length: 14 }, (_, i) => i + 1))('createBuffer %d fails: an error or less room, and the next try works', async (nth) => {
    const rig = await openRig({ seed: nth, frames: 8, mischief: { failBuffer: (n) => n === nth } })
    const pointer = rig.svm.allocFrom(sequence(PAGES * PAGE_WORDS, 1))
    let failed = 'no error'
    for (let attempt = 0; attempt < 3; attempt++) {
      const words = sequence(PAGES * PAGE_WORDS, 1)
      await rig.svm.write(pointer, words)
      const code = await codeOf(() => smallDay(rig, pointer, (model) => words.set(model)))
      await checkInvariants(rig)
      if (code !== 'no error') {
        expect(['device-memory', 'working-set']).toContain(code)
        failed = code
        continue
      }
      expect(Buffer.compare(await rig.svm.read(pointer, words.byteLength), new Uint8Array(words.buffer))).toBe(0)
      return
    }
    expect(failed).toBe('no error')
  })

  it('a launch that fails half way says how many workgroups have retired, and what those wrote stays', async () => {
    let fails = 0
    const rig = await openRig({ frames: 8, mischief: { failReadback: () => fails > 0 && --fails === 0 } })
    const pointer = rig.svm.alloc(2 * PAGES * PAGE_BYTES)
    const store = await makeKernel(rig.svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 9))
    const met: number[] = []
    for (let nth = 1; nth < 30; nth++) {
      await rig.svm.write(pointer, new Uint8Array(2 * PAGES * PAGE_BYTES))
      fails = nth
      const error = await rig.svm.queue.enqueue(store, { args: { a: pointer }, global: 2 * PAGES }).done.then(
        () => null,
        (thrown) => thrown,
      )
      if (error === null) break
      expect(error).toMatchObject({ code: 'device-memory', kernel: 'k' })
      const words = await rig.svm.read(pointer, Uint32Array, 2 * PAGES * PAGE_WORDS)
      const stored = words.filter((word) => word === 9).length
      // Of the pass whose report was lost nobody knows who has.
      expect(stored).toBeGreaterThanOrEqual(error.retiredWorkgroups)
      met.push(error.retiredWorkgroups)
      await checkInvariants(rig)
    }
    fails = 0
    expect(met[0]).toBe(0)
    expect(Math.max(...met)).toBeGreaterThan(PAGES)
    await rig.svm.close()
  })

  it('half a pool is better than none', async () => {
    const rig = await openRig({ frames: 64, mischief: { failBuffer: (_n, role, bytes) => role === 'pool' && bytes > 20 * PAGE_BYTES } })
    const pointer = rig.svm.allocFrom(sequence(30 * PAGE_WORDS))
    const result = await rig.svm.queue.migrate({ pointer }).done
    expect(result.moved).toBeGreaterThanOrEqual(16)
    await checkInvariants(rig)
    expect(Buffer.compare(await rig.svm.read(pointer, 30 * PAGE_BYTES), new Uint8Array(sequence(30 * PAGE_WORDS).buffer))).toBe(0)
    await checkInvariants(rig)
  })
})
