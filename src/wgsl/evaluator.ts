// Expressions of a kernel over sets of values, for reading.ts: names, operators, built-in functions, and the runtime's accessors, which are what it is about.
//
// Always: the result holds whatever the expression can give. A function that is not known gives UNKNOWN, and touches nothing: only the runtime's functions do.

import { type AccessKind, type Extent, extentOf, Unbounded } from './extents.ts'
import type { FunctionDeclaration } from './module.ts'
import { anyOf, binary, complement, constantOf, isAny, isEqual, isLess, type Range, rangeOf, retyped } from './ranges.ts'
import type { Expression, Statement } from './syntax.ts'
import { alike, anyLike, anyOfType, commonType, conform, EITHER, either, isRangeType, UNKNOWN, type Value, vectorType } from './values.ts'

/** What a reading asks of the module. */
export interface Host {
  readonly bytesOfSpace: number
  readonly pointerBytes: number
  /** The value of a name of the module's; null: it has none. */
  module(name: string): Value | null
  functionOf(name: string): FunctionDeclaration | null
  bodyOf(declaration: FunctionDeclaration): readonly Statement[]
  /** A type without aliases and shorthands. */
  plain(type: string): string
  fieldsOf(type: string): ReadonlyMap<string, string> | null
}

const ACCESSOR = /^svm_(load|store)_(?:vec([234])_)?(u8|u16|u32|i32|f32|ptr)$/
const ATOMIC = /^svm_atomic_(\w+)_([ui]32)$/
const COMPARISONS = new Set(['<', '<=', '>', '>=', '==', '!='])

export abstract class Evaluator {
  protected readonly host: Host

  constructor(host: Host) {
    this.host = host
  }

  /** Every work-item does what is read now. */
  protected abstract get certain(): boolean
  /** @throws Unbounded when this takes too long */
  protected abstract step(): void
  protected abstract note(extent: Extent): void
  protected abstract local(name: string): Value | null
  abstract call(declaration: FunctionDeclaration, values: readonly Value[]): Value

  evaluate(expression: Expression): Value {
    this.step()
    switch (expression.kind) {
      case 'number':
        return constantOf(expression.type, expression.value)
      case 'opaque':
        return UNKNOWN
      case 'name':
        return this.#name(expression.name)
      case 'member':
        return member(this.evaluate(expression.of), expression.name)
      case 'index':
        return this.#element(expression)
      case 'unary':
        return this.#unary(expression.operator, expression.of)
      case 'binary':
        return this.operate(expression.operator, this.evaluate(expression.left), this.evaluate(expression.right))
      case 'call':
        return this.#call(expression)
    }
  }

  operate(operator: string, a: Value, b: Value): Value {
    if (a.kind === 'vector' || b.kind === 'vector') {
      const width = a.kind === 'vector' ? a.parts.length : b.kind === 'vector' ? b.parts.length : 0
      const part = (value: Value, n: number) => (value.kind === 'vector' ? (value.parts[n] ?? UNKNOWN) : value)
      return { kind: 'vector', parts: Array.from({ length: width }, (_, n) => this.operate(operator, part(a, n), part(b, n))) }
    }
    if (COMPARISONS.has(operator)) return compared(operator, a, b)
    if (a.kind === 'truth' || b.kind === 'truth') return logical(operator, a, b)
    if (operator === '&&' || operator === '||') return EITHER
    if (a.kind !== 'range' || b.kind !== 'range' || a.type === 'ptr' || b.type === 'ptr') return UNKNOWN
    const shifts = operator === '<<' || operator === '>>'
    const type = shifts ? a.type : commonType(a.type, b.type)
    // A shifted literal may be of any type, and literals that overflow are a matter of the compiler.
    if (type === null || (shifts && type === 'int')) return UNKNOWN
    const found = binary(operator, type, a, b)
    return type === 'int' && isAny(found) ? UNKNOWN : found
  }

