// Whether the update of a `for` leads to its end whatever memory holds: a step that memory may say can be 0 after a bad access, and the loop would never end.
//
// Always: a step counts as steady only if nothing in it was loaded: literals, constants, uniforms, built-ins, and what `let` makes of these.

import { attributeOf, type FunctionDeclaration, type SourceModule, type TokenRange } from './module.ts'

/** @param counter the variable that the update changes */
export function stepsOn(module: SourceModule, owner: FunctionDeclaration, condition: TokenRange, update: TokenRange, counter: string): boolean {
  const texts = module.tokens.slice(update.start, update.end).map(({ text }) => text)
  const at = (n: number) => texts[n] ?? ''
  // counter ++, counter --
  if (texts.length === 3 && /^[-+]$/.test(at(1)) && at(2) === at(1)) return true
  const steps = new Steps(module, owner)
  const rest = (from: number): TokenRange => ({ start: update.start + from, end: update.end })
  // counter = counter + step
  const long = at(1) === '=' && at(2) === counter
  const operator = long ? at(3) : at(1)
  const doubled = at(long ? 4 : 2) === operator
  const from = (long ? 4 : 3) + (doubled ? 1 : 0)
  if (!long && at(2 + (doubled ? 1 : 0)) !== '=') return false
  if (/^[-+]$/.test(operator) && !doubled) return steps.areSteady(rest(from))
  // Products and shifts lead to an end that is not far off, and never on from there.
  const leaps = /^[*/]$/.test(operator) ? !doubled : /^[<>]$/.test(operator) && doubled
  return leaps && steps.areSteady(rest(from)) && steps.areSteady(condition, counter)
}

class Steps {
  readonly #module: SourceModule
  readonly #owner: FunctionDeclaration

  constructor(module: SourceModule, owner: FunctionDeclaration) {
    this.#module = module
    this.#owner = owner
  }

  /** Nothing in the range was loaded. @param but a name that does not count */
  areSteady({ start, end }: TokenRange, but = '', depth = 0): boolean {
    const { tokens } = this.#module
    for (let i = start; i < end; i++) {
      const token = tokens[i]
      if (token?.kind !== 'word' || token.text === but || tokens[i - 1]?.text === '.') continue
      if (tokens[i + 1]?.text === '(' ? !PURE.test(token.text) : !this.#isSteady(token.text, depth)) return false
    }
    return true
  }

  #isSteady(name: string, depth: number): boolean {
    if (depth > DEPTH_MAX) return false
    const lets = this.#lets(name)
    if (lets !== null) return lets.length > 0 && lets.every((range) => this.areSteady(range, '', depth + 1))
    const { constants, variables } = this.#module
    if (this.#owner.parameters.some((parameter) => parameter.name === name)) return attributeOf(this.#owner.attributes, 'compute') !== undefined
    return (
      constants.some((constant) => constant.name === name) ||
      variables.some((variable) => variable.name === name && variable.space === 'uniform') ||
      TYPES.test(name)
    )
  }

  /** The values of the function's own constants of that name; null: it has none; empty: it has a variable, too. */
  #lets(name: string): TokenRange[] | null {
    const { tokens } = this.#module
    const { start, end } = this.#owner.body
    const found: TokenRange[] = []
    for (let i = start; i < end; i++) {
      if (tokens[i]?.text !== name) continue
      const before = tokens[i - 1]?.text ?? ''
      if (before === 'var' || (before === '>' && tokens[i + 1]?.text !== '(' && this.#isDeclared(i))) return []
      if (before !== 'let' && before !== 'const') continue
      let from = i + 1
      while (from < end && tokens[from]?.text !== '=') from++
      let to = from
      while (to < end && tokens[to]?.text !== ';') to++
      found.push({ start: from + 1, end: to })
    }
    return found.length > 0 ? found : null
  }

  /** `var<function> name`. */
  #isDeclared(at: number): boolean {
    const { tokens } = this.#module
    return tokens[at - 3]?.text === '<' && tokens[at - 4]?.text === 'var'
  }
}

const DEPTH_MAX = 16
/** They give the same for the same values, and are none of memory. */
const PURE = /^([iu]32|vec[234][iu]?|min|max|clamp|select|abs|countOneBits|firstLeadingBit|firstTrailingBit)$/
/** In a template. */
const TYPES = /^([iu]32|vec[234][iu]?)$/
