// The declarations of a WGSL module, found by tokens: what the translation must know of the author's text, and no more.
//
// Always: every index is into `tokens`, every range is half-open; a body's range includes its braces. Nothing is type-checked here: a text
// that the compiler would refuse may pass, one that it accepts must.

import { closingOf, scan, splitAtCommas, type Token, textError } from './scanner.ts'

export interface TokenRange {
  readonly start: number
  readonly end: number
}

export interface Attribute {
  readonly name: string
  readonly range: TokenRange
  /** The tokens between the parentheses; empty when there are none. */
  readonly value: TokenRange
}

/** A parameter of a function or a member of a struct. */
export interface Member {
  readonly name: string
  readonly nameToken: number
  readonly type: string
  readonly attributes: readonly Attribute[]
}

export interface StructDeclaration {
  readonly name: string
  readonly nameToken: number
  readonly members: readonly Member[]
}

export interface FunctionDeclaration {
  readonly name: string
  readonly nameToken: number
  readonly attributes: readonly Attribute[]
  readonly parameters: readonly Member[]
  readonly returnType: string
  readonly range: TokenRange
  readonly body: TokenRange
}

export interface VariableDeclaration {
  readonly name: string
  readonly nameToken: number
  /** 'uniform', 'storage', 'workgroup', 'private', or '' (textures and samplers). */
  readonly space: string
  /** 'read', 'write', 'read_write' or ''. */
  readonly access: string
  readonly type: string
  readonly attributes: readonly Attribute[]
  readonly spaceToken: number
}

export interface ConstantDeclaration {
  readonly kind: 'const' | 'override'
  readonly name: string
  readonly nameToken: number
  readonly attributes: readonly Attribute[]
  /** Empty for an override without a default. */
  readonly value: TokenRange
}

export interface AliasDeclaration {
  readonly name: string
  readonly nameToken: number
  readonly type: string
}

export interface SourceModule {
  readonly source: string
  readonly label: string
  readonly tokens: readonly Token[]
  readonly structs: readonly StructDeclaration[]
  readonly functions: readonly FunctionDeclaration[]
  readonly variables: readonly VariableDeclaration[]
  readonly constants: readonly ConstantDeclaration[]
  readonly aliases: readonly AliasDeclaration[]
  /** Names after `enable`. */
  readonly enabled: readonly string[]
}

export function readModule(source: string, label: string): SourceModule {
  return new ModuleReader(source, label).read()
}

/** The text of the tokens in a range, blanks and comments removed. */
export function rangeText(tokens: readonly Token[], start: number, end: number): string {
  return tokens
    .slice(start, end)
    .map((token) => (token.text === ',' ? ', ' : token.text))
    .join('')
}

export function attributeOf(attributes: readonly Attribute[], name: string): Attribute | undefined {
  return attributes.find((attribute) => attribute.name === name)
}

class ModuleReader {
  readonly source: string
  readonly label: string
  readonly tokens: Token[]
  readonly structs: StructDeclaration[] = []
  readonly functions: FunctionDeclaration[] = []
  readonly variables: VariableDeclaration[] = []
  readonly constants: ConstantDeclaration[] = []
  readonly aliases: AliasDeclaration[] = []
  readonly enabled: string[] = []
  #at = 0

  constructor(source: string, label: string) {
    this.source = source
    this.label = label
    this.tokens = scan(source, label)
  }

  read(): SourceModule {
    while (this.#at < this.tokens.length) {
      const start = this.#at
      const { attributes, next } = this.#attributes(start)
      this.#at = next
      this.#declaration(start, attributes)
    }
    return this
  }

