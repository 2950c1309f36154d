// package.test.ts: the npm package as a stranger meets it. Always: it is packed, installed in an empty project outside this clone,
// and used from there only; no environment variable helps it. The bundle is run where scripts/test.mjs found a browser.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
// @ts-expect-error A plain JavaScript module, shared with the scripts.
import { browserArguments } from '../../scripts/browser.mjs'
import { answer, inBrowser, inNode, simulated, typed } from './programs.ts'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const project = mkdtempSync(join(tmpdir(), 'webgpu-svm-package-'))
const installed = join(project, 'node_modules', 'webgpu-svm')
const browser = process.env.SVM_BROWSER ? JSON.parse(process.env.SVM_BROWSER) : null

/** Without what npm and vitest put into the environment of their children. */
const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|VITE|SVM_|NODE_ENV|INIT_CWD|VK_)/.test(name)))

function runIn(folder: string, command: string, args: readonly string[]): string {
  return execFileSync(command, args, {
    cwd: folder,
    env: plain,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 240_000,
    shell: process.platform === 'win32',
  })
}

function runProgram(name: string, text: string): unknown {
  writeFileSync(join(project, name), text)
  return JSON.parse(runIn(project, process.execPath, [name]))
}

beforeAll(() => {
  writeFileSync(join(project, 'package.json'), '{ "name": "stranger", "private": true, "type": "module" }')
  runIn(root, 'npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project])
  const packed = readdirSync(project).find((name) => name.endsWith('.tgz'))
  runIn(project, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', `./${packed}`])
})

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe('the package', () => {
  it('carries the entries, the licence and no test', () => {
    const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { exports: Record<string, string | Record<string, string>> }
    const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)))
    const missing = [...entries, 'LICENSE', 'NOTICE', 'README.md', 'dist/cli/svm.js'].filter((path) => !existsSync(join(installed, path)))
    expect(missing).toEqual([])
    const files = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' })
    expect(files.filter((path) => /\.test\.|(^|[\\/])test-/.test(path))).toEqual([])
  })

  it('works on the simulated device', () => expect(runProgram('simulated.mjs', simulated)).toEqual(answer))

  it('works in a plain Node program', () => expect(runProgram('node.mjs', inNode)).toEqual(answer))

  it("runs README's first example, which prints what it says", () => {
    const text = /^```js\n(.*?)^```/ms.exec(readFileSync(join(installed, 'README.md'), 'utf8'))?.[1] ?? ''
    writeFileSync(join(project, 'readme.mjs'), text)
    const printed = runIn(project, process.execPath, ['readme.mjs'])
    const said = [...text.matchAll(/console\.log\(.*\)\s+\/\/ (.+)$/gm)].map(([, line]) => line)
    expect(said).toHaveLength(1)
    expect(printed).toContain(said[0])
  })

  it('has declarations that a strict compiler takes, their own text included', () => {
    writeFileSync(join(project, 'typed.ts'), typed)
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2023,esnext.disposable,dom', '--types', '@webgpu/types']
    expect(runIn(project, process.execPath, [compiler, ...options, 'typed.ts'])).toBe('')
  })

  it('has a command line', () => {
    const printed = JSON.parse(runIn(project, join(project, 'node_modules', '.bin', 'svm'), ['info', '--json']))
    expect(printed).toBeTypeOf('object')
  })
})

describe('bundled with Vite', () => {
  const page = join(project, 'dist')

  beforeAll(async () => {
    writeFileSync(join(project, 'index.html'), '<!doctype html><title>stranger</title><script type="module" src="./browser.mjs"></script>')
    writeFileSync(join(project, 'browser.mjs'), inBrowser)
    await build({ root: project, logLevel: 'error', configFile: false })
  })

  it('holds nothing of Node', () => {
    const text = readdirSync(join(page, 'assets')).map((name) => readFileSync(join(page, 'assets', name), 'utf8'))
    expect(text.join('\n')).not.toMatch(/node:fs|__vite-browser-external/)
  })

  it.skipIf(browser === null)('works in a headless Chromium', async () => {
    const server = await serve(page)
    try {
      expect(await answerOf(`http://localhost:${(server.address() as AddressInfo).port}/`)).toEqual(answer)
    } finally {
      server.close()
    }
  })
})

/** Serves a folder on the loopback address, with the headers that make a page cross-origin isolated. */
function serve(folder: string): Promise<Server> {
  const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' }
  const server = createServer((request, response) => {
    const path = join(folder, request.url === '/' ? 'index.html' : decodeURIComponent(request.url ?? ''))
    if (!existsSync(path)) return response.writeHead(404).end()
    const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
    response.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream', ...isolation }).end(readFileSync(path))
  })
  return new Promise((resolve) => server.listen(0, 'localhost', () => resolve(server)))
}

async function answerOf(url: string): Promise<unknown> {
  const env = { ...plain, ...browser.env } as Record<string, string>
  const running = await chromium.launch({ executablePath: browser.executablePath, args: browserArguments, env })
  try {
    const page = await running.newPage()
    await page.goto(url, { waitUntil: 'load' })
    return await page.evaluate('window.answer')
  } finally {
    await running.close()
  }
}
