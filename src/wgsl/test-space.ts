// A space built by hand for the tests of the runtime's WGSL: a table of nine 4 KiB pages at the top of the address space, pools, control, faults.
//
// Always: page i begins at `pageAt(i)`, below page i - 1; the last of them stays unmapped. One run is one dispatch on the software GPU.
// In a 64-bit space pages 0 to 3 are the first of one leaf and the others the last of the leaf below it: the low word of an address carries between.

import {
  BAD_KIND_SHIFT,
  CONTROL,
  CONTROL_HEADER_WORDS,
  CONTROL_MODE,
  EXAMPLE_WORDS,
  EXAMPLES,
  FAULT,
  faultLayout,
  NEED_MISALIGNED,
  PAGE_BITMAP,
  recordedAddress,
  slotGroupsOf,
  WANTED_WORDS,
  WORKGROUP_BITMAP,
} from '../abi/fault-record.ts'
import { SPACE_BYTES } from '../abi/geometry.ts'
import {
  BUCKET_WORDS,
  directoryBuckets,
  firstPageOfLeaf,
  LEAF_PAGES,
  leafHash,
  leafKey,
  MISS,
  MISS_KIND_SHIFT,
  MISS_OFFSET_MASK,
  MISS_WANTS,
  MISS_WORDS,
} from '../abi/leaf.ts'
import { POOL_HEAD_WORDS } from '../abi/pool.ts'
import { makePte, PTE } from '../abi/pte.ts'
import { setBit } from '../base/bitmap.ts'
import type { ProgramDescriptor, ProgramVariant } from '../device/device.ts'
import { type KernelArgument, packArguments } from './args.ts'
import type { LoopGuards } from './program.ts'
import { groupLayout, pipelineOf } from './test-gpu.ts'
import { translateKernel } from './translate.ts'

type AddressBits = 32 | 64

const PAGE_SHIFT = 12
const PAGE_WORDS = 1024
const PAGES = 9
const FRAMES = 8
const POOL_WORDS = POOL_HEAD_WORDS + FRAMES * PAGE_WORDS

const TOP = { 32: 2 ** 32, 64: 0x25_0000_4000 } as const
const ENTRIES = { 32: PAGES, 64: 3 * LEAF_PAGES } as const
/** The upper leaf is in slot 2, the lower in slot 1. */
const UPPER_KEY = leafKey((TOP[64] - 4096) / 4096)

export const pageAt = (page: number, bits: AddressBits = 32): number => TOP[bits] - (page + 1) * 4096

/** Where the page's entry is in the table. */
function indexOf(page: number, bits: AddressBits): number {
  if (bits === 32) return page
  const vpn = pageAt(page, 64) / 4096
  return (leafKey(vpn) === UPPER_KEY ? 2 : 1) * LEAF_PAGES + (vpn % LEAF_PAGES)
}

function directory(): Uint32Array {
  const buckets = directoryBuckets(3)
  const words = new Uint32Array(buckets * BUCKET_WORDS)
  for (const [key, slot] of [
    [UPPER_KEY - 1, 1],
    [UPPER_KEY, 2],
  ] as const) {
    let at = leafHash(key) & (buckets - 1)
    while (words[at * BUCKET_WORDS] !== 0) at = (at + 1) & (buckets - 1)
    words.set([key, slot * LEAF_PAGES], at * BUCKET_WORDS)
  }
  return words
}

/** An access to a page without an entry, as its leaf's record has it. */
export interface Miss {
  readonly key: number
  /** Page numbers by kind, in the order of PAGE_BITMAP. */
  readonly wants: readonly number[]
  readonly access: { readonly address: number; readonly kind: number; readonly slot: number } | null
}

export interface Launch {
  readonly code: string
  /** Those of launches before. */
  readonly pipelines?: Pipelines
  readonly args?: Record<string, KernelArgument>
  readonly variant?: 'attempt' | 'resident' | 'direct'
  /** Of the direct variant: where it lies, in words from its start where nothing else is said. */
  readonly window?: {
    readonly address: number
    readonly words: number
    readonly frame: number
    readonly writable: readonly [from: number, words: number]
    readonly dirty: readonly [from: number, words: number]
  }
  readonly pools?: 1 | 2 | 4 | 8
  readonly guard?: boolean
  readonly loopGuards?: LoopGuards
  /** Workgroups as dispatched. */
  readonly groups?: readonly [number, number, number]
  readonly slots?: number
  readonly first?: number
  readonly worklist?: readonly number[]
  /** Workgroups of the launch, and its work-items. */
  readonly workgroups?: readonly [number, number, number]
  readonly global?: readonly [number, number, number]
  readonly offset?: readonly [number, number, number]
  readonly fuel?: number
}

