// Work that rides on the next submission, so that it costs none of its own. Always: what is held names these buffers and no others, and whoever writes to one
// of them, or destroys one, has it submitted before; so it is as if it had entered when it was held.

import type { DeviceBuffer, Work } from './device.ts'

const NOTHING: readonly Work[] = []

export class HeldWork {
  #work: Work[] = []
  readonly #buffers = new Set<DeviceBuffer>()

  hold(work: readonly Work[]): void {
    for (const one of work) {
      this.#work.push(one)
      for (const buffer of buffersOf(one)) if (buffer !== null) this.#buffers.add(buffer)
    }
  }

  names(buffer: DeviceBuffer): boolean {
    return this.#buffers.has(buffer)
  }

  /** What is held, which is held no more. */
  take(): readonly Work[] {
    if (this.#work.length === 0) return NOTHING
    const work = this.#work
    this.#work = []
    this.#buffers.clear()
    return work
  }
}

function buffersOf(work: Work): readonly (DeviceBuffer | null)[] {
  switch (work.kind) {
    case 'copy':
      return [work.from, work.to]
    case 'clear':
      return [work.buffer]
    case 'dispatch': {
      const { table, faults, control, args, pools } = work.bindings
      return [table, faults, control, args, ...pools]
    }
  }
}
