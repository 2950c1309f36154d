// found.test.ts: what `svm fuzz` has found, each as the smallest day that shows it. Always: the sentence of a test is what holds now.
// Pages are drawn: `.` none, `z` zero, `h` host, `m` mapped, `c` clean, `d` dirty, `L` lost.

import { describe, expect, it } from 'vitest'
import type { Context } from '../../src/cl/context.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { hostFault } from '../../src/mm/fault.ts'
import { openSvm } from '../../src/open.ts'
import { simDevice } from '../../src/sim.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

/** A device whose read-backs fail from the `from`-th after `arm` on, `times` times. */
async function withLostReports(): Promise<{ rig: Rig; arm: (from: number) => void }> {
  let left = -1
  const rig = await openRig({ frames: 12, mischief: { failReadback: () => left > 0 && --left === 0 } })
  return {
    rig,
    arm: (from) => {
      left = from
    },
  }
}

describe('a pass whose report does not arrive', () => {
  it('resident: what it may have stored to is not taken for clean', async () => {
    const { rig, arm } = await withLostReports()
    const a = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: a }).done
    const store = await makeKernel(rig.svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 9))
    arm(1)
    expect(await codeOf(() => rig.svm.queue.enqueue(store, { args: { a }, global: 2 }).done)).toBe('device-memory')
    await checkInvariants(rig)
    expect((await rig.svm.read(a, Uint32Array, 1))[0]).toBe(9)
    await checkInvariants(rig)
  })

  it.each([1, 2, 3])('attempt, report %d: pages written in place are dirty, private ones are as before', async (nth) => {
    const { rig, arm } = await withLostReports()
    const a = rig.svm.allocFrom(sequence(3 * PAGE_WORDS, 1))
    await rig.svm.queue.migrate({ pointer: a, byteLength: PAGE_BYTES }).done
    const kernel = await makeKernel(rig.svm, (item, args, m) => {
      const at = args.a + item.globalId[0] * PAGE_BYTES
      m.storeU32(at + 8, 5)
      m.silentAtomicAddU32(at, 2)
    })
    arm(nth)
    const code = await codeOf(() => rig.svm.queue.enqueue(kernel, { args: { a }, global: 3 }).done)
    arm(-1)
    await checkInvariants(rig)
    const words = await rig.svm.read(a, Uint32Array, 3 * PAGE_WORDS)
    for (let page = 0; page < 3; page++) {
      const before = page * PAGE_WORDS + 1
      expect(code === 'no error' ? [before + 2] : [before, before + 2]).toContain(words[page * PAGE_WORDS])
    }
    await checkInvariants(rig)
  })

  it.each([1, 2, 3])('an atomic launch that cannot write a dirty page back beforehand (read-back %d) does not give it up either', async (nth) => {
    const { rig, arm } = await withLostReports()
    const a = rig.svm.allocFrom(sequence(PAGE_WORDS, 1))
    const store = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, 9))
    const launch = (atomic: boolean) => codeOf(() => rig.svm.queue.enqueue(store, { args: { a }, global: 1, atomic }).done)
    await rig.svm.queue.migrate({ pointer: a }).done
    expect(await launch(false)).toBe('no error')
    expect(rig.draw(a, 1)).toBe('d')
    arm(nth)
    expect(await launch(true)).toBe('device-memory')
    expect((await rig.svm.read(a, Uint32Array, 1))[0]).toBe(9)
    await checkInvariants(rig)
  })
})

