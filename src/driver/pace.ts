// How many workgroups the next pass runs at most, and how long their loops may go on. Always: at least one workgroup; while not all fits, a window that comes
// to nothing shrinks, at once where nothing can come of it and else after a few passes; a pass takes about the time of one pass; fuel ends.

import { WORKGROUP_BITMAP } from '../abi/fault-record.ts'
import { anyBit } from '../base/bitmap.ts'
import { endlessError, type Launch, PASS_MILLISECONDS, windowByTime } from './launch.ts'
import type { PassReport } from './pass.ts'

/** Passes in a row that may retire nobody before the window shrinks although all that it wants fits: accesses that depend on each other ask one by one. */
const BARREN_ROUNDS = 5
const FUEL_LAST = 2 ** 31
/** The longest pass that more fuel may lead to: browsers end those of ten seconds. */
const FUEL_MILLISECONDS = 2000

/** What became of a pass. */
export interface Outcome {
  readonly slots: number
  readonly retired: number
  /** It was dropped, or nobody retired. */
  readonly barren: boolean
  /** Not all that the launch wants fits. */
  readonly split: boolean
}

export class Pace {
  /** Workgroups of the next pass, if their pages are here. */
  window: number
  fuel: number
  readonly #launch: Launch
  readonly #windowMax: number
  #barrenRounds = 0

  constructor(launch: Launch, windowMax: number, total: number) {
    this.#launch = launch
    this.#windowMax = windowMax
    this.window = Math.min(total, windowMax, windowByTime(launch, windowMax))
    this.fuel = launch.kernel.fuel
  }

  /** A pass ended. @param finished workgroups of the launch. @throws SvmError for a loop without end */
  passed(report: PassReport, { slots, retired, barren, split }: Outcome, finished: number): void {
    if (split && barren) this.window = Math.min(this.window, slots)
    else if (!split || retired * 4 >= slots) this.window = Math.min(this.#windowMax, Math.max(this.window, slots * 2))
    if (report.milliseconds > 2 * PASS_MILLISECONDS)
      this.window = Math.max(1, Math.min(this.window, Math.floor((slots * PASS_MILLISECONDS) / report.milliseconds)))
    else if (!anyBit(report.workgroups[WORKGROUP_BITMAP.faulted] as Uint32Array)) this.#launch.kernel.millisecondsPerWorkgroup = report.milliseconds / slots
    if (report.fuelOut > 0) this.#refuel(slots, report.milliseconds, finished)
  }

  /**
   * What it wanted was served. While all that the window wants fits, it is here in the next pass: fewer workgroups would only mean more rounds.
   * @param hope that the next pass is another one: something was learned or served, and all that the window wants fits
   */
  served({ slots, barren, split }: Outcome, hope: boolean): void {
    this.#barrenRounds = barren ? this.#barrenRounds + 1 : 0
    if (split && barren && (!hope || this.#barrenRounds > BARREN_ROUNDS)) this.window = Math.max(1, Math.min(this.window, slots >> 1))
  }

  /** More for the next pass, as long as that has an end: a workgroup alone, and one that takes long, has had its chance. */
  #refuel(slots: number, milliseconds: number, finished: number): void {
    if (milliseconds > FUEL_MILLISECONDS / 8 && slots > 1) {
      this.window = 1
      return
    }
    if (this.fuel >= FUEL_LAST || milliseconds > FUEL_MILLISECONDS / 2) throw endlessError(this.#launch, this.fuel, finished)
    const more = milliseconds * 8 <= FUEL_MILLISECONDS ? 8 : milliseconds * 4 <= FUEL_MILLISECONDS ? 4 : 2
    this.fuel *= more
  }
}
