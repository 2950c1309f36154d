// How a device's bytes are divided. Always: the parts add up to at most the budget, so that it is never exceeded whatever is in use.
//
//   [ frames: pools ............................ ][ ring: read-backs ][ bounce ][ reserve: page table, control, faults, arguments ]

import { POOL_BYTES_MAX, POOL_HEAD_BYTES } from '../abi/pool.ts'
import { POOLS_MAX } from '../abi/pte.ts'
import { SHADOW_ENTRIES_MIN, shadowBytesOf, shadowEntriesIn } from '../abi/shadow.ts'
import { SvmError } from '../base/error.ts'
import { type Bytes, KIB, MIB, printBytes } from '../base/units.ts'
import type { DeviceLimits } from '../device/device.ts'

/** Storage bindings that the runtime takes for itself: page table, faults, control. */
export const RUNTIME_BINDINGS = 3
const FRAMES_MIN = 8
const RESERVE_MIN = 256 * KIB
const RING_SMALL = 128 * KIB
const SLOT_MAX = 4 * MIB
const WINDOW_MAX = 65_536
const SHADOW_MIN = shadowBytesOf(SHADOW_ENTRIES_MIN)

export interface MemoryPlan {
  readonly budgetBytes: Bytes
  readonly reserveBytes: Bytes
  /** Of the reserve, and for nothing else: the most that `debug` keeps of the accesses of a dispatch. 0 without it. */
  readonly shadowBytes: Bytes
  readonly slotBytes: Bytes
  readonly ringBytes: Bytes
  readonly bouncePages: number
  readonly poolCount: number
  /** Frames of each pool; the last may have fewer. */
  readonly poolFrames: number
  readonly frames: number
  /** Workgroups that one pass may hold. */
  readonly windowMax: number
}

/** The smallest budget that works with this page size. */
export function budgetMin(pageBytes: Bytes, debug = false): Bytes {
  return RESERVE_MIN + (debug ? SHADOW_MIN : 0) + RING_SMALL + (FRAMES_MIN + 2) * pageBytes + POOL_HEAD_BYTES
}

/** Half of what the device could bind, as a start. */
export function budgetDefault(limits: DeviceLimits, authorStorageBuffers: number): Bytes {
  const pools = poolsMax(limits, authorStorageBuffers)
  return Math.floor(Math.min(limits.bufferBytes, pools * limits.bufferBytes) / 2)
}

/** @throws SvmError invalid-value, when the budget or the device is too small */
export function planMemory(wish: {
  budgetBytes: Bytes
  pageBytes: Bytes
  limits: DeviceLimits
  authorStorageBuffers: number
  addressBits?: 32 | 64
  pools?: number | undefined
  debug?: boolean
}): MemoryPlan {
  const { budgetBytes, pageBytes, limits, addressBits = 32, debug = false } = wish
  const least = budgetMin(pageBytes, debug)
  if (budgetBytes < least) {
    throw new SvmError(
      'invalid-value',
      `deviceMemory is ${printBytes(budgetBytes)}, but pages of ${printBytes(pageBytes)} need at least ${printBytes(least)} (${least} bytes). Give more device memory, or choose smaller pages.`,
    )
  }
  const most = poolsMax(limits, wish.authorStorageBuffers)
  // Small budgets keep more of themselves for tables, since what is mapped may be much larger: an eighth, which tells of 5000 pages for each MiB of budget. In a
  // 64-bit space a page that lies far from all others takes the entries of a whole leaf.
  const reserveWanted = Math.min(Math.max(MIB, Math.floor(budgetBytes / 16)), 64 * MIB, addressBits === 32 ? Math.floor(budgetBytes / 8) : budgetBytes)
  // An entry is twelve times the word that it watches: the shadow is never complete for all that fits the rest, however it is divided.
  const shadowBytes = debug ? shadowBytesOf(shadowEntriesIn(Math.max(SHADOW_MIN, Math.min((budgetBytes - least) / 4, limits.bufferBytes / 2)))) : 0
  const tableBytes = Math.max(RESERVE_MIN, Math.min(reserveWanted, Math.floor((budgetBytes - least) / 3)))
  const reserveBytes = tableBytes + shadowBytes
  const slotBytes = Math.min(SLOT_MAX, Math.max(pageBytes, Math.floor(budgetBytes / 64 / pageBytes) * pageBytes))
  const ringBytes = RING_SMALL + slotBytes * (budgetBytes >= 64 * MIB ? 4 : budgetBytes >= 16 * MIB ? 2 : 1)
  const bouncePages = Math.max(1, Math.floor(Math.min(2 * MIB, budgetBytes / 64) / pageBytes))
  const poolBytesMax = Math.min(limits.bufferBytes, POOL_BYTES_MAX) - POOL_HEAD_BYTES
  const spare = budgetBytes - reserveBytes - ringBytes - bouncePages * pageBytes
  // How many pools, by what there would be without their heads.
  const bare = Math.min(Math.floor(spare / pageBytes), Math.floor(poolBytesMax / pageBytes) * most)
  // Their heads must leave the least that works.
  const fits = Math.max(1, Math.floor((spare - FRAMES_MIN * pageBytes) / POOL_HEAD_BYTES))
  const wanted = wish.pools !== undefined ? Math.min(wish.pools, bare, fits) : bare * pageBytes <= 32 * MIB ? 1 : bare * pageBytes <= 128 * MIB ? 2 : 4
  const poolCount = Math.min(most, Math.max(wanted, Math.ceil((bare * pageBytes) / poolBytesMax)))
  const frames = Math.min(Math.floor((spare - poolCount * POOL_HEAD_BYTES) / pageBytes), Math.floor(poolBytesMax / pageBytes) * poolCount)
  const windowMax = Math.min(WINDOW_MAX, 2 ** Math.floor(Math.log2(tableBytes / 32)))
  return { budgetBytes, reserveBytes, shadowBytes, slotBytes, ringBytes, bouncePages, poolCount, poolFrames: Math.ceil(frames / poolCount), frames, windowMax }
}

function poolsMax(limits: DeviceLimits, authorStorageBuffers: number): number {
  const pools = Math.min(POOLS_MAX, limits.storageBuffers - RUNTIME_BINDINGS - authorStorageBuffers)
  // Modules declare 1, 2, 4 or 8 pools.
  const usable = pools < 1 ? 0 : 2 ** Math.floor(Math.log2(pools))
  if (usable < 1) {
    throw new SvmError(
      'invalid-value',
      `This device binds ${limits.storageBuffers} storage buffers per stage; ${RUNTIME_BINDINGS} for the runtime, ${authorStorageBuffers} for the author and at least one pool are needed. Ask for more (svmDeviceDescriptor) or lower authorStorageBuffers.`,
    )
  }
  return usable
}
