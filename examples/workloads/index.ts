// All workloads of the collection. Always: in the order of README's list.

import { bTree } from './b-tree.ts'
import { bfsMask } from './bfs-mask.ts'
import { bfsQueue } from './bfs-queue.ts'
import { gatherUniform, gatherZipf } from './gather.ts'
import { grep } from './grep.ts'
import { gups } from './gups.ts'
import { hash, hashRandom } from './hash.ts'
import { histogramGlobal, histogramLocal } from './histogram.ts'
import { jacobi } from './jacobi.ts'
import { linkedList } from './linked-list.ts'
import { pagerank } from './pagerank.ts'
import { pingPong } from './ping-pong.ts'
import { radixSort } from './radix-sort.ts'
import { scatterAdd } from './scatter-add.ts'
import { sgemm } from './sgemm.ts'
import { sparseTouch, sparseTouchBlocks, sparseTouchPages } from './sparse-touch.ts'
import { transpose } from './transpose.ts'
import { triad, triadWide } from './triad.ts'
import { triadInPlace } from './triad-in-place.ts'
import { vectorSearch } from './vector-search.ts'
import type { Workload } from './workload.ts'

export const WORKLOADS: readonly Workload[] = [
  triad,
  triadWide,
  triadInPlace,
  jacobi,
  sgemm,
  transpose,
  vectorSearch,
  grep,
  pingPong,
  sparseTouch,
  sparseTouchPages,
  sparseTouchBlocks,
  bfsMask,
  bfsQueue,
  pagerank,
  gups,
  gatherZipf,
  gatherUniform,
  histogramGlobal,
  histogramLocal,
  scatterAdd,
  hash,
  hashRandom,
  linkedList,
  bTree,
  radixSort,
]
