// What the memory must hold: a map of bytes, page by page, that knows nothing of placement. Always: it changes only as the operations say that
// ended well; of a word that an operation which failed half way may have changed, it keeps what it may be until somebody looks.

import type { KernelMemory, KernelTwin, WorkItem } from '../src/device/twin.ts'

/** May this word be what was found, given what it was? */
type Doubt = (found: number) => boolean

export class Model {
  readonly pageBytes: number
  readonly #pages = new Map<number, Uint8Array>()
  /** By address of the word. */
  readonly #doubts = new Map<number, Doubt>()
  /** Pages that may be lost with a device: something was stored there since the host last saw them. */
  readonly exposed = new Set<number>()
  readonly lost = new Set<number>()

  constructor(pageBytes: number) {
    this.pageBytes = pageBytes
  }

  get pages(): Iterable<number> {
    return this.#pages.keys()
  }

  /** New memory: all zero, or what a pager has. */
  add(pointer: number, pages: number, bytes?: Uint8Array): void {
    for (let i = 0; i < pages; i++) {
      const page = new Uint8Array(this.pageBytes)
      if (bytes !== undefined) page.set(bytes.subarray(i * this.pageBytes, (i + 1) * this.pageBytes))
      this.#pages.set(pointer / this.pageBytes + i, page)
    }
  }

