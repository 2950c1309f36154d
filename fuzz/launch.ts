// Launches of kernels. Always: what a launch must leave, the twin says on the model; of one that failed, every word is as it was or as it was to
// be, and words that the kernel may not store to are as they were.

import type { DispatchResult, MigrateResult, SvmEvent, SvmKernel, SvmQueue } from '../src/index.ts'
import { coin, command, goneCodes, mirrorOf, seenByHost } from './command.ts'
import { type Day, metHolds, type Outcome, overlapping, type Slot, type Started, wentWell } from './day.ts'
import { type FuzzKernel, KERNELS, type KernelName } from './kernels.ts'
import type { Op } from './op.ts'
import { PAGE_BYTES } from './world.ts'

interface Args extends Record<string, number> {
  a: number
  b: number
  n: number
  s: number
  v: number
}

const STRIDES = [4, 4, 8, 64, PAGE_BYTES, PAGE_BYTES + 4, 2 * PAGE_BYTES] as const
const NODES_MAX = 4

interface Plan {
  readonly args: Args
  readonly items: number
  readonly slots: readonly [Slot, Slot]
}

function planOf(day: Day, op: Op, name: KernelName): Plan | null {
  const kernel: FuzzKernel = KERNELS[name]
  const slot = day.slots[op.slot]
  const other = kernel.writesB ? day.slots[op.other] : slot
  if (slot === null || slot === undefined || other === null || other === undefined || (kernel.writesB && slot === other)) return null
  const s = STRIDES[op.value % STRIDES.length] as number
  const a = wordIn(slot, op.from)
  const b = wordIn(other, op.length)
  const room = Math.min(roomFor(slot, a, s), kernel.writesB ? roomFor(other, b, s) : Number.POSITIVE_INFINITY)
  const items = name === 'count' || name === 'ticket' ? 1 + (op.value % 12) : 1 + (op.value % Math.min(12, room))
  const n = Math.max(1, Math.min(items, room, 4))
  return { args: { a, b, n, s, v: 1 + (op.coins & 0xff) }, items, slots: [slot, other] }
}

export function launch(day: Day, op: Op): Started | null {
  const name = op.kind as KernelName
  const plan = planOf(day, op, name)
  if (plan === null) return null
  const event = enqueue(day, op, name, plan.args, plan.items)
  const atomic = isAtomic(op)
  return { done: event.done, judge: (outcome) => judge(day, op, { ...plan, outcome, result: outcome.value as DispatchResult, kernel: KERNELS[name], atomic }) }
}

const RESIDENT: readonly KernelName[] = ['store', 'add', 'copy', 'count']

/** All that the kernel may reach comes to the device first, so that no fault is possible; then perhaps it goes home. Nobody else is at it. */
export function resident(day: Day, op: Op): Started | null {
  const name = RESIDENT[op.device % RESIDENT.length] as KernelName
  const plan = planOf(day, op, name)
  if (plan === null) return null
  const { queues, kernels, port } = day.world
  const { pages } = port.space
  const mirror = mirrorOf(day, op)
  const queue = queues[op.queue % queues.length] as SvmQueue
  const ranges = plan.slots.map(({ pointer, byteLength }) => ({ pointer, byteLength }))
  let all = false
  let result: DispatchResult | null = null
  let home: MigrateResult | null = null
  const start = async () => {
    const { skipped } = await queue.migrate(ranges).done
    all = Object.keys(skipped).length === 0
    if (coin(op, 17) && coin(op, 18)) day.faults.arm({ kind: 'readback', nth: 1, device: 0 })
    // A pass whose report is lost may have stored to whatever the device has.
    const there = [...day.model.pages].filter((vpn) => pages.isDevicePrivate(vpn) && pages.memory(vpn) === mirror.memory)
    try {
      result = await queue.enqueue(kernels[name][2] as SvmKernel, { args: plan.args, global: plan.items }).done
    } catch (error) {
      for (const vpn of there) day.model.exposed.add(vpn)
      throw error
    }
    if (coin(op, 21)) home = await queue.migrate(ranges, { to: 'host' }).done
  }
  return {
    done: start(),
    judge: (outcome) => {
      judge(day, op, { ...plan, outcome, result, kernel: KERNELS[name], atomic: false })
      if (outcome.code !== 'ok') return
      if ((result?.variant ?? 'attempt') !== 'attempt' && home !== null && home.bytesCopied > 0) day.broughtHome++
      if (home !== null && Object.keys(home.skipped).length === 0) for (const range of ranges) seenByHost(day, range)
      if (!all || day.faults.struck.length > 0) return
      day.world.checker.expect(20, (result?.variant ?? 'attempt') !== 'attempt', () => `everything was migrated, and the launch had ${result?.faults} faults`)
    },
  }
}

/** Stores where nothing is mapped, or where a kernel may only read: the address is named, and nothing else is hurt. */
export function wild(day: Day, op: Op): Started | null {
  const args: Args = { a: 16 + (op.value % 64) * 4, b: 16, n: 1, s: 4, v: 1 }
  const event = enqueue(day, op, 'store', args, 1)
  return {
    done: event.done,
    judge: (outcome) => {
      const gone = goneCodes(day, op)
      wentWell(day, outcome, gone.length > 0 ? gone : ['access-violation'])
    },
  }
}

