// What must hold of a space, looked at from the inside. Always: a check looks and never changes; it is named by the number of its invariant
// (fuzz/invariants.ts), and is counted each time that it looked at something that could have been wrong; the first that failed is kept, since
// who stands around it may swallow the error.
//
// `always` holds whenever nobody runs, also in the middle of operations that wait; `atRest` when nothing is under way; `watch` looks at every
// invalidation while it happens.

import { PTE, PTE_FLAGS_MASK, PTE_RIGHTS } from '../src/abi/pte.ts'
import type { Vpn } from '../src/base/units.ts'
import { SimDevice } from '../src/device/sim/sim-device.ts'
import type { Mirror } from '../src/driver/svmm.ts'
import type { LocalPort } from '../src/drm/local-port.ts'
import type { Invalidation, Subscription, Ticket } from '../src/mm/notifier.ts'
import { PAGE } from '../src/mm/page-table.ts'
import { deviceMayRead, deviceMayWrite, type Vma } from '../src/mm/vma.ts'

/** An invariant does not hold. */
export class Broken extends Error {
  readonly invariant: number

  constructor(invariant: number, sentence: string) {
    super(`invariant ${invariant}: ${sentence}`)
    this.name = 'Broken'
    this.invariant = invariant
  }
}

const STATES = 8
/** Pages of a hole that are looked at. */
const HOLE_MAX = 256

export class Checker {
  /** How often each invariant was checked, by its number. */
  readonly counts: Map<number, number>
  readonly #port: LocalPort
  readonly #budget: number
  /** The first that did not hold. */
  broken: Broken | null = null
  #sequence = 0

  /** `budget`: the bytes that each device may hold, as the program asked. */
  constructor(port: LocalPort, budget: number, counts = new Map<number, number>()) {
    this.#port = port
    this.#budget = budget
    this.counts = counts
  }

  /** Those that are not released: what was released sees nothing any more. */
  get mirrors(): Mirror[] {
    return this.#port.mirrors.filter(({ memory }) => !this.#port.isReleased(memory))
  }

  /** Counts one check of each of these, made by somebody else. */
  note(...ids: readonly number[]): void {
    for (const id of ids) this.counts.set(id, (this.counts.get(id) ?? 0) + 1)
  }

  expect(id: number, holds: boolean, sentence: () => string): void {
    this.note(id)
    if (holds) return
    const broken = new Broken(id, sentence())
    this.broken ??= broken
    throw broken
  }

