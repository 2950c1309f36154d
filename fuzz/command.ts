// The program's calls: memory, the host's accesses, migrations. Always: each is started and not waited for; its judge says what the rules make
// of the outcome.

import { Random } from '../src/base/world.ts'
import type { Mirror } from '../src/driver/svmm.ts'
import type { Advice, HostMapping, MapMode, MigrateResult, SvmDevice, SvmEvent, SvmQueue, SvmRange } from '../src/index.ts'
import { type Day, expectBytes, type Hold, metHolds, type Outcome, overlapping, rangeOf, refusals, type Slot, type Started, Wrong, wentWell } from './day.ts'
import type { Op } from './op.ts'
import { makePager, PAGE_BYTES } from './world.ts'

const ADVICE: readonly Advice[] = ['normal', 'read-mostly', 'preferred-location', 'sequential', 'random', 'will-need', 'dont-need']

export const coin = (op: Op, bit: number) => ((op.coins >>> bit) & 1) === 1

export function alloc(day: Day, op: Op): Started | null {
  if (day.slots[op.slot] !== null) return null
  const pages = 1 + (op.length % 10)
  const byteLength = pages * PAGE_BYTES - (op.value % 3) * 4
  const access = op.from % 8 === 0 ? 'read' : 'read-write'
  const { svm } = day.world
  let pointer: number
  if (coin(op, 0) && access === 'read-write') {
    const bytes = randomBytes(op.value, byteLength)
    pointer = svm.allocFrom(bytes)
    day.model.add(pointer, pages, bytes)
  } else {
    pointer = svm.alloc(byteLength, { access })
    day.model.add(pointer, pages)
  }
  day.slots[op.slot] = { pointer, byteLength, pages, kind: 'alloc', deviceWrites: access !== 'read' }
  return ended()
}

export function mmap(day: Day, op: Op): Started | null {
  if (day.slots[op.slot] !== null) return null
  const byteLength = 1 + (op.length % (12 * PAGE_BYTES))
  const { pager, bytes } = makePager(op.value, byteLength, day)
  return {
    done: day.world.svm.mmap(pager),
    judge: (outcome) => {
      if (!wentWell(day, outcome, [])) return
      const pointer = outcome.value as number
      const pages = Math.ceil(byteLength / PAGE_BYTES)
      day.model.add(pointer, pages, bytes)
      day.slots[op.slot] = { pointer, byteLength, pages, kind: 'mmap', deviceWrites: false }
    },
  }
}

export function free(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const { svm, queues } = day.world
  const must = overlapping(day.holds, slot).length > 0 ? ['host-mapped'] : []
  const queue = queues[op.queue % queues.length] as SvmQueue
  const start = async () => {
    if (slot.kind === 'mmap') await svm.munmap(slot.pointer, slot.byteLength)
    else if (coin(op, 1) && !isReleased(day, op)) await queue.free([slot.pointer], { waitFor: waits(day, op) }).done
    else svm.free(slot.pointer)
  }
  return {
    done: start(),
    judge: (outcome) => {
      if (!wentWell(day, outcome, must, metHolds(day, slot))) return
      day.slots[op.slot] = null
      forgetPages(day, slot.pointer, slot.pages)
    },
  }
}

/** Takes some pages out of a mapping: its head, its tail, or its middle. */
export function cut(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined || slot.kind !== 'mmap' || slot.pages < 2) return null
  const first = op.from % slot.pages
  const end = Math.min(slot.pages - (first === 0 ? 1 : 0), first + 1 + (op.length % slot.pages))
  const tail = { pointer: slot.pointer + end * PAGE_BYTES, pages: slot.pages - end, byteLength: slot.byteLength - end * PAGE_BYTES }
  const home = tail.pages === 0 || first === 0 ? op.slot : day.slots.indexOf(null)
  if (home < 0) return null
  const range = { pointer: slot.pointer + first * PAGE_BYTES, byteLength: Math.min(slot.byteLength, end * PAGE_BYTES) - first * PAGE_BYTES }
  const must = overlapping(day.holds, range).length > 0 ? ['host-mapped'] : []
  return {
    done: day.world.svm.munmap(range.pointer, range.byteLength),
    judge: (outcome) => {
      if (!wentWell(day, outcome, must, metHolds(day, range))) return
      if (first > 0) day.slots[op.slot] = { ...slot, pages: first, byteLength: first * PAGE_BYTES }
      if (tail.pages > 0) day.slots[home] = { ...slot, ...tail }
      forgetPages(day, range.pointer, end - first)
    },
  }
}

