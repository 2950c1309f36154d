// What a kernel does, read off its tokens: who calls whom, which loops can be left, whose results are used.
//
// Always: the answers err on the safe side. A name that only might be a call, a result that only might be used, counts.

import { stepsOn } from './counting.ts'
import type { FunctionDeclaration, SourceModule, TokenRange } from './module.ts'
import { closingOf, type Token } from './scanner.ts'

export interface Loop {
  readonly kind: 'for' | 'while' | 'loop'
  readonly owner: string
  /** Its tokens, header and body. */
  readonly range: TokenRange
  /** Token of the `{` that opens the body. */
  readonly open: number
  /** A `for` that counts: its condition calls nothing, what its update changes is changed nowhere else, by a step that memory does not say. It ends whatever memory holds. */
  readonly counted: boolean
  /** It holds a barrier or a subgroup operation, itself or by a call: one that leaves it early splits the workgroup. */
  readonly collective: boolean
  /** It holds a barrier. */
  readonly barriers: boolean
  /** The module has workgroupUniformLoad, so that what memory holds may decide how often a workgroup runs a loop that counts. */
  readonly handed: boolean
  /** It accesses shared memory, itself or by a call. */
  readonly accessing: boolean
}

export interface Call {
  readonly name: string
  readonly token: number
}

const BARRIERS = new Set(['workgroupBarrier', 'storageBarrier', 'textureBarrier', 'svm_barrier'])
const QUADS = new Set(['quadBroadcast', 'quadSwapX', 'quadSwapY', 'quadSwapDiagonal'])
export const RAW_ATOMIC = /^atomic(Load|Store|Add|Sub|Max|Min|And|Or|Xor|Exchange|CompareExchangeWeak)$/
const ACCESS = /^svm_(load|store|atomic)_/
/** `svm_atomic_load` taints whatever becomes of its result. */
const ALWAYS_USED = /^(svm_atomic_load_|atomicLoad$)/

/** What the functions reachable from the entry point do. */
export interface Behaviour {
  readonly reachable: ReadonlySet<string>
  readonly loads: boolean
  readonly stores: boolean
  readonly atomics: boolean
  readonly usedAtomics: boolean
  readonly usedRawAtomics: boolean
  readonly barriers: boolean
  /** subgroup*, quad* or workgroupUniformLoad: values cross the workgroup without a barrier that the runtime sees. */
  readonly collectives: boolean
  readonly subgroups: boolean
}

export class Analyser {
  readonly #module: SourceModule
  readonly #functions: ReadonlyMap<string, FunctionDeclaration>
  readonly #reached = new Map<string, ReadonlySet<string>>()

  constructor(module: SourceModule) {
    this.#module = module
    this.#functions = new Map(module.functions.map((declaration) => [declaration.name, declaration]))
  }