describe('devices', () => {
  it.each([1, 2, 3, 4])('without memory for table buffer %d of 4: none of the others is left behind', async (nth) => {
    let left = 0
    const rig = await openRig({ frames: 8, mischief: { failBuffer: (_n, role) => role !== 'pool' && role !== 'bounce' && --left === 0 } })
    const a = rig.svm.alloc(4)
    const store = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, 9))
    const launch = () => codeOf(() => rig.svm.queue.enqueue(store, { args: { a }, global: 1 }).done)
    left = nth
    expect(await launch()).toBe('device-memory')
    await rig.svm.read(a, 4)
    expect(rig.device.liveBytes).toBe(0)
    expect(await launch()).toBe('no error')
  })

  it('that are lost take no copy to a buffer, and say so', async () => {
    const rig = await openRig({ frames: 8 })
    const a = rig.svm.allocFrom(sequence(4))
    rig.device.lose('test')
    const into = new Uint32Array(4)
    expect(await codeOf(() => rig.svm.queue.copyToBuffer(a, into as unknown as GPUBuffer, 0, 16).done)).toBe('device-lost')
  })

  it('may use a page again that was lost with another device, once it is wholly overwritten', async () => {
    const devices = [simDevice({ seed: 1 }), simDevice({ seed: 2 })]
    const svm = await openSvm({ pageSize: PAGE_BYTES, deviceMemory: 2 ** 21, devices })
    const a = svm.alloc(PAGE_BYTES)
    const store = await makeKernel(svm, (_item, args, m) => m.storeU32(args.a, m.loadU32(args.a) + 1))
    await svm.queue.enqueue(store, { args: { a }, global: 1 }).done
    ;(devices[0].device as SimDevice).lose('test')
    const other = svm.createQueue({ device: devices[1] })
    expect(await codeOf(() => other.enqueue(store, { args: { a }, global: 1 }).done)).toBe('device-lost')
    await svm.write(a, sequence(PAGE_WORDS, 5))
    await other.enqueue(store, { args: { a }, global: 1 }).done
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(6)
    await svm.close()
  })
})

describe('the host cache', () => {
  it('whose slots are all being read into makes the next one wait', async () => {
    const rig = await openRig({ hostCache: 4 * PAGE_BYTES })
    const bytes = new Uint8Array(sequence(12 * PAGE_WORDS).buffer)
    const gates: (() => void)[] = []
    const pager = {
      size: bytes.length,
      async read(offset: number, into: Uint8Array) {
        await new Promise<void>((resolve) => gates.push(resolve))
        into.set(bytes.subarray(offset, offset + into.length))
        return into.length
      },
    }
    const file = (await rig.svm.mmap(pager)) / PAGE_BYTES
    const { space } = (rig.svm as Context).port as LocalPort
    const vma = space.addresses.find(file)
    if (vma === undefined) throw new Error('not mapped')
    let open = true
    const faults = [0, 2, 4].map((first) => hostFault(space, vma, file + first, file + first + 2, 'read'))
    const all = Promise.all(faults).finally(() => {
      open = false
    })
    for (let turn = 0; open && turn < 1000; turn++) {
      gates.shift()?.()
      await Promise.resolve()
    }
    expect(await all).toEqual(['ok', 'ok', 'ok'])
  })
})

describe('alloc while a launch waits for its tables', () => {
  it.each(['table', 'control', 'faults', 'arguments'] as const)('for the %s: they are long enough for what is mapped by then', async (role) => {
    const rig = await openRig({ deviceMemory: 2 ** 21 })
    const { svm, device } = rig
    const a = svm.allocFrom(sequence(2 * PAGE_WORDS))
    const store = await makeKernel(svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 9))
    let more = 0
    const make = device.createBuffer.bind(device)
    device.createBuffer = (wanted, ...rest) => {
      const made = make(wanted, ...rest)
      if (wanted === role && more === 0) more = svm.alloc(3000 * PAGE_BYTES)
      return made
    }
    await svm.queue.enqueue(store, { args: { a }, global: 2 }).done
    expect(more).toBeGreaterThan(0)
    await svm.queue.enqueue(store, { args: { a: more }, global: 2 }).done
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(9)
    expect((await svm.read(more, Uint32Array, 1))[0]).toBe(9)
    await checkInvariants(rig)
    await svm.close()
  })
})
