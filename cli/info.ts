// svm info: what there is, and what a space on it would look like. Compare clinfo. Always: it opens a space on each device found and closes it
// again; a machine without a GPU is an answer too, but not a good one.

import { findGpu, openSvm, SvmError, type SvmStats, webgpuDevice } from '../src/node.ts'
import { type Command, noPositionals, type Outcome, readOptions } from './command.ts'
import { parsePositiveSize, printSize } from './sizes.ts'
import { table } from './terminal.ts'

/** Storage bindings of the runtime: page table, faults, control. */
const RUNTIME_BINDINGS = 3

/** As clinfo says it. Why: host access needs a mapping, and no ArrayBuffer of the program is seen by a GPU as it is. */
const SVM_CAPABILITIES = { COARSE_GRAIN_BUFFER: true, FINE_GRAIN_BUFFER: false, FINE_GRAIN_SYSTEM: false, ATOMICS: false } as const

const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
] as const

interface DeviceReport {
  readonly description: string
  readonly software: boolean
  readonly limits: Record<string, number>
  readonly features: string[]
  readonly configuration: {
    readonly pageSize: number
    readonly addressBits: number
    readonly budgetBytes: number
    readonly frames: number
    readonly frameBytes: number
    readonly poolsMax: number
    readonly runtimeBindings: number
  }
  readonly svmCapabilities: typeof SVM_CAPABILITIES
}

interface Wish {
  readonly deviceMemory: number | undefined
  readonly pageSize: number | undefined
}

export const info: Command = {
  name: 'info',
  summary: 'devices, limits, chosen configuration, SVM capabilities',
  help: `svm info [--device-memory SIZE] [--page-size SIZE] [--json]

Lists the GPUs found (hardware, and the packaged software GPU), their limits, the configuration that a space on each would have, and
the SVM capabilities in the words of OpenCL.
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { 'device-memory': 'string', 'page-size': 'string' })
    noPositionals(positionals)
    const size = (name: 'device-memory' | 'page-size') => (values[name] === undefined ? undefined : parsePositiveSize(values[name], `--${name}`))
    const wish: Wish = { deviceMemory: size('device-memory'), pageSize: size('page-size') }
    return () => report(wish)
  },
}

async function report(wish: Wish): Promise<Outcome> {
  const devices: DeviceReport[] = []
  const missing: string[] = []
  for (const kind of ['hardware', 'software'] as const) {
    try {
      devices.push(await describe(kind, wish))
    } catch (error) {
      if (!(error instanceof SvmError) || error.code !== 'unsupported') throw error
      missing.push(error.message)
    }
  }
  const ok = devices.length > 0
  if (!ok) throw new SvmError('unsupported', missing.join(' '))
  const value = { ok, node: process.version, platform: `${process.platform}-${process.arch}`, devices }
  return { ok, value, text: devices.map((device, at) => print(device, at)).join('\n') }
}

async function describe(kind: 'hardware' | 'software', wish: Wish): Promise<DeviceReport> {
  const found = await findGpu({ kind })
  const device = await found.device()
  try {
    const svm = await openSvm({ ...wish, device: webgpuDevice(device, { label: found.description }) })
    const [stats] = svm.stats().devices as [SvmStats['devices'][number]]
    const { pageSize, addressBits } = svm
    await svm.close()
    const poolsMax = Math.max(1, Math.min(8, 2 ** Math.floor(Math.log2(device.limits.maxStorageBuffersPerShaderStage - RUNTIME_BINDINGS))))
    return {
      description: found.description,
      software: found.software,
      limits: Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]])),
      features: [...device.features].sort(),
      configuration: {
        pageSize,
        addressBits,
        budgetBytes: stats.budgetBytes,
        frames: stats.frames,
        frameBytes: stats.frames * pageSize,
        poolsMax,
        runtimeBindings: RUNTIME_BINDINGS,
      },
      svmCapabilities: SVM_CAPABILITIES,
    }
  } finally {
    device.destroy()
  }
}

function print({ description, limits, features, configuration, svmCapabilities }: DeviceReport, at: number): string {
  const { pageSize, addressBits, budgetBytes, frames, frameBytes, poolsMax, runtimeBindings } = configuration
  const limitRows = Object.entries(limits).map(([name, value]) => [`  ${name}`, /Size$/.test(name) ? printSize(value) : String(value)])
  const rows = table([
    ...limitRows,
    ['  page size', printSize(pageSize)],
    ['  address bits', String(addressBits)],
    ['  budget', printSize(budgetBytes)],
    ['  pages on the device', `${frames} (${printSize(frameBytes)})`],
    ['  pools (K), at most', `${poolsMax} + ${runtimeBindings} bindings of the runtime`],
    ...Object.entries(svmCapabilities).map(([name, has]) => [`  CL_DEVICE_SVM_${name}`, has ? 'yes' : 'no']),
  ])
  return `device ${at}: ${description}\n${rows}  features: ${features.join(', ') || 'none'}\n`
}
