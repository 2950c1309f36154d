// The runtime's part of a module: the pieces that the author's text and the wrapper need, and no others.
//
// Always: what it declares begins with svm_ or SVM_, and it is a function of the wish alone.

import type { ProgramVariant } from '../device/device.ts'
import { addAccessors } from './accessors.ts'
import { type AttemptWish, addAttempt } from './attempt.ts'
import { addDirect } from './direct.ts'
import { addFaults } from './faults.ts'
import { type Proof, putProven } from './proven.ts'
import { addResident } from './resident.ts'
import { addSteady } from './steady.ts'
import { addStrides } from './strides.ts'
import { addWatch } from './watch.ts'
import { Pieces } from './wgsl-text.ts'
import { addWords } from './words.ts'

export interface PreludeWish extends AttemptWish {
  readonly variant: ProgramVariant
  readonly pools: 1 | 2 | 4 | 8
  readonly atomicPools: boolean
  readonly pageShift: number
  /** What goes wrong in it keeps others from running. */
  readonly chained: boolean
  /** Of the resident variant: a store to a clean page leaves a mark of the page. */
  readonly marks: boolean
  readonly proof: Proof
  /** Accesses are noted in the shadow (debug). */
  readonly watch: boolean
  /** Of accesses that are made in words. */
  readonly elements: readonly string[]
}

/** The declarations that these texts need. */
export function preludeText(wish: PreludeWish, ...users: readonly string[]): string {
  const pieces = new Pieces()
  addAccessors(pieces, wish.addressBits, wish.variant, wish.proof === 'paged')
  addStrides(pieces, wish.addressBits, wish.proof !== 'none', ...wish.elements, ...users)
  addFaults(pieces, wish)
  addWords(pieces, wish.pools, wish.atomicPools)
  if (wish.variant === 'attempt') addAttempt(pieces, wish)
  else
    addSteady(pieces, {
      ...wish,
      fuelled: wish.variant === 'sealed' && wish.workgroupFlag,
      resolves: wish.elements.some((text) => text.includes('fn svm_resolve(')),
    })
  if (wish.variant === 'direct') addDirect(pieces, wish.addressBits)
  else if (wish.variant !== 'attempt') addResident(pieces, wish.marks)
  if (wish.proof !== 'none') putProven(pieces, wish)
  pieces.addAll(wish.elements)
  if (wish.watch) addWatch(pieces, wish, ...users)
  return pieces.link(...users)
}
