// Where a launch reaches, as pages: what reading its text says (wgsl/bounds), and what follows from that for how it runs.
//
// Always: a launch whose reach is known touches no other page, and none otherwise than that says. So when those pages are here with their rights no fault is
// possible, whatever else is missing, and no access need be looked at.

import { PTE, PTE_FLAGS_MASK, ptePool, pteWord } from '../abi/pte.ts'
import { isSameList } from '../base/lists.ts'
import type { Vpn, VpnRange } from '../base/units.ts'
import type { Launch } from './launch.ts'
import { spanOf, type Window } from './remaining.ts'
import type { DirectWindow, Steady } from './steady.ts'
import type { Mirror } from './svmm.ts'

/** Pages that a launch accesses in one way. */
export interface ReachedPart extends VpnRange {
  /** The bit of PTE_RIGHTS that it wants. */
  readonly need: number
  /** Every work-item makes an access of the part. */
  readonly certain: boolean
}

export interface Reached {
  readonly parts: readonly ReachedPart[]
  /** An access may cross the end of a page. */
  readonly crosses: boolean
  /** It holds whatever the arguments are that are no pointers. */
  readonly forAll: boolean
}

const NEEDS = { load: PTE.load, store: PTE.store, atomic: PTE.exclusive } as const

/** Where the workgroups [first, end) of a launch reach; null: that is not known. */
export function reachedBy({ space, device, watch }: Mirror, launch: Launch, first: number, end: number): Reached | null {
  const { bounds } = launch.kernel.translated
  if (!device.runsText || watch !== null || bounds.hopeless) return null
  const part = { ...launch, first, end }
  const general = bounds.of(part, false)
  // Where the numbers among the arguments decide who stores, it is worth to know them.
  const forAll = general?.every(({ kind, certain }) => certain || kind === 'load') === true
  const extents = forAll ? general : (bounds.of(part, true) ?? general)
  if (extents === null) return null
  const { pageBytes } = space.geometry
  return {
    parts: extents.map((extent) => ({
      start: Math.floor(extent.start / pageBytes),
      end: Math.ceil(extent.end / pageBytes),
      need: NEEDS[extent.kind],
      certain: extent.certain,
    })),
    crosses: extents.some(({ crosses }) => crosses),
    forAll,
  }
}

/** What was last found out of launches of one kernel with the same pointers and work-items: they differ in the other arguments alone. */
export class ReachCache {
  #args: Uint8Array | null = null
  #reached: Reached | null = null

  /** The same object for the same arguments. */
  of(mirror: Mirror, launch: Launch): Reached | null {
    const { args, workgroups } = launch
    if (this.#args === null || (this.#reached?.forAll !== true && !isSameList(this.#args, args))) {
      this.#reached = reachedBy(mirror, launch, 0, workgroups[0] * workgroups[1] * workgroups[2])
      this.#args = args
    }
    return this.#reached
  }
}

/** How a launch runs whose reach is known; null: something of it is not here, or outside of what it may reach, and an ordinary pass finds out what. */
export function provenSteady(mirror: Mirror, { reach }: Launch, reached: Reached): Steady | null {
  const { parts, crosses } = reached
  const { vmm } = mirror
  const stores: VpnRange[] = []
  let inOrder = mirror.direct
  // The entry of the first page; of other pools, two thousand MiB away, it may be the same.
  const firstPage = parts[0]?.start ?? 0
  const onePool = mirror.dmem.poolsInUse === 1
  const { pageBytes } = mirror.space.geometry
  let first: number | null = null
  let marks = false
  for (const { start, end, need, certain } of parts) {
    if (reach !== null && !reach.some((range) => start >= range.start && end <= range.end)) return null
    let clean = false
    for (let vpn = start; vpn < end; vpn++) {
      const pte = vmm.get(vpn)
      if ((pte & need) === 0) return null
      clean ||= need !== PTE.load && (pte & PTE.dirty) === 0
      first ??= pte
      inOrder &&= ((pte ^ first) & ~PTE_FLAGS_MASK) === 0 && (onePool || ptePool(pte, vpn * pageBytes) === ptePool(first, firstPage * pageBytes))
    }
    if (clean && certain) stores.push({ start, end })
    marks ||= clean && !certain
  }
  const window = inOrder && !marks && first !== null ? windowOf(mirror, parts, first) : null
  return {
    variant: window === null ? 'resident' : 'direct',
    window,
    marks,
    proof: crosses && window === null ? 'placed' : 'paged',
    stores: marks ? [] : stores,
    reached,
  }
}

/** How a window runs of which all accesses are known; null: they are not, or something of it is not here. */
export function provenWindow(mirror: Mirror, launch: Launch, window: Window): Steady | null {
  const span = launch.atomic ? null : spanOf(window)
  const reached = span === null ? null : reachedBy(mirror, launch, span.start, span.end)
  return reached === null ? null : provenSteady(mirror, launch, reached)
}

/** Its pages are not the oldest. */
export function touchReached(mirror: Mirror, { parts }: Reached): void {
  for (const { start, end } of parts) for (let vpn = start; vpn < end; vpn++) mirror.dmem.touch(mirror.frameOf(vpn))
}

/** Only the place of its first page counts: nobody looks at the rest. */
function windowOf({ space }: Mirror, parts: readonly ReachedPart[], pte: number): DirectWindow {
  const start: Vpn = Math.min(...parts.map((part) => part.start))
  const end: Vpn = Math.max(...parts.map((part) => part.end))
  const none = { start: 0, end: 0 }
  const address = start * space.geometry.pageBytes
  return { pool: ptePool(pte, address), place: pteWord(pte, address), pages: { start, end }, writable: none, dirty: none }
}