/** Writes a ring of nodes and lets a kernel follow it. Nobody else is at it. */
export function chase(day: Day, op: Op): Started | null {
  const slot = day.slots[op.slot]
  const other = day.slots[op.other]
  if (slot === null || slot === undefined || other === null || other === undefined || slot === other || slot.kind === 'mmap') return null
  const pages = day.model.pagesOf(slot.pointer, slot.byteLength)
  if (overlapping(day.holds, slot).length > 0 || pages.some((vpn) => day.model.lost.has(vpn) || day.access.has(vpn))) return null
  const nodes = Array.from({ length: Math.min(NODES_MAX, slot.pages) }, (_, i) => slot.pointer + i * PAGE_BYTES + 16 * (op.from % 64))
  const items = 1 + (op.value % 6)
  const args: Args = { a: nodes[0] as number, b: wordIn(other, op.length), n: nodes.length, s: 4, v: op.value % 1000 }
  if (roomFor(other, args.b, 4) < items) return null
  const { svm, queues, kernels } = day.world
  let written = 0
  const start = async () => {
    for (const [i, node] of nodes.entries()) {
      const next = nodes[(i + 1) % nodes.length] as number
      const bytes = Uint32Array.of(next % 2 ** 32, Math.floor(next / 2 ** 32), op.value + i)
      await svm.write(node, bytes)
      day.model.write(node, new Uint8Array(bytes.buffer))
      written++
    }
    const queue = queues[op.queue % queues.length] as SvmQueue
    return queue.enqueue(kernels.chase[0] as SvmKernel, { args, global: items, atomic: isAtomic(op) }).done
  }
  return {
    done: start(),
    judge: (outcome) => {
      if (written < nodes.length) wentWell(day, outcome, [])
      else judge(day, op, { outcome, result: outcome.value as DispatchResult, kernel: KERNELS.chase, args, items, slots: [slot, other], atomic: isAtomic(op) })
    },
  }
}

function enqueue(day: Day, op: Op, name: KernelName, args: Args, global: number): SvmEvent<unknown> {
  const kernel = day.world.kernels[name][coin(op, 9) && coin(op, 10) ? 1 : 0] as SvmKernel
  return command(day, op, (queue, waitFor) => queue.enqueue(kernel, { args, global, atomic: isAtomic(op), waitFor }))
}

/** One launch in eight is all or nothing. */
function isAtomic(op: Op): boolean {
  return coin(op, 11) && coin(op, 12) && coin(op, 13)
}

interface Launched extends Plan {
  readonly outcome: Outcome
  /** Of a launch that ended well. */
  readonly result: DispatchResult | null
  readonly kernel: FuzzKernel
  readonly atomic: boolean
}

function judge(day: Day, op: Op, { outcome, result, kernel, args, items, slots, atomic }: Launched): void {
  const { stored, touched } = day.model.run(kernel.twin, items, args)
  const gone = goneCodes(day, op).filter((code) => !day.may.has(code))
  const must = gone.length > 0 ? gone : refusalsOf(day, slots, touched, stored)
  const { dmem, memory } = mirrorOf(day, op)
  const short = dmem.capacity < (day.world.frames[memory] as number)
  const may = [...slots.flatMap((slot) => metHolds(day, slot)), ...(short || atomic ? ['working-set', 'device-memory'] : [])]
  const { checker } = day.world
  checker.note(50)
  if (must.includes('access-violation') && [...stored.keys()].some((address) => day.access.has(Math.floor(address / PAGE_BYTES)))) checker.note(56)
  if (wentWell(day, outcome, must, may)) {
    day.model.apply(stored)
    if ((result?.faults ?? 0) > 0) checker.note(49)
    if ((result?.hints ?? 0) > 0) checker.note(51)
    if ((result?.rounds ?? 0) > 2) checker.note(52)
    return
  }
  if (atomic) return day.model.expose(stored.keys())
  day.model.doubt(new Map([...stored].filter(([address]) => mayStore(day, slots, address))), kernel.counts ? args.v : null)
}

/** Errors that the words which the launch touches lead to. */
function refusalsOf(day: Day, slots: readonly Slot[], touched: ReadonlySet<number>, stored: ReadonlyMap<number, number>): string[] {
  const codes = new Set<string>()
  for (const address of touched) {
    const slot = slots.find(({ pointer, pages }) => address >= pointer && address < pointer + pages * PAGE_BYTES)
    const writes = stored.has(address)
    const right = day.access.get(Math.floor(address / PAGE_BYTES))
    if (right === 'none' || (writes && (slot?.deviceWrites !== true || right === 'read'))) codes.add('access-violation')
    if (overlapping(day.holds, { pointer: address, byteLength: 4 }).some(({ mode }) => writes || mode !== 'read')) codes.add('host-mapped')
    if (day.model.lost.has(Math.floor(address / PAGE_BYTES))) codes.add('device-lost')
  }
  return [...codes]
}

function mayStore(day: Day, slots: readonly Slot[], address: number): boolean {
  const slot = slots.find(({ pointer, pages }) => address >= pointer && address < pointer + pages * PAGE_BYTES)
  return (
    slot?.deviceWrites === true && !day.access.has(Math.floor(address / PAGE_BYTES)) && overlapping(day.holds, { pointer: address, byteLength: 4 }).length === 0
  )
}

function wordIn(slot: Slot, dice: number): number {
  const words = Math.floor(slot.byteLength / 4)
  return slot.pointer + (words === 0 ? 0 : (dice % words) * 4)
}

/** Items that fit from `at` on. */
function roomFor(slot: Slot, at: number, stride: number): number {
  return Math.max(1, Math.floor((slot.pointer + slot.byteLength - 4 - at) / stride) + 1)
}
