#!/usr/bin/env node
// mutants.mjs: puts each bug of mutants/mutants.mjs back, and shows that its test catches it. `npm run mutants [NAME…]`
// Always: the clone's own files are never changed: a mutant lives in a copy, which is gone afterwards. A mutant is caught only if its named test
// ran, failed, and said why; a test that does not load catches nothing. A run of all writes mutants/result.json.
//
// --check                     only compares mutants/result.json with the mutants and the sources of now
// --all NAME                  runs the whole unit project with a mutant in, and prints every test that fails
// --fuzz [NAME…]              runs `svm fuzz --break` for each, and prints what it finds; minutes
// --run NAME ARGS…            runs `svm ARGS…` with a mutant in

import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { MUTANTS } from '../mutants/mutants.mjs'
import { ensureBuild } from './build.mjs'
import { isMain, root, say } from './shell.mjs'

const resultFile = join(root, 'mutants', 'result.json')
/** What the tests of the unit project need. */
const testParts = [
  'src',
  'test',
  'fuzz',
  'cli',
  'lab',
  'conformance',
  'bench',
  'examples',
  'mutants',
  'scripts',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
]
/** Whose change makes the result old. */
const rooms = ['src/mm', 'src/driver', 'src/wgsl']

export function mutantNamed(name) {
  const mutant = MUTANTS.find((one) => one.name === name)
  if (mutant === undefined) throw new Error(`there is no mutant '${name}'; there are ${MUTANTS.map((one) => one.name).join(', ')}`)
  return mutant
}

/** The text of the file with the bug in it. */
export function mutated({ name, file, find, replace }, text = readFileSync(join(root, file), 'utf8')) {
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`${name}: what it replaces stands ${parts.length - 1} times in ${file}, not once`)
  return parts.join(replace)
}

/** Calls `use` with a copy of the clone in which the bug is. */
async function withCopy(mutant, parts, plant, use) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), `svm-mutant-`)))
  try {
    for (const part of parts) if (existsSync(join(root, part))) cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(realpathSync(join(root, 'node_modules')), join(folder, 'node_modules'), 'junction')
    await plant(folder, mutated(mutant))
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs vitest in a copy; returns every test's name, status and messages. */
function testsWith(mutant, filters) {
  const plant = (folder, text) => writeFileSync(join(folder, mutant.file), text)
  return withCopy(mutant, testParts, plant, async (folder) => {
    const output = join(folder, 'report.json')
    const vitest = join(folder, 'node_modules', 'vitest', 'vitest.mjs')
    const args = [
      vitest,
      'run',
      '--root',
      folder,
      '--project',
      'unit',
      '--project',
      'fuzz',
      '--reporter=json',
      `--outputFile.json=${output}`,
      '--no-color',
      ...filters,
    ]
    const { text } = await finished(process.execPath, args, folder)
    if (!existsSync(output)) return { tests: [], broken: text.slice(-2000) }
    const { testResults } = JSON.parse(readFileSync(output, 'utf8'))
    const tests = testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.map(({ fullName, status, failureMessages }) => ({
        file: name.slice(folder.length + 1),
        test: fullName,
        status,
        says: failureMessages.join('\n'),
      })),
    )
    const unloaded = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
    return { tests, broken: unloaded.map(({ name, message }) => `${name}: ${message}`).join('\n') }
  })
}

function finished(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data))
    child.on('close', (status) => resolve({ status, text }))
  })
}

/** One line of the result: caught, or why not. */
async function judge(mutant) {
  const { file, test, says } = mutant.caughtBy
  const pattern = test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const { tests, broken } = await testsWith(mutant, [file, '-t', `^${pattern}$`])
  const ran = tests.find((one) => one.test === test && one.status !== 'skipped' && one.status !== 'pending')
  const why =
    broken !== '' ? `did not load: ${broken}` : ran === undefined ? 'the test was not found' : ran.status !== 'failed' ? 'the test passed' : reasonOf(ran, says)
  return { name: mutant.name, caught: why === '', test: `${file} > ${test}`, says, ...(why === '' ? {} : { why }) }
}

function reasonOf(ran, says) {
  return ran.says.includes(says) ? '' : `the test failed for another reason: ${ran.says.split('\n')[0]}`
}

async function judgeAll(mutants) {
  const results = new Array(mutants.length)
  let next = 0
  const work = async () => {
    for (let at = next++; at < mutants.length; at = next++) {
      results[at] = await judge(mutants[at])
      say(`${results[at].caught ? 'caught' : 'MISSED'}  ${results[at].name.padEnd(48)} ${results[at].caught ? results[at].test : results[at].why}`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), mutants.length) }, work))
  return results
}

