// Tests elsewhere in the OpenCL CTS that are about shared virtual memory. Names, steps and assertions are the original's.

import type { SvmKernel } from '../../src/index.ts'
import { elements, equal, ok, refused } from '../check.ts'
import type { Skipped, Test } from '../suite.ts'
import { makeKernel } from './kernels.ts'

/** Addresses that nobody handed out. */
const BOGUS = [0xdead0000, 0xbeef0000] as const

export const elsewhereTests: readonly Test[] = [
  {
    name: 'consistency_svm',
    note: 'The original runs on devices without SVM, where every call is CL_INVALID_OPERATION; here the same calls with the same pointers are refused one by one.',
    async run(t) {
      const { svm } = await t.open()
      const { queue } = svm
      const [one, other] = BOGUS
      await refused(() => queue.memfill(one, Uint32Array.of(1), 16).done, 'not-mapped', 'memfill')
      await refused(() => queue.memcpy(one, other, 16).done, 'not-mapped', 'memcpy')
      await refused(() => queue.map(one, 16, 'read').done, 'not-mapped', 'map')
      await refused(() => queue.unmap({ pointer: one } as never).done, 'invalid-value', 'unmap')
      await refused(() => queue.migrate({ pointer: one, byteLength: 16 }).done, 'not-mapped', 'migrate')
      await refused(() => queue.free([one]).done, 'not-mapped', 'free, as a command')
      const store = await makeKernel(svm, 'store')
      await refused(() => queue.enqueue(store, { args: { value: 1 }, global: 1 }).done, 'invalid-value', 'a launch without its pointer')
      await refused(() => queue.enqueue(store, { args: { p: 0, value: 1 }, global: 1 }).done, 'access-violation', 'a store through null')
      // clSVMFree of a bogus pointer is harmless: it is refused, and all goes on.
      await refused(() => svm.free(one), 'not-mapped', 'free')
      const pointer = svm.allocFrom(Uint32Array.of(7))
      equal((await svm.read(pointer, Uint32Array, 1))[0], 7, 'memory afterwards')
    },
  },
  {
    name: 'clone_kernel_with_svm_ptrs',
    note: 'Arguments belong to a launch, not to a kernel: a clone is a launch with arguments of its own, whose object may be changed after the call.',
    async run(t) {
      const { svm } = await t.open()
      const store = await makeKernel(svm, 'store')
      const cells = [0, 1, 2].map(() => svm.allocFrom(Uint32Array.of(0)))
      const args = { p: 0, value: 0 }
      const launch = (at: number, value: number) => {
        Object.assign(args, { p: cells[at], value })
        const event = svm.queue.enqueue(store, { args, global: 1 })
        Object.assign(args, { p: 0, value: 0xbad })
        return event.done
      }
      const expectCells = async (expected: number[], what: string) => {
        const seen = []
        for (const cell of cells) seen.push((await svm.read(cell, Uint32Array, 1))[0])
        equal(seen, expected, what)
      }
      await Promise.all([launch(0, 11), launch(1, 22), launch(2, 33)])
      await expectCells([11, 22, 33], 'after source, clone and clone of the clone')
      await launch(0, 44)
      await expectCells([44, 22, 33], 'after the source ran again')
      await launch(1, 55)
      await expectCells([44, 55, 33], 'after the first clone ran again')
    },
  },
  {
    name: 'clone_kernel_with_exec_info',
    note: 'SVM_PTRS is the reach of a kernel: three kernels of one text, each with its own.',
    async run(t) {
      const { svm } = await t.open()
      const out = svm.alloc(4)
      const cells = [0, 1, 2].map(() => svm.allocFrom(Uint32Array.of(0)))
      const hidden = cells.map((cell) => svm.allocFrom(Uint32Array.of(cell)))
      const kernels: SvmKernel[] = []
      for (const [at, cell] of cells.entries()) kernels.push(await makeKernel(svm, 'throughHidden', { reach: [hidden[at] as number, cell, out] }))
      const launch = (kernel: number, pointer: number, value: number) =>
        svm.queue.enqueue(kernels[kernel] as SvmKernel, { args: { hidden: hidden[pointer] as number, out, value }, global: 1 }).done
      for (const at of [0, 1, 2]) await launch(at, at, 11 * (at + 1))
      await launch(0, 0, 44)
      const seen = []
      for (const cell of cells) seen.push((await svm.read(cell, Uint32Array, 1))[0])
      equal(seen, [44, 22, 33], 'each wrote its own')
      await refused(() => launch(0, 1, 99), 'access-violation', "a kernel with another's pointer")
    },
  },
  {
    name: 'generic_ptr_to_host_mem_svm',
    note: 'WGSL has no generic address space: the same kernel is fed with every kind of allocation that there is (alloc, allocFrom, a mapped pager).',
    async run(t) {
      const { svm } = await t.open()
      const copy = await makeKernel(svm, 'copy')
      const data = Uint32Array.from({ length: 1024 }, (_, i) => i * 3 + 1)
      const bytes = new Uint8Array(data.buffer)
      const written = svm.alloc(data.byteLength)
      await svm.write(written, data)
      const mapped = await svm.mmap({
        size: bytes.length,
        async read(offset, into) {
          into.set(bytes.subarray(offset, offset + into.length))
          return into.length
        },
      })
      for (const source of [written, svm.allocFrom(data), mapped]) {
        const out = svm.alloc(data.byteLength)
        await svm.queue.enqueue(copy, { args: { source, out }, global: data.length }).done
        elements(await svm.read(out, Uint32Array, data.length), (i) => i * 3 + 1, 'what the kernel read')
      }
    },
  },
  {
    name: 'copy_svm_buffer',
    note: 'No command buffers here: the same commands, enqueued with their dependencies.',
    async run(t) {
      const { svm } = await t.open()
      const queue = svm.createQueue({ outOfOrder: true })
      const source = svm.alloc(512)
      const destination = svm.alloc(512)
      const filled = queue.memfill(source, Uint8Array.of(0xa1), 512)
      const copied = queue.memcpy(destination, source, 512, { waitFor: [filled] })
      await copied.done
      equal([filled.command, copied.command], ['memfill', 'memcpy'], 'commands')
      elements(await svm.read(destination, 512), () => 0xa1, 'what was copied')
    },
  },
  {
    name: 'fill_svm_buffer',
    note: 'No command buffers here: the same command, enqueued.',
    async run(t) {
      const { svm } = await t.open()
      const pointer = svm.alloc(512)
      await svm.queue.memfill(pointer, Uint8Array.of(0xa1), 512).done
      elements(await svm.read(pointer, 512), () => 0xa1, 'what was filled')
    },
  },
  {
    name: 'private_address',
    note: 'The device address of shared memory is its pointer, on every device.',
    async run(t) {
      const { svm } = await t.open({ devices: 2 })
      const storePointer = await makeKernel(svm, 'storePointer')
      const p = svm.alloc(64)
      for (const device of svm.devices) {
        const out = svm.alloc(4)
        await svm.createQueue({ device }).enqueue(storePointer, { args: { p: p + 4, out }, global: 1 }).done
        const arrived = await svm.using(out, 4, 'read', (mapping) => mapping.getPointer(out))
        ok(arrived === p + 4, 'the address on the device is the pointer')
      }
    },
  },
]

