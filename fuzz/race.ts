// Operations below the one order of the program's calls: the driver's halves of several devices and the host at the same pages, none waiting
// for the other; evictions; migrations that are given up. Always: none of them changes a byte, all of them end.

import { Random } from '../src/base/world.ts'
import { DeviceFailure } from '../src/device/device.ts'
import { bind } from '../src/driver/bind.ts'
import { Evictor } from '../src/driver/evict.ts'
import type { Mirror } from '../src/driver/svmm.ts'
import type { SvmKernel, SvmQueue } from '../src/index.ts'
import { hostFault } from '../src/mm/fault.ts'
import { faultWindow, HMM_PFN, rangeFault } from '../src/mm/hmm.ts'
import { type MigrateArgs, migrateFinalize, migratePages, migrateSetup, SELECT, SRC } from '../src/mm/migrate.ts'
import { PAGE } from '../src/mm/page-table.ts'
import { hostMayRead, hostMayWrite, type Vma } from '../src/mm/vma.ts'
import { lru } from '../src/open.ts'
import { ended, forgetPages, goneCodes, mirrorOf } from './command.ts'
import { type Day, overlapping, type Slot, type Started, Wrong, wentWell } from './day.ts'
import { KERNELS } from './kernels.ts'
import type { Op } from './op.ts'
import { PAGE_BYTES } from './world.ts'

const PARTS_MAX = 5

interface Part {
  readonly what: string
  readonly done: Promise<unknown>
}

/** Two to five of these at once, over the same pages. */
export function race(day: Day, op: Op): Started | null {
  const random = new Random(op.value)
  const parts: Part[] = []
  const busy = new Set<Mirror>()
  const slots = [day.slots[op.slot], day.slots[op.other]].filter((slot): slot is Slot => slot !== null && slot !== undefined)
  const free = slots.filter((slot) => overlapping(day.holds, slot).length === 0)
  if (free.length === 0) return null
  const parties = 2 + random.below(PARTS_MAX - 1)
  const cut = random.chance(1, 2) ? free.find(({ kind }) => kind === 'mmap') : undefined
  for (let i = 0; i < parties; i++) parts.push(...startPart(day, random, cut !== undefined && i === 0 ? cut : random.pick(free), busy, cut))
  if (cut !== undefined) parts.push({ what: `munmap of ${cut.pointer}`, done: takeAway(day, cut, random.below(3)) })
  const lost = free.some(({ pointer, byteLength }) => day.model.pagesOf(pointer, byteLength).some((vpn) => day.model.lost.has(vpn)))
  return {
    done: Promise.all(parts.map(({ done }) => done.then(ok, codeOfFailure))),
    judge: ({ value }) => {
      ;(value as { code: string; message: string }[]).forEach(({ code, message }, i) => {
        wentWell(day, { code, value: null, message: `${parts[i]?.what}: ${message}` }, [], lost ? ['device-lost'] : [])
      })
    },
  }
}

/** A mapping goes while others are at it; pages that migrate are waited for. */
async function takeAway(day: Day, slot: Slot, passes: number): Promise<void> {
  const { port } = day.world
  const pages = day.model.pagesOf(slot.pointer, slot.byteLength)
  for (let pass = 0; pass < passes; pass++) await day.scheduler.pass()
  while (pages.some((vpn) => port.space.pages.state(vpn) === PAGE.migrating)) await port.space.settled.wait()
  const gone = port.ioctl('SVM_MUNMAP', { pointer: slot.pointer, byteLength: slot.byteLength })
  day.slots[day.slots.indexOf(slot)] = null
  forgetPages(day, slot.pointer, slot.pages)
  await gone
}

/** Zero or one of them: a device that is gone, or at work already, takes no second. */
function startPart(day: Day, random: Random, slot: Slot, busy: Set<Mirror>, cut: Slot | undefined): Part[] {
  const { port } = day.world
  const { space } = port
  const start = Math.floor(slot.pointer / PAGE_BYTES) + random.below(slot.pages)
  const vma = space.addresses.find(start)
  if (vma === undefined || !hostMayRead(vma)) return []
  const end = Math.min(vma.end, start + 1 + random.below(slot.pages), start + faultWindow(space, vma))
  const mirror = random.pick(port.mirrors)
  if (port.isReleased(mirror.memory)) return []
  const dice = random.below(5)
  if (dice < 2) {
    if (busy.has(mirror) || mirror.device.lostReason !== null) return []
    busy.add(mirror)
    const to = dice === 0 || random.chance(1, 2) ? 'device' : 'host'
    const request = { ranges: [{ start, end }], discard: [], to, mode: 'best-effort' } as const
    return [{ what: `bind ${start}-${end} to ${to} by ${mirror.label}`, done: bind(mirror, new Evictor(mirror, lru), request) }]
  }
  if (dice < 4) {
    const access = hostMayWrite(vma) && random.chance(1, 2) ? 'write' : 'read'
    return [{ what: `host ${access} of ${start}-${end}`, done: touch(day, vma, { start, end, access, cut: slot === cut }) }]
  }
  return [{ what: `range fault ${start}-${end} by ${mirror.label}`, done: ask(day, mirror, { start, end, cut: slot === cut }) }]
}

