// The kernels of a run. Always: what one leaves does not depend on the order of its work-items, so the twin, run item by item on the model,
// says what must come out; the WGSL beside it only has the right shape.

import type { KernelTwin } from '../src/device/twin.ts'

export interface FuzzKernel {
  readonly twin: KernelTwin
  /** It stores to the range of a, of b. */
  readonly writesA: boolean
  readonly writesB: boolean
  /** Its words are counters that grow by v. */
  readonly counts: boolean
}

const at = (base: number, item: number, stride: number) => base + item * stride

/** a, b: pointers; n: how many, s: stride in bytes, v: a value. */
export const KERNELS = {
  /** Stores. */
  store: { writesA: true, writesB: false, counts: false, twin: (item, { a, s, v }, m) => m.storeU32(at(a, item.globalId[0], s), v + item.globalId[0]) },
  /** Loads and stores the same words. */
  add: {
    writesA: true,
    writesB: false,
    counts: false,
    twin: (item, { a, s, v }, m) => m.storeU32(at(a, item.globalId[0], s), m.loadU32(at(a, item.globalId[0], s)) + v),
  },
  /** Loads from a, stores to b. */
  copy: {
    writesA: false,
    writesB: true,
    counts: false,
    twin: (item, { a, b, s, v }, m) => m.storeU32(at(b, item.globalId[0], s), m.loadU32(at(a, item.globalId[0], s)) + v),
  },
  /** Atomics whose result nobody uses. */
  count: { writesA: true, writesB: false, counts: true, twin: (item, { a, n, s, v }, m) => m.silentAtomicAddU32(at(a, item.globalId[0] % n, s), v) },
  /** An atomic whose result is used: the work-item is tainted, and what it stores later counts only if the pass does. */
  ticket: {
    writesA: true,
    writesB: true,
    counts: true,
    twin: (_item, { a, b, v }, m) => {
      const ticket = m.atomicAddU32(a, v)
      m.silentAtomicAddU32(b, v + (ticket & 0))
    },
  },
  /** Follows n pointers from a. A poisoned work-item follows null: hints that must harm nobody. */
  chase: {
    writesA: false,
    writesB: true,
    counts: false,
    twin: (item, { a, b, n, v }, m) => {
      let node = a
      let sum = v
      for (let i = 0; i < n; i++) {
        sum = (sum + m.loadU32(node + 8)) >>> 0
        node = m.loadPointer(node)
      }
      m.storeU32(at(b, item.globalId[0], 4), sum)
    },
  },
} as const satisfies Record<string, FuzzKernel>

export type KernelName = keyof typeof KERNELS
export const KERNEL_NAMES = Object.keys(KERNELS) as KernelName[]

export const KERNEL_TEXT = `struct Args { a: svm_ptr, b: svm_ptr, n: u32, s: u32, v: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(2)
fn k() { svm_store_u32(args.a, svm_load_u32(args.b) + args.n + args.s + args.v); }
`
