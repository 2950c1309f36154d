// Device memory: frames of one page each, in pools. Compare nouveau_dmem.c; a pool is its chunk.
//
// Always: used + free = frames of the pools that exist; a frame is used at most once; a pool exists only while it has a used frame, or
// until `trim`; every used frame knows the page it holds (or that it is a private copy of a pass). The allocator is synchronous; only making
// a pool asks the device.

import type { Geometry } from '../abi/geometry.ts'
import { POOL_HEAD_BYTES } from '../abi/pool.ts'
import { assert } from '../base/assert.ts'
import type { Bytes, Vpn } from '../base/units.ts'
import { type Device, type DeviceBuffer, DeviceFailure } from '../device/device.ts'
import type { Tracer } from '../trace/tracer.ts'
import type { MemoryPlan } from './budget.ts'
import { FrameRecords } from './frame-records.ts'

interface Pool {
  readonly buffer: DeviceBuffer
  readonly first: number
  readonly frames: number
  used: number
}

export class DeviceMemory {
  readonly pageBytes: Bytes
  readonly #device: Device
  readonly #plan: MemoryPlan
  readonly #spacePages: number
  readonly #tracer: Tracer
  readonly #pools: (Pool | null)[]
  #buffers: readonly (DeviceBuffer | null)[] | null = null
  /** Of the pools that exist. */
  #frames = 0
  #poolsInUse = 1
  readonly #records = new FrameRecords()
  #tick = 0
  #used = 0
  /** Frames that the device really gives: less than planned after a pool could not be made, until `trim`. */
  #capacity: number

  constructor(device: Device, plan: MemoryPlan, geometry: Geometry, tracer: Tracer) {
    this.#device = device
    this.#plan = plan
    this.pageBytes = geometry.pageBytes
    this.#spacePages = geometry.spacePages
    this.#tracer = tracer
    this.#pools = new Array<Pool | null>(plan.poolCount).fill(null)
    this.#capacity = plan.frames
  }

  /** Bytes of records: what a frame holds, and when it was used. */
  get byteLength(): Bytes {
    return this.#records.byteLength
  }

  /** Frames that can exist under the budget. */
  get capacity(): number {
    return this.#capacity
  }

  get used(): number {
    return this.#used
  }

  /** Frames that could be taken without an eviction (pools may have to be made). */
  get available(): number {
    return this.#capacity - this.#used
  }

  /** By pool number. The same list as long as the pools are the same. */
  get poolBuffers(): readonly (DeviceBuffer | null)[] {
    this.#buffers ??= this.#pools.map((pool) => pool?.buffer ?? null)
    return this.#buffers
  }

  /** One more than the highest pool that exists; at least 1. */
  get poolsInUse(): number {
    return this.#poolsInUse
  }