interface Asked {
  readonly start: number
  readonly end: number
  /** Somebody unmaps it meanwhile. */
  readonly cut: boolean
}

/** What the host has asked for it has, at the moment that it is told so. */
async function touch(day: Day, vma: Vma, { start, end, access, cut }: Asked & { access: 'read' | 'write' }): Promise<void> {
  const { space } = day.world.port
  const verdict = await hostFault(space, vma, start, end, access)
  if (verdict !== 'ok' && !cut) throw new Wrong(`a host ${access} of ${start}-${end} says '${verdict}', and nobody unmapped it`)
}

async function ask(day: Day, mirror: Mirror, { start, end, cut }: Asked): Promise<void> {
  const { space } = day.world.port
  const pfns = new Uint8Array(end - start)
  const range = { space, start, end, owner: mirror, subscription: mirror.subscription, defaultFlags: HMM_PFN.requireFault, keepCopies: false, pfns }
  const verdict = await rangeFault(range, () => {
    for (let vpn = start; vpn < end; vpn++) {
      const foreign = space.pages.isDevicePrivate(vpn) && space.pages.memory(vpn) !== mirror.memory
      if (foreign) throw new Wrong(`a range fault by ${mirror.label} commits, and page ${vpn} is ${space.pages.print(vpn)}`)
    }
  })
  const lost = Array.from(pfns, (_, i) => start + i).some((vpn) => space.pages.state(vpn) === PAGE.lost)
  if (verdict === 'fault' && !lost && !cut) throw new Wrong(`a range fault of ${start}-${end} says 'fault', and all of it is mapped`)
}

function ok(): { code: string; message: string } {
  return { code: 'ok', message: '' }
}

/** Devices fail in their own words here: nobody has explained them to the program. */
function codeOfFailure(error: unknown): { code: string; message: string } {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof Wrong) return { code: 'wrong', message }
  if (error instanceof DeviceFailure) return { code: error.reason === 'lost' ? 'device-lost' : 'device-memory', message }
  return { code: (error as { code?: string }).code ?? 'internal', message }
}

/** Makes room on a device that has enough to do. */
export function evict(day: Day, op: Op): Started | null {
  const mirror = mirrorOf(day, op)
  if (mirror.device.lostReason !== null || day.released.has(mirror.memory) || mirror.dmem.used === 0) return null
  const wanted = mirror.dmem.available + 1 + (op.from % mirror.dmem.used)
  const held = (vpn: number) => op.value % 3 === 0 && vpn % 2 === 0
  const kept: number[] = []
  mirror.dmem.forEachPage((frame, vpn) => held(vpn) && kept.push(frame))
  const start = async () => {
    try {
      return await new Evictor(mirror, lru).makeRoom(wanted, held)
    } catch (error) {
      throw Object.assign(new Error(codeOfFailure(error).message), { code: codeOfFailure(error).code })
    } finally {
      mirror.dmem.trim()
    }
  }
  return {
    done: start(),
    judge: (outcome) => {
      const { checker } = day.world
      for (const frame of mirror.device.lostReason === null ? kept : [])
        checker.expect(14, mirror.dmem.vpnOf(frame) >= 0, () => `frame ${frame} was pinned, and its page is gone`)
      if (!wentWell(day, outcome, [])) return
      const room = outcome.value as number
      const fulfilled = room === wanted || kept.length > 0 || day.faults.struck.length > 0
      checker.expect(47, fulfilled, () => `${wanted} frames were to be free and could be, ${room} are`)
    },
  }
}

/**
 * Pages are sent home of which one has left meanwhile: the others go, and that one keeps its frame and its entry, from the first moment on.
 * Nobody else is at it.
 */
