// Elements of arrays: accesses whose address is svm_index of a pointer with a stride that is known, as in `svm_load_f32(svm_index(args.table, i, 4u))`.
//
// In a 32-bit space, where no fault is possible, the way to an element is made in words (element-texts.ts). There is no shift to bytes and back, and no sum that
// may leave the space; where accesses are looked at, one comparison of the index is all that is asked of it.
//
// Always: a special name has no more letters than the accessor's, takes the arguments of svm_index and then its own, and does the same for each of them.

import type { AddressBits } from './addresses.ts'
import type { SourceModule, VariableDeclaration } from './module.ts'
import type { ArgumentLayout } from './program.ts'
import { closingOf, splitAtCommas } from './scanner.ts'
import { namesInside, strideOf } from './strides.ts'

const ACCESSOR = /^svm_(load|store)_(ptr|(?:vec([234])_)?[uif]32)$/
const NAME = /\bsvm_([ls])[0-9a-z]{2}_(?=ptr\b|(?:vec[234]_)?[uif]32\b)/g
/** What two letters can tell. */
const KINDS_MAX = 36 ** 2

/** A way of accessing an array; calls that are alike share one. */
export interface ElementKind {
  readonly name: string
  readonly verb: 'load' | 'store'
  /** 'u32', 'vec4_f32', 'ptr'. */
  readonly type: string
  /** Words of an access, and from one element to the next. */
  readonly words: number
  readonly stride: number
  /** The argument that the pointer is; null: something else. */
  readonly field: string | null
}

/** A call, by its tokens: the accessor's name, the name svm_index, its opening and its closing parenthesis. */
export interface ElementAccess {
  readonly kind: ElementKind
  readonly accessor: number
  readonly index: number
  readonly close: number
}

/** A text with the author's names again. */
export function withoutElements(text: string): string {
  return text.replace(NAME, (_, verb) => (verb === 'l' ? 'svm_load_' : 'svm_store_'))
}

export interface ElementWish {
  readonly addressBits: AddressBits
  readonly args: VariableDeclaration | null
  readonly layout: ArgumentLayout
  /** The names of calls of svm_index whose stride is known, by their tokens. */
  readonly strides: ReadonlyMap<number, string>
}

/** All of them, in the order of the text. */
export function elementAccesses(module: SourceModule, wish: ElementWish): readonly ElementAccess[] {
  if (wish.addressBits !== 32) return []
  const { tokens } = module
  const local = namesInside(module)
  const kinds = new Map<string, ElementKind>()
  const found: ElementAccess[] = []
  for (const [index, strideName] of wish.strides) {
    const accessor = index - 2
    const [, verb, type, width = '1'] = ACCESSOR.exec(tokens[accessor]?.text ?? '') ?? []
    if (verb === undefined || type === undefined || tokens[index - 1]?.text !== '(' || strideOf(strideName) % 4 !== 0) continue
    const close = closingOf(tokens, index + 1)
    // A comma at the end of a list would stand in the middle of the longer one.
    if (tokens[close - 1]?.text === ',') continue
    const field = argumentOf(module, wish, local, index)
    const like = { verb: verb as ElementKind['verb'], type, words: Number(width), stride: strideOf(strideName) / 4, field }
    const key = JSON.stringify(like)
    const number = kinds.get(key) === undefined ? kinds.size : -1
    if (number >= KINDS_MAX) break
    const kind = kinds.get(key) ?? { ...like, name: `svm_${verb.slice(0, 1)}${number.toString(36).padStart(2, '0')}_${type}` }
    kinds.set(key, kind)
    found.push({ kind, accessor, index, close })
  }
  return found
}

/** The member of the arguments that is the first argument of the call, if it is nothing but that. */
function argumentOf({ tokens }: SourceModule, { args, layout }: ElementWish, local: ReadonlySet<string>, index: number): string | null {
  const [pointer] = splitAtCommas(tokens, index + 2, closingOf(tokens, index + 1))
  if (args === null || pointer === undefined || pointer.end - pointer.start !== 3) return null
  const [whole, dot, member] = tokens.slice(pointer.start, pointer.end)
  if (whole?.text !== args.name || dot?.text !== '.' || local.has(args.name)) return null
  return layout.fields.some(({ name, type }) => name === member?.text && type === 'svm_ptr') ? (member?.text ?? null) : null
}