/** What a dispatch left in `faults`, and the pools. */
export class Outcome {
  readonly pools: readonly Uint32Array[]
  readonly bad: { address: number; kind: number; slot: number } | null
  readonly fuelOut: number
  readonly #faults: Uint32Array
  readonly #layout: ReturnType<typeof faultLayout>
  readonly #bits: AddressBits

  constructor(faults: Uint32Array, slots: number, pools: readonly Uint32Array[], bits: AddressBits, steady: boolean) {
    this.#faults = faults
    this.#bits = bits
    this.#layout = faultLayout(slots, ENTRIES[bits], bits)
    this.pools = pools
    const word = (index: number) => faults[index] as number
    const address = word(FAULT.badAddress) + word(FAULT.badAddressHigh) * 2 ** 32
    this.bad = word(FAULT.badClaim) === 0 ? null : { address, kind: word(FAULT.badKind), slot: word(FAULT.badSlot) }
    if (steady) this.bad = this.#firstBad(slots)
    this.fuelOut = word(FAULT.fuelOut)
  }

  /** Where no fault is possible: the address of each slot's bad access; null: it had none. */
  refused(slots: number): (number | null)[] {
    return Array.from({ length: slots }, (_, slot) => recordedAddress(this.#faults.subarray(this.#layout.records), slot, this.#bits))
  }

  /** Of the first slot with a record; every slot with one counts as faulted. */
  #firstBad(slots: number): Outcome['bad'] {
    const records = this.#faults.subarray(this.#layout.records)
    const kind = this.#faults[FAULT.badKind] as number
    const need = kind >> BAD_KIND_SHIFT
    const nowhere = SPACE_BYTES[this.#bits] - 1
    const found = Array.from({ length: slots }, (_, slot) => ({ slot, address: recordedAddress(records, slot, this.#bits) ?? -1 })).filter(
      ({ address }) => address >= 0,
    )
    for (const { slot } of found) setBit(this.#faults.subarray(this.#layout.workgroupBitmaps + WORKGROUP_BITMAP.faulted * this.#layout.workgroupWords), slot)
    const [first] = found
    if (first === undefined) return null
    const misaligned = (this.#bits === 32 && first.address === nowhere) || (first.address & (kind & (2 ** BAD_KIND_SHIFT - 1))) !== 0
    return { ...first, kind: need | (misaligned ? NEED_MISALIGNED : 0) }
  }

  /** A page was stored to that was clean, and nobody says which. */
  get unforeseen(): boolean {
    return this.#faults[FAULT.unforeseen] !== 0
  }

  #set(start: number, length: number): number[] {
    const found: number[] = []
    for (let k = 0; k < length * 32; k++) if ((((this.#faults[start + (k >> 5)] as number) >>> (k & 31)) & 1) === 1) found.push(k)
    return found
  }

  /** Pages in a page bitmap. */
  pages(name: keyof typeof PAGE_BITMAP): number[] {
    const indices = this.#set(this.#layout.pageBitmaps + PAGE_BITMAP[name] * this.#layout.pageWords, this.#layout.pageWords)
    const pages = Array.from({ length: PAGES }, (_, page) => indexOf(page, this.#bits))
    return indices.map((index) => pages.indexOf(index)).sort((a, b) => a - b)
  }

  /** The records of leaves without an entry. */
  misses(): Miss[] {
    const found: Miss[] = []
    for (let at = this.#layout.misses; at < this.#layout.wanted; at += MISS_WORDS) {
      const record = this.#faults.subarray(at, at + MISS_WORDS)
      const word = (offset: number) => record[offset] as number
      const key = word(MISS.key)
      if (key === 0) continue
      const access = word(MISS.access)
      const address = firstPageOfLeaf(key) * 4096 + (access & MISS_OFFSET_MASK)
      const claimed = word(MISS.claim) !== 0
      const wants = Array.from(record.subarray(MISS.wants, MISS.wants + MISS_WANTS))
      found.push({ key, wants, access: claimed ? { address, kind: access >>> MISS_KIND_SHIFT, slot: word(MISS.slot) } : null })
    }
    return found
  }

  /** Slots in a workgroup bitmap. */
  workgroups(name: keyof typeof WORKGROUP_BITMAP): number[] {
    return this.#set(this.#layout.workgroupBitmaps + WORKGROUP_BITMAP[name] * this.#layout.workgroupWords, this.#layout.workgroupWords)
  }

  /** Groups of slots that used a page, or would. */
  users(page: number): number[] {
    return this.#set(this.#layout.wanted + WANTED_WORDS * indexOf(page, this.#bits), 2)
  }

  /** Examples of faults: page, need, slot. */
  examples(): { address: number; need: number; slot: number }[] {
    return Array.from({ length: Math.min(EXAMPLES, this.#faults[FAULT.exampleCount] as number) }, (_, n) => {
      const [low, high, need, slot] = this.#faults.subarray(FAULT.examples + EXAMPLE_WORDS * n) as unknown as [number, number, number, number]
      return { address: high * 2 ** 32 + low, need, slot }
    })
  }

  /** Words of a frame. */
  frame(frame: number, pool = 0): Uint32Array {
    return (this.pools[pool] as Uint32Array).subarray(POOL_HEAD_WORDS + frame * PAGE_WORDS, POOL_HEAD_WORDS + (frame + 1) * PAGE_WORDS)
  }

  /** Every bitmap that is not empty, in one object: what a test compares. */
  marks(): Record<string, number[]> {
    const all: Record<string, number[]> = {}
    for (const name of Object.keys(PAGE_BITMAP) as (keyof typeof PAGE_BITMAP)[]) all[`page ${name}`] = this.pages(name)
    for (const name of Object.keys(WORKGROUP_BITMAP) as (keyof typeof WORKGROUP_BITMAP)[]) all[`workgroup ${name}`] = this.workgroups(name)
    return Object.fromEntries(Object.entries(all).filter(([, found]) => found.length > 0))
  }
}

/** Pipelines of texts that come again. */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #made = new Map<string, Promise<GPUComputePipeline>>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  of(program: ProgramDescriptor): Promise<GPUComputePipeline> {
    const pipeline = this.#made.get(program.code) ?? pipelineOf(this.#device, program)
    this.#made.set(program.code, pipeline)
    return pipeline
  }
}

export class TestSpace {
  readonly #device: GPUDevice
  readonly #bits: AddressBits
  readonly #table: Uint32Array
  readonly #grants: Uint32Array
  readonly #pools = Array.from({ length: 8 }, () => new Uint32Array(POOL_WORDS))

  constructor(device: GPUDevice, bits: AddressBits = 32) {
    this.#device = device
    this.#bits = bits
    this.#table = new Uint32Array(ENTRIES[bits])
    this.#grants = new Uint32Array(ENTRIES[bits])
  }

  table(page: number, flags: number, frame = page, pool = 0): this {
    this.#table[indexOf(page, this.#bits)] = makePte(pool, frame * PAGE_WORDS, flags, pageAt(page, this.#bits))
    return this
  }

  grant(page: number, flags: number, frame = page, pool = 0): this {
    this.#grants[indexOf(page, this.#bits)] = makePte(pool, frame * PAGE_WORDS, flags, pageAt(page, this.#bits))
    return this
  }

  fill(frame: number, value: (word: number) => number, pool = 0): this {
    for (let k = 0; k < PAGE_WORDS; k++) (this.#pools[pool] as Uint32Array)[POOL_HEAD_WORDS + frame * PAGE_WORDS + k] = value(k)
    return this
  }

  #control(launch: Launch, slots: number): Uint32Array {
    const worklist = launch.worklist ?? []
    const entries = ENTRIES[this.#bits]
    // A list without a length has one element at least.
    const words = new Uint32Array(CONTROL_HEADER_WORDS + Math.max(1, worklist.length))
    const layout = faultLayout(slots, entries, this.#bits)
    const workgroups = launch.workgroups ?? launch.groups ?? [slots, 1, 1]
    const put = (name: keyof typeof CONTROL, value: number) => {
      words[CONTROL[name]] = value
    }
    put('mode', launch.worklist === undefined ? 0 : CONTROL_MODE.worklist)
    put('slots', slots)
    put('firstWorkgroup', launch.first ?? 0)
    words.set(workgroups, CONTROL.workgroupsX)
    words.set(launch.global ?? [0xffffffff, 0xffffffff, 0xffffffff], CONTROL.globalX)
    words.set(launch.offset ?? [0, 0, 0], CONTROL.offsetX)
    put('fuel', launch.fuel ?? 1_000_000)
    put('records', layout.records)
    put('slotGroups', slotGroupsOf(slots))
    put('worklist', CONTROL_HEADER_WORDS)
    put('workgroupWords', layout.workgroupWords)
    put('pageWords', layout.pageWords)
    put('directory', entries)
    put('directoryMask', directoryBuckets(3) - 1)
    words.set(worklist, CONTROL_HEADER_WORDS)
    if (launch.window === undefined) return words
    const { address, words: length, frame, writable, dirty } = launch.window
    put('windowStart', address)
    put('windowWords', length)
    put('windowPlace', POOL_HEAD_WORDS + frame * PAGE_WORDS)
    words.set(writable, CONTROL.writableFrom)
    words.set(dirty, CONTROL.dirtyFrom)
    return words
  }

  /** An attempt has the grants, and what else the table says for loads only. */
  #tableWords(variant: ProgramVariant): Uint32Array {
    const entries = variant === 'attempt' ? this.#table.map((entry, index) => this.#grants[index] || entry & ~(PTE.store | PTE.exclusive)) : this.#table
    if (this.#bits === 32) return entries
    const found = directory()
    const words = new Uint32Array(entries.length + found.length)
    words.set(entries)
    words.set(found, this.#table.length)
    return words
  }

  #buffer(words: Uint32Array, usage: number): GPUBuffer {
    const buffer = this.#device.createBuffer({ size: Math.max(16, words.byteLength), usage: usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC })
    this.#device.queue.writeBuffer(buffer, 0, words as Uint32Array<ArrayBuffer>)
    return buffer
  }

  async run(launch: Launch): Promise<Outcome> {
    const { variant = 'attempt', pools = 1, guard = false, loopGuards = 'all', groups = [launch.slots ?? 1, 1, 1] } = launch
    const slots = launch.slots ?? groups[0] * groups[1] * groups[2]
    const kernel = translateKernel({ code: launch.code, entryPoint: 'k', label: 'test', addressBits: this.#bits, pageShift: PAGE_SHIFT, constants: {} })
    const program = kernel.variant({ variant, pools, guard, loopGuards })
    const pipeline = await (launch.pipelines ?? new Pipelines(this.#device)).of(program)
    const faults = this.#buffer(new Uint32Array(faultLayout(slots, ENTRIES[this.#bits], this.#bits).endWords), GPUBufferUsage.STORAGE)
    const poolBuffers = this.#pools.slice(0, pools).map((words) => this.#buffer(words, GPUBufferUsage.STORAGE))
    const args = packArguments(kernel.args, launch.args ?? {}, 'test')
    const bindings = [
      { binding: 0, resource: { buffer: this.#buffer(this.#tableWords(variant), GPUBufferUsage.STORAGE) } },
      { binding: 1, resource: { buffer: faults } },
      { binding: 2, resource: { buffer: this.#buffer(this.#control(launch, slots), GPUBufferUsage.STORAGE) } },
      ...(program.hasArguments ? [{ binding: 3, resource: { buffer: this.#buffer(new Uint32Array(args.buffer), GPUBufferUsage.UNIFORM) } }] : []),
      ...poolBuffers.map((buffer, k) => ({ binding: 4 + k, resource: { buffer } })),
    ]
    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(3, this.#device.createBindGroup({ layout: groupLayout(this.#device, program), entries: bindings }))
    pass.dispatchWorkgroups(...groups)
    pass.end()
    const readback = [faults, ...poolBuffers].map((from) => {
      const to = this.#device.createBuffer({ size: from.size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
      encoder.copyBufferToBuffer(from, 0, to, 0, from.size)
      return to
    })
    this.#device.queue.submit([encoder.finish()])
    const [faultWords, ...poolWords] = await Promise.all(readback.map((buffer) => this.#read(buffer)))
    return new Outcome(faultWords as Uint32Array, slots, poolWords, this.#bits, variant !== 'attempt')
  }

  async #read(buffer: GPUBuffer): Promise<Uint32Array> {
    await buffer.mapAsync(GPUMapMode.READ)
    return new Uint32Array(buffer.getMappedRange().slice(0))
  }
}
