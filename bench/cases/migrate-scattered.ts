// migrate-scattered. Always: every other page of the subject goes, each 64 KiB long, none beside another; all of them are at home before each sample.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { download, Fence, stagingBuffer, storageBuffer } from '../plain/transfer.ts'
import { openSubject, SUBJECT_BYTES } from './subject.ts'

export const migrateScattered: Bench = {
  name: 'migrate-scattered',
  about: 'queue.migrate().done of every other page of 64 MiB, 64 KiB each | one writeBuffer for each; both until a word copied behind them is mapped',
  goal: 1.25,
  run,
}

async function run(bed: Bed, rounds: number): Promise<Samples> {
  const { device } = bed
  const { svm, pointer, bytes } = await openSubject(bed)
  const offsets = Array.from({ length: SUBJECT_BYTES / svm.pageSize / 2 }, (_, n) => n * 2 * svm.pageSize)
  const ranges = offsets.map((offset) => ({ pointer: pointer + offset, byteLength: svm.pageSize }))
  const buffer = storageBuffer(device, SUBJECT_BYTES)
  const staging = stagingBuffer(device, SUBJECT_BYTES)
  const fence = new Fence(device)
  try {
    const samples = await alternate(
      bed,
      rounds,
      {
        prepare: async () => {
          await svm.queue.migrate({ pointer }, { to: 'host' }).done
        },
        timed: async () => {
          const { moved, bytesCopied } = await svm.queue.migrate(ranges).done
          await fence.wait()
          const right = moved === ranges.length && bytesCopied === SUBJECT_BYTES / 2
          expect(right, `migrate-scattered: ${moved} of ${ranges.length} pages moved, ${bytesCopied} bytes.`)
        },
      },
      {
        timed: async () => {
          for (const offset of offsets) device.queue.writeBuffer(buffer, offset, bytes, offset, svm.pageSize)
          await fence.wait()
        },
      },
    )
    const plain = new Uint8Array(SUBJECT_BYTES)
    await download(device, buffer, staging, plain)
    // The pages between have not gone anywhere on the plain side.
    const pages = (from: Uint8Array) => Buffer.concat(offsets.map((offset) => from.subarray(offset, offset + svm.pageSize)))
    const mine = await svm.read(pointer, SUBJECT_BYTES)
    expectSameBytes('migrate-scattered', pages(mine), pages(plain))
    return samples
  } finally {
    await svm.close()
    for (const one of [buffer, staging, fence]) one.destroy()
  }
}
