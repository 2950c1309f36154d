// stay.test.ts: pages that do not move. Always: they keep their frame and their entry, on the device that migrates and on every other; and a page
// that does move has no entry while its bytes are copied. Each was otherwise somewhere, once: mutants/ puts it back.

import { describe, expect, it } from 'vitest'
import type { Context } from '../../src/cl/context.ts'
import { Evictor } from '../../src/driver/evict.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { lru, openSvm } from '../../src/open.ts'
import { simDevice } from '../../src/sim.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

const PAGES = 12

describe('pages that stay', () => {
  it('a migrate of a mixed range takes no entry from the pages that are there already', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = rig.svm.allocFrom(sequence(8 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: pointer + 2 * PAGE_BYTES, byteLength: 3 * PAGE_BYTES }).done
    const { mappingsLost } = rig.svm.stats().devices[0]
    expect(await rig.svm.queue.migrate({ pointer }).done).toMatchObject({ moved: 5, present: 3 })
    expect(rig.svm.stats().devices[0].mappingsLost).toBe(mappingsLost)
    await checkInvariants(rig)
  })

  it('another device keeps its copies of pages for which there was no room', async () => {
    const devices = [simDevice({ seed: 1 }), simDevice({ seed: 2 })]
    const probe = await openRig({ frames: 8 })
    const svm = await openSvm({ pageSize: PAGE_BYTES, deviceMemory: probe.mirror.plan.budgetBytes, devices })
    const { mirrors } = (svm as Context).port as LocalPort
    const pointer = svm.allocFrom(sequence(PAGES * PAGE_WORDS, 1))
    const look = await makeKernel(svm, (item, args, m) => m.storeU32(args.b, m.loadU32(args.a + item.globalId[0] * PAGE_BYTES)), { pointers: ['a', 'b'] })
    const out = svm.alloc(4)
    // The second device reads the last pages, which are those that the first has no room for.
    const rest = { a: pointer + 8 * PAGE_BYTES, b: out }
    await svm.createQueue({ device: devices[1] }).enqueue(look, { args: rest, global: PAGES - 8 }).done
    expect(mirrors[1].systemCopies).toBe(PAGES - 8)
    expect(await svm.queue.migrate({ pointer }).done).toMatchObject({ moved: 8, skipped: { 'no-memory': PAGES - 8 } })
    expect([mirrors[1].systemCopies, mirrors[1].entriesDropped]).toEqual([PAGES - 8, 0])
    await svm.close()
  })

  it('a page in the middle of a range that goes home, and is not device-private, keeps its entry', async () => {
    const rig = await openRig({ frames: 20 })
    const pointer = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const look = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.b, m.loadU32(args.a)), { pointers: ['a', 'b'] })
    await rig.svm.queue.enqueue(look, { args: { a: pointer + PAGE_BYTES, b: rig.svm.alloc(4) }, global: 1 }).done
    for (const at of [0, 2]) await rig.svm.queue.migrate({ pointer: pointer + at * PAGE_BYTES, byteLength: PAGE_BYTES }).done
    expect(rig.draw(pointer, 3)).toBe('cmc')
    const { mappingsLost } = rig.mirror.vmm
    const first = pointer / PAGE_BYTES
    await rig.mirror.sendHome([first, first + 1, first + 2], { keepCopy: false, discard: false, why: 'request' })
    expect(rig.draw(pointer, 3)).toBe('hmh')
    expect(rig.mirror.vmm.mappingsLost - mappingsLost).toBe(2)
    await checkInvariants(rig)
  })
})

