// The plain sides by the names of their workloads. Always: nothing of ours is behind this door but the plain sides themselves.

import { bTree } from './b-tree.ts'
import { bfsMask } from './bfs-mask.ts'
import { bfsQueue } from './bfs-queue.ts'
import { gather } from './gather.ts'
import { grep } from './grep.ts'
import { gups } from './gups.ts'
import { hash } from './hash.ts'
import { histogramGlobal, histogramLocal } from './histogram.ts'
import { jacobi } from './jacobi.ts'
import { linkedList } from './linked-list.ts'
import { pagerank } from './pagerank.ts'
import { pingPong } from './ping-pong.ts'
import { radixSort } from './radix-sort.ts'
import type { PlainWorkload, TiledWorkload } from './run.ts'
import { scatterAdd } from './scatter-add.ts'
import { sgemm } from './sgemm.ts'
import { sparseTouch } from './sparse-touch.ts'
import { transpose } from './transpose.ts'
import { triad, triadWide } from './triad.ts'
import { triadInPlace } from './triad-in-place.ts'
import { triadTiled } from './triad-tiled.ts'
import { vectorSearch } from './vector-search.ts'

export const PLAIN: Readonly<Record<string, PlainWorkload>> = {
  triad,
  'triad-wide': triadWide,
  'triad-in-place': triadInPlace,
  jacobi,
  sgemm,
  transpose,
  'vector-search': vectorSearch,
  grep,
  'ping-pong': pingPong,
  'sparse-touch': sparseTouch,
  'sparse-touch-pages': sparseTouch,
  'sparse-touch-blocks': sparseTouch,
  'bfs-mask': bfsMask,
  'bfs-queue': bfsQueue,
  pagerank,
  gups,
  'gather-zipf': gather,
  'gather-uniform': gather,
  'histogram-global': histogramGlobal,
  'histogram-local': histogramLocal,
  'scatter-add': scatterAdd,
  hash,
  'hash-random': hash,
  'linked-list': linkedList,
  'b-tree': bTree,
  'radix-sort': radixSort,
}

/** Those that do the work in less memory than it takes, tiled by hand. */
export const TILED: Readonly<Record<string, TiledWorkload>> = { triad: triadTiled }
