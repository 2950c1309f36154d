// release.test.ts: a device leaves in good order. Always: every page is at home afterwards with its bytes, the device holds nothing, what names it
// is refused, and the rest of the space goes on.

import { describe, expect, it } from 'vitest'
import type { Context } from '../../src/cl/context.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { openSvm } from '../../src/open.ts'
import { simDevice } from '../../src/sim.ts'
import { codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

async function two() {
  const devices = [simDevice({ seed: 1, label: 'first' }), simDevice({ seed: 2, label: 'second' })]
  const svm = await openSvm({ devices, pageSize: PAGE_BYTES, deviceMemory: 2 ** 20 })
  const port = (svm as Context).port as LocalPort
  const a = svm.allocFrom(sequence(6 * PAGE_WORDS))
  const bump = await makeKernel(svm, (_i, args, m) => m.storeU32(args.a, m.loadU32(args.a) + 1))
  const queues = devices.map((device) => svm.createQueue({ device }))
  const launch = (which: number, at: number) => queues[which].enqueue(bump, { args: { a: at }, global: 1 }).done
  return { svm, port, devices, queues, a, launch, page: (n: number) => a + n * PAGE_BYTES }
}

describe('releaseDevice', () => {
  it('brings clean and dirty pages home, drops copies, and the other device goes on', async () => {
    const { svm, port, devices, queues, a, launch, page } = await two()
    await queues[0].migrate({ pointer: a, byteLength: 3 * PAGE_BYTES }).done
    await launch(0, page(1))
    await launch(1, page(4))
    await launch(1, page(5))
    await svm.read(page(5), 4)
    const { bytesOut } = svm.stats().devices[0]
    await svm.releaseDevice(devices[0])
    const [first, second] = svm.stats().devices
    expect(first).toMatchObject({ released: true, framesUsed: 0, systemCopies: 0, pools: 0, liveBytes: 0 })
    // Only the page that a kernel stored to was copied.
    expect(first.bytesOut - bytesOut).toBe(PAGE_BYTES)
    expect(second).toMatchObject({ released: false })
    expect(port.space.owners[0]).toBeNull()
    const wanted = sequence(6 * PAGE_WORDS)
    for (const n of [1, 4, 5]) wanted[n * PAGE_WORDS]++
    expect(await svm.read(a, Uint32Array, 6 * PAGE_WORDS)).toEqual(wanted)
    await launch(1, page(1))
    await queues[1].migrate({ pointer: a }).done
    expect((await svm.read(page(1), Uint32Array, 1))[0]).toBe(wanted[PAGE_WORDS] + 1)
    for (let vpn = a / PAGE_BYTES; vpn < a / PAGE_BYTES + 6; vpn++) port.space.pages.assertPage(vpn)
    await svm.close()
  })

  it('what was called before still runs; from the call on its queues, and requests that name it, are refused', async () => {
    const { svm, port, devices, queues, a, launch } = await two()
    const before = [launch(0, a), launch(0, a)]
    const leaving = svm.releaseDevice(devices[0])
    const refused = () => queues[0].migrate({ pointer: a })
    expect(refused).toThrow(expect.objectContaining({ code: 'closed', message: expect.stringContaining('first') }))
    expect(() => queues[0].memfill(a, new Uint8Array(1), 8)).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(() => svm.queue.free([a])).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(() => svm.createQueue({ device: devices[0] })).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(await codeOf(() => svm.releaseDevice(devices[0]))).toBe('closed')
    await Promise.all([...before, leaving])
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(2)
    const ranges = [{ pointer: a, byteLength: 4 }]
    const request = { memory: 0, ranges, target: 'device', contentUndefined: false, mode: 'best-effort' } as const
    await expect(port.ioctl('SVM_BIND', request)).rejects.toMatchObject({ code: 'closed', check: 'device-released' })
    await expect(port.ioctl('SVM_RELEASE', { memory: 0 })).rejects.toMatchObject({ code: 'closed', check: 'device-released' })
    // The default queue is one of a device that is still there.
    await svm.createQueue().migrate({ pointer: a }).done
    expect(svm.residency(a, 4)[0]).toMatchObject({ where: 'device', device: devices[1] })
    await svm.close()
  })

  it('a device that was lost may leave too; what it lost stays lost', async () => {
    const rig = await openRig({ frames: 16 })
    const a = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    const store = await makeKernel(rig.svm, (_i, args, m) => m.storeU32(args.a, 7))
    await rig.svm.queue.migrate({ pointer: a }).done
    await rig.svm.queue.enqueue(store, { args: { a }, global: 1 }).done
    rig.device.lose('pulled out')
    await rig.svm.releaseDevice(rig.svm.devices[0])
    expect(rig.svm.residency(a, 2 * PAGE_BYTES).map(({ where }) => where)).toEqual(['lost', 'host'])
    expect(await codeOf(() => rig.svm.read(a, 4))).toBe('device-lost')
    await rig.svm.write(a, new Uint8Array(PAGE_BYTES))
    expect((await rig.svm.read(a, Uint32Array, 1))[0]).toBe(0)
    rig.svm.onerror = () => expect.unreachable('nothing is lost any more')
    await rig.svm.close()
  })

  it('without a device the space is memory: everything but kernels and migrates works, and the device can have another space', async () => {
    const sim = simDevice({ seed: 3 })
    const svm = await openSvm({ device: sim, pageSize: PAGE_BYTES, deviceMemory: 2 ** 20 })
    await svm.releaseDevice(sim)
    const a = svm.allocFrom(sequence(PAGE_WORDS))
    await svm.using(a, 8, 'read-write', ({ u32 }) => (u32[0] = 9))
    await svm.mprotect(a, PAGE_BYTES, 'read')
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(9)
    expect(() => svm.createQueue()).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(await codeOf(() => svm.releaseDevice({} as typeof sim))).toBe('invalid-value')
    const other = await openSvm({ device: sim, pageSize: PAGE_BYTES, deviceMemory: 2 ** 20 })
    const b = other.allocFrom(Uint32Array.of(3))
    await other.queue.migrate({ pointer: b }).done
    expect((await other.read(b, Uint32Array, 1))[0]).toBe(3)
    svm.free(a)
    await svm.close()
    await other.close()
    expect(await codeOf(() => svm.releaseDevice(sim))).toBe('closed')
  })
})
