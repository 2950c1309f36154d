// The functions that kernel authors call, as WGSL. The same for every variant: they are written over four verbs of the variant,
//
//   svm_reach_load(address, misaligned)         -> place of the word to read, or SVM_ZERO
//   svm_reach_store(address, misaligned)        -> place of the word to write, or SVM_SINK
//   svm_reach_exclusive(address, misaligned)    -> place for an atomic, or SVM_SINK
// Where no fault is possible they are told the bits of the address that must be 0 (and, where pages do not stand in order, whether it is SVM_NOWHERE), and
// svm_reach_load_wide and svm_reach_store_wide take a vector of so many words more than one.
//   svm_taint()                                 the invocation has seen what other workgroups may change
//
// and over the words of the pools (words.ts). A *place* is pool << 29 | word. Always: a refused load gives 0, a refused store changes no page, a
// refused atomic gives 0. SVM_NOWHERE, to which pointer arithmetic saturates, is refused by every accessor: it is misaligned for words, and bytes
// refuse it by value where its page might have an entry. In a 64-bit space svm_ptr is two words, and a pointer in memory is loaded as such.

import type { ProgramVariant } from '../device/device.ts'
import { type AddressBits, isNowhere, low, pointerTexts } from './addresses.ts'
import { Pieces } from './wgsl-text.ts'

const SCALARS = ['u32', 'i32', 'f32'] as const
const WIDTHS = [2, 3, 4] as const
/** Atomics that are the same bits for both signs. */
const SIGNLESS = ['add', 'sub', 'and', 'or', 'xor', 'exchange'] as const
const ORDERED = ['max', 'min'] as const

/** What a verb is told of an access that is aligned to so many bytes. */
function alignment(bits: AddressBits, variant: ProgramVariant, bytes: 1 | 2 | 4): string {
  const mask = `${bytes - 1}u`
  if (variant === 'direct') return mask
  if (variant !== 'attempt') return `${mask}, ${bytes === 1 ? isNowhere(bits, 'p') : 'false'}`
  return bytes === 1 ? isNowhere(bits, 'p') : `svm_misaligned(p, ${mask})`
}

function scalarAccessors(bits: AddressBits, variant: ProgramVariant): string[] {
  const word = alignment(bits, variant, 4)
  const half = alignment(bits, variant, 2)
  const byte = alignment(bits, variant, 1)
  const part = `(${low(bits, 'p')} & 3u) * 8u`
  const texts = [
    `fn svm_load_u32(p: svm_ptr) -> u32 { return svm_word(svm_reach_load(p, ${word})); }`,
    `fn svm_store_u32(p: svm_ptr, value: u32) { svm_set_word(svm_reach_store(p, ${word}), value); }`,
    `fn svm_load_ptr(p: svm_ptr) -> svm_ptr { return ${bits === 32 ? 'svm_load_u32' : 'svm_load_words2'}(p); }`,
    `fn svm_store_ptr(p: svm_ptr, value: svm_ptr) { ${bits === 32 ? 'svm_store_u32' : 'svm_store_words2'}(p, value); }`,
    `fn svm_load_u8(p: svm_ptr) -> u32 { return (svm_word(svm_reach_load(p, ${byte})) >> (${part})) & 0xffu; }`,
    `fn svm_load_u16(p: svm_ptr) -> u32 { return (svm_word(svm_reach_load(p, ${half})) >> (${part})) & 0xffffu; }`,
    `fn svm_store_u8(p: svm_ptr, value: u32) {
  let shift = ${part};
  svm_set_part(svm_reach_store(p, ${byte}), 0xffu << shift, (value & 0xffu) << shift);
}`,
    `fn svm_store_u16(p: svm_ptr, value: u32) {
  let shift = ${part};
  svm_set_part(svm_reach_store(p, ${half}), 0xffffu << shift, (value & 0xffffu) << shift);
}`,
    // Two idempotent steps: after any number of repetitions the part is the same, and neighbours never change.
    'fn svm_set_part(at: u32, mask: u32, bits: u32) { if (at != SVM_SINK) { svm_raw_and(at, ~mask); svm_raw_or(at, bits); } }',
  ]
  for (const type of ['i32', 'f32'] as const) {
    texts.push(
      `fn svm_load_${type}(p: svm_ptr) -> ${type} { return bitcast<${type}>(svm_load_u32(p)); }`,
      `fn svm_store_${type}(p: svm_ptr, value: ${type}) { svm_store_u32(p, bitcast<u32>(value)); }`,
    )
  }
  return texts
}