export function forgetPages(day: Day, pointer: number, pages: number): void {
  day.model.remove(pointer, pages)
  for (let i = 0; i < pages; i++) day.access.delete(pointer / PAGE_BYTES + i)
}

/** Rights to some pages come and go; their bytes stay. */
export function protect(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const first = op.from % slot.pages
  const pages = 1 + (op.length % (slot.pages - first))
  const range = { pointer: slot.pointer + first * PAGE_BYTES, byteLength: Math.min(slot.byteLength - first * PAGE_BYTES, pages * PAGE_BYTES) }
  const access = (['none', 'read', 'read-write', 'read-write'] as const)[op.value % 4] as 'none' | 'read' | 'read-write'
  return {
    done: day.world.svm.mprotect(range.pointer, range.byteLength, access),
    judge: (outcome) => {
      const must = overlapping(day.holds, range).length > 0 ? ['host-mapped'] : []
      if (access === 'read-write' && slot.kind === 'mmap') must.push('access-violation')
      if (!wentWell(day, outcome, must, metHolds(day, range))) return
      for (const vpn of day.model.pagesOf(range.pointer, range.byteLength)) {
        if (access === 'read-write') day.access.delete(vpn)
        else day.access.set(vpn, access)
      }
    },
  }
}

/** A device leaves in good order: nothing is lost, and it holds nothing any more. Nobody else is at it. */
export function release(day: Day, op: Op): Started | null {
  const { svm, devices } = day.world
  const number = op.device % devices.length
  const device = devices[number] as (typeof devices)[number]
  if (day.released.has(number) || (device.lostReason === null && day.released.size === devices.length - 1 && !coin(op, 15))) return null
  return {
    done: svm.releaseDevice(svm.devices[number] as SvmDevice),
    judge: (outcome) => {
      if (!wentWell(day, outcome, [], device.lostReason === null ? [] : ['device-lost'])) return
      day.released.add(number)
      const { checker } = day.world
      if (device.lostReason === null) checker.expect(45, device.liveBytes === 0, () => `${device.label} was released and holds ${device.liveBytes} bytes`)
    },
  }
}

/** It may say what it likes, if it says something, and no byte is changed by it. */
export function advise(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const { svm, devices } = day.world
  const range = coin(op, 22) ? slot : rangeOf(slot, op)
  const number = op.device % (devices.length + 1)
  const ask = () => svm.advise(range.pointer, range.byteLength, ADVICE[op.value % ADVICE.length] as Advice, svm.devices[number])
  if (day.released.has(number)) {
    const code = codeThrown(ask)
    if (code !== 'closed') throw new Wrong(`advice about a device that was released ended with '${code}'`)
    return ended()
  }
  const { applied, why } = ask()
  if (typeof applied !== 'boolean' || !/\S.*\.$/.test(why)) throw new Wrong(`advise answers ${applied}, '${why}'`)
  // A call behind it: when it has ended, the advice was heeded.
  return { done: svm.read(0, 0), judge: (outcome) => void wentWell(day, outcome, []) }
}

function codeThrown(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    return String((error as { code?: string }).code)
  }
  return 'ok'
}

export function read(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const range = rangeOf(slot, op)
  return {
    done: day.world.svm.read(range.pointer, range.byteLength),
    judge: (outcome) => {
      if (!wentWell(day, outcome, refusals(day, slot, range, 'read'), metHolds(day, range))) return
      expectBytes(day, range.pointer, outcome.value as Uint8Array, 'read')
      seenByHost(day, range)
    },
  }
}

