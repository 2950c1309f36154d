// The test driver of HMM, over the public API. Compare lib/test_hmm.c and the helpers of hmm-tests.c.
//
// Always: the device's table is this library's own, and what the driver's ioctls do with it a kernel does: READ and WRITE copy between the range and
// a bounce buffer that is on the device already, so what faults is the range; `faults` counts passes that faulted, as the original counts rounds and
// not pages; `cpages` is counted by the kernel itself. As in the original, a call that fails leaves cpages and faults alone.

import type { Svm, SvmErrorCode, SvmKernel, SvmQueue } from '../../src/index.ts'
import type { KernelTwin } from '../../src/sim.ts'
import { elements, equal, errorOf } from '../check.ts'
import type { Opened, OpenOptions, TestContext } from '../suite.ts'

/** Bytes that one work-item copies: the smallest page. */
const CHUNK = 4096
/** 1024 pages of 4 KiB. */
export const BUFFER_BYTES = 1024 * CHUNK
export const NTIMES = 10
/** Bytes of what stands for a huge page: a space whose pages are so large. */
export const PMD_BYTES = 2 * 1024 * 1024

/** Bytes of a snapshot, one a page. Compare test_hmm_uapi.h. WRITE implies readable. */
export const PROT = { error: 0xff, none: 0, read: 1, write: 2, pmd: 4, zero: 0x10, devicePrivateLocal: 0x20 } as const

const COPY = `
struct Args { source: svm_ptr, destination: svm_ptr, copied: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn copy_pages(@builtin(global_invocation_id) id: vec3u) {
  let source = svm_index(args.source, id.x, ${CHUNK}u);
  let to = svm_index(args.destination, id.x, ${CHUNK}u);
  for (var i = 0u; i < ${CHUNK}u; i += 16u) { svm_store_vec4_u32(svm_add(to, i), svm_load_vec4_u32(svm_add(source, i))); }
  svm_atomic_add_u32(args.copied, 1u);
}`

const copyTwin: KernelTwin = ({ globalId: [item] }, { source, destination, copied }, memory) => {
  for (let i = item * CHUNK; i < (item + 1) * CHUNK && !memory.faulted(); i += 16) memory.storeVec4U32(destination + i, memory.loadVec4U32(source + i))
  memory.silentAtomicAddU32(copied, 1)
}

/** Adds nothing to a word of each page by an atomic: the device takes the page for itself. */
const EXCLUSIVE = `
struct Args { pages: svm_ptr, page_bytes: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn take(@builtin(global_invocation_id) id: vec3u) { svm_atomic_add_u32(svm_index(args.pages, id.x, args.page_bytes), 0u); }`

const exclusiveTwin: KernelTwin = ({ globalId: [item] }, { pages, page_bytes }, memory) => memory.silentAtomicAddU32(pages + item * page_bytes, 0)

/** What an ioctl says: 0 or the code of the error, and on success the counts. */
export interface Reply {
  readonly ret: 0 | SvmErrorCode | 'ENOENT'
  readonly cpages: number
  readonly faults: number
  /** What the mirror has. */
  readonly data: Uint32Array
}

/** Memory under test. */
export interface HmmBuffer {
  readonly pointer: number
  readonly npages: number
  readonly byteLength: number
  readonly words: number
}

interface Kernels {
  /** Reaches its arguments only: what else is mapped does not make it fault. */
  readonly readBack: SvmKernel
  readonly take: SvmKernel
}

/** One open device file. */
export class DMirror {
  readonly svm: Svm
  readonly queue: SvmQueue
  readonly unit: number
  readonly pageSize: number
  readonly #opened: Opened
  readonly #kernels: Kernels
  /** Words that calls count in, one each. */
  readonly #counters: number
  #calls = 0
  #bounce = { pointer: 0, byteLength: 0 }

  private constructor(opened: Opened, unit: number, kernels: Kernels) {
    this.svm = opened.svm
    this.#opened = opened
    this.unit = unit
    this.pageSize = opened.svm.pageSize
    this.queue = opened.svm.createQueue({ device: opened.svm.devices[unit] })
    this.#kernels = kernels
    this.#counters = opened.svm.alloc(CHUNK)
  }

