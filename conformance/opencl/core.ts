// The SVM tests of the OpenCL CTS (test_conformance/SVM). Names, steps and assertions are the original's; "all devices" are two devices in one space.

import { elements, equal, ok, refused } from '../check.ts'
import type { Test } from '../suite.ts'
import { makeKernel, NUM_ELEMENTS } from './kernels.ts'
import { byCopy, byMapping, byQueue, ListWorld, openTwo } from './lists.ts'

const ACCESSES = ['read-write', 'write', 'read'] as const

export const coreTests: readonly Test[] = [
  {
    name: 'svm_allocate_shared_buffer',
    note: 'A cl_mem over an allocation is the allocation itself; fine-grain flags are combinations that the device lacks.',
    async run(t) {
      const { svm } = await t.open()
      for (const access of ACCESSES) {
        const pointer = svm.alloc(1024, { access })
        ok(pointer !== 0, `alloc for ${access}`)
        const mapping = await svm.queue.map(pointer, 1024, 'read').done
        equal([mapping.pointer, mapping.byteLength], [pointer, 1024], `what map returns for ${access}`)
        await svm.queue.unmap(mapping).done
        await svm.queue.finish()
        svm.free(pointer)
      }
    },
  },
  {
    name: 'svm_allocate_shared_buffer_negative',
    note: 'CL_INVALID_BUFFER_SIZE is invalid-value here.',
    async run(t) {
      const { svm } = await t.open()
      for (const access of ACCESSES) {
        const pointer = svm.alloc(1024, { access })
        await refused(() => svm.queue.map(pointer, 2 * 1024, 'read').done, 'invalid-value', `2048 bytes over 1024 for ${access}`)
        svm.free(pointer)
      }
    },
  },
  {
    name: 'svm_byte_granularity',
    note: 'The parties take turns where the original has them at work together: a page is with one of them at a time.',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const writeOwned = await makeKernel(svm, 'writeOwned')
      const sumNeighbours = await makeKernel(svm, 'sumNeighbours')
      const parties = queues.length + 1
      const a = svm.allocFrom(new Uint8Array(NUM_ELEMENTS).fill(0xff))
      const errors = queues.map(() => svm.allocFrom(Uint32Array.of(0)))
      for (const [id, queue] of queues.entries()) queue.enqueue(writeOwned, { args: { a, n: parties, id }, global: NUM_ELEMENTS })
      for (const queue of queues) queue.flush()
      await svm.using(a, NUM_ELEMENTS, 'read-write', ({ bytes }) => {
        for (let i = queues.length; i < NUM_ELEMENTS; i += parties) bytes[i] = queues.length
      })
      for (const queue of queues) await queue.finish()
      const sums = NUM_ELEMENTS - queues.length
      for (const [at, queue] of queues.entries()) queue.enqueue(sumNeighbours, { args: { a, n: parties, errors: errors[at] as number }, global: sums })
      for (const queue of queues) await queue.finish()
      for (const [at, pointer] of errors.entries()) equal((await svm.read(pointer, Uint32Array, 1))[0], 0, `errors that device ${at} found`)
      const seen = await svm.read(a, NUM_ELEMENTS)
      const sumAt = (i: number) => seen.subarray(i, i + parties).reduce((all, byte) => all + byte, 0)
      elements(
        Uint32Array.from({ length: sums }, (_, i) => sumAt(i)),
        () => (parties * (parties - 1)) / 2,
        "the host's sums",
      )
    },
  },
  {
    name: 'svm_fine_grain_sync_buffers',
    note: 'The host looks when the kernel is complete, which the original allows: nobody can watch a WebGPU kernel that runs.',
    async run(t) {
      const { svm } = await t.open()
      const find = await makeKernel(svm, 'find')
      const image = new Uint32Array(NUM_ELEMENTS)
      const targets = [0, 3, NUM_ELEMENTS - 1]
      for (const at of targets) image[at] = 777
      const pixels = svm.allocFrom(image)
      const found = svm.allocFrom(Uint32Array.of(0))
      const places = svm.allocFrom(new Int32Array(4).fill(-1))
      const event = svm.queue.enqueue(find, { args: { pixels, wanted: 777, found, places }, global: NUM_ELEMENTS })
      await event.done
      equal(event.status, 'complete', 'status')
      equal((await svm.read(found, Uint32Array, 1))[0], targets.length, 'targets found')
      const seen = [...(await svm.read(places, Int32Array, 4))]
      const sorted = seen.slice(0, 3).sort((x, y) => x - y)
      equal([...sorted, seen[3]], [...targets, -1], 'places')
    },
  },
  {
    name: 'svm_negative_memcpy_overlap',
    note: 'CL_MEM_COPY_OVERLAP is invalid-value here, thrown by the call.',
    async run(t) {
      const { svm } = await t.open()
      const pointer = svm.alloc(64)
      await refused(() => svm.queue.memcpy(pointer + 16, pointer, 32), 'invalid-value', 'destination = source + 16')
      await refused(() => svm.queue.memcpy(pointer, pointer + 16, 32), 'invalid-value', 'source = destination + 16')
      await refused(() => svm.queue.memcpy(pointer, pointer, 32), 'invalid-value', 'destination = source')
    },
  },
  {
    name: 'svm_pointer_passing',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const passPointer = await makeKernel(svm, 'passPointer')
      const buffer = svm.alloc(256)
      await svm.using(buffer, 256, 'read-write', ({ bytes }) => {
        for (let i = 0; i < 256; i++) bytes[i] = i
      })
      const correct = svm.alloc(4)
      for (const [at, queue] of queues.entries()) {
        for (let i = 0; i < 256; i++) {
          await svm.write(correct, Uint32Array.of(0))
          await queue.enqueue(passPointer, { args: { p: buffer + i, expected: i, correct }, global: 1 }).done
          const mapping = await queue.map(correct, 4, 'read').done
          equal(mapping.u32[0], 1, `correct on device ${at} for byte ${i}`)
          await queue.unmap(mapping).done
        }
      }
    },
  },
  {
    name: 'svm_set_kernel_exec_info_svm_ptrs',
    note: "SVM_PTRS is the kernel's reach. The original reads the struct on the host without a map, a known defect; here it is mapped.",
    async run(t) {
      const { svm } = await t.open()
      const arrays = [0, 1, 2].map(() => svm.allocFrom(new Int32Array(NUM_ELEMENTS)))
      const pointers = svm.alloc(12)
      await svm.using(pointers, 12, 'read-write', (mapping) => {
        for (const [at, array] of arrays.entries()) mapping.setPointer(pointers + 4 * at, array)
      })
      const declared = await svm.using(pointers, 12, 'read', (mapping) => [0, 4, 8].map((at) => mapping.getPointer(pointers + at)))
      const increment = await makeKernel(svm, 'increment', { reach: [pointers, ...declared] })
      await svm.queue.enqueue(increment, { args: { pointers }, global: NUM_ELEMENTS }).done
      await svm.queue.finish()
      // Clearing with (0, NULL) succeeds: a kernel that declares nothing.
      await makeKernel(svm, 'increment', { reach: [] })
      const [a, b, c] = (await Promise.all(arrays.map((array) => svm.read(array, Int32Array, NUM_ELEMENTS)))) as [Int32Array, Int32Array, Int32Array]
      elements(
        a.map((value, i) => value + (b[i] as number) + (c[i] as number)),
        () => 3,
        'pA[i] + pB[i] + pC[i]',
      )
      // What the declaration is for: without it the kernel may not follow the pointers.
      const undeclared = await makeKernel(svm, 'increment', { reach: [pointers] })
      await refused(() => svm.queue.enqueue(undeclared, { args: { pointers }, global: 1 }).done, 'access-violation', 'pointers that were not declared')
    },
  },
  {
    name: 'svm_shared_address_space_coarse_grain_old_api',
    note: 'Map and unmap are commands of a queue. CL_MEM_USES_SVM_POINTER is asked of residency, which knows SVM pointers only.',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const world = new ListWorld(svm, queues, byQueue(queues[0]), t.numElements)
      equal(svm.residency(world.nodes, 4).length, 1, 'nodes are SVM')
      await refused(() => svm.residency(4096, 4), 'not-mapped', 'memory that is not SVM')
      await world.everyPair(await world.parties())
    },
  },
  {
    name: 'svm_shared_address_space_coarse_grain_new_api',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const world = new ListWorld(svm, queues, byMapping(svm), t.numElements)
      await world.everyPair(await world.parties())
    },
  },
  {
    name: 'svm_shared_address_space_fine_grain_buffers',
    note: 'The host reads and writes without a map, but by calls: no plain load of JavaScript can fault.',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const world = new ListWorld(svm, queues, byCopy(svm), t.numElements)
      await world.everyPair(await world.parties())
    },
  },
  {
    name: 'svm_shared_sub_buffers',
    note: 'Sub-buffers are pointers into an allocation.',
    async run(t) {
      const { svm, queues } = await openTwo(t)
      const world = new ListWorld(svm, queues, byMapping(svm), t.numElements)
      equal(t.numElements % 2, 0, 'numLists is even')
      await world.everyPair(await world.partiesInHalves())
    },
  },
]
