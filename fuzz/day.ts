// What a run knows while it goes on, and how an outcome is judged. Always: an error that nobody made happen and that the rules do not ask for
// is a failure of the run; so is a success where the rules ask for an error.

import type { HostMapping, MapMode, SvmEvent } from '../src/index.ts'
import type { Faults } from './faults.ts'
import type { Model } from './model.ts'
import type { FaultWish, Op } from './op.ts'
import type { Scheduler } from './scheduler.ts'
import { PAGE_BYTES, type World } from './world.ts'

/** Memory of the program. */
export interface Slot {
  readonly pointer: number
  readonly byteLength: number
  readonly pages: number
  readonly kind: 'alloc' | 'mmap'
  readonly deviceWrites: boolean
}

/** A live mapping of the host. */
export interface Hold {
  readonly mapping: HostMapping
  readonly slot: number
  readonly pointer: number
  readonly byteLength: number
  readonly mode: MapMode
}

export interface Outcome {
  /** `ok`, or the code of the error. */
  readonly code: string
  readonly value: unknown
  readonly message: string
}

/** An operation under way. */
export interface Started {
  readonly done: Promise<unknown>
  /** Looks at the outcome, when all that was started with it has ended, in the order of the starts; moves the model. */
  readonly judge: (outcome: Outcome) => void
}

export interface Day {
  world: World
  readonly model: Model
  readonly slots: (Slot | null)[]
  /** What mprotect left of the rights to a page; all of them where there is nothing. */
  readonly access: Map<number, 'none' | 'read'>
  /** Devices that were released, by number. */
  readonly released: Set<number>
  readonly scheduler: Scheduler
  readonly faults: Faults
  /** Stores of resident launches that came home by a copy. */
  broughtHome: number
  holds: Hold[]
  /** Holds that ended since the last time that nothing was under way: what was started before may have met them. */
  ended: Hold[]
  /** Commands that were started and not waited for yet. */
  events: { readonly queue: number; readonly event: SvmEvent<unknown> }[]
  /** Codes that failures on request may lead to, just now. */
  may: Set<string>
}

export class Wrong extends Error {
  override readonly name = 'Wrong'
}

/** What a failure on request may be called by whom it hits. */
export function codesOf(struck: readonly FaultWish[]): Set<string> {
  const codes = new Set<string>()
  for (const { kind } of struck) {
    if (kind === 'pager' || kind === 'short-read') codes.add('pager-failed')
    else if (kind === 'loss' || kind === 'submit') codes.add('device-lost')
    else codes.add('device-memory').add('working-set')
  }
  return codes
}

/**
 * True when the operation ended well and should have. `must`: the rules ask for one of these errors; `may`: they allow these.
 * @throws Wrong
 */
export function wentWell(day: Day, outcome: Outcome, must: readonly string[], may: readonly string[] = []): boolean {
  const { code, message } = outcome
  if (code !== 'ok') {
    if (!must.includes(code) && !may.includes(code) && !day.may.has(code)) {
      throw new Wrong(`failed with '${code}' where ${must.length > 0 ? `'${must.join("' or '")}'` : 'nothing'} was to fail: ${message}`)
    }
    day.may.add('dependency-failed')
    return false
  }
  if (must.length > 0) throw new Wrong(`ended well where '${must.join("' or '")}' was to be said`)
  return true
}

/** Errors that the rules ask of an access of the host: read, or write (of whole pages only, where `overwrites`). */
export function refusals(day: Day, slot: Slot, range: { pointer: number; byteLength: number }, access: 'read' | 'write', overwrites = false): string[] {
  const codes: string[] = []
  const rights = day.model.pagesOf(range.pointer, range.byteLength).map((vpn) => day.access.get(vpn))
  const refused = rights.includes('none') || (access === 'write' && (slot.kind === 'mmap' || rights.includes('read')))
  if (refused) codes.push('access-violation')
  if (overlapping(day.holds, range).some(({ mode }) => access === 'write' || mode !== 'read')) codes.push('host-mapped')
  const lost = day.model.pagesOf(range.pointer, range.byteLength).filter((vpn) => day.model.lost.has(vpn))
  const inside = (vpn: number) => vpn * PAGE_BYTES >= range.pointer && (vpn + 1) * PAGE_BYTES <= range.pointer + range.byteLength
  if (lost.some((vpn) => !overwrites || !inside(vpn))) codes.push('device-lost')
  return codes
}

/** A hold that ended just now may have been met. */
export function metHolds(day: Day, range: { pointer: number; byteLength: number }): string[] {
  return overlapping(day.ended, range).length > 0 ? ['host-mapped'] : []
}

/** Holds that share a page with the range. */
export function overlapping(holds: readonly Hold[], { pointer, byteLength }: { pointer: number; byteLength: number }): Hold[] {
  const page = (address: number) => Math.floor(address / PAGE_BYTES)
  return holds.filter((hold) => page(hold.pointer) <= page(pointer + byteLength - 1) && page(pointer) <= page(hold.pointer + hold.byteLength - 1))
}

/** Some bytes of the slot, as the operation says. */
export function rangeOf(slot: Slot, op: Op, aligned = 1): { pointer: number; byteLength: number } {
  const wholePages = (op.coins & 0x100) !== 0
  const from = wholePages ? (op.from % slot.pages) * PAGE_BYTES : op.from % slot.byteLength
  const offset = Math.min(from - (from % aligned), slot.byteLength - aligned)
  const most = Math.min(slot.byteLength - offset, 4 * PAGE_BYTES)
  const wished = wholePages ? (1 + (op.length % 4)) * PAGE_BYTES : 1 + (op.length % most)
  const byteLength = Math.max(aligned, Math.min(most, wished))
  return { pointer: slot.pointer + offset, byteLength: byteLength - (byteLength % aligned) }
}

/** @throws Wrong naming the first byte that differs */
export function expectBytes(day: Day, pointer: number, found: Uint8Array, who: string): void {
  if (found.length > 0) day.world.checker.note(3)
  const wrong = day.model.compare(pointer, found)
  if (wrong === null) return
  const vpn = Math.floor(wrong.address / PAGE_BYTES)
  const page = day.world.port.space.pages.print(vpn)
  throw new Wrong(`${who}: the byte at 0x${wrong.address.toString(16)} (page ${vpn}, ${page}) is ${wrong.found}, and ${wrong.expected} was written there`)
}
