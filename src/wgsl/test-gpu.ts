// A software GPU for the tests of this folder: Dawn on the packaged SwiftShader.
//
// Always: a test either gets a device or a reason to skip; nothing here hides a failure of the kernel under test.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import type { CompilerMessage, ProgramDescriptor } from '../device/device.ts'

const FOLDER = join(tmpdir(), 'svm-swiftshader')
const RTLD_NODELETE = 0x1000

/** The GPU object must stay reachable as long as a device lives. */
const kept: unknown[] = []

export interface TestGpu {
  readonly device: GPUDevice | null
  /** Why there is no device. */
  readonly reason: string
  readonly features: ReadonlySet<string>
}

function provision(): void {
  if (!existsSync(join(FOLDER, 'vk_swiftshader_icd.json'))) {
    const require = createRequire(import.meta.url)
    const packed = join(dirname(require.resolve('@sparticuz/chromium')), '..', '..', 'bin', 'swiftshader.tar.br')
    const fresh = `${FOLDER}.${process.pid}`
    mkdirSync(fresh, { recursive: true })
    execFileSync('tar', ['xf', '-', '-C', fresh], { input: brotliDecompressSync(readFileSync(packed)) })
    if (existsSync(FOLDER)) rmSync(fresh, { recursive: true })
    else renameSync(fresh, FOLDER)
  }
  process.env['VK_ICD_FILENAMES'] = join(FOLDER, 'vk_swiftshader_icd.json')
  try {
    process.dlopen({ exports: {} }, join(FOLDER, 'libvulkan.so.1'), constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE)
  } catch {
    // "Module did not self-register" is expected: the library stays in the process, which is all that is wanted.
  }
}

export async function openTestGpu(): Promise<TestGpu> {
  try {
    provision()
    const dawn = await import('webgpu')
    Object.assign(globalThis, dawn.globals)
    const gpu = dawn.create([]) as GPU
    const adapter = await gpu.requestAdapter()
    if (adapter === null) return { device: null, reason: 'no adapter', features: new Set() }
    const features = [...adapter.features].filter((name) => name === 'subgroups') as GPUFeatureName[]
    const limits = { maxStorageBuffersPerShaderStage: adapter.limits.maxStorageBuffersPerShaderStage }
    const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: limits })
    kept.push(gpu, adapter, device)
    return { device, reason: '', features: new Set<string>(features) }
  } catch (error) {
    return { device: null, reason: String(error), features: new Set() }
  }
}

/** What the compiler says about a text. */
export async function compile(device: GPUDevice, code: string): Promise<CompilerMessage[]> {
  device.pushErrorScope('validation')
  const shader = device.createShaderModule({ code })
  const info = await shader.getCompilationInfo()
  await device.popErrorScope()
  return [...info.messages].map(({ type, lineNum, linePos, message }) => ({ type, line: lineNum, column: linePos, text: message }))
}

export function groupLayout(device: GPUDevice, program: ProgramDescriptor): GPUBindGroupLayout {
  const entry = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })
  return device.createBindGroupLayout({
    entries: [
      entry(0, 'read-only-storage'),
      entry(1, 'storage'),
      entry(2, 'read-only-storage'),
      ...(program.hasArguments ? [entry(3, 'uniform')] : []),
      ...Array.from({ length: program.pools }, (_, k) => entry(4 + k, 'storage')),
    ],
  })
}

/** A pipeline of a program without bindings of the author's. */
export async function pipelineOf(device: GPUDevice, program: ProgramDescriptor): Promise<GPUComputePipeline> {
  const empty = device.createBindGroupLayout({ entries: [] })
  device.pushErrorScope('validation')
  const shader = device.createShaderModule({ code: program.code })
  const info = await shader.getCompilationInfo()
  const errors = [...info.messages].filter(({ type }) => type === 'error').map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`)
  await device.popErrorScope()
  if (errors.length > 0) throw new Error(`${errors.join('\n')}\n${program.code}`)
  return device.createComputePipelineAsync({
    layout: device.createPipelineLayout({ bindGroupLayouts: [empty, empty, empty, groupLayout(device, program)] }),
    compute: { module: shader, entryPoint: program.entryPoint, constants: program.constants },
  })
}