  #name(name: string): Value {
    const value = this.local(name) ?? this.host.module(name)
    if (value !== null) return value
    if (name === 'true' || name === 'false') return { kind: 'truth', truth: name === 'true' }
    if (name === 'SVM_NULL') return constantOf('ptr', 0)
    return UNKNOWN
  }

  #element({ of, at }: Expression & { kind: 'index' }): Value {
    const whole = this.evaluate(of)
    const place = this.evaluate(at)
    if (whole.kind !== 'array' && whole.kind !== 'vector') return UNKNOWN
    const each = whole.kind === 'array' ? whole.each : whole.parts.reduce(either)
    const length = whole.kind === 'array' ? whole.length : whole.parts.length
    return place.kind === 'range' && place.low >= 0 && place.high < length ? each : anyLike(each)
  }

  #unary(operator: string, of: Expression): Value {
    if (operator === '&') {
      let root = of
      while (root.kind === 'member' || root.kind === 'index') {
        if (root.kind === 'index') this.evaluate(root.at)
        root = root.of
      }
      // Who has a pointer to a variable of the function's own may change it.
      if (root.kind !== 'name' || this.local(root.name) !== null) throw new Unbounded()
      return UNKNOWN
    }
    const value = this.evaluate(of)
    if (operator === '!') return value.kind === 'truth' && value.truth !== null ? { kind: 'truth', truth: !value.truth } : EITHER
    if (value.kind === 'vector') return { kind: 'vector', parts: value.parts.map((part) => unary(operator, part)) }
    return unary(operator, value)
  }

  #call({ name, type, values }: Expression & { kind: 'call' }): Value {
    const given = values.map((value) => this.evaluate(value))
    const declared = this.host.functionOf(name)
    if (declared !== null) return this.call(declared, given)
    if (name.startsWith('svm_')) return this.#runtime(name, given)
    const plain = this.host.plain(type)
    if (isRangeType(plain)) return converted(plain, given[0])
    const vector = vectorType(plain)
    if (vector !== null) return vectorOf(vector, given)
    if (plain.startsWith('array')) return this.#array(plain, given)
    const fields = this.host.fieldsOf(plain)
    if (fields !== null) {
      const inOrder = [...fields].map(([field, inner], n): [string, Value] => [field, conform(given[n] ?? UNKNOWN, anyOfType(inner, this.host.fieldsOf))])
      return { kind: 'struct', fields: new Map(inOrder) }
    }
    if (name === 'bitcast')
      return bitcast(type.slice('bitcast<'.length, -1), given[0] ?? UNKNOWN, (inner) => anyOfType(this.host.plain(inner), this.host.fieldsOf))
    return builtin(name, given)
  }

  #array(type: string, given: readonly Value[]): Value {
    const any = anyOfType(type, this.host.fieldsOf)
    if (given.length === 0) return any
    const each = given.reduce(either)
    if (type === 'array') return { kind: 'array', each, length: given.length }
    return any.kind === 'array' ? { kind: 'array', each: conform(each, any.each), length: given.length } : UNKNOWN
  }

  #touch(kind: AccessKind, at: Value | undefined, bytes: number, aligned: number): void {
    this.note(extentOf(kind, at ?? UNKNOWN, bytes, aligned, this.certain, this.host.bytesOfSpace))
  }

  #runtime(name: string, given: readonly Value[]): Value {
    const access = ACCESSOR.exec(name)
    if (access !== null) {
      const [, verb, width = '1', type = ''] = access
      const bytes = type === 'u8' ? 1 : type === 'u16' ? 2 : type === 'ptr' ? this.host.pointerBytes : 4
      // A part of a word is stored by atomics on the word.
      this.#touch(verb === 'load' ? 'load' : bytes < 4 ? 'atomic' : 'store', given[0], bytes * Number(width), Math.min(bytes, 4))
      if (verb === 'store') return UNKNOWN
      const one: Value = bytes < 4 ? rangeOf('u32', 0, 2 ** (8 * bytes) - 1, 1) : anyOfType(type === 'ptr' ? 'svm_ptr' : type, () => null)
      return width === '1' ? one : { kind: 'vector', parts: new Array<Value>(Number(width)).fill(one) }
    }
    const atomic = ATOMIC.exec(name)
    if (atomic !== null) {
      this.#touch(atomic[1] === 'load' ? 'load' : 'atomic', given[0], 4, 4)
      return anyOf(atomic[2] as 'u32' | 'i32')
    }
    return this.#pointer(name, given)
  }

  /** Arithmetic that leaves the space gives SVM_NOWHERE; who does not look whether it does gives something else, so none may. @throws Unbounded */
  #pointer(name: string, [a = UNKNOWN, b = UNKNOWN, c = UNKNOWN]: readonly Value[]): Value {
    const moved = (by: Value, sign: '+' | '-'): Value => {
      if (a.kind !== 'range' || a.type !== 'ptr' || by.kind !== 'range' || by.type === 'ptr' || by.low < 0) throw new Unbounded()
      const found = binary(sign, 'ptr', a, by)
      if (isAny(found) || found.high >= this.host.bytesOfSpace) throw new Unbounded()
      return found
    }
    switch (name) {
      case 'svm_add':
        return moved(b, '+')
      case 'svm_sub':
        return moved(b, '-')
      case 'svm_index':
        return moved(b.kind === 'range' && c.kind === 'range' && b.type !== 'ptr' && c.type !== 'ptr' ? binary('*', 'int', b, c) : UNKNOWN, '+')
      case 'svm_select':
        return either(a, b)
      case 'svm_difference':
        return anyOf('u32')
      case 'svm_equal':
      case 'svm_is_null':
      case 'svm_faulted':
        return EITHER
      default:
        return UNKNOWN
    }
  }
}

