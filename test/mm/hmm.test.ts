// Range faults: what a mirror is told of a range, and what is made present for it.

import { describe, expect, it } from 'vitest'
import { HMM_PFN, type HmmRange, rangeFault, rangeSnapshot } from '../../src/mm/hmm.ts'
import type { Ticket } from '../../src/mm/notifier.ts'
import { PagedFile } from '../../src/mm/paged-file.ts'
import type { Vma } from '../../src/mm/vma.ts'
import { bareSpace, gate, PAGE_BYTES } from './bare-space.ts'
import { CompressingStore } from './compressing-store.ts'

const { valid, write, error, zero, own, requireFault, requireWrite } = HMM_PFN

function setUp(pages = 6, options: { touched?: boolean } = {}) {
  const bare = bareSpace(pages, options)
  const mine = new CompressingStore(bare.space)
  const other = new CompressingStore(bare.space)
  const subscription = bare.space.notifiers.insert({ start: 0, end: bare.space.geometry.spacePages }, mine)
  const range = (defaultFlags: number, more: Partial<HmmRange> = {}): HmmRange => {
    const whole = { space: bare.space, start: bare.start, end: bare.start + pages, owner: mine, subscription, defaultFlags, keepCopies: false }
    return { ...whole, pfns: new Uint8Array((more.end ?? whole.end) - (more.start ?? whole.start)), ...more }
  }
  return { ...bare, mine, other, subscription, range, end: bare.start + pages }
}

describe('a snapshot', () => {
  it('tells what is there and touches nothing', async () => {
    const { space, vma, start, mine, other, range, draw } = setUp()
    await mine.take(vma, start + 1, start + 2)
    await other.take(vma, start + 2, start + 3)
    space.addresses.remove({ start: start + 4, end: start + 5 })
    const before = draw()
    const wish = range(0, { start: start - 1, end: start + 6, pfns: new Uint8Array(7) })
    expect(rangeSnapshot(wish)).toBe(true)
    expect([...wish.pfns]).toEqual([error, valid | write, valid | write | own, 0, valid | write, error, valid | write])
    expect(draw()).toBe(before)
    expect(other.frames.size).toBe(1)
  })

  it('calls untouched memory valid zeros', () => {
    const { range } = setUp(2, { touched: false })
    const wish = range(0)
    rangeSnapshot(wish)
    expect([...wish.pfns]).toEqual([valid | write | zero, valid | write | zero])
  })
})

describe('a range fault', () => {
  it('keeps own pages, brings foreign ones home, and only where it is required', async () => {
    const { vma, start, mine, other, range, draw } = setUp()
    await mine.take(vma, start, start + 2)
    await other.take(vma, start + 2, start + 6)
    const wish = range(0, { pfns: Uint8Array.of(0, requireFault, 0, requireFault, requireFault, 0) })
    expect(rangeSnapshot(wish)).toBe(false)
    expect(await rangeFault(wish)).toBe('ok')
    expect(draw()).toBe('ccchhc')
    expect(other.frames.size).toBe(2)
    expect([...wish.pfns].map((pfn) => pfn & (valid | own))).toEqual([valid | own, valid | own, 0, valid, valid, 0])
    expect(await rangeFault(range(requireFault))).toBe('ok')
    expect(draw()).toBe('cchhhh')
  })

  it('refuses what is not mapped, and writing where nobody may write', async () => {
    const { space, vma, start, end, range } = setUp()
    expect(await rangeFault(range(requireFault, { start: start - 1, end, pfns: new Uint8Array(7) }))).toBe('fault')
    space.addresses.remove({ start, end })
    space.addresses.insert({ ...vma, access: 'read' })
    expect(await rangeFault(range(requireFault))).toBe('ok')
    expect(await rangeFault(range(requireWrite))).toBe('permission')
    expect(await rangeFault(range(0, { pfns: Uint8Array.of(0, 0, 0, requireWrite, 0, 0) }))).toBe('permission')
  })

  it('commits in the moment of the last look; a mirror that sleeps after it shows its ticket and learns of every change', async () => {
    const { space, vma, start, end, mine, other, range } = setUp()
    await other.take(vma, start, end)
    let ticket: Ticket | undefined
    const seen: string[] = []
    const commit = (drawn: Ticket) => {
      ticket = drawn
      seen.push(Array.from({ length: 6 }, (_, page) => space.pages.print(start + page)).join())
    }
    expect(await rangeFault(range(requireFault), commit)).toBe('ok')
    expect(seen).toEqual(['host,host,host,host,host,host'])
    const drawn = ticket as Ticket
    expect(space.notifiers.readRetry(drawn)).toBe(false)
    await mine.take(vma, start, start + 1)
    expect(space.notifiers.readRetry(drawn), 'the asker’s own migration changes nothing for him').toBe(false)
    await other.take(vma, start + 1, start + 2)
    expect(space.notifiers.readRetry(drawn)).toBe(true)
    expect(await rangeFault(range(requireFault, { start: start - 1, end, pfns: new Uint8Array(7) }), commit)).toBe('fault')
    expect(seen).toHaveLength(1)
  })

  it('waits for pages that migrate', async () => {
    const { vma, start, end, other, range, draw } = setUp()
    const { passed, open } = gate()
    other.pause = () => passed
    const taking = other.take(vma, start, end)
    let verdict = ''
    const faulting = rangeFault(range(requireFault)).then((told) => {
      verdict = told
    })
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect([verdict, draw()]).toEqual(['', '!!!!!!'])
    other.pause = async () => undefined
    open()
    await taking
    await faulting
    expect([verdict, draw()]).toEqual(['ok', 'hhhhhh'])
  })

  it('starts anew, with its questions, when the range changed while a pager was asked', async () => {
    const { space, start, range } = setUp()
    let reads = 0
    const pager = {
      size: 6 * PAGE_BYTES,
      read: async (_offset: number, into: Uint8Array) => {
        // Somebody cuts the mapping while its bytes are on their way, so that they arrive for nobody.
        if (reads++ === 0) {
          const cut = space.addresses.find(start) as Vma
          space.addresses.remove({ start, end: start + 6 })
          space.addresses.insert({ ...cut })
        }
        into.fill(reads)
        return into.length
      },
    }
    const old = space.addresses.find(start) as Vma
    space.addresses.remove({ start, end: start + 6 })
    space.pages.clearRange({ start, end: start + 6 })
    space.addresses.insert({ ...old, backing: { kind: 'pager', file: new PagedFile(pager, PAGE_BYTES, 'file'), fileOffset: 0 } })
    expect(await rangeFault(range(requireFault))).toBe('ok')
    expect(reads).toBeGreaterThan(1)
    expect((space.hostRun(space.addresses.find(start) as Vma, start, 1) as Uint8Array)[0]).toBeGreaterThan(1)
  })
})
