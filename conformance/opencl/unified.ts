// The tests of cl_khr_unified_svm (the CTS branch). Names, steps and assertions are the original's; there is one type of SVM here, coarse-grained.

import type { Svm } from '../../src/index.ts'
import { elements, equal, ok, refused, same } from '../check.ts'
import type { Skipped, Test, TestContext } from '../suite.ts'
import { makeKernel, NUM_ELEMENTS } from './kernels.ts'

const bytesOf = (t: TestContext, byteLength: number) => Uint8Array.from({ length: byteLength }, () => t.random() & 0xff)
const below = (t: TestContext, limit: number) => t.random() % limit
const ALLOCATION = 1024

export const unifiedTests: readonly Test[] = [
  {
    name: 'unified_svm_capabilities',
    note: 'SINGLE_ADDRESS_SPACE, DEVICE_UNASSOCIATED, HOST_READ, HOST_WRITE, HOST_MAP, DEVICE_READ, DEVICE_WRITE, DEVICE_ATOMIC_ACCESS and INDIRECT_ACCESS. CONCURRENT_ACCESS is not claimed.',
    async run(t) {
      await singleAddressSpace(t)
      await hostAccess(t)
      await deviceAccess(t)
      await atomicAccess(t)
      await indirectAccess(t)
    },
  },
  {
    name: 'unified_svm_apis',
    note:
      'Allocations are of the space, not of a device; what the queries tell is told by residency and snapshot. Of the 16 combinations of access flags: DEVICE_NOWRITE is access read, and ' +
      'with HOST_NOWRITE also mprotect read, all four mprotect none: these are enforced. DEVICE_NOREAD is access write, which is taken and forbids nothing. HOST_NOREAD, and HOST_NOWRITE ' +
      'alone, have no meaning: alloc has no word for the host, who may always do what the flag gives up.',
    async run(t) {
      const { svm } = await t.open()
      const wishes: AllocWish[] = [
        {},
        ...[0, 1, 2, 4, 8, 16, 32, 64, 128].map((alignment) => ({ alignment })),
        { alignment: 64, access: 'read-write', label: 'everything' },
      ]
      for (const wish of wishes) {
        const pointer = svm.alloc(64, wish)
        const what = JSON.stringify(wish)
        checkQueries(svm, pointer, wish, what)
        svm.free(pointer)
      }
      await accessFlags(svm)
    },
  },
  {
    name: 'unified_svm_api_query_defaults',
    note: 'A pointer that is not SVM has no properties: nothing is resident there, no mapping holds it, and a query of its bytes is refused.',
    async run(t) {
      const { svm } = await t.open()
      svm.alloc(64)
      const foreign = 0x1000
      equal(svm.residency(foreign, 0), [], 'residency of no bytes')
      equal(
        svm.snapshot().mappings.filter(({ pointer, byteLength }) => foreign >= pointer && foreign < pointer + byteLength),
        [],
        'mappings that hold it',
      )
      await refused(() => svm.residency(foreign, 4), 'not-mapped', 'residency of its bytes')
    },
  },
  {
    name: 'unified_svm_migrate',
    note: 'HOST is to: host.',
    async run(t) {
      const { svm } = await t.open()
      for (const to of ['device', 'host'] as const) {
        for (const contentUndefined of [false, true]) {
          for (let round = 0; round < 10; round++) {
            const pointer = svm.alloc(ALLOCATION)
            const first = below(t, ALLOCATION)
            const ranges = [
              { pointer, byteLength: ALLOCATION },
              { pointer: pointer + first, byteLength: ALLOCATION - first },
              { pointer, byteLength: 1 + below(t, ALLOCATION) },
              { pointer: pointer + first, byteLength: 1 + below(t, ALLOCATION - first) },
            ]
            for (const range of ranges) {
              await svm.write(pointer, bytesOf(t, ALLOCATION))
              const event = svm.queue.migrate(range, { to, contentUndefined })
              equal(event.command, 'migrate', 'type of the event')
              await svm.queue.finish()
              equal(event.status, 'complete', 'status')
            }
            svm.free(pointer)
          }
        }
      }
    },
  },
  {
    name: 'unified_svm_free',
    async run(t) {
      const { svm } = await t.open()
      for (let round = 0; round < 100; round++) {
        for (const callback of [true, false]) {
          const pointers = Array.from({ length: 1 + below(t, 20) }, () => svm.alloc(1 + below(t, 4096)))
          let told: number[] | null = null
          const onFree = (freed: number[]) => {
            told = freed
          }
          const event = svm.queue.free(pointers, callback ? { onFree } : {})
          equal(event.command, 'free', 'type of the event')
          await svm.queue.finish()
          equal(told, callback ? pointers : null, 'pointers that the callback was given')
        }
      }
      equal(svm.stats().allocations, 0, 'allocations left')
    },
  },
  {
    name: 'unified_svm_set_arg',
    async run(t) {
      const { svm } = await t.open()
      const copy = await makeKernel(svm, 'copy')
      const words = ALLOCATION / 4
      const data = Uint32Array.from({ length: words }, () => t.random())
      const source = svm.allocFrom(data)
      const out = svm.alloc(ALLOCATION)
      for (let round = 0; round < 10; round++) {
        const first = below(t, words)
        const length = 1 + below(t, words - first)
        await svm.queue.enqueue(copy, { args: { source: source + 4 * first, out }, global: length }).done
        same(await svm.read(out, Uint32Array, length), data.subarray(first, first + length), `${length} words from ${first}`)
      }
    },
  },
  {
    name: 'unified_svm_exec_info',
    note: 'SVM_PTRS is reach: an interior pointer declares the whole allocation.',
    async run(t) {
      const { svm } = await t.open()
      const words = 1024 / 4
      const data = Uint32Array.from({ length: words }, () => t.random())
      const base = svm.allocFrom(data)
      const hidden = svm.allocFrom(Uint32Array.of(base))
      const out = svm.alloc(1024)
      let before: Uint32Array = data
      for (const declared of [base, base + 512]) {
        const kernel = await makeKernel(svm, 'throughHidden', { reach: [declared, hidden, out] })
        await svm.queue.enqueue(kernel, { args: { hidden, out, value: declared }, global: words }).done
        same(await svm.read(out, Uint32Array, words), before, `read through the pointer, with ${declared - base} declared`)
        before = await svm.read(base, Uint32Array, words)
        elements(before, (i) => declared + i, `written through the pointer, with ${declared - base} declared`)
      }
    },
  },
  {
    name: 'unified_svm_threading_alloc_free',
    note: 'Ten asynchronous tasks in place of ten threads.',
    async run(t) {
      const { svm } = await t.open()
      const task = async (id: number) => {
        for (let round = 0; round < 10; round++) {
          const pointer = svm.alloc(16)
          await svm.write(pointer, Uint32Array.of(id, id, id, id))
          elements(await svm.read(pointer, Uint32Array, 4), () => id, `memory of task ${id}`)
          svm.free(pointer)
        }
      }
      await Promise.all(Array.from({ length: 10 }, (_, id) => task(id)))
      // A read takes its place behind the frees.
      await svm.read(svm.alloc(4), 4)
      equal(svm.stats().allocations, 1, 'allocations left')
    },
  },
]

