// order.test.ts: the one order of a space: queues, wait lists, failures, barriers, signals, free and close, over a device with latency.

import { describe, expect, it } from 'vitest'
import type { KernelTwin } from '../../src/sim.ts'
import type { SvmEvent } from '../../src/types.ts'
import { checkInvariants, codeOf, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

async function made() {
  const rig = await openRig({ frames: 12, mischief: { latency: 5 } })
  const a = rig.svm.alloc(4 * PAGE_BYTES)
  const add = await makeKernel(rig.svm, (_item, args, m) => m.storeU32(args.a, m.loadU32(args.a) * 10 + args.n), { numbers: ['n'] })
  const bad = await makeKernel(rig.svm, (_item, _args, m) => m.storeU32(16, 1))
  const launch = (n: number, queue = rig.svm.queue, waitFor: SvmEvent<unknown>[] = []) => queue.enqueue(add, { args: { a, n }, global: 1, waitFor })
  const fail = (queue = rig.svm.queue) => queue.enqueue(bad, { args: { a }, global: 1 })
  return { rig, svm: rig.svm, a, launch, fail }
}
const word = async (rig: Rig, pointer: number) => (await rig.svm.read(pointer, Uint32Array, 1))[0]

describe('order', () => {
  it('an in-order queue keeps the order of the calls; calls on Svm are barriers both ways', async () => {
    const { rig, svm, a, launch } = await made()
    launch(1)
    launch(2)
    const first = word(rig, a)
    launch(3)
    const second = word(rig, a)
    const write = svm.write(a, Uint32Array.of(7))
    launch(4)
    expect([await first, await second, await word(rig, a)]).toEqual([12, 123, 74])
    await write
    await checkInvariants(rig)
  })

  it('waitFor orders commands of different queues, and of an out-of-order one', async () => {
    const { rig, svm, a, launch } = await made()
    const other = svm.createQueue({ outOfOrder: true })
    let open: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const last = launch(3, other, [{ done: gate } as SvmEvent<unknown>])
    const first = launch(1, other)
    const second = launch(2, svm.queue, [first])
    await second.done
    expect(last.status).not.toBe('complete')
    open()
    await last.done
    expect(await word(rig, a)).toBe(123)
    await checkInvariants(rig)
  })

  it('a failure fails what is behind it in an in-order queue, but for unmap, free and migrate home', async () => {
    const { rig, svm, a, launch, fail } = await made()
    const doomed = svm.alloc(8)
    await svm.queue.migrate({ pointer: a }).done
    const events = [fail(), launch(1), svm.queue.migrate({ pointer: a }, { to: 'host' }), svm.queue.free([doomed]), launch(2)]
    const codes = await Promise.all(events.map((event) => codeOf(() => event.done)))
    expect(codes).toEqual(['access-violation', 'dependency-failed', 'no error', 'no error', 'dependency-failed'])
    expect(rig.draw(a, 4)).toBe('hhhh')
    await launch(3).done
    expect(await word(rig, a)).toBe(3)
    await checkInvariants(rig)
  })

  it('a failure in an out-of-order queue fails only what waits for it', async () => {
    const { rig, svm, a, launch, fail } = await made()
    const queue = svm.createQueue({ outOfOrder: true })
    const failed = fail(queue)
    const behind = launch(1, queue)
    const waiting = launch(2, queue, [failed])
    expect(await codeOf(() => failed.done)).toBe('access-violation')
    expect(await codeOf(() => behind.done)).toBe('no error')
    expect(await codeOf(() => waiting.done)).toBe('dependency-failed')
    expect(await word(rig, a)).toBe(1)
  })

  it('finish rejects with the first error that nobody has seen; onerror gets the rest', async () => {
    const { svm, launch, fail } = await made()
    const reported: string[] = []
    svm.onerror = ({ code }) => reported.push(code)
    fail()
    launch(1)
    expect(await codeOf(() => svm.queue.finish())).toBe('access-violation')
    expect(reported).toEqual(['dependency-failed'])
    expect(await codeOf(() => svm.queue.finish())).toBe('no error')
  })

  it('an abort before the start runs nothing; one in the middle says how far it came, and the space goes on', async () => {
    const { rig, svm, a, launch } = await made()
    const early = new AbortController()
    early.abort()
    expect(await codeOf(() => svm.queue.migrate({ pointer: a }, { signal: early.signal }).done)).toBe('aborted')
    const middle = new AbortController()
    const kernel = await makeKernel(rig.svm, (item, args, m) => {
      if (item.globalId[0] === 0) middle.abort()
      m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 5)
    })
    const event = svm.queue.enqueue(kernel, { args: { a }, global: 4, signal: middle.signal })
    await expect(event.done).rejects.toMatchObject({ code: 'aborted', retiredWorkgroups: 0 })
    await checkInvariants(rig)
    await launch(6).done
    expect(await word(rig, a)).toBe(6)
    await checkInvariants(rig)
  })
})

