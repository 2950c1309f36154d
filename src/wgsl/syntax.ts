// The tree of a function's body, for who asks what its values can be (bounds.ts). Only what such a question needs: types are texts, and what is not a number is
// opaque.
//
// Always: a text that the compiler accepts gives its tree or NotKnown, never another tree. Templates are told from comparisons by the names that take them.

import type { SourceModule, TokenRange } from './module.ts'
import { closingOf, type Token } from './scanner.ts'

export type Expression =
  | { readonly kind: 'number'; readonly type: 'u32' | 'i32' | 'int'; readonly value: number }
  | { readonly kind: 'name'; readonly name: string }
  /** `type` is the text of a constructor's type, or of a template function with its template. */
  | { readonly kind: 'call'; readonly name: string; readonly type: string; readonly values: readonly Expression[] }
  | { readonly kind: 'member'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'index'; readonly of: Expression; readonly at: Expression }
  | { readonly kind: 'unary'; readonly operator: string; readonly of: Expression }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  /** A float. */
  | { readonly kind: 'opaque' }

export type Statement =
  | { readonly kind: 'block'; readonly body: readonly Statement[] }
  | { readonly kind: 'declare'; readonly word: 'let' | 'const' | 'var'; readonly name: string; readonly type: string; readonly value: Expression | null }
  /** `target` null: the phony assignment. An operator is that of `+=`, without the mark of equality. */
  | { readonly kind: 'assign'; readonly target: Expression | null; readonly operator: string; readonly value: Expression }
  | { readonly kind: 'call'; readonly call: Expression }
  | { readonly kind: 'if'; readonly condition: Expression; readonly then: readonly Statement[]; readonly otherwise: readonly Statement[] }
  | Loop
  | { readonly kind: 'switch'; readonly selector: Expression; readonly cases: readonly (readonly Statement[])[]; readonly assigned: ReadonlySet<string> }
  | { readonly kind: 'return'; readonly value: Expression | null }
  | { readonly kind: 'leave' }

/** All three kinds of loops. */
export interface Loop {
  readonly kind: 'loop'
  readonly init: Statement | null
  readonly condition: Expression | null
  readonly update: Statement | null
  readonly body: readonly Statement[]
  /** What `continuing` holds. */
  readonly continuing: readonly Statement[]
  /** Names that something in it assigns to, but for the update of a `for`. */
  readonly assigned: ReadonlySet<string>
  /** It has a break, a continue or a return. */
  readonly leaves: boolean
}

/** The text has something in it that this does not know. */
export class NotKnown extends Error {}

const TEMPLATES = /^(vec[234]|mat[234]x[234]|array|bitcast|ptr|atomic)$/
/** From the loosest to the tightest. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
]
const ASSIGNMENTS = ['+', '-', '*', '/', '%', '&', '|', '^', '<<', '>>'] as const

/** @throws NotKnown */
export function parseBody({ tokens }: SourceModule, body: TokenRange): readonly Statement[] {
  return new BodyReader(tokens, body.start, body.end).block()
}

/** @throws NotKnown */
export function parseExpression({ tokens }: SourceModule, range: TokenRange): Expression {
  return new BodyReader(tokens, range.start, range.end).whole()
}

/** What the reader met in the loops and switches that are open. */
interface Open {
  readonly assigned: Set<string>
  leaves: boolean
}

class BodyReader {
  readonly #tokens: readonly Token[]
  readonly #end: number
  #at: number
  #open: Open = { assigned: new Set(), leaves: false }

  constructor(tokens: readonly Token[], start: number, end: number) {
    this.#tokens = tokens
    this.#at = start
    this.#end = end
  }

