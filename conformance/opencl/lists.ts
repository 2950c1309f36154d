// Linked lists in shared memory, made and checked by devices and by the host. Compare create_linked_lists and verify_linked_lists of the CTS.
//
// Always: list i begins at nodes[i]; every further node is taken by an atomic increment, so that lists lie mingled, and is linked by its address: what one
// party wrote another follows. The host's versions do the same one after the other. Nothing of an earlier creator is left when the next one begins.

import type { Svm, SvmKernel, SvmQueue } from '../../src/index.ts'
import { equal } from '../check.ts'
import type { TestContext } from '../suite.ts'
import { CREATE, CREATE_IN_HALVES, LIST_LENGTH, NODE_BYTES, placeInHalves, VERIFY, VERIFY_IN_HALVES } from './list-kernels.ts'

interface Range {
  readonly pointer: number
  readonly byteLength: number
}

/** How the host gets at shared memory in a test. */
export type HostAccess = <T>(range: Range, mode: 'read' | 'read-write', body: (view: DataView) => T | Promise<T>) => Promise<T>

/** Words by their address, while the host has the lists at hand. */
interface Words {
  get(at: number): number
  set(at: number, value: number): void
}

/** Who makes lists, or checks them. */
export interface Party {
  readonly name: string
  create(): Promise<void>
  /** Returns the number of correct nodes. */
  verify(): Promise<number>
}

/** One set of lists, the devices and the host. */
export class ListWorld {
  readonly svm: Svm
  readonly nodes: number
  /** num_elements of the harness, and the nodes of so many lists. */
  readonly #lists: number
  readonly #nodeCount: number
  readonly #queues: readonly SvmQueue[]
  readonly #host: HostAccess
  readonly #index: number
  readonly #correct: number
  /** Where nodes lie. */
  readonly #buffers: number[]

