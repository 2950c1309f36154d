// Making room. Always: pinned pages and pages that migrate are never chosen; only dirty pages cost a copy; the policy chooses, among those
// whose turn it is by advice, and this file acts; one call frees what was asked for or says how much less it could.

import { SvmError } from '../base/error.ts'
import type { Vpn } from '../base/units.ts'
import { PAGE } from '../mm/page-table.ts'
import type { EvictionPolicy } from '../policy/policy.ts'
import { orderOfLeaving } from './advice.ts'
import type { Mirror } from './svmm.ts'

/** Of a launch that fits, and of requests: nobody says when pages are wanted again. */
export const never = () => Number.POSITIVE_INFINITY

export class Evictor {
  readonly #mirror: Mirror
  readonly #policy: EvictionPolicy

  constructor(mirror: Mirror, policy: EvictionPolicy) {
    this.#mirror = mirror
    this.#policy = policy
  }

  /** Frames that could be had: free ones, and those of pages that `keeps` does not hold. Looks no further once there are `enough`. */
  obtainable(enough: number, keeps: (vpn: Vpn) => boolean): number {
    const { available } = this.#mirror.dmem
    return available >= enough ? available : available + this.#candidates(keeps).length
  }

  /** For each page that could go (`keeps` does not hold it), what `rankOf` says of it; ascending. */
  ranks(keeps: (vpn: Vpn) => boolean, rankOf: (vpn: Vpn) => number): Float64Array {
    return Float64Array.from(this.#candidates(keeps), rankOf).sort()
  }

  /**
   * Makes `wanted` frames available if it can; returns how many are. Of pages that are wanted again (`nextUse` is finite) the one that is wanted last
   * goes first, and only when those that are not have gone. @throws DeviceFailure 'lost'
   */
  async makeRoom(wanted: number, keeps: (vpn: Vpn) => boolean, nextUse: (vpn: Vpn) => number = never): Promise<number> {
    const { dmem } = this.#mirror
    if (dmem.available < wanted) await this.#evict(wanted - dmem.available, keeps, nextUse)
    let free = await dmem.reserve(Math.min(wanted, dmem.available))
    if (free < wanted && dmem.available < wanted) {
      // A pool could not be made: the device has less than planned.
      await this.#evict(wanted - dmem.available, keeps, nextUse)
      free = await dmem.reserve(Math.min(wanted, dmem.available))
    }
    return Math.min(free, wanted)
  }

  async #evict(wanted: number, keeps: (vpn: Vpn) => boolean, nextUse: (vpn: Vpn) => number): Promise<void> {
    const unused: Vpn[] = []
    const used: { vpn: Vpn; next: number }[] = []
    for (const vpn of this.#candidates(keeps)) {
      const next = nextUse(vpn)
      if (next === Number.POSITIVE_INFINITY) unused.push(vpn)
      else used.push({ vpn, next })
    }
    const victims: Vpn[] = []
    for (const group of orderOfLeaving(this.#mirror, unused, nextUse !== never)) {
      if (group.length > 0 && victims.length < wanted) victims.push(...this.#ask(group, wanted - victims.length))
    }
    if (victims.length < wanted && used.length > 0) {
      used.sort((a, b) => b.next - a.next || b.vpn - a.vpn)
      for (const { vpn } of used.slice(0, wanted - victims.length)) victims.push(vpn)
    }
    await this.sendAway(victims)
  }

  /** These pages leave the device. @throws DeviceFailure 'lost' */
  async sendAway(victims: readonly Vpn[]): Promise<void> {
    const { space } = this.#mirror
    if (victims.length === 0) return
    const home: Vpn[] = []
    for (const vpn of victims) {
      if (space.pages.isDevicePrivate(vpn)) home.push(vpn)
      else {
        this.#mirror.dropSystemCopy(vpn)
        this.#mirror.refreshPage(vpn)
      }
    }
    home.sort((a, b) => a - b)
    const how = { keepCopy: false, discard: false, why: 'eviction' } as const
    const bytesCopied = home.length === 0 ? 0 : (await this.#mirror.sendHome(home, how)).bytesCopied
    this.#mirror.evictions += victims.length
    for (const vpn of victims) this.#mirror.thrash.evicted(vpn)
    space.tracer.emit({ kind: 'evict', device: this.#mirror.label, pages: victims.length, bytesCopied })
  }

  #ask(candidates: readonly Vpn[], wanted: number): Vpn[] {
    const { dmem, space } = this.#mirror
    const lastUse = Uint32Array.from(candidates, (vpn) => dmem.lastUse(this.#mirror.frameOf(vpn)))
    const dirty = Uint8Array.from(candidates, (vpn) => Number(space.pages.state(vpn) === PAGE.dirty))
    return this.#chosen(this.#listed(lastUse, dirty, wanted), candidates)
  }

  /** @throws SvmError invalid-value */
  #listed(lastUse: Uint32Array, dirty: Uint8Array, wanted: number): readonly number[] {
    let answer: unknown
    let cause: unknown
    try {
      answer = this.#policy.victims(lastUse, dirty, wanted)
    } catch (thrown) {
      cause = thrown
    }
    if (Array.isArray(answer)) return answer
    const met = cause === undefined ? `gave ${typeof answer === 'object' ? 'an object' : String(answer)}` : `threw ${String(cause)}`
    throw new SvmError('invalid-value', `The eviction policy '${this.#policy.name}' ${met}. Its victims() must return a list of indices.`, { cause })
  }

  /** A policy may be the program's own: what it says is looked at before anybody goes. @throws SvmError invalid-value */
  #chosen(indices: readonly number[], candidates: readonly Vpn[]): Vpn[] {
    const chosen = new Set<Vpn>()
    for (const index of indices) {
      const vpn = candidates[index]
      if (vpn === undefined || chosen.has(vpn)) {
        const wrong = vpn === undefined ? `${String(index)}, but there are ${candidates.length} candidates` : `${index} twice`
        throw new SvmError('invalid-value', `The eviction policy '${this.#policy.name}' chose victim ${wrong}. It must return each index at most once.`)
      }
      chosen.add(vpn)
    }
    return [...chosen]
  }

  #candidates(keeps: (vpn: Vpn) => boolean): Vpn[] {
    const { space, dmem } = this.#mirror
    const found: Vpn[] = []
    dmem.forEachPage((_frame, vpn) => {
      if (space.pages.state(vpn) !== PAGE.migrating && !keeps(vpn)) found.push(vpn)
    })
    return found
  }
}
