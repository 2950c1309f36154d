// The host page table: the one truth about where a page is. Device tables are caches of it.
//
//                    populate                systemMap
//        none ──────────────▶ zero ─┐ ┌──────────────────▶ mapped (host, and a read-only copy on some devices)
//         │ └──────────────────────▶ host ◀────────────────┘  systemUnmap
//         │                           │ ▲ (host is the master)
//         └───────┐  beginMigrate     │ │ endMigrate(host), from a device
//                 ▼                   ▼ │
//               migrating ────────────────────▶ clean ──markDirty──▶ dirty ──lose──▶ lost ──overwrite──▶ host
//                 ▲  endMigrate(device)           │  ◀──(written back: migrating → mapped)──┘
//                 └───────────────────────────────┘      restore: migrating → what it was
//
// Always: a page is in exactly one state. In `clean` and `dirty` it is device-private, and (memory, frame) names its frame there. In
// `clean` the host bytes (or the pager's) equal the frame; in `dirty` they are stale and nobody reads them. `mapped` has at least one bit
// in `mappedOn`; every other state has none. `migrating` is the lock of a page: only the one who took it may leave it.
// Pages that were never touched have no record: a block of them costs nothing.

import { assert, unreachable } from '../base/assert.ts'
import type { Vpn } from '../base/units.ts'

/** The states, as they are stored. */
export const PAGE = { none: 0, zero: 1, host: 2, mapped: 3, clean: 4, dirty: 5, migrating: 6, lost: 7 } as const
export type PageState = (typeof PAGE)[keyof typeof PAGE]
/** The states as bits, to name several. */
const BIT = { none: 1, zero: 2, host: 4, mapped: 8, clean: 16, dirty: 32, migrating: 64, lost: 128 } as const
const NAMES: readonly string[] = ['none', 'zero', 'host', 'mapped', 'clean', 'dirty', 'migrating', 'lost']

/** A page of device memory: which memory, and which frame in it. Never a bare integer. Compare struct page of ZONE_DEVICE. */
export interface DevicePage {
  readonly memory: number
  readonly frame: number
}

interface Block {
  readonly state: Uint8Array
  /** State before `migrating`. */
  readonly before: Uint8Array
  readonly memory: Uint8Array
  readonly mappedOn: Uint8Array
  readonly frame: Uint32Array
}

export class PageTable {
  readonly #blockPages: number
  readonly #blocks = new Map<number, Block>()
  #lastNumber = -1
  #lastBlock: Block | undefined

  /** @param blockPages pages that share one record block; a power of two */
  constructor(blockPages: number) {
    this.#blockPages = blockPages
  }