export function write(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const range = (coin(op, 16) ? lostPageOf(day, slot) : null) ?? rangeOf(slot, op)
  const bytes = randomBytes(op.value, range.byteLength)
  const must = () => refusals(day, slot, range, 'write', true)
  return { done: day.world.svm.write(range.pointer, bytes), judge: (outcome) => wrote(day, outcome, range, bytes, must()) }
}

/** A lost page can be had again, if it is wholly overwritten. */
function lostPageOf(day: Day, slot: Slot): { pointer: number; byteLength: number } | null {
  const lost = day.model.pagesOf(slot.pointer, slot.byteLength).find((vpn) => day.model.lost.has(vpn))
  if (lost === undefined || (lost + 1) * PAGE_BYTES > slot.pointer + slot.byteLength) return null
  return { pointer: lost * PAGE_BYTES, byteLength: PAGE_BYTES }
}

export function memfill(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const range = rangeOf(slot, op, 4)
  if (slot.byteLength < 4 || range.pointer % 4 !== 0 || range.byteLength === 0) return null
  const pattern = Uint32Array.of(op.value)
  const bytes = new Uint8Array(new Uint32Array(range.byteLength / 4).fill(op.value).buffer)
  const event = command(day, op, (queue, waitFor) => queue.memfill(range.pointer, pattern, range.byteLength, { waitFor }))
  return { done: event.done, judge: (outcome) => wrote(day, outcome, range, bytes, refusals(day, slot, range, 'write', true)) }
}

export function memcpy(day: Day, op: Op): Started | null {
  const from = day.slots[op.slot]
  const to = day.slots[op.other]
  if (from === null || from === undefined || to === null || to === undefined || from === to) return null
  const source = rangeOf(from, op)
  const byteLength = Math.min(source.byteLength, to.byteLength)
  const target = { pointer: to.pointer + (op.value % (to.byteLength - byteLength + 1)), byteLength }
  const event = command(day, op, (queue, waitFor) => queue.memcpy(target.pointer, source.pointer, byteLength, { waitFor }))
  return {
    done: event.done,
    judge: (outcome) => {
      const read = { pointer: source.pointer, byteLength }
      const must = [...refusals(day, from, read, 'read'), ...refusals(day, to, target, 'write', true)]
      if (wentWell(day, outcome, must, [...metHolds(day, read), ...metHolds(day, target)]))
        day.model.write(target.pointer, day.model.read(read.pointer, byteLength))
    },
  }
}

/** To and from a buffer of the program's own. */
export function buffers(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined || slot.byteLength < 8) return null
  const range = rangeOf(slot, op, 4)
  if (range.byteLength === 0) return null
  const bytes = randomBytes(op.value, range.byteLength)
  const lost = goneCodes(day, op)
  if (coin(op, 2)) {
    const event = command(day, op, (queue, waitFor) => queue.copyFromBuffer(bytes as unknown as GPUBuffer, 0, range.pointer, range.byteLength, { waitFor }))
    return { done: event.done, judge: (outcome) => wrote(day, outcome, range, bytes, [...lost, ...refusals(day, slot, range, 'write', true)]) }
  }
  const event = command(day, op, (queue, waitFor) => queue.copyToBuffer(range.pointer, bytes as unknown as GPUBuffer, 0, range.byteLength, { waitFor }))
  return {
    done: event.done,
    judge: (outcome) => {
      if (!wentWell(day, outcome, [...lost, ...refusals(day, slot, range, 'read')], metHolds(day, range))) return
      // A device that was lost after the copy took nothing with it that the program can tell from the result.
      if (!day.may.has('device-lost')) expectBytes(day, range.pointer, bytes, 'copyToBuffer')
    },
  }
}

