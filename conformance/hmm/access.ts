// Tests of hmm-tests.c about reads and writes of the device. Names, steps and assertions are the original's; "the CPU" is the host.

import { elements, equal } from '../check.ts'
import type { Test } from '../suite.ts'
import { DMirror, expectAll, NTIMES, PMD_BYTES, words } from './dmirror.ts'

const negative = (i: number) => -i >>> 0

/** Fills a buffer of 2 huge pages by the device. */
const writeHuge: Test['run'] = async (t) => {
  const [mirror] = (await DMirror.open(t, { pageSize: PMD_BYTES, deviceMemory: 64 * 2 ** 20 })) as [DMirror]
  const buffer = mirror.buffer(2 * PMD_BYTES)
  const reply = await mirror.write(buffer, words(buffer.words))
  expectAll(reply, buffer, 'WRITE')
  equal(reply.faults, 1, 'WRITE: faults')
  elements(await mirror.look(buffer), (i) => i, 'the CPU sees')
}

export const accessTests: readonly Test[] = [
  {
    name: 'open_close',
    async run(t) {
      const { svm } = await t.open()
      equal(svm.devices.length, 1, 'open')
      equal(await svm.close(), undefined, 'close')
    },
  },
  {
    name: 'anon_read',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      const first = (2 * mirror.pageSize) / 4
      // Page 0 stays none, page 1 becomes the zero page.
      await mirror.svm.write(
        buffer.pointer + first * 4,
        words(buffer.words - first, (i) => first + i),
      )
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      const [value] = await mirror.look(buffer, 1, mirror.pageSize / 4)
      equal(value, 0, 'value read of page 1')
      const reply = await mirror.read(buffer)
      expectAll(reply, buffer, 'READ', (i) => (i < first ? 0 : i))
      equal(reply.faults, 1, 'READ: faults')
    },
  },
  {
    name: 'anon_read_prot',
    note: 'EFAULT is access-violation here.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.fill(buffer)
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'none')
      const reply = await mirror.read(buffer, words(buffer.words, negative))
      equal(reply.ret, 'access-violation', 'READ of PROT_NONE')
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      elements(await mirror.look(buffer), (i) => i, 'buffer')
      elements(reply.data, negative, 'mirror')
    },
  },
  {
    name: 'anon_write',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      const reply = await mirror.write(buffer, words(buffer.words))
      expectAll(reply, buffer, 'WRITE')
      equal(reply.faults, 1, 'WRITE: faults')
      elements(await mirror.look(buffer), (i) => i, 'the CPU sees')
    },
  },
  {
    name: 'anon_write_prot',
    note: 'EPERM is access-violation here.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const buffer = mirror.buffer()
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      const one = await mirror.read({ pointer: buffer.pointer, byteLength: mirror.pageSize })
      expectAll(one, { npages: 1 }, 'READ of one page', () => 0)
      equal(one.faults, 1, 'READ of one page: faults')
      const denied = await mirror.write(buffer, words(buffer.words))
      equal(denied.ret, 'access-violation', 'WRITE of a read-only range')
      elements(await mirror.look(buffer), () => 0, 'the CPU sees')
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read-write')
      const reply = await mirror.write(buffer, words(buffer.words))
      expectAll(reply, buffer, 'WRITE')
      equal(reply.faults, 1, 'WRITE: faults')
      elements(await mirror.look(buffer), (i) => i, 'the CPU sees')
    },
  },
  { name: 'anon_write_huge', note: 'A huge page is a page of a space whose pages have 2 MiB.', run: writeHuge },
  { name: 'anon_write_hugetlbfs', note: 'No hugetlb pool here: the nearest meaning is a space of the largest pages (2 MiB).', run: writeHuge },
  {
    name: 'file_read',
    note: 'The file is a Pager.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const data = words(2 ** 20)
      const file = new Uint8Array(data.buffer)
      const buffer = await mirror.file({
        size: file.length,
        async read(offset, into) {
          into.set(file.subarray(offset, offset + into.length))
          return into.length
        },
      })
      const reply = await mirror.read(buffer)
      expectAll(reply, buffer, 'READ')
      equal(reply.faults, 1, 'READ: faults')
    },
  },
  {
    name: 'anon_read_multiple',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      for (let c = 0; c < NTIMES; c++) {
        const buffer = mirror.buffer()
        await mirror.fill(buffer, (i) => i + c)
        const reply = await mirror.read(buffer)
        expectAll(reply, buffer, `READ ${c}`, (i) => i + c)
        equal(reply.faults, 1, `READ ${c}: faults`)
        mirror.svm.free(buffer.pointer)
      }
    },
  },
  {
    name: 'userfaultfd_read',
    note: 'Who serves the missing pages is a Pager.',
    async run(t) {
      const [mirror] = (await DMirror.open(t)) as [DMirror]
      const asked = new Set<number>()
      const buffer = await mirror.file({
        size: 4 * mirror.pageSize,
        async read(offset, into) {
          for (let at = offset; at < offset + into.length; at += mirror.pageSize) asked.add(at)
          into.fill(0xab)
          return into.length
        },
      })
      expectAll(await mirror.read(buffer), buffer, 'READ', () => 0xabababab)
      equal(asked.size, 4, 'pages that the handler served')
    },
  },
]
