// Tests of hmm-tests.c about huge pages. Names, steps and assertions are the original's. What stands for a huge page is a page of a space whose pages have
// 2 MiB; what stands for a large allocation that fails is a pool that the device refuses, after which a smaller one is asked for.

import { elements, equal } from '../check.ts'
import type { OpenOptions, Test, TestContext } from '../suite.ts'
import { DMirror, expectAll, type HmmBuffer, PMD_BYTES, PROT } from './dmirror.ts'

const MIB = 2 ** 20
const HUGE: OpenOptions = { pageSize: PMD_BYTES, deviceMemory: 64 * MIB }
const NOTE = 'A huge page is a page of a space whose pages have 2 MiB.'
const zero = () => 0

async function openHuge(t: TestContext): Promise<{ mirror: DMirror; buffer: HmmBuffer }> {
  const [mirror] = (await DMirror.open(t, HUGE)) as [DMirror]
  return { mirror, buffer: mirror.buffer(2 * PMD_BYTES) }
}

/** FLAGS with FAIL_ALLOC: the next pool is refused, once. */
class FailAllocation {
  #armed = false
  refused = 0

  readonly mischief: OpenOptions['mischief'] = {
    failBuffer: (_nth, role) => {
      const fails = this.#armed && role === 'pool'
      if (fails) {
        this.#armed = false
        this.refused++
      }
      return fails
    },
  }

  arm(): void {
    this.#armed = true
  }
}

async function openFailing(t: TestContext): Promise<{ mirror: DMirror; fail: FailAllocation }> {
  if (t.kind !== 'sim') t.skip('A real device cannot be told to refuse an allocation; runs on the simulated device.')
  const fail = new FailAllocation()
  const [mirror] = (await DMirror.open(t, { ...HUGE, mischief: fail.mischief })) as [DMirror]
  return { mirror, fail }
}

/** Migrates before anything else is on the device, so that the range itself needs the pool. */
async function migrateFirst(mirror: DMirror, buffer: HmmBuffer): Promise<void> {
  const { moved, skipped } = await mirror.queue.migrate({ pointer: buffer.pointer, byteLength: buffer.byteLength }).done
  equal([moved, skipped], [buffer.npages, {}], 'MIGRATE_TO_DEV')
}

/** Times of one way, as a human reads them. */
const rate = (bytes: number, milliseconds: number) => `${milliseconds.toFixed(1)} ms, ${(bytes / 2 ** 30 / (milliseconds / 1000)).toFixed(2)} GiB/s`

