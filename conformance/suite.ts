// Suites of tests by name, and how they are run. Always: a test opens its spaces by its context, and they are closed when it ends, however it ends; a
// test passes when nothing threw; it is skipped only with a reason, given in the list or thrown as a Skip.

import { openSvm, type Svm, type SvmDevice, type TraceEvent } from '../src/index.ts'
import { type Mischief, simDevice } from '../src/sim.ts'
import { Skip } from './check.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Where the tests run. */
export interface Host {
  readonly kind: 'sim' | 'webgpu'
  /** The parameter num_elements of the OpenCL harness: lists that are made. */
  readonly numElements: number
  /** Devices that have no space on them; on a simulated one things may go wrong on purpose. */
  devices(count: number, mischief: Mischief): Promise<(SvmDevice | GPUDevice)[]>
}

/** What the OpenCL harness takes if nothing is said. */
export const NUM_ELEMENTS_DEFAULT = 16_384

/** Simulated devices: kernels run as their twins. */
export function simHost(numElements = NUM_ELEMENTS_DEFAULT): Host {
  return {
    kind: 'sim',
    numElements,
    devices: async (count, mischief) => Array.from({ length: count }, (_, i) => simDevice({ seed: i + 1, label: `sim ${i}`, mischief })),
  }
}

/** WebGPU devices, each asked for once. */
export function webgpuHost(request: (nth: number) => Promise<GPUDevice>, numElements = NUM_ELEMENTS_DEFAULT): Host {
  const asked = new Map<number, Promise<GPUDevice>>()
  return {
    kind: 'webgpu',
    numElements,
    devices: (count) =>
      Promise.all(
        Array.from({ length: count }, (_, i) => {
          const device = asked.get(i) ?? request(i)
          asked.set(i, device)
          return device
        }),
      ),
  }
}

export interface OpenOptions {
  /** Default 4 KiB. */
  readonly pageSize?: number
  /** Default 32 MiB. */
  readonly deviceMemory?: number
  /** Default 1. */
  readonly devices?: number
  /** Only where the device is simulated. */
  readonly mischief?: Mischief
}

export interface Opened {
  readonly svm: Svm
  /** All that was traced so far. */
  readonly events: readonly TraceEvent[]
}

/** What a test gets. */
export interface TestContext {
  readonly kind: Host['kind']
  readonly numElements: number
  /** A number from 0 to 2^32 - 1: the same ones at every run. */
  random(): number
  /** A space of 32-bit pointers, closed when the test ends. */
  open(options?: OpenOptions): Promise<Opened>
  skip(reason: string): never
}

export interface Test {
  /** As in the original. */
  readonly name: string
  /** What differs here, and why the nearest meaning is this. */
  readonly note?: string
  /** A string that it returns is printed beside its name. */
  run(t: TestContext): Promise<unknown>
}

export interface Skipped {
  readonly name: string
  readonly reason: string
}

export interface Suite {
  readonly name: string
  readonly tests: readonly Test[]
  /** Tests of the original without a meaning here. */
  readonly skipped: readonly Skipped[]
}

export interface TestResult {
  readonly suite: string
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped; or the note of a test that passed. */
  readonly text: string
  readonly milliseconds: number
}

/** One test on a host. Never rejects. */
export async function runTest(suite: string, test: Test, host: Host): Promise<TestResult> {
  const opened: Svm[] = []
  const started = performance.now()
  const result = (outcome: TestResult['outcome'], text: string): TestResult => ({
    suite,
    name: test.name,
    outcome,
    text,
    milliseconds: performance.now() - started,
  })
  try {
    let report: unknown
    try {
      report = await test.run(contextOf(host, opened))
    } finally {
      for (const svm of opened) await svm.close()
    }
    return result('passed', [test.note, report].filter((line) => typeof line === 'string').join(' '))
  } catch (error) {
    if (error instanceof Skip) return result('skipped', error.message)
    return result('failed', error instanceof Error ? `${error.name === 'CheckFailure' ? '' : `${error.name}: `}${error.message}` : String(error))
  }
}

function contextOf(host: Host, opened: Svm[]): TestContext {
  let state = 0x5eed
  return {
    kind: host.kind,
    numElements: host.numElements,
    random: () => {
      // xorshift32
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return state >>> 0
    },
    open: async ({ pageSize = 4 * KIB, deviceMemory = 32 * MIB, devices = 1, mischief = {} } = {}) => {
      const events: TraceEvent[] = []
      const svm = await openSvm({ pageSize, deviceMemory, devices: await host.devices(devices, mischief), trace: (event) => events.push(event) })
      opened.push(svm)
      return { svm, events }
    },
    skip: (reason) => {
      throw new Skip(reason)
    },
  }
}