  #text(index: number): string {
    return this.tokens[index]?.text ?? ''
  }

  #fail(index: number, sentence: string): never {
    const token = this.tokens[Math.min(index, this.tokens.length - 1)]
    throw textError(this.source, this.label, token?.start ?? 0, sentence)
  }

  #close(open: number): number {
    const close = closingOf(this.tokens, open)
    if (close < 0) this.#fail(open, `this '${this.#text(open)}' is never closed`)
    return close
  }

  #attributes(from: number): { attributes: Attribute[]; next: number } {
    const attributes: Attribute[] = []
    let at = from
    while (this.#text(at) === '@') {
      const name = this.#text(at + 1)
      const hasValue = this.#text(at + 2) === '('
      const end = hasValue ? this.#close(at + 2) + 1 : at + 2
      attributes.push({ name, range: { start: at, end }, value: hasValue ? { start: at + 3, end: end - 1 } : { start: end, end } })
      at = end
    }
    return { attributes, next: at }
  }

  #declaration(start: number, attributes: Attribute[]): void {
    const word = this.#text(this.#at)
    switch (word) {
      case ';':
        this.#at++
        return
      case 'struct':
        return this.#struct()
      case 'fn':
        return this.#function(start, attributes)
      case 'var':
        return this.#variable(attributes)
      case 'const':
      case 'override':
        return this.#constant(word, attributes)
      case 'alias':
        return this.#alias()
      case 'enable':
      case 'requires':
      case 'diagnostic':
      case 'const_assert':
        return this.#directive(word)
      default:
        return this.#fail(this.#at, `expected a declaration (fn, struct, var, const, override, alias), found '${word}'`)
    }
  }

  /** Index of the next `;` outside brackets. */
  #semicolon(): number {
    for (let i = this.#at; i < this.tokens.length; i++) {
      const text = this.#text(i)
      if (text === ';') return i
      if (text === '(' || text === '[' || text === '{') i = this.#close(i)
    }
    return this.#fail(this.#at, `no ';' ends this declaration`)
  }

  #directive(word: string): void {
    const end = this.#semicolon()
    if (word === 'enable') {
      for (let i = this.#at + 1; i < end; i++) if (this.#text(i) !== ',') this.enabled.push(this.#text(i))
    }
    this.#at = end + 1
  }

  #members(start: number, end: number): Member[] {
    return splitAtCommas(this.tokens, start, end).map((part) => {
      const { attributes, next } = this.#attributes(part.start)
      if (this.#text(next + 1) !== ':') this.#fail(next, `expected 'name: type', found '${this.#text(next)}'`)
      return { name: this.#text(next), nameToken: next, type: rangeText(this.tokens, next + 2, part.end), attributes }
    })
  }

  #struct(): void {
    const nameToken = this.#at + 1
    const open = nameToken + 1
    if (this.#text(open) !== '{') this.#fail(open, `expected '{' after 'struct ${this.#text(nameToken)}'`)
    const close = this.#close(open)
    this.structs.push({ name: this.#text(nameToken), nameToken, members: this.#members(open + 1, close) })
    this.#at = close + 1
  }

  #function(start: number, attributes: Attribute[]): void {
    const nameToken = this.#at + 1
    const name = this.#text(nameToken)
    if (this.#text(nameToken + 1) !== '(') this.#fail(nameToken, `expected '(' after 'fn ${name}'`)
    const closeParameters = this.#close(nameToken + 1)
    let open = closeParameters + 1
    let returnType = ''
    if (this.#text(open) === '->') {
      const { next } = this.#attributes(open + 1)
      while (open < this.tokens.length && this.#text(open) !== '{') open++
      returnType = rangeText(this.tokens, next, open)
    }
    const parameters = this.#members(nameToken + 2, closeParameters)
    while (this.#text(open) === '@') open = this.#attributes(open).next
    if (this.#text(open) !== '{') this.#fail(open, `expected '{', the body of 'fn ${name}'`)
    const end = this.#close(open) + 1
    this.functions.push({ name, nameToken, attributes, parameters, returnType, range: { start, end }, body: { start: open, end } })
    this.#at = end
  }

  #variable(attributes: Attribute[]): void {
    const end = this.#semicolon()
    let at = this.#at + 1
    const spaceToken = at + 1
    let space = ''
    let access = ''
    if (this.#text(at) === '<') {
      const close = this.#close(at)
      space = this.#text(at + 1)
      access = this.#text(at + 2) === ',' ? this.#text(at + 3) : ''
      at = close + 1
    }
    const nameToken = at
    let typeEnd = end
    for (let i = at; i < end; i++) if (this.#text(i) === '=' && typeEnd === end) typeEnd = i
    const type = this.#text(at + 1) === ':' ? rangeText(this.tokens, at + 2, typeEnd) : ''
    this.variables.push({ name: this.#text(nameToken), nameToken, space, access, type, attributes, spaceToken })
    this.#at = end + 1
  }

  #constant(kind: 'const' | 'override', attributes: Attribute[]): void {
    const nameToken = this.#at + 1
    const end = this.#semicolon()
    let value = end
    for (let i = nameToken; i < end && value === end; i++) if (this.#text(i) === '=') value = i + 1
    this.constants.push({ kind, name: this.#text(nameToken), nameToken, attributes, value: { start: value, end } })
    this.#at = end + 1
  }

  #alias(): void {
    const nameToken = this.#at + 1
    const end = this.#semicolon()
    this.aliases.push({ name: this.#text(nameToken), nameToken, type: rangeText(this.tokens, nameToken + 2, end) })
    this.#at = end + 1
  }
}
