// protect.test.ts: mprotect and partial munmap at the public interface, on the simulated device. Always: a protection takes rights and gives
// them back; it moves no page and copies no byte.

import { describe, expect, it } from 'vitest'
import type { Pager } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

async function made() {
  const rig = await openRig({ frames: 16 })
  const a = rig.svm.allocFrom(sequence(6 * PAGE_WORDS))
  const load = await makeKernel(rig.svm, (_i, args, m) => m.storeU32(args.out, m.loadU32(args.a)), { pointers: ['a', 'out'] })
  const store = await makeKernel(rig.svm, (_i, args, m) => m.storeU32(args.a, 4711))
  const out = rig.svm.alloc(4)
  const loads = (at: number) => codeOf(() => rig.svm.queue.enqueue(load, { args: { a: at, out }, global: 1 }).done)
  const stores = (at: number) => codeOf(() => rig.svm.queue.enqueue(store, { args: { a: at }, global: 1 }).done)
  return { rig, svm: rig.svm, a, out, loads, stores, page: (n: number) => a + n * PAGE_BYTES }
}
const protections = (rig: Rig, pointer: number) =>
  rig.svm
    .snapshot()
    .mappings.filter((mapping) => mapping.pointer >= pointer)
    .map(({ access, byteLength }) => `${access} ${byteLength / PAGE_BYTES}`)

