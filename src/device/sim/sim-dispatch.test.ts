// The protocol of replay-grants section 3, access by access, on hand-made tables. Does not cover: the driver's service of faults.

import { describe, expect, it } from 'vitest'
import { BAD_KIND_SHIFT, FAULT, NEED, NEED_MISALIGNED, PAGE_BITMAP, WORKGROUP_BITMAP } from '../../abi/fault-record.ts'
import { LEAF_PAGES, leafKey, MISS_KIND_SHIFT } from '../../abi/leaf.ts'
import { PTE } from '../../abi/pte.ts'
import type { KernelMemory, KernelTwin } from '../twin.ts'
import { ALL, addressOf, FRAME_WORDS, MAY, P, PAGE_BYTES, PAGES, pass, R, type Ran, ran, type Setup, W } from './pass-rig.ts'
import { numbersOf } from './sim-dispatch.ts'

const at = addressOf(0)
const taintedStore = (memory: KernelMemory) => {
  memory.atomicLoadU32(addressOf(1))
  memory.storeU32(at, 7)
}

/** Real needs of page 0, like 'r', 'w', 'x'; '' when the access went through. */
function needs(done: Ran): string {
  const named: [string, number][] = [
    ['r', PAGE_BITMAP.read],
    ['w', PAGE_BITMAP.write],
    ['x', PAGE_BITMAP.exclusive],
  ]
  return named
    .filter(([, bitmap]) => done.pages(bitmap).includes(0))
    .map(([name]) => name)
    .join('')
}

describe('the rights table', () => {
  const accesses: [string, (memory: KernelMemory) => void][] = [
    ['plain load', (m) => m.loadU32(at)],
    ['atomic load', (m) => m.atomicLoadU32(at)],
    ['plain store, untainted', (m) => m.storeU32(at, 7)],
    ['plain store, tainted', taintedStore],
    ['atomic store', (m) => m.atomicStoreU32(at, 7)],
    ['read-modify-write', (m) => m.atomicAddU32(at, 7)],
    ['compare-exchange', (m) => m.atomicCompareExchangeU32(at, 0, 7)],
    ['silent atomic', (m) => m.silentAtomicAddU32(at, 7)],
  ]
  //                                     none  R    W    P
  const expected: Record<string, string[]> = {
    'plain load': ['r', '', 'r', ''],
    'atomic load': ['r', '', 'r', ''],
    'plain store, untainted': ['w', 'w', '', ''],
    'plain store, tainted': ['x', 'x', 'x', ''],
    'atomic store': ['x', 'x', 'x', ''],
    'read-modify-write': ['x', 'x', 'x', ''],
    'compare-exchange': ['x', 'x', 'x', ''],
    'silent atomic': ['x', 'x', 'x', ''],
  }
  for (const [name, access] of accesses) {
    it.each([
      ['none', MAY, 0],
      ['R', R, 1],
      ['W', W, 2],
      ['P', P, 3],
    ])(`${name} on %s`, (_, grant, column) => {
      const done = ran({ twin: (_item, _args, memory) => access(memory), table: [MAY, R], grants: [grant, R] })
      const need = expected[name][column]
      expect(needs(done)).toBe(need)
      expect(done.groups(WORKGROUP_BITMAP.faulted)).toEqual(need === '' ? [] : [0])
      expect(done.groups(WORKGROUP_BITMAP.serviceable)).toEqual(need === '' ? [] : [0])
      const stores = name !== 'plain load' && name !== 'atomic load'
      expect(done.word(0)).toBe(need === '' && stores ? 7 : 0)
      expect(done.groups(WORKGROUP_BITMAP.touched)).toEqual(column === 3 ? [0] : [])
      expect(done.groups(WORKGROUP_BITMAP.dirty)).toEqual(column === 3 && stores ? [0] : [])
      expect(done.pages(PAGE_BITMAP.dirty)).toEqual(need === '' && stores ? [0] : [])
      expect(done.faults[FAULT.badClaim]).toBe(0)
    })
  }

  it('without a grant the table counts, for loads only', () => {
    const twin: KernelTwin = (_item, _args, memory) => {
      expect(memory.loadU32(addressOf(0, 3))).toBe(5)
      memory.storeU32(at, 7)
    }
    const made = pass({ twin, table: [ALL | MAY] })
    made.setWord(0, 3, 5)
    made.run()
    expect(needs(made)).toBe('w')
    expect(made.word(0)).toBe(0)
  })

  it('a known dirty bit is not set again', () => {
    expect(ran({ twin: (_i, _a, m) => m.storeU32(at, 1), grants: [W | PTE.dirty] }).pages(PAGE_BITMAP.dirty)).toEqual([])
  })
})

