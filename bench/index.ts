// The benchmarks: each measure beside the same work in plain WebGPU, in one run, with the ratio. Always: both sides use one GPUDevice; a result
// is given only when both sides had the same bytes.

import { type FoundGpu, findGpu, openSvm, type Svm, webgpuDevice } from '../src/node.ts'
import { type Bed, type Bench, type BenchResult, type Measured, median, type SpaceOptions } from './case.ts'
import { CHAIN_BENCHES } from './cases/chain.ts'
import { faultLaunch } from './cases/fault-launch.ts'
import { faultRound } from './cases/fault-round.ts'
import { migrateScattered } from './cases/migrate-scattered.ts'
import { migrateToDevice } from './cases/migrate-to-device.ts'
import { migrateToHost } from './cases/migrate-to-host.ts'
import { ROUNDS_BENCHES } from './cases/rounds.ts'
import { secondMigrate } from './cases/second-migrate.ts'
import { SPARSE_BENCHES } from './cases/sparse-touch.ts'
import { WORKLOAD_BENCHES } from './cases/workloads.ts'
import { INSIDE_BENCHES } from './inside/migrate-cost.ts'

export type { BenchResult } from './case.ts'

export const BENCHES: readonly Bench[] = [
  migrateToDevice,
  migrateToHost,
  migrateScattered,
  secondMigrate,
  faultRound,
  faultLaunch,
  ...ROUNDS_BENCHES,
  ...CHAIN_BENCHES,
  ...INSIDE_BENCHES,
  ...SPARSE_BENCHES,
  ...WORKLOAD_BENCHES,
]
export const ROUNDS_MIN = 5
export const ROUNDS_DEFAULT = 9

export const ROUNDS_QUICK = 5

export interface BenchWish {
  readonly benches: readonly Bench[]
  readonly rounds: number
  readonly quick: boolean
  readonly gpu: 'any' | 'hardware' | 'software'
  /** Called with how far the named benchmark is, from 0 to 1. */
  readonly onProgress?: (name: string, part: number) => void
}

/** A benchmark whose sides did not do the same work, or that could not be run: it has no figures. */
export interface BenchFailure {
  readonly name: string
  readonly error: string
}

export interface BenchReport {
  readonly device: string
  readonly results: BenchResult[]
  readonly failures: BenchFailure[]
}

/** The benchmarks that a word names: the one of that name, else all whose names begin with it. */
export function benchesOf(word: string): Bench[] {
  const exact = BENCHES.filter(({ name }) => name === word)
  return exact.length > 0 ? exact : BENCHES.filter(({ name }) => name.startsWith(word))
}

/** One that fails does not keep the others from running. @throws SvmError where there is no GPU */
export async function runBenches({ benches, rounds, quick, gpu, onProgress }: BenchWish): Promise<BenchReport> {
  const found = await findGpu({ kind: gpu })
  const report: BenchReport = { device: found.description, results: [], failures: [] }
  for (const bench of benches) {
    const devices = new Devices(found)
    try {
      const device = await devices.make()
      const bed: Bed = {
        device,
        quick,
        software: found.software,
        open: (deviceMemory, options) => devices.open(device, deviceMemory, options),
        openBeside: async (deviceMemory, options) => devices.open(await devices.make(), deviceMemory, options),
        tick: (done, of) => onProgress?.(bench.name, done / of),
      }
      report.results.push(resultOf(bench, await bench.run(bed, rounds), bed))
    } catch (error) {
      report.failures.push({ name: bench.name, error: String(error) })
    } finally {
      devices.destroy()
    }
  }
  return report
}

/** The devices of one benchmark. */
class Devices {
  readonly #found: FoundGpu
  readonly #made: GPUDevice[] = []

  constructor(found: FoundGpu) {
    this.#found = found
  }

  async make(): Promise<GPUDevice> {
    const device = await this.#found.device()
    this.#made.push(device)
    return device
  }

  open(device: GPUDevice, deviceMemory: number, options: SpaceOptions = {}): Promise<Svm> {
    return openSvm({ device: webgpuDevice(device, { label: this.#found.description }), deviceMemory, ...options })
  }

  destroy(): void {
    for (const device of this.#made.splice(0)) device.destroy()
  }
}

function resultOf({ name, goal: wanted, unit = 'ms' }: Bench, { notes, ...samples }: Measured, { software, quick }: Bed): BenchResult {
  const svm = median(samples.svm)
  const plain = samples.plain.length === 0 ? null : median(samples.plain)
  const base = samples.base && median(samples.base)
  const against = plain ?? base ?? null
  const ratio = against === null ? null : svm / against
  const goal = wanted === null || typeof wanted === 'number' ? wanted : wanted.of(software, plain)
  const met = goal === null ? null : (ratio ?? svm) <= goal
  const date = new Date().toISOString().slice(0, 10)
  return { name, svm, plain, ...(base !== undefined && { base }), unit, ratio, goal, met, quick, date, ...(notes && { notes }), samples }
}
