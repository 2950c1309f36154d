// The GPU of these tests: in Node whatever findGpu finds, in a browser its own. Always: a file has one GPUDevice, made when first asked for;
// where there is none, a test is skipped and says why; every space that a test opened is closed when it ends.

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { openSvm, type Svm, type SvmDevice, type SvmEvent, type SvmOptions, svmDeviceDescriptor, webgpuDevice } from '../../src/index.ts'

export const KIB = 1024
export const MIB = 1024 * 1024
export const PAGE = 4096

const inNode = typeof window === 'undefined'
/** A variable, so that the browser's bundler does not follow it. */
const nodeGpu = './node-gpu.ts'

/** What `open` opens where a test does not say: a file of tests can be run again in the other width, and with debug. */
export const gpuDefaults: { addressBits: 32 | 64; debug: boolean } = { addressBits: 32, debug: false }

/** Pointers as a kernel reads them. */
export function pointerWords(pointers: readonly number[]): Uint32Array<ArrayBuffer> {
  if (gpuDefaults.addressBits === 32) return Uint32Array.from(pointers)
  return Uint32Array.from(pointers.flatMap((pointer) => [pointer % 2 ** 32, Math.floor(pointer / 2 ** 32)]))
}

/** What a file needs of a device beside the library's own wishes. */
export interface GpuWishes {
  readonly authorStorageBuffers?: number
}

/** A device of the caller's own. */
export async function requestDevice(wishes: GpuWishes): Promise<GPUDevice> {
  if (inNode) {
    const { requestNodeDevice } = (await import(/* @vite-ignore */ nodeGpu)) as typeof import('./node-gpu.ts')
    return requestNodeDevice(wishes)
  }
  if (!('gpu' in navigator)) throw new Error('this browser has no navigator.gpu')
  const adapter = await navigator.gpu.requestAdapter()
  if (adapter === null) throw new Error('this browser gives no adapter')
  return adapter.requestDevice(svmDeviceDescriptor(adapter, wishes))
}

/** The device of a test file, and the spaces on it. */
export class TestGpu {
  readonly #wishes: GpuWishes
  readonly #spaces: Svm[] = []
  readonly #lent: GPUDevice[] = []
  #device: GPUDevice | null = null
  #reason = ''

  constructor(wishes: GpuWishes = {}) {
    this.#wishes = wishes
  }

  /** For tests that need the device itself. */
  get device(): GPUDevice {
    if (this.#device === null) throw new Error('There is no device; the test should have been skipped.')
    return this.#device
  }

  /** Those that the running test opened. */
  get spaces(): readonly Svm[] {
    return this.#spaces
  }

  /** A device of the test's own, to be lost. */
  async another(): Promise<GPUDevice> {
    const device = await requestDevice(this.#wishes)
    this.#lent.push(device)
    return device
  }

  /** A space that is closed after the test. Pages of 4 KiB and 16 MiB of device memory unless told. */
  async open(options: Omit<SvmOptions, 'device' | 'devices'> & { on?: GPUDevice } = {}): Promise<Svm> {
    const { on = this.device, ...rest } = options
    const svm = await openSvm({
      ...gpuDefaults,
      pageSize: PAGE,
      deviceMemory: 16 * MIB,
      ...rest,
      policy: { prefetch: 'none', ...rest.policy },
      device: webgpuDevice(on),
    })
    this.#spaces.push(svm)
    return svm
  }

  /** The same on several devices. */
  async openOn(devices: (GPUDevice | SvmDevice)[], options: Omit<SvmOptions, 'device' | 'devices'> = {}): Promise<Svm> {
    const svm = await openSvm({ pageSize: PAGE, deviceMemory: 16 * MIB, ...options, devices })
    this.#spaces.push(svm)
    return svm
  }

  /** @internal */
  async start(): Promise<void> {
    try {
      this.#device = await requestDevice(this.#wishes)
    } catch (error) {
      this.#reason = String(error)
    }
  }

  /** @internal Why tests are skipped; empty: they are not. */
  get reason(): string {
    return this.#reason
  }

  /** @internal */
  async closeSpaces(): Promise<void> {
    for (const svm of this.#spaces.splice(0)) await svm.close()
    for (const device of this.#lent.splice(0)) device.destroy()
  }

  /** @internal */
  end(): void {
    this.#device?.destroy()
    this.#device = null
  }
}

/** The GPU of a test file: call it once, at the top. */
export function useGpu(wishes: GpuWishes = {}): TestGpu {
  const gpu = new TestGpu(wishes)
  beforeAll(() => gpu.start())
  beforeEach((context) => {
    if (gpu.reason !== '') context.skip(gpu.reason)
  })
  afterEach(() => gpu.closeSpaces())
  afterAll(() => gpu.end())
  return gpu
}

/** What became of these commands: 'done', or the code of the error. */
export function codes(events: readonly SvmEvent<unknown>[]): Promise<string[]> {
  return Promise.all(
    events.map(({ done }) =>
      done.then(
        () => 'done',
        (error) => error.code,
      ),
    ),
  )
}
