// Advice: what each word changes, what it says, and that no byte changes by it. Always: every test reads all its bytes back.

import { describe, expect, it } from 'vitest'
import { budgetWith } from '../../fuzz/world.ts'
import type { Context } from '../../src/cl/context.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { openSvm } from '../../src/open.ts'
import { simDevice } from '../../src/sim.ts'
import type { Advice, KernelTwin, Svm, SvmPointer } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const load: KernelTwin = ({ globalId: [i] }, args, memory) => void memory.loadU32((args.a as number) + i * PAGE_BYTES)
const increment: KernelTwin = ({ globalId: [i] }, args, memory) => {
  const at = (args.a as number) + i * PAGE_BYTES
  memory.storeU32(at, memory.loadU32(at) + 1)
}

const launch = async (svm: Svm, twin: KernelTwin, a: SvmPointer, global: number, queue = svm.queue) =>
  queue.enqueue(await makeKernel(svm, twin), { args: { a }, global }).done

/** Two devices with so many frames each. */
async function openPair(frames: number) {
  const devices = [simDevice({ seed: 1, label: 'one' }), simDevice({ seed: 2, label: 'other' })]
  const deviceMemory = budgetWith(frames, PAGE_BYTES, devices[0].device as SimDevice)
  const svm = await openSvm({ devices, pageSize: PAGE_BYTES, deviceMemory })
  const port = (svm as Context).port as LocalPort
  const draw = (pointer: number, pages: number) =>
    Array.from({ length: pages }, (_, i) => port.space.pages.print(pointer / PAGE_BYTES + i).replace(/ frame.*/, '')).join(', ')
  return { svm, port, devices, other: svm.createQueue({ device: devices[1] }), draw }
}

/** A call after which all advice before it was heeded. */
const settled = (svm: Svm) => svm.read(0, 0)
const advices = ({ svm }: { svm: Svm }) => svm.snapshot().mappings.map(({ advice }) => advice)
const wordsOfAll = async (rig: Rig, p: number, pages: number) => [...(await rig.svm.read(p, Uint32Array, pages * PAGE_WORDS))]

