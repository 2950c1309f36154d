// One seed of the chaos run over chains, on a simulated device. Always: a seed is a whole run, from the kernels and their arrays to the last bit compared.

import { Random } from '../../src/base/world.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import { PAGE_BYTES, PAGE_WORDS } from '../kernels/kernel.ts'
import { drawSequence, type LinkLaunch } from '../kernels/links.ts'
import { checkInvariants, openRig, prefetchOf, type Rig } from '../sim/rig.ts'
import { LinkScene } from './links.ts'
import { RandomMischief } from './mischief.ts'
import { Monitor } from './monitor.ts'

const LAUNCHES = 32

/** What one seed met. */
export interface ChainsMet {
  readonly mischief: RandomMischief
  readonly monitor: Monitor
  readonly chains: ChainCounts
}

/** Chains, links that were done in one, and chains that ended at a link that faulted; of those where no fault is possible the links. */
export interface ChainCounts {
  chains: number
  links: number
  cut: number
}

export async function runChainChaos(seed: number): Promise<ChainsMet> {
  const random = new Random(seed)
  const sequence = drawSequence(random, LAUNCHES)
  const mischief = new RandomMischief(random)
  const monitor = new Monitor()
  mischief.onRound = () => monitor.round(mischief.acts)
  const pages = (sequence.arrays * sequence.count) / PAGE_WORDS
  const chains: ChainCounts = { chains: 0, links: 0, cut: 0 }
  const rig = await openRig({
    seed,
    frames: Math.max(8, pages + random.pick([-1, 1, 2, 2, 8, 24])),
    faithfulTwins: seed % 2 === 0,
    policy: { prefetch: prefetchOf(seed), direct: random.chance(3, 4) },
    addressBits: random.chance(1, 4) ? 64 : 32,
    mischief: { latency: random.below(3), passes: mischief },
    wrap: (device: SimDevice) => monitor.watch(device),
    trace: (event) => {
      monitor.event(event)
      if (event.kind !== 'chain') return
      chains.chains++
      chains.links += event.done
      if (event.done < event.links) chains.cut++
    },
  })
  monitor.attach(rig.mirror)
  try {
    const scene = await LinkScene.make(rig.svm, sequence, random, monitor)
    // A page that no kernel touches: while it is on the host, faults are possible.
    const elsewhere = random.chance(2, 3) ? rig.svm.alloc(PAGE_BYTES) : 0
    const run = new ChainRun({ rig, scene, random, mischief, monitor }, sequence.count * 4)
    for (let left = [...sequence.launches]; left.length > 0; left = left.slice(run.last)) await run.batch(left)
    if (elsewhere !== 0) await rig.svm.write(elsewhere, Uint32Array.of(seed))
    await scene.compare('in the end')
    monitor.finish()
    await rig.svm.close()
  } catch (thrown) {
    const cause = monitor.broken ?? thrown
    throw new Error(`${sequence.kernels.map(({ name }) => name).join('; ')}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
  return { mischief, monitor, chains }
}

interface Parts {
  readonly rig: Rig
  readonly scene: LinkScene
  readonly random: Random
  readonly mischief: RandomMischief
  readonly monitor: Monitor
}

class ChainRun {
  readonly #parts: Parts
  readonly #bytes: number
  /** Launches of the last batch. */
  last = 0

  constructor(parts: Parts, bytes: number) {
    this.#parts = parts
    this.#bytes = bytes
  }

  /** Some launches at once, with something else before them. */
  async batch(launches: readonly LinkLaunch[]): Promise<void> {
    const { rig, scene, random, mischief, monitor } = this.#parts
    await this.#between()
    this.last = 1 + random.below(12)
    if (random.chance(2, 3)) mischief.begin()
    await Promise.all(launches.slice(0, this.last).map((launch) => scene.launch(launch)))
    mischief.end()
    monitor.finish()
    await checkInvariants(rig)
    if (random.chance(1, 6)) await scene.compare('between two batches')
  }

  /** What a program, or its host, does in between. */
  async #between(): Promise<void> {
    const { rig, scene, random } = this.#parts
    const { queue } = rig.svm
    const pointer = random.pick(scene.pointers)
    const what = random.below(8)
    if (what === 0) await scene.write(scene.pointers.indexOf(pointer))
    else if (what < 3) for (const one of scene.pointers) await queue.migrate({ pointer: one }).done
    else if (what === 3)
      await queue.migrate({ pointer: pointer + PAGE_BYTES * random.below(this.#bytes / PAGE_BYTES), byteLength: PAGE_BYTES }, { to: 'host' }).done
  }
}
