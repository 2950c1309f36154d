// shell.mjs: what the scripts share: where the clone lies, how a line is said, how a program is run.
// Always: `say` and `runQuietly` write to standard error only, so that standard output stays the caller's own. No program
// that is run here gets a standard input, and none outlives its time.

import { spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const cache = join(root, '.cache')

/** The JavaScript file of a program that npm installed in this clone. */
export const tool = (...path) => join(root, 'node_modules', ...path)

export function say(line) {
  process.stderr.write(`${line}\n`)
}

/** True when the file at `url` is the program that was started, not a module of another one. */
export function isMain(url) {
  return process.argv[1] !== undefined && pathToFileURL(process.argv[1]).href === url
}

/** Runs a program to its end; all it prints goes to standard error. Returns its exit status, 127 when it cannot be started. */
export function runQuietly(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options })
  return result.status ?? 127
}

/** Runs a program to its end, on this program's own output. Resolves to the exit status; 124 when it ran past its time. */
export function runOpenly(command, args, { env = process.env, minutes = 10 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] })
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, minutes * 60_000)
    child.on('error', () => resolve(127))
    child.on('close', (status) => {
      clearTimeout(timer)
      resolve(late ? 124 : (status ?? 1))
    })
  })
}
