// Edits of the author's text in place.
//
// Always: no edit adds or removes a line, so every message of the compiler names the author's line. Only loop guards, their counters, the closing
// return and the entry point's new name shift columns; `authorColumn` takes them out again.

import type { ProgramVariant } from '../device/device.ts'
import type { Analyser, Loop } from './analyse.ts'
import type { ElementAccess } from './elements.ts'
import { type Attribute, attributeOf, type FunctionDeclaration, type SourceModule, type VariableDeclaration } from './module.ts'
import type { LoopGuards } from './program.ts'
import { placeOf, type Token } from './scanner.ts'
import { withLine, withoutLines } from './watch.ts'

export const LOOP_GUARD = ' if (svm_stop()) { break; }'
/** In a loop that counts and accesses memory: it ends anyway, so an invocation that faulted goes on for a while, and its further faults are hints. As long as LOOP_GUARD. */
const COUNT_GUARD = ' if (svm_tire()) { break; }'
/** Of loops that may wait; as long as the other. */
export const WAIT_GUARD = ' if (svm_wait()) { break; }'
/** Of loops that a workgroup must leave as one: all its invocations have made so many turns, which Dawn can see. */
const meetCounter = (loop: Loop) => `svm_turns${loop.range.start}`
const meetDeclaration = (loop: Loop) => `var ${meetCounter(loop)} = 0u; `
const meetGuard = (loop: Loop) => ` if (svm_meet(${meetCounter(loop)})) { break; } ${meetCounter(loop)} += 1u;`
const MEETS = / if \(svm_meet\(svm_turns\d+\)\) \{ break; \} svm_turns\d+ \+= 1u;|var svm_turns\d+ = 0u; /g
export const ENTRY_PREFIX = 'svm_user_'

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Group and binding of the arguments in the translated module. */
export const RUNTIME_GROUP = 3
export const ARGUMENTS_BINDING = 3
const ACCESSOR = /^svm_(load|store|atomic)_/