export const hugeTests: readonly Test[] = [
  {
    name: 'migrate_anon_huge_empty',
    note: NOTE,
    async run(t) {
      const { mirror, buffer } = await openHuge(t)
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      const before = new Uint32Array(buffer.words).fill(0xffffffff)
      expectAll(await mirror.migrateToDevice(buffer, before), buffer, 'MIGRATE_TO_DEV', zero)
    },
  },
  {
    name: 'migrate_anon_huge_zero',
    note: NOTE,
    async run(t) {
      const { mirror, buffer } = await openHuge(t)
      await mirror.svm.mprotect(buffer.pointer, buffer.byteLength, 'read')
      equal((await mirror.look(buffer, 1))[0], 0, 'value that the CPU reads first')
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV', zero)
      elements(await mirror.look(buffer), zero, 'the CPU reads all')
    },
  },
  {
    name: 'migrate_anon_huge_free',
    note: `${NOTE} MADV_FREE is free.`,
    async run(t) {
      const { mirror, buffer } = await openHuge(t)
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
      const used = () => mirror.svm.stats().devices[0]?.framesUsed
      const before = used() as number
      mirror.svm.free(buffer.pointer)
      await mirror.queue.finish()
      await mirror.svm.read(mirror.svm.alloc(4), 4)
      equal(used(), before - buffer.npages, 'device pages in use')
    },
  },
  {
    name: 'migrate_anon_huge_fault',
    note: NOTE,
    async run(t) {
      const { mirror, buffer } = await openHuge(t)
      await mirror.fill(buffer)
      expectAll(await mirror.migrateToDevice(buffer), buffer, 'MIGRATE_TO_DEV')
      const expected = PROT.devicePrivateLocal | PROT.write | PROT.pmd
      equal(mirror.snapshot(buffer.pointer, 2), [expected, expected], 'SNAPSHOT')
      // The original's pagemap says "swapped, not present".
      equal(
        mirror.svm.residency(buffer.pointer, buffer.byteLength).map(({ where, byteLength }) => [where, byteLength]),
        [['device', buffer.byteLength]],
        'no page is present on the host',
      )
      elements(await mirror.look(buffer), (i) => i, 'the CPU reads')
    },
  },
  {
    name: 'migrate_anon_huge_err',
    note: `${NOTE} The allocation that fails is a pool; on the way home nothing is allocated.`,
    async run(t) {
      const { mirror, fail } = await openFailing(t)
      const first = mirror.buffer(2 * PMD_BYTES)
      await mirror.fill(first)
      fail.arm()
      await migrateFirst(mirror, first)
      equal(fail.refused, 1, 'allocations that failed')
      expectAll(await mirror.migrateToDevice(first), first, 'MIGRATE_TO_DEV, read back')
      equal((await mirror.look(first, 1, 2048))[0], 2048, 'word 2048')
      mirror.svm.free(first.pointer)
      const second = mirror.buffer(2 * PMD_BYTES)
      await mirror.fill(second)
      expectAll(await mirror.migrateToDevice(second), second, 'MIGRATE_TO_DEV')
      fail.arm()
      equal((await mirror.migrateToSystem(second)).ret, 0, 'MIGRATE_TO_SYS')
      equal((await mirror.look(second, 1, 2048))[0], 2048, 'word 2048')
    },
  },
  {
    name: 'migrate_anon_huge_zero_err',
    note: `${NOTE} The allocation that fails is a pool.`,
    async run(t) {
      const { mirror, fail } = await openFailing(t)
      const first = mirror.buffer(2 * PMD_BYTES)
      await mirror.svm.mprotect(first.pointer, first.byteLength, 'read')
      fail.arm()
      await migrateFirst(mirror, first)
      equal(fail.refused, 1, 'allocations that failed')
      expectAll(await mirror.migrateToDevice(first), first, 'MIGRATE_TO_DEV, read back', zero)
      equal((await mirror.look(first, 1, 2048))[0], 0, 'word 2048')
      const { mirror: other, fail: again } = await openFailing(t)
      const second = other.buffer(2 * PMD_BYTES)
      await other.svm.mprotect(second.pointer, second.byteLength, 'read')
      equal((await other.look(second, 1))[0], 0, 'value that the CPU reads first')
      again.arm()
      await migrateFirst(other, second)
      equal(again.refused, 1, 'allocations that failed')
      expectAll(await other.migrateToDevice(second), second, 'MIGRATE_TO_DEV, read back', zero)
      elements(await other.look(second), zero, 'the CPU reads all')
    },
  },
  {
    name: 'benchmark_thp_migration',
    note: 'Sizes to 4 huge pages (the original goes to 128) with pages of 4 KiB and of 2 MiB; a migrate of clean pages home copies nothing, so the host writes them anew.',
    async run(t) {
      const lines: string[] = []
      const data = Uint8Array.from({ length: 4 * PMD_BYTES }, (_, i) => i & 0xff)
      for (const pageSize of [4096, PMD_BYTES]) {
        const { svm } = await t.open({ pageSize, deviceMemory: 64 * MIB })
        for (const parts of [0.25, 0.5, 1, 2, 4]) {
          const byteLength = PMD_BYTES * parts
          const pointer = svm.alloc(byteLength)
          const pages = Math.ceil(byteLength / pageSize)
          const times = [0, 0]
          for (let run = 0; run <= 5; run++) {
            await svm.write(pointer, data.subarray(0, byteLength))
            for (const [way, to] of (['device', 'host'] as const).entries()) {
              const started = performance.now()
              equal((await svm.queue.migrate({ pointer, byteLength }, { to }).done).moved, pages, `pages moved to the ${to} in run ${run}`)
              // The first is to warm up.
              if (run > 0) times[way] = (times[way] as number) + performance.now() - started
            }
          }
          const [there, back] = times as [number, number]
          lines.push(
            `${byteLength / 1024} KiB in pages of ${pageSize / 1024} KiB: ${rate(byteLength, there / 5)} to the device, ${rate(byteLength, back / 5)} back`,
          )
          svm.free(pointer)
        }
        await svm.close()
      }
      return lines.join('; ')
    },
  },
]