describe('free and close', () => {
  it('free: commands already there run, new ones that name the range are refused, and the address comes back', async () => {
    const { rig, svm, a, launch } = await made()
    const event = launch(1)
    svm.free(a)
    expect(await codeOf(() => svm.queue.migrate({ pointer: a }))).toBe('not-mapped')
    expect(await codeOf(() => svm.free(a))).toBe('not-mapped')
    expect(await codeOf(() => svm.read(a, 4))).toBe('not-mapped')
    expect(await codeOf(() => event.done)).toBe('no error')
    await svm.queue.finish()
    expect(svm.alloc(4 * PAGE_BYTES)).toBe(a)
    expect(await svm.read(a, Uint32Array, 4)).toEqual(new Uint32Array(4))
    await checkInvariants(rig)
  })

  describe('a kernel that names freed memory is refused', () => {
    const code = `struct Args { a: svm_ptr, b: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() { svm_store_u32(args.a, 1u); }`
    const twin: KernelTwin = (_item, args, m) => m.storeU32(args.a, 1)

    async function stage(more: object = {}) {
      const it = await made()
      const { svm, a } = it
      const p = svm.alloc(2 * PAGE_BYTES)
      const kernel = await svm.createKernel({ code, entryPoint: 'k', twin, ...more })
      const enqueue = (b: number | bigint) => svm.queue.enqueue(kernel, { args: { a, b }, global: 1 })
      const refused = (b: number | bigint) => {
        expect(() => enqueue(b)).toThrow(
          expect.objectContaining({ code: 'not-mapped', kernel: expect.any(String), message: expect.stringContaining('was freed') }),
        )
      }
      return { ...it, p, enqueue, refused }
    }

    it.each(['svm.free', 'queue.free'] as const)('from the call of %s on, whether or not it has run, and until the memory is handed out again', async (how) => {
      const { svm, p, enqueue, refused, rig } = await stage()
      await enqueue(p).done
      const before = enqueue(p + PAGE_BYTES)
      if (how === 'svm.free') svm.free(p)
      else svm.queue.free([p])
      for (const pointer of [p, p + 4, BigInt(p + PAGE_BYTES), p + 2 * PAGE_BYTES - 1]) refused(pointer)
      await before.done
      await svm.queue.finish()
      refused(p)
      refused(p + PAGE_BYTES)
      // The half of it that somebody gets is his; the other half is nobody's still.
      const again = svm.alloc(PAGE_BYTES)
      expect(again).toBe(p + PAGE_BYTES)
      await enqueue(again).done
      refused(p)
      await checkInvariants(rig)
    })

    it('and any other number is not: null, what never was mapped, what was unmapped, and the end of an array whose neighbour was freed', async () => {
      const { svm, a, p, enqueue, refused } = await stage()
      const below = svm.alloc(PAGE_BYTES)
      expect(below + PAGE_BYTES).toBe(p)
      svm.free(p)
      await enqueue(p).done
      refused(p + 1)
      const mapped = await svm.mmap({ size: 4 * PAGE_BYTES, read: async (_offset, into) => into.length })
      await svm.munmap(mapped)
      for (const pointer of [0, 4096, 2 ** 31, a + 4, mapped, mapped + 4]) await enqueue(pointer).done
    })

    it('a free that does not run gives it back, and so does one that fails, for the whole rest of its list', async () => {
      const { svm, p, enqueue, refused } = await stage()
      const [q, r] = [svm.alloc(8), svm.alloc(8)]
      const stop = new AbortController()
      const aborted = svm.queue.free([p], { signal: stop.signal, waitFor: [new Promise(() => undefined)] })
      refused(p)
      stop.abort()
      expect(await codeOf(() => aborted.done)).toBe('aborted')
      await enqueue(p).done
      const mapping = svm.queue.map(q, 8, 'read')
      const failed = svm.queue.free([p, q, r])
      for (const pointer of [p, q, r]) refused(pointer)
      expect(await codeOf(() => failed.done)).toBe('host-mapped')
      refused(p)
      for (const pointer of [q, r]) await enqueue(pointer).done
      ;(await mapping.done).unmap()
      await svm.queue.free([q, r]).done
      refused(r)
    })

    it('a part of it that had been unmapped, and has somebody else in it, is his', async () => {
      const { svm, p, enqueue, refused } = await stage()
      await svm.munmap(p + PAGE_BYTES, PAGE_BYTES)
      const other = svm.alloc(PAGE_BYTES)
      expect(other).toBe(p + PAGE_BYTES)
      svm.free(p)
      refused(p)
      await enqueue(other).done
    })

    it('also where it is named as what the kernel may reach', async () => {
      const it = await made()
      const { svm, a } = it
      const p = svm.alloc(8)
      const kernel = await svm.createKernel({ code, entryPoint: 'k', twin, reach: [a, p] })
      const enqueue = () => svm.queue.enqueue(kernel, { args: { a, b: 0 }, global: 1 })
      await enqueue().done
      svm.free(p)
      expect(enqueue).toThrow(expect.objectContaining({ code: 'not-mapped' }))
    })
  })

  it('a host source is taken at the call', async () => {
    const { rig, svm, a } = await made()
    const source = sequence(PAGE_WORDS, 1)
    const copy = svm.queue.memcpy(a, source)
    const write = svm.write(a + PAGE_BYTES, source)
    source.fill(0)
    await Promise.all([copy.done, write])
    expect(await svm.read(a, Uint32Array, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS, 1))
    expect(await svm.read(a + PAGE_BYTES, Uint32Array, PAGE_WORDS)).toEqual(sequence(PAGE_WORDS, 1))
    await checkInvariants(rig)
  })

  it('what is wrong with a list is refused before any effect', async () => {
    const { rig, svm, a } = await made()
    const b = svm.alloc(8)
    expect(await codeOf(() => svm.queue.free([b, 12345]))).toBe('not-mapped')
    expect(await codeOf(() => svm.queue.free([b, b]))).toBe('invalid-value')
    expect(await codeOf(() => svm.queue.memcpy(a, a + 4, 8))).toBe('invalid-value')
    expect(await codeOf(() => svm.queue.memfill(a + 1, Uint32Array.of(1), 8))).toBe('invalid-value')
    await svm.queue.free([b, 0]).done
    await checkInvariants(rig)
  })

  it('close waits for what was called before, gives everything back, and refuses what comes after', async () => {
    const { rig, svm, a, launch } = await made()
    const event = launch(1)
    const read = word(rig, a)
    const closed = svm.close()
    expect(await codeOf(() => svm.alloc(4))).toBe('closed')
    expect(await codeOf(() => launch(2))).toBe('closed')
    await closed
    expect(event.status).toBe('complete')
    expect(await read).toBe(1)
    expect(rig.device.liveBytes).toBe(0)
    await svm.close()
  })
})
