// All workloads of the collection. Always: in the order of README's list.

import { triad, triadWide } from './triad.ts'
import type { Workload } from './workload.ts'

export const WORKLOADS: readonly Workload[] = [triad, triadWide]
