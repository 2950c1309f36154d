// The kernels of other files once more with 64-bit addresses. Always: they are the same tests, and know nothing of it.

import { gpuDefaults } from './device.ts'
import { chosen } from './regime.ts'

gpuDefaults.addressBits = 64
// A browser compiles the same texts as Node, and takes longer: there one state that faults and one that does not stand for all.
if (typeof window !== 'undefined') chosen.regimes = ['cold', 'direct']

await import('./access.test.ts')
await import('./accessors.test.ts')
await import('./memory.test.ts')
await import('./loops.test.ts')
await import('./once.test.ts')