describe('mprotect', () => {
  it("'none': kernels and the host are refused by page, and everything is back with 'read-write'", async () => {
    const { rig, svm, a, loads, stores, page } = await made()
    await svm.mprotect(page(2), 2 * PAGE_BYTES, 'none')
    for (const at of [page(2), page(3)]) {
      expect(await loads(at)).toBe('access-violation')
      expect(await stores(at)).toBe('access-violation')
      expect(await codeOf(() => svm.read(at, 4))).toBe('access-violation')
      expect(await codeOf(() => svm.write(at, Uint32Array.of(1)))).toBe('access-violation')
      for (const mode of ['read', 'write', 'read-write', 'write-discard'] as const) expect(await codeOf(() => svm.map(at, 4, mode))).toBe('access-violation')
    }
    expect(await codeOf(() => svm.read(a, 6 * PAGE_BYTES))).toBe('access-violation')
    expect([await loads(page(1)), await stores(page(4))]).toEqual(['no error', 'no error'])
    await checkInvariants(rig)
    await svm.mprotect(page(2), 2 * PAGE_BYTES, 'read-write')
    expect(await loads(page(2))).toBe('no error')
    expect(await svm.read(page(2), Uint32Array, 2 * PAGE_WORDS)).toEqual(sequence(2 * PAGE_WORDS, 2 * PAGE_WORDS))
    await checkInvariants(rig)
  })

  it("'read': loads and reads work, stores and writes fail, and say how to get the right back", async () => {
    const { rig, svm, page, loads, stores } = await made()
    await svm.mprotect(page(1), 1, 'read')
    expect([await loads(page(1)), await stores(page(1)), await stores(page(2))]).toEqual(['no error', 'access-violation', 'no error'])
    expect((await svm.read(page(1), Uint32Array, 1))[0]).toBe(PAGE_WORDS)
    await expect(svm.write(page(1), Uint32Array.of(1))).rejects.toMatchObject({ code: 'access-violation', message: expect.stringContaining('svm.mprotect()') })
    expect(await codeOf(() => svm.map(page(1), 4, 'write'))).toBe('access-violation')
    await svm.using(page(1), 4, 'read', ({ u32 }) => expect(u32[0]).toBe(PAGE_WORDS))
    expect(() => svm.queue.memfill(page(1), Uint32Array.of(1), 4)).not.toThrow()
    expect(await codeOf(() => svm.queue.finish())).toBe('access-violation')
    await checkInvariants(rig)
  })

  it('pages keep their place and their bytes, dirty ones too: nothing moves, nothing is copied', async () => {
    const { rig, svm, a, page, stores } = await made()
    await svm.queue.migrate({ pointer: a }).done
    expect(await stores(page(1))).toBe('no error')
    await svm.queue.migrate({ pointer: page(5), byteLength: 4 }, { to: 'host' }).done
    expect(rig.draw(a, 6)).toBe('cdccch')
    const before = svm.stats().devices[0]
    for (const access of ['none', 'read', 'read-write'] as const) {
      await svm.mprotect(a, 6 * PAGE_BYTES, access)
      expect(rig.draw(a, 6)).toBe('cdccch')
      await checkInvariants(rig)
    }
    const after = svm.stats().devices[0]
    expect([after.bytesIn - before.bytesIn, after.bytesOut - before.bytesOut, after.framesUsed]).toEqual([0, 0, before.framesUsed])
    expect((await svm.read(page(1), Uint32Array, 1))[0]).toBe(4711)
  })

  it('a read-only copy on the device stays through a change of protection', async () => {
    const { rig, svm, a, loads } = await made()
    await loads(a)
    expect(rig.draw(a, 1)).toBe('m')
    await svm.mprotect(a, PAGE_BYTES, 'read')
    expect(rig.draw(a, 1)).toBe('m')
    const { bytesIn } = svm.stats().devices[0]
    expect(await loads(a)).toBe('no error')
    expect(svm.stats().devices[0].bytesIn - bytesIn).toBeLessThan(PAGE_BYTES)
    await checkInvariants(rig)
  })

  it('only rights that are lost are told to the mirrors: giving some back costs no entry its mapping', async () => {
    const { rig, svm, a } = await made()
    await svm.queue.migrate({ pointer: a }).done
    await svm.mprotect(a, 6 * PAGE_BYTES, 'read')
    const { mappingsLost } = svm.stats().devices[0]
    const { sequence: ticket } = rig.space.notifiers
    await svm.mprotect(a, 6 * PAGE_BYTES, 'read-write')
    expect(svm.stats().devices[0].mappingsLost).toBe(mappingsLost)
    expect(rig.space.notifiers.sequence).toBe(ticket)
    await svm.mprotect(a, 6 * PAGE_BYTES, 'none')
    expect(rig.space.notifiers.sequence).toBeGreaterThan(ticket)
  })

  it('VMAs split and merge, and one request covers several; what is refused changes none of them', async () => {
    const { rig, svm, a, page } = await made()
    await svm.mprotect(page(1), PAGE_BYTES, 'none')
    await svm.mprotect(page(3), 2 * PAGE_BYTES, 'read')
    const five = ['read-write 1', 'none 1', 'read-write 1', 'read 2', 'read-write 1']
    expect(protections(rig, a)).toEqual(five)
    const mapping = await svm.map(page(5), 4, 'read')
    expect(await codeOf(() => svm.mprotect(a, 6 * PAGE_BYTES, 'read'))).toBe('host-mapped')
    expect(await codeOf(() => svm.mprotect(a, 7 * PAGE_BYTES, 'read'))).toBe('invalid-value')
    expect(await codeOf(() => svm.mprotect(a + 4, PAGE_BYTES, 'read'))).toBe('invalid-value')
    expect(await codeOf(() => svm.mprotect(a, PAGE_BYTES, 'write' as 'read'))).toBe('invalid-value')
    expect(await codeOf(() => svm.mprotect(0, PAGE_BYTES, 'read'))).toBe('not-mapped')
    expect(protections(rig, a)).toEqual(five)
    mapping.unmap()
    await svm.mprotect(a, 6 * PAGE_BYTES, 'read')
    expect(protections(rig, a)).toEqual(['read 6'])
    await svm.mprotect(a, 0, 'none')
    expect(protections(rig, a)).toEqual(['read 6'])
    svm.free(a)
    expect(await codeOf(() => svm.mprotect(a, PAGE_BYTES, 'read'))).toBe('not-mapped')
    await checkInvariants(rig)
  })

  it('placing is no access: pages without any may change their place, but a pager is not asked for them', async () => {
    const { rig, svm, a, page } = await made()
    const file = await svm.mmap(numbers(3 * PAGE_WORDS))
    await svm.read(file, 4)
    for (const pointer of [a, file]) await svm.mprotect(pointer, 3 * PAGE_BYTES, 'none')
    expect(await svm.queue.migrate({ pointer: a }).done).toMatchObject({ moved: 6, skipped: {} })
    expect(await svm.queue.migrate({ pointer: file }).done).toMatchObject({ moved: 1, skipped: { busy: 2 } })
    expect([rig.draw(a, 6), rig.draw(file, 3)]).toEqual(['cccccc', 'c..'])
    await checkInvariants(rig)
    await svm.mprotect(page(0), 3 * PAGE_BYTES, 'read')
    expect(await svm.read(a, Uint32Array, 6 * PAGE_WORDS)).toEqual(sequence(6 * PAGE_WORDS))
  })

  it('waits for what was called before, and what is called after waits for it', async () => {
    const { rig, svm, a, stores } = await made()
    const first = stores(a)
    const change = svm.mprotect(a, PAGE_BYTES, 'read')
    const second = stores(a)
    expect([await first, await second]).toEqual(['no error', 'access-violation'])
    await change
    expect((await svm.read(a, Uint32Array, 1))[0]).toBe(4711)
    await checkInvariants(rig)
  })

  it('never gives more than the memory was made for', async () => {
    const { rig, svm, stores } = await made()
    const constant = svm.alloc(PAGE_BYTES, { access: 'read' })
    await svm.mprotect(constant, PAGE_BYTES, 'none')
    await svm.mprotect(constant, PAGE_BYTES, 'read-write')
    expect(await stores(constant)).toBe('access-violation')
    await svm.write(constant, Uint32Array.of(5))
    const file = await svm.mmap(numbers(3 * PAGE_WORDS))
    expect(await codeOf(() => svm.mprotect(file, PAGE_BYTES, 'read-write'))).toBe('access-violation')
    await svm.mprotect(file + PAGE_BYTES, PAGE_BYTES, 'none')
    expect(await codeOf(() => svm.read(file, 3 * PAGE_BYTES))).toBe('access-violation')
    await svm.mprotect(file, 3 * PAGE_BYTES, 'read')
    expect(await svm.read(file, Uint32Array, 3 * PAGE_WORDS)).toEqual(sequence(3 * PAGE_WORDS))
    await checkInvariants(rig)
  })
})

