// The WGSL of accesses to elements of arrays (elements.ts), as pieces, and what each invocation must make of its arrays before.
//
//   direct   the place of element 0, and the index. Looked at: the index lies in the window, or in its part that may be stored to.
//   table    the word of element 0, and the index: the way from an address to its place, without its bytes. Looked at: the entry, and that the index stays in the space.
//
// Always: of a bad access the index is kept in svm_bad_address, and the number of the array above its kind, until the report makes an address of them.

import type { ElementKind } from './elements.ts'
import { provenShift } from './proven.ts'
import { noteStore } from './resident.ts'
import { badKind } from './steady.ts'
import { shiftOf, strideName } from './strides.ts'

/** Above the kind of a bad access: the number of its array, plus 1. */
const ARRAY_SHIFT = 16

export interface ElementTexts {
  /** Statements at the start of the entry point. */
  readonly prologue: readonly string[]
  readonly pieces: readonly string[]
}

export interface ElementTextWish {
  readonly way: 'direct' | 'table'
  /** What is known of all accesses: see Proof. */
  readonly proof: 'none' | 'placed' | 'paged'
  /** By table: stores to clean pages leave marks of them. */
  readonly marks: boolean
  /** The variable with the arguments. */
  readonly args: string
  /** Each invocation holds them in a variable of its own, and what is made of them too. */
  readonly held: boolean
}

/**
 * Whether an access can be made in words. By table only a word can, or what never crosses the end of a page; where it is looked at only an array that is an
 * argument, with a stride that is a shift, and by the window only one that is held: else there would be more to do than to save.
 */
export function isElement({ field, words, stride }: ElementKind, { way, proof, held }: ElementTextWish): boolean {
  if (way === 'table' && words > 1 && proof !== 'paged') return false
  return proof !== 'none' || (field !== null && words <= stride && shiftOf(stride) !== null && (held || way === 'table'))
}

/** @param kinds for which `isElement` */
export function elementTexts(kinds: readonly ElementKind[], wish: ElementTextWish): ElementTexts {
  if (kinds.length === 0) return { prologue: [], pieces: [] }
  const { way, proof } = wish
  const arrays = arraysOf(kinds)
  const fields = [...new Set(kinds.map(({ field }) => field))]
  const texts = kinds.map((kind, number) => {
    // Numbers, not the author's names: those may have any letters.
    const variable = `svm_first_${fields.indexOf(kind.field)}`
    if (proof !== 'none') return provenTexts(kind, wish, variable)
    const bad = kindOfBad(kind, arrays)
    return way === 'direct' ? windowTexts(kind, wish, bad, number) : entryTexts(kind, wish, bad, variable)
  })
  const common = way === 'table' ? tableTexts(wish) : proof === 'none' ? [SPAN] : []
  const pieces = [...common, ...texts.flatMap((text) => text.pieces), ...(proof === 'none' ? [resolveText(arrays, wish)] : [])]
  return { prologue: [...new Set(texts.flatMap(({ prologue }) => prologue))], pieces: [...new Set(pieces)] }
}

type ElementArray = Pick<ElementKind, 'field' | 'stride'>

/** Each array once; those with one stride follow each other. */
function arraysOf(kinds: readonly ElementKind[]): readonly ElementArray[] {
  const arrays: ElementArray[] = []
  for (const kind of kinds) if (!arrays.some((array) => isOf(kind, array))) arrays.push(kind)
  return arrays.sort((a, b) => a.stride - b.stride)
}

function isOf({ field, stride }: ElementKind, array: ElementArray): boolean {
  return array.field === field && array.stride === stride
}

/** Nothing is looked at. @param variable where the place of its element 0 is held */
function provenTexts(kind: ElementKind, { way, args, held }: ElementTextWish, variable: string): ElementTexts {
  const { field, stride } = kind
  const first = (pointer: string) => (way === 'direct' ? `(${pointer} >> 2u) + ${provenShift}` : `${pointer} >> 2u`)
  const holds = held && field !== null
  const word = `${holds ? variable : `(${first('p')})`} + ${wordsOf(stride)}`
  const access = accessText(kind, [], way === 'direct' ? word : `svm_element_way(${word})`, way === 'direct' ? word : `svm_element_way_out(${word})`)
  if (!holds) return { prologue: [], pieces: [access] }
  return { prologue: [`${variable} = ${first(`${args}.${field}`)};`], pieces: [`var<private> ${variable}: u32;`, access] }
}