export function mixed(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  const mirror = mirrorOf(day, op)
  if (slot === null || slot === undefined || slot.pages < 3 || !slot.deviceWrites || overlapping(day.holds, slot).length > 0) return null
  const mine = day.model.pagesOf(slot.pointer, slot.byteLength)
  if (mine.some((vpn) => day.model.lost.has(vpn) || day.access.has(vpn)) || goneCodes(day, op).length > 0) return null
  const { svm, queues, kernels, port, checker } = day.world
  const { pages } = port.space
  const queue = queues[op.queue % queues.length] as SvmQueue
  const args = { a: slot.pointer, b: slot.pointer, n: 1, s: PAGE_BYTES, v: op.value }
  const items = Math.floor((slot.byteLength - 4) / PAGE_BYTES) + 1
  const { stored } = day.model.run(KERNELS.store.twin, items, args)
  let launched = false
  const start = async () => {
    await queue.migrate({ pointer: slot.pointer, byteLength: slot.byteLength }).done
    await queue.enqueue(kernels.store[0] as SvmKernel, { args, global: items }).done
    day.model.apply(stored)
    launched = true
    const asked = mine.filter((vpn) => pages.isDevicePrivate(vpn) && pages.memory(vpn) === mirror.memory)
    if (asked.length < 3) return
    const left = asked[1 + (op.from % (asked.length - 2))] as number
    await svm.read(left * PAGE_BYTES, 4)
    const look = () => `${pages.print(left)}, frame ${mirror.frameOf(left)}, entry ${mirror.vmm.get(left)}`
    const before = look()
    const home = mirror.sendHome(asked, { keepCopy: false, discard: false, why: 'request' })
    const during = look()
    const failure = await home.then(() => null, codeOfFailure)
    if (mirror.device.lostReason !== null) return
    checker.expect(4, before === during && before === look(), () => `page ${left} did not move, and was ${before}, then ${during}, then ${look()}`)
    for (const vpn of asked) {
      if (failure === null) checker.expect(41, !pages.isDevicePrivate(vpn), () => `page ${vpn} was sent home, and is ${pages.print(vpn)}`)
      else checker.expect(38, pages.state(vpn) !== PAGE.migrating, () => `page ${vpn} still migrates, and sending it home has failed`)
    }
    if (failure !== null) throw Object.assign(new Error(failure.message), { code: failure.code })
  }
  return {
    done: start(),
    judge: (outcome) => {
      if (!wentWell(day, outcome, []) && !launched) day.model.doubt(stored, null)
    },
  }
}

/** A migration that is set up and given up: all is as it was, but for what others had mapped. */
export function abandon(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  if (slot === null || slot === undefined) return null
  const mirror = mirrorOf(day, op)
  const { space } = day.world.port
  const { checker } = day.world
  const start = Math.floor(slot.pointer / PAGE_BYTES)
  const vma = space.addresses.find(start)
  if (vma === undefined || mirror.device.lostReason !== null || day.released.has(mirror.memory)) return null
  const homeward = op.value % 2 === 0
  const states = () => Array.from({ length: vma.end - vma.start }, (_, i) => space.pages.print(vma.start + i))
  const before = states()
  const owners = before.map((_state, i) => (space.pages.isDevicePrivate(vma.start + i) ? space.pages.memory(vma.start + i) : -1))
  const { sequence } = space.notifiers
  const select = homeward ? SELECT.devicePrivate : SELECT.system
  const args = migrateSetup({ space, vma, start: vma.start, end: vma.end, owner: mirror, select, to: homeward ? 'host' : 'owner' })
  checkSetup(day, args, before, owners)
  if (args.collected === 0) {
    const untouched = space.notifiers.sequence === sequence && states().join() === before.join()
    checker.expect(32, untouched, () => `a setup that took nothing changed something: ${before.join(', ')} became ${states().join(', ')}`)
  }
  args.dst.fill(-1)
  const moved = migratePages(args)
  migrateFinalize(args)
  checker.expect(36, moved === 0, () => `${moved} pages moved that had nowhere to go`)
  for (const other of day.world.checker.mirrors) other.refresh({ start: vma.start, end: vma.end })
  const after = states()
  const same = before.every(
    (state, i) => state === after[i] || (state.startsWith('mapped') && (after[i] === 'host' || after[i]?.startsWith('mapped') === true)),
  )
  checker.expect(38, same, () => `a migration was given up: ${before.join(', ')} became ${after.join(', ')}`)
  return ended()
}

function checkSetup(day: Day, args: MigrateArgs, before: readonly string[], owners: readonly number[]): void {
  const { checker } = day.world
  const { pages } = day.world.port.space
  let taken = 0
  for (let i = 0; i < args.src.length; i++) {
    const isTaken = ((args.src[i] as number) & SRC.taken) !== 0
    if (isTaken) taken++
    checker.expect(31, isTaken === (pages.state(args.start + i) === PAGE.migrating), () => `page ${args.start + i} is taken or migrates, not both`)
    const owner = owners[i] as number
    if (isTaken && owner >= 0)
      checker.expect(33, owner === args.owner.memory, () => `page ${args.start + i} of memory ${owner} was taken for ${args.owner.label}`)
    if (args.to === 'owner' && owner >= 0 && owner !== args.owner.memory) {
      checker.expect(64, !isTaken, () => `page ${args.start + i} goes from memory ${owner} straight to ${args.owner.label}`)
    }
    const away = /clean|dirty/.test(before[i] as string)
    checker.expect(33, !isTaken || away === (args.to === 'host'), () => `page ${args.start + i} (${before[i]}) was collected by a migration to the ${args.to}`)
  }
  checker.expect(31, taken === args.collected, () => `${args.collected} pages are said to be collected, ${taken} are taken`)
  const skipped = Object.values(args.skipped).reduce((sum, count) => sum + (count ?? 0), 0)
  checker.expect(42, args.collected + args.present + args.passed + skipped === args.src.length, () => 'setup does not account for every page')
}