  remove(pointer: number, pages: number): void {
    for (let vpn = pointer / this.pageBytes; vpn < pointer / this.pageBytes + pages; vpn++) {
      this.#pages.delete(vpn)
      this.lost.delete(vpn)
      this.exposed.delete(vpn)
      for (let at = vpn * this.pageBytes; this.#doubts.size > 0 && at < (vpn + 1) * this.pageBytes; at += 4) this.#doubts.delete(at)
    }
  }

  has(vpn: number): boolean {
    return this.#pages.has(vpn)
  }

  read(pointer: number, byteLength: number): Uint8Array {
    const bytes = new Uint8Array(byteLength)
    this.#visit(pointer, byteLength, (page, from, to, done) => bytes.set(page.subarray(from, to), done))
    return bytes
  }

  /** Bytes that the host wrote: pages that are wholly covered are no longer lost. */
  write(pointer: number, bytes: Uint8Array): void {
    this.#visit(pointer, bytes.length, (page, from, to, done) => page.set(bytes.subarray(done, done + to - from), from))
    for (let at = pointer - (pointer % 4); this.#doubts.size > 0 && at < pointer + bytes.length; at += 4) {
      if (at >= pointer && at + 4 <= pointer + bytes.length) this.#doubts.delete(at)
    }
    for (const vpn of this.pagesOf(pointer, bytes.length)) {
      this.exposed.delete(vpn)
      if (vpn * this.pageBytes >= pointer && (vpn + 1) * this.pageBytes <= pointer + bytes.length) this.lost.delete(vpn)
    }
  }

  pagesOf(pointer: number, byteLength: number): number[] {
    const first = Math.floor(pointer / this.pageBytes)
    const end = byteLength === 0 ? first : Math.ceil((pointer + byteLength) / this.pageBytes)
    return Array.from({ length: end - first }, (_, i) => first + i)
  }

  /** What was found where the model has something: null, or the first address that is wrong. Doubts that are met end. */
  compare(pointer: number, found: Uint8Array): { address: number; found: number; expected: number } | null {
    const expected = this.read(pointer, found.length)
    if (equal(expected, found)) return null
    for (let at = 0; at < found.length; at++) {
      if (found[at] === expected[at]) continue
      const word = pointer + at - ((pointer + at) % 4)
      const doubt = this.#doubts.get(word)
      const whole = word >= pointer && word + 4 <= pointer + found.length
      const value = whole ? wordAt(found, word - pointer) : Number.NaN
      if (doubt === undefined || (whole && !doubt(value))) return { address: pointer + at, found: found[at] as number, expected: expected[at] as number }
      if (!whole) continue
      this.#visit(word, 4, (page, from, to, done) => page.set(found.subarray(word - pointer + done, word - pointer + done + to - from), from))
      this.#doubts.delete(word)
      expected.set(found.subarray(word - pointer, word - pointer + 4), word - pointer)
    }
    return null
  }

  /** Nobody knows what these bytes are now: what is found is what they are. */
  forget(pointer: number, byteLength: number): void {
    for (let at = pointer; at < pointer + byteLength; at += 4) this.#doubts.set(at, () => true)
  }

  /** Runs a kernel's twin, work-item by work-item. Returns what it stored, by word, and the words that it touched. */
  run(twin: KernelTwin, items: number, args: Record<string, number>): { stored: Map<number, number>; touched: Set<number> } {
    const memory = new ModelMemory(this)
    for (let item = 0; item < items; item++) {
      const steps = twin(itemOf(item, items), args, memory.face)
      if (typeof steps === 'object') for (const _ of steps);
    }
    return memory
  }

  /** The stores of a kernel that ended well. */
  apply(stored: ReadonlyMap<number, number>): void {
    for (const [address, value] of stored) {
      this.setWord(address, value)
      this.#doubts.delete(address)
    }
    this.expose(stored.keys())
  }

  /** Of a kernel that failed: each word is as it was, or as it was to be; a counter may be in between, by whole steps. */
  doubt(stored: ReadonlyMap<number, number>, step: number | null): void {
    for (const [address, after] of stored) {
      const before = this.word(address)
      const older = this.#doubts.get(address) ?? ((found: number) => found === before)
      const between = (found: number) => step !== null && ((found - before) >>> 0) % step === 0 && (found - before) >>> 0 <= (after - before) >>> 0
      this.#doubts.set(address, (found) => older(found) || found === after || between(found))
    }
    this.expose(stored.keys())
  }

  expose(addresses: Iterable<number>): void {
    for (const address of addresses) this.exposed.add(Math.floor(address / this.pageBytes))
  }

  word(address: number): number {
    return wordAt(this.read(address, 4), 0)
  }

  setWord(address: number, value: number): void {
    const bytes = new Uint8Array(Uint32Array.of(value).buffer)
    this.#visit(address, 4, (page, from, to, done) => page.set(bytes.subarray(done, done + to - from), from))
  }

  #visit(pointer: number, byteLength: number, visit: (page: Uint8Array, from: number, to: number, done: number) => void): void {
    for (let done = 0; done < byteLength; ) {
      const vpn = Math.floor((pointer + done) / this.pageBytes)
      const from = pointer + done - vpn * this.pageBytes
      const to = Math.min(this.pageBytes, from + byteLength - done)
      const page = this.#pages.get(vpn)
      if (page === undefined) throw new RangeError(`the model has no page ${vpn}`)
      visit(page, from, to, done)
      done += to - from
    }
  }
}

/** A kernel's view of the model. */
class ModelMemory {
  readonly stored = new Map<number, number>()
  readonly touched = new Set<number>()
  readonly face: KernelMemory

  constructor(model: Model) {
    const load = (address: number) => {
      this.touched.add(address)
      return this.stored.get(address) ?? model.word(address)
    }
    const store = (address: number, value: number) => {
      this.touched.add(address)
      this.stored.set(address, value >>> 0)
    }
    const add = (address: number, value: number) => {
      const old = load(address)
      store(address, old + value)
      return old
    }
    const face: Partial<KernelMemory> = {
      loadU32: load,
      loadPointer: (address) => load(address) + load(address + 4) * 2 ** 32,
      storeU32: store,
      atomicAddU32: add,
      silentAtomicAddU32: add,
    }
    this.face = face as KernelMemory
  }
}

function itemOf(item: number, items: number): WorkItem {
  const none = () => {
    throw new TypeError('kernels of the fuzzer use no workgroup memory')
  }
  return {
    globalId: [item, 0, 0],
    localId: [0, 0, 0],
    workgroupId: [item, 0, 0],
    numWorkgroups: [items, 1, 1],
    localIndex: 0,
    workgroupU32: none,
    workgroupAtomicAdd: none,
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return a.length === b.length
}
