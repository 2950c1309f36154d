// The GPU that the tests of this folder run on: the browser's own, or in Node a software GPU.
//
// Always: a test either gets a device or a reason to skip; nothing here hides a failure of the kernel under test.

import { beforeAll, beforeEach } from 'vitest'
import type { CompilerMessage, ProgramDescriptor } from '../device/device.ts'

interface TestGpu {
  readonly device: GPUDevice | null
  /** Why there is no device. */
  readonly reason: string
  readonly features: ReadonlySet<string>
}

/** A GPU object must stay reachable as long as its devices live. */
const kept: unknown[] = []

async function findAdapter(): Promise<GPUAdapter | null> {
  if (typeof navigator !== 'undefined' && 'gpu' in navigator) return navigator.gpu.requestAdapter()
  // The names are variables, so that a browser's bundler does not follow them.
  const names = { adapter: '../node/adapter.ts', dawn: 'webgpu' }
  const { findGpu } = (await import(/* @vite-ignore */ names.adapter)) as typeof import('../node/adapter.ts')
  const { globals } = (await import(/* @vite-ignore */ names.dawn)) as { globals: object }
  Object.assign(globalThis, globals)
  const { gpu } = await findGpu({ kind: 'software' })
  kept.push(gpu)
  return gpu.requestAdapter()
}

async function openTestGpu(): Promise<TestGpu> {
  try {
    const adapter = await findAdapter()
    if (adapter === null) return { device: null, reason: 'no adapter', features: new Set() }
    const features = [...adapter.features].filter((name) => name === 'subgroups') as GPUFeatureName[]
    const { maxStorageBuffersPerShaderStage } = adapter.limits
    const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: { maxStorageBuffersPerShaderStage } })
    kept.push(adapter, device)
    return { device, reason: '', features: new Set<string>(features) }
  } catch (error) {
    return { device: null, reason: String(error), features: new Set() }
  }
}

/** The GPU of a test file, whose tests are skipped with the reason where there is none. */
export function useTestGpu(): { readonly device: GPUDevice; readonly features: ReadonlySet<string> } {
  let gpu: TestGpu | null = null
  const opened = () => gpu as TestGpu
  beforeAll(async () => {
    gpu = await openTestGpu()
  }, 60_000)
  beforeEach((context) => {
    if (opened().device === null) context.skip(opened().reason)
  })
  return {
    get device() {
      return opened().device as GPUDevice
    },
    get features() {
      return opened().features
    },
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