describe('properties', () => {
  it('are of pages, survive what happens to their mapping, are shown, and are taken back', async () => {
    const rig = await openRig()
    const p = rig.svm.alloc(8 * PAGE_BYTES)
    expect(advices(rig)).toEqual([undefined])
    expect(rig.svm.advise(p + 2 * PAGE_BYTES + 5, 10, 'sequential')).toMatchObject({ applied: true })
    rig.svm.advise(p, 4 * PAGE_BYTES, 'read-mostly')
    rig.svm.advise(p + 6 * PAGE_BYTES, PAGE_BYTES, 'preferred-location', rig.svm.devices[0])
    const label = rig.svm.devices[0].label
    await settled(rig.svm)
    expect(advices(rig)).toEqual([['read-mostly'], ['sequential', 'read-mostly'], ['read-mostly'], undefined, [`preferred-location ${label}`], undefined])
    await rig.svm.mprotect(p, 8 * PAGE_BYTES, 'read')
    await rig.svm.mprotect(p, 8 * PAGE_BYTES, 'read-write')
    await rig.svm.munmap(p + 3 * PAGE_BYTES, PAGE_BYTES)
    expect(advices(rig)).toEqual([['read-mostly'], ['sequential', 'read-mostly'], undefined, [`preferred-location ${label}`], undefined])
    rig.svm.advise(p, PAGE_BYTES, 'random')
    rig.svm.advise(p + 6 * PAGE_BYTES, PAGE_BYTES, 'preferred-location')
    await settled(rig.svm)
    expect(advices(rig)[0]).toEqual(['random', 'read-mostly'])
    expect(advices(rig)).toContainEqual(['preferred-location host'])
    rig.svm.advise(p, 3 * PAGE_BYTES, 'normal')
    rig.svm.advise(p + 6 * PAGE_BYTES, PAGE_BYTES, 'normal')
    await settled(rig.svm)
    expect(advices(rig)).toEqual([undefined, undefined])
    await rig.svm.close()
  })

  it('come in their place in the order: a free and a new alloc at the same place keep none', async () => {
    const rig = await openRig()
    const p = rig.svm.alloc(4 * PAGE_BYTES)
    const write = rig.svm.write(p, sequence(PAGE_WORDS))
    const gone = rig.svm.munmap(p + 3 * PAGE_BYTES, PAGE_BYTES)
    rig.svm.advise(p, 4 * PAGE_BYTES, 'random')
    expect(advices(rig)).toEqual([undefined])
    await Promise.all([write, gone])
    const q = rig.svm.alloc(PAGE_BYTES)
    expect(q).toBe(p + 3 * PAGE_BYTES)
    await rig.svm.read(p, 4)
    expect(advices(rig)).toEqual([['random'], undefined])
    rig.svm.advise(p, 3 * PAGE_BYTES, 'sequential')
    rig.svm.free(p)
    await rig.svm.read(q, 4)
    expect(advices(rig)).toEqual([undefined])
    await rig.svm.close()
  })

  it('about a device end with it, released or lost', async () => {
    const { svm, devices, port } = await openPair(8)
    const p = svm.alloc(2 * PAGE_BYTES)
    svm.advise(p, PAGE_BYTES, 'preferred-location', devices[0])
    svm.advise(p + PAGE_BYTES, PAGE_BYTES, 'preferred-location', devices[1])
    await settled(svm)
    expect(advices({ svm })).toEqual([['preferred-location one'], ['preferred-location other']])
    await svm.releaseDevice(devices[1])
    expect(advices({ svm })).toEqual([['preferred-location one'], undefined])
    ;(devices[0].device as SimDevice).lose('pulled out')
    await svm.read(p, 4)
    expect(advices({ svm })).toEqual([undefined])
    expect(svm.advise(p, PAGE_BYTES, 'preferred-location', devices[0])).toMatchObject({
      applied: false,
      why: 'one was lost (pulled out): no page can be there.',
    })
    expect(svm.advise(p, PAGE_BYTES, 'will-need', devices[0]).applied).toBe(false)
    expect(port.space.addresses.vmas).toHaveLength(1)
    await svm.close()
  })
})

describe('read-mostly', () => {
  it('keeps copies where history would make the page a device’s own; a store still does', async () => {
    const drawAfterRead = async (advice: Advice | null) => {
      const rig = await openRig({ frames: 16 })
      const p = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
      if (advice !== null) rig.svm.advise(p, 4 * PAGE_BYTES, advice)
      // What it does depends on a word that the host changes: the first launch stores, the next with the same arguments reads.
      const flag = rig.svm.allocFrom(Uint32Array.of(1))
      const twin: KernelTwin = ({ globalId: [i] }, args, memory) => {
        const at = (args.a as number) + i * PAGE_BYTES
        const word = memory.loadU32(at)
        if (memory.loadU32(args.flag as number) === 1) memory.storeU32(at, word + 1)
      }
      const kernel = await makeKernel(rig.svm, twin, { pointers: ['a', 'flag'] })
      const args = { a: p, flag }
      await rig.svm.queue.enqueue(kernel, { args, global: 4 }).done
      const stored = rig.draw(p, 4)
      await rig.svm.write(flag, Uint32Array.of(0))
      await rig.svm.read(p, 4 * PAGE_BYTES)
      const out = rig.mirror.copies.bytesOut
      await rig.svm.queue.enqueue(kernel, { args, global: 4 }).done
      const read = rig.draw(p, 4)
      expect(await wordsOfAll(rig, p, 4)).toEqual([...sequence(4 * PAGE_WORDS)].map((word, at) => (at % PAGE_WORDS === 0 ? word + 1 : word)))
      expect(rig.mirror.copies.bytesOut - out).toBe(0)
      await checkInvariants(rig)
      await rig.svm.close()
      return [stored, read]
    }
    expect(await drawAfterRead(null)).toEqual(['dddd', 'cccc'])
    expect(await drawAfterRead('read-mostly')).toEqual(['dddd', 'mmmm'])
  })

  it('lets will-need copy to several devices, and the bytes of a device come home once', async () => {
    const { svm, devices, other, draw, port } = await openPair(16)
    const p = svm.allocFrom(sequence(2 * PAGE_WORDS))
    svm.advise(p, 2 * PAGE_BYTES, 'read-mostly')
    await launch(svm, increment, p, 2)
    expect(draw(p, 2)).toBe('dirty in memory 0, dirty in memory 0')
    expect(svm.advise(p, 2 * PAGE_BYTES, 'will-need', devices[1])).toMatchObject({
      applied: true,
      why: 'Of 2 pages those come to other, after what was called before, for which a frame is free then; 2 are free now.',
    })
    await svm.queue.finish()
    await settled(svm)
    expect(draw(p, 2)).toBe('mapped on 11, mapped on 11')
    const out = port.mirrors[0].copies.bytesOut
    await launch(svm, load, p, 2, other)
    await launch(svm, load, p, 2)
    expect([port.mirrors[0].copies.bytesOut - out, draw(p, 2)]).toEqual([0, 'mapped on 11, mapped on 11'])
    await launch(svm, increment, p, 2, other)
    expect(draw(p, 2)).toBe('dirty in memory 1, dirty in memory 1')
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(2)
    await svm.close()
  })
})

