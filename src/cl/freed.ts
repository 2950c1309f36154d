// Memory that was freed and has not been handed out again: what new kernel commands may not name. Compare CL_INVALID_ARG_VALUE of clSetKernelArgSVMPointer.
//
// A pointer argument may be any number (null, an address where nothing ever was, the end of an array), since a kernel need not touch it. So only what
// stands in here is looked at any closer, and the driver says whether somebody lives there. Always: ranges ascend and neither touch nor overlap.

import { SvmError } from '../base/error.ts'
import { firstEndingAfter, hex, roundUp } from '../base/units.ts'
import type { Port } from '../drm/request.ts'
import type { SvmPointer } from '../types.ts'

interface Range {
  readonly start: number
  readonly end: number
}

export class FreedMemory {
  readonly #port: Port
  readonly #pageBytes: number
  #ranges: Range[] = []

  constructor(port: Port, pageBytes: number) {
    this.#port = port
    this.#pageBytes = pageBytes
  }

  /** From now on new commands may not name these allocations. All or none. @throws SvmError not-mapped, invalid-value, host-mapped */
  doom(pointers: readonly SvmPointer[]): void {
    this.#port.ioctl('SVM_DOOM', { pointers })
    for (const pointer of pointers) {
      const { start, end } = this.#whole(pointer)
      const apart = this.#ranges.filter((range) => range.end < start || range.start > end)
      const touching = this.#ranges.filter((range) => range.end >= start && range.start <= end)
      const joined = { start: Math.min(start, ...touching.map((range) => range.start)), end: Math.max(end, ...touching.map((range) => range.end)) }
      this.#ranges = [...apart, joined].sort((a, b) => a.start - b.start)
    }
  }

  /** The free of these will not run, or has failed: they are the program's as before. */
  spare(pointers: readonly SvmPointer[]): void {
    this.#port.ioctl('SVM_SPARE', { pointers })
    for (const pointer of pointers) this.#remove(this.#whole(pointer))
  }

  /** Frees them one by one; those behind one that cannot be freed are spared like it. @throws SvmError host-mapped, not-mapped */
  async free(pointers: readonly SvmPointer[]): Promise<void> {
    for (const [n, pointer] of pointers.entries()) {
      try {
        await this.#port.ioctl('SVM_FREE', { pointer })
      } catch (error) {
        this.spare(pointers.slice(n))
        throw error
      }
    }
  }

  /** Handed out. */
  taken(pointer: SvmPointer, byteLength: number): void {
    if (this.#ranges.length > 0) this.#remove({ start: pointer, end: pointer + roundUp(byteLength, this.#pageBytes) })
  }

  /** @throws SvmError not-mapped */
  refuse(pointers: readonly SvmPointer[], kernel: string): void {
    if (this.#ranges.length === 0) return
    for (const pointer of pointers) {
      if (!this.#holds(pointer) || this.#lives(pointer)) continue
      throw new SvmError('not-mapped', `${kernel}: a pointer argument or reach names ${hex(pointer)}, which was freed. Do not use a pointer after free.`, {
        pointer,
        kernel,
      })
    }
  }

  /** Nothing, for what is not the start of an allocation. */
  #whole(pointer: SvmPointer): Range {
    const found = this.#port.ioctl('SVM_LOOKUP', { pointer })
    if (found === null || found.pointer !== pointer) return { start: pointer, end: pointer }
    return { start: pointer, end: pointer + roundUp(found.byteLength, this.#pageBytes) }
  }

  #remove({ start, end }: Range): void {
    this.#ranges = this.#ranges.flatMap((range) =>
      [
        { start: range.start, end: Math.min(range.end, start) },
        { start: Math.max(range.start, end), end: range.end },
      ].filter((left) => left.start < left.end),
    )
  }

  #holds(pointer: SvmPointer): boolean {
    const range = this.#ranges[firstEndingAfter(this.#ranges, pointer)]
    return range !== undefined && range.start <= pointer
  }

  /** Somebody has the page now, where a part had been unmapped before the free; or it is the end of somebody's last page. */
  #lives(pointer: SvmPointer): boolean {
    const here = this.#port.ioctl('SVM_LOOKUP', { pointer })
    if (here !== null) return !here.dying
    const below = pointer === 0 ? null : this.#port.ioctl('SVM_LOOKUP', { pointer: pointer - 1 })
    return below !== null && !below.dying && below.pointer + below.byteLength === pointer
  }
}
