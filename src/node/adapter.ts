// Finds a GPU for a Node program: a hardware adapter, else the packaged software GPU. The user sets up nothing.
//
// Always:
// - A GPU object that was made stays reachable until the process ends: Dawn crashes when it is collected before its devices.
// - A Dawn instance reads the drivers' environment once, at its first adapter; so hardware and software have an instance each, made one after
//   the other, with the environment set before. Drivers that the user named in VK_DRIVER_FILES or VK_ICD_FILENAMES are obeyed, and come first.
// - An adapter gives one device: each device has an adapter of its own.

import { existsSync, readdirSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { SvmError } from '../base/error.ts'
import { type DeviceWishes, svmDeviceDescriptor } from '../device/webgpu/limits.ts'
import { resolveInstalled, SOFTWARE_GPU_PACKAGE, unpackSoftwareGpu } from './software-gpu.ts'

export interface FindGpuOptions {
  /** Default: hardware if there is any, else software. */
  readonly kind?: 'any' | 'hardware' | 'software'
  /** Where the packaged software GPU is unpacked. Default: the user's cache folder, else the folder for temporary files. */
  readonly cacheFolder?: string
}

export interface FoundGpu {
  readonly gpu: GPU
  /** For its limits and features; it stays unused, so that it can be asked. */
  readonly adapter: GPUAdapter
  /** One line for people. */
  readonly description: string
  readonly software: boolean
  /** A new device, of a new adapter, with the limits that a space wants (or those of a descriptor of your own). */
  device(wishes?: DeviceWishes | GPUDeviceDescriptor): Promise<GPUDevice>
}

interface Binding {
  create(options: string[]): GPU
}

const LOADER = 'libvulkan.so.1'
/** RTLD_NODELETE: the loader stays although Node closes what does not register as an addon. */
const KEEP_LOADED = 0x1000
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const
const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b/i
const SOFTWARE_MANIFESTS = /lvp_icd|lavapipe|swiftshader/i

const userDrivers = DRIVER_VARIABLES.map((name) => process.env[name])
const reachable = new Set<GPU>()
const found = new Map<'hardware' | 'software', Promise<FoundGpu | null>>()
let attempts: Promise<unknown> = Promise.resolve()

/** @throws SvmError `unsupported`, which says what to install */
export async function findGpu(options: FindGpuOptions = {}): Promise<FoundGpu> {
  const kind = options.kind ?? 'any'
  const hardware = kind === 'software' ? null : await once('hardware', options)
  if (hardware !== null && (kind === 'any' || !hardware.software)) return hardware
  const software = kind === 'hardware' ? null : await once('software', options)
  if (software !== null) return software
  throw new SvmError('unsupported', installHint(kind))
}

/** What to do where no GPU was found. */
export function installHint(kind: 'any' | 'hardware' | 'software' = 'any'): string {
  const wanted = kind === 'any' ? 'no GPU' : `no ${kind} GPU`
  if (process.platform !== 'linux') return `WebGPU found ${wanted} on this machine; update the graphics driver.`
  const places = '/usr/share/vulkan/icd.d or /etc/vulkan/icd.d'
  const hardware = `a hardware GPU needs its vendor's Vulkan driver (a manifest in ${places}; in a container, pass the GPU with graphics capabilities)`
  const software =
    process.arch === 'x64'
      ? `a software GPU needs \`npm install ${SOFTWARE_GPU_PACKAGE}@143.0.4\``
      : `there is no packaged software GPU for ${process.arch}: set VK_ICD_FILENAMES to the manifest of a SwiftShader`
  const worker = isMainThread ? '' : ' In a Worker, call findGpu() on the main thread first: a Worker cannot change the environment of the process.'
  const ways = kind === 'hardware' ? hardware : kind === 'software' ? software : `${hardware}; ${software}`
  return `WebGPU found ${wanted} on this machine: ${ways}.${worker}`
}

/** Attempts come one after the other, since each sets the environment. What failed for want of a package is tried again when asked again. */
function once(kind: 'hardware' | 'software', options: FindGpuOptions): Promise<FoundGpu | null> {
  const before = found.get(kind)
  if (before !== undefined) return before
  const attempt = attempts.then(() => (kind === 'hardware' ? tryInstalled(options) : trySoftware(options)))
  attempts = attempt.catch(() => null)
  found.set(kind, attempt)
  const forget = () => found.delete(kind)
  attempt.then((result) => result === null && kind === 'software' && forget(), forget)
  return attempt
}

/** What the machine itself offers: hardware, or whatever drivers the user named. */
async function tryInstalled(options: FindGpuOptions): Promise<FoundGpu | null> {
  const binding = await loadBinding()
  if (process.platform !== 'linux') return usable(binding.create([]), true)
  const named = userDrivers.some((value) => value !== undefined && value !== '')
  const manifests = named ? [] : hardwareManifests()
  if (!named && manifests.length === 0) return null
  const before = DRIVER_VARIABLES.map((name) => process.env[name])
  if (named) setDrivers(userDrivers)
  else setVariable('VK_ICD_FILENAMES', manifests.join(':'))
  try {
    if (!loadLoader(LOADER)) {
      const packaged = await unpackSoftwareGpu(options.cacheFolder)
      if (packaged === null || !loadLoader(packaged.loader)) return null
    }
    return await usable(binding.create([]), named)
  } finally {
    setDrivers(before)
  }
}

async function trySoftware(options: FindGpuOptions): Promise<FoundGpu | null> {
  const binding = await loadBinding()
  if (process.platform !== 'linux') return usable(binding.create([]), true, { forceFallbackAdapter: true })
  const packaged = await unpackSoftwareGpu(options.cacheFolder)
  if (packaged === null) return null
  if (!loadLoader(LOADER) && !loadLoader(packaged.loader)) return null
  // These stay: Workers started from now on take them over.
  setVariable('VK_DRIVER_FILES', undefined)
  setVariable('VK_ICD_FILENAMES', packaged.manifest)
  return usable(binding.create([]), true)
}

/** @param softwareToo whether a software adapter is good enough */
async function usable(gpu: GPU, softwareToo: boolean, only?: GPURequestAdapterOptions): Promise<FoundGpu | null> {
  reachable.add(gpu)
  const wishes: GPURequestAdapterOptions[] = only ? [only] : [{ powerPreference: 'high-performance' }, { powerPreference: 'low-power' }, {}]
  let second: FoundGpu | null = null
  for (const wish of wishes) {
    const adapter = await gpu.requestAdapter(wish)
    if (adapter === null) continue
    const met = describe(gpu, adapter, wish)
    if (!met.software) return met
    second ??= met
  }
  if (second !== null && softwareToo) return second
  return null
}

function describe(gpu: GPU, adapter: GPUAdapter, wish: GPURequestAdapterOptions): FoundGpu {
  const { info } = adapter
  const description = [...new Set([info.vendor, info.architecture, info.device, info.description])].filter((word) => word !== '').join(' ')
  const software = info.isFallbackAdapter === true || SOFTWARE_NAMES.test(description)
  return {
    gpu,
    adapter,
    description: software ? `${description} (software)` : description,
    software,
    async device(wishes = {}) {
      const fresh = await gpu.requestAdapter(wish)
      if (fresh === null) throw new SvmError('unsupported', `The GPU ${description} gives no adapter any more; it may have been unplugged.`)
      const own = 'requiredLimits' in wishes || 'requiredFeatures' in wishes || 'label' in wishes
      return fresh.requestDevice(own ? (wishes as GPUDeviceDescriptor) : svmDeviceDescriptor(fresh, wishes as DeviceWishes))
    },
  }
}

async function loadBinding(): Promise<Binding> {
  const path = resolveInstalled('webgpu')
  if (path === null) throw new SvmError('unsupported', 'WebGPU in Node is the npm package `webgpu`, which is not installed; run `npm install webgpu`.')
  try {
    return (await import(pathToFileURL(path).href)) as Binding
  } catch (cause) {
    throw new SvmError('unsupported', `The npm package \`webgpu\` does not load on ${process.platform}-${process.arch}: ${cause}`, { cause })
  }
}

/** Loads a Vulkan loader so that Dawn finds it by its name. @returns whether it is there. */
function loadLoader(path: string): boolean {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | KEEP_LOADED)
    return true
  } catch (error) {
    // It is no addon of Node's, and need not be: it is loaded all the same.
    return /did not self-register/.test(String(error))
  }
}

