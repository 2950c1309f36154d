// address-space.test.ts: VMAs split and merge as mm/vma.c has them do, drawn; and every random sequence of changes is what a string of letters
// says it is.

import { describe, expect, it } from 'vitest'
import { makeGeometry } from '../../src/abi/geometry.ts'
import { Random } from '../../src/base/world.ts'
import { AddressSpace } from '../../src/mm/address-space.ts'
import { AnonymousMemory, SEGMENT_BYTES } from '../../src/mm/host-memory.ts'
import { type Access, NO_ADVICE, type VmaAdvice } from '../../src/mm/vma.ts'
import { BASE, draw, PAGE, spaceOf } from '../draw.ts'

const pages = (start: number, end: number) => ({ start: BASE + start, end: BASE + end })

describe('VMAs as drawings', () => {
  it.each([
    ['AAAAAA', 'read', 0, 6, 'aaaaaa'],
    ['AAAAAA', 'read', 0, 2, 'aaAAAA'],
    ['AAAAAA', 'none', 2, 4, 'AA11AA'],
    ['AAAAAA', 'none', 4, 6, 'AAAA11'],
    ['AA11AA', 'read-write', 2, 4, 'AAAAAA'],
    ['AAaa11', 'read', 1, 5, 'Aaaaa1'],
    ['AAaa11', 'read-write', 2, 6, 'AAAAAA'],
    ['BBbb.b', 'read', 0, 2, 'bbbb.b'],
    ['AABBCC', 'read', 1, 5, 'AabbcC'],
    ['aaAAaa', 'read', 2, 4, 'aaaaaa'],
    ['aa1Aaa', 'read', 2, 4, 'aaaaaa'],
  ] as const)('%s with %s on [%d, %d) is %s', (before, access, start, end, after) => {
    const space = spaceOf(before)
    expect(draw(space, before.length)).toBe(before)
    space.protect(pages(start, end), access)
    expect(draw(space, before.length)).toBe(after)
  })

  it.each([
    ['BBBBBB', 0, 6, '......'],
    ['BBBBBB', 0, 2, '..BBBB'],
    ['BBBBBB', 2, 4, 'BB..BB'],
    ['BBBBBB', 4, 6, 'BBBB..'],
    ['BBbb22', 1, 5, 'B....2'],
    ['BB..bb', 1, 6, 'B.....'],
  ] as const)('%s without [%d, %d) is %s', (before, start, end, after) => {
    const space = spaceOf(before)
    space.remove(pages(start, end))
    expect(draw(space, before.length)).toBe(after)
  })

  it('VMAs that become equal are one object: AA11AA is three, AAAAAA is one', () => {
    const space = spaceOf('AA11AA')
    expect(space.vmas).toHaveLength(3)
    space.protect(pages(2, 4), 'read-write')
    expect(space.vmas).toHaveLength(1)
    // Nothing changes: the same object stays, and whoever held it across an await need not look again.
    const [vma] = space.vmas
    space.protect(pages(1, 3), 'read-write')
    expect(space.vmas[0]).toBe(vma)
  })

  it('an allocation placed in the hole of another is another: B.BB with C in the hole', () => {
    const space = spaceOf('BCBB')
    const b = space.allocationAt(BASE * PAGE)
    expect(space.runs(b as never, pages(0, 4))).toEqual([pages(0, 1), pages(2, 4)])
    expect(space.pagesLeft(b as never)).toBe(3)
    space.remove(pages(0, 1))
    // The head is gone: nothing starts where B started, and B is still known by what is left of it.
    expect(space.allocation(BASE * PAGE)).toBeUndefined()
    expect(space.allocationAt((BASE + 2) * PAGE)).toBe(b)
    expect(space.describeNearest((BASE + 4) * PAGE)).toBe(
      `the nearest mapping is B at 0x${((BASE + 2) * PAGE).toString(16)} (8 KiB), which ends 0 bytes below it`,
    )
    space.remove(pages(2, 4))
    expect([...space.allocations].map(({ label }) => label)).toEqual(['C'])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('random changes agree with letters (seed %d)', (seed) => {
    const random = new Random(seed)
    const ROWS = { 'read-write': 'ABC', read: 'abc', none: '123' }
    for (let run = 0; run < 60; run++) {
      let model = Array.from({ length: 16 }, () => random.pick(['A', 'a', '1', 'B', 'b', '2', 'C', '.'])).join('')
      const space = spaceOf(model)
      for (let step = 0; step < 12; step++) {
        const start = random.below(16)
        const end = start + 1 + random.below(16 - start)
        const change = random.pick(['none', 'read', 'read-write', 'remove'] as const)
        if (change === 'remove') space.remove(pages(start, end))
        else space.protect(pages(start, end), change)
        model = [...model].map((letter, at) => (at < start || at >= end || letter === '.' ? letter : changed(letter, change))).join('')
        expect(draw(space, 16), `seed ${seed}, run ${run}, step ${step}`).toBe(model)
        for (const allocation of space.allocations)
          expect(space.pagesLeft(allocation)).toBe([...model].filter((letter) => isOf(letter, allocation.label)).length)
      }
    }
    function isOf(letter: string, name: string): boolean {
      const at = 'ABC'.indexOf(name)
      return Object.values(ROWS).some((row) => row[at] === letter)
    }
    function changed(letter: string, change: Access | 'remove'): string {
      if (change === 'remove') return '.'
      return ROWS[change]['ABC'.split('').findIndex((name) => isOf(letter, name))]
    }
  })
})

describe('advice', () => {
  const advices = (space: AddressSpace) =>
    space.vmas.map(({ start, end, advice }) => [start - BASE, end - BASE, advice.pattern, advice.readMostly, advice.preferred])

  it('cuts and joins VMAs as a protection does, and each word of it stands for itself', () => {
    const space = spaceOf('AAAAAA')
    space.advise(pages(1, 4), { pattern: 'sequential' })
    space.advise(pages(2, 6), { readMostly: true, preferred: 1 })
    expect(advices(space)).toEqual([
      [0, 1, 'normal', false, 'none'],
      [1, 2, 'sequential', false, 'none'],
      [2, 4, 'sequential', true, 1],
      [4, 6, 'normal', true, 1],
    ])
    space.protect(pages(0, 2), 'read')
    space.protect(pages(0, 2), 'read-write')
    space.advise(pages(1, 4), { pattern: 'normal' })
    expect(advices(space)).toEqual([
      [0, 2, 'normal', false, 'none'],
      [2, 6, 'normal', true, 1],
    ])
    const [, second] = space.vmas
    // Nothing changes: the same object stays.
    space.advise(pages(2, 6), { readMostly: true })
    expect(space.vmas[1]).toBe(second)
    space.advise(pages(0, 6), NO_ADVICE)
    expect(space.vmas).toHaveLength(1)
  })

  it('is cut with its mapping, and never crosses to the neighbour', () => {
    const space = spaceOf('AABB..')
    space.advise(pages(0, 6), { preferred: 'host' })
    space.remove(pages(1, 3))
    expect(advices(space)).toEqual([
      [0, 1, 'normal', false, 'host'],
      [3, 4, 'normal', false, 'host'],
    ])
  })

  it.each([1, 2, 3, 4])('random changes of advice and rights agree with a list of pages, in as few VMAs as can be (seed %d)', (seed) => {
    const random = new Random(seed)
    for (let run = 0; run < 60; run++) {
      const space = spaceOf('AAAAAAAABBBBBBBB')
      const model = Array.from({ length: 16 }, (_, at) => ({ owner: at < 8 ? 'A' : 'B', access: 'read-write' as Access, ...NO_ADVICE }))
      for (let step = 0; step < 12; step++) {
        const start = random.below(16)
        const end = start + 1 + random.below(16 - start)
        const advice = random.pick<Partial<VmaAdvice>>([
          { pattern: 'sequential' },
          { pattern: 'random' },
          { pattern: 'normal' },
          { readMostly: true },
          { readMostly: false },
          { preferred: 'host' },
          { preferred: random.below(2) },
          NO_ADVICE,
        ])
        const access = random.pick<Access | null>([null, 'read', 'read-write'])
        if (access !== null) space.protect(pages(start, end), access)
        else space.advise(pages(start, end), advice)
        for (let at = start; at < end; at++) Object.assign(model[at], access === null ? advice : { access })
        const words = model.map((page) => JSON.stringify(page))
        const found = space.vmas.flatMap(({ start: from, end: to, access, advice, allocation }) =>
          Array.from({ length: to - from }, () => JSON.stringify({ owner: allocation.label, access, ...advice })),
        )
        expect(found, `seed ${seed}, run ${run}, step ${step}`).toEqual(words)
        expect(space.vmas).toHaveLength(1 + words.filter((word, at) => at > 0 && word !== words[at - 1]).length)
      }
    }
  })
})

describe('a mapping of 1 TiB', () => {
  const TIB = 2 ** 40
  const geometry = makeGeometry(64, 65_536)

  it('costs nothing until touched: no segment is made, and a hole for it is found at once', () => {
    const space = new AddressSpace(geometry)
    const start = space.findHole(TIB / 65_536, 65_536) as number
    expect(start).toBe(geometry.spacePages - 1 - TIB / 65_536)
    const memory = new AnonymousMemory(start, TIB / 65_536, 65_536, 'vast')
    expect(memory.segments).toBe(0)
    const allocation = { pointer: start * 65_536, byteLength: TIB, label: 'vast', kind: 'mmap', deviceWrites: true, hostWrites: true, dying: false } as const
    space.insert({
      start,
      end: start + TIB / 65_536,
      access: 'read-write',
      advice: NO_ADVICE,
      backing: { kind: 'anonymous', memory },
      allocation: { ...allocation },
    })
    space.protect({ start: start + 5, end: start + 1_000_000 }, 'read')
    space.remove({ start: start + 9, end: start + 10_000_000 })
    expect(space.vmas.map(({ start: from, end }) => [from - start, end - start])).toEqual([
      [0, 5],
      [5, 9],
      [10_000_000, TIB / 65_536],
    ])
    expect(memory.segments).toBe(0)
  })

  it('a touched page makes one segment, and a run ends where its segment does', () => {
    const start = 1000
    const memory = new AnonymousMemory(start, TIB / 65_536, 65_536, 'vast')
    const perSegment = SEGMENT_BYTES / 65_536
    const run = memory.run(start + 7 * perSegment - 2, 10)
    expect(run.length).toBe(2 * 65_536)
    run[5] = 77
    expect(memory.segments).toBe(1)
    expect(memory.run(start + 7 * perSegment - 2, 1)[5]).toBe(77)
    expect(memory.isOneSegment(start + 7 * perSegment - 2, start + 7 * perSegment)).toBe(true)
    expect(memory.isOneSegment(start + 7 * perSegment - 2, start + 7 * perSegment + 1)).toBe(false)
  })
})