interface AllocWish {
  readonly alignment?: number
  readonly access?: 'read' | 'write' | 'read-write'
  readonly label?: string
}

/** What can be asked of a fresh allocation, at its base and at base + 4. */
function checkQueries(svm: Svm, pointer: number, wish: AllocWish, what: string): void {
  ok(pointer !== 0, `${what}: alloc`)
  equal(pointer % (wish.alignment || 128), 0, `${what}: pointer, aligned`)
  for (const at of [pointer, pointer + 4]) {
    const runs = svm.residency(at, 60)
    equal(
      runs.map((run) => [run.pointer, run.byteLength, run.where, run.systemMapped.length, run.dirty]),
      [[at, 60, 'none', 0, false]],
      `${what}: residency at ${at - pointer}`,
    )
    const mapping = svm.snapshot().mappings.find((one) => at >= one.pointer && at < one.pointer + one.byteLength)
    equal(mapping?.pointer, pointer, `${what}: base at ${at - pointer}`)
    ok((mapping?.byteLength ?? 0) >= 64, `${what}: size at ${at - pointer}`)
    if (wish.label !== undefined) equal(mapping?.label, wish.label, `${what}: label`)
  }
}

/** The 16 combinations of the original's access flags, as far as there are words for them: what they forbid fails, all else works. */
async function accessFlags(svm: Svm): Promise<void> {
  const store = await makeKernel(svm, 'store')
  for (let flags = 0; flags < 16; flags++) {
    const [hostNoRead, hostNoWrite, deviceNoRead, deviceNoWrite] = [1, 2, 4, 8].map((bit) => (flags & bit) !== 0)
    const access = deviceNoWrite ? 'read' : deviceNoRead ? 'write' : 'read-write'
    const readOnly = hostNoWrite === true && deviceNoWrite === true
    const nothing = readOnly && hostNoRead === true && deviceNoRead === true
    const what = `access flags ${flags}`
    const pointer = svm.alloc(64, { access })
    checkQueries(svm, pointer, { access }, what)
    await svm.write(pointer, Uint32Array.of(flags))
    if (readOnly) await svm.mprotect(pointer, 64, nothing ? 'none' : 'read')
    const value = flags + 100
    const deviceWrites = () => svm.queue.enqueue(store, { args: { p: pointer, value }, global: 1 }).done
    if (deviceNoWrite) await refused(deviceWrites, 'access-violation', `${what}: a store of the device`)
    else await deviceWrites()
    if (nothing) await refused(() => svm.read(pointer, 4), 'access-violation', `${what}: a read of the host`)
    else equal((await svm.read(pointer, Uint32Array, 1))[0], deviceNoWrite ? flags : value, `${what}: what the host reads`)
    const hostWrites = () => svm.write(pointer, Uint32Array.of(1))
    if (readOnly) await refused(hostWrites, 'access-violation', `${what}: a write of the host`)
    else await hostWrites()
    svm.free(pointer)
  }
}

