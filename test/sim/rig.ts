// rig.ts: a space on a simulated device, with its insides at hand, and the check of what must hold of them at rest.
// Always: `checkInvariants` looks and never changes; every test opens its own device, so a seed repeats a test wholly.

import { Checker } from '../../fuzz/check.ts'
import { budgetWith } from '../../fuzz/world.ts'
import type { Context } from '../../src/cl/context.ts'
import { SvmDevice } from '../../src/cl/svm-device.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import type { Space } from '../../src/mm/space.ts'
import { openSvm } from '../../src/open.ts'
import { type Costs, type KernelTwin, type Mischief, simDevice } from '../../src/sim.ts'
import type { KernelDescriptor, Svm, SvmKernel, SvmOptions, TraceEvent } from '../../src/types.ts'

export const PAGE_BYTES = 4096
export const PAGE_WORDS = PAGE_BYTES / 4

/** What `openRig` opens where a test does not say: a suite can be run again in the other width. */
export const rigDefaults: { addressBits: 32 | 64; debug: boolean } = { addressBits: 32, debug: false }

export interface Rig {
  readonly svm: Svm
  readonly port: LocalPort
  readonly space: Space
  readonly mirror: Mirror
  readonly device: SimDevice
  readonly events: TraceEvent[]
  /** The page of an address, drawn: `none`, `host`, `mapped on 1`, `dirty` … without frame and memory. */
  state(pointer: number): string
  /** One letter a page: `.` none, `z` zero, `h` host, `m` mapped, `c` clean, `d` dirty, `L` lost, `!` migrating. */
  draw(pointer: number, pages: number): string
}

export interface RigOptions extends Omit<SvmOptions, 'device' | 'devices'> {
  seed?: number
  memory?: number
  mischief?: Mischief
  costs?: Costs
  /** Frames that the device shall have, exactly; in place of deviceMemory. */
  frames?: number
  storageBuffers?: number
  bufferBytes?: number
  /** Twins do what the texts of their kernels say. */
  faithfulTwins?: boolean
  /** The device as the space shall see it. */
  wrap?: (device: SimDevice) => SimDevice
}

export async function openRig(options: RigOptions = {}): Promise<Rig> {
  const { seed = 1, memory, mischief, costs, frames, storageBuffers, bufferBytes, faithfulTwins, wrap = (device) => device, ...rest } = options
  const events: TraceEvent[] = []
  const sim = new SvmDevice(wrap(simDevice({ seed, memory, mischief, costs, storageBuffers, bufferBytes, faithfulTwins }).device as SimDevice))
  const pageSize = rest.pageSize ?? PAGE_BYTES
  const debug = rest.debug ?? rigDefaults.debug
  const deviceMemory = frames === undefined ? rest.deviceMemory : budgetWith(frames, pageSize, sim.device as SimDevice, debug)
  const svm = await openSvm({
    addressBits: rigDefaults.addressBits,
    ...rest,
    debug,
    pageSize,
    deviceMemory,
    device: sim,
    // What a test counts is what it asks for.
    policy: { prefetch: 'none', ...rest.policy },
    trace: rest.trace ?? ((event) => events.push(event)),
  })
  const port = (svm as Context).port as LocalPort
  const { space } = port
  const mirror = port.mirrors[0]
  const state = (pointer: number) => space.pages.print(Math.floor(pointer / pageSize)).replace(/ in memory.*/, '')
  const draw = (pointer: number, pages: number) =>
    Array.from({ length: pages }, (_, i) => '.zhmcd!L'[space.pages.state(Math.floor(pointer / pageSize) + i)]).join('')
  return { svm, port, space, mirror, device: sim.device as SimDevice, events, state, draw }
}

/** A kernel whose WGSL only has the right shape: the simulated device runs the twin. @param options.barriers it has some; `takes`: it uses what atomics give */
export function makeKernel(
  svm: Svm,
  twin: KernelTwin,
  options: Partial<KernelDescriptor> & { size?: number; pointers?: string[]; numbers?: string[]; barriers?: boolean; takes?: boolean } = {},
): Promise<SvmKernel> {
  const { size = 1, pointers = ['a'], numbers = [], barriers = false, takes = false, ...rest } = options
  const value = takes ? 'svm_atomic_add_u32' : 'svm_load_u32'
  const fields = [...pointers.map((name) => `${name}: svm_ptr`), ...numbers.map((name) => `${name}: u32`)]
  const code = `struct Args { ${fields.join(', ')} }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(${size})
fn k() { ${barriers ? 'workgroupBarrier();' : ''} svm_store_u32(args.${pointers[0]}, ${value}(args.${pointers[0]}${takes ? ', 1u' : ''})); }
`
  return svm.createKernel({ code, entryPoint: 'k', label: 'k', ...rest, twin })
}

/** What must hold when nothing runs: the fuzzer's checks. Bytes of frames are compared where `bytes` is not false and the device lives. */
export async function checkInvariants({ port, mirror, device }: Rig, options: { bytes?: boolean } = {}): Promise<void> {
  if (device.lostReason === null && options.bytes !== false) await mirror.copies.submit([])
  new Checker(port, mirror.plan.budgetBytes).atRest(options)
}

/** The code of the SvmError that a promise rejects with, or that a function throws. */
export async function codeOf(body: () => unknown): Promise<string> {
  try {
    await body()
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  return 'no error'
}

/** Random runs are with the prefetcher as often as without. */
export function prefetchOf(seed: number): 'density' | 'none' {
  return seed % 2 === 0 ? 'density' : 'none'
}

export function sequence(words: number, first = 0): Uint32Array {
  return Uint32Array.from({ length: words }, (_, i) => first + i)
}