  /** One for each device of a new space. Compare FIXTURE_SETUP(hmm) and (hmm2). */
  static async open(t: TestContext, options: OpenOptions = {}): Promise<DMirror[]> {
    const opened = await t.open(options)
    const readBack = await makeCopy(opened.svm, 'arguments')
    const take = await opened.svm.createKernel({ code: EXCLUSIVE, entryPoint: 'take', twin: exclusiveTwin })
    return opened.svm.devices.map((_, unit) => new DMirror(opened, unit, { readBack, take }))
  }

  /** Compare mmap(PRIVATE | ANONYMOUS). */
  buffer(byteLength = BUFFER_BYTES): HmmBuffer {
    return this.#bufferAt(this.svm.alloc(byteLength), byteLength)
  }

  /** A mapping of something that is read when it is wanted. */
  async file(pager: { readonly size: number; read(offset: number, into: Uint8Array): Promise<number> }): Promise<HmmBuffer> {
    return this.#bufferAt(await this.svm.mmap(pager), pager.size)
  }

  /** Word i of the buffer becomes f(i), by the host. */
  async fill(buffer: HmmBuffer, f: (i: number) => number = (i) => i): Promise<void> {
    await this.svm.write(buffer.pointer, words(buffer.words, f))
  }

  /** What the host reads. */
  look(buffer: HmmBuffer, length = buffer.words, first = 0): Promise<Uint32Array> {
    return this.svm.read(buffer.pointer + first * 4, Uint32Array, length)
  }

  /** HMM_DMIRROR_READ. `before` is what the mirror has when the call begins. */
  async read({ pointer, byteLength }: Pick<HmmBuffer, 'pointer' | 'byteLength'>, before?: Uint32Array): Promise<Reply> {
    const bounce = await this.#prepare(byteLength, before)
    const reply = await this.#copy(pointer, bounce, byteLength, await makeCopy(this.svm))
    return { ...reply, data: await this.svm.read(bounce, Uint32Array, byteLength / 4) }
  }