describe('preferred-location', () => {
  it('a read fault on that device brings the page with every right; elsewhere, and where the host holds it, it leaves a copy', async () => {
    const { svm, devices, other, draw, port } = await openPair(16)
    const p = svm.allocFrom(sequence(3 * PAGE_WORDS))
    expect(svm.advise(p, 3 * PAGE_BYTES, 'preferred-location', devices[0]).why).toMatch(/^one keeps these pages/)
    await launch(svm, load, p, 1, other)
    expect(draw(p, 1)).toBe('mapped on 10')
    const mapping = await svm.map(p + 2 * PAGE_BYTES, 4, 'read')
    await launch(svm, load, p, 3)
    // The first page stays a copy: the other device would lose its own.
    expect(draw(p, 3)).toBe('mapped on 11, clean in memory 0, mapped on 1')
    mapping.unmap()
    expect(port.mirrors[0].copies.bytesOut).toBe(0)
    expect([...(await svm.read(p, Uint32Array, 3 * PAGE_WORDS))]).toEqual([...sequence(3 * PAGE_WORDS)])
    await svm.close()
  })

  it('says what a read brings: copies where kernels may not store or mostly read, every right elsewhere', async () => {
    const rig = await openRig({ frames: 24 })
    const [device] = rig.svm.devices
    /** What it says that reads bring, and what they brought. */
    const said = async (p: SvmPointer, pages: number) => {
      const { why } = rig.svm.advise(p, pages * PAGE_BYTES, 'preferred-location', device)
      await launch(rig.svm, load, p, pages)
      await checkInvariants(rig)
      return [why.replace(/^.* keeps these pages: (.*), evictions there .*$/, '$1'), rig.draw(p, pages)]
    }
    const every = 'a read fault there brings a page with every right, if neither the host nor another device holds it'
    const copy = 'a read fault there brings a copy, since kernels may not store to it, or mostly read it'
    const plain = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    expect(await said(plain, 2)).toEqual([every, 'cc'])
    const file = await rig.svm.mmap({ size: 2 * PAGE_BYTES, read: async (_, into) => into.fill(1).length })
    expect(await said(file, 2)).toEqual([copy, 'mm'])
    const mostly = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    await rig.svm.advise(mostly, 2 * PAGE_BYTES, 'read-mostly').done
    expect(await said(mostly, 2)).toEqual([copy, 'mm'])
    const mixed = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    await rig.svm.mprotect(mixed + PAGE_BYTES, PAGE_BYTES, 'read')
    await rig.svm.advise(mixed + 2 * PAGE_BYTES, PAGE_BYTES, 'read-mostly').done
    expect(await said(mixed, 4)).toEqual([`${every} (only a copy where kernels may not store, or mostly read)`, 'cmmc'])
    await rig.svm.mprotect(plain, 2 * PAGE_BYTES, 'none')
    expect(rig.svm.advise(plain, 4, 'preferred-location', device).why).toMatch(/: no access to them is allowed now, evictions/)
    expect(await wordsOfAll(rig, mixed, 4)).toEqual([...sequence(4 * PAGE_WORDS)])
    await rig.svm.close()
  })

  it('evictions take others first, whatever the policy; pages that are best at the host go before all', async () => {
    const rig = await openRig({ frames: 8 })
    const [best, usual, host] = [0, 1, 2].map((n) => rig.svm.allocFrom(sequence((n === 1 ? 4 : 2) * PAGE_WORDS, n)))
    rig.svm.advise(best, 2 * PAGE_BYTES, 'preferred-location', rig.svm.devices[0])
    rig.svm.advise(host, 2 * PAGE_BYTES, 'preferred-location')
    for (const pointer of [best, usual, host]) await rig.svm.queue.migrate({ pointer }).done
    const draw = () => [rig.draw(best, 2), rig.draw(usual, 4), rig.draw(host, 2)]
    expect(draw()).toEqual(['cc', 'cccc', 'cc'])
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(2 * PAGE_BYTES) }).done
    expect(draw()).toEqual(['cc', 'cccc', 'hh'])
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(3 * PAGE_BYTES) }).done
    expect(draw()).toEqual(['cc', 'hhhc', 'hh'])
    // Not a pin: when nothing else is left they go.
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(8 * PAGE_BYTES) }).done
    expect(draw()).toEqual(['hh', 'hhhh', 'hh'])
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('of the host: history makes nothing a device’s own, stores and migrate still do', async () => {
    const rig = await openRig({ frames: 8 })
    const p = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    rig.svm.advise(p, 2 * PAGE_BYTES, 'preferred-location')
    await launch(rig.svm, increment, p, 2)
    expect(rig.draw(p, 2)).toBe('dd')
    expect(rig.svm.advise(p, 2 * PAGE_BYTES, 'will-need')).toMatchObject({ applied: true, why: '2 pages come to the host, after what was called before.' })
    await settled(rig.svm)
    expect(rig.draw(p, 2)).toBe('mm')
    expect(rig.svm.advise(p, 2 * PAGE_BYTES, 'will-need')).toMatchObject({ applied: false, why: 'All 2 pages are there already (the host).' })
    await rig.svm.queue.migrate({ pointer: p }).done
    expect(rig.draw(p, 2)).toBe('cc')
    await checkInvariants(rig)
    await rig.svm.close()
  })
})

