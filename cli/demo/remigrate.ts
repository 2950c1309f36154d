// The third part of the demo: the fix of the seed. Migrating what is in place already moves nothing and leaves every mapping valid.

import type { Svm } from '../../src/node.ts'
import { deviceOf, Meter, type Moved } from './meter.ts'

export interface RemigrateResult extends Moved {
  readonly byteLength: number
  /** Pages. */
  readonly firstMoved: number
  readonly secondMoved: number
  readonly secondBytesCopied: number
  readonly secondPtesWritten: number
  readonly mappingsLost: number
}

export async function remigrate(svm: Svm, byteLength: number): Promise<RemigrateResult> {
  const data = new Uint32Array(byteLength / 4).map((_, n) => Math.imul(n, 0x9e3779b1))
  const pointer = svm.allocFrom(data, { label: 'migrated twice' })
  const meter = new Meter(svm)
  const first = await svm.queue.migrate({ pointer }).done
  const before = deviceOf(svm).mappingsLost
  const second = await svm.queue.migrate({ pointer }).done
  const mappingsLost = deviceOf(svm).mappingsLost - before
  const moved = meter.stop()
  svm.free(pointer)
  return {
    byteLength,
    firstMoved: first.moved,
    secondMoved: second.moved,
    secondBytesCopied: second.bytesCopied,
    secondPtesWritten: second.ptesWritten,
    mappingsLost,
    ...moved,
  }
}
