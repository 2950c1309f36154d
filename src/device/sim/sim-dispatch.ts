// Runs the twins of one dispatch. Always: a seed fixes the order of everything; a work-item runs to its next `yield`, and a `yield`
// without a value holds it until every work-item of its workgroup is there or has ended. At a barrier poison and taint become the whole workgroup's.

import { CONTROL } from '../../abi/fault-record.ts'
import { SvmError } from '../../base/error.ts'
import type { Random } from '../../base/world.ts'
import type { ProgramDescriptor } from '../device.ts'
import type { KernelTwin, WorkItem } from '../twin.ts'
import { EndInvocation } from './invocation.ts'
import { SimMemory } from './sim-memory.ts'
import { type PassBuffers, SimPass } from './sim-pass.ts'

type Triple = readonly [number, number, number]

/** What a dispatch of a twin is made of. */
export interface TwinLaunch {
  readonly descriptor: ProgramDescriptor
  readonly twin: KernelTwin
  readonly buffers: PassBuffers
  /** Workgroups as dispatched, folded. */
  readonly groups: Triple
  readonly args: Readonly<Record<string, unknown>>
}

/** Work-items at work at one time: as on a device, the rest waits for room. A kernel that spins on more than these never ends. */
const ITEMS_IN_FLIGHT_MAX = 16_384

/** Runs all workgroups of the pass, and returns the accesses they made. */
export function runTwins(launch: TwinLaunch, random: Random): number {
  const { descriptor, buffers, groups } = launch
  const pass = new SimPass(descriptor, buffers)
  if (pass.skipped) return 0
  const args = numbersOf(launch.args)
  const size = descriptor.workgroupSize
  const slots = Math.min(groups[0] * groups[1] * groups[2], buffers.control[CONTROL.slots])
  const waiting = random.shuffle(Array.from({ length: slots }, (_, slot) => slot))
  const inFlightMax = Math.max(1, Math.floor(ITEMS_IN_FLIGHT_MAX / (size[0] * size[1] * size[2])))
  const inFlight: SimWorkgroup[] = []
  while (true) {
    while (waiting.length > 0 && inFlight.length < inFlightMax) inFlight.push(new SimWorkgroup(launch, pass, args, waiting.pop() as number))
    if (inFlight.length === 0) return pass.accesses
    const chosen = random.below(inFlight.length)
    if (inFlight[chosen].step(random)) continue
    inFlight[chosen] = inFlight[inFlight.length - 1]
    inFlight.pop()
  }
}

/** Arguments as a twin sees them: numbers. A vector's or a struct's members are named `name.member`. */
export function numbersOf(args: Readonly<Record<string, unknown>>, prefix = ''): Record<string, number> {
  const numbers: Record<string, number> = {}
  for (const [name, value] of Object.entries(args)) {
    if (typeof value === 'object' && value !== null) Object.assign(numbers, numbersOf(value as Record<string, unknown>, `${prefix}${name}.`))
    else numbers[prefix + name] = Number(value)
  }
  return numbers
}

class SimWorkgroup {
  readonly #launch: TwinLaunch
  readonly #args: Record<string, number>
  readonly #items: SimItem[] = []
  readonly #runnable: SimItem[]
  readonly #held: SimItem[] = []

  constructor(launch: TwinLaunch, pass: SimPass, args: Record<string, number>, slot: number) {
    this.#launch = launch
    this.#args = args
    const { descriptor, buffers } = launch
    const { control } = buffers
    const [sizeX, sizeY, sizeZ] = descriptor.workgroupSize
    const group = {
      workgroupId: workgroupOf(control, pass.workgroupOf(slot)),
      numWorkgroups: triple(control, CONTROL.workgroupsX),
      shared: new Map<string, Uint32Array>(),
    }
    const global = triple(control, CONTROL.globalX)
    const offset = triple(control, CONTROL.offsetX)
    for (let localIndex = 0; localIndex < sizeX * sizeY * sizeZ; localIndex++) {
      const localId: Triple = [localIndex % sizeX, Math.floor(localIndex / sizeX) % sizeY, Math.floor(localIndex / (sizeX * sizeY))]
      const inLaunch = descriptor.workgroupSize.map((size, axis) => group.workgroupId[axis] * size + localId[axis])
      if (descriptor.guard && inLaunch.some((id, axis) => id >= global[axis])) continue
      const globalId: Triple = [inLaunch[0] + offset[0], inLaunch[1] + offset[1], inLaunch[2] + offset[2]]
      this.#items.push(new SimItem(group, new SimMemory(pass, slot), globalId, localId, localIndex))
    }
    this.#runnable = this.#items.slice()
  }