describe('taint', () => {
  const taints: [string, boolean, (m: KernelMemory) => void][] = [
    ['plain load', false, (m) => m.loadU32(at)],
    ['atomic load', true, (m) => m.atomicLoadI32(at)],
    ['atomic store', false, (m) => m.atomicStoreI32(at, 1)],
    ['used add', true, (m) => m.atomicAddI32(at, 1)],
    ['exchange', true, (m) => m.atomicExchangeU32(at, 1)],
    ['silent add', false, (m) => m.silentAtomicAddU32(at, 1)],
  ]
  it.each(taints)('%s taints: %s', (_, expected, access) => {
    const twin: KernelTwin = (_i, _a, m) => {
      access(m)
      m.storeU32(addressOf(1), 1)
    }
    const done = ran({ twin, grants: [P, W] })
    expect(done.pages(PAGE_BITMAP.exclusive)).toEqual(expected ? [1] : [])
  })

  it('starts with the kernel, and comes from used workgroup atomics', () => {
    const store: KernelTwin = (_i, _a, m) => m.storeU32(at, 1)
    expect(needs(ran({ twin: store, grants: [W], startTainted: true }))).toBe('x')
    expect(needs(ran({ twin: (i, _a, m) => m.storeU32(at, i.workgroupAtomicAdd('n', 1, 0, 1)), grants: [W] }))).toBe('x')
  })

  it('crosses a barrier to the whole workgroup, and no other', () => {
    const twin: KernelTwin = function* (item, _args, memory) {
      if (item.globalId[0] === 0) memory.atomicLoadU32(at)
      yield
      memory.storeU32(addressOf(1, item.globalId[0]), 1)
    }
    const done = ran({ twin, grants: [R, W], size: [2, 1, 1], slots: 2 })
    expect(done.groups(WORKGROUP_BITMAP.faulted)).toEqual([0])
    expect([0, 1, 2, 3].map((i) => done.word(1, i))).toEqual([0, 0, 1, 1])
  })

  it('does not cross a mere step', () => {
    const twin: KernelTwin = function* (item, _args, memory) {
      if (item.localIndex === 0) memory.atomicLoadU32(at)
      yield 'step'
      memory.storeU32(addressOf(1, item.localIndex), 1)
    }
    const done = ran({ twin, grants: [R, W], size: [2, 1, 1] })
    expect([done.word(1, 0), done.word(1, 1)]).toEqual([0, 1])
  })
})

