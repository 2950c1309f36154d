// second-migrate. Always: `plain` is the first migrate of the same 64 MiB, as nouveau did it each time before the fix; the second moves nothing,
// copies nothing and writes no entry.

import type { MigrateResult } from '../../src/index.ts'
import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { Fence } from '../plain/transfer.ts'
import { openSubject, SUBJECT_BYTES } from './subject.ts'

export const secondMigrate: Bench = {
  name: 'second-migrate',
  about: 'the second queue.migrate().done of the same 64 MiB | the first, until a word copied behind it is mapped',
  goal: 0.02,
  run,
}

async function run(bed: Bed, rounds: number): Promise<Samples> {
  const { svm, pointer, bytes, pages } = await openSubject(bed)
  const fence = new Fence(bed.device)
  const migrateAndWait = async (): Promise<MigrateResult> => {
    const result = await svm.queue.migrate({ pointer }).done
    await fence.wait()
    return result
  }
  const submits = () => svm.stats().devices[0]?.submits
  let submitsBefore = submits()
  const bringHome = async () => {
    await svm.queue.migrate({ pointer }, { to: 'host' }).done
  }
  try {
    const samples = await alternate(
      bed,
      rounds,
      {
        prepare: async () => {
          await bringHome()
          await migrateAndWait()
          submitsBefore = submits()
        },
        // Nothing is given to the device, so there is nothing to wait for.
        timed: async () => {
          const { moved, bytesCopied, ptesWritten, present } = await svm.queue.migrate({ pointer }).done
          const counts = `${moved} pages moved, ${bytesCopied} bytes copied, ${ptesWritten} entries written, ${present} present`
          expect(moved === 0 && bytesCopied === 0 && ptesWritten === 0 && present === pages, `second-migrate: ${counts}.`)
        },
        after: async () => expect(submits() === submitsBefore, 'second-migrate: the second migrate gave work to the device.'),
      },
      {
        prepare: bringHome,
        timed: async () => {
          const { moved } = await migrateAndWait()
          expect(moved === pages, `second-migrate: the first migrate moved ${moved} of ${pages} pages.`)
        },
      },
    )
    await svm.using(pointer, SUBJECT_BYTES, 'read', (mapping) => expectSameBytes('second-migrate', mapping.bytes, bytes))
    return samples
  } finally {
    await svm.close()
    fence.destroy()
  }
}