  poolOf(frame: number): number {
    return Math.floor(frame / this.#plan.poolFrames)
  }

  /** Words from the start of the pool's frames, as an entry names them. */
  frameWords(frame: number): number {
    return ((frame % this.#plan.poolFrames) * this.pageBytes) / 4
  }

  buffer(frame: number): DeviceBuffer {
    const pool = this.#pools[this.poolOf(frame)]
    assert(pool !== null && pool !== undefined, `the pool of frame ${frame} exists`)
    return pool.buffer
  }

  byteOffset(frame: number): Bytes {
    return POOL_HEAD_BYTES + (frame % this.#plan.poolFrames) * this.pageBytes
  }

  /** The page in a frame; negative when it holds none. */
  vpnOf(frame: number): number {
    return this.#records.holds(frame)
  }

  /** Makes pools until `wanted` frames are free, or no more can be had; returns how many are free. @throws DeviceFailure 'lost' */
  async reserve(wanted: number): Promise<number> {
    for (let p = 0; p < this.#pools.length && this.freeNow < wanted; p++) {
      if (this.#pools[p] === null && this.#framesOfPool(p) > 0) await this.#makePool(p)
    }
    return this.freeNow
  }

  /**
   * Takes `count` free frames, unnamed. Pages (ascending) get the frames that stand in one order with all others, where those are free: a kernel that reaches
   * only such pages needs no page table. Else adjacent ones, where there are. The caller has reserved them. Compare nouveau_dmem_page_alloc_locked().
   */
  take(count: number, pages: ArrayLike<Vpn> | null = null): Int32Array {
    const taken = new Int32Array(count).fill(-1)
    this.#tick++
    const left = pages === null ? count : this.#takeInOrder(taken, pages)
    if (left > 0) this.#takeAnywhere(taken, left)
    this.#used += count
    return taken
  }

  /** Runs of pages whose frames in order are all free. Returns how many pages remain. */
  #takeInOrder(taken: Int32Array, pages: ArrayLike<Vpn>): number {
    let left = 0
    for (let from = 0; from < taken.length; ) {
      const first = pages[from] as Vpn
      let to = from + 1
      while (to < taken.length && pages[to] === first + to - from) to++
      const start = this.#placeInOrder(first, to - from)
      if (start < 0) left += to - from
      else for (let n = from; n < to; n++) this.#takeFrame(taken, n, start + n - from)
      from = to
    }
    return left
  }

  /**
   * The first of the frames that stand in order for a run of pages; negative when one of them is not there or not free. Memory is handed out from the top of
   * the space downwards, so the topmost page has the last frame of pool 0; adopted memory begins at the bottom, where page 0 has frame 0.
   */
  #placeInOrder(first: Vpn, count: number): number {
    const all = this.#frames
    if (count > all) return -1
    const below = first < this.#spacePages / 2
    // In upper memory the distance from the top counts, of the run's last page.
    let distance = (below ? first : this.#spacePages - 1 - first - count) % all
    for (const pool of this.#pools) {
      if (pool === null) continue
      if (distance < pool.frames) {
        if (distance + count > pool.frames) return -1
        const start = pool.first + (below ? distance : pool.frames - distance - count)
        for (let frame = start; frame < start + count; frame++) if (!this.#records.isFree(frame)) return -1
        return start
      }
      distance -= pool.frames
    }
    return -1
  }

  #takeAnywhere(taken: Int32Array, left: number): void {
    const found = this.#findRun(left)
    let next = 0
    const frames = found < 0 ? this.#gather(left) : null
    for (let n = 0; n < taken.length; n++) {
      if ((taken[n] as number) >= 0) continue
      this.#takeFrame(taken, n, frames === null ? found + next : (frames[next] as number))
      next++
    }
  }

  #takeFrame(taken: Int32Array, n: number, frame: number): void {
    if (!this.#records.isFree(frame)) assert(false, `frame ${frame} is free when it is taken`)
    this.#records.take(frame, this.#tick)
    const pool = this.#pools[this.poolOf(frame)] as Pool
    pool.used++
    taken[n] = frame
  }

  /** The frame now holds page `vpn`. */
  name(frame: number, vpn: Vpn): void {
    if (this.#records.isFree(frame)) assert(false, `frame ${frame} is taken when it gets a page`)
    this.#records.name(frame, vpn)
  }

  /** Compare nouveau_dmem_page_free(). The device may still read it in work already submitted: its queue keeps the order. */
  free(frame: number): void {
    if (this.#records.isFree(frame)) assert(false, `frame ${frame} is freed once`)
    this.#records.free(frame)
    ;(this.#pools[this.poolOf(frame)] as Pool).used--
    this.#used--
  }

  /** Notes that a page was asked for now. */
  touch(frame: number): void {
    this.#records.touch(frame, this.#tick)
  }

  /** Somebody said that its page will not be needed: until it is asked for again, it goes before all others. */
  cool(frame: number): void {
    this.#records.touch(frame, 0)
  }

  isCold(frame: number): boolean {
    return this.#records.lastUse(frame) === 0
  }

  /** Starts a new tick of use: what is touched after it is younger than all before. */
  advance(): void {
    this.#tick++
  }

  lastUse(frame: number): number {
    return this.#records.lastUse(frame)
  }

  /** Calls `visit` for each frame that holds a page. */
  forEachPage(visit: (frame: number, vpn: Vpn) => void): void {
    for (const pool of this.#pools) {
      if (pool === null || pool.used === 0) continue
      for (let frame = pool.first; frame < pool.first + pool.frames; frame++) {
        const vpn = this.#records.holds(frame)
        if (vpn >= 0) visit(frame, vpn)
      }
    }
  }

  /** Destroys the pools that are empty. Compare the FIXME in nouveau_dmem_page_free(): there, chunks are never given back. */
  trim(): void {
    if (this.#used === 0) this.#records.clear()
    // What the device refused once it may have another time: the next request asks anew.
    this.#capacity = this.#plan.frames
    for (let p = 0; p < this.#pools.length; p++) {
      const pool = this.#pools[p]
      if (pool === null || pool === undefined) continue
      if (pool.used > 0) {
        this.#capacity -= this.#planned(p) - pool.frames
        continue
      }
      this.#tracer.emit({ kind: 'pool', device: this.#device.label, pool: p, byteLength: pool.buffer.byteLength, made: false })
      pool.buffer.destroy()
      this.#pools[p] = null
      this.#poolsChanged()
    }
  }

  /** The device is gone, and every frame with it. */
  drop(): void {
    for (let p = 0; p < this.#pools.length; p++) {
      this.#pools[p]?.buffer.destroy()
      this.#pools[p] = null
    }
    this.#poolsChanged()
    this.#records.clear()
    this.#used = 0
  }

  /** What must hold; for tests. */
  assertCounts(): void {
    let used = 0
    for (const pool of this.#pools) {
      if (pool === null) continue
      for (let frame = pool.first; frame < pool.first + pool.frames; frame++) if (!this.#records.isFree(frame)) used++
    }
    assert(used === this.#used, `used frames (${used}) are counted right (${this.#used})`)
    for (const pool of this.#pools) {
      if (pool === null) continue
      let mine = 0
      for (let frame = pool.first; frame < pool.first + pool.frames; frame++) if (!this.#records.isFree(frame)) mine++
      assert(mine === pool.used, `used frames of a pool (${mine}) are counted right (${pool.used})`)
    }
  }

  /** Free frames of the pools that exist. */
  get freeNow(): number {
    return this.#frames - this.#used
  }

  /** A pool has come or gone. */
  #poolsChanged(): void {
    this.#buffers = null
    this.#frames = 0
    this.#poolsInUse = 1
    for (let p = 0; p < this.#pools.length; p++) {
      const pool = this.#pools[p]
      if (pool === null || pool === undefined) continue
      this.#frames += pool.frames
      this.#poolsInUse = p + 1
    }
  }

  #framesOfPool(p: number): number {
    return Math.min(this.#planned(p), this.#capacity - this.#frames)
  }

  #planned(p: number): number {
    return Math.min(this.#plan.poolFrames, this.#plan.frames - p * this.#plan.poolFrames)
  }

  /** As large as planned, or half of that, or half again: the device may have less than it promised. @throws DeviceFailure 'lost' */
  async #makePool(p: number): Promise<void> {
    const planned = this.#framesOfPool(p)
    let frames = planned
    let buffer: DeviceBuffer | null = null
    while (frames > 0 && buffer === null) {
      buffer = await this.#tryPool(p, POOL_HEAD_BYTES + frames * this.pageBytes)
      if (buffer === null) frames >>= 1
    }
    this.#capacity -= planned - frames
    if (buffer === null) return
    this.#pools[p] = { buffer, first: p * this.#plan.poolFrames, frames, used: 0 }
    this.#poolsChanged()
    this.#tracer.emit({ kind: 'pool', device: this.#device.label, pool: p, byteLength: buffer.byteLength, made: true })
  }

  async #tryPool(p: number, byteLength: Bytes): Promise<DeviceBuffer | null> {
    try {
      return await this.#device.createBuffer('pool', byteLength, `svm:pool${p}`)
    } catch (failure) {
      if (!(failure instanceof DeviceFailure) || failure.reason === 'lost') throw failure
      return null
    }
  }

  #findRun(count: number): number {
    for (const pool of this.#pools) {
      if (pool === null || pool.frames - pool.used < count) continue
      let run = 0
      for (let frame = pool.first; frame < pool.first + pool.frames; frame++) {
        run = this.#records.isFree(frame) ? run + 1 : 0
        if (run === count) return frame - count + 1
      }
    }
    return -1
  }

  #gather(count: number): Int32Array {
    const into = new Int32Array(count)
    let got = 0
    for (const pool of this.#pools) {
      if (pool === null) continue
      for (let frame = pool.first; frame < pool.first + pool.frames && got < into.length; frame++) {
        if (this.#records.isFree(frame)) into[got++] = frame
      }
    }
    assert(got === into.length, `${into.length} frames were reserved before they are taken (${got} are free)`)
    return into
  }
}