describe('poison', () => {
  it('makes stores and atomics do nothing, and later faults hints', () => {
    const seen: number[] = []
    const twin: KernelTwin = (item, _args, m) => {
      seen.push(m.faulted() ? 1 : 0, m.loadU32(at), m.faulted() ? 1 : 0)
      m.storeU32(addressOf(1), 7)
      seen.push(m.atomicAddU32(addressOf(2), 7), m.loadU32(addressOf(2, 1)), item.workgroupAtomicAdd('n', 1, 0, 7), item.workgroupU32('n', 1)[0])
      m.loadU32(addressOf(3))
      m.storeU32(addressOf(4), 1)
      m.atomicStoreU32(addressOf(5), 1)
    }
    const made = pass({ twin, slots: 1, table: [MAY, 0, 0, MAY, MAY, MAY], grants: [0, W, P] })
    made.setWord(2, 0, 40)
    made.setWord(2, 1, 41)
    made.run()
    // An atomic gives what is there, as a load does.
    expect(seen).toEqual([0, 0, 1, 40, 41, 0, 0])
    expect([made.word(1), made.word(2)]).toEqual([0, 40])
    expect(made.pages(PAGE_BITMAP.read)).toEqual([0])
    expect(made.pages(PAGE_BITMAP.hintRead)).toEqual([3])
    // The store to page 1 had its right. Tainted by the atomic, the one to page 4 would need the page for itself.
    expect(made.pages(PAGE_BITMAP.hintWrite)).toEqual([])
    expect(made.pages(PAGE_BITMAP.hintExclusive)).toEqual([4, 5])
    expect(made.groups(WORKGROUP_BITMAP.dirty)).toEqual([])
    expect(made.pages(PAGE_BITMAP.lead)).toEqual([])
  })

  it('crosses barriers', () => {
    const twin: KernelTwin = function* (item, _args, m) {
      if (item.localIndex === 1) m.loadU32(at)
      yield
      m.storeU32(addressOf(1, item.localIndex), 7)
    }
    const done = ran({ twin, table: [MAY], grants: [0, W], size: [3, 1, 1] })
    expect([0, 1, 2].map((i) => done.word(1, i))).toEqual([0, 0, 0])
  })

  it('without a barrier stays with its invocation', () => {
    const twin: KernelTwin = (item, _args, m) => m.storeU32(addressOf(1, item.localIndex), 7 + (item.localIndex === 1 ? m.loadU32(at) : 0))
    const done = ran({ twin, table: [MAY], grants: [0, W], size: [3, 1, 1] })
    expect([0, 1, 2].map((i) => done.word(1, i))).toEqual([7, 0, 7])
  })

  it('leaves an example of each page, while there is room', () => {
    const twin: KernelTwin = (item, _args, m) => {
      const page = item.workgroupId[0] % 3
      if (page < 2) m.loadU32(addressOf(page, 5))
      else m.storeU32(addressOf(page, 5), 1)
    }
    const done = ran({ twin, table: [MAY, MAY, MAY], slots: 9 })
    const examples = done.examples().sort((a, b) => b.address - a.address)
    expect(examples.map(({ address, need }) => [address, need])).toEqual([0, 1, 2].map((page) => [addressOf(page, 5), page < 2 ? NEED.read : NEED.write]))
    for (const [page, { slot }] of examples.entries()) expect(slot % 3).toBe(page)
  })

  it('says which slots wanted a page, real or hint', () => {
    const twin: KernelTwin = (item, _args, m) => {
      const [x] = item.workgroupId
      if (x >= 2) m.loadU32(addressOf(0))
      if (x >= 1) m.loadU32(addressOf(1))
    }
    const done = ran({ twin, table: [MAY, MAY, MAY], slots: 5 })
    expect([0, 1, 2].map(done.users)).toEqual([[2, 3, 4], [1, 2, 3, 4], []])
    expect(done.pages(PAGE_BITMAP.read)).toEqual([0, 1])
    expect(done.pages(PAGE_BITMAP.hintRead)).toEqual([1])
    expect(done.groups(WORKGROUP_BITMAP.faulted)).toEqual([1, 2, 3, 4])
  })

  it('the lead is slot 0, and notes what it touched', () => {
    const done = ran({ twin: (item, _a, m) => void m.loadU32(addressOf(item.workgroupId[0])), grants: [R, R, R], slots: 3, worklist: [2, 1, 0] })
    expect(done.pages(PAGE_BITMAP.lead)).toEqual([2])
  })
})