  state(vpn: Vpn): PageState {
    const block = this.#block(vpn)
    return block === undefined ? PAGE.none : (block.state[vpn % this.#blockPages] as PageState)
  }

  /** What the page was before it began to migrate; its state otherwise. */
  settledState(vpn: Vpn): PageState {
    const state = this.state(vpn)
    return state === PAGE.migrating ? (this.#made(vpn).before[vpn % this.#blockPages] as PageState) : state
  }

  /** The frame of a device-private page, also while it migrates away. */
  devicePage(vpn: Vpn): DevicePage {
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    return { memory: block.memory[at] as number, frame: block.frame[at] as number }
  }

  frame(vpn: Vpn): number {
    return this.#made(vpn).frame[vpn % this.#blockPages] as number
  }

  memory(vpn: Vpn): number {
    return this.#made(vpn).memory[vpn % this.#blockPages] as number
  }

  /** Bit d is set when device d has a read-only copy. Also while the page migrates. */
  mappedOn(vpn: Vpn): number {
    const block = this.#block(vpn)
    return block === undefined ? 0 : (block.mappedOn[vpn % this.#blockPages] as number)
  }

  isDevicePrivate(vpn: Vpn): boolean {
    const state = this.state(vpn)
    return state === PAGE.clean || state === PAGE.dirty
  }

  // The arrows. Each is one function, and each checks where it starts.

  /** none → zero: anonymous memory is asked for and has never been written. */
  populateZero(vpn: Vpn): void {
    this.#move(vpn, PAGE.zero, BIT.none)
  }

  /** none, zero → host: the bytes are there, from a pager or because the host writes them. */
  populate(vpn: Vpn): void {
    this.#move(vpn, PAGE.host, BIT.none | BIT.zero | BIT.host)
  }

  /** host → none: a pager-backed page left the host cache; the pager still has it. */
  forgetCached(vpn: Vpn): void {
    if (this.state(vpn) === PAGE.host) this.#move(vpn, PAGE.none, BIT.host)
  }

  /** none, zero, host, mapped → mapped: a device got a read-only copy. */
  systemMap(vpn: Vpn, memory: number): void {
    this.#move(vpn, PAGE.mapped, BIT.none | BIT.zero | BIT.host | BIT.mapped)
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    block.mappedOn[at] = (block.mappedOn[at] as number) | (1 << memory)
  }

  /** mapped → mapped, host: a device gave its copy back. */
  systemUnmap(vpn: Vpn, memory: number): void {
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    const left = (block.mappedOn[at] as number) & ~(1 << memory)
    block.mappedOn[at] = left
    if (block.state[at] === PAGE.mapped && left === 0) block.state[at] = PAGE.host
    if (block.state[at] === PAGE.migrating && block.before[at] === PAGE.mapped && left === 0) block.before[at] = PAGE.host
  }

  /** Any settled state but lost → migrating. Compare a migration entry. */
  beginMigrate(vpn: Vpn): void {
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    const state = block.state[at] as PageState
    if (state === PAGE.migrating || state === PAGE.lost) assert(false, `page ${vpn} is settled and not lost when it begins to migrate`)
    block.before[at] = state
    block.state[at] = PAGE.migrating
  }

  /** migrating → clean: the page is now in a frame of a device, with the bytes that it had. */
  endMigrateOnDevice(vpn: Vpn, page: DevicePage): void {
    this.#move(vpn, PAGE.clean, BIT.migrating)
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    block.memory[at] = page.memory
    block.frame[at] = page.frame
    block.mappedOn[at] = 0
  }

  /** migrating → host: the host bytes are the page again. */
  endMigrateOnHost(vpn: Vpn): void {
    this.#move(vpn, PAGE.host, BIT.migrating)
    this.#made(vpn).mappedOn[vpn % this.#blockPages] = 0
  }

  /** migrating → mapped: the host bytes are the page again, and the device keeps its frame as a read-only copy. */
  endMigrateOnHostMapped(vpn: Vpn, memory: number): void {
    this.#move(vpn, PAGE.mapped, BIT.migrating)
    this.#made(vpn).mappedOn[vpn % this.#blockPages] = 1 << memory
  }

  /** migrating → what it was: the migration did not happen. */
  restore(vpn: Vpn): void {
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    assert(block.state[at] === PAGE.migrating, `page ${vpn} migrates when it is restored`)
    block.state[at] = block.before[at] as number
  }

  /** clean → dirty: a pass stored to the page. */
  markDirty(vpn: Vpn): void {
    this.#move(vpn, PAGE.dirty, BIT.clean | BIT.dirty)
  }

  /** dirty → clean: the host has the page's bytes once more (a snapshot was taken, or a failed pass was undone). */
  markClean(vpn: Vpn): void {
    this.#move(vpn, PAGE.clean, BIT.dirty | BIT.clean)
  }

  /** clean, dirty → the same, in another frame of the same memory (a private copy became the page). */
  moveFrame(vpn: Vpn, frame: number): void {
    assert(this.isDevicePrivate(vpn), `page ${vpn} is device-private when its frame changes`)
    this.#made(vpn).frame[vpn % this.#blockPages] = frame
  }

  /** dirty → lost, clean → host: the device is gone. True when the page's bytes are lost with it. */
  deviceGone(vpn: Vpn): boolean {
    const lost = this.settledState(vpn) === PAGE.dirty
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    block.state[at] = lost ? PAGE.lost : PAGE.host
    block.mappedOn[at] = 0
    return lost
  }

  /** lost → host: the whole page is written anew. */
  overwrite(vpn: Vpn): void {
    this.#move(vpn, PAGE.host, BIT.lost)
  }

  /** any settled state → none: the mapping is gone. */
  clear(vpn: Vpn): void {
    const block = this.#block(vpn)
    if (block === undefined) return
    const at = vpn % this.#blockPages
    assert(block.state[at] !== PAGE.migrating, `page ${vpn} does not migrate when it is unmapped`)
    block.state[at] = PAGE.none
    block.mappedOn[at] = 0
    block.memory[at] = 0
    block.frame[at] = 0
  }

  /** One line a page, for messages and tests. */
  print(vpn: Vpn): string {
    const state = this.state(vpn)
    switch (state) {
      case PAGE.none:
      case PAGE.zero:
      case PAGE.host:
      case PAGE.lost:
        return NAMES[state] as string
      case PAGE.mapped:
        return `mapped on ${this.mappedOn(vpn).toString(2)}`
      case PAGE.clean:
      case PAGE.dirty:
        return `${NAMES[state]} in memory ${this.memory(vpn)} frame ${this.frame(vpn)}`
      case PAGE.migrating:
        return `migrating from ${NAMES[this.settledState(vpn)]}`
      default:
        return unreachable(state)
    }
  }

  /** Mirrors the chapter above: what must hold of one page. */
  assertPage(vpn: Vpn): void {
    const state = this.state(vpn)
    const copies = this.mappedOn(vpn)
    if (state === PAGE.migrating) return
    assert((state === PAGE.mapped) === (copies !== 0), `page ${vpn} has system copies (${copies}) exactly when it is mapped (${NAMES[state]})`)
  }

  /** @param from bits of the states that the arrow may start from */
  #move(vpn: Vpn, to: PageState, from: number): void {
    const block = this.#made(vpn)
    const at = vpn % this.#blockPages
    const state = block.state[at] as PageState
    if (((1 << state) & from) === 0) assert(false, `page ${vpn} may not go from ${NAMES[state]} to ${NAMES[to]}`)
    block.state[at] = to
  }

  #block(vpn: Vpn): Block | undefined {
    const number = Math.floor(vpn / this.#blockPages)
    if (number !== this.#lastNumber) {
      this.#lastNumber = number
      this.#lastBlock = this.#blocks.get(number)
    }
    return this.#lastBlock
  }

  #made(vpn: Vpn): Block {
    const found = this.#block(vpn)
    if (found !== undefined) return found
    const n = this.#blockPages
    const block: Block = {
      state: new Uint8Array(n),
      before: new Uint8Array(n),
      memory: new Uint8Array(n),
      mappedOn: new Uint8Array(n),
      frame: new Uint32Array(n),
    }
    this.#blocks.set(Math.floor(vpn / n), block)
    this.#lastBlock = block
    return block
  }
}
