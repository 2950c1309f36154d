// The conformance suites, and a run of them. Always: every test of a suite gives one result; the counts are those of the results.

import { hmmSuite } from './hmm/hmm.ts'
import { openclSuites } from './opencl/opencl.ts'
import { type Host, runTest, type Skipped, type Suite, type TestResult } from './suite.ts'

export { type Host, NUM_ELEMENTS_DEFAULT, runTest, type Suite, simHost, type Test, type TestResult, webgpuHost } from './suite.ts'

export const SUITES: readonly Suite[] = [hmmSuite, ...openclSuites]

export interface SuiteReport {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly skipped: readonly Skipped[]
  readonly tests: readonly TestResult[]
}

export interface RunOptions {
  readonly host: Host
  /** Tests of this name only, and suites of this name as a whole. */
  readonly only?: string | undefined
  onResult?(result: TestResult, done: number, total: number): void
}

/** Suites of which something is chosen; a suite's name chooses all of it. */
export function chosenSuites(only: string | undefined): readonly Suite[] {
  if (only === undefined) return SUITES
  return SUITES.map((suite) =>
    suite.name === only
      ? suite
      : { ...suite, tests: suite.tests.filter(({ name }) => name === only), skipped: suite.skipped.filter(({ name }) => name === only) },
  ).filter(({ tests, skipped }) => tests.length + skipped.length > 0)
}

export async function runConformance({ host, only, onResult }: RunOptions): Promise<SuiteReport[]> {
  const suites = chosenSuites(only)
  const total = suites.reduce((sum, { tests }) => sum + tests.length, 0)
  const reports: SuiteReport[] = []
  let done = 0
  for (const suite of suites) {
    const tests: TestResult[] = []
    for (const test of suite.tests) {
      const result = await runTest(suite.name, test, host)
      tests.push(result)
      onResult?.(result, ++done, total)
    }
    const skipped = tests.filter(({ outcome }) => outcome === 'skipped').map(({ name, text }) => ({ name, reason: text }))
    reports.push({
      name: suite.name,
      passed: tests.filter(({ outcome }) => outcome === 'passed').length,
      failed: tests.filter(({ outcome }) => outcome === 'failed').length,
      skipped: [...skipped, ...suite.skipped],
      tests,
    })
  }
  return reports
}
