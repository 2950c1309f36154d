#!/usr/bin/env node
// test.mjs: every check of this project, in turn, from a fresh clone.
// Always: the last line is `N passed, N failed`, the sum of all tests and of one for every other check (what was skipped is said before);
// the exit status is 0 exactly when nothing failed. A part that cannot run says so in one line, with the
// reason, and counts as skipped; a part that breaks without a failed test counts as failed.
//
// npm test -- [--only PART[,PART…]] [FILE-FILTER…]     the filters go to vitest; --list names the parts

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findBrowser } from './browser.mjs'
import { prepare } from './prepare.mjs'
import { cache, root, runOpenly, tool } from './shell.mjs'

const reports = join(cache, 'test')
const nothing = { passed: 0, failed: 0, skipped: 0 }

const parts = {
  types: { title: 'Types: the TypeScript compiler, over sources and tests', run: () => check('typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json') },
  lint: {
    title: 'Lint and format: biome, no warning allowed',
    run: () => check('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '--max-diagnostics=100'),
  },
  unit: { title: 'House, unit and simulation tests', run: (filters) => suite('unit', filters) },
  fuzz: { title: 'Fuzzer: fixed seeds, fresh ones, a canary', run: (filters) => suite('fuzz', filters) },
  mutants: { title: 'Mutants: the last result is of these sources (`npm run mutants` makes a new one)', run: () => check('../scripts/mutants.mjs', '--check') },
  gpu: { title: 'GPU tests in Node (Dawn)', run: gpuInNode },
  browser: { title: 'GPU tests in headless Chromium', run: gpuInBrowser },
  package: { title: 'The npm package: publint, are the types wrong, installed and bundled', run: packageChecks },
}

/** The browser is looked for once, and only when a part asks. */
let browserAnswer
const browser = () => {
  browserAnswer ??= findBrowser()
  return browserAnswer
}

async function main() {
  const { values, positionals } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } }, allowPositionals: true })
  if (values.list) return list()
  const chosen = values.only?.split(',') ?? Object.keys(parts)
  const unknown = chosen.filter((name) => !(name in parts))
  if (unknown.length > 0) throw new Error(`No part is called ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}.`)
  prepare({ build: false })
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports, { recursive: true })
  const total = { ...nothing }
  for (const name of chosen) add(total, await runPart(name, positionals))
  report(total)
}

function list() {
  for (const [name, { title }] of Object.entries(parts)) console.log(`${name.padEnd(8)} ${title}`)
}

async function runPart(name, filters) {
  const { title, run } = parts[name]
  console.log(`\n── ${name}: ${title}`)
  const start = performance.now()
  const counts = await run(filters).catch((error) => broken(error.message))
  console.log(`── ${name}: ${summary(counts)} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  return counts
}

function report(total) {
  if (total.skipped > 0) console.log(`\n${total.skipped} skipped, for the reasons given above`)
  console.log(`\n${summary({ ...total, skipped: 0 })}`)
  process.exitCode = total.failed > 0 ? 1 : 0
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function add(total, counts) {
  for (const key of Object.keys(nothing)) total[key] += counts[key]
}

function broken(why) {
  console.log(`broken: ${why}`)
  return { ...nothing, failed: 1 }
}

function skipped(why) {
  console.log(`skipped: ${why}`)
  return { ...nothing, skipped: 1 }
}

/** A check with one verdict: the exit status of a program of node_modules. */
async function check(program, ...args) {
  const status = await runOpenly(process.execPath, [tool(program), ...args])
  return status === 0 ? { ...nothing, passed: 1 } : broken(`${program.split('/').at(-1)} ended with status ${status}`)
}

/** One vitest project; the counts come from its JSON report. */
async function suite(project, filters, env = {}) {
  const outputFile = join(reports, `${project}.json`)
  const args = ['run', '--project', project, '--passWithNoTests', '--reporter=default', '--reporter=json', `--outputFile.json=${outputFile}`]
  const status = await runOpenly(process.execPath, [tool('vitest', 'vitest.mjs'), ...args, ...filters], { env: { ...process.env, ...env }, minutes: 15 })
  if (!existsSync(outputFile)) return broken(`vitest ended with status ${status} and left no report`)
  const counts = countsOf(JSON.parse(readFileSync(outputFile, 'utf8')))
  if (status !== 0 && counts.failed === 0) add(counts, broken(`vitest ended with status ${status} with no failed test`))
  return counts
}

function countsOf(json) {
  const unloaded = json.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
  return { passed: json.numPassedTests, failed: json.numFailedTests + unloaded, skipped: json.numPendingTests + json.numTodoTests }
}

async function gpuInNode(filters) {
  if (!existsSync(tool('webgpu'))) return skipped('GPU tests in Node: the optional package `webgpu` is not installed')
  const platform = `${process.platform}-${process.platform === 'darwin' ? 'universal' : process.arch}`
  const known = readdirSync(tool('webgpu', 'dist'))
  if (!known.includes(platform)) return skipped(`GPU tests in Node: the package \`webgpu\` has no build for ${platform}, only ${known.join(', ')}`)
  return suite('gpu', filters)
}

async function gpuInBrowser(filters) {
  const found = await browser()
  if (found.reason) return skipped(`GPU tests in the browser: no Chromium (${found.reason})`)
  console.log(`${found.executablePath} (${found.from})`)
  return suite('browser', filters, { SVM_BROWSER: JSON.stringify(found) })
}

async function packageChecks(filters) {
  prepare()
  const counts = { ...nothing }
  add(counts, await check('publint/src/cli.js', '--strict', root))
  add(counts, await check('@arethetypeswrong/cli/dist/index.js', '--pack', root, '--profile', 'esm-only', '--exclude-entrypoints', './svm.wgsl', '--no-emoji'))
  const found = await browser()
  if (found.reason) console.log(`no Chromium (${found.reason}): the bundle is built and not run`)
  add(counts, await suite('package', filters, found.reason ? {} : { SVM_BROWSER: JSON.stringify(found) }))
  return counts
}

main().catch((error) => {
  console.log(`broken: ${error.message}`)
  report({ ...nothing, failed: 1 })
})
