// Elements of arrays: accesses whose address is svm_index of a pointer with a stride that is known, as in `svm_load_f32(svm_index(args.table, i, 4u))`.
//
// In the direct variant of a 32-bit space the way to an element is made in words: the place of element 0, and the index. There is no product, no sum that may
// leave the space, and no shift back from bytes; and where accesses are looked at, one comparison of the index tells whether it lies in the window. Where each
// invocation holds the arguments (held.ts), it holds the places of their arrays as well.
//
// Always: a special name has no more letters than the accessor's, takes the arguments of svm_index and then its own, and does the same for each of them.

import type { AddressBits } from './addresses.ts'
import type { SourceModule, VariableDeclaration } from './module.ts'
import type { ArgumentLayout } from './program.ts'
import { provenShift } from './proven.ts'
import { closingOf, splitAtCommas } from './scanner.ts'
import { badKind } from './steady.ts'
import { namesInside, shiftOf, strideName, strideOf } from './strides.ts'

const ACCESSOR = /^svm_(load|store)_(ptr|(?:vec([234])_)?[uif]32)$/
const NAME = /\bsvm_([ls])[0-9a-z]{2}_/g
/** What two letters can tell. */
const KINDS_MAX = 36 ** 2
/** Above the kind of a bad access: the number of the array plus 1, while svm_bad_address is an index. */
const ARRAY_SHIFT = 16

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
    if (tokens[close + 1]?.text !== (verb === 'load' ? ')' : ',')) continue
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

/** The arrays of a module, as pieces, with what each invocation must make of them before. */
export interface ElementTexts {
  readonly prologue: readonly string[]
  readonly pieces: readonly string[]
}

export interface ElementTextWish {
  /** No access need be looked at. */
  readonly proven: boolean
  /** The variable with the arguments that each invocation holds, if it does. */
  readonly held: string | null
}

/** Whether an access can be made in words: where it is looked at only with what is held, and for strides that are shifts. */
export function isElement({ field, words, stride }: ElementKind, { proven, held }: ElementTextWish): boolean {
  return proven || (held !== null && field !== null && words <= stride && shiftOf(stride) !== null)
}

/** @param kinds for which `isElement` */
export function elementTexts(kinds: readonly ElementKind[], { proven, held }: ElementTextWish): ElementTexts {
  const arrays = kinds.map((kind, n) => (proven ? provenTexts(kind, held) : checkedTexts(kind, n, held as string)))
  const texts = { prologue: [...new Set(arrays.flatMap(({ prologue }) => prologue))], pieces: [...new Set(arrays.flatMap(({ pieces }) => pieces))] }
  if (proven || kinds.length === 0) return texts
  return { prologue: texts.prologue, pieces: [SPAN, ...texts.pieces, refused(kinds, held as string)] }
}

function provenTexts(kind: ElementKind, held: string | null): ElementTexts {
  const { field, stride } = kind
  const first = held === null || field === null ? `(p >> 2u) + ${provenShift}` : `svm_first_${field}`
  const at = `${first} + ${wordsOf(stride)}`
  const texts = accessText(kind, [], at, at)
  if (held === null || field === null) return { prologue: [], pieces: [texts] }
  return { prologue: [`${first} = (${held}.${field} >> 2u) + ${provenShift};`], pieces: [`var<private> ${first}: u32;`, texts] }
}

/** Which elements lie in the window, or in its part that may be stored to: the first one, and their number. */
const SPAN = `fn svm_span(p: svm_ptr, start: u32, words: u32, shift: u32, access: u32) -> vec2<u32> {
  let at = p >> 2u;
  let element = 1u << shift;
  let first = (max(start, at) - at + (element - 1u)) >> shift;
  let end = (max(start + words, at) - at + (element - access)) >> shift;
  return vec2<u32>(first, select(0u, max(first, end) - first, (p & 3u) == 0u));
}`

