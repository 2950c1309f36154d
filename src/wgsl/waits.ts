// Loops that may wait for another workgroup: spin locks, decoupled look-back, barriers across a grid.
//
// A loop may wait when it is left by a value that an atomic load, exchange or compare-exchange of the same loop gave, since such a call changes nothing by
// being repeated. A compare-exchange that asks with what it last saw, or probes another address each time, is a retry and no wait; an atomic addition that
// is not of 0 makes progress by itself.
// A loop that only what a plain load of one and the same word gives can end waits as well. Always: read off the tokens; where it errs, a message has a
// hint too many or too few, and a loop has fuel that needs none, or none.

import type { SourceModule, TokenRange } from './module.ts'
import { closingOf, splitAtCommas, type Token } from './scanner.ts'

const ASKS = /^svm_atomic_(load|exchange|compare_exchange)_/
const ADDS = /^svm_atomic_(add|sub|or|xor)_/

/** Names assigned or declared in a statement, and the tokens that decide the value. */
interface Assignment {
  readonly name: string
  readonly range: TokenRange
}

/** A condition, and what runs or does not because of it. */
interface Branch {
  readonly keyword: 'if' | 'switch' | 'while' | 'for'
  readonly condition: TokenRange
  readonly bodies: readonly TokenRange[]
}

export class Waits {
  readonly #module: SourceModule
  /** Tokens of the calls that ask, by the function of the author's that holds them; filled when a function is first asked for. */
  readonly #asking = new Map<string, readonly number[]>()

  constructor(module: SourceModule) {
    this.#module = module
  }

