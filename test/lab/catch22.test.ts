// The lab's table, for several sizes: the figures are those of the runs, and they follow N and K. Always: each row is compared with what is known
// of Linux 5.8-rc2, from reading its code; nothing here comes from the lab itself.

import { describe, expect, it } from 'vitest'
import { answer } from '../../cli/svm.ts'
import { BITS, type Catch22, type Row, runCatch22, type Sizes, toldOf } from '../../lab/catch22/catch22.ts'

describe.each([
  [64, 16],
  [1, 1],
  [7, 0],
  [5, 0],
  [4, 4],
  [33, 32],
  [700, 513],
])('%i pages, %i resident', (pages, resident) => {
  const others = pages - resident
  // First call over normal pages; then what the second call does to the resident ones.
  const lost = { mappingsLost: resident, refaults: resident, crash: false, intact: true }
  const mapped = { mappingsLost: 0, refaults: 0, crash: false, intact: true }
  const crashed = resident === 0 ? mapped : { mappingsLost: resident, refaults: null, crash: true, intact: null }
  const expected = {
    '000': { firstMoved: others, ...lost },
    '001': { firstMoved: others, ...lost },
    '010': { firstMoved: 0, ...crashed },
    '011': { firstMoved: 0, ...mapped },
    '100': { firstMoved: others, ...lost },
    '101': { firstMoved: others, ...lost },
    '110': { firstMoved: others, ...crashed },
    '111': { firstMoved: others, ...mapped },
  }

  it('each row does what the code of 5.8-rc2 did', async () => {
    const { rows, cells, library } = await runCatch22({ pages, resident })
    expect(rows.map(({ m, s, c }) => `${m}${s}${c}`)).toEqual(Object.keys(expected).sort())
    for (const { m, s, c, ...seen } of rows) expect(seen, `row ${m}${s}${c}`).toEqual(expected[`${m}${s}${c}` as keyof typeof expected])
    expect(cells.map(({ driverFix, coreFix, row, seen }) => [driverFix, coreFix, row, seen])).toEqual([
      [false, false, '000', resident > 0 || null],
      [true, false, '011', others > 0 || null],
      [false, true, '110', resident > 0 || null],
      [true, true, '111', (resident > 0 && others > 0) || null],
    ])
    expect(library).toEqual({ firstMoved: others, ...mapped })
  })
})

describe('svm lab catch22', () => {
  it('--json: one object with the rows, the cells and the library; status 0', async () => {
    const { status, stdout, stderr } = await answer(['lab', 'catch22', '--pages', '12', '--resident', '5', '--json'])
    expect([status, stderr]).toEqual([0, ''])
    const value = JSON.parse(stdout) as Catch22
    expect(value).toMatchObject({ pages: 12, resident: 5, library: { firstMoved: 7, mappingsLost: 0, refaults: 0, crash: false } })
    expect(value.rows).toHaveLength(8)
    expect(value.rows[0]).toMatchObject({ m: 0, s: 0, c: 0, firstMoved: 7, mappingsLost: 5, refaults: 5, crash: false })
    expect(value.cells.find(({ driverFix, coreFix }) => coreFix && !driverFix)?.row).toBe('110')
    expect(value.note).toContain('Row 100')
  })

  it('text: a line a row, this library the ninth', async () => {
    const { stdout } = await answer(['lab', 'catch22', '--pages', '8', '--resident', '3'])
    const lines = stdout.split('\n').filter((line) => /^([01] [01] [01]|this library) /.test(line))
    expect(lines).toHaveLength(9)
    expect(lines[0]?.split(/\s+/)).toEqual(['0', '0', '0', '5', '3', '3', 'no'])
    expect(lines[6]?.split(/\s+/)).toEqual(['1', '1', '0', '5', '3', '-', 'crash'])
    expect(lines[8]?.split(/\s+/)).toEqual(['this', 'library', '5', '0', '0', 'no'])
  })

  it.each([
    // With nothing resident no second call can lose or crash; with all resident no first call can fail.
    [5, 0, ['000', '110', '111'], ['011']],
    [4, 4, ['011', '111'], ['000', '110']],
  ])('%i pages, %i resident: what could not be seen is not called seen', async (pages, resident, unseen, seen) => {
    const sizes = ['lab', 'catch22', '--pages', String(pages), '--resident', String(resident)]
    const { status, stdout } = await answer(sizes)
    const verdicts = [...stdout.matchAll(/^.* ([01]) ([01]) ([01]) {2}([^:]+):/gm)].map(([, m, s, c, verdict]) => [`${m}${s}${c}`, verdict])
    expect(Object.fromEntries(verdicts)).toEqual({
      ...Object.fromEntries(unseen.map((row) => [row, 'cannot be seen with these sizes'])),
      ...Object.fromEntries(seen.map((row) => [row, 'seen'])),
    })
    const json = await answer([...sizes, '--json'])
    const { cells } = JSON.parse(json.stdout) as Catch22
    expect(cells.filter((cell) => cell.seen === null).map(({ row }) => row)).toEqual(unseen)
    expect([status, json.status]).toEqual([0, 0])
  })

  it('a row that does something else than is told is not passed over, whatever the sizes', () => {
    const kept = { firstMoved: 0, mappingsLost: 0, refaults: 0, crash: false, intact: true }
    const rows = (wrong: Partial<Row>) => BITS.flatMap((m) => BITS.flatMap((s) => BITS.map((c) => ({ m, s, c, ...kept, ...wrong }))))
    const seen = (sizes: Sizes, wrong: Partial<Row>) => toldOf(rows(wrong), sizes).map((cell) => cell.seen)
    expect(seen({ pages: 4, resident: 4 }, {})).toEqual([false, null, false, null])
    expect(seen({ pages: 4, resident: 4 }, { firstMoved: 1 })).toEqual([false, false, false, false])
    expect(seen({ pages: 5, resident: 0 }, { crash: true })).toEqual([false, false, false, false])
  })
})
