// What records cost, in bytes and in looks. Always: counts, never times: those are measured by the benches.

import { describe, expect, it, vi } from 'vitest'
import { openSvm } from '../../src/open.ts'
import { simDevice } from '../../src/sim.ts'
import { openRig } from './rig.ts'

const MIB = 2 ** 20

describe.each([4096, 65536])('64 MiB in pages of %i bytes', (pageSize) => {
  it.each([
    { addressBits: 32, deviceMemory: 80 * MIB },
    { addressBits: 64, deviceMemory: 80 * MIB },
    // Records are made for frames that are taken, not for those that could be.
    { addressBits: 32, deviceMemory: 1024 * MIB },
  ] as const)(
    'take at most 32 bytes of records a page, device-private and system-mapped ($addressBits bits, $deviceMemory bytes of budget)',
    async (options) => {
      const rig = await openRig({ pageSize, memory: options.deviceMemory + 16 * MIB, bufferBytes: 2 ** 31, ...options })
      const pages = (64 * MIB) / pageSize
      const p = rig.svm.alloc(64 * MIB)
      await rig.svm.queue.migrate({ pointer: p }).done
      expect(rig.svm.stats().bookkeepingBytes / pages).toBeLessThanOrEqual(32)
      await rig.svm.read(p, 64 * MIB)
      expect(rig.mirror.systemCopies).toBe(pages)
      expect(rig.svm.stats().bookkeepingBytes / pages).toBeLessThanOrEqual(32)
      await rig.svm.close()
    },
  )

  it('take no more when they have moved to another device', async () => {
    const devices = [simDevice({ seed: 1, memory: 96 * MIB }), simDevice({ seed: 2, memory: 96 * MIB })]
    const svm = await openSvm({ devices, pageSize, deviceMemory: 80 * MIB })
    const p = svm.alloc(64 * MIB)
    await svm.queue.migrate({ pointer: p }).done
    await svm.createQueue({ device: devices[1] }).migrate({ pointer: p }).done
    expect(svm.stats().bookkeepingBytes / ((64 * MIB) / pageSize)).toBeLessThanOrEqual(32)
    await svm.close()
  })

  it('are passed over block by block when they are in place: no page is looked at', async () => {
    const rig = await openRig({ pageSize, memory: 96 * MIB, deviceMemory: 80 * MIB })
    const p = rig.svm.alloc(64 * MIB)
    await rig.svm.queue.migrate({ pointer: p }).done
    const looks = vi.spyOn(rig.space.pages, 'state')
    const entries = vi.spyOn(rig.mirror.vmm, 'set')
    expect(await rig.svm.queue.migrate({ pointer: p }).done).toMatchObject({ moved: 0, present: (64 * MIB) / pageSize, ptesWritten: 0 })
    expect([looks.mock.calls.length, entries.mock.calls.length]).toEqual([0, 0])
    await rig.svm.close()
  })

  it('give their records back when they are freed', async () => {
    const rig = await openRig({ pageSize })
    const p = rig.svm.alloc(4 * MIB)
    await rig.svm.write(p, new Uint8Array(4 * MIB).fill(1))
    expect(rig.space.pages.touchedRuns({ start: 0, end: rig.space.geometry.spacePages })).toHaveLength(1)
    rig.svm.free(p)
    await rig.svm.queue.finish()
    await rig.svm.read(rig.svm.alloc(1), 1)
    const left = rig.space.pages.touchedRuns({ start: 0, end: rig.space.geometry.spacePages })
    expect(left.reduce((sum, run) => sum + run.end - run.start, 0)).toBeLessThanOrEqual(rig.space.pages.blockPages)
    await rig.svm.close()
  })
})
