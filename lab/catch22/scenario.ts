// The scenario of the seed thread, run once with one way to migrate. Always: of N anonymous pages with data, K are made resident and mapped by the
// library's own migrate; the first call takes the other N - K, the second the K again, then a kernel reads all. What is returned was looked at: entries
// before and after, faults in the kernel's own invocations; after a crash nothing more is run, and what was not seen is null.

import { PTE, PTE_FLAGS_MASK } from '../../src/abi/pte.ts'
import type { VpnRange } from '../../src/base/units.ts'
import type { Context } from '../../src/cl/context.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { openSvm } from '../../src/open.ts'
import { type KernelTwin, simDevice } from '../../src/sim.ts'
import type { Svm } from '../../src/types.ts'
import { HostCrash } from './driver.ts'

const PAGE_BYTES = 4096
const PAGE_WORDS = PAGE_BYTES / 4
const TABLES_BYTES = 4 * 2 ** 20

export interface Sizes {
  /** N. */
  readonly pages: number
  /** K. */
  readonly resident: number
}

export interface Observation {
  /** Pages that the first call moved. */
  readonly firstMoved: number
  /** Entries of the K pages that named a frame before the second call and do not name it after (or when it crashed). */
  readonly mappingsLost: number
  /** Faults of the kernel on the K pages; null: it was not run. */
  readonly refaults: number | null
  /** A device page was handed to the host's DMA map. */
  readonly crash: boolean
  /** The kernel read what the host had written. */
  readonly intact: boolean | null
}

/** One way to migrate a range. Returns the pages that moved. @throws HostCrash */
export type Migrate = (space: { svm: Svm; mirror: Mirror }, range: VpnRange) => Promise<number>

const CODE = `
struct Args { data: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn read_all(@builtin(global_invocation_id) id: vec3u) {
  svm_store_u32(args.data, svm_load_u32(svm_index(args.data, id.x, ${PAGE_BYTES}u)));
}`

export async function observe(sizes: Sizes, migrate: Migrate): Promise<Observation> {
  const { pages, resident } = sizes
  const deviceMemory = 2 * (pages + 64) * PAGE_BYTES + TABLES_BYTES
  const svm = await openSvm({ device: simDevice({ bufferBytes: deviceMemory }), pageSize: PAGE_BYTES, deviceMemory })
  try {
    const { mirrors } = (svm as Context).port as LocalPort
    const mirror = mirrors[0] as Mirror
    const data = svm.allocFrom(Uint32Array.from({ length: pages * PAGE_WORDS }, (_, i) => i + 1))
    // What follows goes below the order of commands, so nothing may be under way: a read comes after all that was asked for.
    await svm.read(data, 4)
    if (resident > 0) await svm.queue.migrate({ pointer: data, byteLength: resident * PAGE_BYTES }).done
    const start = data / PAGE_BYTES
    const firstMoved = await migrate({ svm, mirror }, { start: start + resident, end: start + pages })
    const before = entriesOf(mirror, start, resident)
    const crash = await crashes(() => migrate({ svm, mirror }, { start, end: start + resident }))
    const after = entriesOf(mirror, start, resident)
    const mappingsLost = before.filter((entry, i) => entry >= 0 && entry !== after[i]).length
    const seen = crash ? { refaults: null, intact: null } : await readAll(svm, data, sizes)
    return { firstMoved, mappingsLost, ...seen, crash }
  } finally {
    await svm.close()
  }
}

/** True when the machine would be down now. */
async function crashes(body: () => Promise<unknown>): Promise<boolean> {
  try {
    await body()
    return false
  } catch (failure) {
    if (failure instanceof HostCrash) return true
    throw failure
  }
}

/** For each page, the frame that the device may load it from; -1: none. */
function entriesOf(mirror: Mirror, start: number, pages: number): number[] {
  return Array.from({ length: pages }, (_, i) => {
    const entry = mirror.vmm.get(start + i)
    return (entry & PTE.load) === 0 ? -1 : (entry & ~PTE_FLAGS_MASK) >>> 0
  })
}

/** The kernel counts by itself: an invocation knows whether it has faulted. */
async function readAll(svm: Svm, data: number, { pages, resident }: Sizes): Promise<{ refaults: number; intact: boolean }> {
  let refaults = 0
  const seen = new Array<number>(pages).fill(0)
  const twin: KernelTwin = (item, args, memory) => {
    const page = item.globalId[0]
    const value = memory.loadU32((args.data as number) + page * PAGE_BYTES)
    if (!memory.faulted()) seen[page] = value
    else if (page < resident) refaults++
  }
  const kernel = await svm.createKernel({ code: CODE, entryPoint: 'read_all', twin })
  await svm.queue.enqueue(kernel, { args: { data }, global: pages }).done
  return { refaults, intact: seen.every((value, page) => value === page * PAGE_WORDS + 1) }
}
