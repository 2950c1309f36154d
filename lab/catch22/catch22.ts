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
  /** The row did what is told; null: with these sizes it has nothing to do it to, and did nothing else. False: it did something else. */
  readonly seen: boolean | null
}

export interface Catch22 extends Sizes {
  readonly rows: readonly Row[]
  readonly cells: readonly Cell[]
  /** The same scenario with this library's own migrate. */
  readonly library: Observation
  readonly note: string
}

export const BITS = [0, 1] as const
/** The pages that the thread tells of: those that the device has already, and normal ones. */
const HAVE = {
  resident: ({ resident }: Sizes) => resident > 0,
  others: ({ pages, resident }: Sizes) => pages > resident,
  both: (sizes: Sizes) => HAVE.resident(sizes) && HAVE.others(sizes),
} as const
interface Told extends Omit<Cell, 'seen'> {
  /** With these sizes it can show itself. */
  readonly shows: (sizes: Sizes) => boolean
  /** The row agrees with what is told, whatever the sizes. */
  agrees(row: Observation, sizes: Sizes): boolean
}
const TOLD: readonly Told[] = [
  {
    driverFix: false,
    coreFix: false,
    row: '000',
    told: 'a second call invalidates the GPU mappings that the first call created',
    shows: HAVE.resident,
    agrees: ({ mappingsLost, refaults, crash }, { resident }) => !crash && mappingsLost === resident && refaults === resident,
  },
  {
    driverFix: true,
    coreFix: false,
    row: '011',
    told: 'the first call fails to migrate normal anonymous memory',
    shows: HAVE.others,
    agrees: ({ firstMoved, crash }) => !crash && firstMoved === 0,
  },
  {
    driverFix: false,
    coreFix: true,
    row: '110',
    told: 'a second call crashes the kernel: dma_map_page() is called with a device private PFN',
    shows: HAVE.resident,
    agrees: ({ crash }, { resident }) => crash === resident > 0,
  },
  {
    driverFix: true,
    coreFix: true,
    row: '111',
    told: 'a range of anonymous and device private pages is migrated, and the GPU page tables are right',
    shows: HAVE.both,
    agrees: (row, sizes) => keepsEverything(row, sizes),
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
  return { ...sizes, rows, cells: toldOf(rows, sizes), library, note: NOTE }
}

/** The four told outcomes, held against the rows. */
export function toldOf(rows: readonly Row[], sizes: Sizes): Cell[] {
  return TOLD.map(({ shows, agrees, ...cell }) => {
    const row = rows.find(({ m, s, c }) => `${m}${s}${c}` === cell.row) as Row
    return { ...cell, seen: seenIn(agrees(row, sizes), shows(sizes)) }
  })
}

/** A row that contradicts is no silence: it is told as such also where nothing could be shown. */
function seenIn(agrees: boolean, shows: boolean): boolean | null {
  if (!agrees) return false
  return shows ? true : null
}

/** Everything moved that had to, and resident pages keep their entries and do not fault. */
export function keepsEverything({ firstMoved, mappingsLost, refaults, crash, intact }: Observation, { pages, resident }: Sizes): boolean {
  return !crash && firstMoved === pages - resident && mappingsLost === 0 && refaults === 0 && intact === true
}