function unary(operator: string, value: Value): Value {
  if (value.kind !== 'range') return UNKNOWN
  if (operator === '~') return value.type === 'int' ? UNKNOWN : complement(value)
  if (operator !== '-' || value.type === 'u32' || value.type === 'ptr') return UNKNOWN
  return rangeOf(value.type, -value.high, -value.low, value.step)
}

function compared(operator: string, a: Value, b: Value): Value {
  if (a.kind !== 'range' || b.kind !== 'range' || a.type === 'ptr' || b.type === 'ptr' || commonType(a.type, b.type) === null) return EITHER
  const not = (truth: boolean | null) => (truth === null ? null : !truth)
  switch (operator) {
    case '<':
      return { kind: 'truth', truth: isLess(a, b) }
    case '>':
      return { kind: 'truth', truth: isLess(b, a) }
    case '<=':
      return { kind: 'truth', truth: not(isLess(b, a)) }
    case '>=':
      return { kind: 'truth', truth: not(isLess(a, b)) }
    case '==':
      return { kind: 'truth', truth: isEqual(a, b) }
    default:
      return { kind: 'truth', truth: not(isEqual(a, b)) }
  }
}

function logical(operator: string, a: Value, b: Value): Value {
  const one = a.kind === 'truth' ? a.truth : null
  const other = b.kind === 'truth' ? b.truth : null
  if (operator === '&&' || operator === '&') {
    return one === false || other === false ? { kind: 'truth', truth: false } : { kind: 'truth', truth: one === true && other === true ? true : null }
  }
  if (operator !== '||' && operator !== '|') return EITHER
  return one === true || other === true ? { kind: 'truth', truth: true } : { kind: 'truth', truth: one === false && other === false ? false : null }
}

/** A member of a struct, or components of a vector. */
function member(of: Value, name: string): Value {
  if (of.kind === 'struct') return of.fields.get(name) ?? UNKNOWN
  if (of.kind !== 'vector') return UNKNOWN
  const parts = [...name].map((letter) => of.parts[Math.max('xyzw'.indexOf(letter), 'rgba'.indexOf(letter))] ?? UNKNOWN)
  return parts.length === 1 ? (parts[0] as Value) : { kind: 'vector', parts }
}

