// The command line from end to end, and the examples: as processes of their own, on whatever GPU there is. Always: with --json, standard output
// is one JSON value and nothing else.

import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
// @ts-expect-error A plain JavaScript module of the scripts.
import { ensureBuild } from '../../scripts/build.mjs'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const folder = mkdtempSync(join(tmpdir(), 'svm-run-'))
const BUDGET = 2 * 2 ** 20
const BIG = 21 * 2 ** 20 + 1234
let gpu = false

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function node(...args: string[]): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })
  return { status, stdout, stderr }
}

const svm = (...args: string[]) => node(join(root, 'dist/cli/svm.js'), ...args)

function json(ran: Ran): Record<string, unknown> {
  expect(ran.stderr).toBe('')
  expect(ran.stdout.trimEnd()).not.toContain('\n')
  return JSON.parse(ran.stdout)
}

/** The first `size` bytes of Node's executable. */
function realFile(size: number): { path: string; bytes: Buffer } {
  const path = join(folder, `real-${size}`)
  const bytes = Buffer.alloc(size)
  const file = openSync(process.execPath, 'r')
  readSync(file, bytes, 0, size, 0)
  closeSync(file)
  writeFileSync(path, bytes)
  return { path, bytes }
}

beforeAll(() => {
  ensureBuild()
  gpu = svm('info', '--json').status === 0
})
beforeEach(({ skip }) => {
  if (!gpu) skip('svm info finds no GPU on this machine')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('svm', () => {
  it('info', () => {
    const { ok, devices } = json(svm('info', '--json', '--device-memory', '8MiB')) as { ok: boolean; devices: Record<string, unknown>[] }
    expect(ok).toBe(true)
    expect(devices[0]).toMatchObject({
      svmCapabilities: { COARSE_GRAIN_BUFFER: true, FINE_GRAIN_BUFFER: false, FINE_GRAIN_SYSTEM: false, ATOMICS: false },
      configuration: { pageSize: 65_536, addressBits: 32, budgetBytes: 8 * 2 ** 20 },
    })
  })

  it('conformance: a test on the GPU, by its name', () => {
    const ran = svm('conformance', '--device', 'webgpu', '--only', 'migrate_fault', '--json')
    expect(ran.status).toBe(0)
    expect(json(ran)).toMatchObject({ ok: true, device: 'webgpu', suites: [{ name: 'hmm', passed: 1, failed: 0, skipped: [] }] })
  })

  it('run: counts a byte in a file ten times larger than the device memory', () => {
    const { path, bytes } = realFile(BIG)
    const items = Math.ceil(BIG / 16_384) * 64
    const args = ['--arg', `text=file:${path}`, '--arg', 'bytes=size:text', '--arg', 'wanted=101', '--arg', 'count=zeros:4', '--global', String(items)]
    const out = ['--print', 'count:u32', '--save', `count=${join(folder, 'count')}`, '--trace', join(folder, 'trace')]
    const result = json(svm('run', 'examples/count-byte.wgsl', '--entry', 'count_byte', ...args, '--device-memory', '2MiB', ...out, '--json'))
    const expected = bytes.reduce((count, byte) => count + (byte === 101 ? 1 : 0), 0)
    expect(result).toMatchObject({ ok: true, printed: { count: [expected] }, budgetBytes: BUDGET, args: { bytes: BIG, wanted: 101 } })
    expect(result.peakDeviceBytes).toBeLessThanOrEqual(BUDGET)
    expect(result.bytesIn).toBeGreaterThanOrEqual(BIG)
    expect(readFileSync(join(folder, 'count')).readUInt32LE(0)).toBe(expected)
    const events = readFileSync(join(folder, 'trace'), 'utf8').trimEnd().split('\n')
    expect(events.map((line) => JSON.parse(line).kind)).toContain('evict')
  })

  it('run: says in one line what is wrong with a kernel, and fails', () => {
    const file = join(folder, 'wrong.wgsl')
    writeFileSync(file, 'fn helper() -> u32 { return 1.5; }\n@compute @workgroup_size(1) fn k() { _ = helper(); }\n')
    const { status, stdout, stderr } = svm('run', file, '--entry', 'k', '--global', '1', '--json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'build-failed' } })
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).toContain('line 1')
  })

  it('run --debug: a race is told, and of what there is no room for the count, with what helps', () => {
    const file = join(folder, 'watched.wgsl')
    const head =
      'struct Args { out: svm_ptr, race: u32 }\n@group(0) @binding(0) var<uniform> args: Args;\n@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {\n'
    writeFileSync(file, `${head}  svm_store_u32(svm_index(args.out, select(id.x, 0u, args.race == 1u), 4u), id.x);\n}\n`)
    const args = ['run', file, '--entry', 'k', '--global', '65536', '--arg', 'out=zeros:256KiB', '--debug', '--page-size', '4KiB', '--arg']
    const raced = svm(...args, 'race=1', '--label', 'mine')
    expect([raced.status, raced.stderr]).toEqual([1, expect.stringMatching(/Kernel mine has a data race .* in line 4/)])
    expect(json(svm(...args, 'race=0', '--device-memory', '64MiB', '--json'))).toMatchObject({ ok: true, unwatched: 0 })
    const short = json(svm(...args, 'race=0', '--device-memory', '2MiB', '--json'))
    expect(short).toMatchObject({ ok: true, unwatched: expect.any(Number), warnings: [expect.stringContaining('raise deviceMemory')] })
    expect(short.unwatched).toBeGreaterThan(32_768)
    const { status, stdout } = svm(...args, 'race=0', '--device-memory', '2MiB')
    expect([status, stdout]).toEqual([0, expect.stringMatching(/not watched +[\d,. ]+\n[\s\S]*raise deviceMemory/)])
  })

  it('run --explain: what the compiler found out, with lines, and nothing runs', () => {
    const file = join(folder, 'explained.wgsl')
    writeFileSync(
      file,
      `struct Args { lock: svm_ptr, out: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k() {
  while (svm_atomic_compare_exchange_u32(args.lock, 0u, 1u) != 0u) { }
  workgroupBarrier();
  svm_store_u32(args.out, svm_load_u32(args.out) + 1u);
}
`,
    )
    const explained = json(svm('run', file, '--entry', 'k', '--class', 'transactional', '--explain', '--json'))
    expect(explained).toMatchObject({
      ok: true,
      analysis: {
        protocol: 'transactional',
        barrierLines: [5],
        waitLines: [4],
        atomicPoolLines: [4],
        loops: [{ kind: 'while', line: 4, guard: 'all', waitsAt: [4] }],
        guards: [
          { variant: 'attempt', level: 'all', droppedLines: [] },
          { variant: 'resident', level: 'unbuilt' },
          { variant: 'direct', level: 'unbuilt' },
        ],
      },
      layouts: { Args: { byteLength: 8 } },
    })
    const { status, stdout } = svm('run', file, '--entry', 'k', '--explain')
    expect(status).toBe(0)
    writeFileSync(
      file,
      `struct Args { a: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(4) fn k() {
  var n = 0u; var s = 0u;
  for (var q = 0u; q < 4u; q++) { s += svm_load_u32(svm_index(args.a, q, 4u)); n++; }
  for (var j = 0u; j < n; j++) { workgroupBarrier(); }
  svm_store_u32(args.a, s);
}
`,
    )
    expect(svm('run', file, '--entry', 'k', '--explain').stdout).toMatch(
      /guards +attempt: with more .* only loops that do not count; none in line 5\n +sealed, resident, direct: not known/,
    )
    for (const text of [
      'guards      attempt: every loop',
      'protocol    grants',
      'line 4: while in k',
      "declare class 'unsplittable'",
      'barriers    line 5',
      'svm_store_u32 (line 6)',
    ])
      expect(stdout).toContain(text)
  })

  it('demo: right on a small budget, never above it', () => {
    const { path } = realFile(9 * 2 ** 20 + 77)
    const demo = json(svm('demo', '--file', path, '--device-memory', '2MiB', '--json')) as Record<string, Record<string, number>>
    expect(demo).toMatchObject({ ok: true, budgetBytes: BUDGET, remigrate: { secondMoved: 0, secondBytesCopied: 0, secondPtesWritten: 0, mappingsLost: 0 } })
    expect(demo.peakDeviceBytes).toBeLessThanOrEqual(BUDGET)
    expect(demo.search.matches).toBe(demo.search.expected)
    expect(demo.search.matches).toBeGreaterThan(0)
    expect(demo.structure.got).toBe(demo.structure.expected)
    expect(demo.remigrate.firstMoved).toBeGreaterThan(0)
  })

  it('bench: both sides of a measure agree', () => {
    const results: unknown = json(svm('bench', 'fault-round', '--rounds', '5', '--json'))
    const date = expect.stringMatching(/^\d{4}-\d\d-\d\d$/)
    const figures = { svm: expect.any(Number), plain: expect.any(Number), ratio: expect.any(Number) }
    expect(results).toMatchObject([{ name: 'fault-round', unit: 'ms', goal: expect.closeTo(1.53, 1), quick: false, date, ...figures }])
  })
})

describe('examples', () => {
  it.each(['quick-start', 'linked-lists', 'larger-than-gpu'])('%s', (name) => {
    const { status, stderr } = node(join('examples', `${name}.mjs`))
    expect([status, stderr]).toEqual([0, ''])
  })
})
