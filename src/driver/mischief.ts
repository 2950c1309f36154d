// What a device's PassMischief asks for, done to a dispatch or a chain. Always: it runs between submissions; whatever it takes away comes back when it is
// wanted, as after an eviction or an invalidation by somebody else; a window stays a prefix of what remains; at the end every entry is what it should be.

import { PAGE_BITMAP } from '../abi/fault-record.ts'
import { PTE } from '../abi/pte.ts'
import { assert } from '../base/assert.ts'
import { anyBit } from '../base/bitmap.ts'
import type { Vpn } from '../base/units.ts'
import type { PassMischief } from '../device/device.ts'
import type { Evictor } from './evict.ts'
import type { PassReport } from './pass.ts'
import { type Window, workgroupOf } from './remaining.ts'
import type { Mirror } from './svmm.ts'

const WANTED = [PAGE_BITMAP.read, PAGE_BITMAP.write, PAGE_BITMAP.exclusive, PAGE_BITMAP.hintRead, PAGE_BITMAP.hintWrite, PAGE_BITMAP.hintExclusive]

/** Null: nobody asks for any, as outside of tests. */
export function mischiefOf(mirror: Mirror, evictor: Evictor): MischiefAtWork | null {
  const { passMischief } = mirror.device
  return passMischief === undefined ? null : new MischiefAtWork(mirror, evictor, passMischief)
}

export class MischiefAtWork {
  readonly #mirror: Mirror
  readonly #evictor: Evictor
  readonly #mischief: PassMischief
  readonly #absent = new Set<Vpn>()

  constructor(mirror: Mirror, evictor: Evictor, mischief: PassMischief) {
    this.#mirror = mirror
    this.#evictor = evictor
    this.#mischief = mischief
  }

  /** Before a pass: pages go home, or lose their entries. @param stays pages that an atomic launch must keep. @throws DeviceFailure */
  async disturb(stays: (vpn: Vpn) => boolean): Promise<void> {
    const { absent, evicted } = this.#mischief.disturb(this.#here())
    await this.#evictor.sendAway(evicted.filter((vpn) => !stays(vpn)))
    this.#takeEntries(absent)
  }

  /** Before a submission of a chain in which faults are possible: pages lose their entries, behind the back of what was foreseen. @param stays pages of links that cannot fault */
  vanish(stays: (vpn: Vpn) => boolean): void {
    this.#takeEntries(this.#mischief.vanish(this.#here().filter((vpn) => !stays(vpn))))
  }

  /** Most links of the next submission. */
  segment(links: number): number {
    return Math.max(1, Math.min(links, this.#mischief.segment(links)))
  }

  /** Most workgroups of the next pass. */
  limit(slots: number): number {
    return Math.max(1, Math.min(slots, this.#mischief.limit(slots)))
  }

  /** The window in another order. While the wants do not all fit, its lead stays the lead. */
  shuffle(window: Window, split: boolean): Window {
    const worklist = Uint32Array.from({ length: window.slots }, (_, slot) => workgroupOf(window, slot))
    this.#mischief.order(worklist.subarray(split ? 1 : 0))
    return { slots: window.slots, lead: worklist[0] as number, worklist, shuffled: true }
  }

  /** Part of what the pass wanted is forgotten. */
  truncate(report: PassReport): void {
    const wanted = WANTED.map((bitmap) => report.pages[bitmap] as Uint32Array)
    const any = wanted.some(anyBit)
    this.#mischief.truncate(wanted)
    assert(!any || wanted.some(anyBit), 'a truncated report still says one thing')
  }

  end(): void {
    for (const vpn of this.#absent) this.#mirror.refreshPage(vpn)
  }

  #here(): Vpn[] {
    const here: Vpn[] = []
    this.#mirror.dmem.forEachPage((_frame, vpn) => here.push(vpn))
    return here.sort((a, b) => a - b)
  }

  #takeEntries(pages: readonly Vpn[]): void {
    const { vmm } = this.#mirror
    for (const vpn of pages) {
      vmm.set(vpn, vmm.get(vpn) & (PTE.mayLoad | PTE.mayStore))
      this.#absent.add(vpn)
    }
  }
}
