// The suites of the OpenCL CTS about shared virtual memory, by their names. Always: a test of the original is in one of the lists.

import type { Suite } from '../suite.ts'
import { coreTests } from './core.ts'
import { cornerTests } from './corners.ts'
import { elsewhereSkipped, elsewhereTests } from './elsewhere.ts'
import { unifiedSkipped, unifiedTests } from './unified.ts'

export const openclSuites: readonly Suite[] = [
  { name: 'opencl-svm', tests: [...coreTests, ...elsewhereTests], skipped: elsewhereSkipped },
  { name: 'opencl-unified-svm', tests: [...cornerTests, ...unifiedTests], skipped: unifiedSkipped },
]