function treesNow() {
  return Object.fromEntries(rooms.map((room) => [room, git('rev-parse', `HEAD:${room}`)]))
}

function git(...args) {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`git ${args.join(' ')} ended with status ${status}: ${stderr.trim()}`)
  return stdout.trim()
}

/** What is wrong with the stored result; nothing when it is of these mutants and these sources. */
export function staleness(result, trees) {
  const wrong = MUTANTS.filter(({ name }) => result.mutants.find((one) => one.name === name)?.caught !== true).map(
    ({ name }) => `${name} is not recorded as caught`,
  )
  for (const { name } of result.mutants) if (!MUTANTS.some((one) => one.name === name)) wrong.push(`${name} is recorded and is no mutant any more`)
  for (const mutant of MUTANTS) {
    try {
      mutated(mutant)
    } catch (error) {
      wrong.push(error.message)
    }
  }
  for (const room of rooms) if (result.trees[room] !== trees[room]) wrong.push(`${room} has changed since (${result.trees[room]} was, ${trees[room]} is)`)
  return wrong
}

/** `svm ARGS…` with a bug in, on this program's own streams. */
async function runWith(name, args) {
  const mutant = mutantNamed(name)
  ensureBuild()
  const { default: ts } = await import('typescript')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root)
  const plant = (folder, text) => {
    // One file by itself cannot ask package.json what kind of module it is.
    const kind = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }
    const compilerOptions = { ...options, ...kind, declaration: false, sourceMap: false, inlineSources: false }
    const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: join(root, mutant.file) })
    writeFileSync(join(folder, 'dist', mutant.file.replace(/\.ts$/, '.js')), outputText)
  }
  return withCopy(mutant, ['dist', 'package.json'], plant, (folder) => {
    const { status } = spawnSync(process.execPath, [join(folder, 'dist', 'cli', 'svm.js'), ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
    return status ?? 1
  })
}

/** `svm fuzz --break` for one after the other. Returns how many it does not find. */
function fuzzAll(mutants) {
  ensureBuild()
  let missed = 0
  for (const { name } of mutants) {
    const { stdout } = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'svm.js'), 'fuzz', '--break', name, '--json'], {
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    })
    const report = JSON.parse(stdout)
    if (report.error !== undefined) throw new Error(report.error.message)
    if (report.ok) missed++
    console.log(
      `${report.ok ? 'MISSED' : 'found '}  ${name.padEnd(48)} ${report.ok ? '' : `${report.failure.message.slice(0, 160)}\n        ${report.minimal?.line}`}`,
    )
  }
  console.log(`${mutants.length - missed} of ${mutants.length} mutants are found by svm fuzz`)
  return missed
}

async function main() {
  const [first, ...rest] = process.argv.slice(2)
  if (first === '--fuzz') return fuzzAll(rest.length === 0 ? MUTANTS : rest.map(mutantNamed)) === 0 ? 0 : 1
  if (first === '--run') return runWith(rest[0], rest.slice(1))
  if (first === '--check') {
    const wrong = staleness(JSON.parse(readFileSync(resultFile, 'utf8')), treesNow())
    for (const line of wrong) say(`mutants/result.json: ${line}`)
    if (wrong.length > 0) say('Run `npm run mutants` and keep what it writes.')
    return wrong.length === 0 ? 0 : 1
  }
  if (first === '--all') {
    const { tests, broken } = await testsWith(mutantNamed(rest[0]), rest.slice(1))
    if (broken !== '') say(broken)
    for (const { file, test, status, says } of tests) if (status === 'failed') console.log(`${file} > ${test}\n    ${says.split('\n')[0]}`)
    return 0
  }
  const names = first === undefined ? MUTANTS : [first, ...rest].map(mutantNamed)
  for (const mutant of names) mutated(mutant)
  const mutants = await judgeAll(names)
  const missed = mutants.filter(({ caught }) => !caught)
  console.log(`${mutants.length - missed.length} of ${mutants.length} mutants are caught`)
  if (first === undefined) writeFileSync(resultFile, `${JSON.stringify({ trees: treesNow(), mutants }, null, 2)}\n`)
  return missed.length === 0 ? 0 : 1
}

if (isMain(import.meta.url)) {
  process.exitCode = await main().catch((error) => {
    say(error.message)
    return 2
  })
}
