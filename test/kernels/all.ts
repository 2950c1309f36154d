// All kernels that must agree with the all-resident run whatever faults. Always: names are unique.

import { atomicKernels } from './atomic.ts'
import type { Kernel } from './kernel.ts'
import { plainKernels } from './plain.ts'

export const KERNELS: readonly Kernel[] = [...plainKernels, ...atomicKernels]

/** Those in which an effect that is lost, or happens twice, is what a wrong protocol leaves. */
export const ONCE: readonly Kernel[] = [
  'used atomics',
  'slot allocation, then a plain store to the slot',
  'frontier append (BFS with a queue)',
  'hash insert by compare-exchange',
  'linked-list push by compare-exchange',
  'in-place update with neighbours',
  'in-place triad',
  'scatter',
].map(kernelNamed)

/** Those that may run again over what they left. */
export const REPEATABLE: ReadonlySet<Kernel> = new Set([
  ...plainKernels,
  ...['histogram by global atomics', 'histogram by local bins, then a flush', 'GUPS', 'compare-exchange retry loop'].map(kernelNamed),
])

function kernelNamed(name: string): Kernel {
  const kernel = KERNELS.find((one) => one.name === name)
  if (kernel === undefined) throw new Error(`there is no kernel '${name}'; there are: ${KERNELS.map((one) => one.name).join('; ')}`)
  return kernel
}
