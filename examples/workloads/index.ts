// All workloads of the collection. Always: in the order of README's list.

import { jacobi } from './jacobi.ts'
import { sgemm } from './sgemm.ts'
import { transpose } from './transpose.ts'
import { triad, triadWide } from './triad.ts'
import { triadInPlace } from './triad-in-place.ts'
import type { Workload } from './workload.ts'

export const WORKLOADS: readonly Workload[] = [triad, triadWide, triadInPlace, jacobi, sgemm, transpose]
