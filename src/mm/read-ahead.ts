// How far a mapping of a pager is read beyond what is wanted. Compare mm/readahead.c and file_ra_state, of which each open file has one.
//
// Always: one for each mapping that mmap made, whatever became of its parts; it says how much is worth asking for, and never asks; who reads where the
// last request ended gets a window that doubles up to its bound, who jumps gets none.

import { KIB, MIB, type Vpn } from '../base/units.ts'
import type { VmaAdvice } from './vma.ts'

/** The first window of who begins to read in order. */
const FIRST_BYTES = 128 * KIB
/** The largest. Compare read_ahead_kb, which is as large where pages are asked of something far away. */
const LAST_BYTES = 2 * MIB
/** A smaller hole between two requests breaks no order: a stride reads on, too. */
const HOLE_BYTES = 64 * KIB
/** At most this part of the host cache: what was read ahead must live until it is wanted. */
const CACHE_PART = 8

export class ReadAhead {
  readonly #pageBytes: number
  /** Where the last request ended, with what was read ahead; -1: there is nothing to go by. */
  #next: Vpn = -1
  #window = 0

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes
  }

  /** Pages that are worth asking for beyond a request for [start, end). */
  beyond(start: Vpn, end: Vpn, pattern: VmaAdvice['pattern'], slots: number): number {
    const inOrder = this.#next >= 0 && start >= this.#next && start - this.#next < Math.max(1, HOLE_BYTES / this.#pageBytes)
    const largest = Math.min(Math.floor(LAST_BYTES / this.#pageBytes), Math.floor(slots / CACHE_PART))
    if (pattern === 'random' || (pattern === 'normal' && !inOrder)) this.#window = 0
    else if (pattern === 'sequential') this.#window = largest
    else this.#window = Math.min(largest, Math.max(FIRST_BYTES / this.#pageBytes, 1, 2 * this.#window, 2 * (end - start)))
    return Math.floor(this.#window)
  }

  /** [start, end) was asked for, and what lies between was wanted or read ahead. */
  asked(end: Vpn): void {
    this.#next = end
  }

  /** What was read ahead could not be had: nobody reads ahead before somebody reads in order again. */
  stop(): void {
    this.#next = -1
    this.#window = 0
  }
}