  /** The atomic calls for whose value the loop in this range (header and body) may wait. */
  ofLoop(range: TokenRange): number[] {
    const assignments = this.#assignments(range)
    const changed = new Set(assignments.map(({ name }) => name))
    const branches = this.#branches(range)
    const values = new Map<string, Set<number>>()
    const asked = (part: TokenRange) => this.#valuesIn(part, values, changed)
    for (let grew = true; grew; ) {
      grew = false
      const learn = (name: string, tokens: ReadonlySet<number>) => {
        const known = values.get(name) ?? new Set()
        const before = known.size
        for (const token of tokens) known.add(token)
        if (known.size > before) {
          values.set(name, known)
          grew = true
        }
      }
      for (const { name, range: part } of assignments) learn(name, asked(part))
      for (const { condition, bodies } of branches) {
        const why = asked(condition)
        if (why.size === 0) continue
        for (const body of bodies) for (const { name } of this.#assignments(body)) learn(name, why)
      }
    }
    const waited = new Set<number>()
    for (const exit of this.#exits(range, branches)) for (const token of asked(exit)) waited.add(token)
    for (const exit of this.#exits(range, branches)) for (const token of this.#plainWaits(exit, assignments, changed)) waited.add(token)
    return [...waited].sort((a, b) => a - b)
  }

  /**
   * The plain loads that alone decide whether the loop ends, at each of its exits: without end it asks for the same words until somebody else writes
   * them. None where anything else may end it, a function or a variable of the module too.
   */
  plainlyOfLoop(range: TokenRange): number[] {
    const assignments = this.#assignments(range)
    const changed = new Set(assignments.map(({ name }) => name))
    const loads: number[] = []
    for (const exit of this.#exits(range, this.#branches(range))) {
      const asked = [...changed].filter((name) => this.#mentionsAny(exit, new Set([name])))
      const parts = [exit, ...assignments.filter(({ name }) => asked.includes(name)).map(({ range: part }) => part)]
      const deciding = this.#plainWaits(exit, assignments, changed)
      const whole = parts.filter((part) => asked.length === 0 || part !== exit).every((part) => this.#loadsIn(part).length > 0)
      if (deciding.length === 0 || !whole || parts.some((part) => this.#mentionsMore(part))) return []
      loads.push(...deciding)
    }
    return loads
  }

  /** A function of the author's, or a variable that one may have changed. */
  #mentionsMore(part: TokenRange): boolean {
    const { functions, variables } = this.#module
    const others = variables.filter(({ space }) => space !== 'uniform')
    return this.#mentionsAny(part, new Set([...functions, ...others].map(({ name }) => name)))
  }

  /** Plain loads of one and the same word that decide alone: in the condition, or kept in the one name that it asks. */
  #plainWaits(exit: TokenRange, assignments: readonly Assignment[], changed: ReadonlySet<string>): number[] {
    const asked = [...changed].filter((name) => this.#mentionsAny(exit, new Set([name])))
    const [only] = asked
    if (asked.length > 1) return []
    const parts = only === undefined ? [exit] : assignments.filter(({ name }) => name === only).map(({ range }) => range)
    const loads: number[] = []
    for (const part of parts) {
      // `n += 1u` and `n++` change by themselves.
      if (this.#mentionsAny(part, changed) || (part !== exit && !/^[=:]$/.test(this.#text(part.start)))) return []
      loads.push(...this.#loadsIn(part))
    }
    return loads
  }

  #loadsIn({ start, end }: TokenRange): number[] {
    const found: number[] = []
    for (let i = start; i < end; i++) if (/^svm_load_/.test(this.#text(i)) && this.#text(i + 1) === '(') found.push(i)
    return found
  }

  #text(index: number): string {
    return this.#module.tokens[index]?.text ?? ''
  }

  /** The calls whose values a range mentions: made there, made in a function called there, or kept in a variable. */
  #valuesIn(range: TokenRange, values: ReadonlyMap<string, ReadonlySet<number>>, changed: ReadonlySet<string>): Set<number> {
    const found = new Set<number>()
    for (let i = range.start; i < range.end; i++) {
      if (this.#text(i - 1) === '.') continue
      const name = this.#text(i)
      if (this.#text(i + 1) !== '(') {
        for (const token of values.get(name) ?? []) found.add(token)
        continue
      }
      if (this.#asks(i, changed)) found.add(i)
      for (const token of this.#asksInside(name)) found.add(token)
    }
    return found
  }

  #asksInside(name: string): readonly number[] {
    const known = this.#asking.get(name)
    if (known !== undefined) return known
    const callee = this.#module.functions.find((declaration) => declaration.name === name)
    this.#asking.set(name, [])
    if (callee === undefined) return []
    const found: number[] = []
    for (let i = callee.body.start; i < callee.body.end; i++) {
      if (this.#text(i + 1) !== '(') continue
      if (this.#asks(i, new Set())) found.push(i)
      found.push(...this.#asksInside(this.#text(i)))
    }
    this.#asking.set(name, found)
    return found
  }

  /** A call that gives what others wrote and, repeated, changes nothing. */
  #asks(token: number, changed: ReadonlySet<string>): boolean {
    const name = this.#text(token)
    if (!ASKS.test(name) && !ADDS.test(name)) return false
    const parts = splitAtCommas(this.#module.tokens, token + 2, closingOf(this.#module.tokens, token + 1))
    const argument = (n: number) => parts[n] ?? { start: token, end: token }
    if (ADDS.test(name)) return /^0[uix]?$/.test(this.#text(argument(1).start)) && argument(1).end - argument(1).start === 1
    if (!name.startsWith('svm_atomic_compare_exchange_')) return true
    return ![argument(0), argument(1)].some((part) => this.#mentionsAny(part, changed))
  }

  #mentionsAny({ start, end }: TokenRange, names: ReadonlySet<string>): boolean {
    for (let i = start; i < end; i++) if (names.has(this.#text(i)) && this.#text(i - 1) !== '.') return true
    return false
  }

  /** `let x = …`, `x = …`, `x.y[z] += …`, `x++`. */
  #assignments({ start, end }: TokenRange): Assignment[] {
    const found: Assignment[] = []
    let from = start
    for (let i = start; i <= end; i++) {
      const text = i < end ? this.#text(i) : ';'
      if (text !== ';' && text !== '{' && text !== '}') continue
      // The parentheses of a loop's header hold statements of their own.
      let first = from
      while (/^(for|while|\(|loop|continuing|else|let|var|const)$/.test(this.#text(first)) && first < i) first++
      const assigned = this.#isAssignment(first, i)
      if (assigned) found.push({ name: this.#text(first), range: { start: first + 1, end: i } })
      from = i + 1
    }
    return found
  }

  #isAssignment(first: number, end: number): boolean {
    if ((this.#module.tokens[first] as Token | undefined)?.kind !== 'word') return false
    for (let i = first + 1; i < end; i++) {
      const [before, text, after] = [this.#text(i - 1), this.#text(i), this.#text(i + 1)]
      if (text === '+' && after === '+') return true
      if (text === '-' && after === '-') return true
      if (text !== '=') continue
      const compares = after === '=' || before === '=' || before === '!' || ((before === '<' || before === '>') && this.#text(i - 2) !== before)
      if (!compares) return true
    }
    return false
  }

  #branches({ start, end }: TokenRange): Branch[] {
    const found: Branch[] = []
    for (let i = start; i < end; i++) {
      const keyword = this.#text(i)
      if (keyword !== 'if' && keyword !== 'switch' && keyword !== 'while' && keyword !== 'for') continue
      // `break if (…);` is an exit without a body.
      if (keyword === 'if' && this.#text(i - 1) === 'break') continue
      const open = this.#bodyAfter(i, end)
      if (open < 0) continue
      const bodies = [this.#block(open)]
      for (let at = (bodies[0] as TokenRange).end; this.#text(at) === 'else'; at = (bodies.at(-1) as TokenRange).end) {
        const next = this.#bodyAfter(at, end)
        if (next < 0) break
        bodies.push(this.#block(next))
      }
      found.push({ keyword, condition: keyword === 'for' ? this.#forCondition(i) : { start: i + 1, end: open }, bodies })
    }
    return found
  }

  #forCondition(keyword: number): TokenRange {
    const close = closingOf(this.#module.tokens, keyword + 1)
    const marks: number[] = []
    for (let i = keyword + 2; i < close; i++) if (this.#text(i) === ';') marks.push(i)
    return { start: (marks[0] ?? close) + 1, end: marks[1] ?? close }
  }

  #bodyAfter(keyword: number, end: number): number {
    for (let i = keyword + 1; i < end; i++) {
      if (this.#text(i) === '{') return i
      if (this.#text(i) === '(') i = closingOf(this.#module.tokens, i)
    }
    return -1
  }

  #block(open: number): TokenRange {
    return { start: open, end: closingOf(this.#module.tokens, open) + 1 }
  }

  /** The conditions that end the loop: its own, those of a `break if`, and those of branches that leave it. */
  #exits(loop: TokenRange, branches: readonly Branch[]): TokenRange[] {
    const exits: TokenRange[] = []
    const head = branches.find(({ keyword, condition }) => (keyword === 'while' || keyword === 'for') && this.#starts(loop, keyword, condition))
    if (head !== undefined) exits.push(head.condition)
    for (let i = loop.start; i < loop.end; i++) {
      if (this.#text(i) !== 'break' || this.#text(i + 1) !== 'if') continue
      let end = i
      while (end < loop.end && this.#text(end) !== ';') end++
      exits.push({ start: i + 2, end })
    }
    for (const branch of branches) {
      if (branch === head) continue
      const leaves = (body: TokenRange) => this.#has(body, 'return') || (branch.keyword === 'if' && this.#has(body, 'break'))
      if (branch.bodies.some(leaves)) exits.push(branch.condition)
    }
    return exits
  }

  #starts(loop: TokenRange, keyword: string, { start, end }: TokenRange): boolean {
    return this.#text(loop.start) === keyword && start > loop.start && end <= this.#bodyAfter(loop.start, loop.end)
  }

  #has({ start, end }: TokenRange, word: string): boolean {
    for (let i = start; i < end; i++) if (this.#text(i) === word) return true
    return false
  }
}