/** Which elements lie in a part of the window: the first one, and their number. */
const SPAN = `fn svm_span(p: svm_ptr, start: u32, words: u32, shift: u32, access: u32) -> vec2<u32> {
  let at = p >> 2u;
  let element = 1u << shift;
  let first = (max(start, at) - at + (element - 1u)) >> shift;
  let end = (max(start + words, at) - at + (element - access)) >> shift;
  return vec2<u32>(first, select(0u, max(first, end) - first, (p & 3u) == 0u));
}`

/** By the window. */
function windowTexts(kind: ElementKind, { args }: ElementTextWish, bad: string, number: number): ElementTexts {
  const { field, verb, words, stride } = kind
  const [first, length, place, dirty] = ['first', 'length', 'place', 'dirty'].map((what) => `svm_${what}${number}`)
  const start = 'svm_window_start >> 2u'
  const part = verb === 'load' ? `${start}, svm_window_words` : `(${start}) + svm_writable_from, svm_writable_words`
  const prologue = [
    `let svm_span${number} = svm_span(${args}.${field}, ${part}, ${shiftOf(stride)}u, ${words}u);`,
    `${first} = svm_span${number}.x;`,
    `${length} = svm_span${number}.y;`,
    `${place} = svm_window_place + (${args}.${field} >> 2u) - (${start}) + (svm_span${number}.x << ${shiftOf(stride)}u);`,
    ...(verb === 'load' ? [] : [`${dirty} = ${place} - svm_window_place - svm_dirty_from;`]),
  ]
  const before = [
    `let n = i - ${first};`,
    `let right = n < ${length};`,
    `svm_check(i, ${bad}, right);`,
    ...(verb === 'load'
      ? []
      : [
          `let stored = ${dirty} + ${wordsOf(stride, 'n')};`,
          `svm_stored = max(svm_stored, ${words === 1 ? 'stored' : `max(stored, stored + ${words - 1}u)`});`,
        ]),
  ]
  const at = `${place} + ${wordsOf(stride, 'n')}`
  const access = accessText(kind, before, `select(SVM_ZERO, ${at}, right)`, `select(SVM_SINK, ${at}, svm_bad_kind == 0u)`)
  return { prologue, pieces: [...[first, length, place, ...(verb === 'load' ? [] : [dirty])].map((name) => `var<private> ${name}: u32;`), access] }
}

const TURNED = 'fn svm_turned(p: svm_ptr) -> u32 { return (p >> 2u) | (p << 30u); }'

/** By the entry of its page. */
function entryTexts(kind: ElementKind, { args, held }: ElementTextWish, bad: string, first: string): ElementTexts {
  const { field, stride } = kind
  const pointer = held ? `${args}.${field}` : 'p'
  // Elements whose first word lies in the space; none where the pointer is not one to words.
  const count = `(0x40000000u - (${pointer} >> 2u) + ${stride - 1}u) >> ${shiftOf(stride)}u`
  const aligned = `(${pointer} & 3u) == 0u`
  const call = (verb: string, from: string, within: string) => `svm_element_${verb}(i, ${from} + ${wordsOf(stride)}, ${within}, ${bad})`
  const access = (from: string, within: string) => accessText(kind, [], call('load', from, within), call('store', from, within))
  if (!held) {
    // Turned around, a pointer that is none to words lies beyond the space; and a sum of words that comes back into it is less than its parts.
    const within = stride === 1 ? '(svm_turned(p) + i >= svm_turned(p))' : `(i < (${count})) & (${aligned})`
    return { prologue: [], pieces: [TURNED, access('svm_turned(p)', within)] }
  }
  const room = `${first}_of_${stride}`
  const prologue = [`${first} = ${pointer} >> 2u;`, `${room} = select(0u, ${count}, ${aligned});`]
  return { prologue, pieces: [`var<private> ${first}: u32;`, `var<private> ${room}: u32;`, access(first, `i < ${room}`)] }
}

