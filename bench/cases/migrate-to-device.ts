// migrate-to-device. Always: the subject is at home, and equal to what the device had, before each sample.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { download, Fence, stagingBuffer, storageBuffer, upload } from '../plain/transfer.ts'
import { openSubject, SUBJECT_BYTES } from './subject.ts'

export const migrateToDevice: Bench = {
  name: 'migrate-to-device',
  about: 'queue.migrate().done of 64 MiB that are on the host | one writeBuffer of them; both until a word copied behind it is mapped',
  goal: 1.1,
  run,
}

async function run(bed: Bed, rounds: number): Promise<Samples> {
  const { device } = bed
  const { svm, pointer, bytes, pages } = await openSubject(bed)
  const buffer = storageBuffer(device, SUBJECT_BYTES)
  const staging = stagingBuffer(device, SUBJECT_BYTES)
  const fence = new Fence(device)
  const check = storageBuffer(device, SUBJECT_BYTES)
  try {
    const samples = await alternate(
      bed,
      rounds,
      {
        prepare: async () => {
          await svm.queue.migrate({ pointer }, { to: 'host' }).done
        },
        timed: async () => {
          const { moved, bytesCopied } = await svm.queue.migrate({ pointer }).done
          await fence.wait()
          expect(moved === pages && bytesCopied === SUBJECT_BYTES, `migrate-to-device: ${moved} of ${pages} pages moved, ${bytesCopied} bytes.`)
        },
      },
      { timed: () => upload(device, buffer, bytes, fence) },
    )
    const plain = new Uint8Array(SUBJECT_BYTES)
    await download(device, buffer, staging, plain)
    const [where] = svm.residency(pointer, SUBJECT_BYTES)
    expect(where?.where === 'device' && where.byteLength === SUBJECT_BYTES, 'migrate-to-device: the subject is not on the device.')
    await svm.queue.copyToBuffer(pointer, check, 0, SUBJECT_BYTES).done
    const mine = new Uint8Array(SUBJECT_BYTES)
    await download(device, check, staging, mine)
    expectSameBytes('migrate-to-device', mine, plain)
    return samples
  } finally {
    await svm.close()
    for (const one of [buffer, staging, check, fence]) one.destroy()
  }
}
