// A sequence of dependent launches in one space, and the same in the all-resident reference. Always: the same on every kind of device; the reference
// runs each launch in an order of its own, since no result may depend on that.

import type { Random } from '../../src/base/world.ts'
import type { DispatchResult, Svm, SvmKernel } from '../../src/index.ts'
import { noise, PAGE_WORDS, textOf } from '../kernels/kernel.ts'
import type { LinkKernel, LinkLaunch, LinkSequence } from '../kernels/links.ts'
import { ReferenceMemory, runFree, startTwin } from '../sim/reference.ts'
import type { Monitor } from './monitor.ts'

export class LinkScene {
  readonly pointers: readonly number[]
  readonly #svm: Svm
  readonly #sequence: LinkSequence
  readonly #random: Random
  readonly #memory = new ReferenceMemory()
  readonly #made = new Map<LinkKernel, SvmKernel>()

  private constructor(svm: Svm, sequence: LinkSequence, random: Random) {
    this.#svm = svm
    this.#sequence = sequence
    this.#random = random
    this.pointers = Array.from({ length: sequence.arrays }, () => svm.alloc(sequence.count * 4))
  }

  static async make(svm: Svm, sequence: LinkSequence, random: Random, monitor: Monitor): Promise<LinkScene> {
    const scene = new LinkScene(svm, sequence, random)
    for (let array = 0; array < sequence.arrays; array++) await scene.write(array)
    for (const kernel of sequence.kernels) {
      const { twin, name } = kernel
      const watched = (item: Parameters<typeof twin>[0], args: Record<string, number>, memory: Parameters<Monitor['memory']>[0]) =>
        twin(item, args, monitor.memory(memory, item.workgroupId[0])) as Generator<void>
      const reach = random.pick<'any' | 'arguments' | number[]>(['any', 'any', 'arguments', [...scene.pointers]])
      scene.#made.set(kernel, await svm.createKernel({ code: textOf(kernel), entryPoint: 'k', label: name, twin: watched, reach }))
    }
    return scene
  }

  /** New words, from the host. */
  async write(array: number): Promise<void> {
    const words = noise(this.#sequence.count / PAGE_WORDS, this.#random)
    this.#memory.set(this.pointers[array], words)
    await this.#svm.write(this.pointers[array], words)
  }

  /** Enqueues one launch, and follows it in the reference. */
  launch({ kernel, from, to, term, items }: LinkLaunch): Promise<DispatchResult> {
    const args = { source: this.pointers[from], dest: this.pointers[to], count: this.#sequence.count, term }
    runFree(startTwin(kernel.twin, items / kernel.size, kernel.size, args, this.#memory), this.#random)
    return this.#svm.queue.enqueue(this.#made.get(kernel) as SvmKernel, { args, global: items }).done
  }

  /** @throws Error for the first word that is not what the all-resident run leaves */
  async compare(when: string): Promise<void> {
    for (const [array, pointer] of this.pointers.entries()) {
      const words = await this.#svm.read(pointer, Uint32Array, this.#sequence.count)
      const wanted = this.#memory.words(pointer, this.#sequence.count)
      const at = words.findIndex((word, i) => word !== wanted[i])
      if (at >= 0) throw new Error(`I5, ${when}: array ${array}[${at}] is ${words[at]}, and ${wanted[at]} in the all-resident run`)
    }
  }
}
