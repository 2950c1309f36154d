// debug.test.ts: a space with debug on the simulated device: races and waits are found whatever faults, and nothing else is.
// Always: a kernel is run over many schedules, cold and with everything resident, so that it is replayed in one and not in the other.

import { describe, expect, it } from 'vitest'
import type { SvmError } from '../../src/base/error.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES } from './rig.ts'

const SEEDS = Array.from({ length: 10 }, (_, i) => i + 1)

interface Options {
  readonly barriers?: boolean
  readonly size?: number
  readonly class?: 'transactional' | 'unsplittable'
  readonly debug?: boolean
  readonly addressBits?: 32 | 64
}

/** What a launch of eight workgroups said, in every schedule: the errors, or null. */
async function everySchedule(twin: KernelTwin, options: Options = {}): Promise<(SvmError | null)[]> {
  const said: (SvmError | null)[] = []
  for (const seed of SEEDS) {
    for (const resident of [false, true]) {
      const { debug = true, addressBits = 32 } = options
      const rig = await openRig({ seed, debug, addressBits, frames: 24, mischief: { latency: seed % 3 } })
      const a = rig.svm.alloc(2 * PAGE_BYTES, { label: 'ours' })
      const b = rig.svm.alloc(4 * PAGE_BYTES)
      if (resident) await rig.svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
      const kernel = await makeKernel(rig.svm, twin, { pointers: ['a', 'b'], ...options })
      const size = options.size ?? 1
      const launch = rig.svm.queue.enqueue(kernel, { args: { a, b }, global: 8 * size }).done
      said.push(
        await launch.then(
          () => null,
          (thrown) => thrown as SvmError,
        ),
      )
      await checkInvariants(rig)
      await rig.svm.close()
    }
  }
  return said
}

describe('races', () => {
  it.each([32, 64] as const)('two stores to a word, with %i-bit addresses', async (addressBits) => {
    const twin: KernelTwin = (item, { a }, m) => {
      if (item.workgroupId[0] === 2 || item.workgroupId[0] === 5) m.storeU32(a + 12, item.workgroupId[0])
    }
    for (const error of await everySchedule(twin, { addressBits })) {
      expect(error).toMatchObject({ code: 'access-violation', workgroup: [2, 0, 0], retiredWorkgroups: 8 })
      expect(error?.message).toContain(
        "workgroup (2, 0, 0) stored to it, and workgroup (5, 0, 0) stored to it, and no atomic orders the two; that is byte 12 of 'ours'",
      )
    }
  })

  it('a store and a load, though the load faults first', async () => {
    const twin: KernelTwin = (item, { a, b }, m) => {
      if (item.workgroupId[0] === 0) m.storeU32(a, 7)
      else if (item.workgroupId[0] === 7) m.storeU32(b, m.loadU32(m.loadU32(b + PAGE_BYTES) + a))
    }
    for (const error of await everySchedule(twin)) expect(error?.message).toContain('workgroup (7, 0, 0) loaded it')
  })

  it('no race: slots dealt by an atomic, whichever workgroup gets which when it is run again', async () => {
    const twin: KernelTwin = (item, { a, b }, m) => {
      const slot = m.atomicAddU32(a, 1)
      m.storeU32(b + 4 * slot, item.workgroupId[0])
      m.loadU32(b + PAGE_BYTES * (1 + (slot % 3)))
    }
    expect(await everySchedule(twin)).toEqual(SEEDS.flatMap(() => [null, null]))
  })

  it('no race: what a workgroup wrote before it was run again', async () => {
    const twin: KernelTwin = function* (item, { b }, m) {
      m.storeU32(b + 4 * item.globalId[0], item.localIndex)
      yield
      m.storeU32(b + 4 * (item.workgroupId[0] * 4 + 3 - item.localIndex), m.loadU32(b + PAGE_BYTES * (1 + (item.workgroupId[0] % 3))))
    }
    expect(await everySchedule(twin, { size: 4, barriers: true })).toEqual(SEEDS.flatMap(() => [null, null]))
  })

  it('a transactional kernel may race, and without debug nobody looks', async () => {
    const twin: KernelTwin = (item, { a }, m) => m.storeU32(a, item.workgroupId[0])
    expect(await everySchedule(twin, { class: 'transactional' })).toEqual(SEEDS.flatMap(() => [null, null]))
    expect(await everySchedule(twin, { debug: false })).toEqual(SEEDS.flatMap(() => [null, null]))
    for (const error of await everySchedule(twin)) expect(error?.message).toContain('data race')
  })
})

describe('waits', () => {
  const lock: KernelTwin = function* (item, { a, b }, m) {
    if (item.workgroupId[0] !== 3) return
    m.storeU32(b, 1)
    while (m.atomicCompareExchangeU32(a + 4, 5, 1) !== 5) yield 'step'
  }

  it('an invocation that asks and asks is named, with the word', async () => {
    for (const error of (await everySchedule(lock)).slice(0, 6)) {
      expect(error).toMatchObject({ code: 'access-violation', workgroup: [3, 0, 0] })
      expect(error?.message).toContain('k waits in workgroup (3, 0, 0)')
      expect(error?.message).toContain("byte 4 of 'ours'")
      expect(error?.message).toContain("declare class 'unsplittable'")
    }
  }, 60_000)
})
