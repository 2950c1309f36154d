// The plain sides by the names of their workloads. Always: nothing of ours is behind this door but the plain sides themselves.

import { grep } from './grep.ts'
import { jacobi } from './jacobi.ts'
import { pingPong } from './ping-pong.ts'
import type { PlainWorkload, TiledWorkload } from './run.ts'
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
}

/** Those that do the work in less memory than it takes, tiled by hand. */
export const TILED: Readonly<Record<string, TiledWorkload>> = { triad: triadTiled }
