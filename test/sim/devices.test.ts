// Several devices in one space. Always: a page is on one device at most, or its copies are all read-only; each mirror's entries are exactly what
// it may do; whoever wants a page that another has waits for it and gets it.

import { describe, expect, it } from 'vitest'
import { PTE, PTE_RIGHTS } from '../../src/abi/pte.ts'
import type { Context } from '../../src/cl/context.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import { bind } from '../../src/driver/bind.ts'
import { Evictor } from '../../src/driver/evict.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { hostFault } from '../../src/mm/fault.ts'
import { openSvm } from '../../src/open.ts'
import { lru } from '../../src/policy/lru.ts'
import { type Mischief, simDevice } from '../../src/sim.ts'
import type { KernelTwin, SvmOptions } from '../../src/types.ts'
import { makeKernel, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

const PAGES = 8

async function openPair(options: Partial<SvmOptions> & { seed?: number; mischief?: Mischief } = {}) {
  const { seed = 1, mischief, ...rest } = options
  const devices = [simDevice({ seed, mischief }), simDevice({ seed: seed + 1000, mischief })]
  const svm = await openSvm({ pageSize: PAGE_BYTES, deviceMemory: 2 ** 21, ...rest, devices })
  const port = (svm as Context).port as LocalPort
  const [a, b] = port.mirrors as [LocalPort['mirrors'][0], LocalPort['mirrors'][0]]
  const queues = devices.map((device) => svm.createQueue({ device }))
  const vpnOf = (pointer: number) => pointer / PAGE_BYTES
  const state = (pointer: number) => port.space.pages.print(vpnOf(pointer)).replace(/ frame \d+/, '')
  return { svm, port, space: port.space, a, b, queues: queues as [(typeof queues)[0], (typeof queues)[0]], devices, state, vpnOf }
}

/** Both mirrors' entries are what may be, and at most one of them may write. */
function checkMirrors({ space, port }: Awaited<ReturnType<typeof openPair>>): void {
  for (const vma of space.addresses.vmas) {
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      for (const mirror of port.mirrors) expect(mirror.vmm.get(vpn), `${mirror.label}, page ${vpn}`).toBe(mirror.entryFor(vma, vpn))
      const writers = port.mirrors.filter((mirror) => (mirror.vmm.get(vpn) & (PTE.store | PTE.exclusive)) !== 0)
      const readers = port.mirrors.filter((mirror) => (mirror.vmm.get(vpn) & PTE_RIGHTS) !== 0)
      expect(writers.length === 0 || readers.length === 1, `page ${vpn} is written by one device and read by no other`).toBe(true)
    }
  }
  for (const mirror of port.mirrors) mirror.dmem.assertCounts()
  space.assertPages(0, 1)
}

const increment: KernelTwin = ({ globalId: [i] }, args, memory) => {
  const at = (args.a as number) + i * PAGE_BYTES
  memory.storeU32(at, memory.loadU32(at) + 1)
}

const sum: KernelTwin = ({ globalId: [i] }, args, memory) => {
  memory.storeU32((args.out as number) + i * 4, memory.loadU32((args.a as number) + i * PAGE_BYTES))
}

