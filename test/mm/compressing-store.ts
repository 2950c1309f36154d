// A user of migrate that is no GPU: pages leave the host for a store that keeps them deflated, as zswap does. It has an owner's number and
// frames like a device, and no page table. Always: `frames` holds exactly the pages that are the store's; what it takes or gives back it can
// be stopped in between (`pause`), and then failure leaves every page where it was.

import { deflateSync, inflateSync } from 'node:zlib'
import type { Vpn } from '../../src/base/units.ts'
import { type MigrateArgs, migrateFinalize, migratePages, migrateSetup, SELECT, SRC, skip } from '../../src/mm/migrate.ts'
import { PAGE } from '../../src/mm/page-table.ts'
import type { PageOwner, Space } from '../../src/mm/space.ts'
import type { Vma } from '../../src/mm/vma.ts'

export class CompressingStore implements PageOwner {
  readonly label = 'compressing store'
  readonly memory: number
  readonly frames = new Map<number, Uint8Array>()
  /** Pages it takes at most. */
  capacity = Number.POSITIVE_INFINITY
  /** Awaited between setup and copy: others may run, or it may throw. */
  pause: () => Promise<void> = async () => undefined
  readonly #space: Space
  #next = 0

  constructor(space: Space) {
    this.#space = space
    this.memory = space.addOwner(this)
  }

  get byteLength(): number {
    let sum = 0
    for (const frame of this.frames.values()) sum += frame.length
    return sum
  }

  /** Takes pages of the host, as many as there is room for. */
  async take(vma: Vma, start: Vpn, end: Vpn, select: number = SELECT.system): Promise<MigrateArgs> {
    const args = migrateSetup({ space: this.#space, vma, start, end, owner: this, select, to: 'owner' })
    await this.#guarded(args, () => {
      for (let i = 0; i < args.src.length; i++) {
        if (((args.src[i] as number) & SRC.migrate) === 0) continue
        if (this.frames.size === this.capacity) skip(args, 'no-memory')
        else args.dst[i] = this.#put(this.#bytesFor(args, i))
      }
    })
    return args
  }

  /** Gives back pages of its own; somebody else's are not taken from him. */
  async give(vma: Vma, start: Vpn, end: Vpn): Promise<MigrateArgs> {
    const args = migrateSetup({ space: this.#space, vma, start, end, owner: this, select: SELECT.devicePrivate, to: 'host' })
    await this.#guarded(args, () => {
      for (let i = 0; i < args.src.length; i++) {
        if (((args.src[i] as number) & SRC.dirty) === 0) continue
        this.#hostBytes(args, i).set(inflateSync(this.frames.get(args.dst[i] as number) as Uint8Array))
      }
    })
    return args
  }

  async migrateToRam(pages: readonly Vpn[]): Promise<void> {
    for (const vpn of pages) {
      const vma = this.#space.addresses.find(vpn)
      if (vma !== undefined) await this.give(vma, vpn, vpn + 1)
    }
  }

  pageFree(frame: number): void {
    if (!this.frames.delete(frame)) throw new Error(`frame ${frame} is freed once`)
  }

  invalidate(): null {
    return null
  }

  /** From now on only the store has these pages: what the host still holds is scribbled over. */
  forgetHostBytes(vma: Vma, start: Vpn, end: Vpn): void {
    for (let vpn = start; vpn < end; vpn++) {
      if (this.#space.pages.state(vpn) !== PAGE.clean) continue
      this.#space.hostRun(vma, vpn, 1)?.fill(0xee)
      this.#space.pages.markDirty(vpn)
    }
  }

  async #guarded(args: MigrateArgs, copy: () => void): Promise<void> {
    try {
      await this.pause()
      copy()
      migratePages(args)
    } catch (failure) {
      if (args.to === 'owner') for (const frame of args.dst) if (frame >= 0) this.frames.delete(frame)
      args.dst.fill(-1)
      migratePages(args)
      throw failure
    } finally {
      migrateFinalize(args)
    }
  }

  #bytesFor(args: MigrateArgs, i: number): Uint8Array {
    const src = args.src[i] as number
    if ((src & SRC.moves) !== 0) return inflateSync(this.frames.get(this.#space.pages.frame(args.start + i)) as Uint8Array)
    return (src & SRC.zero) !== 0 ? new Uint8Array(this.#space.geometry.pageBytes) : this.#hostBytes(args, i)
  }

  #hostBytes(args: MigrateArgs, i: number): Uint8Array {
    return (this.#space.hostRun(args.vma, args.start + i, 1) as Uint8Array).subarray(0, this.#space.geometry.pageBytes)
  }

  #put(bytes: Uint8Array): number {
    this.frames.set(this.#next, deflateSync(bytes))
    return this.#next++
  }
}