  /** Whenever nobody runs. `busy`: operations are under way. */
  always(busy: boolean): void {
    const { space } = this.#port
    const { mirrors } = this
    const { sequence } = space.notifiers
    this.expect(26, sequence >= this.#sequence && (sequence & 1) === 0, () => `the sequence is ${sequence} after ${this.#sequence}`)
    this.#sequence = sequence
    for (const mirror of mirrors) this.#allocator(mirror)
    const frames = this.#port.mirrors.map(() => new Set<number>())
    for (const vma of space.addresses.vmas) for (let vpn = vma.start; vpn < vma.end; vpn++) this.#page(vma, vpn, busy, frames)
    const top = space.geometry.spacePages - 1
    for (const { vmm } of mirrors) this.expect(22, vmm.get(0) === 0 && vmm.get(top) === 0, () => 'the first and the topmost page are never mapped')
  }

  #allocator({ dmem, device, label }: Mirror): void {
    let wrong = ''
    try {
      dmem.assertCounts()
    } catch (error) {
      wrong = String((error as Error).message)
    }
    this.expect(43, wrong === '', () => wrong)
    dmem.forEachPage((frame, vpn) =>
      this.expect(44, this.#port.space.addresses.find(vpn) !== undefined, () => `frame ${frame} of ${label} holds no mapped page`),
    )
    this.expect(47, dmem.used <= dmem.capacity, () => `${dmem.used} of ${dmem.capacity} frames of ${label} are used`)
    this.expect(47, device.liveBytes <= this.#budget, () => `${label} holds ${device.liveBytes} bytes, and ${this.#budget} were asked for`)
  }

  /** Where nothing is mapped there is no page, and no byte of a pager. */
  #holes(): void {
    const { addresses, cache, geometry, pages } = this.#port.space
    pages.forEachTouched({ start: 0, end: geometry.spacePages }, (start, end) => {
      for (let vpn = start; vpn < end; vpn++) {
        if (addresses.find(vpn) !== undefined) continue
        this.expect(8, pages.state(vpn) === PAGE.none, () => `page ${vpn} is not mapped, and is ${pages.print(vpn)}`)
        this.expect(8, !cache.has(vpn), () => `page ${vpn} is not mapped, and its bytes are in the cache`)
      }
    })
  }

  #page(vma: Vma, vpn: Vpn, busy: boolean, frames: readonly Set<number>[]): void {
    const { space } = this.#port
    const { mirrors } = this
    const { pages } = space
    const state = pages.state(vpn)
    const say = (text: string) => () => `page ${vpn} (${pages.print(vpn)}) ${text}`
    this.expect(9, state >= 0 && state < STATES, say('is in no known state'))
    if (!busy) this.expect(12, state !== PAGE.migrating, say('migrates, and nobody is at it'))
    const isPrivate = pages.isDevicePrivate(vpn)
    const hold = space.hostMappings.count === 0 ? 'none' : space.hostMappings.holdOn(vpn)
    if (hold !== 'none') this.expect(14, !(isPrivate || state === PAGE.migrating), say('is mapped by the host and moves or is a device’s'))
    let exclusive = 0
    let seeing = 0
    for (const mirror of mirrors) {
      const pte = mirror.vmm.get(vpn)
      if ((pte & PTE.mayStore) !== 0) this.expect(10, deviceMayWrite(vma), say(`may be stored to by ${mirror.label}, and its mapping is read-only`))
      if (state === PAGE.migrating) this.expect(19, (pte & PTE_RIGHTS) === 0, say(`migrates, and ${mirror.label} still has rights to it`))
      if (isPrivate && pages.memory(vpn) !== mirror.memory) this.expect(21, (pte & PTE_RIGHTS) === 0, say(`is another’s, and ${mirror.label} has rights to it`))
      // A page that does not move keeps its entry, also while others of its range do.
      if (state !== PAGE.migrating && mirror.vmm.covers(vpn) && mirror.device.lostReason === null) {
        const right = mirror.entryFor(vma, vpn)
        this.expect(4, pte === right, say(`has the entry ${pte} of ${mirror.label}, and not ${right}`))
      }
      const frame = mirror.frameOf(vpn)
      if (frame >= 0) {
        const mine = frames[mirror.memory] as Set<number>
        this.expect(5, !mine.has(frame), say(`shares frame ${frame} of ${mirror.label}`))
        mine.add(frame)
      }
      if ((pte & PTE_RIGHTS) === 0) continue
      seeing++
      if ((pte & PTE.exclusive) !== 0) exclusive++
      this.#entry(mirror, vma, vpn, hold, say)
    }
    if (exclusive > 0) this.expect(54, seeing === 1, say(`is exclusive to a device, and ${seeing} see it`))
  }

