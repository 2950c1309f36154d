// One seed of the chaos run on a simulated device. Always: a seed is a whole run, from the kernel and its inputs to the last bit compared.
//
// Oracle: the check of the kernel (every word where the schedule does not matter, every effect once where it does), and, bit for bit, the
// all-resident reference under the witness schedule: of every pass the steps of the workgroups that retired in it.

import { expect } from 'vitest'
import { Random } from '../../src/base/world.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { DispatchResult } from '../../src/index.ts'
import { KERNELS } from '../kernels/all.ts'
import { type Kernel, PAGE_BYTES, type Run } from '../kernels/kernel.ts'
import { type LoggedStep, logged, ReferenceMemory, runSchedule, startTwin, witness } from '../sim/reference.ts'
import { checkInvariants, openRig, type Rig } from '../sim/rig.ts'
import { neediest, Placed } from './launch.ts'
import { RandomMischief } from './mischief.ts'
import { Monitor } from './monitor.ts'

/** Frames that a space must have. */
const FRAMES_LEAST = 7

export interface ChaosOptions {
  readonly kernel?: Kernel
  /** Frames beyond those that the neediest workgroup needs; drawn if not told. */
  readonly spare?: number
}

/** What one seed met. */
export interface Met {
  readonly kernel: string
  readonly frames: number
  readonly monitor: Monitor
  readonly mischief: RandomMischief
}

export async function runChaos(seed: number, options: ChaosOptions = {}): Promise<Met> {
  const random = new Random(seed)
  const kernel = options.kernel ?? KERNELS[seed % KERNELS.length]
  const run = kernel.draw(random)
  const spare = options.spare ?? random.pick([0, 0, 1, 2, 4, 8, 16, 60])
  // Half of a pool that the device refuses is given up.
  const refuses = random.chance(1, 4)
  const need = neediest({ kernel, run, twin: kernel.twin })
  const frames = Math.max(FRAMES_LEAST, need + spare) * (refuses ? 2 : 1) + (refuses ? 4 : 0)
  const mischief = new RandomMischief(random)
  const monitor = new Monitor()
  mischief.onRound = () => monitor.round()
  const rig = await openRig({
    seed,
    frames,
    addressBits: random.chance(1, 4) ? 64 : 32,
    mischief: { latency: random.below(3), passes: mischief, failBuffer: refuses ? refuseOnce() : undefined },
    wrap: (device: SimDevice) => monitor.watch(device),
    trace: (event) => monitor.event(event),
  })
  monitor.attach(rig.mirror)
  const chaos = new SeedRun(rig, { kernel, run, random, monitor, mischief })
  const launches = 1 + random.below(3)
  try {
    for (let launch = 0; launch < launches; launch++) await chaos.launch()
    await rig.svm.close()
  } catch (error) {
    throw new Error(
      `kernel '${kernel.name}', ${frames} frames (the neediest workgroup needs ${need}): ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
  }
  return { kernel: kernel.name, frames, monitor, mischief }
}

function refuseOnce(): (nth: number, role: string) => boolean {
  let left = 1
  return (_nth, role) => role === 'pool' && left-- > 0
}

interface Parts {
  readonly kernel: Kernel
  readonly run: Run
  readonly random: Random
  readonly monitor: Monitor
  readonly mischief: RandomMischief
}

class SeedRun {
  readonly #rig: Rig
  readonly #parts: Parts
  readonly #placed: Placed
  #log: LoggedStep[] = []
  #made: Awaited<ReturnType<Placed['make']>> | null = null

  constructor(rig: Rig, parts: Parts) {
    this.#rig = rig
    this.#parts = parts
    this.#placed = new Placed(rig.svm, parts.kernel, parts.run)
  }

  async launch(): Promise<void> {
    const { kernel, random, monitor, mischief } = this.#parts
    const placed = this.#placed
    this.#made ??= await placed.make((item, args, memory) => {
      const attempt = kernel.twin(item, args, monitor.memory(memory))
      return logged(attempt, { group: item.workgroupId[0], local: item.localIndex }, this.#log)
    })
    await placed.fill()
    await this.#move()
    this.#log = []
    const atomic = random.chance(1, 8)
    monitor.begin({ transactional: kernel.class === 'transactional' })
    mischief.begin()
    let result: DispatchResult | null = null
    try {
      result = await placed.launch(this.#made, atomic)
    } catch (error) {
      // An atomic launch keeps every page that it writes: it may not fit. Then nothing has happened.
      if (!atomic || (error as { code?: string }).code !== 'working-set') throw error
    }
    mischief.end()
    monitor.finish()
    await checkInvariants(this.#rig)
    await this.#compare(result !== null)
    monitor.finish()
  }

  /** Random residency. */
  async #move(): Promise<void> {
    const { random, run, kernel } = this.#parts
    for (let n = random.below(4); n > 0; n--) {
      const name = random.pick(kernel.pointers)
      const pages = run.arrays[name].byteLength / PAGE_BYTES
      const first = random.below(pages)
      const range = { pointer: this.#placed.addresses[name] + first * PAGE_BYTES, byteLength: (1 + random.below(pages - first)) * PAGE_BYTES }
      await this.#rig.svm.queue.migrate(range, { to: random.chance(3, 4) ? 'device' : 'host' }).done
    }
  }

  async #compare(ran: boolean): Promise<void> {
    const { kernel, run } = this.#parts
    const { addresses, before } = this.#placed
    const memory = new ReferenceMemory(this.#rig.svm.addressBits)
    for (const [name, words] of Object.entries(before)) memory.set(addresses[name], words)
    if (ran) runSchedule(startTwin(kernel.twin, run.workgroups, kernel.size, { ...addresses, ...run.numbers }, memory), witness(this.#log))
    const after = await this.#placed.read()
    for (const [name, words] of Object.entries(after)) {
      const wanted = memory.words(addresses[name], words.length)
      const at = words.findIndex((word, i) => word !== wanted[i])
      expect(at, `I5: ${name}[${at}] is ${words[at]}, and ${wanted[at]} in the all-resident run`).toBe(-1)
    }
    if (ran) run.check(after, addresses)
  }
}
