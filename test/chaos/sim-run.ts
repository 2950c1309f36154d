// One seed of the chaos run on a simulated device. Always: a seed is a whole run, from the kernel and its inputs to the last bit compared.
//
// Oracle: the check of the kernel (every word where the schedule does not matter, every effect once where it does), and, bit for bit, the
// all-resident reference under the witness schedule: of every pass the steps of the workgroups that retired in it.

import { expect } from 'vitest'
import { Random } from '../../src/base/world.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { SvmError, SvmKernel } from '../../src/index.ts'
import { KERNELS, REPEATABLE } from '../kernels/all.ts'
import { type Kernel, PAGE_BYTES, type Run } from '../kernels/kernel.ts'
import { type LoggedStep, logged, ReferenceMemory, runSchedule, startTwin, witness } from '../sim/reference.ts'
import { checkInvariants, openRig, prefetchOf, type Rig } from '../sim/rig.ts'
import { neediest, Placed } from './launch.ts'
import { RandomMischief } from './mischief.ts'
import { Monitor } from './monitor.ts'
import { Refusals } from './refusals.ts'

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
  readonly refusals: Refusals
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
  mischief.onRound = () => monitor.round(mischief.acts)
  const refusals = new Refusals(seed)
  const { failBuffer, failReadback } = refusals.mischief
  const first = refuses ? refuseOnce() : () => false
  const rig = await openRig({
    seed,
    frames,
    faithfulTwins: seed % 4 !== 0,
    policy: { prefetch: prefetchOf(seed) },
    addressBits: random.chance(1, 4) ? 64 : 32,
    mischief: { latency: random.below(3), passes: mischief, failReadback, failBuffer: (_nth, role) => first(role) || failBuffer(role) },
    wrap: (device: SimDevice) => monitor.watch(device),
    trace: (event) => monitor.event(event),
  })
  monitor.attach(rig.mirror)
  const chaos = new SeedRun(rig, { kernel, run, random, monitor, mischief, refusals })
  const launches = 1 + random.below(REPEATABLE.has(kernel) ? 5 : 3)
  try {
    for (let launch = 0; launch < launches; launch++) await chaos.launch()
    await chaos.compare()
    monitor.finish()
    await rig.svm.close()
    expect(rig.device.liveBytes, 'bytes that a closed space leaves on its device').toBe(0)
  } catch (thrown) {
    // An invariant that broke is the reason of what went wrong after it.
    const error = monitor.broken ?? thrown
    throw new Error(
      `kernel '${kernel.name}', ${frames} frames (the neediest workgroup needs ${need}): ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
  }
  return { kernel: kernel.name, frames, monitor, mischief, refusals }
}

/** The first pool that is asked for. */
function refuseOnce(): (role: string) => boolean {
  let left = 1
  return (role) => role === 'pool' && left-- > 0
}

interface Parts {
  readonly kernel: Kernel
  readonly run: Run
  readonly random: Random
  readonly monitor: Monitor
  readonly mischief: RandomMischief
  readonly refusals: Refusals
}

/** Unfit: an atomic launch that does not fit. Refused: failed for what the device refused. */
type Outcome = 'ran' | 'unfit' | 'refused'

class SeedRun {
  readonly #rig: Rig
  readonly #parts: Parts
  readonly #placed: Placed
  /** What an all-resident run would have left. */
  #memory: ReferenceMemory | null = null
  #log: LoggedStep[] = []
  #made: Awaited<ReturnType<Placed['make']>> | null = null

  constructor(rig: Rig, parts: Parts) {
    this.#rig = rig
    this.#parts = parts
    this.#placed = new Placed(rig.svm, parts.kernel, parts.run)
  }

  async launch(): Promise<void> {
    const { kernel, random, monitor } = this.#parts
    const placed = this.#placed
    this.#made ??= await placed.make((item, args, memory) => {
      const attempt = kernel.twin(item, args, monitor.memory(memory, item.workgroupId[0]))
      return logged(attempt, { group: item.workgroupId[0], local: item.localIndex }, this.#log)
    })
    // What stays where it is, dirty and in order, is where the variants that cannot fault run.
    let anew = !REPEATABLE.has(kernel) || this.#memory === null || random.chance(1, 2)
    let memory = anew ? await this.#fill() : (this.#memory as ReferenceMemory)
    if (anew && random.chance(1, 3)) await this.#migrateAll('device')
    else if (anew || random.chance(1, 3)) await this.#move()
    const atomic = random.chance(1, 8)
    let outcome = await this.#runRefused(this.#made, atomic, memory)
    if (outcome === 'refused') {
      // All bytes are as before an atomic launch: it runs over them. Any other may have done a part.
      if (!atomic) memory = await this.#fill()
      anew ||= !atomic
      outcome = await this.#runOnce(this.#made, atomic)
    }
    monitor.finish()
    await checkInvariants(this.#rig)
    if (outcome === 'ran') this.#follow(memory)
    if (REPEATABLE.has(kernel) && random.chance(1, 2)) return
    await this.compare(memory)
    if (outcome === 'ran' && anew) this.#parts.run.check(await placed.read(), placed.addresses)
    monitor.finish()
  }

  /** The memory is what the reference has, word by word. */
  async compare(memory = this.#memory, excepted: (address: number) => boolean = () => false): Promise<void> {
    if (memory === null) return
    const after = await this.#placed.read()
    for (const [name, words] of Object.entries(after)) {
      const first = this.#placed.addresses[name]
      const wanted = memory.words(first, words.length)
      const at = words.findIndex((word, i) => word !== wanted[i] && !excepted(first + 4 * i))
      expect(at, `I5: ${name}[${at}] is ${words[at]}, and ${wanted[at]} in the all-resident run`).toBe(-1)
    }
  }

  /** Once, while the device refuses something: a launch that fails for that leaves what it must. */
  async #runRefused(made: SvmKernel, atomic: boolean, memory: ReferenceMemory): Promise<Outcome> {
    const { refusals } = this.#parts
    // What a launch makes lasts until something larger is needed: it is made anew, as then.
    if (refusals.begin()) {
      this.#rig.mirror.tables.drop()
      this.#rig.mirror.copies.release()
    }
    const outcome = await this.#runOnce(made, atomic).finally(() => refusals.end())
    if (outcome === 'refused') await this.#checkFailed(atomic, memory)
    // A pool that is smaller than planned stays so until it is empty.
    if (refusals.refused === 'pool') await this.#migrateAll('host')
    return outcome
  }

  async #runOnce(made: SvmKernel, atomic: boolean): Promise<Outcome> {
    const { kernel, monitor, mischief } = this.#parts
    this.#log = []
    monitor.begin({ transactional: kernel.class === 'transactional' })
    mischief.begin()
    try {
      await this.#placed.launch(made, atomic)
      return 'ran'
    } catch (error) {
      const outcome = this.#outcomeOf(error as SvmError, atomic)
      if (outcome === null) throw error
      monitor.failed()
      return outcome
    } finally {
      mischief.end()
    }
  }

  /** Null: nothing may fail like this. */
  #outcomeOf({ code, retiredWorkgroups }: SvmError, atomic: boolean): Outcome | null {
    const { monitor, refusals } = this.#parts
    const { refused } = refusals
    if (refused !== null && (code === 'device-memory' || (code === 'working-set' && refused === 'pool'))) {
      const { size } = monitor.retired
      if (code === 'device-memory') expect(retiredWorkgroups, `what the error says of the ${size} workgroups that have retired`).toBe(size)
      refusals.failed(size, atomic)
      return 'refused'
    }
    // An atomic launch keeps every page that it writes: it may not fit. Then nothing has happened.
    return atomic && code === 'working-set' ? 'unfit' : null
  }

  /** SYSTEM.md section 5: an atomic launch has left nothing; of any other, what retired workgroups wrote stays, and no private page has changed. */
  async #checkFailed(atomic: boolean, before: ReferenceMemory): Promise<void> {
    const { monitor } = this.#parts
    monitor.finish()
    await checkInvariants(this.#rig)
    if (atomic) return this.compare(before)
    const partial = before.copy()
    this.#follow(partial, new Set(monitor.retired))
    await this.compare(partial, (address) => monitor.isUnsettled(address))
  }

  /** The reference takes the same way. @param only of these workgroups; missing: of all */
  #follow(memory: ReferenceMemory, only?: ReadonlySet<number>): void {
    const { kernel, run } = this.#parts
    const all = startTwin(kernel.twin, run.workgroups, kernel.size, { ...this.#placed.addresses, ...run.numbers }, memory)
    const running = only === undefined ? all : all.map((items, group) => (only.has(group) ? items : []))
    runSchedule(running, witness(only === undefined ? this.#log : this.#log.filter(({ step }) => only.has(step.group))))
  }

  async #fill(): Promise<ReferenceMemory> {
    const { addresses, before } = this.#placed
    await this.#placed.fill()
    const memory = new ReferenceMemory(this.#rig.svm.addressBits)
    for (const [name, words] of Object.entries(before)) memory.set(addresses[name], words)
    this.#memory = memory
    return memory
  }

  async #migrateAll(to: 'device' | 'host'): Promise<void> {
    const { run, kernel } = this.#parts
    const ranges = kernel.pointers.map((name) => ({ pointer: this.#placed.addresses[name], byteLength: run.arrays[name].byteLength }))
    await this.#rig.svm.queue.migrate(
      ranges.sort((a, b) => a.pointer - b.pointer),
      { to },
    ).done
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
}
