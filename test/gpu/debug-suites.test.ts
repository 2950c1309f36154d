// Kernels without races and waits once more with debug. Always: they are the same tests, and know nothing of it; so nothing is reported that is not there.

import { gpuDefaults } from './device.ts'

gpuDefaults.debug = true

await import('./loops.test.ts')
await import('./once.test.ts')
