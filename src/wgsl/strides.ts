// svm_index with a stride that is known when the kernel is built, which it mostly is: a shift and a comparison in place of a division.
//
// Compilers fold the division by a literal too, but those of software devices know little more than arithmetic, and divide in every work-item. Always: the
// special name has as many letters as `svm_index`, takes the same arguments, and gives the same address for each of them.

import type { AddressBits } from './addresses.ts'
import { evaluateInteger } from './evaluate.ts'
import type { SourceModule } from './module.ts'
import { provenIndex } from './proven.ts'
import { closingOf, splitAtCommas } from './scanner.ts'
import type { Pieces } from './wgsl-text.ts'

const INDEX = 'svm_index'
const NAME = /\bsvm_at_([0-9a-z]{2})\b/g
/** What two letters can tell. */
const STRIDE_MAX = 36 ** 2 - 1

export function strideName(stride: number): string {
  return `svm_at_${stride.toString(36).padStart(2, '0')}`
}

/** Of a special name. */
export function strideOf(name: string): number {
  return Number.parseInt(name.slice(-2), 36)
}

/** The calls of svm_index that have a name of their own, by their tokens. @param known constants that the translation declares */
export function knownStrides(
  module: SourceModule,
  constants: Readonly<Record<string, number>>,
  known: ReadonlyMap<string, number>,
): ReadonlyMap<number, string> {
  const { tokens } = module
  const local = namesInside(module)
  const found = new Map<number, string>()
  tokens.forEach(({ text }, at) => {
    if (text !== INDEX || tokens[at + 1]?.text !== '(') return
    const parts = splitAtCommas(tokens, at + 2, closingOf(tokens, at + 1))
    const [, , stride] = parts
    if (parts.length !== 3 || stride === undefined) return
    if (tokens.slice(stride.start, stride.end).some((token) => local.has(token.text))) return
    const value = evaluateInteger(module, stride, constants, known)
    if (value !== undefined && value > 0 && value <= STRIDE_MAX) found.set(at, strideName(value))
  })
  return found
}

/** Names that a function declares for itself: there they may hide a constant of the module. */
export function namesInside({ tokens, functions }: SourceModule): ReadonlySet<string> {
  const names = new Set(functions.flatMap(({ parameters }) => parameters.map(({ name }) => name)))
  for (const { body } of functions) {
    for (let i = body.start; i < body.end; i++) {
      const before = tokens[i - 1]?.text ?? ''
      if (tokens[i]?.kind === 'word' && (/^(let|const|var)$/.test(before) || (before === '>' && tokens[i - 4]?.text === 'var')))
        names.add(tokens[i]?.text ?? '')
    }
  }
  return names
}

/** The functions of the special names that these texts call. @param proven none of these addresses leaves the space */
export function addStrides(pieces: Pieces, bits: AddressBits, proven: boolean, ...users: readonly string[]): void {
  const strides = new Set(users.flatMap((text) => [...text.matchAll(NAME)].map(([, digits]) => Number.parseInt(digits ?? '', 36))))
  for (const stride of strides)
    pieces.add(
      `fn ${strideName(stride)}(p: svm_ptr, i: u32, stride: u32) -> svm_ptr {${proven ? unchecked(bits, stride) : bits === 32 ? narrow(stride) : wide(stride)}\n}`,
    )
}

function unchecked(bits: AddressBits, stride: number): string {
  const shift = shiftOf(stride)
  const words = shift === null ? `i * ${stride}u` : shift === 0 ? 'i' : `(i << ${shift}u)`
  return ` ${provenIndex(bits, bits === 32 ? words : `vec2<u32>(${words}, ${highOf(stride)})`)}`
}

/** The exponent of a power of two, else null. */
export function shiftOf(stride: number): number | null {
  const shift = Math.log2(stride)
  return Number.isInteger(shift) ? shift : null
}

/** p + i * stride leaves 32 bits just where i exceeds the quotient of what is left above p. */
function narrow(stride: number): string {
  const shift = shiftOf(stride)
  if (shift === 0) return '\n  let q = p + i;\n  return select(q, SVM_NOWHERE, q < p);'
  if (shift !== null) return `\n  return select(p + (i << ${shift}u), SVM_NOWHERE, i > (~p >> ${shift}u));`
  return `\n  let q = p + i * ${stride}u;\n  return select(q, SVM_NOWHERE, (i > ${Math.floor(0xffffffff / stride)}u) | (q < p));`
}

/** The high word of i times the stride, which has few bits: the two halves of i times it fit a word each. */
function highOf(stride: number): string {
  const shift = shiftOf(stride)
  if (shift === 0) return '0u'
  return shift !== null ? `(i >> ${32 - shift}u)` : `(((i >> 16u) * ${stride}u + (((i & 0xffffu) * ${stride}u) >> 16u)) >> 16u)`
}

function wide(stride: number): string {
  const shift = shiftOf(stride)
  const bytes = shift === null ? `i * ${stride}u` : shift === 0 ? 'i' : `(i << ${shift}u)`
  return `
  let q = p.x + ${bytes};
  let high = p.y + ${highOf(stride)} + select(0u, 1u, q < p.x);
  return select(vec2<u32>(q, high), SVM_NOWHERE, (p.y | high) > 0xffffu);`
}