describe('munmap of parts', () => {
  it('of anonymous memory, on the device and dirty: head, middle, tail; what is left keeps its bytes and can be freed', async () => {
    const rig = await openRig()
    const { svm } = rig
    const p = svm.allocFrom(sequence(8 * PAGE_WORDS))
    const kernel = await makeKernel(svm, ({ globalId: [i] }, args, memory) => memory.storeU32((args.a as number) + i * PAGE_BYTES, 7))
    await svm.queue.enqueue(kernel, { args: { a: p }, global: 8 }).done
    expect(rig.draw(p, 8)).toBe('dddddddd')
    await svm.munmap(p + 3 * PAGE_BYTES, 2 * PAGE_BYTES)
    await svm.munmap(p + 7 * PAGE_BYTES)
    expect(rig.draw(p, 8)).toBe('ddd..dd.')
    expect(rig.mirror.dmem.used).toBe(5)
    const inHole = svm.allocFrom(Uint32Array.of(5, 6))
    expect(inHole).toBe(p + 7 * PAGE_BYTES)
    const mapped = await svm.map(inHole, 8, 'read')
    expect((await svm.read(p + 2 * PAGE_BYTES, Uint32Array, 2)).join()).toBe(`7,${2 * PAGE_WORDS + 1}`)
    expect(await codeOf(() => svm.read(p + 2 * PAGE_BYTES, PAGE_BYTES + 4))).toBe('not-mapped')
    // What is in the hole is somebody else's, and not freed with it, though the host holds it.
    svm.free(p)
    await svm.queue.finish()
    expect([...mapped.u32]).toEqual([5, 6])
    mapped.unmap()
    expect((await svm.read(inHole, Uint32Array, 2)).join()).toBe('5,6')
    expect(svm.stats().allocations).toBe(1)
    await checkInvariants(rig)
    await svm.close()
  })

  it('of the head of an allocation: free says what to do with the rest', async () => {
    const { svm } = await openRig()
    const p = svm.alloc(4 * PAGE_BYTES)
    await svm.munmap(p, PAGE_BYTES)
    expect(() => svm.free(p)).toThrow('unmap the rest with munmap')
    await svm.munmap(p + PAGE_BYTES)
    expect(svm.stats().allocations).toBe(0)
    await svm.close()
  })

  it('leaves the rest usable, by whatever pointer lies in it; a whole allocation with holes skips them', async () => {
    const rig = await openRig({ frames: 16 })
    const { svm } = rig
    const file = await svm.mmap(numbers(8 * PAGE_WORDS), { label: 'numbers' })
    const page = (n: number) => file + n * PAGE_BYTES
    await svm.queue.migrate({ pointer: file }).done
    await svm.munmap(page(2), 2 * PAGE_BYTES)
    await svm.munmap(page(7))
    await checkInvariants(rig)
    expect(rig.space.addresses.vmas.map(({ start, end }) => end - start)).toEqual([2, 3])
    for (const pointer of [file, page(5)]) {
      expect(await svm.queue.migrate({ pointer }).done).toMatchObject({ moved: 0, present: 5, skipped: { 'not-mapped': 3 } })
      expect(await svm.queue.migrate({ pointer }, { to: 'host' }).done).toMatchObject({ moved: 5, skipped: { 'not-mapped': 3 } })
      expect(await svm.queue.migrate({ pointer }).done).toMatchObject({ moved: 5, skipped: { 'not-mapped': 3 } })
    }
    expect(await svm.queue.migrate({ pointer: page(1), byteLength: 4 * PAGE_BYTES }).done).toMatchObject({ present: 2, skipped: { 'not-mapped': 2 } })
    expect(await codeOf(() => svm.queue.migrate({ pointer: file }, { mode: 'all-or-nothing' }).done)).toBe('not-mapped')
    expect(await codeOf(() => svm.queue.migrate({ pointer: page(2), byteLength: 4 }))).toBe('not-mapped')
    expect(await codeOf(() => svm.read(file, 8 * PAGE_BYTES))).toBe('not-mapped')
    expect(await codeOf(() => svm.read(page(3), 4))).toBe('not-mapped')
    expect(await svm.read(page(4), Uint32Array, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS, 4 * PAGE_WORDS))
    expect(svm.stats().mappedBytes).toBe(5 * PAGE_BYTES)
    await checkInvariants(rig)
  })

  it('a head that was unmapped may become another allocation, and neither is taken for the other', async () => {
    const rig = await openRig({ frames: 16 })
    const { svm } = rig
    const file = await svm.mmap(numbers(6 * PAGE_WORDS))
    await svm.munmap(file, 2 * PAGE_BYTES)
    await svm.munmap(file + 3 * PAGE_BYTES, PAGE_BYTES)
    const other = svm.alloc(PAGE_BYTES)
    const head = svm.alloc(2 * PAGE_BYTES)
    expect([other, head]).toEqual([file + 3 * PAGE_BYTES, file])
    expect(await svm.queue.migrate({ pointer: file + 2 * PAGE_BYTES }).done).toMatchObject({ moved: 3, skipped: { 'not-mapped': 3 } })
    expect(rig.draw(file, 6)).toBe('..c.cc')
    expect(await codeOf(() => svm.read(file + 2 * PAGE_BYTES, 3 * PAGE_BYTES))).toBe('not-mapped')
    expect(await codeOf(() => svm.munmap(file, 3 * PAGE_BYTES))).toBe('invalid-value')
    svm.free(head)
    await svm.write(other, Uint32Array.of(9))
    // From a pointer in the rest to the end of the mapping: the other allocation in its hole is not touched.
    await svm.munmap(file + 2 * PAGE_BYTES)
    expect((await svm.read(other, Uint32Array, 1))[0]).toBe(9)
    expect(svm.stats().allocations).toBe(1)
    await checkInvariants(rig)
  })
})

function numbers(words: number): Pager {
  const bytes = new Uint8Array(sequence(words).buffer)
  return {
    size: bytes.length,
    async read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length))
      return into.length
    },
  }
}

it('a vast allocation that is gone leaves no long table behind: kernels run in a small budget as before', async () => {
  const { rig, svm, loads, a } = await made()
  const vast = svm.alloc(2 ** 30)
  expect(await loads(a)).toBe('device-memory')
  svm.free(vast)
  expect(await loads(a)).toBe('no error')
  await checkInvariants(rig)
})
