// wide-suites.test.ts: the suites of replay once more in a 64-bit space, whose table is sparse. Always: they are the same tests, and know nothing of it.

import { rigDefaults } from './rig.ts'

rigDefaults.addressBits = 64

await import('./coherence.test.ts')
await import('./counterexamples.test.ts')
await import('./split.test.ts')
await import('./migrate.test.ts')
await import('./order.test.ts')
await import('./failures.test.ts')
