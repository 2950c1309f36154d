#!/usr/bin/env node
// browser.mjs: finds a Chromium that starts on this machine, or gets one.
// Always: a browser that is handed out has just been started and has rendered a page. Places are asked in this order: the
// variable CHROMIUM, the PATH, Debian's package (only as root), the one packaged by @sparticuz/chromium, unpacked in .cache.
// All that is printed goes to standard error, but for the result when this file is the program.
//
// node scripts/browser.mjs [--from environment|path|debian|packaged] [--no-install]

import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { brotliDecompressSync } from 'node:zlib'
import { cache, isMain, runQuietly, say, tool } from './shell.mjs'

/** What every start of a browser gets, here and in the test suites: a software GPU, and no traffic of its own. */
export const browserArguments = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
]

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const macApplications = ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium']
const sources = { environment: fromEnvironment, path: fromPath, debian: fromDebian, packaged: fromPackage }

/**
 * Resolves to `{ executablePath, env, from }`, or to `{ reason }` when no browser can be had. `env` holds what must be added
 * to the environment of the browser. `install: false` gets nothing that is not here.
 */
export async function findBrowser({ from = Object.keys(sources), install = true } = {}) {
  const reasons = []
  for (const name of from) {
    const found = await sources[name](install)
    if (found.executablePath) return { env: {}, ...found, from: name }
    reasons.push(`${name}: ${found.reason}`)
  }
  return { reason: reasons.join('; ') }
}

async function fromEnvironment() {
  const path = process.env.CHROMIUM
  if (!path) return { reason: 'CHROMIUM is not set' }
  return (await starts(path)) ? { executablePath: path } : { reason: `CHROMIUM=${path} does not start` }
}

async function fromPath() {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  const candidates = [...names.flatMap((name) => folders.map((folder) => join(folder, name))), ...macApplications].filter((path) => existsSync(path))
  for (const path of candidates) {
    if (await starts(path)) return { executablePath: path }
  }
  return { reason: candidates.length === 0 ? 'no chromium or google-chrome' : `${candidates.join(', ')} does not start` }
}

async function fromDebian(install) {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { reason: 'not root on Linux' }
  if (!existsSync('/usr/bin/apt-get')) return { reason: 'no apt-get' }
  if (!install) return { reason: 'nothing is to be installed' }
  say("Installing Debian's chromium …")
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const quiet = { env, timeout: 5 * 60_000 }
  if (runQuietly('apt-get', ['update', '-qq'], quiet) !== 0) return { reason: 'apt-get update failed' }
  const status = runQuietly('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], quiet)
  return status === 0 ? fromPath() : { reason: 'apt-get install chromium failed' }
}

async function fromPackage(install) {
  const bin = tool('@sparticuz', 'chromium', 'bin')
  if (!existsSync(join(bin, 'chromium.br'))) return { reason: '@sparticuz/chromium is not installed' }
  if (process.platform !== 'linux' || process.arch !== 'x64') return { reason: '@sparticuz/chromium is for Linux on x64' }
  const { version } = JSON.parse(readFileSync(join(bin, '..', 'package.json'), 'utf8'))
  const folder = join(cache, `chromium-${version}`)
  if (!existsSync(folder) && !install) return { reason: 'it is not unpacked' }
  if (!existsSync(folder)) unpack(bin, folder)
  const executablePath = join(folder, 'chromium')
  const carried = { LD_LIBRARY_PATH: [join(folder, 'lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter) }
  for (const env of [{}, carried]) {
    if (await starts(executablePath, env)) return { executablePath, env }
  }
  return { reason: 'the browser of @sparticuz/chromium does not start here (a library is missing)' }
}

/** Unpacks beside the place and moves there at the end, so that a folder that exists is whole. */
function unpack(bin, folder) {
  say('Unpacking the packaged Chromium …')
  mkdirSync(cache, { recursive: true })
  const half = mkdtempSync(`${folder}-`)
  const inflate = (name) => brotliDecompressSync(readFileSync(join(bin, name)))
  writeFileSync(join(half, 'chromium'), inflate('chromium.br'))
  chmodSync(join(half, 'chromium'), 0o755)
  for (const name of ['al2023.tar.br', 'swiftshader.tar.br']) {
    const options = { input: inflate(name), stdio: ['pipe', 2, 2], maxBuffer: 1 << 30 }
    if (spawnSync('tar', ['-x', '-C', half], options).status !== 0) throw new Error(`tar could not unpack ${name} of @sparticuz/chromium`)
  }
  renameSync(half, folder)
}

/** True when the browser starts and renders a page. Playwright comes from npm, so it is loaded only once it is needed. */
async function starts(executablePath, env = {}) {
  const { chromium } = await import('playwright-core')
  const options = { executablePath, args: browserArguments, env: { ...process.env, ...env }, timeout: 30_000 }
  try {
    const browser = await chromium.launch(options)
    const page = await browser.newPage()
    const answer = await page.evaluate('6 * 7')
    await browser.close()
    return answer === 42
  } catch {
    return false
  }
}

if (isMain(import.meta.url)) {
  const { values } = parseArgs({ options: { from: { type: 'string' }, 'no-install': { type: 'boolean' } } })
  const found = await findBrowser({ from: values.from?.split(','), install: !values['no-install'] })
  process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
  process.exitCode = found.executablePath ? 0 : 1
}