export function map(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const range = rangeOf(slot, op)
  const modes: readonly MapMode[] = ['read', 'read', 'write', 'read-write', 'write-discard']
  const mode = modes[op.value % modes.length] as MapMode
  const { svm } = day.world
  const done = coin(op, 3)
    ? svm.map(range.pointer, range.byteLength, mode)
    : command(day, op, (queue, waitFor) => queue.map(range.pointer, range.byteLength, mode, { waitFor })).done
  return {
    done,
    judge: (outcome) => {
      const must = refusals(day, slot, range, mode === 'read' ? 'read' : 'write', mode === 'write-discard')
      if (!wentWell(day, outcome, must, metHolds(day, range))) return
      const mapping = outcome.value as HostMapping
      day.world.checker.taken(range, mode === 'read')
      if (mode !== 'write-discard') expectBytes(day, range.pointer, mapping.bytes, `map for '${mode}'`)
      const bytes = randomBytes(op.from, mode === 'write-discard' ? range.byteLength : mode === 'read' ? 0 : 1 + (op.length % range.byteLength))
      mapping.bytes.set(bytes)
      if (mode !== 'read') day.model.write(range.pointer, bytes)
      seenByHost(day, range)
      day.holds.push({ mapping, slot: op.slot, ...range, mode })
    },
  }
}

export function unmap(day: Day, op: Op): Started | null {
  const hold = day.holds[op.slot % Math.max(1, day.holds.length)]
  if (hold === undefined) return null
  if (hold.mode === 'read') expectBytes(day, hold.pointer, hold.mapping.bytes, 'at unmap')
  day.holds = day.holds.filter((one) => one !== hold)
  day.ended.push(hold)
  if (coin(op, 4) || isReleased(day, op)) {
    hold.mapping.unmap()
    return ended()
  }
  const event = command(day, op, (queue, waitFor) => queue.unmap(hold.mapping, { waitFor }))
  return { done: event.done, judge: (outcome) => unmapped(day, outcome, hold) }
}

function unmapped(day: Day, outcome: Outcome, hold: Hold): void {
  if (!wentWell(day, outcome, []) && hold.mapping.live) hold.mapping.unmap()
}

// Migrations.

export function migrate(day: Day, op: Op): Started | null {
  const slots = [op.slot, ...(coin(op, 5) ? [op.other] : [])].map((at) => day.slots[at]).filter((slot) => slot !== null && slot !== undefined)
  if (slots.length === 0) return null
  const ranges = slots.map((slot) => (coin(op, 6) ? { pointer: slot.pointer, byteLength: slot.byteLength } : rangeOf(slot, op)))
  const contentUndefined = op.kind === 'migrate-undefined'
  const to = op.kind === 'migrate-home' || (contentUndefined && coin(op, 7)) ? 'host' : 'device'
  const mode = op.kind === 'migrate-all' ? 'all-or-nothing' : 'best-effort'
  const event = command(day, op, (queue, waitFor) => queue.migrate(ranges, { to, mode, contentUndefined, waitFor }))
  const lost = to === 'device' ? goneCodes(day, op) : []
  return {
    done: event.done,
    judge: (outcome) => {
      if (contentUndefined) forgetInside(day, slots, ranges)
      if (!wentWell(day, outcome, lost, mode === 'all-or-nothing' ? mayRefuse(day, ranges) : [])) return
      const result = outcome.value as MigrateResult
      expectSum(day, ranges, result)
      if (mode === 'all-or-nothing' && Object.keys(result.skipped).length > 0) throw new Wrong('an all-or-nothing migrate left pages behind')
      if (to === 'host' && !contentUndefined && Object.keys(result.skipped).length === 0) for (const range of ranges) seenByHost(day, range)
    },
  }
}

/** Where a device sees a page, by what entry, and where the page is. */
interface Place {
  readonly vpn: number
  readonly state: string
  readonly frame: number
  readonly entry: number
}

function placesOf(day: Day, mirror: Mirror, { pointer, byteLength }: { pointer: number; byteLength: number }): Place[] {
  const { pages } = day.world.port.space
  return day.model.pagesOf(pointer, byteLength).map((vpn) => ({ vpn, state: pages.print(vpn), frame: mirror.frameOf(vpn), entry: mirror.vmm.get(vpn) }))
}

