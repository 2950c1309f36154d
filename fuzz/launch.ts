// Launches of kernels. Always: what a launch must leave, the twin says on the model; of one that failed, every word is as it was or as it was to
// be, and words that the kernel may not store to are as they were.

import type { SvmEvent, SvmKernel, SvmQueue } from '../src/index.ts'
import { coin, command, goneCodes, mirrorOf } from './command.ts'
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

export function launch(day: Day, op: Op): Started | null {
  const name = op.kind as KernelName
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
  const args: Args = { a, b, n, s, v: 1 + (op.coins & 0xff) }
  const event = enqueue(day, op, name, args, items)
  return { done: event.done, judge: (outcome) => judge(day, op, { outcome, kernel, args, items, slots: [slot, other] }) }
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
      else judge(day, op, { outcome, kernel: KERNELS.chase, args, items, slots: [slot, other] })
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

interface Launched {
  readonly outcome: Outcome
  readonly kernel: FuzzKernel
  readonly args: Args
  readonly items: number
  readonly slots: readonly [Slot, Slot]
}

function judge(day: Day, op: Op, { outcome, kernel, args, items, slots }: Launched): void {
  const { stored, touched } = day.model.run(kernel.twin, items, args)
  const gone = goneCodes(day, op).filter((code) => !day.may.has(code))
  const must = gone.length > 0 ? gone : refusalsOf(day, slots, touched, stored)
  const { dmem, memory } = mirrorOf(day, op)
  const short = dmem.capacity < (day.world.frames[memory] as number)
  const may = [...slots.flatMap((slot) => metHolds(day, slot)), ...(short || isAtomic(op) ? ['working-set', 'device-memory'] : [])]
  const { checker } = day.world
  if (wentWell(day, outcome, must, may)) {
    day.model.apply(stored)
    checker.note(3, 49, 50, 51, 52)
    return
  }
  if (must.length > 0) checker.note(50)
  if (isAtomic(op)) return day.model.expose(stored.keys())
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
