#!/usr/bin/env node
// build.mjs: makes dist/ from src/, cli/, bench/, lab/, conformance/, fuzz/ and the workloads of examples/.
// Always: dist/.stamp is the hash of the sources that dist was built from, and is written last; so a dist without the right
// stamp is stale or half built. A file that is no TypeScript is copied as it is. No test is built. Declarations name `.js` files,
// as the code does (tsc rewrites the extension in code only).

import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { isMain, root, runQuietly, say, tool } from './shell.mjs'

const dist = join(root, 'dist')
const stampFile = join(dist, '.stamp')
const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs']

export function ensureBuild() {
  const stamp = stampNow()
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  build(stamp)
}

function build(stamp) {
  say('Building dist/ …')
  rmSync(dist, { recursive: true, force: true })
  const status = runQuietly(process.execPath, [tool('typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json', '--pretty', 'false'])
  if (status !== 0) throw new Error(`The build failed: tsc ended with status ${status}; its messages stand above.`)
  for (const path of sources().filter((path) => !path.endsWith('.ts'))) copy(path)
  for (const path of filesUnder(dist).filter((path) => path.endsWith('.d.ts'))) renameImports(path)
  const command = join(dist, 'cli', 'svm.js')
  if (existsSync(command)) chmodSync(command, 0o755)
  writeFileSync(stampFile, stamp)
}

function copy(path) {
  const target = join(dist, relative(root, path))
  mkdirSync(dirname(target), { recursive: true })
  cpSync(path, target)
}

function renameImports(path) {
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/((?:from|import\()\s*['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2'))
}

/** Every file that dist is made from, in one order. */
function sources() {
  return ['src', 'cli', 'bench', 'lab', 'conformance', 'fuzz', 'examples/workloads']
    .flatMap((folder) => filesUnder(join(root, folder)))
    .filter((path) => !/\.test\.ts$|[\\/]test-[^\\/]*\.ts$|[\\/]results[\\/]/.test(path))
}

function filesUnder(folder) {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap((entry) => (entry.isDirectory() ? filesUnder(join(folder, entry.name)) : [join(folder, entry.name)]))
}

function stampNow() {
  const hash = createHash('sha256')
  for (const path of [...settings.map((name) => join(root, name)), ...sources()]) {
    hash
      .update(`${relative(root, path)}\0`)
      .update(readFileSync(path))
      .update('\0')
  }
  return hash.digest('hex')
}

if (isMain(import.meta.url)) build(stampNow())
