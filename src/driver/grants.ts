// The rights of one dispatch. Replay by grants: what a page may be used for in a pass follows from what was wanted of it.
//
//   none, read      → R   load
//   write           → W   store by untainted invocations; no load
//   exclusive, or
//   read and write  → P   all, on a private copy: its stores count only if the pass commits
//
// Always: needs only grow during a dispatch; a page is P only with a pre-image, which is a frame (the private copy is another one) or the
// host's bytes (then the page's own frame is written); without one it stays R until the next pass. Grants are constant while a pass runs.

import { NEED } from '../abi/fault-record.ts'
import { makePte, PTE, PTE_FLAGS_MASK } from '../abi/pte.ts'
import { SvmError } from '../base/error.ts'
import type { Vpn } from '../base/units.ts'
import { hex } from '../base/units.ts'
import { PAGE } from '../mm/page-table.ts'
import type { Mirror } from './svmm.ts'

/** A private copy: `frame` is what the pass uses. `stale`: it no longer equals the page. */
interface Copy {
  frame: number
  stale: boolean
}

export interface GrantRules {
  /** Transactional: every written page is private. */
  readonly allPrivate: boolean
  /** Host bytes are kept as the state before the dispatch, so no dirty page may be written back once it was granted. */
  readonly snapshot: boolean
}

export class Grants {
  /** Bits of NEED by page. */
  readonly needs = new Map<Vpn, number>()
  /** Those of them that are wanted for more than reading: nothing else has a grant. */
  readonly #written = new Set<Vpn>()
  readonly #mirror: Mirror
  readonly #rules: GrantRules
  /** Private copies in frames of their own. */
  readonly #copies = new Map<Vpn, Copy>()
  /** Pages written in place, whose pre-image is the host's bytes. */
  readonly #inPlace = new Set<Vpn>()
  /** With `snapshot`: pages whose host bytes are those before the dispatch. */
  readonly #snapshots = new Set<Vpn>()
  privateCopies = 0
  /** In this pass every written page is private. */
  #allPrivate = false

  constructor(mirror: Mirror, rules: GrantRules) {
    this.#mirror = mirror
    this.#rules = rules
  }

  /** True when this adds something to what is known. */
  add(vpn: Vpn, bits: number): boolean {
    const old = this.needs.get(vpn) ?? 0
    if ((old | bits) === old) return false
    this.needs.set(vpn, old | bits)
    if ((bits & ~NEED.read) !== 0) this.#written.add(vpn)
    return true
  }

  wantsWrite(vpn: Vpn): boolean {
    return this.#written.has(vpn)
  }

  isSnapshot(vpn: Vpn): boolean {
    return this.#snapshots.has(vpn)
  }

