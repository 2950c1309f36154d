// Makes a failure smaller. Always: what is returned fails in the same way as what was given; operations keep their numbers, so the line that is
// printed repeats it.

import { type RunReport, run } from './run.ts'

/** Runs that a failure is worth. */
const RUNS_MAX = 400

export interface Minimal {
  readonly ops: readonly number[]
  readonly report: RunReport
  /** What to type to see it again. */
  readonly line: string
}

/** Leaves out halves, quarters, and so on, down to single operations, as long as it still fails in the same way. Compare ddmin. */
export async function minimize(failed: RunReport, ran: readonly number[]): Promise<Minimal> {
  const { seed, steps } = failed
  const last = failed.failure?.index ?? -1
  const wanted = kindOf(failed)
  let best = { ops: ran.filter((index) => last < 0 || index <= last), report: failed }
  let runs = 0
  const fails = async (ops: readonly number[]) => {
    runs++
    const report = await run({ seed, steps, ops })
    if (kindOf(report) !== wanted) return false
    best = { ops: [...ops], report }
    return true
  }
  await fails(best.ops)
  for (let size = Math.ceil(best.ops.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.ops.length && runs < RUNS_MAX; ) {
      const without = [...best.ops.slice(0, at), ...best.ops.slice(at + size)]
      // The line names at least one: what fails at the end of everything fails after any.
      if (without.length === 0 || !(await fails(without))) at += size
    }
  }
  return { ...best, line: `svm fuzz --seed ${seed} --steps ${steps} --ops ${best.ops.join(',')}` }
}

/** Two failures are the same when they say the same but for the numbers. */
export function kindOf({ failure }: RunReport): string {
  if (failure === null) return ''
  const invariant = /^invariant \d+/.exec(failure.message)
  return invariant?.[0] ?? failure.message.replace(/0x[0-9a-f]+|\d+/g, '#').slice(0, 60)
}
