// Tests of hmm-tests.c about migration. Names, steps and assertions are the original's; "the CPU" is the host. MIGRATE_TO_DEV reads the whole range
// back through the device's table, so that a mapping of a page that did not move must have survived: the bug of the seed thread as a test.

import { elements, equal, refused } from '../check.ts'
import type { Test } from '../suite.ts'
import { BUFFER_BYTES, DMirror, expectAll, NTIMES, words } from './dmirror.ts'

export const migrateTests: readonly Test[] = [
  {
    name: 'migrate',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
    },
  },
  {
    name: 'migrate_file_private',
    note: 'Private writable mappings of a file do not exist yet: mmap refuses them, which is looked at. So no page is written before it moves (no copy on write): those that move are the bytes that the Pager gave, through a read-only private mapping.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const file = new Uint8Array(words(BUFFER_BYTES / 4).buffer)
      const pager = {
        size: file.length,
        async read(offset: number, into: Uint8Array) {
          into.set(file.subarray(offset, offset + into.length))
          return into.length
        },
      }
      await refused(() => mirror.svm.mmap(pager, { access: 'read-write', sharing: 'private' }), 'unsupported', 'a private writable mapping')
      const buffer = await mirror.file(pager)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
    },
  },
  {
    name: 'migrate_fault',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
      elements(await mirror.look(buffer, buffer.words / 2), (i) => i, 'the CPU reads the first half')
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV of the mixed range')
    },
  },
  {
    name: 'migrate_release',
    note: 'RELEASE is releaseDevice.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
      await mirror.svm.releaseDevice(mirror.svm.devices[0] as (typeof mirror.svm.devices)[0])
      elements(await mirror.look(buffer, buffer.words / 2), (i) => i, 'the CPU reads the first half')
    },
  },
  {
    name: 'migrate_multiple',
    note: 'The original calls MIGRATE_TO_SYS with coherent memory only, each time; with private memory its CPU check is the way back. Device memory is private here, so rounds 0, 2, … come back by the check alone; rounds 1, 3, … call MIGRATE_TO_SYS before it, which must move every page.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      for (let c = 0; c < NTIMES; c++) {
        const buffer = mirror.buffer()
        await mirror.fill(buffer)
        expectAll(await mirror.migrateToDevice(buffer), buffer, `MIGRATE_TO_DEV ${c}`)
        if (c % 2 === 1) equal(await mirror.migrateToSystem(buffer), { ret: 0, cpages: buffer.npages }, `MIGRATE_TO_SYS ${c}`)
        elements(await mirror.look(buffer), (i) => i, `the CPU sees ${c}`)
        mirror.svm.free(buffer.pointer)
      }
    },
  },
  {
    name: 'migrate_on_fault',
    note: 'One call without any touch before: of anonymous memory, and of pages that only a Pager has.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      // What was in the device's memory before must not be seen.
      const old = mirror.buffer()
      await mirror.fill(old, () => 0xffffffff)
      expectAll(await mirror.migrateToDevice(old), old, 'MIGRATE_TO_DEV of memory that goes', () => 0xffffffff)
      mirror.svm.free(old.pointer)
      const empty = mirror.buffer()
      expectAll(await mirror.migrateToDevice(empty), empty, 'MIGRATE_TO_DEV of untouched memory', () => 0)
      let reads = 0
      const buffer = await mirror.file({
        size: 16 * mirror.pageSize,
        async read(offset, into) {
          reads++
          for (let i = 0; i < into.length; i++) into[i] = ((offset + i) >>> 2) & 0xff
          return into.length
        },
      })
      equal(reads, 0, 'pages that were read before the call')
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV', (i) => Math.imul(i & 0xff, 0x01010101))
    },
  },
]
