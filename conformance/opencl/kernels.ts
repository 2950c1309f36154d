// Kernels of the OpenCL suites, each in WGSL and as a twin. Always: both make the same accesses in the same order.

import type { KernelDescriptor, Svm, SvmKernel } from '../../src/index.ts'
import type { KernelTwin } from '../../src/sim.ts'

/** The harness parameter num_elements: 0x4000 if nothing is said. */
export const NUM_ELEMENTS = 0x4000

interface Source {
  readonly fields: string
  readonly body: string
  readonly twin: KernelTwin
}

const SOURCES = {
  /** if (gid % n == id) a[gid] = id, in bytes. */
  writeOwned: {
    fields: 'a: svm_ptr, n: u32, id: u32',
    body: 'if (id.x % args.n == args.id) { svm_store_u8(svm_add(args.a, id.x), args.id); }',
    twin: ({ globalId: [i] }, { a, n, id }, memory) => {
      if (i % n === id) memory.storeU8(a + i, id)
    },
  },
  /** The sum of n neighbours must be n (n - 1) / 2. */
  sumNeighbours: {
    fields: 'a: svm_ptr, n: u32, errors: svm_ptr',
    body: `var sum = 0u;
  for (var j = 0u; j < args.n; j++) { sum += svm_load_u8(svm_add(args.a, id.x + j)); }
  if (sum != args.n * (args.n - 1u) / 2u) { svm_atomic_add_u32(args.errors, 1u); }`,
    twin: ({ globalId: [i] }, { a, n, errors }, memory) => {
      let sum = 0
      for (let j = 0; j < n && !memory.faulted(); j++) sum += memory.loadU8(a + i + j)
      if (sum !== (n * (n - 1)) / 2) memory.silentAtomicAddU32(errors, 1)
    },
  },
  /** places[found++] = gid for each pixel that is wanted. */
  find: {
    fields: 'pixels: svm_ptr, wanted: u32, found: svm_ptr, places: svm_ptr',
    body: `if (svm_load_u32(svm_index(args.pixels, id.x, 4u)) == args.wanted) {
    let at = svm_atomic_add_u32(args.found, 1u);
    svm_atomic_exchange_u32(svm_index(args.places, at, 4u), id.x);
  }`,
    twin: ({ globalId: [i] }, { pixels, wanted, found, places }, memory) => {
      if (memory.loadU32(pixels + 4 * i) !== wanted) return
      const at = memory.atomicAddU32(found, 1)
      memory.atomicExchangeU32(places + 4 * at, i)
    },
  },
  /** *correct = (*p == expected), one byte at any alignment. */
  passPointer: {
    fields: 'p: svm_ptr, expected: u32, correct: svm_ptr',
    body: 'svm_store_u32(args.correct, select(0u, 1u, svm_load_u8(args.p) == args.expected));',
    twin: (_item, { p, expected, correct }, memory) => memory.storeU32(correct, memory.loadU8(p) === expected ? 1 : 0),
  },
  /** Three arrays behind one struct of pointers are incremented. */
  increment: {
    fields: 'pointers: svm_ptr',
    body: `for (var j = 0u; j < 3u; j++) {
    let at = svm_index(svm_load_ptr(svm_index(args.pointers, j, SVM_PTR_SIZE)), id.x, 4u);
    svm_store_u32(at, svm_load_u32(at) + 1u);
  }`,
    twin: ({ globalId: [i] }, { pointers }, memory) => {
      for (let j = 0; j < 3 && !memory.faulted(); j++) {
        const at = memory.loadPointer(pointers + 4 * j) + 4 * i
        memory.storeU32(at, memory.loadU32(at) + 1)
      }
    },
  },
  /** out[i] = source[i], in words. */
  copy: {
    fields: 'source: svm_ptr, out: svm_ptr',
    body: 'svm_store_u32(svm_index(args.out, id.x, 4u), svm_load_u32(svm_index(args.source, id.x, 4u)));',
    twin: ({ globalId: [i] }, { source, out }, memory) => memory.storeU32(out + 4 * i, memory.loadU32(source + 4 * i)),
  },
  /** What was in (*hidden)[i] goes to out[i]; value + i takes its place. */
  throughHidden: {
    fields: 'hidden: svm_ptr, out: svm_ptr, value: u32',
    body: `let at = svm_index(svm_load_ptr(args.hidden), id.x, 4u);
  svm_store_u32(svm_index(args.out, id.x, 4u), svm_load_u32(at));
  svm_store_u32(at, args.value + id.x);`,
    twin: ({ globalId: [i] }, { hidden, out, value }, memory) => {
      const at = memory.loadPointer(hidden) + 4 * i
      memory.storeU32(out + 4 * i, memory.loadU32(at))
      memory.storeU32(at, value + i)
    },
  },
  /** p[i] = value. */
  store: {
    fields: 'p: svm_ptr, value: u32',
    body: 'svm_store_u32(svm_index(args.p, id.x, 4u), args.value);',
    twin: ({ globalId: [i] }, { p, value }, memory) => memory.storeU32(p + 4 * i, value),
  },
  /** The pointer argument itself is stored: what arrived. */
  storePointer: {
    fields: 'p: svm_ptr, out: svm_ptr',
    body: 'svm_store_ptr(args.out, args.p);',
    twin: (_item, { p, out }, memory) => memory.storePointer(out, p),
  },
  /** Every work-item increments one word. */
  count: {
    fields: 'counter: svm_ptr',
    body: 'svm_atomic_add_u32(args.counter, 1u);',
    twin: (_item, { counter }, memory) => memory.silentAtomicAddU32(counter, 1),
  },
} satisfies Record<string, Source>

/** A kernel by its name above. */
export function makeKernel(svm: Svm, name: keyof typeof SOURCES, options: Pick<KernelDescriptor, 'reach'> = {}): Promise<SvmKernel> {
  const { fields, body, twin } = SOURCES[name]
  const code = `
struct Args { ${fields} }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn kernel_main(@builtin(global_invocation_id) id: vec3u) {
  ${body}
}`
  return svm.createKernel({ ...options, code, entryPoint: 'kernel_main', label: name, twin })
}
