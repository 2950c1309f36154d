// The suite of hmm-tests.c (tools/testing/selftests/mm), by its names. Always: a test of the original is in one of the two lists.

import type { Suite } from '../suite.ts'
import { accessTests } from './access.ts'
import { hugeTests } from './huge.ts'
import { migrateTests } from './migrate.ts'
import { stateTests } from './states.ts'

const NO_FORK = 'No fork: a JavaScript program cannot have its address space copied, so there is no copy-on-write between a parent and a child.'

export const hmmSuite: Suite = {
  name: 'hmm',
  tests: [...accessTests, ...migrateTests, ...stateTests, ...hugeTests],
  skipped: [
    { name: 'anon_write_child', reason: NO_FORK },
    { name: 'anon_write_child_shared', reason: `${NO_FORK} Two mappings that share their pages need a shared mapping of a pager, which is not built yet.` },
    {
      name: 'file_write',
      reason:
        "The feature that is missing is mmap with access 'read-write' and sharing 'shared', and with it a Pager that is written to and msync: a store of the device has no way into a file yet.",
    },
    { name: 'migrate_shared', reason: 'There is no shared anonymous memory here, and no page that may not go to a device: the refusal has nothing to refuse.' },
    { name: 'mixedmap', reason: 'No device file can be mapped: a device has no pages of its own that a program could map.' },
    { name: 'exclusive_cow', reason: NO_FORK },
    { name: 'hmm_cow_in_device', reason: NO_FORK },
  ],
}