describe('bad accesses', () => {
  const bad: [string, number, number, (m: KernelMemory) => void][] = [
    ['unmapped', addressOf(PAGES + 9), NEED.read, (m) => m.loadU32(addressOf(PAGES + 9))],
    ['null', 0, NEED.read, (m) => m.loadU32(0)],
    ['read-only page stored', at, NEED.write, (m) => m.storeU32(at, 1)],
    ['read-only page, atomic', at, NEED.exclusive, (m) => m.atomicAddU32(at, 1)],
    ['last byte of the space', 0xffffffff, NEED.read | NEED_MISALIGNED, (m) => m.loadU8(0xffffffff)],
    ['beyond the space', 0xffffffff, NEED.write | NEED_MISALIGNED, (m) => m.storeU32(2 ** 32 + 16, 1)],
    ['before the space', 0xffffffff, NEED.read | NEED_MISALIGNED, (m) => m.loadU16(-2)],
    ['misaligned word', at + 2, NEED.read | NEED_MISALIGNED, (m) => m.loadU32(at + 2)],
    ['misaligned half-word', at + 1, NEED.write | NEED_MISALIGNED, (m) => m.storeU16(at + 1, 1)],
    ['misaligned vector', at + 2, NEED.read | NEED_MISALIGNED, (m) => m.loadVec4F32(at + 2)],
  ]
  it.each(bad)('%s', (_, address, kind, access) => {
    const twin: KernelTwin = (item, _a, m) => {
      if (item.workgroupId[0] !== 1) return
      access(m)
      m.loadU32(0x100)
      m.loadU32(addressOf(1))
    }
    const done = ran({ twin, table: [PTE.load | PTE.mayLoad, MAY], slots: 2 })
    expect(Array.from(done.faults.slice(0, 6))).toEqual([1, address, 0, kind, 1, 0])
    expect(done.groups(WORKGROUP_BITMAP.faulted)).toEqual([1])
    expect(done.groups(WORKGROUP_BITMAP.serviceable)).toEqual([])
    expect(done.pages(PAGE_BITMAP.hintRead)).toEqual([1])
  })

  it('after a fault is an echo, and leaves no record', () => {
    const done = ran({ twin: (_i, _a, m) => void m.loadVec2U32(m.loadU32(at)), table: [MAY] })
    expect(done.faults[FAULT.badClaim]).toBe(0)
  })

  it('has a high word in a wide space', () => {
    const done = ran({ twin: (_i, _a, m) => void m.loadU32(0x12_3456_7890), variant: 'resident', addressBits: 64 })
    expect(done.bad()).toEqual({ kind: (NEED.read << BAD_KIND_SHIFT) | 3, unforeseen: false, addresses: [0x12_3456_7890] })
  })

  it('to a page without an entry is for the host to judge: its leaf is noted, with the first access that is no hint', () => {
    const twin: KernelTwin = (_i, _a, m) => {
      m.storeU32(0x12_3456_7890, 1)
      m.loadU32(0x12_3456_7890 + 4 * PAGE_BYTES)
      m.loadU32(0x12_3456_7890 + LEAF_PAGES * PAGE_BYTES)
    }
    const done = ran({ twin, addressBits: 64 })
    const key = leafKey(0x12_3456_7890 / PAGE_BYTES)
    const page = Math.floor(0x12_3456_7890 / PAGE_BYTES) % LEAF_PAGES
    const access = (0x12_3456_7890 % (LEAF_PAGES * PAGE_BYTES)) + NEED.write * 2 ** MISS_KIND_SHIFT
    expect(done.misses().sort((a, b) => a[0] - b[0])).toEqual([
      [key, 0, 2 ** page, 0, 2 ** (page + 4), 0, 0, 1, access, 0],
      [key + 1, 0, 0, 0, 2 ** page, 0, 0, 0, 0, 0],
    ])
    expect(done.faults[FAULT.badClaim]).toBe(0)
    expect([done.groups(WORKGROUP_BITMAP.faulted), done.groups(WORKGROUP_BITMAP.serviceable)]).toEqual([[0], []])
  })
})

