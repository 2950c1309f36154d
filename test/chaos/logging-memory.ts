// The accessors of a twin, with a log of the words that were stored to. Always: a store of a poisoned work-item is not in the log.

import type { KernelMemory } from '../../src/device/twin.ts'
import type { TwinMemory } from '../kernels/kernel.ts'

const WORD = 4
/** Bytes that each may change. */
const STORES: Readonly<Record<string, number>> = {
  storeU32: WORD,
  storeU8: WORD,
  storeU16: WORD,
  storeVec2U32: 2 * WORD,
  storeVec4U32: 4 * WORD,
  storePointer: 2 * WORD,
  atomicStoreU32: WORD,
  atomicAddU32: WORD,
  atomicXorU32: WORD,
  atomicExchangeU32: WORD,
  atomicCompareExchangeU32: WORD,
  silentAtomicAddU32: WORD,
}

type Accessor = (pointer: number, ...rest: unknown[]) => unknown

/** @param onPoison told after an access that left, or found, the work-item poisoned */
export function loggingMemory(inner: KernelMemory, stored: { add(at: number): void }, onPoison: () => void): TwinMemory {
  return new Proxy(inner, {
    get(target, name) {
      const accessor = Reflect.get(target, name) as Accessor
      if (name === 'faulted') return accessor.bind(target)
      const bytes = STORES[name as string] ?? 0
      return (pointer: number, ...rest: unknown[]) => {
        // The first words of a vector may be stored before a later one faults.
        const may = bytes > WORD && !target.faulted()
        const result = accessor.call(target, pointer, ...rest)
        const poisoned = target.faulted()
        if (poisoned) onPoison()
        const first = pointer - (pointer % WORD)
        if (may || !poisoned) for (let at = first; at < first + bytes; at += WORD) stored.add(at)
        return result
      }
    },
  })
}
