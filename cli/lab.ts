// svm lab: experiments on the simulated device. Always: what is printed was run and seen; it is right when no row that the seed tells of did
// anything else than is told, and this library's own migrate keeps everything; what the sizes cannot show is not called seen.

import { type Catch22, keepsEverything, type Observation, runCatch22 } from '../lab/catch22/catch22.ts'
import { type Command, noPositionals, readOptions, UsageError } from './command.ts'
import { parseCount } from './sizes.ts'
import { table } from './terminal.ts'

const PAGES_DEFAULT = 64
const PAGES_MAX = 16_384

export const lab: Command = {
  name: 'lab',
  summary: 'catch22: what breaks without which half of the fix, each row run on the simulated device',
  help: `svm lab catch22 [--pages N] [--resident K] [--json]

Of N anonymous pages with data (${PAGES_DEFAULT} if left out, at most ${PAGES_MAX}), K (a quarter of N if left out) are resident and mapped. A first migrate takes the other
N - K, a second the K again, then a kernel reads all. Runs this with every combination of
  M  the core takes present pages too
  S  the driver names itself as source owner
  C  the driver checks for pages that are its own already
as in Linux 5.8-rc2, and with this library's own migrate. An outcome is called seen when the run showed it; with K = 0 or K = N some cannot be.
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { pages: 'string', resident: 'string' })
    const [experiment, ...more] = positionals
    if (experiment === undefined) throw new UsageError('name the experiment; there is catch22')
    if (experiment !== 'catch22') throw new UsageError(`there is no experiment '${experiment}'; there is catch22`)
    noPositionals(more)
    const pages = values.pages === undefined ? PAGES_DEFAULT : parseCount(values.pages, '--pages', 1)
    if (pages > PAGES_MAX) throw new UsageError(`--pages must be at most ${PAGES_MAX}, found ${pages}`)
    const resident = values.resident === undefined ? Math.floor(pages / 4) : parseCount(values.resident, '--resident')
    if (resident > pages) throw new UsageError(`--resident must be at most --pages (${pages}), found ${resident}`)
    return async () => {
      const value = await runCatch22({ pages, resident })
      return { ok: value.cells.every(({ seen }) => seen !== false) && keepsEverything(value.library, value), value, text: print(value) }
    }
  },
}

function verdict(seen: boolean | null): string {
  if (seen === null) return 'cannot be seen with these sizes'
  return seen ? 'seen' : 'CONTRADICTED'
}

function print(result: Catch22): string {
  const { pages, resident, rows, cells, library, note } = result
  const figures = ({ firstMoved, mappingsLost, refaults, crash }: Observation) =>
    [firstMoved, mappingsLost, refaults ?? '-', crash ? 'crash' : 'no'].map(String)
  const head = ['M S C', 'first call moved', 'mappings lost', 'refaults', 'crash']
  const body = rows.map((row) => [`${row.m} ${row.s} ${row.c}`, ...figures(row)])
  const told = cells.map(({ driverFix, coreFix, row, told, seen }) => [
    driverFix ? (coreFix ? 'both halves' : 'driver half only') : coreFix ? 'core half only' : 'neither half',
    `${[...row].join(' ')}  ${verdict(seen)}: ${told}`,
  ])
  const width = Math.max(...told.map(([name]) => (name as string).length))
  return `${pages} anonymous pages with data, ${resident} of them resident and mapped. First call: the other ${pages - resident}. Second call: the ${resident} again. Then a kernel reads all.

${table([head, ...body, ['this library', ...figures(library)]], { head: true })}
${told.map(([name, text]) => `${(name as string).padEnd(width)}  ${text}`).join('\n')}

${note}
`
}
