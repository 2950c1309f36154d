// What is made of advice: first the answer, in words, then the deed, in the one order. Always: the answer looks and never touches; no advice changes
// a byte, and a page that cannot move for it stays where it is.

import { pagesAround, type VpnRange } from '../base/units.ts'
import { mayOwnOnRead } from '../driver/advice.ts'
import type { Evictor } from '../driver/evict.ts'
import { fetchToDevice, fetchToHost, giveUp } from '../driver/heed.ts'
import type { Mirror } from '../driver/svmm.ts'
import { PAGE } from '../mm/page-table.ts'
import type { Space } from '../mm/space.ts'
import { deviceMayRead, isSameAdvice, NO_ADVICE, type Vma, type VmaAdvice } from '../mm/vma.ts'
import type { Advice, AdviceAnswer, AdviceDone, AdviceRequest } from './request.ts'

/** Whom advice is about. */
export interface Advised {
  readonly space: Space
  /** Those that are not released. */
  readonly live: readonly Mirror[]
  readonly evictorOf: (mirror: Mirror) => Evictor
}

/** Advice that is a property of the mapping; the rest is done once. */
function propertiesOf({ advice, memory }: AdviceRequest): Partial<VmaAdvice> | null {
  switch (advice) {
    case 'normal':
      return NO_ADVICE
    case 'sequential':
    case 'random':
      return { pattern: advice }
    case 'read-mostly':
      return { readMostly: true }
    case 'preferred-location':
      return { preferred: memory < 0 ? 'host' : memory }
    default:
      return null
  }
}

/** A mapping's advice in the words of `svm.advise`. */
export function wordsOf(advice: VmaAdvice, labelOf: (memory: number) => string): string[] {
  const words: string[] = []
  if (advice.pattern !== 'normal') words.push(advice.pattern)
  if (advice.readMostly) words.push('read-mostly')
  if (advice.preferred !== 'none') words.push(`preferred-location ${advice.preferred === 'host' ? 'host' : labelOf(advice.preferred)}`)
  return words
}

/** A device is gone: nothing is best there any more. */
export function forgetPreference(space: Space, memory: number): void {
  for (const { start, end, advice } of [...space.addresses.vmas]) if (advice.preferred === memory) space.addresses.advise({ start, end }, { preferred: 'none' })
}

/** What heeding it will do, as things are now. */
export function answerAdvice(advised: Advised, request: AdviceRequest): AdviceAnswer {
  const lost = lostDevice(advised, request)
  if (lost !== undefined) return { applied: false, why: `${lost.label} was lost (${lost.device.lostReason}): no page can be there.` }
  if (request.advice === 'will-need') return answerWillNeed(advised, request)
  if (request.advice === 'dont-need') return answerDontNeed(advised, request)
  const vmas = [...advised.space.addresses.pieces(rangeOf(advised.space, request))].map(({ vma }) => vma)
  return { applied: true, why: sentenceOf(request.advice, vmas, advised.live.find(({ memory }) => memory === request.memory)?.label ?? null) }
}

function sentenceOf(advice: Exclude<Advice, 'will-need' | 'dont-need'>, vmas: readonly Vma[], device: string | null): string {
  switch (advice) {
    case 'normal':
      return 'It has no advice any more. Pages stay where they are.'
    case 'sequential':
      // All pages are of one allocation, and so of one backing.
      return vmas.some(({ backing }) => backing.kind === 'pager')
        ? 'Its pager is asked far ahead of what is wanted, and pages that were passed are the first to go when frames are short.'
        : 'Pages that were passed are the first to go when frames are short. Nothing is read ahead: only memory from mmap has a pager to ask.'
    case 'random':
      return 'Only pages that are asked for come: nothing is read ahead.'
    case 'read-mostly':
      return 'Reads leave copies on every device that reads, also where a launch is known to write; a store ends the copies of all others.'
    case 'preferred-location':
      if (device === null)
        return 'The host keeps these pages: devices that read get copies, fetch none ahead, and give up those that they have first. Stores and migrate still move them.'
      return `${device} keeps these pages: ${readsThere(vmas)}, evictions there take others first, and no other device fetches them ahead.`
  }
}

/** What a read fault brings on the device where the pages are best. */
function readsThere(vmas: readonly Vma[]): string {
  const readable = vmas.filter(deviceMayRead)
  const owned = readable.filter(mayOwnOnRead).length
  const every = 'a read fault there brings a page with every right, if neither the host nor another device holds it'
  if (readable.length === 0) return 'no access to them is allowed now'
  if (owned === readable.length) return every
  const copied = owned > 0 ? 'where kernels may not store, or mostly read' : 'since kernels may not store to it, or mostly read it'
  return owned > 0 ? `${every} (only a copy ${copied})` : `a read fault there brings a copy, ${copied}`
}

function answerWillNeed(advised: Advised, request: AdviceRequest): AdviceAnswer {
  const sentences: string[] = []
  let applied = false
  for (const [destination, ranges] of destinationsOf(advised, request)) {
    const { there, pages } = countThere(advised.space, destination, ranges)
    const where = destination === 'host' ? 'the host' : destination.label
    const room = destination === 'host' ? Number.POSITIVE_INFINITY : destination.dmem.available
    const missing = pages - there
    if (missing > 0 && room > 0) applied = true
    if (missing === 0) sentences.push(`All ${pages} pages are there already (${where}).`)
    else if (room === 0) sentences.push(`${where} has no free frame for ${missing} pages, and this evicts nobody; migrate does.`)
    else if (destination === 'host') sentences.push(`${missing} pages come to the host, after what was called before.`)
    else
      sentences.push(
        `Of ${missing} pages those come to ${where}, after what was called before, for which a frame is free then; ${Math.min(missing, room)} are free now.`,
      )
  }
  return { applied, why: sentences.join(' ') || 'No access is allowed to any page of it.' }
}

