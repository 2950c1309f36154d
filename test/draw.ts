// draw.ts: address spaces as text, one letter a page. `A` is a page of allocation A that may be read and written, `a` one that may be read, `1`
// one without access; B, b, 2 and C, c, 3 likewise; `.` is nobody's. Always: a drawing is read from the page BASE on, and the drawing of what
// was made from a drawing is that drawing; adjacent VMAs that should be one are an error.

import { makeGeometry } from '../src/abi/geometry.ts'
import { AddressSpace } from '../src/mm/address-space.ts'
import { AnonymousMemory } from '../src/mm/host-memory.ts'
import { PagedFile } from '../src/mm/paged-file.ts'
import { type Access, type Allocation, NO_ADVICE, type Vma } from '../src/mm/vma.ts'

export const BASE = 100
export const PAGE = 4096
const ACCESSES: readonly Access[] = ['read-write', 'read', 'none']
const LETTERS = ['ABC', 'abc', '123']

/** The space of a drawing. Allocation A has fixed memory; B and C are files, whose page BASE would be at offset 0. */
export function spaceOf(drawing: string, addressBits: 32 | 64 = 32): AddressSpace {
  const space = new AddressSpace(makeGeometry(addressBits, PAGE))
  const allocations = new Map<string, Allocation>()
  for (const [at, letter] of [...drawing].entries()) {
    if (letter === '.') continue
    const row = LETTERS.findIndex((letters) => letters.includes(letter))
    const name = LETTERS[0][LETTERS[row].indexOf(letter)]
    const allocation = allocations.get(name) ?? allocationOf(drawing, name)
    allocations.set(name, allocation)
    space.insert({ start: BASE + at, end: BASE + at + 1, access: ACCESSES[row], advice: NO_ADVICE, allocation, backing: backingOf(allocation, at) })
  }
  return space
}

/** The drawing of a space. @throws when two neighbours should be one VMA, or a file's offset does not fit its place */
export function draw(space: AddressSpace, pages: number): string {
  const letters = new Array<string>(pages).fill('.')
  let before: Vma | undefined
  for (const vma of space.vmas) {
    const letter = LETTERS[ACCESSES.indexOf(vma.access)]['ABC'.indexOf(vma.allocation.label)]
    if (before?.end === vma.start && before.allocation === vma.allocation && before.access === vma.access)
      throw new Error(`${letter}${letter} should be one VMA`)
    if (vma.backing.kind === 'pager' && vma.backing.fileOffset !== (vma.start - BASE) * PAGE) throw new Error(`the offset of ${letter} is wrong`)
    letters.fill(letter, vma.start - BASE, vma.end - BASE)
    before = vma
  }
  return letters.join('')
}

/** An allocation reaches from its first letter to its last: what is not its own in between was unmapped. */
function allocationOf(drawing: string, name: string): Allocation {
  const own = [...drawing].map((letter) => LETTERS.some((letters) => letters['ABC'.indexOf(name)] === letter))
  const first = own.indexOf(true)
  const kind = name === 'A' ? 'alloc' : 'mmap'
  return {
    pointer: (BASE + first) * PAGE,
    byteLength: (own.lastIndexOf(true) + 1 - first) * PAGE,
    label: name,
    kind,
    deviceWrites: true,
    hostWrites: true,
    dying: false,
  }
}

const files = new WeakMap<Allocation, Vma['backing']>()
function backingOf(allocation: Allocation, at: number): Vma['backing'] {
  const known = files.get(allocation)
  const size = 2 ** 30
  const fresh: Vma['backing'] =
    allocation.kind === 'alloc'
      ? { kind: 'anonymous', memory: new AnonymousMemory(allocation.pointer / PAGE, 1000, PAGE, allocation.label) }
      : { kind: 'pager', file: new PagedFile({ size, read: async () => 0 }, PAGE, allocation.label), fileOffset: 0 }
  const backing = known ?? fresh
  files.set(allocation, backing)
  return backing.kind === 'pager' ? { ...backing, fileOffset: at * PAGE } : backing
}