  /** Lets one work-item run to its next yield. False when the workgroup is done. */
  step(random: Random): boolean {
    if (this.#runnable.length === 0) return this.#releaseBarrier()
    const chosen = random.below(this.#runnable.length)
    const item = this.#runnable[chosen]
    const state = this.#run(item)
    if (state === 'step') return true
    this.#runnable[chosen] = this.#runnable[this.#runnable.length - 1]
    this.#runnable.pop()
    if (state === 'barrier') this.#held.push(item)
    return this.#runnable.length > 0 || this.#releaseBarrier()
  }

  #releaseBarrier(): boolean {
    if (this.#held.length === 0) return false
    const poisoned = this.#launch.descriptor.variant === 'attempt' && this.#items.some((item) => item.memory.poisoned)
    const tainted = this.#items.some((item) => item.memory.tainted)
    for (const { memory } of this.#held) {
      memory.poisoned ||= poisoned
      memory.tainted ||= tainted
    }
    this.#runnable.push(...this.#held.splice(0))
    return true
  }

  #run(item: SimItem): 'step' | 'barrier' | 'done' {
    const { twin, descriptor } = this.#launch
    try {
      if (item.running === null) {
        const started = twin(item, this.#args, item.memory)
        if (!isGenerator(started)) return 'done'
        item.running = started
      }
      const { done, value } = item.running.next()
      if (done === true) return 'done'
      if (value !== 'step') return 'barrier'
      item.memory.tick()
      return 'step'
    } catch (error) {
      if (error instanceof EndInvocation) return 'done'
      if (error instanceof SvmError) throw error
      const where = `the twin of '${descriptor.label}' threw in workgroup ${item.workgroupId.join(', ')}, work-item ${item.localId.join(', ')}`
      throw new SvmError('invalid-value', `${where}: ${String(error)}; mend the twin`, { kernel: descriptor.label, workgroup: item.workgroupId, cause: error })
    }
  }
}

function isGenerator(started: unknown): started is Generator<unknown> {
  return typeof started === 'object' && started !== null && 'next' in started
}

interface Group {
  readonly workgroupId: Triple
  readonly numWorkgroups: Triple
  readonly shared: Map<string, Uint32Array>
}

class SimItem implements WorkItem {
  readonly globalId: Triple
  readonly localId: Triple
  readonly localIndex: number
  readonly memory: SimMemory
  running: Generator<unknown> | null = null
  readonly #group: Group

  constructor(group: Group, memory: SimMemory, globalId: Triple, localId: Triple, localIndex: number) {
    this.#group = group
    this.memory = memory
    this.globalId = globalId
    this.localId = localId
    this.localIndex = localIndex
  }

  get workgroupId(): Triple {
    return this.#group.workgroupId
  }

  get numWorkgroups(): Triple {
    return this.#group.numWorkgroups
  }

  workgroupU32(name: string, length: number): Uint32Array {
    const { shared } = this.#group
    const made = shared.get(name) ?? new Uint32Array(length)
    shared.set(name, made)
    return made
  }

  workgroupAtomicAdd(name: string, length: number, index: number, value: number): number {
    const { memory } = this
    memory.tick()
    memory.taint()
    if (memory.suppressed) return 0
    const words = this.workgroupU32(name, length)
    const old = words[index]
    words[index] = old + value
    return old
  }
}

/** A workgroup of the launch by its number. */
function workgroupOf(control: Uint32Array, linear: number): Triple {
  const [x, y] = triple(control, CONTROL.workgroupsX)
  return [linear % x, Math.floor(linear / x) % y, Math.floor(linear / (x * y))]
}

function triple(control: Uint32Array, offset: number): Triple {
  return [control[offset], control[offset + 1], control[offset + 2]]
}
