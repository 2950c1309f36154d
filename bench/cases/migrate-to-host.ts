// migrate-to-host. Always: a kernel has just written to every page on both sides, so every byte has to come.

import { alternate, type Bed, type Bench, expect, expectSameBytes, type Samples } from '../case.ts'
import { Stamp } from '../plain/stamp.ts'
import { download, Fence, stagingBuffer, storageBuffer, upload } from '../plain/transfer.ts'
import { openSubject, SUBJECT_BYTES } from './subject.ts'

const CODE = `
struct Args { base: svm_ptr, block_bytes: u32, value: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn stamp(@builtin(global_invocation_id) id: vec3u) {
  svm_store_u32(svm_index(args.base, id.x, args.block_bytes), args.value + id.x);
}`

export const migrateToHost: Bench = {
  name: 'migrate-to-host',
  about: 'queue.migrate({ to: host }).done of 64 MiB, every page of it written by a kernel | copy to a MAP_READ buffer, map, copy into one array',
  goal: 1.1,
  run,
}

async function run(bed: Bed, rounds: number): Promise<Samples> {
  const { device } = bed
  const { svm, pointer, bytes, pages } = await openSubject(bed)
  const blockBytes = svm.pageSize
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'stamp' })
  const buffer = storageBuffer(device, SUBJECT_BYTES)
  const staging = stagingBuffer(device, SUBJECT_BYTES)
  const fence = new Fence(device)
  const stamp = new Stamp(device, buffer, blockBytes)
  const plain = new Uint8Array(SUBJECT_BYTES)
  await upload(device, buffer, bytes, fence)
  try {
    const samples = await alternate(
      bed,
      rounds,
      {
        prepare: async (round) => {
          await svm.queue.migrate({ pointer }).done
          await svm.queue.enqueue(kernel, { args: { base: pointer, block_bytes: blockBytes, value: round }, global: pages }).done
          await fence.wait()
        },
        timed: async () => {
          const { moved, bytesCopied } = await svm.queue.migrate({ pointer }, { to: 'host' }).done
          expect(moved === pages && bytesCopied === SUBJECT_BYTES, `migrate-to-host: ${moved} of ${pages} pages moved, ${bytesCopied} bytes.`)
        },
      },
      { prepare: (round) => stamp.run(round).then(() => fence.wait()), timed: () => download(device, buffer, staging, plain) },
    )
    await svm.using(pointer, SUBJECT_BYTES, 'read', (mapping) => expectSameBytes('migrate-to-host', mapping.bytes, plain))
    return samples
  } finally {
    await svm.close()
    stamp.destroy()
    for (const one of [buffer, staging, fence]) one.destroy()
  }
}
