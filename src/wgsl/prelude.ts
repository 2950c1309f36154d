// The runtime's part of a module: the pieces that the author's text and the wrapper need, and no others.
//
// Always: what it declares begins with svm_ or SVM_, and it is a function of the wish alone.

import type { ProgramVariant } from '../device/device.ts'
import { addAccessors } from './accessors.ts'
import { type AttemptWish, addAttempt } from './attempt.ts'
import { addDirect } from './direct.ts'
import { addFaults } from './faults.ts'
import { addResident } from './resident.ts'
import { addWatch } from './watch.ts'
import { Pieces } from './wgsl-text.ts'
import { addWords } from './words.ts'

export interface PreludeWish extends AttemptWish {
  readonly variant: ProgramVariant
  readonly pools: 1 | 2 | 4 | 8
  readonly atomicPools: boolean
  readonly pageShift: number
  /** Accesses are noted in the shadow (debug). */
  readonly watch: boolean
}

/** The declarations that these texts need. */
export function preludeText(wish: PreludeWish, ...users: readonly string[]): string {
  const pieces = new Pieces()
  addAccessors(pieces, wish.addressBits, wish.variant === 'direct')
  addFaults(pieces, wish.addressBits, wish.pageShift)
  addWords(pieces, wish.pools, wish.atomicPools)
  if (wish.variant === 'attempt') addAttempt(pieces, wish)
  else if (wish.variant === 'direct') addDirect(pieces, wish.addressBits, wish.pageShift)
  else addResident(pieces, wish.variant === 'sealed' && wish.workgroupFlag)
  if (wish.watch) addWatch(pieces, wish, ...users)
  return pieces.link(...users)
}
