// What an expression of a kernel can be: a range of integers, a truth, or several of these; and what nothing is known of.
//
// Always: what has no range is 'unknown', which is never taken for a number. `anyLike` keeps the shape of a value and forgets the rest.

import type { ArgumentLayout } from './program.ts'
import { anyOf, constantOf, join, type Range, type RangeType, retyped } from './ranges.ts'

export type Value =
  | Range
  /** Null: it may be either. */
  | { readonly kind: 'truth'; readonly truth: boolean | null }
  | { readonly kind: 'vector'; readonly parts: readonly Value[] }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, Value> }
  /** All of the first `length` elements are within `each`; what lies outside of an array can be anything. */
  | { readonly kind: 'array'; readonly each: Value; readonly length: number }
  | { readonly kind: 'unknown' }

export const UNKNOWN: Value = { kind: 'unknown' }
export const EITHER: Value = { kind: 'truth', truth: null }

/** The type of a vector's components as its name tells it, and how many it has. */
export function vectorType(type: string): { readonly width: number; readonly part: string } | null {
  const found = /^vec([234])(?:<(.+)>|([iufh]))?$/.exec(type)
  if (found === null) return null
  const short = { i: 'i32', u: 'u32', f: 'f32', h: 'f16' }[found[3] as 'i' | 'u' | 'f' | 'h']
  return { width: Number(found[1]), part: found[2] ?? short ?? '' }
}

export function isRangeType(type: string): type is 'u32' | 'i32' {
  return type === 'u32' || type === 'i32'
}

/** Anything that has the type. @param fieldsOf the members of a struct; null: it is none */
export function anyOfType(type: string, fieldsOf: (type: string) => ReadonlyMap<string, string> | null): Value {
  if (isRangeType(type)) return anyOf(type)
  if (type === 'svm_ptr') return anyOf('ptr')
  if (type === 'bool') return EITHER
  const vector = vectorType(type)
  if (vector !== null) return { kind: 'vector', parts: new Array<Value>(vector.width).fill(anyOfType(vector.part, fieldsOf)) }
  const element = /^array<(.*?)(?:,[^,>]*)?>$/.exec(type)?.[1]
  if (element !== undefined) return { kind: 'array', each: anyOfType(element, fieldsOf), length: 0 }
  const fields = fieldsOf(type)
  if (fields === null) return UNKNOWN
  return { kind: 'struct', fields: new Map([...fields].map(([name, inner]) => [name, anyOfType(inner, fieldsOf)])) }
}

/** Anything of the same shape. */
export function anyLike(value: Value): Value {
  switch (value.kind) {
    case 'range':
      // A literal that is changed was an i32.
      return anyOf(value.type === 'int' ? 'i32' : value.type)
    case 'truth':
      return EITHER
    case 'vector':
      return { kind: 'vector', parts: value.parts.map(anyLike) }
    case 'struct':
      return { kind: 'struct', fields: new Map([...value.fields].map(([name, inner]) => [name, anyLike(inner)])) }
    case 'array':
      return { kind: 'array', each: anyLike(value.each), length: value.length }
    case 'unknown':
      return value
  }
}

/** What is one of the two. */
export function either(a: Value, b: Value): Value {
  if (a === b) return a
  if (a.kind === 'range' && b.kind === 'range') {
    const type = commonType(a.type, b.type)
    return type === null ? UNKNOWN : join({ ...a, type }, { ...b, type })
  }
  if (a.kind === 'truth' && b.kind === 'truth') return a.truth === b.truth ? a : EITHER
  if (a.kind === 'vector' && b.kind === 'vector' && a.parts.length === b.parts.length) {
    return { kind: 'vector', parts: a.parts.map((part, n) => either(part, b.parts[n] as Value)) }
  }
  if (a.kind === 'array' && b.kind === 'array') return { kind: 'array', each: either(a.each, b.each), length: Math.min(a.length, b.length) }
  if (a.kind === 'struct' && b.kind === 'struct') {
    return { kind: 'struct', fields: new Map([...a.fields].map(([name, value]) => [name, either(value, b.fields.get(name) ?? UNKNOWN)])) }
  }
  return UNKNOWN
}

/** A literal takes the type of what it meets. Null: these do not meet. */
export function commonType(a: RangeType, b: RangeType): RangeType | null {
  if (a === b) return a
  return a === 'int' ? b : b === 'int' ? a : null
}

/** Values that have one type: a literal has that of the others. */
export function alike(values: readonly Value[]): Value[] {
  const shape = values.reduce(either)
  return values.map((value) => conform(value, shape))
}

/** What a `let` or a `var` without a type holds: literals are i32. */
export function held(value: Value): Value {
  switch (value.kind) {
    case 'range':
      return value.type === 'int' ? (retyped(value, 'i32') ?? UNKNOWN) : value
    case 'vector':
      return { kind: 'vector', parts: value.parts.map(held) }
    case 'array':
      return { kind: 'array', each: held(value.each), length: value.length }
    default:
      return value
  }
}

/** The value in a place of this shape: literals take the place's type. What does not fit may be anything that does. */
export function conform(value: Value, place: Value): Value {
  if (place.kind === 'unknown') return value.kind === 'range' && value.type !== 'int' ? value : value.kind === 'truth' ? value : UNKNOWN
  if (value.kind === 'range' && place.kind === 'range') {
    if (value.type === place.type) return value
    return (value.type === 'int' ? retyped(value, place.type) : null) ?? anyLike(place)
  }
  if (value.kind === 'vector' && place.kind === 'vector' && value.parts.length === place.parts.length) {
    return { kind: 'vector', parts: value.parts.map((part, n) => conform(part, place.parts[n] as Value)) }
  }
  if (value.kind === 'array' && place.kind === 'array') return { kind: 'array', each: conform(value.each, place.each), length: value.length }
  if (value.kind === 'struct' && place.kind === 'struct') {
    const inner = [...place.fields].map(([name, field]): [string, Value] => [name, conform(value.fields.get(name) ?? UNKNOWN, field)])
    return { kind: 'struct', fields: new Map(inner) }
  }
  return value.kind === 'truth' && place.kind === 'truth' ? value : anyLike(place)
}

const SCALARS = /^(svm_ptr|u32|i32|f32)$/

/** The launch's arguments, as what they are. @param exact false: only pointers are known */
export function argumentValues({ fields, addressBits }: ArgumentLayout, args: Uint8Array, exact: boolean): Value {
  const view = new DataView(args.buffer, args.byteOffset, args.byteLength)
  const scalar = (type: string, offset: number): Value => {
    if (!exact && type !== 'svm_ptr') return anyOfType(type, () => null)
    if (type === 'u32') return constantOf('u32', view.getUint32(offset, true))
    if (type === 'i32') return constantOf('i32', view.getInt32(offset, true))
    if (type !== 'svm_ptr') return UNKNOWN
    return constantOf('ptr', view.getUint32(offset, true) + (addressBits === 64 ? view.getUint32(offset + 4, true) * 2 ** 32 : 0))
  }
  const values = fields.map(({ name, type, offset }): [string, Value] => {
    if (SCALARS.test(type)) return [name, scalar(type, offset)]
    const vector = vectorType(type)
    if (vector === null) return [name, anyOfType(type, () => null)]
    return [name, { kind: 'vector', parts: Array.from({ length: vector.width }, (_, n) => scalar(vector.part, offset + 4 * n)) }]
  })
  return { kind: 'struct', fields: new Map(values) }
}
