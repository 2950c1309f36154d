// A run with all that belongs to it: once more for the same seed, and smaller when it fails. Always: a report says `ok` only if both times went
// well and were the same.

import { minimize } from './minimize.ts'
import { NOT_THERE, type RunReport, type RunWish, run } from './run.ts'

export interface SuiteReport extends RunReport {
  readonly notThere: readonly string[]
  /** Of a failure: the fewest operations that show it, and the line that repeats it. */
  readonly minimal: { readonly ops: readonly number[]; readonly line: string } | null
}

export async function runSeed(wish: RunWish): Promise<SuiteReport> {
  const report = await run(wish)
  if (!report.ok) return failed(report, wish)
  const again = await run({ seed: wish.seed, steps: wish.steps, ops: wish.ops })
  if (again.digest === report.digest && sameCounts(report, again)) {
    return { ...report, checked: { ...report.checked, 62: 1 }, notThere: NOT_THERE, minimal: null }
  }
  const message = `invariant 62: two runs of the same differ: ${report.digest} and ${again.digest}`
  return { ...report, ok: false, failure: { index: -1, operation: 'the second run', message }, notThere: NOT_THERE, minimal: null }
}

async function failed(report: RunReport, { steps, ops }: RunWish): Promise<SuiteReport> {
  const ran = ops ?? Array.from({ length: steps }, (_, index) => index)
  const { ops: kept, line, report: smallest } = await minimize(report, ran)
  return { ...report, failure: smallest.failure, notThere: NOT_THERE, minimal: { ops: kept, line } }
}

function sameCounts(a: RunReport, b: RunReport): boolean {
  const counts = ({ operations, checked, arrows, failures }: RunReport) => JSON.stringify([operations, checked, arrows, failures])
  return counts(a) === counts(b)
}

/** Sums the counts of several runs. */
export function addCounts(into: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) into[name] = (into[name] ?? 0) + count
}
