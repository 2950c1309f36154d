// The benchmarks: each measure beside the same work in plain WebGPU, in one run, with the ratio. Always: both sides use one GPUDevice; a result
// is given only when both sides had the same bytes.

import { findGpu, openSvm, webgpuDevice } from '../src/node.ts'
import { type Bed, type Bench, type BenchResult, median } from './case.ts'
import { faultLaunch } from './cases/fault-launch.ts'
import { faultRound } from './cases/fault-round.ts'
import { migrateToDevice } from './cases/migrate-to-device.ts'
import { migrateToHost } from './cases/migrate-to-host.ts'
import { secondMigrate } from './cases/second-migrate.ts'
import { INSIDE_BENCHES } from './inside/migrate-cost.ts'

export { BenchMismatch, type BenchResult } from './case.ts'

export const BENCHES: readonly Bench[] = [migrateToDevice, migrateToHost, secondMigrate, faultRound, faultLaunch, ...INSIDE_BENCHES]
export const ROUNDS_MIN = 5
export const ROUNDS_DEFAULT = 9

export interface BenchWish {
  readonly benches: readonly Bench[]
  readonly rounds: number
  readonly gpu: 'any' | 'hardware' | 'software'
  /** Called with how far the named benchmark is, from 0 to 1. */
  readonly onProgress?: (name: string, part: number) => void
}

/** @throws BenchMismatch, SvmError */
export async function runBenches({ benches, rounds, gpu, onProgress }: BenchWish): Promise<{ device: string; results: BenchResult[] }> {
  const found = await findGpu({ kind: gpu })
  const results: BenchResult[] = []
  for (const bench of benches) {
    const device = await found.device()
    const bed: Bed = {
      device,
      open: (deviceMemory) => openSvm({ device: webgpuDevice(device, { label: found.description }), deviceMemory }),
      tick: (done, of) => onProgress?.(bench.name, done / of),
    }
    try {
      results.push(resultOf(bench, await bench.run(bed, rounds)))
    } finally {
      device.destroy()
    }
  }
  return { device: found.description, results }
}

function resultOf({ name, goal, unit = 'ms' }: Bench, samples: BenchResult['samples']): BenchResult {
  const svm = median(samples.svm)
  const plain = samples.plain.length === 0 ? null : median(samples.plain)
  const ratio = plain === null ? null : svm / plain
  return { name, svm, plain, unit, ratio, goal, met: goal === null ? null : (ratio ?? svm) <= goal, samples }
}