describe('pages that move home', () => {
  it('have lost their entries before their bytes are read', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.allocFrom(sequence(PAGE_WORDS))
    const store = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, 7))
    await rig.svm.queue.enqueue(store, { args: { a: pointer }, global: 1 }).done
    const entries: number[] = []
    const download = rig.mirror.copies.download.bind(rig.mirror.copies)
    rig.mirror.copies.download = (parts) => {
      entries.push(rig.mirror.vmm.get(parts[0]?.start ?? -1) & 7)
      return download(parts)
    }
    expect((await rig.svm.read(pointer, Uint32Array, 1))[0]).toBe(7)
    expect(entries).toEqual([0])
  })

  it('come in one copy, however they lie', async () => {
    const rig = await openRig({ frames: 32 })
    const pointer = rig.svm.allocFrom(sequence(24 * PAGE_WORDS))
    const store = await makeKernel(rig.svm, (item, args, m) => m.storeU32((args.a as number) + item.globalId[0] * 2 * PAGE_BYTES, 7))
    await rig.svm.queue.enqueue(store, { args: { a: pointer }, global: 12 }).done
    const download = rig.mirror.copies.download.bind(rig.mirror.copies)
    const sizes: number[] = []
    rig.mirror.copies.download = (parts) => {
      sizes.push(parts.length)
      return download(parts)
    }
    const odd = Array.from({ length: 12 }, (_, n) => pointer / PAGE_BYTES + 2 * n)
    await rig.mirror.sendHome(odd.slice(0, 6), { keepCopy: false, discard: false, why: 'request' })
    await rig.mirror.writeBack(odd.slice(6))
    expect(sizes).toEqual([6, 6])
    const words = await rig.svm.read(pointer, Uint32Array, 24 * PAGE_WORDS)
    for (let page = 0; page < 24; page++) expect(words[page * PAGE_WORDS]).toBe(page % 2 === 0 ? 7 : page * PAGE_WORDS)
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('stay where they are when their copy fails', async () => {
    let fails = false
    const rig = await openRig({ frames: 8, mischief: { failReadback: () => fails } })
    const pointer = rig.svm.allocFrom(sequence(PAGE_WORDS))
    const store = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, 7))
    await rig.svm.queue.enqueue(store, { args: { a: pointer }, global: 1 }).done
    fails = true
    expect(await codeOf(() => rig.svm.read(pointer, 4))).toBe('device-memory')
    fails = false
    expect(rig.draw(pointer, 1)).toBe('d')
    await checkInvariants(rig)
    expect((await rig.svm.read(pointer, Uint32Array, 1))[0]).toBe(7)
  })
})

describe('pages that are others’', () => {
  it('are not written over by a copy: what is copied is as long as what moves', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer, byteLength: 2 * PAGE_BYTES }).done
    expect(rig.mirror.copies.bytesIn).toBe(2 * PAGE_BYTES)
  })

  it('do not shine through zeros: a frame that is used again is cleared', async () => {
    const rig = await openRig({ frames: 8 })
    const kept = rig.svm.allocFrom(sequence(PAGE_WORDS))
    // All frames that there are: whichever it gets was somebody's.
    const old = rig.svm.allocFrom(sequence(7 * PAGE_WORDS, 1))
    await rig.svm.queue.migrate([{ pointer: old }, { pointer: kept }]).done
    rig.svm.free(old)
    const fresh = rig.svm.alloc(3 * PAGE_BYTES)
    await rig.svm.queue.migrate({ pointer: fresh }).done
    expect(rig.draw(fresh, 3)).toBe('ccc')
    await checkInvariants(rig)
  })

  it('stay when room is made, if they are pinned', async () => {
    const rig = await openRig({ frames: 8 })
    const pointer = rig.svm.allocFrom(sequence(4 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer }).done
    const { available } = rig.mirror.dmem
    const room = await new Evictor(rig.mirror, lru).makeRoom(available + 3, (vpn) => vpn !== pointer / PAGE_BYTES)
    expect([rig.draw(pointer, 4), room]).toEqual(['hccc', available + 1])
    await checkInvariants(rig)
  })

  it('leave nothing behind: what is mapped where they were has never been touched', async () => {
    const rig = await openRig({ frames: 8 })
    const old = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    await rig.svm.queue.migrate({ pointer: old }).done
    await rig.svm.queue.free([old]).done
    const fresh = rig.svm.alloc(3 * PAGE_BYTES)
    expect([rig.draw(old, 3), fresh]).toEqual(['...', old])
  })
})
