// What the compiler found out about a kernel, by lines of the author's text: the part of KernelAnalysis that is for people and tools.
//
// Always: nothing here decides what is right; what does is in analyse.ts. Lines are 1-based, and each list is in the order of the text.

import { type Analyser, type Call, isBarrier, isSubgroupOperation, type Loop, RAW_ATOMIC } from './analyse.ts'
import type { SourceModule, VariableDeclaration } from './module.ts'
import type { KernelAccess, KernelFindings, KernelHint, KernelLoop } from './program.ts'
import { guardOf } from './rewrite.ts'
import { closingOf, placeOf, splitAtCommas, type Token } from './scanner.ts'
import { Waits } from './waits.ts'

export interface FindingsWish {
  readonly module: SourceModule
  readonly analyser: Analyser
  readonly entryPoint: string
  /** Of the functions that the entry point reaches. */
  readonly loops: readonly Loop[]
  /** The module variables that it reaches. */
  readonly variables: readonly VariableDeclaration[]
  readonly isAtomicWord: (name: string) => boolean
}

export function findings(wish: FindingsWish): KernelFindings {
  const { module, analyser, entryPoint } = wish
  const calls = analyser.foreignCalls(entryPoint)
  const line = (token: number) => lineOf(module, token)
  const linesOf = (property: (call: Call) => boolean) => unique(calls.filter(property).map(({ token }) => line(token)))
  const loops = loopsOf(wish)
  return {
    accesses: calls.flatMap((call) => accessOf(wish, call)),
    barrierLines: linesOf(({ name }) => isBarrier(name)),
    subgroupLines: linesOf(({ name }) => isSubgroupOperation(name)),
    workgroupMemory: wish.variables.filter(({ space }) => space === 'workgroup').map(({ name, type, nameToken }) => ({ name, type, line: line(nameToken) })),
    taintedFromStart: linesOf((call) => RAW_ATOMIC.test(call.name) && analyser.isUsed(call)),
    loops,
    waitLines: unique(loops.flatMap(({ waitsAt }) => waitsAt)),
    atomicPoolLines: unique(module.tokens.flatMap(({ text }, i) => (wish.isAtomicWord(text) ? [line(i)] : []))),
    hints: narrowAccesses(wish, calls),
  }
}

export function lineOf(module: SourceModule, token: number): number {
  return placeOf(module.source, (module.tokens[token] as Token).start).line
}

function unique(lines: readonly number[]): number[] {
  return [...new Set(lines)].sort((a, b) => a - b)
}

function accessOf({ module, analyser }: FindingsWish, call: Call): KernelAccess[] {
  const kind = /^svm_(load|store|atomic)_/.exec(call.name)?.[1] as KernelAccess['kind'] | undefined
  if (kind === undefined) return []
  return [{ kind, name: call.name, line: lineOf(module, call.token), resultUsed: kind === 'load' || (kind === 'atomic' && analyser.isUsed(call)) }]
}

function loopsOf({ module, analyser, loops }: FindingsWish): KernelLoop[] {
  const waits = new Waits(module)
  return loops.map((loop) => {
    const meets = analyser.calls(loop.range).find(({ name }) => isBarrier(name) || isSubgroupOperation(name))
    const at = meets === undefined ? 'in a function that it calls' : `${meets.name} in line ${lineOf(module, meets.token)}`
    const guard = guardOf(loop, 'resident', 'all') !== null ? 'all' : guardOf(loop, 'attempt', 'all') !== null ? 'attempt' : 'none'
    return {
      kind: loop.kind,
      line: lineOf(module, loop.range.start),
      function: loop.owner,
      guard,
      why: {
        none: `its invocations meet (${at}), and one that left early would be missing; it counts, so it ends by itself`,
        attempt: loop.collective
          ? `its invocations meet (${at}), and how often it runs may be what one of them loaded: where something can fault its workgroup leaves it as one when it is poisoned or out of fuel`
          : 'it counts, so it ends by itself where nothing can fault; where something can, it also ends when the invocation is out of fuel, or is poisoned and asks for nothing new',
        all: loop.collective
          ? `its invocations meet (${at}), and it ends by what memory holds: in every variant its workgroup leaves it as one when one of them is poisoned, out of fuel or made a bad access`
          : 'it ends by what memory holds, so in every variant it also ends after a bad access, and where something can fault when the invocation is poisoned or out of fuel',
      }[guard],
      waitsAt: unique(waits.ofLoop(loop.range).map((token) => lineOf(module, token))),
    } as const
  })
}

/** Runs of scalar accesses to neighbouring words, which one wide access would serve with one walk of the page table. */
function narrowAccesses({ module }: FindingsWish, calls: readonly Call[]): KernelHint[] {
  const hints: KernelHint[] = []
  let run: { name: string; base: string; offsets: number[]; token: number } | null = null
  const close = () => {
    if (run !== null && run.offsets.length >= 2 && run.offsets.every((offset, n) => offset === (run?.offsets[0] as number) + 4 * n)) {
      const width = Math.min(4, run.offsets.length)
      const [, verb, type] = /^svm_(load|store)_(.*)$/.exec(run.name) as RegExpExecArray
      const wide = `svm_${verb}_vec${width}_${type}`
      hints.push({
        line: lineOf(module, run.token),
        text: `${run.offsets.length} calls of ${run.name} to neighbouring words of ${run.base}: ${wide} walks the page table once for ${width} of them`,
      })
    }
    run = null
  }
  for (const { name, token } of calls) {
    if (!/^svm_(load|store)_[uif]32$/.test(name)) continue
    const place = neighbour(module, token)
    if (run !== null && run.name === name && run.base === place.base) run.offsets.push(place.offset)
    else {
      close()
      run = { name, base: place.base, offsets: [place.offset], token }
    }
  }
  close()
  return hints
}

/** `svm_add(base, 4u)` as base and offset; any other pointer as itself. */
function neighbour(module: SourceModule, call: number): { base: string; offset: number } {
  const { tokens } = module
  const text = (start: number, end: number) =>
    tokens
      .slice(start, end)
      .map((token) => token.text)
      .join('')
  const [pointer] = splitAtCommas(tokens, call + 2, closingOf(tokens, call + 1))
  if (pointer === undefined) return { base: '', offset: 0 }
  if (tokens[pointer.start]?.text === 'svm_add') {
    const [base, bytes] = splitAtCommas(tokens, pointer.start + 2, pointer.end - 1)
    const offset = bytes === undefined ? Number.NaN : Number(text(bytes.start, bytes.end).replace(/[ui]$/, ''))
    if (base !== undefined && Number.isInteger(offset)) return { base: text(base.start, base.end), offset }
  }
  return { base: text(pointer.start, pointer.end), offset: 0 }
}