  get snapshots(): Vpn[] {
    return [...this.#snapshots].sort((a, b) => a - b)
  }

  /**
   * Gives every P page that is here its pre-image; null: there is nothing to wait for. @param allPrivate for this pass at least
   * @throws DeviceFailure, SvmError working-set
   */
  prepare(allPrivate = false): Promise<void> | null {
    this.#allPrivate = allPrivate || this.#rules.allPrivate
    this.#inPlace.clear()
    return this.#rules.snapshot || this.#anyPrivate() ? this.#makePreImages() : null
  }

  /** Await stands only at the device. */
  async #makePreImages(): Promise<void> {
    const { pages } = this.#mirror.space
    const mine = [...this.#written].filter((vpn) => this.#isHere(vpn))
    if (this.#rules.snapshot) await this.#takeSnapshots(mine)
    const fill: Copy[] = []
    const from: number[] = []
    const home: Vpn[] = []
    for (const vpn of mine) {
      if (!this.#isPrivate(vpn)) continue
      const copy = this.#copies.get(vpn)
      if (copy !== undefined && !copy.stale) continue
      if (copy === undefined && pages.state(vpn) === PAGE.clean) {
        this.#inPlace.add(vpn)
        continue
      }
      const room = copy ?? (await this.#newCopy(vpn))
      if (room !== null) {
        fill.push(room)
        from.push(pages.frame(vpn))
      } else if (this.#rules.snapshot) throw this.#noRoom(vpn)
      else home.push(vpn)
    }
    await this.#mirror.copies.duplicate(
      from,
      fill.map((copy) => copy.frame),
    )
    for (const copy of fill) copy.stale = false
    this.privateCopies += fill.length
    if (home.length === 0) return
    home.sort((a, b) => a - b)
    await this.#mirror.writeBack(home)
    for (const vpn of home) this.#inPlace.add(vpn)
  }

  /** Some page is granted as a private one. */
  get grantsPrivate(): boolean {
    for (const vpn of this.#written)
      if (this.#isPrivate(vpn) && this.#isHere(vpn) && (this.#inPlace.has(vpn) || this.#copies.get(vpn)?.stale === false)) return true
    return false
  }

  /**
   * What the grants are now, by table index: whole entries; where there is none the default (load only) holds.
   */
  words(): Map<number, number> {
    const { vmm } = this.#mirror
    const words = new Map<number, number>()
    for (const vpn of this.#written) {
      const base = vmm.get(vpn)
      if ((base & PTE.store) === 0) continue
      if (!this.#isPrivate(vpn)) {
        words.set(vmm.indexOf(vpn), (base & ~(PTE.load | PTE.exclusive)) >>> 0)
        continue
      }
      const copy = this.#copies.get(vpn)
      const flags = (base & (PTE.mayLoad | PTE.mayStore)) | PTE.load | PTE.store | PTE.exclusive | PTE.private
      if (copy !== undefined && !copy.stale) words.set(vmm.indexOf(vpn), this.#entry(vpn, copy.frame, flags))
      else if (this.#inPlace.has(vpn)) words.set(vmm.indexOf(vpn), ((base & ~PTE_FLAGS_MASK) | flags) >>> 0)
    }
    return words
  }

  /** A pass stored to these pages. Committed: private copies become the pages. Aborted: they are undone. */
  settle(stored: readonly Vpn[], committed: boolean): void {
    const { pages } = this.#mirror.space
    for (const vpn of stored) {
      const copy = this.#copies.get(vpn)
      if (copy !== undefined && this.#isPrivate(vpn)) {
        if (committed) this.#swap(vpn, copy)
        else copy.stale = true
      } else if (this.#inPlace.has(vpn) && !committed) {
        this.#undo(vpn)
        continue
      }
      if (committed || copy === undefined) pages.markDirty(vpn)
      this.#mirror.refreshPage(vpn)
    }
  }

  /** A pass ran, and nobody knows what it stored: its report did not arrive. Pages written in place may differ from the host's, private ones are undone. */
  settleUnknown(): void {
    const { space } = this.#mirror
    for (const vpn of this.needs.keys()) {
      if (!this.wantsWrite(vpn) || !this.#isHere(vpn)) continue
      if (!this.#isPrivate(vpn)) space.pages.markDirty(vpn)
      else if (this.#inPlace.has(vpn)) this.#undo(vpn)
      this.#mirror.refreshPage(vpn)
    }
  }

  /** Gives back the frames of private copies: between passes they can always be made again. */
  releaseCopies(): void {
    for (const { frame } of this.#copies.values()) this.#mirror.dmem.free(frame)
    this.#copies.clear()
  }

  async #takeSnapshots(written: readonly Vpn[]): Promise<void> {
    const fresh = written.filter((vpn) => !this.#snapshots.has(vpn))
    const dirty = fresh.filter((vpn) => this.#mirror.space.pages.state(vpn) === PAGE.dirty)
    await this.#mirror.writeBack(dirty.sort((a, b) => a - b))
    // Not before the host has the bytes: a roll-back gives up the device's.
    for (const vpn of fresh) this.#snapshots.add(vpn)
  }

  async #newCopy(vpn: Vpn): Promise<Copy | null> {
    const { dmem } = this.#mirror
    if (dmem.available < 1 || (await dmem.reserve(1)) < 1) return null
    const copy: Copy = { frame: dmem.take(1)[0] as number, stale: true }
    this.#copies.set(vpn, copy)
    return copy
  }

  #swap(vpn: Vpn, copy: Copy): void {
    const { dmem, space } = this.#mirror
    const old = space.pages.frame(vpn)
    space.pages.moveFrame(vpn, copy.frame)
    dmem.name(copy.frame, vpn)
    dmem.free(old)
    this.#copies.delete(vpn)
  }

  /** The host's bytes are the page's before the pass. */
  #undo(vpn: Vpn): void {
    const { space, copies } = this.#mirror
    const vma = space.addresses.find(vpn)
    if (vma !== undefined) copies.upload(vma, vpn, Int32Array.of(space.pages.frame(vpn)))
  }

  #anyPrivate(): boolean {
    for (const vpn of this.#written) if (this.#isPrivate(vpn)) return true
    return false
  }

  #isPrivate(vpn: Vpn): boolean {
    const bits = this.needs.get(vpn) ?? 0
    if ((bits & NEED.exclusive) !== 0) return true
    return (bits & NEED.write) !== 0 && ((bits & NEED.read) !== 0 || this.#allPrivate)
  }

  /** Device-private on this device, and storable. */
  #isHere(vpn: Vpn): boolean {
    return (this.#mirror.vmm.get(vpn) & PTE.store) !== 0
  }

  #entry(vpn: Vpn, frame: number, flags: number): number {
    const { dmem, space } = this.#mirror
    return makePte(dmem.poolOf(frame), dmem.frameWords(frame), flags, vpn * space.geometry.pageBytes)
  }

  #noRoom(vpn: Vpn): SvmError {
    const pointer = vpn * this.#mirror.space.geometry.pageBytes
    return new SvmError(
      'working-set',
      `An atomic launch needs a private copy of the page at ${hex(pointer)}, but all ${this.#mirror.dmem.capacity} frames are in use. Launch without atomic, touch less in one launch, or raise deviceMemory.`,
      { pointer },
    )
  }
}