  /** An entry with a right. */
  #entry(mirror: Mirror, vma: Vma, vpn: Vpn, hold: string, say: (text: string) => () => string): void {
    const { pages } = this.#port.space
    const pte = mirror.vmm.get(vpn)
    const state = pages.state(vpn)
    const mine = pages.isDevicePrivate(vpn) && pages.memory(vpn) === mirror.memory
    const copied = state === PAGE.mapped && mirror.systemFrame(vpn) >= 0
    this.expect(15, mine || copied, say(`is not where the entry of ${mirror.label} says`))
    this.expect(15, deviceMayRead(vma), say(`has no access, and ${mirror.label} reads it`))
    this.expect(15, hold !== 'write', say(`is being written by the host, and ${mirror.label} reads it`))
    const right = mirror.entryFor(vma, vpn)
    this.expect(25, ((pte ^ right) & ~PTE_FLAGS_MASK) === 0, say(`has an entry of ${mirror.label} that names another frame`))
    if ((pte & PTE.store) !== 0) this.expect(16, mine && deviceMayWrite(vma) && hold === 'none', say(`can be stored to by ${mirror.label}`))
  }

  /** The host has just got these bytes, to read or to write. */
  taken({ pointer, byteLength }: { pointer: number; byteLength: number }, reads: boolean): void {
    const { pages, geometry } = this.#port.space
    const end = Math.ceil((pointer + byteLength) / geometry.pageBytes)
    for (let vpn = Math.floor(pointer / geometry.pageBytes); vpn < end; vpn++) {
      this.expect(11, !pages.isDevicePrivate(vpn), () => `the host has page ${vpn}, and it is ${pages.print(vpn)}`)
      for (const { vmm, label } of this.mirrors) {
        const rights = vmm.get(vpn) & (reads ? PTE.store | PTE.exclusive : PTE_RIGHTS)
        this.expect(55, rights === 0, () => `the host ${reads ? 'reads' : 'writes'} page ${vpn}, and ${label} may still change or see it`)
      }
    }
  }

  /** When nothing is under way and all work of the devices is done. `bytes`: compare copies too. */
  atRest({ bytes = true }: { bytes?: boolean } = {}): void {
    this.always(false)
    this.#holes()
    const { space } = this.#port
    const { mirrors } = this
    space.pages.assertCounts()
    for (const mirror of mirrors) this.#mirrorAtRest(mirror)
    for (const vma of space.addresses.vmas) {
      for (let vpn = vma.start; vpn < vma.end; vpn++) {
        space.pages.assertPage(vpn)
        this.#contentAtRest(vma, vpn, bytes)
      }
    }
  }

  #mirrorAtRest(mirror: Mirror): void {
    const { space } = this.#port
    let incomplete = 0
    let seen = 0
    let copies = 0
    let next = -1
    const blank = (end: Vpn) => {
      // Holes of any size are looked into a little way.
      for (let vpn = Math.max(next, end - HOLE_MAX); next >= 0 && vpn < end; vpn++) {
        this.expect(53, mirror.vmm.get(vpn) === 0, () => `page ${vpn} is not mapped, and ${mirror.label} has an entry for it`)
      }
    }
    for (const vma of space.addresses.vmas) {
      blank(vma.start)
      next = vma.end
      for (let vpn = vma.start; vpn < vma.end; vpn++) {
        const pte = mirror.vmm.get(vpn)
        const covered = mirror.vmm.covers(vpn)
        const right = covered ? mirror.entryFor(vma, vpn) : 0
        this.expect(23, pte === right, () => `the entry of page ${vpn} (${space.pages.print(vpn)}) on ${mirror.label} is ${pte}, not ${right}`)
        if ((pte & PTE.mayLoad && !(pte & PTE.load)) || (pte & PTE.mayStore && !(pte & PTE.store)) || (!covered && deviceMayRead(vma))) incomplete++
        const frame = mirror.frameOf(vpn)
        if (frame < 0) continue
        this.expect(23, covered, () => `page ${vpn} has a frame of ${mirror.label} and no entry`)
        seen++
        if (space.pages.state(vpn) === PAGE.mapped) copies++
        this.expect(36, mirror.dmem.vpnOf(frame) === vpn, () => `frame ${frame} of ${mirror.label} does not know that it holds page ${vpn}`)
      }
    }
    blank(space.geometry.spacePages)
    this.expect(23, mirror.incomplete === incomplete, () => `${incomplete} entries of ${mirror.label} are incomplete, not ${mirror.incomplete}`)
    this.expect(45, mirror.dmem.used === seen, () => `${mirror.dmem.used} frames of ${mirror.label} are used, and ${seen} are named by a page`)
    this.expect(45, mirror.systemCopies === copies, () => `${mirror.label} counts ${mirror.systemCopies} copies, and there are ${copies}`)
    const { peakBytes } = mirror.device
    this.expect(47, peakBytes <= this.#budget, () => `${mirror.label} held ${peakBytes} bytes, and ${this.#budget} were asked for`)
  }

  #contentAtRest(vma: Vma, vpn: Vpn, bytes: boolean): void {
    const { space } = this.#port
    const { mirrors } = this
    const state = space.pages.state(vpn)
    const say = (text: string) => () => `page ${vpn} (${space.pages.print(vpn)}) ${text}`
    const seeing = mirrors.filter((mirror) => mirror.frameOf(vpn) >= 0)
    const away = state === PAGE.clean || state === PAGE.dirty
    const expected = away ? 1 : state === PAGE.mapped ? mirrors.filter(({ memory }) => (space.pages.mappedOn(vpn) & (1 << memory)) !== 0).length : 0
    this.expect(1, seeing.length === expected, say(`has frames on ${seeing.length} devices, not on ${expected}`))
    if (state === PAGE.host) {
      this.expect(2, space.hasHostBytes(vma, vpn), say('is the host’s, and the host has no bytes'))
      this.expect(
        35,
        mirrors.every((mirror) => mirror.frameOf(vpn) < 0 && (mirror.vmm.get(vpn) & PTE_RIGHTS) === 0),
        say('is the host’s, and a device still has it'),
      )
    }
    if (!bytes) return
    if ((state === PAGE.none || state === PAGE.zero) && vma.backing.kind === 'anonymous') {
      this.expect(
        2,
        (space.hostRun(vma, vpn, 1) as Uint8Array).subarray(0, space.geometry.pageBytes).every((byte) => byte === 0),
        say('is not zero'),
      )
    }
    if (state !== PAGE.clean && state !== PAGE.mapped) return
    for (const mirror of seeing) this.#sameBytes(mirror, vma, vpn, say)
  }

  #sameBytes(mirror: Mirror, vma: Vma, vpn: Vpn, say: (text: string) => () => string): void {
    const { space } = this.#port
    if (!space.hasHostBytes(vma, vpn) || mirror.device.lostReason !== null) return
    const there = frameBytes(mirror, vpn)
    const here = (space.hostRun(vma, vpn, 1) as Uint8Array).subarray(0, space.geometry.pageBytes)
    this.expect(
      1,
      there.every((byte, at) => byte === here[at]),
      say(`has other bytes on ${mirror.label} than on the host`),
    )
  }

  /** Looks at every invalidation while it happens. Returns how to stop. */
  watch(): () => void {
    const { notifiers } = this.#port.space
    const tell = notifiers.invalidate.bind(notifiers)
    notifiers.invalidate = (invalidation, body) => this.#invalidation(invalidation, body, tell)
    return () => {
      notifiers.invalidate = tell
    }
  }

  #invalidation(invalidation: Invalidation, body: (() => void) | undefined, tell: LocalPort['space']['notifiers']['invalidate']): Promise<void> | null {
    const { space } = this.#port
    const { mirrors } = this
    const { notifiers } = space
    const told = mirrors.filter((mirror) => invalidation.event !== 'migrate' || invalidation.owner !== mirror)
    const tickets = told.map(({ subscription }) => notifiers.readBegin(subscription))
    const own = mirrors.filter((mirror) => !told.includes(mirror)).map(({ subscription }) => notifiers.readBegin(subscription))
    const before = notifiers.sequence
    const stay = invalidation.event === 'migrate' ? this.#staying(invalidation) : []
    const inside: Ticket[] = []
    let late = null as Subscription | null
    let newcomer = null as Ticket | null
    const fence = tell(invalidation, () => {
      for (const mirror of told) this.#dropped(17, mirror, invalidation)
      this.expect(26, (notifiers.sequence & 1) === 1, () => 'the sequence is even during an invalidation')
      for (const { subscription } of mirrors) {
        const ticket = notifiers.readBegin(subscription)
        this.expect(27, notifiers.readRetry(ticket), () => 'a ticket drawn during an invalidation holds')
        inside.push(ticket)
      }
      late = notifiers.insert(invalidation.range, { invalidate: () => null })
      newcomer = notifiers.readBegin(late)
      this.expect(29, notifiers.readRetry(newcomer), () => 'a mirror that came during an invalidation trusts what it saw')
      body?.()
      for (const mirror of told) this.#dropped(18, mirror, invalidation)
    })
    for (const ticket of inside) this.expect(27, notifiers.readRetry(ticket), () => 'a ticket drawn during an invalidation holds after it')
    if (late !== null && newcomer !== null) {
      const ticket = newcomer
      this.expect(29, notifiers.readRetry(ticket), () => 'what a mirror saw that came during an invalidation holds after it')
      notifiers.remove(late)
    }
    for (const { mirror, vpn, entry } of stay) {
      this.expect(20, mirror.vmm.get(vpn) === entry, () => `${mirror.label} lost its entry of page ${vpn}, which does not move, through a migration`)
    }
    for (const ticket of tickets) this.expect(28, notifiers.readRetry(ticket), () => `a ticket survived '${invalidation.event}'`)
    for (const ticket of own) this.expect(28, !notifiers.readRetry(ticket), () => 'a mirror’s ticket was spoilt by a migration of its own')
    this.expect(30, notifiers.sequence === before + 2, () => `the sequence went from ${before} to ${notifiers.sequence} in one invalidation`)
    return fence
  }

  /** Entries with a right, of pages of the range that do not move. */
  #staying({ range }: Invalidation): { mirror: Mirror; vpn: Vpn; entry: number }[] {
    const { pages } = this.#port.space
    const stay: { mirror: Mirror; vpn: Vpn; entry: number }[] = []
    for (let vpn = range.start; vpn < range.end; vpn++) {
      if (pages.state(vpn) === PAGE.migrating) continue
      for (const mirror of this.mirrors) {
        const entry = mirror.vmm.get(vpn)
        if ((entry & PTE_RIGHTS) !== 0) stay.push({ mirror, vpn, entry })
      }
    }
    return stay
  }

  /** Whoever was told has no right to the named pages left (17), and makes itself none before the end (18). */
  #dropped(id: 17 | 18, mirror: Mirror, { range, pages, event }: Invalidation): void {
    const gone = (vpn: Vpn) => this.expect(id, (mirror.vmm.get(vpn) & PTE_RIGHTS) === 0, () => `${mirror.label} kept a right to page ${vpn} through '${event}'`)
    if (pages !== null) pages.forEach(gone)
    else
      this.#port.space.pages.forEachTouched(range, (start, end) => {
        for (let vpn = start; vpn < end; vpn++) gone(vpn)
      })
  }
}

/** The bytes of the frame in which a device sees the page, as the work done so far has left them. Not a copy. */
export function frameBytes(mirror: Mirror, vpn: Vpn): Uint8Array {
  const { dmem, device } = mirror
  if (!(device instanceof SimDevice)) throw new TypeError('bytes of frames can be looked at on a simulated device only')
  const frame = mirror.frameOf(vpn)
  const offset = dmem.byteOffset(frame)
  return device.peek(dmem.buffer(frame)).subarray(offset, offset + dmem.pageBytes)
}
