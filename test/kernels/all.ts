// All kernels that must agree with the all-resident run whatever faults. Always: names are unique.

import { atomicKernels } from './atomic.ts'
import type { Kernel } from './kernel.ts'
import { plainKernels } from './plain.ts'

export const KERNELS: readonly Kernel[] = [...plainKernels, ...atomicKernels]

export function kernelNamed(name: string): Kernel {
  const kernel = KERNELS.find((one) => one.name === name)
  if (kernel === undefined) throw new Error(`there is no kernel '${name}'; there are: ${KERNELS.map((one) => one.name).join('; ')}`)
  return kernel
}