function setDrivers(values: readonly (string | undefined)[]): void {
  for (const [i, name] of DRIVER_VARIABLES.entries()) setVariable(name, values[i])
}

/** On the main thread this is the environment of the process, which the Vulkan loader reads. */
function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

/** Drivers' manifests where Vulkan looks for them, without those of software drivers; and where some containers put NVIDIA's. */
function hardwareManifests(): string[] {
  const list = (value: string | undefined, otherwise: string) => (value || otherwise).split(':').filter((folder) => folder !== '')
  const { env } = process
  const roots = [
    ...list(env.XDG_CONFIG_HOME, join(homedir(), '.config')),
    ...list(env.XDG_CONFIG_DIRS, '/etc/xdg'),
    '/etc',
    ...list(env.XDG_DATA_HOME, join(homedir(), '.local/share')),
    ...list(env.XDG_DATA_DIRS, '/usr/local/share:/usr/share'),
    '/usr/local/nvidia/share',
  ]
  const folders = [...new Set(roots)].map((root) => join(root, 'vulkan', 'icd.d')).filter((folder) => existsSync(folder))
  const ofHardware = (file: string) => file.endsWith('.json') && !SOFTWARE_MANIFESTS.test(file)
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter(ofHardware)
      .map((file) => join(folder, file)),
  )
}
