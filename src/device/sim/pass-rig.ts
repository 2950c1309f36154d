// For tests: one pass of a twin over a hand-made table of six pages, and what it left in the fault buffer. Always: everything is zero
// before the pass but what the setup names.

import {
  CONTROL,
  CONTROL_HEADER_WORDS,
  CONTROL_MODE,
  EXAMPLE_WORDS,
  EXAMPLES,
  FAULT,
  type FaultLayout,
  faultLayout,
  missWords,
  recordedAddress,
  SLOT_GROUPS,
  slotGroupsOf,
  WANTED_WORDS,
} from '../../abi/fault-record.ts'
import { SPACE_BYTES } from '../../abi/geometry.ts'
import { BUCKET_WORDS, directoryBuckets, LEAF_PAGES, leafHash, leafKey, MISS_WORDS } from '../../abi/leaf.ts'
import { POOL_HEAD_WORDS } from '../../abi/pool.ts'
import { makePte, PTE } from '../../abi/pte.ts'
import { Random } from '../../base/world.ts'
import type { ProgramDescriptor } from '../device.ts'
import type { KernelTwin } from '../twin.ts'
import { runTwins } from './sim-dispatch.ts'

// Pages of 4 KiB. Page k (0 is the topmost) has table index k and frame k of pool 0:
//   index   0       1       2    ...  PAGES - 1   PAGES
//   entry [ top ] [ next ] [    ]     [       ]   [ 0: everything else ]
// In a 64-bit space the six are the last pages of its last leaf, which lies in slot 1.
export const PAGES = 6
export const PAGE_BYTES = 4096
export const FRAME_WORDS = PAGE_BYTES / 4
export const MAY = PTE.mayLoad | PTE.mayStore
export const R = PTE.load | MAY
export const W = PTE.store | MAY
export const P = PTE.load | PTE.store | PTE.exclusive | PTE.private | MAY
export const ALL = PTE.load | PTE.store | PTE.exclusive

export const addressOf = (index: number, word = 0, bits: 32 | 64 = 32): number => SPACE_BYTES[bits] - (index + 1) * PAGE_BYTES + word * 4

export interface Setup {
  twin: KernelTwin
  /** Flags of the table's entries, by index. */
  table?: number[]
  /** Flags of the grants; 0 or missing: no grant, so that an attempt has what the table says for loads only. */
  grants?: number[]
  variant?: 'attempt' | 'resident'
  slots?: number
  groups?: [number, number, number]
  workgroups?: [number, number, number]
  global?: [number, number, number]
  offset?: [number, number, number]
  size?: [number, number, number]
  worklist?: number[]
  firstWorkgroup?: number
  fuel?: number
  guard?: boolean
  startTainted?: boolean
  marks?: boolean
  seed?: number
  addressBits?: 32 | 64
}

