// Tests of hmm-tests.c about snapshots, exclusive access and pins. Names, steps and assertions are the original's.

import { elements, equal } from '../check.ts'
import type { Test } from '../suite.ts'
import { DMirror, expectAll, PMD_BYTES, PROT, words } from './dmirror.ts'

const EXCLUSIVE_NOTE = 'No device atomics on host memory in WebGPU: for atomics the device takes the page, and any access of the host takes it back.'

export const stateTests: readonly Test[] = [
  {
    name: 'snapshot',
    async run(t) {
      const [local, remote] = (await DMirror.open(t, { devices: 2 })) as [DMirror, DMirror]
      const { svm, pageSize } = local
      // The mirrors make their own buffers first: the next allocation would take the hole.
      for (const mirror of [local, remote]) equal((await mirror.migrateToDevice(mirror.buffer(pageSize))).ret, 0, 'MIGRATE_TO_DEV of a page')
      const range = local.buffer(7 * pageSize)
      const page = (i: number) => range.pointer + i * pageSize
      // 0: PROT_NONE, 1: unmapped, 2: read-only zero page, 3: read-only with data, 4: with data, 5: on the first device, 6: on the second.
      await svm.mprotect(page(0), pageSize, 'none')
      await svm.munmap(page(1), pageSize)
      equal((await svm.read(page(2), Uint32Array, 1))[0], 0, 'value of page 2')
      await svm.mprotect(page(2), pageSize, 'read')
      await svm.write(
        page(3),
        words(1, () => 3),
      )
      await svm.mprotect(page(3), pageSize, 'read')
      await svm.write(
        page(4),
        words(1, () => 4),
      )
      const first = await local.migrateToDevice({ pointer: page(5), byteLength: pageSize }, undefined, true)
      equal([first.ret, first.cpages], [0, 1], 'MIGRATE_TO_DEV of page 5')
      const second = await remote.migrateToDevice({ pointer: page(6), byteLength: pageSize }, undefined, true)
      equal([second.ret, second.cpages], [0, 1], 'MIGRATE_TO_DEV of page 6')
      const bytes = local.snapshot(page(0), 7)
      const { error, zero, read, write, devicePrivateLocal, none } = PROT
      equal(bytes, [error, error, zero | read, read, write, devicePrivateLocal | write, none], 'SNAPSHOT')
    },
  },
  {
    name: 'compound',
    note: 'The huge page is a page of a space whose pages have 2 MiB.',
    async run(t) {
      const [mirror] = (await DMirror.open(t, { pageSize: PMD_BYTES, deviceMemory: 64 * 2 ** 20 })) as [DMirror]
      const buffer = mirror.buffer(2 * PMD_BYTES)
      await mirror.fill(buffer)
      equal(mirror.snapshot(buffer.pointer, 2), [PROT.write | PROT.pmd, PROT.write | PROT.pmd], 'SNAPSHOT')
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      equal(mirror.snapshot(buffer.pointer, 2), [PROT.read | PROT.pmd, PROT.read | PROT.pmd], 'SNAPSHOT of a read-only range')
    },
  },
  {
    name: 'exclusive',
    note: EXCLUSIVE_NOTE,
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      expectAll(await mirror.exclusive(buffer), buffer, 'EXCLUSIVE')
      equal(mirror.exclusivePages(buffer), buffer.npages, 'pages that the device has exclusive access to')
      await mirror.svm.using(buffer.pointer, buffer.byteLength, 'read-write', ({ u32 }) => {
        for (let i = 0; i < u32.length; i++) {
          if (u32[i] !== i) equal(u32[i], i, `old value of word ${i}`)
          u32[i] = i + 1
        }
      })
      elements(await mirror.look(buffer), (i) => i + 1, 'the CPU reads again')
      equal(mirror.exclusivePages(buffer), 0, 'CHECK_EXCLUSIVE: pages that the access of the host left to the device')
    },
  },
  {
    name: 'exclusive_mprotect',
    note: `${EXCLUSIVE_NOTE} EPERM is access-violation here.`,
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      expectAll(await mirror.exclusive(buffer), buffer, 'EXCLUSIVE')
      equal(mirror.exclusivePages(buffer), buffer.npages, 'pages that the device has exclusive access to')
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      const denied = await mirror.write(
        buffer,
        words(buffer.words, (i) => -i),
      )
      equal(denied.ret, 'access-violation', 'WRITE')
      elements(await mirror.look(buffer), (i) => i, 'what the range holds')
    },
  },
  {
    name: 'hmm_gup_test',
    note: 'No get_user_pages here: what pins a page on the host is a host mapping.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer(4 * mirror.pageSize)
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
      const pins = []
      for (let i = 0; i < 4; i++) pins.push(await mirror.svm.map(buffer.pointer + i * mirror.pageSize, mirror.pageSize, 'read-write'))
      equal(mirror.snapshot(buffer.pointer, 4), [PROT.write, PROT.write, PROT.write, PROT.write], 'SNAPSHOT: all came home')
      // What pinning is for: nothing moves the pages away.
      const { moved, skipped } = await mirror.queue.migrate({ pointer: buffer.pointer, byteLength: buffer.byteLength }).done
      equal([moved, skipped], [0, { 'host-mapped': 4 }], 'a migrate of pinned pages')
      for (const [page, { u32 }] of pins.entries()) elements(u32, (i) => (page * mirror.pageSize) / 4 + i, `data of page ${page}`)
      for (const pin of pins) pin.unmap()
      elements(await mirror.look(buffer), (i) => i, 'data')
    },
  },
]
