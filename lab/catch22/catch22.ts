// The catch-22 of the seed thread: which half of the fix breaks what. Always: every figure is of a run on a simulated device; the variants exist here
// only, as small replacements for the core's collect and the driver's step, and the library has no switch for them.

import { type Halves, migrate58 } from './driver.ts'
import { type Observation, observe, type Sizes } from './scenario.ts'

export type { Observation, Sizes } from './scenario.ts'

export interface Row extends Observation, Halves {}

/** One of the four outcomes that the thread tells, and the row that produces it. */
export interface Cell {
  readonly driverFix: boolean
  readonly coreFix: boolean
  /** The bits M, S and C. */
  readonly row: string
  /** In the words of the thread. */
  readonly told: string
  /** The row was seen to do what is told. */
  readonly seen: boolean
}

export interface Catch22 extends Sizes {
  readonly rows: readonly Row[]
  readonly cells: readonly Cell[]
  /** The same scenario with this library's own migrate. */
  readonly library: Observation
  readonly note: string
}

const BITS = [0, 1] as const
/** What the thread tells, and what of a row says that it happened. */
const TOLD: readonly (Omit<Cell, 'seen'> & { happened(row: Observation, sizes: Sizes): boolean })[] = [
  {
    driverFix: false,
    coreFix: false,
    row: '000',
    told: 'a second call invalidates the GPU mappings that the first call created',
    happened: ({ mappingsLost, refaults, crash }, { resident }) => !crash && mappingsLost === resident && refaults === resident,
  },
  {
    driverFix: true,
    coreFix: false,
    row: '011',
    told: 'the first call fails to migrate normal anonymous memory',
    happened: ({ firstMoved, crash }) => !crash && firstMoved === 0,
  },
  {
    driverFix: false,
    coreFix: true,
    row: '110',
    told: 'a second call crashes the kernel: dma_map_page() is called with a device private PFN',
    happened: ({ crash }, { resident }) => crash === resident > 0,
  },
  {
    driverFix: true,
    coreFix: true,
    row: '111',
    told: 'a range of anonymous and device private pages is migrated, and the GPU page tables are right',
    happened: (row, sizes) => keepsEverything(row, sizes),
  },
]

export const NOTE =
  'Row 100 is the core half alone by the letter: the driver names no source owner, so device private pages are still not collected, and it does what ' +
  'row 000 does. The crash that the thread tells needs the source owner set and no check for private pages: row 110. So the table is 2 x 2 x 2.'

export async function runCatch22(sizes: Sizes): Promise<Catch22> {
  const rows: Row[] = []
  for (const m of BITS) {
    for (const s of BITS) {
      for (const c of BITS) rows.push({ m, s, c, ...(await observe(sizes, ({ mirror }, range) => migrate58(mirror, range, { m, s, c }))) })
    }
  }
  const library = await observe(sizes, async ({ svm }, { start, end }) => {
    const byteLength = (end - start) * svm.pageSize
    return byteLength === 0 ? 0 : (await svm.queue.migrate({ pointer: start * svm.pageSize, byteLength }).done).moved
  })
  const cells = TOLD.map(({ happened, ...cell }) => {
    const row = rows.find(({ m, s, c }) => `${m}${s}${c}` === cell.row) as Row
    return { ...cell, seen: happened(row, sizes) }
  })
  return { ...sizes, rows, cells, library, note: NOTE }
}

/** Everything moved that had to, and resident pages keep their entries and do not fault. */
export function keepsEverything({ firstMoved, mappingsLost, refaults, crash, intact }: Observation, { pages, resident }: Sizes): boolean {
  return !crash && firstMoved === pages - resident && mappingsLost === 0 && refaults === 0 && intact === true
}
