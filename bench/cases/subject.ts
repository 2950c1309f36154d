// The 64 MiB that the migration benchmarks move, and a space around them. Always: pools are made before the first sample and stay: a pool that
// is empty is destroyed, so each holds a page of a sentinel that never moves. What is timed is migration, not the making of pools.

import type { Svm, SvmPointer } from '../../src/index.ts'
import { type Bed, expect } from '../case.ts'

export const SUBJECT_BYTES = 64 * 2 ** 20
const BUDGET = 128 * 2 ** 20

export interface Subject {
  readonly svm: Svm
  readonly pointer: SvmPointer
  /** What the subject's bytes are at first. */
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly pages: number
}

export async function openSubject(bed: Bed): Promise<Subject> {
  const svm = await bed.open(BUDGET)
  const words = new Uint32Array(SUBJECT_BYTES / 4)
  for (let n = 0; n < words.length; n++) words[n] = Math.imul(n, 0x9e3779b1)
  const bytes = new Uint8Array(words.buffer)
  const pointer = svm.allocFrom(bytes, { label: 'subject' })
  await keepPools(svm, pointer)
  return { svm, pointer, bytes, pages: SUBJECT_BYTES / svm.pageSize }
}

/** Puts sentinels around the subject until no pool is empty when the subject is at home. */
async function keepPools(svm: Svm, pointer: SvmPointer): Promise<void> {
  const pools = () => svm.stats().devices[0]?.pools
  for (let attempt = 0; attempt < 8; attempt++) {
    const sentinel = svm.allocFrom(new Uint8Array(svm.pageSize).fill(1), { label: `sentinel ${attempt}` })
    await svm.queue.migrate({ pointer: sentinel }).done
    await svm.queue.migrate({ pointer }).done
    const with64 = pools()
    await svm.queue.migrate({ pointer }, { to: 'host' }).done
    if (pools() === with64) return
    // The next sentinel comes to lie behind the subject, in a pool that is empty without it.
    await svm.queue.migrate({ pointer }).done
  }
  expect(false, 'a pool is empty whenever the subject is at home: its making would be timed.')
}