/** The same for all arrays: from a word's number in the space to its place. */
function tableTexts({ proof, marks }: ElementTextWish): string[] {
  const place = 'fn svm_element_place(e: u32, w: u32) -> u32 { return (e & SVM_PLACE_MASK) + w; }'
  const index = '(0xffffffffu >> SVM_PAGE_SHIFT) - (w >> (SVM_PAGE_SHIFT - 2u))'
  if (proof !== 'none') {
    return [
      place,
      `fn svm_element_way(w: u32) -> u32 { return svm_element_place(svm_table[${index}], w); }`,
      `fn svm_element_way_out(w: u32) -> u32 {
  let i = ${index};
  let e = svm_table[i];${marks ? '\n  if ((e & SVM_DIRTY) == 0u) { svm_mark_dirty(i); }' : ''}
  return svm_element_place(e, w);
}`,
    ]
  }
  // Beyond the space the difference is beyond the table.
  const clamped = `min(${index}, arrayLength(&svm_table) - 1u)`
  return [
    place,
    `fn svm_element_load(i: u32, w: u32, within: bool, kind: u32) -> u32 {
  let e = svm_table[${clamped}];
  let right = ((e & SVM_LOAD) != 0u) & within;
  svm_check(i, kind, right);
  return select(SVM_ZERO, svm_element_place(e, w), right);
}`,
    `fn svm_element_store(i: u32, w: u32, within: bool, kind: u32) -> u32 {
  let page = ${clamped};
  let e = svm_table[page];
  svm_check(i, kind, ((e & SVM_STORE) != 0u) & within);
  let allowed = svm_bad_kind == 0u;
  ${noteStore(marks, 'page', 'e')}
  return select(SVM_SINK, svm_element_place(e, w), allowed);
}`,
  ]
}

function kindOfBad(kind: ElementKind, arrays: readonly ElementArray[]): string {
  const number = arrays.findIndex((array) => isOf(kind, array)) + 1
  return `${number * 2 ** ARRAY_SHIFT}u | ${badKind(kind.verb === 'load' ? 'SVM_LOAD' : 'SVM_STORE', '3u')}`
}

/** The address of the bad access, of which the index was kept. Of the arrays with one stride the pointer is chosen first: a software device does all of this always. */
function resolveText(arrays: readonly ElementArray[], { args }: ElementTextWish): string {
  const addresses = [...new Set(arrays.map(({ stride }) => stride))].map((stride) => {
    const first = arrays.findIndex((array) => array.stride === stride)
    const alike = arrays.filter((array) => array.stride === stride)
    const pointer = alike.reduce((text, { field }, n) => (n === 0 ? `${args}.${field}` : `select(${text}, ${args}.${field}, array == ${first + n + 1}u)`), '')
    return `
  a = select(a, ${strideName(stride * 4)}(${pointer}, svm_bad_address, ${stride * 4}u), array - ${first + 1}u < ${alike.length}u);`
  })
  return `fn svm_resolve() {
  let array = svm_bad_kind >> ${ARRAY_SHIFT}u;
  var a = svm_bad_address;${addresses.join('')}
  svm_bad_address = a;
  svm_bad_kind &= ${2 ** ARRAY_SHIFT - 1}u;
}`
}

function wordsOf(stride: number, index = 'i'): string {
  const shift = shiftOf(stride)
  return shift === null ? `${index} * ${stride}u` : shift === 0 ? index : `(${index} << ${shift}u)`
}

function accessText({ name, verb, type, words }: ElementKind, before: readonly string[], loadAt: string, storeAt: string): string {
  const value = type === 'ptr' ? 'u32' : type.replace(/^(vec.)_(.*)$/, '$1<$2>')
  const bits = words === 1 ? 'u32' : `vec${words}<u32>`
  const as = (to: string, text: string) => (value === bits ? text : `bitcast<${to}>(${text})`)
  const access = words === 1 ? 'word' : `words${words}`
  const lines = before.map((line) => `\n  ${line}`).join('')
  if (verb === 'load') return `fn ${name}(p: svm_ptr, i: u32, stride: u32) -> ${value} {${lines}\n  return ${as(value, `svm_${access}(${loadAt})`)};\n}`
  return `fn ${name}(p: svm_ptr, i: u32, stride: u32, value: ${value}) {${lines}\n  svm_set_${access}(${storeAt}, ${as(bits, 'value')});\n}`
}
