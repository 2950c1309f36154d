// Eviction under the device's budget. Always: the policy chooses, and only among pages that may go; only what kernels stored to is written back.

import { describe, expect, it } from 'vitest'
import { openSvm } from '../../src/open.ts'
import { lru } from '../../src/policy/lru.ts'
import type { EvictionPolicy } from '../../src/policy/policy.ts'
import { simDevice } from '../../src/sim.ts'
import type { KernelTwin } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

const store: KernelTwin = ({ globalId: [i] }, args, memory) => memory.storeU32((args.a as number) + i * PAGE_BYTES, i)
const touch: KernelTwin = ({ globalId: [i] }, args, memory) => void memory.loadU32((args.a as number) + i * PAGE_BYTES)

/** Takes the newest first, and notes what it was offered. */
function newestFirst(): EvictionPolicy & { offered: number[] } {
  const offered: number[] = []
  return {
    name: 'newest first',
    offered,
    victims(lastUse, _dirty, wanted) {
      offered.push(lastUse.length)
      return Array.from(lastUse, (_, index) => index)
        .sort((a, b) => (lastUse[b] as number) - (lastUse[a] as number))
        .slice(0, wanted)
    },
  }
}

describe('victims', () => {
  it('are chosen by the policy, and no more of them than are needed', async () => {
    for (const [policy, left] of [
      [lru, '..cc'],
      [newestFirst(), 'cc..'],
    ] as const) {
      const rig = await openRig({ frames: 8, policy: { eviction: policy } })
      const p = rig.svm.alloc(10 * PAGE_BYTES)
      for (let page = 0; page < 8; page += 2) await rig.svm.queue.migrate({ pointer: p + page * PAGE_BYTES, byteLength: 2 * PAGE_BYTES }).done
      const frames = rig.mirror.dmem.capacity
      expect(frames).toBe(8)
      await rig.svm.queue.migrate({ pointer: p + 8 * PAGE_BYTES, byteLength: 2 * PAGE_BYTES }).done
      expect(rig.mirror.evictions).toBe(2)
      const drawn = rig.draw(p, 8)
      expect(drawn.replaceAll('h', '.').slice(left.startsWith('.') ? 0 : 4, left.startsWith('.') ? 4 : 8)).toBe(left)
      await checkInvariants(rig)
      await rig.svm.close()
    }
  })

  it('cost a copy only where a kernel stored', async () => {
    const rig = await openRig({ frames: 8 })
    const p = rig.svm.allocFrom(sequence(8 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: p }).done
    const kernel = await makeKernel(rig.svm, store)
    await rig.svm.queue.enqueue(kernel, { args: { a: p }, global: 3 }).done
    const out = rig.mirror.copies.bytesOut
    const q = rig.svm.alloc(8 * PAGE_BYTES)
    await rig.svm.queue.migrate({ pointer: q }).done
    expect(rig.mirror.evictions).toBe(8)
    expect(rig.mirror.copies.bytesOut - out).toBe(3 * PAGE_BYTES)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('are never pages of the request itself, whatever the policy says', async () => {
    const policy = newestFirst()
    const rig = await openRig({ frames: 8, policy: { eviction: policy } })
    const p = rig.svm.alloc(12 * PAGE_BYTES)
    expect(await rig.svm.queue.migrate({ pointer: p }).done).toMatchObject({ moved: 8, skipped: { 'no-memory': 4 } })
    expect(policy.offered.every((candidates) => candidates === 0)).toBe(true)
    expect(rig.mirror.evictions).toBe(0)
    await rig.svm.close()
  })

  it('are never the pages of the workgroup that leads', async () => {
    const policy = newestFirst()
    const rig = await openRig({ frames: 8, policy: { eviction: policy } })
    const a = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
    // One work-item that reads six pages, one after the other: each is wanted in a pass of its own, and those before must stay.
    const chain: KernelTwin = (_item, args, memory) => {
      let sum = 0
      for (let page = 0; page < 6; page++) sum += memory.loadU32((args.a as number) + page * PAGE_BYTES)
      memory.storeU32(args.b as number, sum)
    }
    const b = rig.svm.alloc(4)
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(8 * PAGE_BYTES) }).done
    const kernel = await makeKernel(rig.svm, chain, { pointers: ['a', 'b'] })
    await rig.svm.queue.enqueue(kernel, { args: { a, b }, global: 1 }).done
    expect((await rig.svm.read(b, Uint32Array, 1))[0]).toBe(PAGE_WORDS * 15)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('of a policy that chooses what is not there are refused by its name, and nobody goes', async () => {
    for (const victims of [() => [99], () => [0, 0], () => [-1], () => [0.5]]) {
      const rig = await openRig({ frames: 8, policy: { eviction: { name: 'wild', victims } } })
      await rig.svm.queue.migrate({ pointer: rig.svm.alloc(8 * PAGE_BYTES) }).done
      const event = rig.svm.queue.migrate({ pointer: rig.svm.alloc(PAGE_BYTES) })
      await expect(event.done).rejects.toThrow("policy 'wild'")
      expect(await codeOf(() => event.done)).toBe('invalid-value')
      expect(rig.mirror.evictions).toBe(0)
      await checkInvariants(rig)
      await rig.svm.close()
    }
  })
})

describe('a policy that is wrong', () => {
  it('and throws or gives no list fails what asked for room, by its name', async () => {
    const mine = () => {
      throw new Error('mine')
    }
    for (const victims of [mine, () => 5 as unknown as number[]]) {
      const rig = await openRig({ frames: 8, policy: { eviction: { name: 'wild', victims } } })
      await rig.svm.queue.migrate({ pointer: rig.svm.alloc(8 * PAGE_BYTES) }).done
      const event = rig.svm.queue.migrate({ pointer: rig.svm.alloc(PAGE_BYTES) })
      await expect(event.done).rejects.toThrow("policy 'wild'")
      expect(await codeOf(() => event.done)).toBe('invalid-value')
      await checkInvariants(rig)
      await rig.svm.close()
    }
  })

  it.each([
    5,
    null,
    { bogus: 1 },
    { eviction: 'bogus' },
    { eviction: { name: 'n' } },
    { prefetch: 'all' },
    { direct: 1 },
    { pools: 0 },
    { pools: 9 },
    { thrash: 'x' },
    { thrash: { bounces: 2 } },
    { thrash: { moves: 0 } },
  ])('is refused when the space is opened: %j', async (policy) => {
    expect(await codeOf(() => openSvm({ device: simDevice(), policy: policy as never }))).toBe('invalid-value')
  })
})

describe('effort', () => {
  it('is bounded when a policy gives nobody away: the error says what is needed', async () => {
    const rig = await openRig({ frames: 8, policy: { eviction: { name: 'miser', victims: () => [] } } })
    const a = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(8 * PAGE_BYTES) }).done
    const kernel = await makeKernel(rig.svm, touch)
    const event = rig.svm.queue.enqueue(kernel, { args: { a }, global: 1 })
    expect(await codeOf(() => event.done)).toBe('working-set')
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('device memory goes back when pages leave by the host, or to another device', async () => {
    const [one, other] = [simDevice({ seed: 1 }), simDevice({ seed: 2 })]
    const svm = await openSvm({ devices: [one, other], pageSize: PAGE_BYTES, deviceMemory: 2 ** 20 })
    const queue = svm.createQueue({ device: other })
    const p = svm.allocFrom(sequence(16 * PAGE_WORDS))
    const pools = () => svm.stats().devices.map((device) => device.pools)
    for (const leave of [() => svm.using(p, 16 * PAGE_BYTES, 'read-write', () => undefined), () => svm.write(p, new Uint8Array(16 * PAGE_BYTES))]) {
      await svm.queue.migrate({ pointer: p }).done
      expect(pools()).toEqual([1, 0])
      await leave()
      expect(pools()).toEqual([0, 0])
    }
    await svm.queue.migrate({ pointer: p }).done
    await queue.migrate({ pointer: p }).done
    expect(pools()).toEqual([0, 1])
    await svm.close()
  })

  it('device memory goes back when chunks are empty', async () => {
    const rig = await openRig({ frames: 64, bufferBytes: 40 * PAGE_BYTES })
    const p = rig.svm.alloc(60 * PAGE_BYTES)
    await rig.svm.queue.migrate({ pointer: p }).done
    const pools = rig.mirror.dmem.poolBuffers.filter((buffer) => buffer !== null).length
    expect(pools).toBeGreaterThan(1)
    const full = rig.device.liveBytes
    await rig.svm.queue.migrate({ pointer: p, byteLength: 30 * PAGE_BYTES }, { to: 'host' }).done
    await rig.svm.queue.migrate({ pointer: p }, { to: 'host' }).done
    expect(rig.mirror.dmem.poolBuffers.every((buffer) => buffer === null)).toBe(true)
    expect(rig.device.liveBytes).toBeLessThan(full - 55 * PAGE_BYTES)
    await rig.svm.close()
  })
})
