// svm fuzz: random operations on simulated devices against a map of bytes. Always: a failure is made smaller first, and printed as the line that
// repeats it; the same line gives the same answer.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runSeed, type SuiteReport } from '../fuzz/suite.ts'
import { SvmError } from '../src/node.ts'
import { type Command, noPositionals, type Outcome, readOptions, UsageError } from './command.ts'
import { parseCount } from './sizes.ts'
import { Progress } from './terminal.ts'

const SEED_DEFAULT = 1
const STEPS_DEFAULT = 300
/** Seeds that a bug which was put in has to show itself in. */
const BREAK_SEEDS = 12
const MUTANT_TOOL = 'scripts/mutants.mjs'
/** Standard output of a run of a mutant, at most. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

interface Wish {
  readonly seed: number
  readonly steps: number
  readonly ops: readonly number[] | undefined
}

export const fuzz: Command = {
  name: 'fuzz',
  summary: 'random operations on simulated devices against an oracle; a failure prints the line that repeats it',
  help: `svm fuzz [--seed N] [--steps N] [--ops I,J,…] [--break NAME] [--json]

Runs N random operations (${STEPS_DEFAULT} if left out) on one to three simulated devices, in the order and with the failures that the seed says (${SEED_DEFAULT} if left out),
compares every byte with a plain map after each, and checks the invariants of ARCHITECTURE.md; then runs it all again, which must be the same.
--ops keeps only these operations, by number: the last line of a failure has them. --break NAME puts a bug of mutants/ in and
must fail: it tries the seed and, without --ops, the ${BREAK_SEEDS - 1} after it. That needs a clone of the repository.
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { seed: 'string', steps: 'string', ops: 'string', break: 'string' })
    noPositionals(positionals)
    const seed = values.seed === undefined ? SEED_DEFAULT : parseCount(values.seed, '--seed')
    const steps = values.steps === undefined ? STEPS_DEFAULT : parseCount(values.steps, '--steps', 1)
    const ops = values.ops?.split(',').map((text) => parseCount(text, '--ops'))
    const beyond = ops?.find((index) => index >= steps)
    if (beyond !== undefined) throw new UsageError(`--ops names operation ${beyond}, and --steps ${steps} has 0 to ${steps - 1}`)
    const name = values.break
    return () => (name === undefined ? sound({ seed, steps, ops }) : broken(name, { seed, steps, ops }))
  },
}

async function sound({ seed, steps, ops }: Wish): Promise<Outcome> {
  const progress = new Progress()
  progress.begin(`seed ${seed}`)
  try {
    const report = await runSeed({ seed, steps, ops, onStep: (index) => progress.update(index / steps) })
    progress.end()
    return { ok: report.ok, value: report, text: print(report) }
  } finally {
    progress.end()
  }
}

/** The same with a bug put in: built beside, and run as a program of its own, for one seed after the other until it is found. */
async function broken(name: string, wish: Wish): Promise<Outcome> {
  const tool = join(clone(), MUTANT_TOOL)
  const last = wish.seed + (wish.ops === undefined ? BREAK_SEEDS : 1) - 1
  let seed = wish.seed
  let report = runBroken(tool, name, { ...wish, seed })
  while (report.ok && seed < last) report = runBroken(tool, name, { ...wish, seed: ++seed })
  const { minimal } = report
  const line = minimal === null ? null : { ...minimal, line: `${minimal.line} --break ${name}` }
  const text = `with ${name} put in, seeds ${wish.seed} to ${seed}: ${print({ ...report, minimal: line })}`
  return { ok: report.ok, value: { ...report, minimal: line, broken: name }, text }
}

function runBroken(tool: string, name: string, { seed, steps, ops }: Wish): SuiteReport {
  const args = ['fuzz', '--seed', String(seed), '--steps', String(steps), '--json', ...(ops === undefined ? [] : ['--ops', ops.join(',')])]
  const made = spawnSync(process.execPath, [tool, '--run', name, ...args], { encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX })
  if (made.status === 2) throw new UsageError(made.stderr.trim())
  try {
    return JSON.parse(made.stdout) as SuiteReport
  } catch (cause) {
    throw new SvmError('internal', `The mutant ${name} gave no report: ${made.stderr.trim()}`, { cause })
  }
}

function clone(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, MUTANT_TOOL))) return folder
  }
  throw new SvmError('unsupported', '--break needs the sources: run it in a clone of the repository.')
}

function print(report: SuiteReport): string {
  const { seed, steps, operations, failuresInjected, checked, arrows, failure, minimal } = report
  const checks = Object.values(checked).reduce((sum, count) => sum + count, 0)
  const taken = Object.values(arrows).filter((count) => count > 0).length
  const what = `seed ${seed}: ${operations} operations of ${steps} steps, ${failuresInjected} failures injected, ${checks} checks of ${Object.keys(checked).length} invariants, ${taken} of ${Object.keys(arrows).length} arrows taken`
  if (failure === null) return `${what}\nnothing went wrong, twice the same\n`
  return `${what}\nfailed at ${failure.operation}: ${failure.message}\n${minimal === null ? '' : `${minimal.line}\n`}`
}