function answerDontNeed({ space, live }: Advised, request: AdviceRequest): AdviceAnswer {
  let free = 0
  let dirty = 0
  for (const mirror of devicesOf(live, request)) {
    space.pages.forEachTouched(rangeOf(space, request), (start, end) => {
      for (let vpn = start; vpn < end; vpn++) {
        if (mirror.frameOf(vpn) < 0) continue
        if (space.pages.state(vpn) === PAGE.dirty) dirty++
        else free++
      }
    })
  }
  if (free + dirty === 0) return { applied: false, why: 'No device has a page of it.' }
  const why = `${free} frames are given up, after what was called before, and cost no copy; ${dirty} with bytes that the host has not seen go first when frames are short. No byte is lost.`
  return { applied: true, why }
}

/** Pages of the ranges, and how many are where they are to be. */
function countThere(space: Space, destination: Mirror | 'host', ranges: readonly VpnRange[]): { there: number; pages: number } {
  let pages = 0
  let there = 0
  for (const range of ranges) {
    pages += range.end - range.start
    let elsewhere = 0
    let here = 0
    space.pages.forEachTouched(range, (start, end) => {
      for (let vpn = start; vpn < end; vpn++) {
        if (destination !== 'host') here += Number(destination.frameOf(vpn) >= 0)
        else if (space.pages.isDevicePrivate(vpn)) elsewhere++
        else if (space.cache.has(vpn)) here++
      }
    })
    const isFile = space.addresses.find(range.start)?.backing.kind === 'pager'
    there += destination !== 'host' || isFile ? here : range.end - range.start - elsewhere
  }
  return { there, pages }
}

export const NOTHING_DONE: AdviceDone = { brought: 0, dropped: 0, marked: 0 }

/** Heeds it, and counts what came of it. What was unmapped since the answer is left out. @throws DeviceFailure, SvmError pager-failed */
export async function heedAdvice(advised: Advised, runs: readonly VpnRange[], request: AdviceRequest): Promise<AdviceDone> {
  const { space, live } = advised
  const { pointer, byteLength, advice } = request
  if (lostDevice(advised, request) !== undefined) return NOTHING_DONE
  const properties = propertiesOf(request)
  const done = { ...NOTHING_DONE }
  if (properties !== null) for (const run of runs) done.marked += mark(space, run, properties)
  else if (advice === 'dont-need') {
    for (const mirror of devicesOf(live, request)) {
      for (const run of runs) {
        const { dropped, cooled } = await giveUp(mirror, run)
        done.dropped += dropped
        done.marked += cooled
      }
    }
  } else {
    for (const [destination, ranges] of destinationsOf(advised, request, runs)) {
      for (const range of ranges)
        done.brought += destination === 'host' ? await fetchToHost(space, range) : await fetchToDevice(destination, advised.evictorOf(destination), range)
    }
  }
  // What the program moves itself is no thrash.
  if (properties === null) for (const run of runs) for (const { thrash } of live) thrash.reset(run.start, run.end)
  space.tracer.emit({ kind: 'advise', pointer, byteLength, advice, pages: done.brought + done.dropped })
  return done
}

/** Pages whose advice changes by it. */
function mark(space: Space, run: VpnRange, properties: Partial<VmaAdvice>): number {
  let pages = 0
  for (const { vma, start, end } of space.addresses.pieces(run)) if (!isSameAdvice(vma.advice, { ...vma.advice, ...properties })) pages += end - start
  space.addresses.advise(run, properties)
  return pages
}

function lostDevice({ live }: Advised, request: AdviceRequest): Mirror | undefined {
  return live.find(({ memory, device }) => memory === request.memory && device.lostReason !== null)
}

/** Where pages go that will be needed: to the device that was named, or where they are best, or to the first device that there is. */
function destinationsOf(
  { space, live }: Advised,
  request: AdviceRequest,
  runs: readonly VpnRange[] = [rangeOf(space, request)],
): Map<Mirror | 'host', VpnRange[]> {
  const [first] = devicesOf(live, { ...request, memory: -1 })
  const found = new Map<Mirror | 'host', VpnRange[]>()
  for (const run of runs) {
    for (const { vma, start, end } of space.addresses.pieces(run)) {
      if (!deviceMayRead(vma)) continue
      const { preferred } = vma.advice
      const wished = request.memory >= 0 ? request.memory : preferred
      const mirror = devicesOf(live, request).find(({ memory }) => memory === wished) ?? first
      const destination = wished === 'host' || mirror === undefined ? 'host' : mirror
      found.set(destination, [...(found.get(destination) ?? []), { start, end }])
    }
  }
  return found
}

/** The device that was named, or all; none that was lost. */
function devicesOf(live: readonly Mirror[], { memory }: AdviceRequest): Mirror[] {
  return live.filter((mirror) => mirror.device.lostReason === null && (memory < 0 || memory === mirror.memory))
}

function rangeOf({ geometry }: Space, { pointer, byteLength }: AdviceRequest): VpnRange {
  return pagesAround(pointer, byteLength, geometry.pageBytes)
}