  /** The words in a range that are followed by `(`, with their tokens. */
  calls(range: TokenRange): Call[] {
    const calls: Call[] = []
    for (let i = range.start; i < range.end; i++) {
      const token = this.#module.tokens[i] as Token
      if (token.kind === 'word' && this.#module.tokens[i + 1]?.text === '(') calls.push({ name: token.text, token: i })
    }
    return calls
  }

  /** Every function of the author's that a call in this range can lead to. */
  #closure(range: TokenRange): Set<string> {
    const reached = new Set<string>()
    const pending = [range]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const { name } of this.calls(next)) {
        const callee = this.#functions.get(name)
        if (callee === undefined || reached.has(name)) continue
        reached.add(name)
        pending.push(callee.body)
      }
    }
    return reached
  }

  /** A name with this property is called in the range or in what it calls. */
  #does(range: TokenRange, property: (name: string) => boolean): boolean {
    const bodies = [range]
    for (const name of this.#closure(range)) bodies.push((this.#functions.get(name) as FunctionDeclaration).body)
    return bodies.some((body) => this.calls(body).some(({ name }) => !this.#functions.has(name) && property(name)))
  }

  /** The entry point and what it calls, directly or not. */
  reachableFrom(entryPoint: string): ReadonlySet<string> {
    const known = this.#reached.get(entryPoint)
    if (known !== undefined) return known
    const entry = this.#functions.get(entryPoint)
    const reached = entry === undefined ? new Set<string>() : this.#closure(entry.body)
    reached.add(entryPoint)
    this.#reached.set(entryPoint, reached)
    return reached
  }

  /** True when a function reachable from the entry point mentions the name (a local variable of the same name counts as well). */
  mentions(entryPoint: string, name: string): boolean {
    for (const reached of this.reachableFrom(entryPoint)) {
      const { range } = this.#functions.get(reached) as FunctionDeclaration
      for (let i = range.start; i < range.end; i++) {
        if ((this.#module.tokens[i] as Token).text === name && this.#module.tokens[i - 1]?.text !== '.') return true
      }
    }
    return false
  }

  behaviour(entryPoint: string): Behaviour {
    const reachable = this.reachableFrom(entryPoint)
    const foreign = this.foreignCalls(entryPoint)
    const some = (property: (name: string) => boolean) => foreign.some(({ name }) => property(name))
    const used = (call: Call) => this.isUsed(call)
    return {
      reachable,
      loads: some((name) => name.startsWith('svm_load_')),
      stores: some((name) => name.startsWith('svm_store_')),
      atomics: some((name) => name.startsWith('svm_atomic_')),
      usedAtomics: foreign.some((call) => call.name.startsWith('svm_atomic_') && used(call)),
      usedRawAtomics: foreign.some((call) => RAW_ATOMIC.test(call.name) && used(call)),
      barriers: some(isBarrier),
      collectives: some((name) => name === 'workgroupUniformLoad' || isSubgroupOperation(name)),
      subgroups: some(isSubgroupOperation),
    }
  }

  /** An atomic's result is used, or taints though it is not. */
  isUsed({ name, token }: Call): boolean {
    if (name.startsWith('svm_atomic_store_') || name === 'atomicStore') return false
    return ALWAYS_USED.test(name) || !this.isStatement(token)
  }

  /** Calls of the built-ins and of the runtime that the entry point can reach, in the order of the text. */
  foreignCalls(entryPoint: string): Call[] {
    const calls = [...this.reachableFrom(entryPoint)].flatMap((name) => this.calls((this.#functions.get(name) as FunctionDeclaration).body))
    return calls.filter(({ name }) => !this.#functions.has(name)).sort((a, b) => a.token - b.token)
  }

  /** A call whose result is dropped: it stands where a statement begins. In the header of a `for` every call counts as used. */
  isStatement(token: number): boolean {
    const previous = this.#module.tokens[token - 1]?.text ?? ''
    if (previous !== ';' && previous !== '{' && previous !== '}') return false
    return previous !== ';' || !this.#insideParentheses(token)
  }

  #insideParentheses(token: number): boolean {
    let depth = 0
    for (let i = token - 1; i >= 0; i--) {
      const text = (this.#module.tokens[i] as Token).text
      if (text === ')') depth++
      else if (text === '(' && depth-- === 0) return true
      else if (text === '{' || text === '}') return false
    }
    return false
  }

  loops(): Loop[] {
    const loops: Loop[] = []
    const handed = this.#module.tokens.some(({ text }) => text === 'workgroupUniformLoad')
    for (const owner of this.#module.functions) {
      for (let i = owner.body.start; i < owner.body.end; i++) {
        const kind = (this.#module.tokens[i] as Token).text
        if (kind !== 'for' && kind !== 'while' && kind !== 'loop') continue
        const open = this.#loopBody(i, kind)
        if (open < 0) continue
        const range = { start: i, end: closingOf(this.#module.tokens, open) + 1 }
        const collective = this.#does(range, (name) => isCollective(name))
        loops.push({
          kind,
          owner: owner.name,
          range,
          open,
          counted: this.#counts(owner, kind, range, open),
          collective,
          barriers: this.#does(range, isBarrier),
          handed,
          accessing: this.#does(range, (name) => ACCESS.test(name)),
        })
      }
    }
    return loops
  }

  #counts(owner: FunctionDeclaration, kind: Loop['kind'], { start, end }: TokenRange, open: number): boolean {
    if (kind !== 'for') return false
    const text = (i: number) => (this.#module.tokens[i] as Token).text
    const close = closingOf(this.#module.tokens, start + 1)
    const marks: number[] = []
    for (let i = start + 2; i < close; i++) if (text(i) === ';') marks.push(i)
    const [first, second] = marks
    if (first === undefined || second === undefined || second === first + 1 || second + 1 >= close) return false
    const counter = text(second + 1)
    let tested = false
    for (let i = first + 1; i < close; i++) {
      if (this.#module.tokens[i]?.kind === 'word' && text(i + 1) === '(') return false
      tested ||= i < second && text(i) === counter
    }
    if (!tested || !stepsOn(this.#module, owner, { start: first + 1, end: second }, { start: second + 1, end: close }, counter)) return false
    // Another assignment to the counter, or a pointer to it.
    for (let i = open; i < end; i++) {
      if (text(i) !== counter || text(i - 1) === '.') continue
      const assigned = text(i + 1) === '=' && text(i + 2) !== '='
      const changed = /^[-+*/%&|^]$/.test(text(i + 1)) && (text(i + 2) === '=' || text(i + 2) === text(i + 1))
      if (assigned || changed || text(i - 1) === '&') return false
    }
    return true
  }

  /** The `{` of a loop's body: the first one outside parentheses. */
  #loopBody(keyword: number, kind: Loop['kind']): number {
    const tokens = this.#module.tokens
    let at = keyword + 1
    if (kind === 'for') at = closingOf(tokens, at) + 1
    while (at < tokens.length && (tokens[at] as Token).text !== '{') {
      at = (tokens[at] as Token).text === '(' ? closingOf(tokens, at) + 1 : at + 1
      if (at === 0) return -1
    }
    return at < tokens.length ? at : -1
  }
}

/** Invocations of a workgroup or a subgroup meet in it. */
export function isCollective(name: string): boolean {
  return isBarrier(name) || isSubgroupOperation(name)
}

export function isBarrier(name: string): boolean {
  return BARRIERS.has(name) || name === 'workgroupUniformLoad'
}

export function isSubgroupOperation(name: string): boolean {
  return name.startsWith('subgroup') || QUADS.has(name)
}
