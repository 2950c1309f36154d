// The command line without a device: what it refuses, and how it says so. Always: nothing here needs a GPU, since arguments are checked first.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readRunOptions } from './run-options.ts'
import { answer } from './svm.ts'

const folder = mkdtempSync(join(tmpdir(), 'svm-cli-'))
const kernel = join(folder, 'kernel.wgsl')
const data = join(folder, 'data.bin')
writeFileSync(kernel, '@compute @workgroup_size(1) fn k() {}')
writeFileSync(data, new Uint8Array(100))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const whole = ['run', kernel, '--entry', 'k', '--global', '1']

describe('help', () => {
  it('for all and for each', async () => {
    expect(await answer(['--help'])).toMatchObject({ status: 0, stderr: '' })
    for (const name of ['info', 'run', 'demo', 'bench', 'lab', 'conformance', 'fuzz']) {
      const { status, stdout } = await answer([name, '--help'])
      expect([status, stdout.split(' ').slice(0, 2).join(' ')]).toEqual([0, `svm ${name}`])
    }
  })
})

describe('what is refused before any work', () => {
  it.each([
    [[], 2, ''],
    [['flurb'], 2, "there is no command 'flurb'"],
    [['replay', 'x'], 1, 'not built yet'],
    [['fuzz', '--steps', '0'], 2, 'at least 1'],
    [['fuzz', '--steps', '10', '--ops', '3,10'], 2, 'names operation 10'],
    [['fuzz', '--ops', 'a'], 2, "found 'a'"],
    [['conformance', '--device', 'cuda'], 2, "found 'cuda'"],
    [['conformance', '--only', 'nothing'], 2, "there is no test 'nothing'"],
    [['conformance', '--gpu', 'software'], 2, 'needs --device webgpu'],
    [['lab'], 2, 'name the experiment'],
    [['lab', 'catch23'], 2, "there is no experiment 'catch23'"],
    [['lab', 'catch22', '--pages', '0'], 2, 'at least 1'],
    [['lab', 'catch22', '--pages', '4', '--resident', '5'], 2, 'at most --pages (4)'],
    [['info', 'more'], 2, "'more' is one argument too many"],
    [['info', '--page-size', 'big'], 2, "found 'big'"],
    [['info', '--flurb'], 2, '--flurb'],
    [['bench', 'nothing'], 2, "there is no benchmark 'nothing'"],
    [['bench', '--rounds', '4'], 2, 'at least 5'],
    [['demo', '--file', data], 2, 'must have at least 4 times the device memory'],
    [['demo', '--file', '/nowhere/at/all'], 2, 'there is no file'],
    [['demo', '--pattern', 'abc'], 2, '4 to 64 bytes'],
    [['demo', '--gpu', 'quantum'], 2, "found 'quantum'"],
    [['run'], 2, 'name the file of the kernel'],
    [['run', kernel], 2, '--entry NAME is missing'],
    [['run', kernel, '--entry', 'k'], 2, '--global X[,Y,Z] is missing'],
    [['run', '/nowhere.wgsl', '--entry', 'k', '--global', '1'], 2, 'there is no file /nowhere.wgsl'],
    [[...whole, '--global', '2'], 2, '--global is given twice'],
    [[...whole, '--arg', 'n'], 2, 'name=VALUE'],
    [[...whole, '--arg', 'n=1', '--arg', 'n=2'], 2, '--arg n is given twice'],
    [[...whole, '--arg', 'n=twelve'], 2, "found 'twelve'"],
    [[...whole, '--arg', 'n=file:/nowhere'], 2, 'there is no file /nowhere'],
    [[...whole, '--arg', 'n=http://example.org/'], 1, 'HTTP resource is not built yet'],
    [[...whole, '--arg', 'n=zeros:0'], 2, 'at least 1 byte'],
    [[...whole, '--arg', 'n=size:m'], 2, "'m' is no argument that is memory"],
    [[...whole, '--print', 'n:u32'], 2, "'n' is no argument that is memory"],
    [[...whole, '--arg', `n=bytes:${data}`, '--print', 'n:u32:26'], 2, '26 of 4 bytes do not fit'],
    [[...whole, '--arg', `n=bytes:${data}`, '--print', 'n:word'], 2, 'u8 i8'.replace(' ', ', ')],
    [[...whole, '--save', 'n=x'], 2, "'n' is no argument that is memory"],
    [[...whole, '--class', 'first'], 2, "found 'first'"],
    [[...whole, '--address-bits', '48'], 2, "found '48'"],
  ])('%j', async (args, status, sentence) => {
    const result = await answer(args as string[])
    expect(result.status).toBe(status)
    expect(result.stderr).toContain(sentence)
    expect(result.stderr.trimEnd()).not.toContain('\n')
    if ((args as string[]).length > 0) expect(result.stdout).toBe('')
  })

  it('with --json: one object on standard output too', async () => {
    const { status, stdout } = await answer(['run', kernel, '--json'])
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toEqual({ ok: false, error: { code: 'invalid-value', message: '--entry NAME is missing: the function to run' } })
    const planned = await answer(['inspect', '--json'])
    expect([planned.status, JSON.parse(planned.stdout).error.code]).toEqual([1, 'unsupported'])
  })
})

describe('the arguments of run', () => {
  it('are read in full', () => {
    const args = ['--arg', `data=file:${data}:rw`, '--arg', 'n=0x10', '--arg', 'v=1,2.5,-3', '--arg', 'out=zeros:4KiB', '--arg', 'size=size:data']
    const rest = [
      '--print',
      'out:f32:2',
      '--print',
      'out:u8',
      '--save',
      'out=a=b',
      '--offset',
      '0,1',
      '--atomic',
      '--constant',
      'C=2',
      '--device-memory',
      '2MiB',
    ]
    const options = readRunOptions([...whole.slice(1), ...args, ...rest])
    expect(Object.fromEntries(options.args)).toEqual({
      data: { kind: 'file', path: data, writable: true, byteLength: 100 },
      n: { kind: 'number', value: 16 },
      v: { kind: 'number', value: [1, 2.5, -3] },
      out: { kind: 'zeros', byteLength: 4096 },
      size: { kind: 'size', of: 'data' },
    })
    expect(options.print).toEqual([
      { name: 'out', type: 'f32', count: 2 },
      { name: 'out', type: 'u8', count: 1 },
    ])
    expect(options).toMatchObject({
      save: [{ name: 'out', path: 'a=b' }],
      offset: [0, 1],
      atomic: true,
      constants: { C: 2 },
      deviceMemory: 2 ** 21,
      global: [1],
    })
  })

  it('with --explain need no size of a launch', () => {
    expect(readRunOptions([kernel, '--entry', 'k', '--explain'])).toMatchObject({ explain: true, entry: 'k' })
    expect(readRunOptions(whole.slice(1)).explain).toBe(false)
    expect([readRunOptions(whole.slice(1)).debug, readRunOptions([...whole.slice(1), '--debug']).debug]).toEqual([false, true])
  })
})