/** u32(x), i32(x). */
function converted(type: 'u32' | 'i32', value: Value | undefined): Value {
  if (value === undefined) return constantOf(type, 0)
  if (value.kind === 'truth') return rangeOf(type, 0, 1, 1)
  return value.kind === 'range' && value.type !== 'ptr' ? (retyped(value, type) ?? anyOf(type)) : anyOf(type)
}

function vectorOf({ width, part }: { width: number; part: string }, given: readonly Value[]): Value {
  const parts = given.flatMap((value) => (value.kind === 'vector' ? value.parts : [value]))
  const filled = parts.length === 1 ? new Array<Value>(width).fill(parts[0] as Value) : parts
  // A vector of which nothing is known, or a pointer of two words, counts as one: then nobody knows which part is where.
  const known = given.length === 0 || filled.length === width ? (part === '' ? alike(filled) : filled) : new Array<Value>(width).fill(UNKNOWN)
  const convert = (value: Value | undefined): Value => (isRangeType(part) ? converted(part, value) : part === '' ? (value ?? UNKNOWN) : UNKNOWN)
  return { kind: 'vector', parts: Array.from({ length: width }, (_, n) => convert(known[n])) }
}

function bitcast(type: string, value: Value, anyOfIt: (type: string) => Value): Value {
  if (isRangeType(type) && value.kind === 'range' && value.type !== 'ptr') return retyped(value, type) ?? anyOf(type)
  return anyOfIt(type)
}

/** A function of the language. */
function builtin(name: string, given: readonly Value[]): Value {
  const vector = given.find((value) => value.kind === 'vector')
  if (vector?.kind === 'vector') {
    const part = (value: Value, n: number) => (value.kind === 'vector' ? (value.parts[n] ?? UNKNOWN) : value)
    const eachAlone = SCALAR_BUILTINS.has(name) && given.every((value) => value.kind !== 'vector' || value.parts.length === vector.parts.length)
    return eachAlone
      ? {
          kind: 'vector',
          parts: vector.parts.map((_, n) =>
            builtin(
              name,
              given.map((value) => part(value, n)),
            ),
          ),
        }
      : UNKNOWN
  }
  const [a = UNKNOWN, b = UNKNOWN, c = UNKNOWN] = given
  switch (name) {
    case 'min':
      return least(a, b)
    case 'max':
      return most(a, b)
    case 'clamp':
      return least(most(a, b), c)
    case 'select': {
      const [no = UNKNOWN, yes = UNKNOWN] = alike([a, b])
      return c.kind === 'truth' && c.truth !== null ? (c.truth ? yes : no) : either(no, yes)
    }
    case 'abs':
      return a.kind === 'range' && a.low >= 0 ? a : UNKNOWN
    case 'arrayLength':
      return anyOf('u32')
    case 'countOneBits':
    case 'countLeadingZeros':
    case 'countTrailingZeros':
      return a.kind === 'range' && (a.type === 'u32' || a.type === 'i32') ? rangeOf(a.type, 0, 32, 1) : UNKNOWN
    default:
      return UNKNOWN
  }
}

const SCALAR_BUILTINS = new Set(['min', 'max', 'clamp', 'select', 'abs', 'countOneBits', 'countLeadingZeros', 'countTrailingZeros'])

function pair(a: Value, b: Value): readonly [Range, Range] | null {
  if (a.kind !== 'range' || b.kind !== 'range') return null
  const type = commonType(a.type, b.type)
  return type === null || type === 'ptr'
    ? null
    : [
        { ...a, type },
        { ...b, type },
      ]
}

function least(a: Value, b: Value): Value {
  const both = pair(a, b)
  if (both === null) return UNKNOWN
  const [one, other] = both
  if (one.high <= other.low) return one
  return other.high <= one.low ? other : rangeOf(one.type, Math.min(one.low, other.low), Math.min(one.high, other.high), 1)
}

function most(a: Value, b: Value): Value {
  const both = pair(a, b)
  if (both === null) return UNKNOWN
  const [one, other] = both
  if (one.low >= other.high) return one
  return other.low >= one.high ? other : rangeOf(one.type, Math.max(one.low, other.low), Math.max(one.high, other.high), 1)
}