  constructor(svm: Svm, queues: readonly SvmQueue[], host: HostAccess, lists: number) {
    this.svm = svm
    this.#lists = lists
    this.#nodeCount = lists * LIST_LENGTH
    this.#queues = queues
    this.#host = host
    this.nodes = svm.alloc(this.#nodeCount * NODE_BYTES)
    this.#buffers = [this.nodes]
    this.#index = svm.alloc(4)
    this.#correct = svm.alloc(4)
  }

  /** The devices and the host, over one buffer. */
  async parties(): Promise<Party[]> {
    const create = await this.svm.createKernel(CREATE)
    const verify = await this.svm.createKernel(VERIFY)
    equal(create.layouts.Node?.byteLength, NODE_BYTES, 'size of a node')
    const args = { nodes: this.nodes, list_length: LIST_LENGTH }
    const devices = this.#queues.map((queue, at) => this.#onDevice(queue, `device ${at}`, create, verify, args))
    return [...devices, this.#onHost([this.nodes], (k) => this.nodes + k * NODE_BYTES)]
  }

  /** The same over two buffers, each given to the kernels as two halves. */
  async partiesInHalves(): Promise<Party[]> {
    const create = await this.svm.createKernel(CREATE_IN_HALVES)
    const verify = await this.svm.createKernel(VERIFY_IN_HALVES)
    const half = this.#nodeCount / 2
    const second = this.svm.alloc(this.#nodeCount * NODE_BYTES)
    this.#buffers.push(second)
    const halves = { low: this.nodes, high: this.nodes + half * NODE_BYTES, low2: second, high2: second + half * NODE_BYTES, half }
    const args = { ...halves, list_length: LIST_LENGTH, index: this.#index, correct: this.#correct }
    const devices = this.#queues.map((queue, at) => this.#onDevice(queue, `device ${at}`, create, verify, args))
    return [...devices, this.#onHost([this.nodes, second], (k, position) => placeInHalves(halves, k, position))]
  }

  /** Every pair of a creator and a verifier, the host among them. */
  async everyPair(parties: readonly Party[]): Promise<void> {
    for (const creator of parties) {
      for (const verifier of parties) {
        await this.#clear()
        await creator.create()
        equal(await verifier.verify(), this.#nodeCount, `correct nodes, made by ${creator.name} and checked by ${verifier.name}`)
      }
    }
  }

  /** No list and no position is so large: a node that nobody writes is never correct. */
  async #clear(): Promise<void> {
    for (const pointer of this.#buffers) await this.svm.queue.memfill(pointer, Uint32Array.of(0xffffffff), this.#nodeCount * NODE_BYTES).done
  }

  #onDevice(queue: SvmQueue, name: string, create: SvmKernel, verify: SvmKernel, args: Record<string, number>): Party {
    const set = (pointer: number, value: number) => this.#host({ pointer, byteLength: 4 }, 'read-write', (view) => view.setUint32(0, value, true))
    return {
      name,
      create: async () => {
        await set(this.#index, this.#lists)
        await queue.enqueue(create, { args: { ...args, index: this.#index }, global: this.#lists }).done
      },
      verify: async () => {
        await set(this.#correct, 0)
        await queue.enqueue(verify, { args: { ...args, correct: this.#correct }, global: this.#lists }).done
        return this.#host({ pointer: this.#correct, byteLength: 4 }, 'read', (view) => view.getUint32(0, true))
      },
    }
  }

  #onHost(buffers: readonly number[], nodeOf: (k: number, position: number) => number): Party {
    const ranges = buffers.map((pointer) => ({ pointer, byteLength: this.#nodeCount * NODE_BYTES }))
    return {
      name: 'the host',
      create: () => this.#withWords(ranges, 'read-write', (words) => createLists(words, this.#lists, nodeOf)),
      verify: () => this.#withWords(ranges, 'read', (words) => countCorrect(words, this.#lists, nodeOf)),
    }
  }

  /** Runs `body` with all ranges at hand. */
  async #withWords<T>(ranges: readonly Range[], mode: 'read' | 'read-write', body: (words: Words) => T): Promise<T> {
    const views: { range: Range; view: DataView }[] = []
    const viewOf = (at: number) => views.find(({ range }) => at >= range.pointer && at < range.pointer + range.byteLength) as (typeof views)[0]
    const words: Words = {
      get: (at) => viewOf(at).view.getUint32(at - viewOf(at).range.pointer, true),
      set: (at, value) => viewOf(at).view.setUint32(at - viewOf(at).range.pointer, value, true),
    }
    const nest = async ([range, ...more]: readonly Range[]): Promise<T> => {
      if (range === undefined) return body(words)
      return this.#host(range, mode, (view) => {
        views.push({ range, view })
        return nest(more)
      })
    }
    return nest(ranges)
  }
}

function createLists(words: Words, lists: number, nodeOf: (k: number, position: number) => number): void {
  let next = lists
  for (let list = 0; list < lists; list++) {
    let node = nodeOf(list, 0)
    for (let j = 0; j < LIST_LENGTH; j++) {
      const fresh = j + 1 < LIST_LENGTH ? nodeOf(next++, j + 1) : 0
      words.set(node, list)
      words.set(node + 4, j)
      words.set(node + 8, fresh)
      node = fresh
    }
  }
}

function countCorrect(words: Words, lists: number, nodeOf: (k: number, position: number) => number): number {
  let correct = 0
  for (let list = 0; list < lists; list++) {
    let node = nodeOf(list, 0)
    for (let j = 0; j < LIST_LENGTH && words.get(node) === list && words.get(node + 4) === j; j++) {
      correct++
      node = words.get(node + 8)
    }
  }
  return correct
}

/** Mappings by commands of a queue, blocking: clEnqueueMapBuffer. */
export function byQueue(queue: SvmQueue): HostAccess {
  return async ({ pointer, byteLength }, mode, body) => {
    const mapping = await queue.map(pointer, byteLength, mode).done
    try {
      return await body(mapping.view)
    } finally {
      await queue.unmap(mapping).done
    }
  }
}

/** Mappings of the space: clEnqueueSVMMap. */
export function byMapping(svm: Svm): HostAccess {
  return ({ pointer, byteLength }, mode, body) => svm.using(pointer, byteLength, mode, ({ view }) => body(view))
}

/** Reads and writes without a mapping. */
export function byCopy(svm: Svm): HostAccess {
  return async ({ pointer, byteLength }, mode, body) => {
    const bytes = await svm.read(pointer, byteLength)
    const result = await body(new DataView(bytes.buffer, bytes.byteOffset, byteLength))
    if (mode === 'read-write') await svm.write(pointer, bytes)
    return result
  }
}

/** A space on two devices, with a queue each: "all capable devices". */
export async function openTwo(t: TestContext): Promise<{ svm: Svm; queues: readonly [SvmQueue, SvmQueue] }> {
  const { svm } = await t.open({ devices: 2, deviceMemory: 16 * 2 ** 20 })
  const [first, second] = svm.devices.map((device) => svm.createQueue({ device })) as [SvmQueue, SvmQueue]
  return { svm, queues: [first, second] }
}
