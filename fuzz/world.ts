// One space of a run: simulated devices, queues, kernels and pagers, all of which wait in one line and fail on request. Always: everything
// about it follows from its seed.

import { Random } from '../src/base/world.ts'
import type { Context } from '../src/cl/context.ts'
import type { SimDevice } from '../src/device/sim/sim-device.ts'
import { budgetMin, planMemory } from '../src/driver/budget.ts'
import type { LocalPort } from '../src/drm/local-port.ts'
import type { SvmDevice, TraceEvent } from '../src/index.ts'
import { openSvm, type Pager, type Svm, type SvmKernel, type SvmQueue } from '../src/index.ts'
import { simDevice } from '../src/sim.ts'
import { Checker } from './check.ts'
import type { Faults } from './faults.ts'
import { KERNEL_NAMES, KERNEL_TEXT, KERNELS, type KernelName } from './kernels.ts'
import { mixSeed } from './op.ts'
import type { Scheduler } from './scheduler.ts'

export const PAGE_BYTES = 4096
const FRAMES_LEAST = 8

export interface WorldParts {
  readonly seed: number
  readonly scheduler: Scheduler
  readonly faults: Faults
  /** Counts of checks, kept over several worlds. */
  readonly counts: Map<number, number>
  readonly onEvent: (event: TraceEvent) => void
}

export interface World {
  readonly svm: Svm
  readonly port: LocalPort
  readonly devices: readonly SimDevice[]
  /** By device: one in order, one out of order. */
  readonly queues: readonly SvmQueue[]
  /** By name: plain, transactional, and one that reaches only what its arguments point into. */
  readonly kernels: Readonly<Record<KernelName, readonly SvmKernel[]>>
  readonly checker: Checker
  /** Frames that each device had when it was opened. */
  readonly frames: readonly number[]
  /** What nobody asked for and was reported. */
  readonly reported: { readonly code: string; readonly message: string }[]
}

export async function openWorld(parts: WorldParts): Promise<World> {
  const { scheduler, onEvent } = parts
  const random = new Random(mixSeed(parts.seed, 0xda))
  const pageSize = PAGE_BYTES
  const frames = FRAMES_LEAST + random.below(20)
  const bufferBytes = random.chance(1, 3) ? 64 * 1024 : undefined
  const made = Array.from({ length: random.pick([1, 2, 2, 2, 3]) }, (_, i) => makeDevice(parts, { seed: random.u32(), label: `device ${i}`, bufferBytes }))
  const devices = made.map(({ device }) => device as SimDevice)
  const hostCache = (6 + random.below(12)) * pageSize
  const addressBits = random.chance(1, 3) ? 64 : 32
  const debug = random.chance(1, 4)
  const deviceMemory = budgetWith(frames, pageSize, devices[0] as SimDevice, debug)
  // Where one move is enough, many pages bounce all day.
  const thrash = random.chance(1, 2) ? { moves: 1, lapse: 100, epoch: 1000 } : {}
  const svm = await openSvm({ devices: made, addressBits, pageSize, hostCache, deviceMemory, debug, policy: { thrash }, trace: onEvent })
  const port = (svm as Context).port as LocalPort
  const reported: { code: string; message: string }[] = []
  svm.onerror = ({ code, message }) => reported.push({ code, message })
  const queues = made.flatMap((device) => [svm.createQueue({ device }), svm.createQueue({ device, outOfOrder: true })])
  const kernels = await makeKernels(svm, scheduler)
  const checker = new Checker(port, deviceMemory, parts.counts)
  checker.watch()
  return { svm, port, devices, queues, kernels, checker, frames: port.mirrors.map(({ plan }) => plan.frames), reported }
}

function makeDevice({ scheduler, faults }: WorldParts, options: { seed: number; label: string; bufferBytes: number | undefined }): SvmDevice {
  return simDevice({
    ...options,
    pass: () => scheduler.pass(),
    mischief: {
      failBuffer: () => faults.strikes('buffer') !== null,
      failProgram: () => faults.strikes('program') !== null,
      failReadback: () => faults.strikes('readback') !== null,
      failSubmit: () => faults.strikes('submit') !== null,
    },
  })
}

/** The smallest budget with so many frames, or a few more. */
export function budgetWith(frames: number, pageBytes: number, device: SimDevice, debug = false): number {
  let budgetBytes = budgetMin(pageBytes, debug)
  while (planMemory({ budgetBytes, pageBytes, limits: device.limits, authorStorageBuffers: 0, debug }).frames < frames) budgetBytes += 256
  return budgetBytes
}

async function makeKernels(svm: Svm, scheduler: Scheduler): Promise<World['kernels']> {
  const made = {} as Record<KernelName, SvmKernel[]>
  let open = true
  const making = (async () => {
    for (const name of KERNEL_NAMES) {
      const descriptor = { code: KERNEL_TEXT, entryPoint: 'k', twin: KERNELS[name].twin }
      made[name] = [
        await svm.createKernel({ ...descriptor, label: name }),
        await svm.createKernel({ ...descriptor, label: `${name}!`, class: 'transactional' }),
        await svm.createKernel({ ...descriptor, label: `${name}&`, reach: 'arguments' }),
      ]
    }
  })().finally(() => {
    open = false
  })
  await scheduler.run(
    () => !open,
    () => undefined,
  )
  await making
  return made
}

/** A source of bytes that waits in line and fails on request. */
export function makePager(
  seed: number,
  byteLength: number,
  { scheduler, faults }: Pick<WorldParts, 'scheduler' | 'faults'>,
): { pager: Pager; bytes: Uint8Array } {
  const random = new Random(seed)
  const bytes = new Uint8Array(Uint32Array.from({ length: Math.ceil(byteLength / 4) }, () => random.u32()).buffer).subarray(0, byteLength)
  const pager: Pager = {
    size: byteLength,
    async read(offset, into) {
      const fails = faults.strikes('pager') !== null
      const short = faults.strikes('short-read') !== null
      await scheduler.pass()
      if (fails) throw new Error('this read was to fail')
      into.set(bytes.subarray(offset, offset + into.length))
      return short ? into.length - 1 : into.length
    },
  }
  return { pager, bytes }
}