  whole(): Expression {
    const expression = this.#expression()
    if (this.#at !== this.#end) throw new NotKnown(this.#text())
    return expression
  }

  block(): readonly Statement[] {
    this.#take('{')
    const body: Statement[] = []
    while (!this.#taken('}')) {
      if (this.#taken(';')) continue
      body.push(this.#statement())
    }
    return body
  }

  #text(ahead = 0): string {
    const at = this.#at + ahead
    return at < this.#end ? (this.#tokens[at] as Token).text : ''
  }

  #take(text: string): void {
    if (!this.#taken(text)) throw new NotKnown(`'${this.#text()}' in place of '${text}'`)
  }

  #taken(text: string): boolean {
    if (this.#text() !== text) return false
    this.#at++
    return true
  }

  #word(): string {
    const token = this.#tokens[this.#at]
    if (this.#at >= this.#end || token?.kind !== 'word') throw new NotKnown(`'${this.#text()}' in place of a name`)
    this.#at++
    return token.text
  }

  /** Marks that stand side by side. */
  #marks(text: string): boolean {
    for (let n = 0; n < text.length; n++) {
      if (this.#text(n) !== text[n]) return false
      if (n > 0 && this.#tokens[this.#at + n]?.start !== this.#tokens[this.#at + n - 1]?.end) return false
    }
    return true
  }

  #statement(): Statement {
    const word = this.#text()
    switch (word) {
      case '{':
        return { kind: 'block', body: this.block() }
      case '@':
        return this.#attribute()
      case 'let':
      case 'const':
      case 'var':
        return this.#ended(this.#declaration())
      case 'if':
        this.#at++
        return this.#branch()
      case 'for':
      case 'while':
      case 'loop':
        this.#at++
        return this.#loop(word)
      case 'switch':
        this.#at++
        return this.#switch()
      case 'return':
        this.#at++
        this.#open.leaves = true
        return this.#ended({ kind: 'return', value: this.#text() === ';' ? null : this.#expression() })
      case 'break':
      case 'continue':
        this.#at++
        this.#open.leaves = true
        return this.#ended({ kind: 'leave' })
      default:
        return this.#ended(this.#simple())
    }
  }

  #ended(statement: Statement): Statement {
    this.#take(';')
    return statement
  }

  /** `@diagnostic(…)` before a block or a branch. */
  #attribute(): Statement {
    this.#at += 2
    if (this.#text() === '(') this.#at = closingOf(this.#tokens, this.#at) + 1
    return this.#statement()
  }

  #declaration(): Statement {
    const word = this.#word() as 'let' | 'const' | 'var'
    if (word === 'var' && this.#text() === '<') this.#at = closingOf(this.#tokens, this.#at) + 1
    const name = this.#word()
    const type = this.#taken(':') ? this.#type() : ''
    return { kind: 'declare', word, name, type, value: this.#taken('=') ? this.#expression() : null }
  }

  #type(): string {
    const name = this.#word()
    return this.#text() === '<' ? name + this.#template() : name
  }

  #template(): string {
    const close = closingOf(this.#tokens, this.#at)
    if (close < 0 || close >= this.#end) throw new NotKnown('a template that is never closed')
    const parts = this.#tokens.slice(this.#at, close + 1).map(({ text }) => text)
    // A comparison in it is no bracket: then it ends elsewhere.
    let depth = 0
    for (const text of parts) {
      if (text === '(') depth++
      else if (text === ')') depth--
      else if (/^[;:{}=&|]$/.test(text) || (depth > 0 && /^[<>]$/.test(text))) throw new NotKnown('a template that compares')
    }
    if (depth !== 0) throw new NotKnown('a template that compares')
    this.#at = close + 1
    return parts.join('')
  }

  /** An assignment, a step or a call. */
  #simple(): Statement {
    if (this.#text() === '_' && this.#text(1) === '=') {
      this.#at += 2
      return { kind: 'assign', target: null, operator: '', value: this.#expression() }
    }
    const target = this.#unary()
    const operator = ASSIGNMENTS.find((known) => this.#marks(`${known}=`))
    if (operator !== undefined || (this.#text() === '=' && !this.#marks('=='))) {
      this.#at += (operator?.length ?? 0) + 1
      return this.#assignment(target, operator ?? '', this.#expression())
    }
    if (this.#marks('++') || this.#marks('--')) {
      const step = this.#text()
      this.#at += 2
      return this.#assignment(target, step, { kind: 'number', type: 'int', value: 1 })
    }
    if (target.kind !== 'call') throw new NotKnown(`'${this.#text()}' after an expression`)
    return { kind: 'call', call: target }
  }

  #assignment(target: Expression, operator: string, value: Expression): Statement {
    let root = target
    while (root.kind === 'member' || root.kind === 'index') root = root.of
    if (root.kind !== 'name') throw new NotKnown('an assignment by a pointer')
    this.#open.assigned.add(root.name)
    return { kind: 'assign', target, operator, value }
  }

  #branch(): Statement {
    const condition = this.#expression()
    const then = this.block()
    if (!this.#taken('else')) return { kind: 'if', condition, then, otherwise: [] }
    return { kind: 'if', condition, then, otherwise: this.#taken('if') ? [this.#branch()] : this.block() }
  }

  /** What is read has its own account of assignments, which counts for what is around it too. */
  #within<T>(read: () => T): { found: T; open: Open } {
    const outer = this.#open
    const open: Open = { assigned: new Set(), leaves: false }
    this.#open = open
    const found = read()
    for (const name of open.assigned) outer.assigned.add(name)
    outer.leaves ||= open.leaves
    this.#open = outer
    return { found, open }
  }

  #loop(word: 'for' | 'while' | 'loop'): Statement {
    let init: Statement | null = null
    let condition: Expression | null = null
    let update: Statement | null = null
    if (word === 'for') {
      this.#take('(')
      init = this.#text() === ';' ? null : /^(let|const|var)$/.test(this.#text()) ? this.#declaration() : this.#simple()
      this.#take(';')
      condition = this.#text() === ';' ? null : this.#expression()
      this.#take(';')
      update = this.#text() === ')' ? null : this.#within(() => this.#simple()).found
      this.#take(')')
    } else if (word === 'while') condition = this.#expression()
    const { found, open } = this.#within(() => this.#loopBody())
    return { kind: 'loop', init, condition, update, ...found, assigned: open.assigned, leaves: open.leaves }
  }

  #loopBody(): { body: readonly Statement[]; continuing: readonly Statement[] } {
    this.#take('{')
    const body: Statement[] = []
    let continuing: readonly Statement[] = []
    while (!this.#taken('}')) {
      if (this.#taken(';')) continue
      if (this.#taken('continuing')) continuing = this.#continuing()
      else body.push(this.#statement())
    }
    return { body, continuing }
  }

  #continuing(): readonly Statement[] {
    this.#take('{')
    const body: Statement[] = []
    while (!this.#taken('}')) {
      if (this.#taken(';')) continue
      if (this.#text() === 'break' && this.#text(1) === 'if') {
        this.#at += 2
        this.#open.leaves = true
        body.push(this.#ended({ kind: 'assign', target: null, operator: '', value: this.#expression() }))
      } else body.push(this.#statement())
    }
    return body
  }

  #switch(): Statement {
    const selector = this.#expression()
    const { found, open } = this.#within(() => {
      const cases: (readonly Statement[])[] = []
      this.#take('{')
      while (!this.#taken('}')) {
        if (!this.#taken('default')) {
          this.#take('case')
          while (this.#text() !== ':' && this.#text() !== '{') {
            if (this.#taken(',') || this.#taken('default')) continue
            this.#expression()
          }
        }
        this.#taken(':')
        cases.push(this.block())
      }
      return cases
    })
    return { kind: 'switch', selector, cases: found, assigned: open.assigned }
  }

  #expression(level = 0): Expression {
    if (level === LEVELS.length) return this.#unary()
    let left = this.#expression(level + 1)
    for (let operator = this.#operator(level); operator !== null; operator = this.#operator(level)) {
      this.#at += operator.length
      left = { kind: 'binary', operator, left, right: this.#expression(level + 1) }
    }
    return left
  }

  /** The operator of this level at the cursor: of those that begin alike the longest. What goes on with `=` is an assignment. */
  #operator(level: number): string | null {
    const found = LEVELS.flat()
      .filter((operator) => this.#marks(operator))
      .sort((a, b) => b.length - a.length)[0]
    if (found === undefined || !(LEVELS[level] as readonly string[]).includes(found)) return null
    const isAssignment = (ASSIGNMENTS as readonly string[]).includes(found) && this.#marks(`${found}=`)
    return isAssignment ? null : found
  }

  #unary(): Expression {
    const text = this.#text()
    if (text === '-' || text === '!' || text === '~' || text === '*' || text === '&') {
      this.#at++
      return { kind: 'unary', operator: text, of: this.#unary() }
    }
    return this.#postfix(this.#primary())
  }

  #postfix(from: Expression): Expression {
    let of = from
    for (;;) {
      if (this.#taken('.')) of = { kind: 'member', of, name: this.#word() }
      else if (this.#taken('[')) {
        of = { kind: 'index', of, at: this.#expression() }
        this.#take(']')
      } else return of
    }
  }

  #primary(): Expression {
    if (this.#taken('(')) {
      const inner = this.#expression()
      this.#take(')')
      return inner
    }
    const token = this.#tokens[this.#at]
    if (this.#at < this.#end && token?.kind === 'number') {
      this.#at++
      return numberOf(token.text)
    }
    const name = this.#word()
    const type = this.#text() === '<' && TEMPLATES.test(name) ? name + this.#template() : name
    if (!this.#taken('(')) {
      if (type !== name) throw new NotKnown('a template without a call')
      return { kind: 'name', name }
    }
    const values: Expression[] = []
    while (!this.#taken(')')) {
      values.push(this.#expression())
      if (this.#text() !== ')') this.#take(',')
    }
    return { kind: 'call', name, type, values }
  }
}

function numberOf(text: string): Expression {
  const found = /^(0[xX][0-9a-fA-F]+|[0-9]+)([iu]?)$/.exec(text)
  if (found === null || !Number.isSafeInteger(Number(found[1]))) return { kind: 'opaque' }
  const type = found[2] === 'u' ? 'u32' : found[2] === 'i' ? 'i32' : 'int'
  return { kind: 'number', type, value: Number(found[1]) }
}