describe('a resident pass', () => {
  const table = [ALL & ~PTE.exclusive, ALL]

  it('uses the table alone, without taint', () => {
    const twin: KernelTwin = (_item, _args, m) => m.storeU32(at, m.atomicAddU32(addressOf(1), 2) + 3)
    const done = ran({ twin, variant: 'resident', table, grants: [MAY, MAY], startTainted: true })
    expect([done.word(0), done.word(1)]).toEqual([3, 2])
    expect(done.pages(PAGE_BITMAP.dirty)).toEqual([0, 1])
    expect(done.pages(PAGE_BITMAP.lead)).toEqual([])
    expect(done.bad()).toEqual({ kind: 0, unforeseen: false, addresses: [null] })
    const foreseen = ran({ twin, variant: 'resident', table: [ALL | PTE.dirty, ALL], marks: false })
    expect([foreseen.word(0), foreseen.pages(PAGE_BITMAP.dirty), foreseen.bad().unforeseen]).toEqual([3, [], true])
  })

  it('keeps the first bad access, even where it could be serviced, and the invocation changes nothing after it', () => {
    const seen: number[] = []
    const twin: KernelTwin = function* (item, _args, m) {
      if (item.localIndex === 0) seen.push(m.loadU32(addressOf(2)), m.faulted() ? 1 : 0, m.loadU32(at), m.atomicAddU32(addressOf(1), 1))
      yield
      m.storeU32(addressOf(1, item.localIndex), 9)
    }
    const made = pass({ twin, variant: 'resident', table: [...table, MAY], size: [2, 1, 1] })
    made.setWord(0, 0, 5)
    made.run()
    expect(seen).toEqual([0, 1, 5, 0])
    // The other invocation goes on: nothing crosses a barrier here.
    expect([made.word(1, 0), made.word(1, 1)]).toEqual([0, 9])
    expect(made.bad()).toEqual({ kind: (NEED.read << BAD_KIND_SHIFT) | 3, unforeseen: false, addresses: [addressOf(2)] })
    expect(made.pages(PAGE_BITMAP.read)).toEqual([])
  })
})

