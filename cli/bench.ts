// svm bench: what this library costs beside plain WebGPU. Always: the exit status says that both sides did the same work, not that goals are met.

import { BENCHES, type BenchResult, ROUNDS_DEFAULT, ROUNDS_MIN, runBenches } from '../bench/index.ts'
import { type Command, readGpu, readOptions, UsageError } from './command.ts'
import { parseCount } from './sizes.ts'
import { Progress, table } from './terminal.ts'

export const bench: Command = {
  name: 'bench',
  summary: 'each measure beside the same work in plain WebGPU, with the ratio',
  help: `svm bench [NAME]... [--rounds N] [--gpu any|hardware|software] [--json]

Measures, in turns and in one run, the same work with this library and with plain WebGPU; prints medians of N samples (${ROUNDS_DEFAULT} if left out,
at least ${ROUNDS_MIN}) and their ratio. Both sides' bytes are compared; a difference is an error. --json prints an array.

${BENCHES.map(({ name, about, goal, unit }) => `  ${name.padEnd(18)} ${goal === null ? 'no goal' : `at most ${goal}${unit === undefined ? '' : ` ${unit}`}`}: ${about}`).join('\n')}
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { rounds: 'string', gpu: 'string' })
    const rounds = values.rounds === undefined ? ROUNDS_DEFAULT : parseCount(values.rounds, '--rounds', ROUNDS_MIN)
    const names = BENCHES.map(({ name }) => name)
    const unknown = positionals.find((name) => !names.includes(name))
    if (unknown !== undefined) throw new UsageError(`there is no benchmark '${unknown}'; there are ${names.join(', ')}`)
    const benches = positionals.length === 0 ? BENCHES : BENCHES.filter(({ name }) => positionals.includes(name))
    const gpu = readGpu(values.gpu)
    return async () => {
      const progress = new Progress()
      try {
        const onProgress = (name: string, part: number) => {
          progress.begin(name)
          progress.update(part)
        }
        const { device, results } = await runBenches({ benches, rounds, gpu, onProgress })
        progress.end()
        return { ok: true, value: results, text: `${device}\n\n${print(results)}` }
      } finally {
        progress.end()
      }
    }
  },
}

function print(results: readonly BenchResult[]): string {
  const row = ({ name, svm, plain, unit, ratio, goal, met }: BenchResult) => [
    name,
    `${svm.toFixed(3)} ${unit}`,
    plain === null ? '–' : `${plain.toFixed(3)} ${unit}`,
    ratio === null ? '–' : ratio.toFixed(ratio < 0.1 ? 4 : 2),
    goal === null ? '–' : ratio === null ? `${goal} ${unit}` : String(goal),
    met === null ? '' : met ? 'met' : 'missed',
  ]
  return table([['', 'svm', 'plain', 'ratio', 'goal', ''], ...results.map(row)], { head: true })
}
