// The packaged software GPU: SwiftShader and a Vulkan loader, out of the npm package @sparticuz/chromium, unpacked once into a cache folder.
//
// Always:
// - A cache folder that is there is whole: it is filled under another name and renamed; whoever comes second throws its own away.
// - Shared libraries are loaded only from a folder that belongs to this user.

import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import { SvmError } from '../base/error.ts'
import { readTar } from './tar.ts'

export const SOFTWARE_GPU_PACKAGE = '@sparticuz/chromium'
const DRIVER = 'libvk_swiftshader.so'
const MANIFEST = 'vk_swiftshader_icd.json'
const LOADER = 'libvulkan.so.1'

export interface SoftwareGpu {
  /** Path of the driver's manifest, for VK_ICD_FILENAMES. */
  readonly manifest: string
  /** Path of the Vulkan loader. */
  readonly loader: string
}

/** Unpacks the packaged software GPU if that was not done before. @returns null where the package is not installed or not made for this machine. */
export async function unpackSoftwareGpu(cacheFolder?: string): Promise<SoftwareGpu | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null
  const found = await findPackage()
  if (found === null) return null
  const name = `swiftshader-${found.version}-${process.arch}`
  let failure: unknown = null
  for (const root of cacheFolder === undefined ? cacheRoots() : [cacheFolder]) {
    try {
      const folder = await unpackOnce(found.archive, root, name)
      return { manifest: join(folder, MANIFEST), loader: join(folder, LOADER) }
    } catch (error) {
      failure ??= error
    }
  }
  throw new SvmError('unsupported', `The packaged software GPU could not be unpacked (${failure}); give a cacheFolder that can be written.`, { cause: failure })
}

/** The user's cache, else the place for temporary files (named by user, since others write there too). A home that is not there is not made. */
function cacheRoots(): string[] {
  const cache = process.env.XDG_CACHE_HOME || (existsSync(homedir()) ? join(homedir(), '.cache') : null)
  const temporary = join(tmpdir(), `webgpu-svm-${process.getuid?.() ?? 0}`)
  return cache === null ? [temporary] : [join(cache, 'webgpu-svm'), temporary]
}

async function findPackage(): Promise<{ archive: string; version: string } | null> {
  const entry = resolveInstalled(SOFTWARE_GPU_PACKAGE)
  if (entry === null) return null
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    const archive = join(folder, 'bin', 'swiftshader.tar.br')
    if (await stat(archive).catch(() => null)) {
      const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
      return { archive, version }
    }
  }
  return null
}

/** Where a package would be loaded from: seen from this library, else from the program's folder. */
export function resolveInstalled(name: string): string | null {
  for (const from of [import.meta.url, join(process.cwd(), 'program.js')]) {
    try {
      return createRequire(from).resolve(name)
    } catch {
      // Not installed there: ask the next.
    }
  }
  return null
}

async function unpackOnce(archive: string, root: string, name: string): Promise<string> {
  const folder = join(root, name)
  await mkdir(root, { recursive: true, mode: 0o700 })
  await assertOwn(root)
  if (await isWhole(folder)) return folder
  const files = readTar(await promisify(brotliDecompress)(await readFile(archive)))
  const building = await mkdtemp(join(root, `${name}-`))
  try {
    for (const file of [DRIVER, MANIFEST, LOADER]) {
      const bytes = files.get(file)
      if (bytes === undefined) throw new SvmError('unsupported', `${archive} holds no ${file}; install ${SOFTWARE_GPU_PACKAGE}@143, which does.`)
      await writeFile(join(building, file), bytes)
      await chmod(join(building, file), 0o755)
    }
    await rename(building, folder)
  } catch (error) {
    await rm(building, { recursive: true, force: true })
    // Another process may have been faster: a folder with files in it cannot be renamed over.
    if (!(await isWhole(folder))) throw error
  }
  return folder
}

async function isWhole(folder: string): Promise<boolean> {
  return (await stat(join(folder, LOADER)).catch(() => null)) !== null
}

async function assertOwn(folder: string): Promise<void> {
  const { uid, mode } = await stat(folder)
  const me = process.getuid?.() ?? uid
  if (uid !== me || (mode & 0o022) !== 0) {
    throw new SvmError('unsupported', `${folder} can be written by others, so no library is loaded from it; give another cacheFolder.`)
  }
}