describe('two simulated devices', () => {
  it('move a page between them by request, each sees only what it may, and the bytes are right', async () => {
    const pair = await openPair()
    const { svm, queues, a, b, state, vpnOf } = pair
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    await queues[0].migrate({ pointer }).done
    expect(state(pointer)).toBe('clean in memory 0')
    checkMirrors(pair)
    const { moved, present } = await queues[1].migrate({ pointer, byteLength: 2 * PAGE_BYTES }).done
    expect({ moved, present }).toEqual({ moved: 2, present: 0 })
    expect([state(pointer), state(pointer + 2 * PAGE_BYTES)]).toEqual(['clean in memory 1', 'clean in memory 0'])
    expect(a.vmm.get(vpnOf(pointer)) & PTE_RIGHTS).toBe(0)
    expect(b.vmm.get(vpnOf(pointer)) & PTE_RIGHTS).toBe(PTE_RIGHTS)
    expect(b.vmm.get(vpnOf(pointer) + 2) & PTE_RIGHTS).toBe(0)
    checkMirrors(pair)
    expect(await svm.read(pointer, Uint32Array, PAGES * PAGE_WORDS)).toEqual(sequence(PAGES * PAGE_WORDS))
    await svm.close()
  })

  it('lose only the entries of pages that really move, counted per device', async () => {
    const { svm, queues, a, b } = await openPair()
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    await queues[0].migrate({ pointer }).done
    const before = { written: a.vmm.written, lost: a.vmm.mappingsLost }
    // One page of eight goes to the other device, in a request that names them all but finds no memory for more.
    await queues[1].migrate({ pointer: pointer + 3 * PAGE_BYTES, byteLength: PAGE_BYTES }).done
    expect(a.vmm.mappingsLost - before.lost).toBe(1)
    // Reading on both devices: copies; then the host writes one page, and each device loses that one entry.
    await queues[0].migrate({ pointer }).done
    await svm.write(pointer, sequence(1, 5))
    const kernel = await makeKernel(svm, sum, { pointers: ['a', 'out'] })
    for (const queue of queues) {
      const out = svm.alloc(PAGE_BYTES)
      await queue.enqueue(kernel, { args: { a: pointer, out }, global: PAGES }).done
    }
    const dropped = [a.entriesDropped, b.entriesDropped]
    await svm.write(pointer + PAGE_BYTES, sequence(1, 7))
    expect([a.entriesDropped - (dropped[0] as number), b.entriesDropped - (dropped[1] as number)]).toEqual([1, 1])
    const { devices } = svm.stats() as unknown as { devices: { entriesDropped: number }[] }
    expect(devices.map((device) => device.entriesDropped)).toEqual([a.entriesDropped, b.entriesDropped])
    await svm.close()
  })

  it('read the same page at the same time, and a write on one takes it from the other', async () => {
    const pair = await openPair()
    const { svm, queues, state } = pair
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    const outs = [svm.alloc(PAGE_BYTES), svm.alloc(PAGE_BYTES)]
    const reads = await makeKernel(svm, sum, { pointers: ['a', 'out'] })
    for (const [d, queue] of queues.entries()) await queue.enqueue(reads, { args: { a: pointer, out: outs[d] as number }, global: PAGES }).done
    expect(state(pointer)).toBe('mapped on 11')
    checkMirrors(pair)
    const writes = await makeKernel(svm, increment)
    for (let round = 0; round < 3; round++) {
      for (const [d, queue] of queues.entries()) {
        await queue.enqueue(writes, { args: { a: pointer }, global: PAGES }).done
        expect(state(pointer)).toBe(`dirty in memory ${d}`)
        checkMirrors(pair)
      }
    }
    const words = await svm.read(pointer, Uint32Array, PAGES * PAGE_WORDS)
    for (let page = 0; page < PAGES; page++) expect(words[page * PAGE_WORDS]).toBe(page * PAGE_WORDS + 6)
    await svm.close()
  })

  it('lose one of them: what it alone had is lost on both, the rest goes on with the other', async () => {
    const pair = await openPair()
    const { svm, queues, devices, state } = pair
    const stays = svm.allocFrom(sequence(PAGE_WORDS))
    const goes = svm.allocFrom(sequence(PAGE_WORDS))
    const writes = await makeKernel(svm, increment)
    await queues[0].enqueue(writes, { args: { a: goes }, global: 1 }).done
    await queues[1].enqueue(writes, { args: { a: stays }, global: 1 }).done
    const first = devices[0]?.device as SimDevice
    first.lose('test')
    const failed = await queues[1].enqueue(writes, { args: { a: goes }, global: 1 }).done.catch((error: { code: string }) => error.code)
    expect(failed).toBe('device-lost')
    expect(state(goes)).toBe('lost')
    checkMirrors(pair)
    await queues[1].enqueue(writes, { args: { a: stays }, global: 1 }).done
    expect((await svm.read(stays, Uint32Array, 1))[0]).toBe(2)
    await svm.close()
  })

  it('are all told of the end of the space, and lose every entry before their buffers go', async () => {
    const pair = await openPair()
    const { svm, space, queues, a, b } = pair
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    await queues[0].migrate({ pointer, byteLength: 4 * PAGE_BYTES }).done
    await queues[1].migrate({ pointer: pointer + 4 * PAGE_BYTES, byteLength: 4 * PAGE_BYTES }).done
    const told: string[] = []
    space.notifiers.insert(
      { start: 0, end: space.geometry.spacePages },
      {
        invalidate: ({ event }) => {
          const rights = [a, b].map((mirror) => Array.from({ length: PAGES }, (_, i) => mirror.vmm.get(pointer / PAGE_BYTES + i) & PTE_RIGHTS))
          told.push(`${event} ${rights.flat().every((right) => right === 0)} ${a.device.liveBytes > 0}`)
          return null
        },
      },
    )
    await svm.close()
    expect(told).toEqual(['release true true'])
  })

  it('an all-or-nothing migrate that fails leaves the other device its pages', async () => {
    const { svm, queues, state } = await openPair()
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
    await queues[0].migrate({ pointer }).done
    const mapping = await svm.map(pointer, PAGE_BYTES, 'read')
    const code = await queues[1].migrate({ pointer }, { mode: 'all-or-nothing' }).done.catch((error: { code: string }) => error.code)
    expect(code).toBe('host-mapped')
    expect(state(pointer + PAGE_BYTES)).toBe('clean in memory 0')
    mapping.unmap()
    await svm.close()
  })
})

describe('without the queue’s order', () => {
  for (let seed = 1; seed <= 40; seed++) {
    it(`migrations of one range by two devices, and the host, at once all end (seed ${seed})`, async () => {
      const pair = await openPair({ seed })
      const { svm, space, a, b } = pair
      const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
      const vpn = pointer / PAGE_BYTES
      const range = { start: vpn, end: vpn + PAGES }
      const writes = await makeKernel(svm, increment)
      await svm.queue.enqueue(writes, { args: { a: pointer }, global: PAGES }).done
      const request = { ranges: [range], discard: [], to: 'device', mode: 'best-effort' } as const
      const home = { ...request, to: 'host' } as const
      const vma = space.addresses.find(vpn)
      if (vma === undefined) throw new Error('mapped')
      const evictors = [new Evictor(a, lru), new Evictor(b, lru)] as const
      const results = await Promise.all([
        bind(a, evictors[0], request),
        bind(b, evictors[1], request),
        hostFault(space, vma, vpn, vpn + 3, 'read'),
        bind(b, evictors[1], home),
        bind(a, evictors[0], request),
      ])
      for (const result of results) {
        if (typeof result === 'string') continue
        const skipped = Object.values(result.skipped).reduce((sum, pages) => sum + pages, 0)
        expect(result.moved + result.present + result.discarded + skipped).toBe(PAGES)
      }
      expect(results[2]).toBe('ok')
      checkMirrors(pair)
      const words = await svm.read(pointer, Uint32Array, PAGES * PAGE_WORDS)
      for (let page = 0; page < PAGES; page++) expect(words[page * PAGE_WORDS]).toBe(page * PAGE_WORDS + 1)
      await svm.close()
    })
  }
})
