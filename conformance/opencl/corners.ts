// Corner cases of cl_khr_unified_svm: sizes of zero, null and bogus pointers. Names, steps and assertions are the original's.

import { equal, refused, same } from '../check.ts'
import type { Test, TestContext } from '../suite.ts'
import { makeKernel } from './kernels.ts'

const BOGUS = 0xdeadbeef

/** The command completes, and its event is of this type. */
async function completes(event: { command: string; done: Promise<unknown> }, command: string, what: string): Promise<void> {
  await event.done
  equal(event.command, command, `${what}: type of the event`)
}

async function allocAndFree(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  equal(svm.alloc(0), 0, 'alloc of 0 bytes is null')
  svm.free(svm.alloc(0))
  svm.free(0)
  await completes(svm.queue.free([]), 'free', 'free of nothing')
  await completes(svm.queue.free([0]), 'free', 'free of null')
  await svm.close()
}

async function migrations(t: TestContext): Promise<void> {
  const { svm } = await t.open()
  const pointer = svm.alloc(64)
  for (const contentUndefined of [true, false]) {
    await completes(svm.queue.migrate({ pointer, byteLength: 0 }, { contentUndefined }), 'migrate', 'a pointer with size 0')
    await completes(svm.queue.migrate({ pointer: 0, byteLength: 0 }, { contentUndefined }), 'migrate', 'null with size 0')
    await completes(svm.queue.migrate({ pointer: 0 }, { contentUndefined }), 'migrate', 'null without a size')
  }
  await svm.close()
}

export const cornerTests: readonly Test[] = [
  {
    name: 'svm_corner_cases',
    async run(t) {
      await allocAndFree(t)
      await migrations(t)
      const { svm } = await t.open()
      const pointer = svm.allocFrom(Uint32Array.of(1, 2))
      await completes(svm.queue.memfill(pointer, Uint32Array.of(9), 0), 'memfill', 'fill of 0 bytes')
      await completes(svm.queue.memcpy(pointer, pointer + 4, 0), 'memcpy', 'memcpy of 0 bytes')
      await completes(svm.queue.memcpy(pointer + 4, pointer, 0), 'memcpy', 'memcpy of 0 bytes the other way')
      same(await svm.read(pointer, Uint32Array, 2), Uint32Array.of(1, 2), 'memory')
      await makeKernel(svm, 'store', { reach: [] })
      await makeKernel(svm, 'store', { reach: [0] })
    },
  },
  { name: 'unified_svm_corner_case_alloc_free', run: allocAndFree },
  {
    name: 'unified_svm_corner_case_set_kernel_arg',
    async run(t) {
      const { svm } = await t.open()
      const storePointer = await makeKernel(svm, 'storePointer')
      const out = svm.alloc(4)
      for (const p of [0, BOGUS]) {
        await svm.write(out, Uint32Array.of(1))
        await svm.queue.enqueue(storePointer, { args: { p, out }, global: 1 }).done
        equal((await svm.read(out, Uint32Array, 1))[0], p, 'the value that arrived')
      }
    },
  },
  {
    name: 'unified_svm_corner_case_set_kernel_exec_info',
    note: 'Null and a bogus pointer are accepted where the reach is set; a launch refuses a reach that names nothing, before anything runs.',
    async run(t) {
      const { svm } = await t.open()
      const p = svm.allocFrom(Uint32Array.of(1))
      const withNull = await makeKernel(svm, 'store', { reach: [0, p] })
      await svm.queue.enqueue(withNull, { args: { p, value: 5 }, global: 1 }).done
      equal((await svm.read(p, Uint32Array, 1))[0], 5, 'stored with null in the reach')
      const withBogus = await makeKernel(svm, 'store', { reach: [BOGUS, p] })
      await refused(() => svm.queue.enqueue(withBogus, { args: { p, value: 6 }, global: 1 }).done, 'not-mapped', 'a launch with a bogus reach')
      equal((await svm.read(p, Uint32Array, 1))[0], 5, 'nothing ran')
    },
  },
  {
    name: 'unified_svm_corner_case_memcpy',
    async run(t) {
      const { svm } = await t.open()
      const pointer = svm.allocFrom(Uint32Array.of(1, 2))
      for (const destination of [0, BOGUS, pointer]) {
        for (const source of [0, BOGUS, pointer])
          await completes(svm.queue.memcpy(destination, source, 0), 'memcpy', `0 bytes to ${destination} from ${source}`)
      }
      same(await svm.read(pointer, Uint32Array, 2), Uint32Array.of(1, 2), 'memory')
    },
  },
  {
    name: 'unified_svm_corner_case_mem_fill',
    async run(t) {
      const { svm } = await t.open()
      const pointer = svm.allocFrom(Uint32Array.of(1, 2))
      for (const at of [0, BOGUS, pointer]) await completes(svm.queue.memfill(at, Uint32Array.of(9), 0), 'memfill', `0 bytes at ${at}`)
      same(await svm.read(pointer, Uint32Array, 2), Uint32Array.of(1, 2), 'memory')
    },
  },
  { name: 'unified_svm_corner_case_migrate_mem', run: migrations },
]