describe('widths', () => {
  it('bytes and half-words replace their part of a word', () => {
    const seen: number[] = []
    const twin: KernelTwin = (_i, _a, m) => {
      m.storeU32(at, 0xffffffff)
      m.storeU8(at + 1, 0x112)
      m.storeU16(at + 2, 0x3456)
      seen.push(m.loadU8(at + 1), m.loadU16(at + 2), m.loadU8(at), m.loadU32(at))
    }
    ran({ twin, grants: [P] })
    expect(seen).toEqual([0x12, 0x3456, 0xff, 0x345612ff])
  })

  it('floats, signs and pointers', () => {
    const seen: unknown[] = []
    const twin: KernelTwin = (_i, _a, m) => {
      m.storeF32(at, 1.5)
      m.storeI32(at + 4, -2)
      m.storePointer(at + 8, 0xfffffffc)
      m.storeVec3F32(at + 12, [0.5, -1, 2])
      m.storeVec2I32(at + 24, [-1, 1])
      seen.push(
        m.loadF32(at),
        m.loadI32(at + 4),
        m.loadU32(at + 4),
        m.loadPointer(at + 8),
        m.loadVec3F32(at + 12),
        m.loadVec2I32(at + 24),
        m.loadVec2U32(at + 24),
      )
    }
    ran({ twin, grants: [P] })
    expect(seen).toEqual([1.5, -2, 0xfffffffe, 0xfffffffc, [0.5, -1, 2], [-1, 1], [0xffffffff, 1]])
  })

  it('wide pointers are two words, low word first', () => {
    const top = 2 ** 48 - PAGE_BYTES
    const twin: KernelTwin = (_i, _a, m) => {
      m.storePointer(top, 2 ** 47 + 5)
      expect([m.loadPointer(top), m.loadU32(top), m.loadU32(top + 4)]).toEqual([2 ** 47 + 5, 5, 2 ** 15])
    }
    ran({ twin, grants: [P], addressBits: 64 })
  })

  it('every atomic gives the old value, signed where it says so', () => {
    const seen: number[] = []
    const twin: KernelTwin = (_i, _a, m) => {
      seen.push(m.atomicSubU32(at, 1), m.atomicMaxI32(at, 5), m.atomicMinU32(at, 3), m.atomicOrU32(at, 12), m.atomicAndU32(at, 14), m.atomicXorU32(at, 1))
      seen.push(
        m.atomicCompareExchangeU32(at, 15, 9),
        m.atomicCompareExchangeU32(at, 8, 9),
        m.atomicExchangeI32(at, -4),
        m.atomicMinI32(at, -9),
        m.atomicMaxU32(at, 1),
      )
      seen.push(m.atomicAddI32(at, 1), m.atomicLoadI32(at), m.atomicCompareExchangeI32(at, -8, 6), m.atomicLoadU32(at))
    }
    ran({ twin, grants: [P] })
    expect(seen).toEqual([0, -1, 5, 3, 15, 14, 15, 9, 9, -4, 0xfffffff7, -9, -8, -8, 6])
  })

  // Page 1 lies below page 0:   page 1 [ ... a b ] page 0 [ c d ... ]
  it('a vector across two pages is one access a word', () => {
    const across = addressOf(1, FRAME_WORDS - 2)
    const seen: number[][] = []
    const twin: KernelTwin = (item, _a, m) => {
      seen.push(m.loadVec4U32(across))
      if (item.workgroupId[0] === 1) m.storeVec4U32(across, [1, 2, 3, 4])
    }
    const half = ran({ twin, table: [MAY], grants: [0, R] })
    expect(half.pages(PAGE_BITMAP.read)).toEqual([0])
    expect(half.pages(PAGE_BITMAP.hintRead)).toEqual([0])
    const whole = ran({ twin, grants: [P, P], firstWorkgroup: 1, workgroups: [2, 1, 1] })
    expect([whole.word(1, FRAME_WORDS - 2), whole.word(1, FRAME_WORDS - 1), whole.word(0, 0), whole.word(0, 1)]).toEqual([1, 2, 3, 4])
  })

  it('a vector in one page is one access', () => {
    const done = ran({ twin: (_i, _a, m) => void m.loadVec4U32(at), table: [MAY] })
    expect(done.pages(PAGE_BITMAP.hintRead)).toEqual([])
  })
})

describe('ids', () => {
  it('come from the worklist, or from the first workgroup, by the shape of the launch', () => {
    const ids = (setup: Partial<Setup>) => {
      const seen: string[] = []
      const twin: KernelTwin = (item) => void seen.push(`${item.workgroupId.join()} ${item.globalId.join()} of ${item.numWorkgroups.join()}`)
      ran({ twin, workgroups: [2, 3, 2], size: [2, 1, 1], slots: 2, ...setup })
      return seen.sort()
    }
    expect(ids({ firstWorkgroup: 7, offset: [10, 20, 30] })).toEqual([
      '0,1,1 10,21,31 of 2,3,2',
      '0,1,1 11,21,31 of 2,3,2',
      '1,0,1 12,20,31 of 2,3,2',
      '1,0,1 13,20,31 of 2,3,2',
    ])
    expect(ids({ worklist: [11, 0], size: [1, 1, 1] })).toEqual(['0,0,0 0,0,0 of 2,3,2', '1,2,1 1,2,1 of 2,3,2'])
    expect(ids({ slots: 3, groups: [2, 2, 1], size: [1, 1, 1] })).toHaveLength(3)
  })

  it('beyond the launch are left out where the kernel has a guard', () => {
    const count = (guard: boolean) => {
      let items = 0
      ran({ twin: () => void items++, slots: 2, size: [4, 2, 1], global: [6, 1, 1], offset: [100, 0, 0], guard })
      return items
    }
    expect([count(true), count(false)]).toEqual([6, 16])
  })

  it('arguments become numbers', () => {
    expect(numbersOf({ a: 5n, b: true, size: [1, 2], s: { x: 3 } })).toEqual({ a: 5, b: 1, 'size.0': 1, 'size.1': 2, 's.x': 3 })
  })
})

