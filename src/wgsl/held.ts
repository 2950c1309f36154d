// Arguments that each invocation holds in a variable of its own, read once: a software device goes to memory for a uniform at every mention, in a loop at every turn.
//
// Always: the variable has the author's name, and nobody assigns to it. What is read of it is uniform for nobody who checks that, so a kernel whose
// invocations meet keeps the uniform itself.

import type { Behaviour, Loop } from './analyse.ts'
import type { SourceModule, VariableDeclaration } from './module.ts'

/** The uniform from which it is filled. */
export const ARGUMENTS = 'svm_arguments'

/** More are not held: all are read, whoever needs them. */
const HELD_BYTES_MAX = 64

/** True where the arguments are better held than read where they are mentioned: in a loop. Elsewhere to fill the variable costs as much as it saves, or more. */
export function isHeld(module: SourceModule, args: VariableDeclaration, byteLength: number, { behaviour, loops }: HeldWish): boolean {
  if (behaviour.barriers || behaviour.subgroups || behaviour.collectives || byteLength > HELD_BYTES_MAX) return false
  const { tokens } = module
  const isMention = (at: number) => tokens[at]?.text === args.name && tokens[at - 1]?.text !== '.'
  // A pointer to a uniform is of another type. (An `and` of bits looks like one.)
  const isPointedTo = (at: number): boolean => tokens[at - 1]?.text === '&' || (tokens[at - 1]?.text === '(' && isPointedTo(at - 1))
  if (tokens.some((_, at) => isMention(at) && isPointedTo(at))) return false
  return loops.some(({ owner, range }) => behaviour.reachable.has(owner) && tokens.some((_, at) => at >= range.start && at < range.end && isMention(at)))
}

export interface HeldWish {
  readonly behaviour: Behaviour
  readonly loops: readonly Loop[]
}

/** The uniform, in place of the author's declaration of it. */
export function heldDeclaration({ type }: VariableDeclaration, group: number, binding: number): string {
  return `@group(${group}) @binding(${binding}) var<uniform> ${ARGUMENTS}: ${type};`
}

/** The first statement of the entry point. */
export function heldPrologue({ name }: VariableDeclaration): string {
  return `${name} = ${ARGUMENTS};`
}