/** Twice the same: the second moves nothing, writes nothing, loses nothing. Nobody else is at it. */
export function migrateTwice(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const range = coin(op, 6) ? { pointer: slot.pointer, byteLength: slot.byteLength } : rangeOf(slot, op)
  const mirror = mirrorOf(day, op)
  const mode = coin(op, 19) ? 'all-or-nothing' : 'best-effort'
  const look = () => ({
    places: placesOf(day, mirror, range),
    counters: [mirror.vmm.written, mirror.vmm.mappingsLost, mirror.evictions, mirror.copies.bytesIn, mirror.copies.bytesOut],
  })
  const { queues } = day.world
  const queue = queues[op.queue % queues.length] as SvmQueue
  const lost = goneCodes(day, op)
  const begin = look()
  const start = async () => {
    const first = await queue.migrate(range, { mode }).done
    const before = look()
    return { first, second: await queue.migrate(range, { mode }).done, before, after: look() }
  }
  return {
    done: start(),
    judge: (outcome) => {
      if (!wentWell(day, outcome, lost, mode === 'all-or-nothing' ? mayRefuse(day, [range]) : [])) {
        if (lost.length === 0 && mirror.device.lostReason === null) expectLeft(day, mirror, mode, begin.places, look().places)
        return
      }
      const { first, second, before, after } = outcome.value as Record<'first' | 'second', MigrateResult> & Record<'before' | 'after', typeof begin>
      expectSum(day, [range], first)
      expectSum(day, [range], second)
      if (Object.keys(first.skipped).length > 0 || day.faults.struck.length > 0) return
      expectTwice(day, second, before, after)
      // Who made no room for it lost no entry by the first one either: what was there stayed.
      const stayed = begin.counters[2] !== before.counters[2] || begin.counters[1] === before.counters[1]
      day.world.checker.expect(
        20,
        stayed,
        () => `a migrate to ${mirror.label} took entries from pages that were there: ${begin.counters} became ${before.counters}`,
      )
    },
  }
}

interface Look {
  readonly places: readonly Place[]
  readonly counters: readonly number[]
}

function expectTwice(day: Day, second: MigrateResult, before: Look, after: Look): void {
  const { checker } = day.world
  const did = second.moved + second.discarded + second.ptesWritten
  checker.expect(40, did === 0, () => `the second of two equal migrates moved ${second.moved} pages and wrote ${second.ptesWritten} entries`)
  before.places.forEach((place, i) => {
    const now = after.places[i] as Place
    const same = place.state === now.state && place.frame === now.frame && place.entry === now.entry
    checker.expect(40, same, () => `page ${place.vpn} was ${JSON.stringify(place)} and is ${JSON.stringify(now)} after a second equal migrate`)
  })
  checker.expect(
    20,
    before.counters.join() === after.counters.join(),
    () => `the second of two equal migrates did something: ${before.counters} became ${after.counters}`,
  )
}

/** A migrate to the device failed. What was there is there, with the same right; all or nothing brought nothing, the best effort perhaps some. */
function expectLeft(day: Day, mirror: Mirror, mode: string, before: readonly Place[], after: readonly Place[]): void {
  const { checker, port } = day.world
  const { pages } = port.space
  before.forEach((place, i) => {
    const now = after[i] as Place
    const say = () => `page ${place.vpn} was ${JSON.stringify(place)} and is ${JSON.stringify(now)} after a migrate that failed (${mode})`
    if (/clean|dirty/.test(place.state) && place.frame >= 0) checker.expect(38, now.frame === place.frame && now.entry === place.entry, say)
    else if (mode === 'all-or-nothing') checker.expect(38, !pages.isDevicePrivate(place.vpn) || now.state === place.state, say)
    else checker.expect(38, !pages.isDevicePrivate(place.vpn) || now.state === place.state || pages.memory(place.vpn) === mirror.memory, say)
  })
}

function expectSum(day: Day, ranges: readonly SvmRange[], { moved, present, discarded, skipped }: MigrateResult): void {
  const asked = ranges.reduce((sum, { pointer, byteLength }) => sum + day.model.pagesOf(pointer, byteLength as number).length, 0)
  const counted = Object.values(skipped).reduce((sum, count) => sum + (count ?? 0), moved + present + discarded)
  day.world.checker.expect(42, asked === counted, () => `${asked} pages were to migrate, and ${counted} are accounted for`)
}

