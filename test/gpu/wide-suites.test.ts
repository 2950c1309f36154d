// The kernels of other files once more with 64-bit addresses. Always: they are the same tests, and know nothing of it.

import { gpuDefaults } from './device.ts'

gpuDefaults.addressBits = 64

await import('./access.test.ts')
await import('./accessors.test.ts')
await import('./memory.test.ts')
await import('./loops.test.ts')
await import('./once.test.ts')