describe('sequential', () => {
  it('says, and does, what there is to do: a pager is asked far ahead, other memory has none', async () => {
    const rig = await openRig({ frames: 16, hostCache: 512 * PAGE_BYTES })
    let asked = 0
    const read = async (_: number, into: Uint8Array) => {
      asked += into.length
      return into.fill(1).length
    }
    const file = await rig.svm.mmap({ size: 8 * PAGE_BYTES, read })
    const memory = rig.svm.allocFrom(sequence(8 * PAGE_WORDS))
    expect(rig.svm.advise(file, 8 * PAGE_BYTES, 'sequential').why).toMatch(/^Its pager is asked far ahead .* first to go/)
    expect(rig.svm.advise(memory, 8 * PAGE_BYTES, 'sequential').why).toMatch(/first to go .* Nothing is read ahead/)
    await launch(rig.svm, load, file, 1)
    await launch(rig.svm, load, memory, 1)
    expect([asked, rig.draw(file, 8), rig.draw(memory, 8)]).toEqual([8 * PAGE_BYTES, 'mhhhhhhh', 'mhhhhhhh'])
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('pages below the one that came last go first', async () => {
    const rig = await openRig({ frames: 8 })
    const stream = rig.svm.allocFrom(sequence(8 * PAGE_WORDS))
    const other = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    rig.svm.advise(stream, 8 * PAGE_BYTES, 'sequential')
    // The others are older: without advice they would go.
    await rig.svm.queue.migrate({ pointer: other }).done
    for (let page = 0; page < 8; page++) await launch(rig.svm, load, stream + page * PAGE_BYTES, 1)
    expect([rig.draw(stream, 8), rig.draw(other, 4)]).toEqual(['hhhhmmmm', 'cccc'])
    await checkInvariants(rig)
    await rig.svm.close()
  })
})

describe('will-need', () => {
  it('is heeded when finish() resolves', async () => {
    const rig = await openRig({ frames: 8 })
    const p = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    rig.svm.advise(p, 4 * PAGE_BYTES, 'will-need', rig.svm.devices[0])
    await rig.svm.queue.finish()
    expect(rig.draw(p, 4)).not.toContain('h')
    await rig.svm.close()
  })

  it('brings what fits into free frames and evicts nobody', async () => {
    const rig = await openRig({ frames: 8 })
    const old = rig.svm.allocFrom(sequence(5 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: old }).done
    const p = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
    await rig.svm.read(p, 4)
    expect(rig.svm.advise(p, 6 * PAGE_BYTES, 'will-need')).toMatchObject({
      applied: true,
      why: `Of 6 pages those come to ${rig.mirror.label}, after what was called before, for which a frame is free then; 3 are free now.`,
    })
    await settled(rig.svm)
    expect([rig.draw(old, 5), rig.draw(p, 6), rig.mirror.evictions]).toEqual(['ccccc', 'ccchhh', 0])
    expect(rig.svm.advise(p, 6 * PAGE_BYTES, 'will-need').applied).toBe(false)
    expect(await wordsOfAll(rig, p, 6)).toEqual([...sequence(6 * PAGE_WORDS)])
    expect(rig.events.filter(({ kind }) => kind === 'advise')).toMatchObject([{ advice: 'will-need', pages: 3 }])
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('leaves a launch nothing to fault on', async () => {
    const rig = await openRig({ frames: 8 })
    const p = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    rig.svm.advise(p, 4 * PAGE_BYTES, 'will-need', rig.svm.devices[0])
    expect(await launch(rig.svm, increment, p, 4)).toMatchObject({ faults: 0, variant: 'resident' })
    await rig.svm.close()
  })

  it('of a file: copies on a device, and as much as fits half the cache at the host', async () => {
    let reads = 0
    const read = async (offset: number, into: Uint8Array) => {
      reads++
      return into.fill(1 + offset / PAGE_BYTES).length
    }
    const pager = { size: 8 * PAGE_BYTES, read }
    const rig = await openRig({ frames: 8, hostCache: 8 * PAGE_BYTES })
    const p = await rig.svm.mmap(pager)
    rig.svm.advise(p, 2 * PAGE_BYTES, 'will-need')
    await settled(rig.svm)
    expect(rig.draw(p, 3)).toBe('mm.')
    rig.svm.advise(p, 8 * PAGE_BYTES, 'preferred-location')
    expect(rig.svm.advise(p, 8 * PAGE_BYTES, 'will-need').applied).toBe(true)
    await settled(rig.svm)
    // And one that was read ahead: an eighth of the cache.
    expect(rig.draw(p, 8)).toBe('mmhhh...')
    const before = reads
    await rig.svm.read(p, 4 * PAGE_BYTES)
    expect(reads).toBe(before)
    await checkInvariants(rig)
    await rig.svm.close()
  })
})

describe('dont-need', () => {
  it('drops what costs no copy, lets the rest go first, and keeps every byte', async () => {
    const rig = await openRig({ frames: 8 })
    const p = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
    await launch(rig.svm, load, p, 2)
    await rig.svm.queue.migrate({ pointer: p + 2 * PAGE_BYTES, byteLength: 2 * PAGE_BYTES }).done
    const q = rig.svm.allocFrom(sequence(2 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: q }).done
    await launch(rig.svm, increment, p + 4 * PAGE_BYTES, 2)
    expect(rig.draw(p, 6)).toBe('mmccdd')
    const out = rig.mirror.copies.bytesOut
    expect(rig.svm.advise(p, 6 * PAGE_BYTES, 'dont-need')).toMatchObject({ applied: true, why: expect.stringMatching(/^4 frames .* 2 with bytes/) })
    await settled(rig.svm)
    expect([rig.draw(p, 6), rig.mirror.copies.bytesOut - out]).toEqual(['hhhhdd', 0])
    // They are the youngest, and go before the older ones.
    await rig.svm.queue.migrate({ pointer: rig.svm.alloc(6 * PAGE_BYTES) }).done
    expect([rig.draw(p, 6), rig.draw(q, 2)]).toEqual(['hhhhhh', 'cc'])
    expect(await wordsOfAll(rig, p, 6)).toEqual(
      [...sequence(6 * PAGE_WORDS)].map((word, at) => (at % PAGE_WORDS === 0 && at >= 4 * PAGE_WORDS ? word + 1 : word)),
    )
    expect(rig.svm.advise(p, 4 * PAGE_BYTES, 'dont-need')).toMatchObject({ applied: false, why: 'No device has a page of it.' })
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('of one device leaves the copies of the other', async () => {
    const { svm, devices, other, draw } = await openPair(8)
    const p = svm.allocFrom(sequence(PAGE_WORDS))
    await launch(svm, load, p, 1)
    await launch(svm, load, p, 1, other)
    svm.advise(p, 4, 'dont-need', devices[0])
    await settled(svm)
    expect(draw(p, 1)).toBe('mapped on 10')
    await svm.close()
  })
})

describe('done', () => {
  const NONE = { brought: 0, dropped: 0, marked: 0 }

  it('counts what was done in its place in the order, not what was so at the call', async () => {
    const rig = await openRig({ frames: 8 })
    const { svm } = rig
    const p = svm.allocFrom(sequence(6 * PAGE_WORDS))
    await svm.read(p, 4)
    // 8 frames are free at the call, 3 when it is its turn.
    const other = svm.allocFrom(sequence(5 * PAGE_WORDS))
    const moved = svm.queue.migrate({ pointer: other }).done
    const need = svm.advise(p, 6 * PAGE_BYTES, 'will-need', svm.devices[0])
    expect(need.why).toMatch(/6 are free now/)
    await moved
    expect(await need.done).toEqual({ ...NONE, brought: 3 })
    expect(rig.draw(p, 6)).toBe('ccchhh')
    await launch(svm, increment, p, 1)
    expect(await svm.advise(p, 6 * PAGE_BYTES, 'dont-need').done).toEqual({ ...NONE, dropped: 2, marked: 1 })
    expect(rig.draw(p, 6)).toBe('dhhhhh')
    await svm.advise(p, 6 * PAGE_BYTES, 'preferred-location').done
    expect(await svm.advise(p, 6 * PAGE_BYTES, 'will-need').done).toEqual({ ...NONE, brought: 1 })
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(1)
    await checkInvariants(rig)
    await svm.close()
  })

  it('counts the pages whose advice changed, and nothing where nothing is to be done', async () => {
    const { svm } = await openRig()
    const p = svm.alloc(8 * PAGE_BYTES)
    expect(await svm.advise(p + 2 * PAGE_BYTES, 3 * PAGE_BYTES, 'random').done).toEqual({ ...NONE, marked: 3 })
    expect(await svm.advise(p, 8 * PAGE_BYTES, 'random').done).toEqual({ ...NONE, marked: 5 })
    expect(await svm.advise(p, 8 * PAGE_BYTES, 'random').done).toEqual(NONE)
    await svm.munmap(p, PAGE_BYTES)
    expect(await svm.advise(p + PAGE_BYTES, 7 * PAGE_BYTES, 'normal').done).toEqual({ ...NONE, marked: 7 })
    const refused = svm.advise(p + PAGE_BYTES, PAGE_BYTES, 'dont-need')
    expect([refused.applied, await refused.done]).toEqual([false, NONE])
    expect(await svm.advise(p, 0, 'random').done).toEqual(NONE)
    await svm.close()
  })

  it('rejects where the pager failed or the range was unmapped first; unread it ends nothing, and finish() goes on', async () => {
    const { svm } = await openRig({ frames: 8 })
    const file = await svm.mmap({ size: 4 * PAGE_BYTES, read: () => Promise.reject(new Error('a bad sector')) })
    const p = svm.alloc(PAGE_BYTES)
    const need = svm.advise(file, 4 * PAGE_BYTES, 'will-need')
    svm.advise(file, PAGE_BYTES, 'will-need')
    const gone = svm.munmap(p)
    const late = svm.advise(p, 4, 'random')
    await svm.queue.finish()
    await gone
    await expect(need.done).rejects.toMatchObject({ code: 'pager-failed' })
    await expect(late.done).rejects.toMatchObject({ code: 'not-mapped' })
    await svm.close()
  })
})

describe('bad input', () => {
  it('is refused with its code, and nothing changes', async () => {
    const { svm, devices, other } = await openPair(8)
    const foreign = simDevice({ seed: 9 })
    const p = svm.alloc(4 * PAGE_BYTES)
    const freed = svm.alloc(PAGE_BYTES)
    svm.free(freed)
    await svm.munmap(p + PAGE_BYTES, PAGE_BYTES)
    await other.finish()
    await svm.releaseDevice(devices[1])
    const wrong: [string, () => unknown][] = [
      ['invalid-value', () => svm.advise(p, 4, 'read-often' as Advice)],
      ['invalid-value', () => svm.advise(p, 4, undefined as unknown as Advice)],
      ['invalid-value', () => svm.advise(p, -1, 'random')],
      ['invalid-value', () => svm.advise(p, 1.5, 'random')],
      ['invalid-value', () => svm.advise(p, Number.NaN, 'random')],
      ['invalid-value', () => svm.advise(p, 2 ** 53, 'random')],
      ['invalid-value', () => svm.advise(-4, 4, 'random')],
      ['invalid-value', () => svm.advise('0' as unknown as number, 4, 'random')],
      ['invalid-value', () => svm.advise(p, 5 * PAGE_BYTES, 'random')],
      ['invalid-value', () => svm.advise(2 ** 32, 4, 'random')],
      ['invalid-value', () => svm.advise(p, 4, 'will-need', foreign)],
      ['invalid-value', () => svm.advise(p, 4, 'will-need', null as unknown as typeof foreign)],
      ['closed', () => svm.advise(p, 4, 'will-need', devices[1])],
      ['not-mapped', () => svm.advise(0, 4, 'random')],
      ['not-mapped', () => svm.advise(p, 3 * PAGE_BYTES, 'random')],
      ['not-mapped', () => svm.advise(freed, 4, 'random')],
    ]
    for (const [code, body] of wrong) expect(await codeOf(body), String(body)).toBe(code)
    expect(svm.advise(p, 0, 'random')).toMatchObject({ applied: true })
    expect(svm.advise(0, 0, 'will-need')).toMatchObject({ applied: true })
    expect(advices({ svm })).toEqual([undefined, undefined])
    await svm.close()
    expect(await codeOf(() => svm.advise(p, 4, 'random'))).toBe('closed')
  })
})
