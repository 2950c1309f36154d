// svm bench: what this library costs beside plain WebGPU. Always: the exit status says that both sides did the same work, not that goals are met;
// in the table, what is in brackets is this library in memory, not plain WebGPU.

import { BENCHES, type BenchReport, type BenchResult, benchesOf, ROUNDS_DEFAULT, ROUNDS_MIN, ROUNDS_QUICK, runBenches } from '../bench/index.ts'
import { keepResults } from '../bench/results.ts'
import { type Command, readGpu, readOptions, UsageError } from './command.ts'
import { parseCount } from './sizes.ts'
import { Progress, table } from './terminal.ts'

const ALL_NAMES = BENCHES.map(({ name }) => name)

export const bench: Command = {
  name: 'bench',
  summary: 'each measure beside the same work in plain WebGPU, with the ratio',
  help: `svm bench [NAME]... [--quick] [--rounds N] [--out FOLDER] [--gpu any|hardware|software] [--json]

Measures, in turns and in one run, the same work with this library and with plain WebGPU; prints medians of N samples (${ROUNDS_DEFAULT} if left out,
at least ${ROUNDS_MIN}) and their ratio. Both sides' results are checked and compared; a difference is an error. --json prints an array. A NAME
is one of those below, or a beginning that several share. --quick takes ${ROUNDS_QUICK} samples of smaller work: rough figures in a quarter of the time.
--out writes FOLDER/DEVICE.json and a plot, FOLDER/DEVICE.svg; what the file had from other cases stays in it: each row has its date, and whether
it was a quick one.

${BENCHES.map((bench) => `  ${bench.name.padEnd(20)} ${goalOf(bench)}: ${bench.about}`).join('\n')}
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { rounds: 'string', gpu: 'string', quick: 'boolean', out: 'string' })
    const quick = values.quick === true
    const rounds = values.rounds === undefined ? (quick ? ROUNDS_QUICK : ROUNDS_DEFAULT) : parseCount(values.rounds, '--rounds', ROUNDS_MIN)
    const unknown = positionals.find((word) => benchesOf(word).length === 0)
    if (unknown !== undefined) throw new UsageError(`there is no benchmark '${unknown}'; there are ${ALL_NAMES.join(', ')}`)
    const named = new Set(positionals.flatMap(benchesOf))
    const benches = positionals.length === 0 ? BENCHES : BENCHES.filter((bench) => named.has(bench))
    const gpu = readGpu(values.gpu)
    return async () => {
      const progress = new Progress()
      try {
        const onProgress = (name: string, part: number) => {
          progress.begin(name)
          progress.update(part)
        }
        const report = await runBenches({ benches, rounds, quick, gpu, onProgress })
        progress.end()
        if (values.out !== undefined) await keepResults(values.out, report.device, report.results, ALL_NAMES)
        return { ok: report.failures.length === 0, value: [...report.results, ...report.failures], text: print(report) }
      } finally {
        progress.end()
      }
    }
  },
}

function goalOf({ goal, unit }: (typeof BENCHES)[number]): string {
  if (goal === null) return 'no goal'
  if (typeof goal !== 'number') return goal.text
  return `at most ${goal}${unit === undefined ? '' : ` ${unit}`}`
}

function print({ device, results, failures }: BenchReport): string {
  const row = ({ name, svm, plain, base, unit, ratio, goal, met }: BenchResult) => [
    name,
    `${svm.toFixed(3)} ${unit}`,
    besideOf({ plain, base, unit }),
    ratio === null ? '–' : ratio.toFixed(ratio < 0.1 ? 4 : 2),
    goal === null ? '–' : ratio === null ? `${goal} ${unit}` : String(Number(goal.toFixed(2))),
    met === null ? '' : met ? 'met' : 'missed',
  ]
  const failed = failures.map(({ name, error }) => `${name} FAILED: ${error}\n`)
  return `${device}\n\n${table([['', 'svm', 'plain', 'ratio', 'goal', ''], ...results.map(row)], { head: true })}${failed.join('')}`
}

function besideOf({ plain, base, unit }: Pick<BenchResult, 'plain' | 'base' | 'unit'>): string {
  if (plain !== null) return `${plain.toFixed(3)} ${unit}`
  return base === undefined ? '–' : `(${base.toFixed(3)} ${unit})`
}