/** A kernel stores its pointer argument; the host reads the same value. Allocations need no device (DEVICE_UNASSOCIATED). */
async function singleAddressSpace(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const storePointer = await makeKernel(svm, 'storePointer')
  const [p, out] = [svm.alloc(64), svm.alloc(4)]
  await svm.queue.enqueue(storePointer, { args: { p, out }, global: 1 }).done
  equal((await svm.read(out, Uint32Array, 1))[0], p, 'SINGLE_ADDRESS_SPACE: the pointer on the device')
  await svm.close()
}

/** Values go round by direct access, by maps and by copies of the device, in every mix. */
async function hostAccess(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const pointer = svm.alloc(4)
  const other = svm.alloc(4)
  const writers: Record<string, (value: number) => Promise<unknown>> = {
    write: (value) => svm.write(pointer, Uint32Array.of(value)),
    map: (value) =>
      svm.using(pointer, 4, 'write-discard', ({ u32 }) => {
        u32[0] = value
      }),
    memcpy: async (value) => {
      await svm.write(other, Uint32Array.of(value))
      await svm.queue.memcpy(pointer, other, 4).done
    },
  }
  const readers: Record<string, () => Promise<number>> = {
    read: async () => (await svm.read(pointer, Uint32Array, 1))[0] as number,
    map: () => svm.using(pointer, 4, 'read', ({ u32 }) => u32[0] as number),
    memcpy: async () => {
      const into = new Uint32Array(1)
      await svm.queue.memcpy(into, pointer, 4).done
      return into[0] as number
    },
  }
  for (const [writer, write] of Object.entries(writers)) {
    for (const [reader, read] of Object.entries(readers)) {
      for (const where of ['host', 'device'] as const) {
        const value = t.random()
        await write(value)
        await svm.queue.migrate({ pointer }, { to: where }).done
        equal(await read(), value, `HOST access: ${writer}, then on the ${where}, then ${reader}`)
      }
    }
  }
  await svm.close()
}

async function deviceAccess(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const copy = await makeKernel(svm, 'copy')
  const data = Uint32Array.from({ length: 256 }, () => t.random())
  const source = svm.allocFrom(data)
  const out = svm.alloc(data.byteLength)
  await svm.queue.enqueue(copy, { args: { source, out }, global: data.length }).done
  same(await svm.read(out, Uint32Array, data.length), data, 'DEVICE_READ and DEVICE_WRITE: a copy kernel')
  await svm.queue.migrate([{ pointer: source }, { pointer: out }]).done
  await svm.queue.memfill(out, Uint32Array.of(0x1234), data.byteLength).done
  elements(await svm.read(out, Uint32Array, data.length), () => 0x1234, 'DEVICE_WRITE: fill')
  await svm.queue.memcpy(out, source, data.byteLength).done
  same(await svm.read(out, Uint32Array, data.length), data, 'DEVICE_WRITE: memcpy')
  await svm.close()
}

async function atomicAccess(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const count = await makeKernel(svm, 'count')
  const counter = svm.allocFrom(Uint32Array.of(0))
  await svm.queue.enqueue(count, { args: { counter }, global: NUM_ELEMENTS }).done
  equal((await svm.read(counter, Uint32Array, 1))[0], NUM_ELEMENTS, 'DEVICE_ATOMIC_ACCESS: increments')
  await svm.close()
}

/** A pointer that is stored in memory is followed, for reading and writing, with the one switch reach: any. */
async function indirectAccess(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const kernel = await makeKernel(svm, 'throughHidden', { reach: 'any' })
  const value = t.random() >>> 1
  const cell = svm.allocFrom(Uint32Array.of(value))
  const hidden = svm.allocFrom(Uint32Array.of(cell))
  const out = svm.alloc(4)
  await svm.queue.enqueue(kernel, { args: { hidden, out, value: value + 1 }, global: 1 }).done
  equal([(await svm.read(out, Uint32Array, 1))[0], (await svm.read(cell, Uint32Array, 1))[0]], [value, value + 1], 'INDIRECT_ACCESS: read and written')
  await svm.close()
}

export const unifiedSkipped: readonly Skipped[] = [
  { name: 'unified_svm_consistency', reason: 'It compares the capability arrays of platform and device; there are no platforms here, and one type of SVM.' },
  { name: 'unified_svm_api_suggested_type_index', reason: 'There is one type of SVM here, so no index of types to suggest.' },
]
