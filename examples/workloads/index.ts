// All workloads of the collection. Always: in the order of README's list.

import { grep } from './grep.ts'
import { jacobi } from './jacobi.ts'
import { pingPong } from './ping-pong.ts'
import { sgemm } from './sgemm.ts'
import { sparseTouch } from './sparse-touch.ts'
import { transpose } from './transpose.ts'
import { triad, triadWide } from './triad.ts'
import { triadInPlace } from './triad-in-place.ts'
import { vectorSearch } from './vector-search.ts'
import type { Workload } from './workload.ts'

export const WORKLOADS: readonly Workload[] = [triad, triadWide, triadInPlace, jacobi, sgemm, transpose, vectorSearch, grep, pingPong, sparseTouch]
