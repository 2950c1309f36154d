// Invariants of replay, looked at from between the driver and its device (I1 to I8 of the notes on restart semantics; ARCHITECTURE.md lists them).
//
// Always: it looks and never changes; it knows the table and the control buffer by what the driver wrote to them, and the report by what came
// back, so that it works on any device. On a simulated device it also compares the bytes of every frame before and after each pass. The
// first invariant that did not hold is kept, and thrown by `finish`.

import { CONTROL, CONTROL_MODE, FAULT_HEADER_WORDS, PAGE_BITMAP, PAGE_BITMAPS, WORKGROUP_BITMAP, WORKGROUP_BITMAPS } from '../../src/abi/fault-record.ts'
import { POOL_HEAD_WORDS } from '../../src/abi/pool.ts'
import { PTE, PTE_RIGHTS, pteFrameWords, ptePool } from '../../src/abi/pte.ts'
import { forEachBit, testBit } from '../../src/base/bitmap.ts'
import { type BufferRole, type Device, type DeviceBuffer, DeviceFailure, type PassMischief, type Readback, type Work } from '../../src/device/device.ts'
import { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { KernelMemory } from '../../src/device/twin.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import type { TraceEvent } from '../../src/index.ts'
import { PAGE } from '../../src/mm/page-table.ts'
import type { TwinMemory } from '../kernels/kernel.ts'
import { loggingMemory } from './logging-memory.ts'
import { bitmap, copyOf, type Pass, same, sameMap, wordsOf } from './pass.ts'
import { watched } from './watched.ts'

type Dispatch = Extract<Work, { kind: 'dispatch' }>
type PassEvent = Extract<TraceEvent, { kind: 'pass' }>

const PAGE_WORDS = 1024

/** The frame that an entry names. */
function frameOf(entry: number, vpn: number, poolFrames: number): number {
  const address = vpn * PAGE_WORDS * 4
  return ptePool(entry, address) * poolFrames + pteFrameWords(entry, address) / PAGE_WORDS
}
const STORES = PTE.store | PTE.exclusive
const NO_REPORT = { into: new Uint8Array(0) }
/** As in driver/replay. */
const PIN_RESETS = 3

export class Monitor {
  /** What was seen, to tell that a run met what it was made for. */
  readonly seen = {
    passes: 0,
    attempt: 0,
    sealed: 0,
    resident: 0,
    direct: 0,
    proven: 0,
    aborted: 0,
    faults: 0,
    hints: 0,
    evictions: 0,
    replayed: 0,
    privatePages: 0,
    idle: 0,
    refused: 0,
  }
  /** Links of chains that were sent. */
  readonly links = { attempt: 0, sealed: 0, resident: 0, direct: 0, proven: 0, narrowed: 0 }
  /** The first invariant that did not hold. */
  broken: Error | null = null
  #mirror!: Mirror
  #sim: SimDevice | null = null
  readonly #shadows = new WeakMap<DeviceBuffer, Uint8Array>()
  #last: Pass | null = null
  #transactional = false
  /** The last pass was sealed, and refused. */
  #refused = false
  readonly #done = new Set<number>()
  readonly #needs = new Map<number, number>()
  /** Pages that were here, and withheld until somebody asked. */
  readonly #asked = new Set<number>()
  /** Dirty pages, and where they are on the device. */
  readonly #dirty = new Map<number, { buffer: DeviceBuffer; offset: number }>()
  #reads: Readback[] = []
  /** Words that unpoisoned work-items stored to in this pass, or chain. */
  #stored = new Set<number>()
  /** Who stored last to each of them. */
  #storedBy = new Map<number, number>()
  /** The same of all passes of the launch, without what went to private pages. */
  readonly #inPlace = new Map<number, number>()
  /** Workgroups that their twins saw poisoned in this pass. */
  #poisoned = new Set<number>()
  /** Of the chain that runs: where its pages were when it began, and the entries that its links may store by. */
  #chain: { readonly frames: ReadonlyMap<number, number>; readonly writable: Set<number> } | null = null
  /** Of the last pass, if nobody retired in it: whether the pins grew, and the rights of the pages that were here. */
  #idle: { readonly pinsGrew: boolean; readonly rights: ReadonlyMap<number, number> } | null = null
  /** What the lead touched since it was the lead. */
  readonly #touched = new Set<number>()
  #touchedBy = -1
  #acts = 0
  /** The next window must have fewer workgroups. */
  #below = Number.POSITIVE_INFINITY
  #lead = -1
  #idleAlone = 0

  /** The device to open the space on, on a real device with mischief: a simulated one has its own. Where the text is not read, no reach is known. */
  watch<T extends Device>(device: T, mischief?: { passes: PassMischief; refuses: (role: BufferRole) => boolean; readsText: boolean }): T {
    this.#sim = device instanceof SimDevice ? device : null
    return watched(device, {
      ...(mischief === undefined ? {} : { passMischief: mischief.passes, runsText: mischief.readsText }),
      createBuffer: async (role, byteLength, label) => {
        if (mischief?.refuses(role)) throw new DeviceFailure('no-memory', `this ${role} is refused`)
        return device.createBuffer(role, byteLength, label)
      },
      write: (buffer, offset, bytes) => {
        if (buffer.role === 'table' || buffer.role === 'control') this.#shadow(buffer).set(bytes, offset)
        device.write(buffer, offset, bytes)
      },
      submit: (work, readbacks = [], again = false) => {
        for (const one of readbacks) if (one.from.role === 'pool') this.#reads.push(one)
        const dispatches = work.filter((one) => one.kind === 'dispatch')
        const [dispatch] = dispatches
        if (dispatch === undefined) return device.submit(work, readbacks, again)
        if (dispatch.bindings.window !== undefined) return this.#segment(device, dispatches, work, readbacks)
        return this.#pass(device, dispatch, work, readbacks, again)
      },
    })
  }

  attach(mirror: Mirror): void {
    this.#mirror = mirror
  }

  /** A launch failed: what it gives up is not read back. */
  failed(): void {
    this.#noteDirty()
  }

  /** Workgroups that have retired in this launch. */
  get retired(): ReadonlySet<number> {
    return this.#done
  }

  /** The last to store to this word, not counting private copies, has not retired: it may have stored or not. */
  isUnsettled(address: number): boolean {
    const by = this.#inPlace.get(address)
    return by !== undefined && !this.#done.has(by)
  }

  #noteInPlace(pass: Pass): void {
    for (const [address, by] of this.#storedBy) {
      const index = this.#mirror.vmm.indexOf(Math.floor(address / (PAGE_WORDS * 4)))
      if ((this.#entry(pass, index) & PTE.private) === 0) this.#inPlace.set(address, by)
    }
  }

  /** A launch begins. */
  begin({ transactional }: { transactional: boolean }): void {
    this.#transactional = transactional
    this.#inPlace.clear()
    this.#forget()
    this.#noteDirty()
  }

  #forget(): void {
    this.#last = null
    this.#done.clear()
    this.#needs.clear()
    this.#asked.clear()
    this.#refused = false
    this.#idle = null
    this.#touched.clear()
    this.#touchedBy = -1
    this.#below = Number.POSITIVE_INFINITY
    this.#lead = -1
  }

  /** The memory of one work-item of a twin, with its stores logged, and whether its workgroup was poisoned. */
  memory(inner: KernelMemory, workgroup: number): TwinMemory {
    const [poisoned, stored, storedBy] = [this.#poisoned, this.#stored, this.#storedBy]
    const add = (at: number) => {
      stored.add(at)
      storedBy.set(at, workgroup)
    }
    return loggingMemory(inner, { add }, () => poisoned.add(workgroup))
  }

  /**
   * A round begins (before any mischief): I6 of the one before. A pin is a page with a kind of access that a workgroup wants, or a page that it
   * touched: of the workgroup that is alone, or of any in the window. Whoever is pinned and not here must be brought.
   * @param acts what mischief has done so far: where some was done to a round, that may have undone what the round did
   */
  round(acts: number): void {
    const last = this.#last
    const disturbed = acts !== this.#acts
    this.#acts = acts
    if (last === null || this.#idle === null) return
    const [lead] = last.workgroups
    const alone = last.workgroups.length === 1
    // For one that is alone to bring what it had already is no progress.
    if (alone ? this.#idle.pinsGrew || disturbed : this.#idle.pinsGrew || this.#served(this.#idle.rights)) return
    // What remains then is a smaller window, and for a lead that is alone already, to draw its pins anew: three times at most.
    this.seen.idle++
    if (!alone) this.#below = last.workgroups.length
    else {
      this.#idleAlone = this.#lead === lead ? this.#idleAlone + 1 : 1
      this.#expect('I6', this.#idleAlone <= PIN_RESETS, () => `workgroup ${lead} is alone, and rounds do nothing for it`)
    }
    this.#lead = lead
  }

  /** Some page has a right that it had not. */
  #served(before: ReadonlyMap<number, number>): boolean {
    for (const [vpn, rights] of this.#rights()) if ((rights & ~(before.get(vpn) ?? 0)) !== 0) return true
    return false
  }

  #rights(): Map<number, number> {
    const rights = new Map<number, number>()
    this.#mirror.dmem.forEachPage((_frame, vpn) => rights.set(vpn, this.#mirror.vmm.get(vpn) & PTE_RIGHTS))
    return rights
  }

  /** For the trace of the space. */
  event(event: TraceEvent): void {
    if (event.kind === 'pass') this.#settled(event)
    else if (event.kind === 'evict') {
      this.seen.evictions += event.pages
      this.#checkWrittenBack()
    } else if (event.kind === 'migrate' && event.why === 'host-access') {
      // The host may have taken pages to write all of them: then nobody reads them back.
      this.#noteDirty()
    } else if (event.kind === 'dispatch') {
      const total = this.#last?.total ?? 0
      this.#expect('I3', this.#done.size === total, () => `${this.#done.size} of ${total} workgroups retired`)
      this.#forget()
    } else if (event.kind === 'chain') this.#noteDirty()
  }

  /** @throws Error the first invariant that did not hold */
  finish(): void {
    if (this.broken !== null) throw this.broken
  }

  #expect(invariant: string, holds: boolean, sentence: () => string): void {
    if (!holds) this.broken ??= new Error(`${invariant}: ${sentence()}`)
  }

  #shadow(buffer: DeviceBuffer): Uint8Array {
    const known = this.#shadows.get(buffer) ?? new Uint8Array(buffer.byteLength)
    this.#shadows.set(buffer, known)
    return known
  }

  async #pass(device: Device, dispatch: Dispatch, work: readonly Work[], readbacks: readonly Readback[], again: boolean): Promise<void> {
    const report = readbacks.find(({ from, offset }) => from === dispatch.bindings.faults && offset === 0)
    if (report === undefined) throw new Error('a pass reads its report back')
    const pass = this.#begin(dispatch, report)
    const { length } = pass.workgroups
    this.#expect(
      'I6',
      length < this.#below,
      () => `a round retired nobody, learned nothing and served nothing, and the next one has ${length} workgroups all the same`,
    )
    this.#below = Number.POSITIVE_INFINITY
    this.#checkFrames(pass)
    this.#stored = new Set()
    this.#storedBy = new Map()
    this.#poisoned = new Set()
    const copies = this.#sim === null ? [] : this.#copiesOf(pass)
    // Also where the report does not arrive.
    await device.submit(copies.length === 0 ? work : [...copies, ...work], readbacks, again).finally(() => this.#noteInPlace(pass))
    this.#last = pass
    this.#checkConstant(pass, dispatch)
    this.#checkStores(pass)
  }

  /**
   * A submission of a chain. The driver does not wait for one before it writes what the next is told, so what held on a simulated device is
   * copied aside in its work, before and after.
   */
  async #segment(device: Device, dispatches: readonly Dispatch[], work: readonly Work[], readbacks: readonly Readback[]): Promise<void> {
    if (work[0]?.kind === 'clear') {
      this.#stored = new Set()
      this.#chain = { frames: this.#frames(), writable: new Set() }
    }
    const chain = this.#chain
    if (chain === null) throw new Error('the first submission of a chain clears the report')
    const passes = new Map(dispatches.map((dispatch) => [dispatch.bindings.table, this.#begin(dispatch, readbacks[0] ?? NO_REPORT)]))
    for (const { program, bindings } of dispatches) {
      this.links[program.descriptor.variant]++
      // It goes by a table of the chain's own, though it cannot fault.
      if (program.descriptor.variant === 'resident' && bindings.table.label === 'svm:chain') this.links.narrowed++
      if (program.descriptor.proven === true) this.links.proven++
    }
    for (const pass of passes.values()) {
      this.#checkFrames(pass)
      for (let index = 0; index < this.#entries(pass); index++) if ((this.#entry(pass, index) & STORES) !== 0) chain.writable.add(index)
    }
    if (this.#sim === null) await device.submit(work, readbacks)
    else await this.#aside(this.#sim, passes, work, readbacks)
    const [last] = passes.values()
    if (readbacks.length === 0 || last === undefined) return
    this.#expect('I1', sameMap(this.#frames(), chain.frames), () => 'a page moved while a chain ran')
    forEachBit(bitmap(last, FAULT_HEADER_WORDS, PAGE_BITMAP.dirty, true), (index) => {
      this.#expect('I2', chain.writable.has(index), () => `page ${this.#mirror.vmm.vpnOf(index)} was stored to without the right`)
    })
  }

  /** I1 and I2 of a submission of a chain, by what the device had before it and after it. */
  async #aside(sim: SimDevice, passes: ReadonlyMap<DeviceBuffer, Pass>, work: readonly Work[], readbacks: readonly Readback[]): Promise<void> {
    const [any] = passes.values()
    const tables = [...passes].map(([buffer, { table }]) => ({ buffer, table, now: new Uint32Array(table.length) }))
    const stored = this.#stored
    const now = any.before.map((words) => (words === null ? null : new Uint32Array(words.length)))
    const after = tables.map(({ buffer, now: into }) => copyOf(sim, buffer, into))
    await sim.submit([...this.#copiesOf(any), ...work, ...after, ...this.#copiesOf({ ...any, before: now })], readbacks)
    for (const { table, now: then } of tables) this.#expect('I1', same(then, table), () => 'a table is not what the driver wrote before the submission')
    this.#checkWords([...passes.values()], now, stored)
  }

  #begin({ bindings, program, at }: Dispatch, { into }: Pick<Readback, 'into'>): Pass {
    const control = this.#words(bindings.control).subarray((at?.control ?? 0) / 4)
    const pools = [...this.#mirror.dmem.poolBuffers]
    const listed = (control[CONTROL.mode] & CONTROL_MODE.worklist) !== 0
    const workgroup = (slot: number) => (listed ? control[control[CONTROL.worklist] + slot] : control[CONTROL.firstWorkgroup] + slot)
    return {
      variant: program.descriptor.variant,
      proven: program.descriptor.proven === true,
      transactional: this.#transactional,
      table: this.#words(bindings.table),
      control,
      workgroups: Array.from({ length: control[CONTROL.slots] }, (_, slot) => workgroup(slot)),
      total: control[CONTROL.workgroupsX] * control[CONTROL.workgroupsY] * control[CONTROL.workgroupsZ],
      pools,
      frames: this.#frames(),
      before: this.#sim === null ? [] : pools.map((pool) => (pool === null ? null : new Uint32Array(pool.byteLength / 4))),
      report: new Uint32Array(into.buffer, into.byteOffset, into.byteLength / 4),
    }
  }

  #words(buffer: DeviceBuffer): Uint32Array {
    return new Uint32Array(this.#shadow(buffer).slice().buffer)
  }

  #frames(): Map<number, number> {
    const frames = new Map<number, number>()
    this.#mirror.dmem.forEachPage((frame, vpn) => frames.set(vpn, frame))
    return frames
  }

  #copiesOf({ pools, before }: Pick<Pass, 'pools' | 'before'>): Work[] {
    return pools.flatMap((pool, n) => {
      const words = before[n]
      if (pool === null || words === null || this.#sim === null) return []
      return [copyOf(this.#sim, pool, words)]
    })
  }

  /** What counts for a page in a pass. */
  #entry({ table }: Pass, index: number): number {
    return table[index]
  }

  #entries({ control, table }: Pass): number {
    return Math.min(table.length, control[CONTROL.pageWords] * 32)
  }

  /** I8: no frame is mapped twice. */
  #checkFrames(pass: Pass): void {
    const { vmm, dmem, plan } = this.#mirror
    const owner = new Map<number, number>()
    for (let index = 0; index < this.#entries(pass); index++) {
      const entry = this.#entry(pass, index)
      if ((entry & PTE_RIGHTS) === 0) continue
      if ((entry & PTE.private) !== 0) this.seen.privatePages++
      const frame = frameOf(entry, vmm.vpnOf(index), plan.poolFrames)
      const other = owner.get(frame)
      owner.set(frame, index)
      this.#expect('I8', other === undefined, () => `frame ${frame} is mapped by entries ${other} and ${index}`)
      const holds = dmem.vpnOf(frame)
      this.#expect(
        'I8',
        holds === vmm.vpnOf(index) || (holds < 0 && (entry & PTE.private) !== 0),
        () => `frame ${frame} holds page ${holds}, not that of entry ${index}`,
      )
    }
  }

  /** I1: table, control and frames are as they were when the pass began. */
  #checkConstant(pass: Pass, { bindings }: Dispatch): void {
    const { table, control } = bindings
    for (const [name, buffer, then] of [['table', table, pass.table] as const, ['control', control, pass.control] as const]) {
      this.#expect('I1', same(this.#words(buffer), then), () => `the driver wrote to the ${name} while a pass ran`)
      if (this.#sim === null) continue
      const { bytes } = { bytes: this.#sim.peek(buffer) }
      const now = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
      this.#expect('I1', same(now, then), () => `the ${name} of the device is not what the driver wrote`)
    }
    const frames = this.#frames()
    const moved = [...pass.frames].find(([vpn, frame]) => frames.get(vpn) !== frame)
    this.#expect('I1', frames.size === pass.frames.size && moved === undefined, () => `page ${moved?.[0]} moved while a pass ran`)
  }

  /** I2: what changed was stored by an unpoisoned work-item, with the right to. */
  #checkStores(pass: Pass): void {
    const { vmm } = this.#mirror
    forEachBit(bitmap(pass, FAULT_HEADER_WORDS, PAGE_BITMAP.dirty, true), (index) => {
      const entry = this.#entry(pass, index)
      this.#expect('I2', (entry & STORES) !== 0, () => `page ${vmm.vpnOf(index)} was stored to without the right`)
    })
    const sim = this.#sim
    if (sim === null) return
    this.#checkWords(
      [pass],
      pass.pools.map((pool) => (pool === null ? null : wordsOf(sim.peek(pool)))),
      this.#stored,
    )
  }

  /** @param after what the pools hold after passes that had these tables, all with the same pools */
  #checkWords(passes: readonly Pass[], after: readonly (Uint32Array | null)[], stored: ReadonlySet<number>): void {
    const { vmm, plan } = this.#mirror
    const writable = new Map<number, number>()
    for (const pass of passes) {
      for (let index = 0; index < this.#entries(pass); index++) {
        const entry = this.#entry(pass, index)
        if ((entry & STORES) !== 0) writable.set(frameOf(entry, vmm.vpnOf(index), plan.poolFrames), vmm.vpnOf(index))
      }
    }
    const [{ before }] = passes
    after.forEach((now, n) => {
      const then = before[n]
      if (now === null || then === null) return
      for (let word = POOL_HEAD_WORDS; word < now.length; word++) {
        if (now[word] === then[word]) continue
        const vpn = writable.get(n * plan.poolFrames + Math.floor((word - POOL_HEAD_WORDS) / PAGE_WORDS))
        this.#expect('I2', vpn !== undefined, () => `word ${word} of pool ${n} changed, which no entry lets a kernel change`)
        const address = (vpn ?? 0) * PAGE_WORDS * 4 + ((word - POOL_HEAD_WORDS) % PAGE_WORDS) * 4
        this.#expect('I2', stored.has(address), () => `the word at ${address} changed, and no unpoisoned work-item stored to it`)
      }
    })
  }

  /** The driver has drawn its conclusions from the last pass. */
  #settled(event: PassEvent): void {
    const pass = this.#last
    if (pass === null) return
    this.seen.passes++
    this.seen[pass.variant]++
    if (pass.proven) this.seen.proven++
    this.seen.faults += event.faults
    this.seen.hints += event.hints
    if (event.aborted) this.seen.aborted++
    const retired = this.#checkRetired(pass, event)
    const news = this.#learn(pass)
    if (event.aborted) this.#checkUndone(pass)
    const touched = this.#touch(pass)
    // A sealed pass that was refused tells nothing: the next one is an attempt.
    this.#expect('I6', pass.variant !== 'sealed' || !this.#refused, () => 'a sealed pass followed one that was refused')
    this.#refused = pass.variant === 'sealed' && event.retired < event.workgroups
    if (this.#refused) this.seen.refused++
    this.#idle = this.#refused || retired > 0 ? null : { pinsGrew: news || touched, rights: this.#rights() }
    this.#noteDirty()
  }

  /** I3: who retired took no fault, and runs no more; who must run again does. */
  #checkRetired(pass: Pass, event: PassEvent): number {
    const bits = (n: number) => bitmap(pass, FAULT_HEADER_WORDS, n, false)
    const [faulted, touched, dirty] = [bits(WORKGROUP_BITMAP.faulted), bits(WORKGROUP_BITMAP.touched), bits(WORKGROUP_BITMAP.dirty)]
    const slots = pass.workgroups.map((_, slot) => slot)
    const sealed = pass.variant === 'sealed'
    const anyPrivate = sealed && pass.table.some((entry) => (entry & PTE.private) !== 0)
    const aborted = slots.some((slot) => testBit(faulted, slot) && (anyPrivate || pass.transactional || testBit(dirty, slot)))
    this.#expect('I3', (pass.variant !== 'attempt' && !sealed) || aborted === event.aborted, () => `the pass ${aborted ? 'must be' : 'need not be'} dropped`)
    let retired = 0
    for (const slot of slots) {
      const workgroup = pass.workgroups[slot]
      this.#expect('I3', !this.#done.has(workgroup), () => `workgroup ${workgroup} ran again after it had retired`)
      if (testBit(faulted, slot) || (aborted && (sealed || pass.transactional || testBit(touched, slot)))) {
        this.seen.replayed++
        continue
      }
      this.#expect('I3', !this.#poisoned.has(workgroup), () => `workgroup ${workgroup} retired, and one of its work-items was poisoned`)
      this.#done.add(workgroup)
      retired++
    }
    this.#expect('I3', retired === event.retired, () => `${event.retired} workgroups retired, and ${retired} took no fault`)
    return retired
  }

  /** What the driver was told that it did not know: after truncation. */
  #learn(pass: Pass): boolean {
    let news = false
    for (let kind = PAGE_BITMAP.read; kind <= PAGE_BITMAP.hintExclusive; kind++) {
      forEachBit(bitmap(pass, FAULT_HEADER_WORDS, kind, true), (index) => {
        const vpn = this.#mirror.vmm.vpnOf(index)
        const known = this.#needs.get(vpn) ?? 0
        const bit = 1 << (kind % 3)
        if ((known & bit) === 0) news = true
        this.#needs.set(vpn, known | bit)
        // Where not all fits, what is here is asked for once.
        const withheld = (pass.table[index] & PTE_RIGHTS) === 0 && (this.#mirror.vmm.get(vpn) & PTE.load) !== 0
        if (withheld && !this.#asked.has(vpn)) news = true
        if (withheld) this.#asked.add(vpn)
      })
    }
    // Misses of a sparse table have no bit; they are records at the end of the report.
    const misses = FAULT_HEADER_WORDS + WORKGROUP_BITMAPS * pass.control[CONTROL.workgroupWords] + PAGE_BITMAPS * pass.control[CONTROL.pageWords]
    return news || pass.report.subarray(misses).some((word) => word !== 0)
  }

  /** Whether the lead touched a page, hits included, that it had not touched since it was the lead. */
  #touch(pass: Pass): boolean {
    const [lead] = pass.workgroups
    if (lead !== this.#touchedBy) this.#touched.clear()
    this.#touchedBy = lead
    const { size } = this.#touched
    forEachBit(bitmap(pass, FAULT_HEADER_WORDS, PAGE_BITMAP.lead, true), (index) => this.#touched.add(this.#mirror.vmm.vpnOf(index)))
    return this.#touched.size > size
  }

  /** I4: after a dropped pass, private pages (of a transactional kernel, all pages) hold what they held before it. */
  #checkUndone(pass: Pass): void {
    if (this.#sim === null) return
    const { vmm, dmem } = this.#mirror
    for (const [vpn, frame] of pass.frames) {
      if (!pass.transactional && (this.#entry(pass, vmm.indexOf(vpn)) & PTE.private) === 0) continue
      const now = this.#mirror.frameOf(vpn)
      this.#expect('I4', now >= 0, () => `page ${vpn} is gone after a dropped pass`)
      if (now < 0) continue
      const then = (pass.before[dmem.poolOf(frame)] as Uint32Array).subarray(POOL_HEAD_WORDS + dmem.frameWords(frame)).subarray(0, PAGE_WORDS)
      const words = wordsOf(this.#sim.peek(dmem.buffer(now)))
        .subarray(dmem.byteOffset(now) / 4)
        .subarray(0, PAGE_WORDS)
      this.#expect('I4', same(words, then), () => `page ${vpn} differs after a dropped pass`)
    }
  }

  /** I8: what was read back is what the host has now. */
  #checkHome(vpn: number, bytes: Uint8Array): void {
    const { space } = this.#mirror
    const vma = space.addresses.find(vpn)
    const home = vma === undefined ? null : space.hostRun(vma, vpn, 1)
    this.#expect('I8', home !== null && bytes.every((byte, i) => byte === home[i]), () => `page ${vpn} was evicted, and the host has other bytes`)
  }

  #noteDirty(): void {
    const { dmem, space } = this.#mirror
    this.#reads = []
    this.#dirty.clear()
    dmem.forEachPage((frame, vpn) => {
      if (space.pages.state(vpn) === PAGE.dirty) this.#dirty.set(vpn, { buffer: dmem.buffer(frame), offset: dmem.byteOffset(frame) })
    })
  }

  /** I8: a dirty page that left was read back. */
  #checkWrittenBack(): void {
    for (const [vpn, { buffer, offset }] of this.#dirty) {
      if (this.#mirror.space.pages.isDevicePrivate(vpn)) continue
      const read = this.#reads.find((one) => one.from === buffer && one.offset <= offset && one.offset + one.into.byteLength >= offset + PAGE_WORDS * 4)
      this.#expect('I8', read !== undefined, () => `page ${vpn} was dirty, and was evicted without being read back`)
      if (read !== undefined) this.#checkHome(vpn, read.into.subarray(offset - read.offset, offset - read.offset + PAGE_WORDS * 4))
      this.#dirty.delete(vpn)
    }
  }
}
