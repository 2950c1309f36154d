// What records cost, in bytes and in looks. Always: counts, never times: those are measured by the benches.

import { describe, expect, it, vi } from 'vitest'
import { openRig } from './rig.ts'

const MIB = 2 ** 20

describe.each([4096, 65536])('64 MiB in pages of %i bytes', (pageSize) => {
  it('take at most 32 bytes of records a page, device-private and system-mapped', async () => {
    const rig = await openRig({ pageSize, memory: 96 * MIB, deviceMemory: 80 * MIB })
    const pages = (64 * MIB) / pageSize
    const p = rig.svm.alloc(64 * MIB)
    await rig.svm.queue.migrate({ pointer: p }).done
    expect(rig.svm.stats().bookkeepingBytes).toBeLessThanOrEqual(32 * pages)
    await rig.svm.read(p, 64 * MIB)
    expect(rig.mirror.systemCopies).toBe(pages)
    expect(rig.svm.stats().bookkeepingBytes).toBeLessThanOrEqual(32 * pages)
    await rig.svm.close()
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