function mayRefuse(day: Day, ranges: readonly { pointer: number; byteLength: number }[]): string[] {
  const held = ranges.some((range) => overlapping([...day.holds, ...day.ended], range).length > 0)
  const lost = ranges.some(({ pointer, byteLength }) => day.model.pagesOf(pointer, byteLength).some((vpn) => day.model.lost.has(vpn)))
  return ['device-memory', ...(held ? ['host-mapped'] : []), ...(lost ? ['device-lost'] : [])]
}

/** Whole pages inside the ranges may hold anything now. A pager's keep what the pager has. */
function forgetInside(day: Day, slots: readonly Slot[], ranges: readonly { pointer: number; byteLength: number }[]): void {
  ranges.forEach(({ pointer, byteLength }, at) => {
    if (slots[at]?.kind === 'mmap') return
    const start = Math.ceil(pointer / PAGE_BYTES) * PAGE_BYTES
    const end = Math.floor((pointer + byteLength) / PAGE_BYTES) * PAGE_BYTES
    if (end <= start) return
    day.model.forget(start, end - start)
    for (const vpn of day.model.pagesOf(start, end - start)) day.model.exposed.add(vpn)
  })
}

/** Looks that change nothing: where everything is adds up. */
export function look(day: Day, op: Op): Started | null {
  const { svm } = day.world
  svm.stats()
  svm.snapshot()
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return ended()
  const range = rangeOf(slot, op)
  const runs = svm.residency(range.pointer, range.byteLength)
  const sum = runs.reduce((bytes, run) => bytes + run.byteLength, 0)
  if (sum !== range.byteLength) throw new Wrong(`residency tells of ${sum} bytes of ${range.byteLength}`)
  return ended()
}

// Parts.

/** A command of the queue that the operation names, after what was started on other queues. */
export function command<T>(day: Day, op: Op, start: (queue: SvmQueue, waitFor: (SvmEvent<unknown> | PromiseLike<unknown>)[]) => SvmEvent<T>): SvmEvent<T> {
  const { queues } = day.world
  const number = op.queue % queues.length
  const event = start(queues[number] as SvmQueue, waits(day, op))
  day.events.push({ queue: number, event: event as SvmEvent<unknown> })
  return event
}

/** Two queues, and commands of one that is out of order, have no order but this. A failure of what is waited for fails the waiter, or not. */
function waits(day: Day, op: Op): (SvmEvent<unknown> | PromiseLike<unknown>)[] {
  return day.events.map(({ event }) => (coin(op, 8) ? event : event.done.catch(() => undefined)))
}

/** What a device answers that is not there any more. */
export function goneCodes(day: Day, op: Op): string[] {
  if (isReleased(day, op)) return ['closed']
  return deviceOf(day, op).lostReason === null ? [] : ['device-lost']
}

function isReleased(day: Day, op: Op): boolean {
  return day.released.has(mirrorOf(day, op).memory)
}

export function deviceOf(day: Day, op: Op): Day['world']['devices'][number] {
  return mirrorOf(day, op).device as Day['world']['devices'][number]
}

export function mirrorOf(day: Day, op: Op): Mirror {
  const { mirrors } = day.world.port
  return mirrors[Math.floor((op.queue % day.world.queues.length) / 2)] as Mirror
}

function wrote(day: Day, outcome: Outcome, range: { pointer: number; byteLength: number }, bytes: Uint8Array, must: readonly string[]): void {
  if (wentWell(day, outcome, must, metHolds(day, range))) day.model.write(range.pointer, bytes)
}

/** The host has these pages as they are: no device takes them with it any more. */
export function seenByHost(day: Day, { pointer, byteLength }: { pointer: number; byteLength: number }): void {
  for (const vpn of day.model.pagesOf(pointer, byteLength)) day.model.exposed.delete(vpn)
}

/** An operation that is done when it is called. */
export function ended(): Started {
  return { done: Promise.resolve(), judge: () => undefined }
}

export function randomBytes(seed: number, byteLength: number): Uint8Array {
  const random = new Random(seed)
  return new Uint8Array(Uint32Array.from({ length: Math.ceil(byteLength / 4) }, () => random.u32()).buffer).slice(0, byteLength)
}
