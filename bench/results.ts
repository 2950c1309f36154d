// Results kept in a folder: DEVICE.json, what `svm bench --json` prints, and DEVICE.svg. Always: results of cases that were measured now replace those of
// the same name, others stay as they were; the order is that of the benchmarks.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchResult } from './case.ts'
import { plot } from './plot.ts'

/** @param order names of all benchmarks. @returns the paths that were written */
export async function keepResults(folder: string, device: string, results: readonly BenchResult[], order: readonly string[]): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  const [json, svg] = ['json', 'svg'].map((kind) => join(folder, `${fileNameOf(device)}.${kind}`)) as [string, string]
  const before = await readFile(json, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '[]'
    throw error
  })
  const all = merged(JSON.parse(before) as BenchResult[], results, order)
  await writeFile(json, `${JSON.stringify(all)}\n`.replaceAll('},{"name"', '},\n{"name"'))
  await writeFile(svg, plot(device, all))
  return [json, svg]
}

/** Results of benchmarks that there are no more are dropped. */
export function merged(before: readonly BenchResult[], now: readonly BenchResult[], order: readonly string[]): BenchResult[] {
  const byName = new Map([...before, ...now].map((result) => [result.name, result]))
  return order.flatMap((name) => byName.get(name) ?? [])
}

/** `google swiftshader swiftshader-device-… (software)` is `swiftshader`; others keep their words. */
export function fileNameOf(device: string): string {
  if (/swiftshader/i.test(device)) return 'swiftshader'
  const words = device.toLowerCase().match(/[a-z0-9]+/g) ?? ['unknown']
  return words.join('-').slice(0, 48).replace(/-+$/, '')
}