/** A vector is translated once. In an attempt one that crosses the end of a page goes word by word, in a loop to keep the module small. */
function wideAccessors(bits: AddressBits, variant: ProgramVariant, paged: boolean): string[] {
  const words = variant === 'attempt' ? straddlingWords : variant === 'direct' ? contiguousWords('svm_reach') : paged ? contiguousWords('svm_page') : endedWords
  return [
    `fn svm_straddles(p: svm_ptr, bytes: u32) -> bool { return (${low(bits, 'p')} & SVM_PAGE_MASK) > SVM_PAGE_MASK + 1u - bytes; }`,
    `fn svm_room(p: svm_ptr) -> u32 { return (SVM_PAGE_MASK + 1u - (${low(bits, 'p')} & SVM_PAGE_MASK)) >> 2u; }`,
    ...WIDTHS.flatMap(words),
    ...typedVectors(),
  ]
}

function straddlingWords(width: number): string[] {
  return [
    `fn svm_load_words${width}(p: svm_ptr) -> vec${width}<u32> {
  if (svm_straddles(p, ${width * 4}u)) {
    var words: vec${width}<u32>;
    for (var k = 0u; k < ${width}u; k++) { words[k] = svm_load_u32(svm_add(p, k * 4u)); }
    return words;
  }
  return svm_words${width}(svm_reach_load(p, svm_misaligned(p, 3u)));
}`,
    `fn svm_store_words${width}(p: svm_ptr, value: vec${width}<u32>) {
  if (svm_straddles(p, ${width * 4}u)) {
    for (var k = 0u; k < ${width}u; k++) { svm_store_u32(svm_add(p, k * 4u), value[k]); }
    return;
  }
  svm_set_words${width}(svm_reach_store(p, svm_misaligned(p, 3u)), value);
}`,
  ]
}

/** Both ends are translated, without a branch; a word between them lies in the page of the first while there is room. */
function endedWords(width: number): string[] {
  const places = Array.from({ length: width }, (_, k) =>
    k === 0 ? 'at.first' : k === width - 1 ? `at.last + ${k}u` : `select(at.first, at.last, svm_room(p) <= ${k}u) + ${k}u`,
  )
  return [
    `fn svm_load_words${width}(p: svm_ptr) -> vec${width}<u32> {
  let at = svm_reach_load_wide(p, ${width - 1}u);
  return vec${width}<u32>(${places.map((place) => `svm_word(${place})`).join(', ')});
}`,
    `fn svm_store_words${width}(p: svm_ptr, value: vec${width}<u32>) {
  let at = svm_reach_store_wide(p, ${width - 1}u);
  ${places.map((place, k) => `svm_set_word(${place}, value[${k}]);`).join('\n  ')}
}`,
  ]
}

/** Where pages stand in order a vector is so many words in a row, on whatever pages; and so it is where it lies in one. @param verb of the variant */
function contiguousWords(verb: string): (width: number) => string[] {
  return (width) => [
    `fn svm_load_words${width}(p: svm_ptr) -> vec${width}<u32> { return svm_words${width}(${verb}_load_wide(p, ${width - 1}u)); }`,
    `fn svm_store_words${width}(p: svm_ptr, value: vec${width}<u32>) { svm_set_words${width}(${verb}_store_wide(p, ${width - 1}u), value); }`,
  ]
}

function typedVectors(): string[] {
  return WIDTHS.flatMap((width) =>
    SCALARS.flatMap((type) => {
      const vector = `vec${width}<${type}>`
      return [
        `fn svm_load_vec${width}_${type}(p: svm_ptr) -> ${vector} { return bitcast<${vector}>(svm_load_words${width}(p)); }`,
        `fn svm_store_vec${width}_${type}(p: svm_ptr, value: ${vector}) { svm_store_words${width}(p, bitcast<vec${width}<u32>>(value)); }`,
      ]
    }),
  )
}

/** `atomic` is the function that authors call; `silent` the same without the taint, for calls whose result nobody uses. */
function atomicPair(word: string, name: string, type: string, parameters: string, raw: string, refused: string): string[] {
  const names = parameters
    .split(', ')
    .map((parameter) => parameter.split(':')[0])
    .join(', ')
  return [
    `fn svm_silent_${name}_${type}(p: svm_ptr, ${parameters}) -> ${type} {
  let at = svm_reach_exclusive(p, ${word});
  if (at == SVM_SINK) { return ${refused}; }
  return ${raw};
}`,
    `fn svm_atomic_${name}_${type}(p: svm_ptr, ${parameters}) -> ${type} { let old = svm_silent_${name}_${type}(p, ${names}); svm_taint(); return old; }`,
  ]
}