function applyEdits(source: string, edits: readonly Edit[]): string {
  const ordered = [...edits].sort((a, b) => a.start - b.start)
  let text = ''
  let at = 0
  for (const edit of ordered) {
    text += source.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return text + source.slice(at)
}

/** The same number of characters and lines, all blank. */
function blanked(text: string): string {
  return text.replace(/[^\n\r]/g, ' ')
}

/** Where a kernel may wait for another workgroup. */
export interface WaitsFound {
  readonly loops: ReadonlySet<Loop>
  /** Plain loads that alone decide whether such a loop ends, as tokens. */
  readonly loads: ReadonlySet<number>
}

export interface RewriteWish {
  readonly variant: ProgramVariant
  readonly loopGuards: LoopGuards
  readonly entry: FunctionDeclaration
  readonly args: VariableDeclaration | null
  /** Each invocation has a copy of them (held.ts). */
  readonly held: boolean
  readonly loops: readonly Loop[]
  readonly waits: WaitsFound
  readonly watch?: boolean
  /** Calls that are made in words. */
  readonly elements: readonly ElementAccess[]
}

export class Rewriter {
  readonly #module: SourceModule
  readonly #analyser: Analyser
  readonly #strides: ReadonlyMap<number, string>

  /** @param strides the names of calls of svm_index whose stride is known, by their tokens */
  constructor(module: SourceModule, analyser: Analyser, strides: ReadonlyMap<number, string>) {
    this.#module = module
    this.#analyser = analyser
    this.#strides = strides
  }

  /** The author's part of the module that runs. */
  program(wish: RewriteWish): string {
    return applyEdits(this.#module.source, [
      ...this.#entryEdits(wish.entry),
      ...(wish.args === null ? [] : this.#argumentEdits(wish.args, wish.held)),
      ...this.#callEdits(wish.watch === true ? wish.waits.loads : null),
      ...this.#indexEdits(wish.elements),
      ...this.#loopEdits(wish),
    ])
  }

  /**
   * The author's part of the text that is only type-checked: uniforms become read-only storage, because svm_ptr is a struct there and the
   * layout rules of uniforms would refuse it. Both words have seven letters.
   */
  check(): string {
    const edits: Edit[] = []
    this.#module.tokens.forEach((token, i) => {
      const before = this.#token(i - 2)
      if (token.text === 'uniform' && this.#token(i - 1) === '<' && (before === 'var' || before === 'ptr')) {
        edits.push({ start: token.start, end: token.end, text: 'storage' })
      }
    })
    return applyEdits(this.#module.source, edits)
  }

  #token(index: number): string {
    return this.#module.tokens[index]?.text ?? ''
  }

  #replace(token: number, text: string): Edit {
    const { start, end } = this.#module.tokens[token] as Token
    return { start, end, text: text.padEnd(end - start) }
  }

  /** The arguments of svm_index become those of the access itself. */
  #indexEdits(elements: readonly ElementAccess[]): Edit[] {
    const taken = new Set(elements.map(({ index }) => index))
    const strides = [...this.#strides].filter(([token]) => !taken.has(token)).map(([token, name]) => this.#replace(token, name))
    const blank = (token: number) => this.#replace(token, '')
    return [
      ...strides,
      ...elements.flatMap(({ kind, accessor, index, close }) => [this.#replace(accessor, kind.name), blank(index), blank(index + 1), blank(close)]),
    ]
  }

  #blank(attribute: Attribute): Edit {
    const start = (this.#module.tokens[attribute.range.start] as Token).start
    const end = (this.#module.tokens[attribute.range.end - 1] as Token).end
    return { start, end, text: blanked(this.#module.source.slice(start, end)) }
  }

  #entryEdits(entry: FunctionDeclaration): Edit[] {
    const own = entry.attributes.filter(({ name }) => name === 'compute' || name === 'workgroup_size')
    const builtins = entry.parameters.flatMap((parameter) => parameter.attributes)
    return [...[...own, ...builtins].map((attribute) => this.#blank(attribute)), this.#replace(entry.nameToken, ENTRY_PREFIX + entry.name)]
  }

  #argumentEdits(args: VariableDeclaration, held: boolean): Edit[] {
    if (held) return [...args.attributes.map((attribute) => this.#blank(attribute)), this.#replace(args.spaceToken, 'private')]
    return (['group', 'binding'] as const).flatMap((name) => {
      const attribute = attributeOf(args.attributes, name)
      if (attribute === undefined || attribute.value.end <= attribute.value.start) return []
      const start = (this.#module.tokens[attribute.value.start] as Token).start
      const end = (this.#module.tokens[attribute.value.end - 1] as Token).end
      const number = String(name === 'group' ? RUNTIME_GROUP : ARGUMENTS_BINDING)
      return [{ start, end, text: number + blanked(this.#module.source.slice(start, end)).slice(number.length) }]
    })
  }

  /** Barriers go through the runtime; atomics whose result nobody uses do not taint. @param asking null: nobody watches */
  #callEdits(asking: ReadonlySet<number> | null): Edit[] {
    const own = new Set(this.#module.functions.map(({ name }) => name))
    const edits: Edit[] = []
    this.#module.tokens.forEach((token, i) => {
      if (token.kind !== 'word' || this.#token(i + 1) !== '(' || own.has(token.text)) return
      if (token.text === 'workgroupBarrier') edits.push(this.#replace(i, 'svm_barrier'))
      else if (token.text === 'storageBarrier') edits.push(this.#replace(i, 'svm_sbarrier'))
      else if (ACCESSOR.test(token.text)) {
        const silent = token.text.startsWith('svm_atomic_') && !token.text.startsWith('svm_atomic_load_') && this.#analyser.isStatement(i)
        const name = silent ? token.text.replace('svm_atomic_', 'svm_silent_') : token.text
        if (silent || asking !== null)
          edits.push(this.#replace(i, asking === null ? name : withLine(name, placeOf(this.#module.source, token.start).line, asking.has(i))))
      }
    })
    return edits
  }

  #loopEdits({ loops, variant, loopGuards, waits }: RewriteWish): Edit[] {
    const guarded = loops.filter((loop) => guardOf(loop, variant, loopGuards) !== null)
    const edits = guarded.map((loop) => {
      const { end } = this.#module.tokens[loop.open] as Token
      const text =
        guardOf(loop, variant, loopGuards) === 'meet'
          ? meetGuard(loop)
          : waits.loops.has(loop)
            ? WAIT_GUARD
            : variant === 'attempt' && loop.counted && loop.accessing
              ? COUNT_GUARD
              : LOOP_GUARD
      return { start: end, end, text }
    })
    for (const loop of guarded) if (guardOf(loop, variant, loopGuards) === 'meet') edits.push(this.#before(loop))
    // `loop { … return … }` had no way past its end; the guard opens one, and the function would end without a value there.
    for (const owner of this.#module.functions) {
      const last = owner.body.end - 1
      if (owner.returnType === '' || this.#token(last - 1) !== '}' || !guarded.some((loop) => loop.owner === owner.name)) continue
      const { start } = this.#module.tokens[last] as Token
      edits.push({ start, end: start, text: `return ${owner.returnType}(); ` })
    }
    return edits
  }

  /** The counter of a loop's turns, before its first attribute. */
  #before(loop: Loop): Edit {
    let first = loop.range.start
    while (!/^[{};]$/.test(this.#token(first - 1))) first--
    const { start } = this.#module.tokens[first] as Token
    return { start, end: start, text: meetDeclaration(loop) }
  }
}

/**
 * How a loop ends early: each invocation for itself, or its workgroup as one. Without faults only a bad access makes a loop go astray, and only one that
 * ends by what memory holds: loops that count keep their speed. Where invocations meet, one that counts goes astray only by a count that was handed around.
 */
export function guardOf(loop: Loop, variant: ProgramVariant, loopGuards: LoopGuards): 'stop' | 'meet' | null {
  if (loopGuards === 'none' || (loop.counted && (loopGuards === 'uncounted' || (variant !== 'attempt' && variant !== 'sealed')))) return null
  if (!loop.collective) return loopGuards === 'all' || loop.accessing ? 'stop' : null
  // A barrier must be met by all: what a loop with one counts to came from no memory, or was handed around.
  if (loop.counted && loop.barriers && !loop.handed) return null
  return loop.barriers || (loopGuards !== 'apart' && loopGuards !== 'uncounted') ? 'meet' : 'stop'
}

/** The author's column for a column of a rewritten line. */
export function authorColumn(rewrittenLine: string, column: number): number {
  const cut = rewrittenLine.slice(0, Math.max(0, column - 1))
  const before = withoutLines(cut).replaceAll(MEETS, '').replaceAll(WAIT_GUARD, LOOP_GUARD).replaceAll(COUNT_GUARD, LOOP_GUARD)
  const guards = before.split(LOOP_GUARD).length - 1
  const renames = before.split(ENTRY_PREFIX).length - 1
  return Math.max(1, column - (cut.length - before.length) - guards * LOOP_GUARD.length - renames * ENTRY_PREFIX.length)
}
