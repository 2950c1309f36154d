// Integer expressions of WGSL that must be known on the host: workgroup sizes, group and binding numbers, array lengths.
//
// Always: a result is an exact integer. What is not understood (a function call, a float) gives undefined, never a guess.

import { attributeOf, type ConstantDeclaration, rangeText, type SourceModule, type TokenRange } from './module.ts'
import type { Token } from './scanner.ts'

/**
 * @param constants the values that the program gives to overrides, by name or by id
 * @param known constants that are declared outside of the author's text
 */
export function evaluateInteger(
  module: SourceModule,
  range: TokenRange,
  constants: Readonly<Record<string, number>>,
  known: ReadonlyMap<string, number> = new Map(),
): number | undefined {
  return new Evaluator(module, constants, known).range(range)
}

/** The key under which a pipeline gives an override's value: its id when it has one. */
export function overrideKey(module: SourceModule, constant: ConstantDeclaration): string {
  const id = attributeOf(constant.attributes, 'id')
  return id === undefined ? constant.name : rangeText(module.tokens, id.value.start, id.value.end).replace(/[iu]$/, '')
}

const LEVELS: readonly (readonly string[])[] = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '/', '%']]

function apply(operator: string, a: number, b: number): number | undefined {
  switch (operator) {
    case '|':
      return (a | b) >>> 0
    case '^':
      return (a ^ b) >>> 0
    case '&':
      return (a & b) >>> 0
    case '<<':
      return a * 2 ** b
    case '>>':
      return Math.floor(a / 2 ** b)
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return b === 0 ? undefined : Math.trunc(a / b)
    case '%':
      return b === 0 ? undefined : a % b
    default:
      return undefined
  }
}

class Evaluator {
  readonly #module: SourceModule
  readonly #constants: Readonly<Record<string, number>>
  readonly #known: ReadonlyMap<string, number>
  readonly #open = new Set<string>()
  #tokens: readonly Token[] = []
  #at = 0

  constructor(module: SourceModule, constants: Readonly<Record<string, number>>, known: ReadonlyMap<string, number>) {
    this.#module = module
    this.#constants = constants
    this.#known = known
  }

  range(range: TokenRange): number | undefined {
    const held = { tokens: this.#tokens, at: this.#at }
    this.#tokens = this.#module.tokens.slice(range.start, range.end)
    this.#at = 0
    const value = this.#binary(0)
    const whole = this.#at === this.#tokens.length
    this.#tokens = held.tokens
    this.#at = held.at
    return whole && value !== undefined && Number.isSafeInteger(value) ? value : undefined
  }

  /** The operator at the cursor; shifts are two tokens. */
  #operator(level: number): string | null {
    const text = this.#tokens[this.#at]?.text ?? ''
    const pair = text + (this.#tokens[this.#at + 1]?.text ?? '')
    const operators = LEVELS[level] as readonly string[]
    if (operators.includes(pair)) return pair
    return operators.includes(text) ? text : null
  }

  #binary(level: number): number | undefined {
    if (level === LEVELS.length) return this.#unary()
    let left = this.#binary(level + 1)
    for (let operator = this.#operator(level); operator !== null; operator = this.#operator(level)) {
      this.#at += operator.length
      const right = this.#binary(level + 1)
      left = left === undefined || right === undefined ? undefined : apply(operator, left, right)
    }
    return left
  }

  #unary(): number | undefined {
    const token = this.#tokens[this.#at]
    if (token === undefined) return undefined
    this.#at++
    if (token.text === '-') {
      const value = this.#unary()
      return value === undefined ? undefined : -value
    }
    if (token.text === '(') {
      const value = this.#binary(0)
      if (this.#tokens[this.#at]?.text !== ')') return undefined
      this.#at++
      return value
    }
    if (token.kind === 'number') return /^(0[xX][0-9a-fA-F]+|[0-9]+)[iu]?$/.test(token.text) ? Number(token.text.replace(/[iu]$/, '')) : undefined
    if (token.text === 'u32' || token.text === 'i32') return this.#unary()
    return token.kind === 'word' ? this.#constant(token.text) : undefined
  }

  #constant(name: string): number | undefined {
    const constant = this.#module.constants.find((candidate) => candidate.name === name)
    if (constant === undefined) return this.#known.get(name)
    if (this.#open.has(name)) return undefined
    if (constant.kind === 'override') {
      const given = this.#constants[overrideKey(this.#module, constant)] ?? this.#constants[name]
      if (given !== undefined) return given
    }
    this.#open.add(name)
    const value = this.range(constant.value)
    this.#open.delete(name)
    return value
  }
}