function checkedTexts(kind: ElementKind, number: number, held: string): ElementTexts {
  const { field, verb, words, stride } = kind
  const [first, length, place, dirty] = ['first', 'length', 'place', 'dirty'].map((what) => `svm_${what}${number}`)
  const start = 'svm_window_start >> 2u'
  const part = verb === 'load' ? `${start}, svm_window_words` : `(${start}) + svm_writable_from, svm_writable_words`
  const prologue = [
    `let svm_span${number} = svm_span(${held}.${field}, ${part}, ${shiftOf(stride)}u, ${words}u);`,
    `${first} = svm_span${number}.x;`,
    `${length} = svm_span${number}.y;`,
    `${place} = svm_window_place + (${held}.${field} >> 2u) - (${start}) + (svm_span${number}.x << ${shiftOf(stride)}u);`,
    ...(verb === 'load' ? [] : [`${dirty} = ${place} - svm_window_place - svm_dirty_from;`]),
  ]
  const kindOfBad = `${((number + 1) << ARRAY_SHIFT) >>> 0}u | ${badKind(verb === 'load' ? 'SVM_LOAD' : 'SVM_STORE', '3u')}`
  const right = [`let right = i - ${first} < ${length};`, `svm_check(i, ${kindOfBad}, right);`]
  const at = `${place} + ${wordsOf(stride).replace('i', `(i - ${first})`)}`
  const stored = [
    `let stored = ${dirty} + ${wordsOf(stride).replace('i', `(i - ${first})`)};`,
    `svm_stored = max(svm_stored, ${words === 1 ? 'stored' : `max(stored, stored + ${words - 1}u)`});`,
  ]
  const texts = accessText(
    kind,
    verb === 'load' ? right : [...right, ...stored],
    `select(SVM_ZERO, ${at}, right)`,
    `select(SVM_SINK, ${at}, svm_bad_kind == 0u)`,
  )
  const variables = [first, length, place, ...(verb === 'load' ? [] : [dirty])].map((name) => `var<private> ${name}: u32;`)
  return { prologue, pieces: [...variables, texts] }
}

/** The address of the bad access, of which its index was kept. */
function refused(kinds: readonly ElementKind[], held: string): string {
  const addresses = kinds.map(
    ({ field, stride }, n) => `
  a = select(a, ${strideName(stride * 4)}(${held}.${field}, svm_bad_address, ${stride * 4}u), array == ${n + 1}u);`,
  )
  return `fn svm_resolve() {
  let array = svm_bad_kind >> ${ARRAY_SHIFT}u;
  var a = svm_bad_address;${addresses.join('')}
  svm_bad_address = a;
  svm_bad_kind &= ${2 ** ARRAY_SHIFT - 1}u;
}`
}

function wordsOf(stride: number): string {
  const shift = shiftOf(stride)
  return shift === null ? `i * ${stride}u` : shift === 0 ? 'i' : `(i << ${shift}u)`
}

function accessText({ name, verb, type, words }: ElementKind, before: readonly string[], loadAt: string, storeAt: string): string {
  const value = type === 'ptr' ? 'u32' : words === 1 ? type : type.replace(/^(vec.)_(.*)$/, '$1<$2>')
  const bits = words === 1 ? 'u32' : `vec${words}<u32>`
  const as = (to: string, text: string) => (value === bits ? text : `bitcast<${to}>(${text})`)
  const lines = before.map((line) => `${line}\n  `).join('')
  const many = words === 1 ? '' : String(words)
  if (verb === 'load')
    return `fn ${name}(p: svm_ptr, i: u32, stride: u32) -> ${value} {\n  ${lines}return ${as(value, `svm_word${many === '' ? '' : `s${many}`}(${loadAt})`)};\n}`
  return `fn ${name}(p: svm_ptr, i: u32, stride: u32, value: ${value}) {\n  ${lines}svm_set_word${many === '' ? '' : `s${many}`}(${storeAt}, ${as(bits, 'value')});\n}`
}