const NO_ATOMICS =
  'Host and device atomics on the same memory at the same time need SVM_ATOMICS, which is not claimed: WebGPU has no coherent atomics with the host.'
const NO_COMMAND_BUFFER = 'There are no command buffers (cl_khr_command_buffer) here.'

export const elsewhereSkipped: readonly Skipped[] = [
  { name: 'svm_fine_grain_memory_consistency', reason: NO_ATOMICS },
  {
    name: 'svm_shared_address_space_fine_grain',
    reason: 'FINE_GRAIN_SYSTEM is not claimed: no ArrayBuffer of the program is seen by a GPU as it is.',
  },
  ...[
    ...['store', 'init', 'load', 'exchange', 'compare_exchange_strong', 'compare_exchange_weak', 'fetch_add', 'fetch_sub', 'fetch_or', 'fetch_xor'],
    ...['fetch_and', 'fetch_orand', 'fetch_xor2', 'fetch_min', 'fetch_max', 'flag', 'fence'],
  ].map((operation) => ({ name: `svm_atomic_${operation}`, reason: NO_ATOMICS })),
  { name: 'mutable_dispatch_svm_arguments', reason: NO_COMMAND_BUFFER },
  ...['queue_not_null', 'sync_points_null_or_num_zero', 'invalid_command_buffer', 'finalized_command_buffer', 'mutable_handle_not_null'].map((what) => ({
    name: `negative_command_buffer_command_svm_${what}`,
    reason: NO_COMMAND_BUFFER,
  })),
  { name: 'computeinfo', reason: 'The interface has no query of capability bits; `svm info` prints them in the words of OpenCL.' },
]