export function pass(setup: Setup) {
  const slots = setup.slots ?? 1
  const bits = setup.addressBits ?? 32
  const wide = bits === 64
  const entries = wide ? 2 * LEAF_PAGES : PAGES + 1
  const indexOf = (page: number) => (wide ? entries - 1 - page : page)
  const layout = faultLayout(slots, entries, bits)
  const entry = (flags: number | undefined, index: number) =>
    flags === undefined || flags === 0 ? 0 : (flags & ALL) === 0 ? flags : makePte(0, index * FRAME_WORDS, flags, addressOf(index, 0, bits))
  const buckets = directoryBuckets(2)
  const table = new Uint32Array(entries + (wide ? buckets * BUCKET_WORDS : 0))
  const key = leafKey(addressOf(0, 0, 64) / PAGE_BYTES)
  if (wide) table.set([key, LEAF_PAGES], entries + (leafHash(key) & (buckets - 1)) * BUCKET_WORDS)
  const control = new Uint32Array(CONTROL_HEADER_WORDS + slots)
  for (let i = 0; i < PAGES; i++) {
    const base = entry(setup.table?.[i], i)
    table[indexOf(i)] = setup.variant === 'resident' ? base : entry(setup.grants?.[i], i) || base & ~(PTE.store | PTE.exclusive)
  }
  control.set([setup.worklist === undefined ? 0 : CONTROL_MODE.worklist, slots, setup.firstWorkgroup ?? 0])
  control.set([...(setup.workgroups ?? [slots, 1, 1]), ...(setup.global ?? [0, 0, 0]), ...(setup.offset ?? [0, 0, 0]), setup.fuel ?? 0], CONTROL.workgroupsX)
  control.set([CONTROL_HEADER_WORDS, layout.workgroupWords, layout.pageWords, entries, buckets - 1], CONTROL.worklist)
  control[CONTROL.records] = layout.records
  control[CONTROL.slotGroups] = slotGroupsOf(slots)
  control.set(setup.worklist ?? [], CONTROL_HEADER_WORDS)
  const faults = new Uint32Array(layout.endWords)
  const pool = new Uint32Array(POOL_HEAD_WORDS + PAGES * FRAME_WORDS)
  const descriptor = {
    label: 'k',
    variant: setup.variant ?? 'attempt',
    workgroupSize: setup.size ?? [1, 1, 1],
    guard: setup.guard ?? false,
    startTainted: setup.startTainted ?? false,
    marks: setup.marks ?? true,
    pageShift: 12,
    addressBits: bits,
  } as unknown as ProgramDescriptor
  const launch = {
    descriptor,
    twin: setup.twin,
    buffers: { table, faults, control, pools: [pool] },
    groups: setup.groups ?? ([slots, 1, 1] as const),
    args: {},
  }
  return {
    pool,
    faults,
    run: () => runTwins(launch, new Random(setup.seed ?? 1)),
    ...wordsOf(pool),
    ...reportOf(faults, layout, { slots, entries, bits, indexOf }),
  }
}

function wordsOf(pool: Uint32Array) {
  return {
    word: (index: number, word = 0) => pool[POOL_HEAD_WORDS + index * FRAME_WORDS + word],
    setWord: (index: number, word: number, value: number) => {
      pool[POOL_HEAD_WORDS + index * FRAME_WORDS + word] = value
    },
  }
}

interface ReportOf {
  readonly slots: number
  readonly entries: number
  readonly bits: 32 | 64
  readonly indexOf: (page: number) => number
}

function reportOf(faults: Uint32Array, layout: FaultLayout, { slots, entries, bits, indexOf }: ReportOf) {
  const set = (start: number, words: number, end: number) =>
    Array.from({ length: end }, (_, i) => i).filter((i) => (faults[start + (i >>> 5)] >>> (i & 31)) & (words > 0 ? 1 : 0))
  return {
    pages: (bitmap: number) => set(layout.pageBitmaps + bitmap * layout.pageWords, layout.pageWords, entries).map(indexOf),
    groups: (bitmap: number) => set(layout.workgroupBitmaps + bitmap * layout.workgroupWords, layout.workgroupWords, slots),
    /** Groups of slots that used a page, or would. */
    users: (page: number) => set(layout.wanted + WANTED_WORDS * indexOf(page), 1, SLOT_GROUPS),
    /** Where no fault is possible: the kind of a bad access, and their addresses by slot. */
    bad: () => ({
      kind: faults[FAULT.badKind],
      unforeseen: faults[FAULT.unforeseen] !== 0,
      addresses: Array.from({ length: slots }, (_, slot) => recordedAddress(faults.subarray(layout.records), slot, bits)),
    }),
    /** Examples of faults: page, need, slot. */
    examples: () =>
      Array.from({ length: Math.min(EXAMPLES, faults[FAULT.exampleCount]) }, (_, n) => {
        const [low, high, need, slot] = faults.subarray(FAULT.examples + EXAMPLE_WORDS * n)
        return { address: high * 2 ** 32 + low, need, slot }
      }),
    /** The records of leaves without an entry, raw. */
    misses: () =>
      Array.from({ length: missWords(bits) / MISS_WORDS }, (_, n) =>
        Array.from(faults.subarray(layout.misses + n * MISS_WORDS, layout.misses + (n + 1) * MISS_WORDS)),
      ).filter(([key]) => key !== 0),
  }
}

export type Ran = ReturnType<typeof pass>

export function ran(setup: Setup): Ran {
  const made = pass(setup)
  made.run()
  return made
}
