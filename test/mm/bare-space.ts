// A space without a device: only what mm/ has. Always: one anonymous mapping of so many pages of 4 KiB; page n begins as eight bytes of n + 1,
// unless it is to be untouched.

import { makeGeometry } from '../../src/abi/geometry.ts'
import { AnonymousMemory } from '../../src/mm/host-memory.ts'
import { Space } from '../../src/mm/space.ts'
import { NO_ADVICE, type Vma } from '../../src/mm/vma.ts'
import { Tracer } from '../../src/trace/tracer.ts'

export const PAGE_BYTES = 4096

export interface Bare {
  readonly space: Space
  readonly vma: Vma
  readonly start: number
  bytes(page: number): Uint8Array
  /** One letter a page: `.` none, `z` zero, `h` host, `m` mapped, `c` clean, `d` dirty, `!` migrating, `L` lost. */
  draw(): string
}

export function bareSpace(pages: number, options: { touched?: boolean } = {}): Bare {
  const space = new Space(makeGeometry(32, PAGE_BYTES), { hostCacheBytes: 16 * PAGE_BYTES, tracer: new Tracer(undefined, { now: () => 0 }) })
  const start = space.addresses.findHole(pages, PAGE_BYTES) as number
  const memory = new AnonymousMemory(start, pages, PAGE_BYTES, 'bare')
  const allocation = {
    pointer: start * PAGE_BYTES,
    byteLength: pages * PAGE_BYTES,
    label: 'bare',
    kind: 'alloc' as const,
    deviceWrites: true,
    hostWrites: true,
    dying: false,
  }
  space.addresses.insert({ start, end: start + pages, access: 'read-write', advice: NO_ADVICE, backing: { kind: 'anonymous', memory }, allocation })
  const vma = space.addresses.find(start) as Vma
  const bytes = (page: number) => (space.hostRun(vma, start + page, 1) as Uint8Array).subarray(0, PAGE_BYTES)
  if (options.touched !== false) {
    for (let page = 0; page < pages; page++) {
      bytes(page).fill(page + 1)
      space.pages.populate(start + page)
    }
  }
  const draw = () => Array.from({ length: pages }, (_, page) => '.zhmcd!L'[space.pages.state(start + page)]).join('')
  return { space, vma, start, bytes, draw }
}

/** A promise that the test settles. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  let settle: (() => void) | undefined
  const passed = new Promise<void>((resolve) => {
    settle = resolve
  })
  return { passed, open: () => settle?.() }
}