  /** HMM_DMIRROR_WRITE. */
  async write({ pointer, byteLength }: Pick<HmmBuffer, 'pointer' | 'byteLength'>, data: Uint32Array): Promise<Reply> {
    const bounce = await this.#prepare(byteLength, data)
    return { ...(await this.#copy(bounce, pointer, byteLength, await makeCopy(this.svm))), data }
  }

  /**
   * HMM_DMIRROR_MIGRATE_TO_DEV: migrates, then reads the range back through the device's table, which must have all of it. A kernel's reach holds
   * whole allocations, so of a part of one only the bytes and places tell that its entries are there.
   */
  async migrateToDevice({ pointer, byteLength }: Pick<HmmBuffer, 'pointer' | 'byteLength'>, before?: Uint32Array, isPart = false): Promise<Reply> {
    const bounce = await this.#prepare(byteLength, before)
    const none = { cpages: 0, faults: 0, data: new Uint32Array(0) }
    const error = await errorOf(() => this.queue.migrate({ pointer, byteLength }).done)
    if (error !== null) return { ret: error.code, ...none }
    const device = this.svm.devices[this.unit]
    if (this.svm.residency(pointer, byteLength).some((run) => run.where !== 'device' || run.device !== device)) return { ret: 'ENOENT', ...none }
    const reply = await this.#copy(pointer, bounce, byteLength, this.#kernels.readBack)
    if (reply.ret !== 0) return reply
    // No fault was possible: the entries of all pages were there, those of pages that had not moved too.
    if (reply.variant === 'attempt' && !isPart) return { ret: 'ENOENT', ...none }
    return { ...reply, data: await this.svm.read(bounce, Uint32Array, byteLength / 4) }
  }

  /** HMM_DMIRROR_MIGRATE_TO_SYS: cpages are the pages that moved. */
  async migrateToSystem({ pointer, byteLength }: HmmBuffer): Promise<{ ret: Reply['ret']; cpages: number }> {
    let cpages = 0
    const error = await errorOf(async () => {
      cpages = (await this.queue.migrate({ pointer, byteLength }, { to: 'host' }).done).moved
    })
    return { ret: error?.code ?? 0, cpages }
  }

  /** HMM_DMIRROR_SNAPSHOT: what is where, with nothing faulted in; one byte of PROT a page. */
  snapshot(pointer: number, npages: number): number[] {
    const { mappings, pages } = this.svm.snapshot()
    return Array.from({ length: npages }, (_, i) => {
      const at = pointer + i * this.pageSize
      const mapping = mappings.find((one) => at >= one.pointer && at < one.pointer + one.byteLength)
      const run = pages.find((one) => at >= one.pointer && at < one.pointer + one.pages * this.pageSize)
      if (mapping === undefined || run === undefined || mapping.access === 'none') return PROT.error
      const size = this.pageSize === PMD_BYTES ? PROT.pmd : 0
      const writable = mapping.access === 'read-write' ? PROT.write : PROT.read
      const inMemory = / in memory (\d+)$/.exec(run.state)
      if (inMemory !== null) return Number(inMemory[1]) === this.unit ? PROT.devicePrivateLocal | writable | size : PROT.none
      if (run.state === 'none') return PROT.none
      return run.state === 'zero' ? PROT.zero | PROT.read | size : writable | size
    })
  }

  /** HMM_DMIRROR_EXCLUSIVE: atomics of the device on every page; then read back. */
  async exclusive(buffer: HmmBuffer): Promise<Reply> {
    const args = { pages: buffer.pointer, page_bytes: this.pageSize }
    const error = await errorOf(() => this.queue.enqueue(this.#kernels.take, { args, global: buffer.npages }).done)
    return error === null ? this.read(buffer) : { ret: error.code, cpages: 0, faults: 0, data: new Uint32Array(0) }
  }

  /** HMM_DMIRROR_CHECK_EXCLUSIVE, page by page: how many the device may still use atomics on. */
  exclusivePages({ pointer, byteLength }: HmmBuffer): number {
    const device = this.svm.devices[this.unit]
    const runs = this.svm.residency(pointer, byteLength).filter((run) => run.where === 'device' && run.device === device)
    return runs.reduce((bytes, run) => bytes + run.byteLength, 0) / this.pageSize
  }

  #bufferAt(pointer: number, byteLength: number): HmmBuffer {
    return { pointer, byteLength, npages: byteLength / this.pageSize, words: byteLength / 4 }
  }

  /** The bounce buffer and the counters, on the device. */
  async #prepare(byteLength: number, data?: Uint32Array): Promise<number> {
    if (this.#bounce.byteLength < byteLength) {
      this.svm.free(this.#bounce.pointer)
      this.#bounce = { pointer: this.svm.alloc(byteLength), byteLength }
    }
    const { pointer } = this.#bounce
    if (data !== undefined) await this.svm.write(pointer, data)
    await this.queue.migrate({ pointer }, { contentUndefined: data === undefined }).done
    await this.queue.migrate({ pointer: this.#counters }).done
    return pointer
  }

  async #copy(source: number, destination: number, byteLength: number, kernel: SvmKernel): Promise<Reply & { variant?: string }> {
    const seen = this.#opened.events.length
    const copied = this.#counters + 4 * this.#calls++
    const args = { source, destination, copied }
    let variant = ''
    const error = await errorOf(async () => {
      variant = (await this.queue.enqueue(kernel, { args, global: byteLength / CHUNK }).done).variant
    })
    if (error !== null) return { ret: error.code, cpages: 0, faults: 0, data: new Uint32Array(0) }
    const faults = this.#opened.events.slice(seen).filter((event) => event.kind === 'pass' && event.faults > 0).length
    const [chunks] = await this.svm.read(copied, Uint32Array, 1)
    return { ret: 0, cpages: ((chunks as number) * CHUNK) / this.pageSize, faults, data: new Uint32Array(0), variant }
  }
}

/** READ and WRITE run a kernel that has no history: what an earlier one needed would be served in advance, and its time would divide the launch. */
function makeCopy(svm: Svm, reach: 'any' | 'arguments' = 'any'): Promise<SvmKernel> {
  return svm.createKernel({ code: COPY, entryPoint: 'copy_pages', reach, twin: copyTwin })
}

export function words(length: number, f: (i: number) => number = (i) => i): Uint32Array<ArrayBuffer> {
  const filled = new Uint32Array(length)
  for (let i = 0; i < length; i++) filled[i] = f(i)
  return filled
}

/** The asserts that most tests make of a reply: ret 0, cpages == npages, and word i of the mirror is f(i). */
export function expectAll(reply: Reply, buffer: Pick<HmmBuffer, 'npages'>, what: string, f: (i: number) => number = (i) => i): void {
  equal(reply.ret, 0, `${what}: ret`)
  equal(reply.cpages, buffer.npages, `${what}: cpages`)
  elements(reply.data, (i) => f(i) >>> 0, `${what}: mirror`)
}
