// The search for a GPU, and the parts it stands on. Each test file is a process of its own: drivers are chosen once a process.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findGpu, installHint } from './adapter.ts'
import { SOFTWARE_GPU_PACKAGE, unpackSoftwareGpu } from './software-gpu.ts'
import { readTar } from './tar.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svm-adapter-'))
})
afterAll(() => rm(folder, { recursive: true }))

const packaged = await unpackSoftwareGpu()

describe.skipIf(packaged === null)('the packaged software GPU', () => {
  test('is unpacked once, though many ask at the same time', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => unpackSoftwareGpu(folder)))
    expect(new Set(all.map((gpu) => gpu?.manifest)).size).toBe(1)
    expect(await readdir(folder)).toHaveLength(1)
  })

  test('gives several devices', async () => {
    const found = await findGpu({ kind: 'software' })
    expect(found.software).toBe(true)
    const devices = await Promise.all([found.device(), found.device({ memory: 1024 }), found.device()])
    expect(devices[0].limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(11)
    expect(devices[1].limits.maxBufferSize).toBe(256 * 1024 * 1024)
    expect(await findGpu({ kind: 'software' })).toBe(found)
    for (const device of devices) device.destroy()
  })
})

test('a missing GPU comes with a way out', () => {
  if (process.platform === 'linux') expect(installHint('hardware')).toContain('Vulkan driver')
  if (process.platform === 'linux' && process.arch === 'x64') expect(installHint()).toContain(SOFTWARE_GPU_PACKAGE)
})

test('a tar archive of the system is read', async () => {
  await promisify(execFile)('sh', ['-c', 'printf hello > a && printf %600s x > b && tar cf x.tar ./a b'], { cwd: folder })
  const { readFile } = await import('node:fs/promises')
  const archive = await readFile(join(folder, 'x.tar'))
  const files = readTar(archive)
  expect(new TextDecoder().decode(files.get('a'))).toBe('hello')
  expect(files.get('b')?.byteLength).toBe(600)
  expect(() => readTar(archive.subarray(0, 600))).not.toThrow(TypeError)
  expect(() => readTar(archive.subarray(0, 512))).toThrow(RangeError)
})
