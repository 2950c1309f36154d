// The plain sides by the names of their workloads. Always: nothing of ours is behind this door but the plain sides themselves.

import type { PlainWorkload, TiledWorkload } from './run.ts'
import { triad, triadWide } from './triad.ts'

export const PLAIN: Readonly<Record<string, PlainWorkload>> = { triad, 'triad-wide': triadWide }

/** Those that do the work in less memory than it takes, tiled by hand. */
export const TILED: Readonly<Record<string, TiledWorkload>> = {}
