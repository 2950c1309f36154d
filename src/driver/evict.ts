// Making room. Always: pinned pages and pages that migrate are never chosen; only dirty pages cost a copy; the policy chooses, among those
// whose turn it is by advice, and this file acts; one call frees what was asked for or says how much less it could.

import { SvmError } from '../base/error.ts'
import type { Vpn } from '../base/units.ts'
import { PAGE } from '../mm/page-table.ts'
import type { EvictionPolicy } from '../policy/policy.ts'
import { orderOfLeaving } from './advice.ts'
import type { Mirror } from './svmm.ts'

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

  /** Makes `wanted` frames available if it can; returns how many are. @throws DeviceFailure 'lost' */
  async makeRoom(wanted: number, keeps: (vpn: Vpn) => boolean): Promise<number> {
    const { dmem } = this.#mirror
    if (dmem.available < wanted) await this.#evict(wanted - dmem.available, keeps)
    let free = await dmem.reserve(Math.min(wanted, dmem.available))
    if (free < wanted && dmem.available < wanted) {
      // A pool could not be made: the device has less than planned.
      await this.#evict(wanted - dmem.available, keeps)
      free = await dmem.reserve(Math.min(wanted, dmem.available))
    }
    return Math.min(free, wanted)
  }

  async #evict(wanted: number, keeps: (vpn: Vpn) => boolean): Promise<void> {
    const candidates = this.#candidates(keeps)
    const victims: Vpn[] = []
    for (const group of orderOfLeaving(this.#mirror, candidates)) {
      if (group.length > 0 && victims.length < wanted) victims.push(...this.#ask(group, wanted - victims.length))
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
    return this.#chosen(this.#policy.victims(lastUse, dirty, wanted), candidates)
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