describe('runaways', () => {
  const forever: KernelTwin = function* (_i, _a, m) {
    while (true) {
      m.loadU32(at)
      yield 'step'
    }
  }
  it('end by fuel', () => {
    const done = ran({ twin: forever, grants: [R], fuel: 100 })
    expect(done.faults[FAULT.fuelOut]).toBe(1)
    expect(done.groups(WORKGROUP_BITMAP.faulted)).toEqual([0])
    expect(done.groups(WORKGROUP_BITMAP.serviceable)).toEqual([])
  })

  it('end some time after poison, and take the whole workgroup along', () => {
    const twin: KernelTwin = function* (item, _args, m) {
      while (item.localIndex === 0) m.loadU32(at)
      yield
      m.storeU32(addressOf(1), 1)
    }
    const done = ran({ twin, table: [MAY], grants: [0, W], size: [2, 1, 1] })
    expect(done.word(1)).toBe(0)
    expect(done.faults[FAULT.fuelOut]).toBe(0)
    expect(done.groups(WORKGROUP_BITMAP.serviceable)).toEqual([0])
  })
})

describe('order', () => {
  const trace = (seed: number, size: [number, number, number] = [3, 1, 1]) => {
    const seen: string[] = []
    const twin: KernelTwin = function* (item, _args, m) {
      for (let phase = 0; phase < 2; phase++) {
        for (let i = 0; i < 2; i++) {
          seen.push(`${item.workgroupId[0]}.${item.localIndex}.${phase}=${m.atomicAddU32(at, 1)}`)
          yield 'step'
        }
        yield
      }
    }
    ran({ twin, grants: [P], slots: 4, size, seed })
    return seen
  }

  it('is the same for the same seed, and another for another', () => {
    expect(trace(5)).toEqual(trace(5))
    expect(trace(5)).not.toEqual(trace(6))
  })

  it('mixes workgroups, and holds a workgroup at its barrier', () => {
    const seen = trace(9)
    expect(seen).toHaveLength(48)
    const groups = seen.map((line) => line[0])
    const changes = groups.filter((group, i) => i > 0 && group !== groups[i - 1]).length
    expect(changes).toBeGreaterThan(10)
    for (const group of '0123') {
      const phases = seen.filter((line) => line[0] === group).map((line) => line.split('.')[2][0])
      expect(phases.join('')).toBe('000000111111')
    }
  })

  it('a workgroup that waits for another meets it', () => {
    const twin: KernelTwin = function* (item, _args, m) {
      if (item.workgroupId[0] === 1) m.atomicStoreU32(at, 1)
      while (m.atomicLoadU32(at) === 0) yield 'step'
    }
    expect(ran({ twin, grants: [P], slots: 2 }).word(0)).toBe(1)
  })

  it('a twin that throws fails with its kernel and its place', () => {
    const made = pass({
      twin: () => {
        throw new Error('mine')
      },
    })
    expect(() => made.run()).toThrow(/the twin of 'k' threw in workgroup 0, 0, 0, work-item 0, 0, 0: Error: mine/)
  })

  it('workgroup memory is zero at the start and shared inside a workgroup only', () => {
    const twin: KernelTwin = function* (item, _args, m) {
      item.workgroupU32('sum', 1)[0] += item.localIndex + 1
      yield
      if (item.localIndex === 0) m.storeU32(addressOf(0, item.workgroupId[0]), item.workgroupU32('sum', 1)[0])
    }
    const done = ran({ twin, grants: [W], slots: 3, size: [4, 1, 1] })
    expect([0, 1, 2].map((i) => done.word(0, i))).toEqual([10, 10, 10])
  })
})