function atomicAccessors(bits: AddressBits, variant: ProgramVariant): string[] {
  const aligned = alignment(bits, variant, 4)
  const texts: string[] = []
  for (const type of ['u32', 'i32'] as const) {
    const word = (text: string) => (type === 'u32' ? text : `bitcast<u32>(${text})`)
    const back = (text: string) => (type === 'u32' ? text : `bitcast<i32>(${text})`)
    texts.push(
      `fn svm_atomic_load_${type}(p: svm_ptr) -> ${type} { let word = svm_word(svm_reach_load(p, ${aligned})); svm_taint(); return ${back('word')}; }`,
      `fn svm_silent_store_${type}(p: svm_ptr, value: ${type}) {
  let at = svm_reach_exclusive(p, ${aligned});
  if (at != SVM_SINK) { svm_set_word(at, ${word('value')}); }
}`,
      `fn svm_atomic_store_${type}(p: svm_ptr, value: ${type}) { svm_silent_store_${type}(p, value); }`,
    )
    // Who may not change the word goes on from what it is: then it asks for what it will need next.
    const refused = variant === 'attempt' ? back('svm_word(svm_peek)') : `${type}()`
    for (const name of SIGNLESS) texts.push(...atomicPair(aligned, name, type, `value: ${type}`, back(`svm_raw_${name}(at, ${word('value')})`), refused))
    for (const name of ORDERED) texts.push(...atomicPair(aligned, name, type, `value: ${type}`, `svm_raw_${name}_${type}(at, value)`, refused))
    const swap = back(`svm_raw_compare_exchange(at, ${word('expected')}, ${word('value')})`)
    texts.push(...atomicPair(aligned, 'compare_exchange', type, `expected: ${type}, value: ${type}`, swap, refused))
  }
  return texts
}

/** All of them, as pieces. @param paged no access of the kernel crosses the end of a page */
export function addAccessors(pieces: Pieces, bits: AddressBits, variant: ProgramVariant = 'attempt', paged = false): void {
  pieces.addAll([
    ...pointerTexts(bits),
    `fn svm_misaligned(p: svm_ptr, mask: u32) -> bool { return (${low(bits, 'p')} & mask) != 0u; }`,
    ...scalarAccessors(bits, variant),
    ...wideAccessors(bits, variant, paged),
    ...atomicAccessors(bits, variant),
  ])
}

/** Names that belong to the runtime alone, though they look like an accessor's. */
const INTERNAL = /^(svm_(silent_|set_part$|straddles$|room$|misaligned$|load_words|store_words|product$)|SVM_NOWHERE$)/
const BY_VARIANT = ['fn svm_barrier() { workgroupBarrier(); }', 'fn svm_faulted() -> bool { return false; }']

/** The names that an author may use: the same in both widths. */
export const PUBLIC_NAMES: ReadonlySet<string> = publicNames()

function publicNames(): Set<string> {
  const pieces = new Pieces()
  addAccessors(pieces, 32)
  pieces.addAll(BY_VARIANT)
  return new Set(pieces.names.filter((name) => !INTERNAL.test(name)))
}

/** Declarations of all public names with empty bodies, in which svm_ptr is a type of its own. Editors and the pointer check read it. */
export function stubText(bits: AddressBits): string {
  const pieces = new Pieces()
  addAccessors(pieces, bits)
  const stubs = pieces.names.filter((name) => PUBLIC_NAMES.has(name)).map((name) => stub(pieces.text(name) as string))
  return [...stubs, ...BY_VARIANT].join('\n')
}

/** The file svm.wgsl: for editors and analysers, never for a device. */
export function stubFile(): string {
  return `// The functions of webgpu-svm's runtime, with empty bodies: for editors and analysers. The library replaces them when it builds a kernel.
// Printed from src/wgsl/accessors.ts; a test keeps the two together.

${stubText(32)}
`
}

function stub(text: string): string {
  if (text.startsWith('alias svm_ptr')) return text.includes('vec2') ? 'struct svm_ptr { low: u32, high: u32 }' : 'struct svm_ptr { address: u32 }'
  if (!text.startsWith('fn ')) return text
  const header = text.slice(0, text.indexOf('{')).trim()
  const returned = /-> (.*)$/.exec(header)?.[1]
  return returned === undefined ? `${header} {}` : `${header} { return ${returned}(); }`
}
