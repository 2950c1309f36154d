// modules.mjs: the npm packages of this clone.
// Always: after `ensureModules` node_modules holds what package-lock.json asks for, development and optional packages included,
// whatever NODE_ENV or the caller's npm settings say. Packages that are already right are left alone.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, runQuietly, say, tool } from './shell.mjs'

const lockFile = join(root, 'package-lock.json')
const stampFile = tool('.webgpu-svm-stamp')

export function ensureModules() {
  if (isStamped()) return
  if (!isSatisfied()) install()
  writeFileSync(stampFile, stampNow())
}

function stampNow() {
  return createHash('sha256').update(readFileSync(lockFile)).update(`${process.platform} ${process.arch}`).digest('hex')
}

function isStamped() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stampNow()
}

/** Somebody ran `npm ci` or `npm install` by hand: compares the lock file with the one that npm keeps of what it installed. */
function isSatisfied() {
  const hidden = tool('.package-lock.json')
  if (!existsSync(hidden)) return false
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true
    const here = present[path]
    return here === undefined ? isForAnotherMachine(entry) : here.version === entry.version && existsSync(join(root, path))
  })
}

/** npm leaves out an optional package that names another system, or one that only such a package needs. */
function isForAnotherMachine(entry) {
  return entry.optional === true && (entry.os !== undefined || entry.cpu !== undefined || entry.dev === true || entry.peer === true)
}

function install() {
  say('Installing npm packages (about 250 MB, once) …')
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  const status = runNpm(args)
  if (status === 0) return
  throw new Error(`npm ${args.join(' ')} ended with status ${status}; its own message stands above. It needs the npm registry.`)
}

/** Runs npm, the one that started this script when there is one; all it prints goes to standard error. */
export function runNpm(args, options = {}) {
  const started = process.env.npm_execpath
  if (started?.endsWith('npm-cli.js')) return runQuietly(process.execPath, [started, ...args], options)
  return runQuietly('npm', args, { shell: process.platform === 'win32', ...options })
}
