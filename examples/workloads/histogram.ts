// A histogram with 256 bins, twice: `histogram-global` counts in the bins themselves, `histogram-local` in workgroup memory first and adds each
// workgroup's bins to the shared ones at its end. It shows that an atomic counts exactly once in shared virtual memory: a workgroup that meets a
// page of its input that is not there is run again, and what it had counted in the first run is not there twice. A kernel needs nothing for that.

import type { Svm } from '../../src/index.ts'
import { expectSame, random } from './data.ts'
import type { Placed, Problem, Workload } from './workload.ts'

const BINS = 256
const ITEMS = 64
/** Vectors of four samples for a work-item. */
const VECTORS = 4

const HEAD = /* wgsl */ `
struct Args { samples: svm_ptr, bins: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

// The bins of four samples. Neighbouring work-items look at neighbouring vectors.
fn bins_of(group: u32, item: u32, n: u32) -> vec4u {
  return svm_load_vec4_u32(svm_index(args.samples, (group * ${VECTORS}u + n) * ${ITEMS}u + item, 16u)) >> vec4(24u);
}
`

const GLOBAL = /* wgsl */ `${HEAD}
@compute @workgroup_size(${ITEMS})
fn histogram(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  for (var n = 0u; n < ${VECTORS}u; n++) {
    let bins = bins_of(group.x, item, n);
    svm_atomic_add_u32(svm_index(args.bins, bins.x, 4u), 1u);
    svm_atomic_add_u32(svm_index(args.bins, bins.y, 4u), 1u);
    svm_atomic_add_u32(svm_index(args.bins, bins.z, 4u), 1u);
    svm_atomic_add_u32(svm_index(args.bins, bins.w, 4u), 1u);
  }
}`

const LOCAL = /* wgsl */ `${HEAD}
var<workgroup> found: array<atomic<u32>, ${BINS}>;

@compute @workgroup_size(${ITEMS})
fn histogram(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  for (var n = 0u; n < ${VECTORS}u; n++) {
    let bins = bins_of(group.x, item, n);
    atomicAdd(&found[bins.x], 1u);
    atomicAdd(&found[bins.y], 1u);
    atomicAdd(&found[bins.z], 1u);
    atomicAdd(&found[bins.w], 1u);
  }
  workgroupBarrier();
  for (var bin = item; bin < ${BINS}u; bin += ${ITEMS}u) {
    svm_atomic_add_u32(svm_index(args.bins, bin, 4u), atomicLoad(&found[bin]));
  }
}`

export const histogramGlobal: Workload = {
  name: 'histogram-global',
  about: 'every sample of a stream is an atomic add to one of 256 counters: one hot page that all workgroups write',
  make: (bytes) => make(bytes, GLOBAL),
}

export const histogramLocal: Workload = {
  name: 'histogram-local',
  about: 'the same counted in workgroup memory, then added to the shared bins: a stream, and one burst of atomics for each workgroup',
  make: (bytes) => make(bytes, LOCAL),
}

function make(bytes: number, code: string): Problem {
  const groups = Math.ceil(bytes / (ITEMS * VECTORS * 16))
  const samples = skewed(groups * ITEMS * VECTORS * 4)
  return {
    workingSetBytes: samples.byteLength + BINS * 4,
    inputs: { samples },
    numbers: { groups, bins: BINS },
    exact: true,
    place: (svm) => place(svm, samples, groups, code),
    check({ bins }) {
      const wanted = new Uint32Array(BINS)
      for (const sample of samples) wanted[sample >>> 24] = (wanted[sample >>> 24] as number) + 1
      expectSame('bins', bins, Uint32Array, BINS, (n) => wanted[n] as number)
    },
  }
}

/** Small samples are more frequent, as in pictures and times: the bins are unequally hot. */
function skewed(length: number): Uint32Array<ArrayBuffer> {
  const next = random(16)
  return Uint32Array.from({ length }, () => {
    const both = next()
    return Math.imul(both & 0xffff, both >>> 16)
  })
}

async function place(svm: Svm, samples: Uint32Array, groups: number, code: string): Promise<Placed> {
  const kernel = await svm.createKernel({ code, entryPoint: 'histogram', label: 'histogram' })
  const args = { samples: svm.allocFrom(samples, { label: 'samples' }), bins: svm.alloc(BINS * 4, { label: 'bins' }) }
  return {
    run: async () => [await svm.queue.enqueue(kernel, { args, global: groups * ITEMS }).done],
    reset: () => svm.write(args.bins, new Uint32Array(BINS)),
    results: async () => ({ bins: await svm.read(args.bins, BINS * 4) }),
    free: () => svm.queue.free(Object.values(args)).done,
  }
}
