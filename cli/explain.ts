// svm run --explain: what the compiler found out about a kernel, for people. Always: it says nothing that kernel.analysis does not have.

import type { KernelAccess, KernelAnalysis, KernelGuards, SvmKernel } from '../src/node.ts'
import type { Outcome } from './command.ts'

export function explained(kernel: SvmKernel): Outcome {
  const { label, analysis, layouts } = kernel
  return { ok: true, value: { ok: true, kernel: label, analysis, layouts }, text: explain(label, analysis) }
}

const PROTOCOLS: Readonly<Record<KernelAnalysis['protocol'], string>> = {
  grants: 'grants: right for any kernel without data races; workgroups that fault are replayed',
  transactional: 'transactional (declared): every written page is a private copy of the pass, and any fault drops the pass; data races are allowed',
  unsplittable: 'unsplittable (declared): it starts only when no fault is possible; its workgroups may wait for each other',
}

function explain(label: string, a: KernelAnalysis): string {
  const lines = [
    `kernel ${label}, @workgroup_size(${a.workgroupSize.join(', ')})`,
    '',
    `protocol    ${PROTOCOLS[a.protocol]}`,
    `variants    ${a.variants.join(', ')}`,
  ]
  const say = (name: string, text: string) => lines.push(name.padEnd(12) + text)
  for (const kind of ['load', 'store', 'atomic'] as const) {
    const calls = a.accesses.filter((access) => access.kind === kind)
    say(`${kind}s`, calls.length === 0 ? 'none' : `${calls.length}: ${byName(calls)}`)
  }
  const used = a.accesses.filter(({ kind, resultUsed }) => kind === 'atomic' && resultUsed)
  if (used.length > 0) say('', `results used, so later stores of the work-item need a page for itself: ${at(used.map(({ line }) => line))}`)
  if (a.startTainted) say('taint', `from the start, since results of atomics on workgroup memory are used: ${at(a.taintedFromStart)}`)
  say('barriers', a.barrierLines.length === 0 ? 'none' : at(a.barrierLines))
  if (a.subgroups) say('subgroups', at(a.subgroupLines))
  if (a.polls) say('', 'values cross the workgroup without a barrier, so every store and loop head looks whether a neighbour faulted')
  for (const { name, type, line } of a.workgroupMemory) say('workgroup', `${name}: ${type}, ${at([line])}`)
  say('pools', a.atomicPools ? `of atomic words, because of ${at(a.atomicPoolLines)}` : 'of plain words')
  if (a.writableBindings.length > 0) say('bindings', `it writes ${a.writableBindings.join(', ')} of its own, so it starts only when no fault is possible`)
  if (a.loops.length > 0) for (const [n, text] of guardsTaken(a.guards).entries()) say(n === 0 ? 'guards' : '', text)
  for (const loop of a.loops) {
    say('loop', `${at([loop.line])}: ${loop.kind} in ${loop.function}: ${loop.why}`)
    if (loop.waitsAt.length === 0) continue
    say('', `it may wait for a value of ${at(loop.waitsAt)}; if another workgroup has to write it, declare class 'unsplittable'`)
  }
  for (const { line, text } of a.hints) say('hint', `${at([line])}: ${text}`)
  return `${lines.join('\n')}\n`
}

const LEVELS: Readonly<Record<KernelGuards['level'], string>> = {
  unbuilt: 'not known before the first program is built, when a launch needs it',
  all: 'every loop that is to have one',
  accessing: 'with all of them it does not compile here, so only loops that access memory or in which work-items meet',
  apart: 'with more it does not compile here, so only loops that access memory, and work-items leave those in which subgroups meet each for itself',
  uncounted: 'with more it does not compile here, so only loops that do not count',
  none: 'with any it does not compile here',
}

/** `attempt, sealed: every loop that is to have one`: variants of which the same is true, together. */
function guardsTaken(all: readonly KernelGuards[]): string[] {
  const variants = new Map<string, string[]>()
  for (const { variant, level, droppedLines } of all) {
    const text = `${LEVELS[level]}${droppedLines.length === 0 ? '' : `; none in ${at(droppedLines)}`}`
    variants.set(text, [...(variants.get(text) ?? []), variant])
  }
  return [...variants].map(([text, names]) => `${names.join(', ')}: ${text}`)
}

function at(lines: readonly number[]): string {
  const list = [...new Set(lines)]
  return `${list.length === 1 ? 'line' : 'lines'} ${list.join(', ')}`
}

/** `svm_load_u32 (lines 4, 7), svm_load_ptr (line 9)` */
function byName(calls: readonly KernelAccess[]): string {
  const names = new Map<string, number[]>()
  for (const { name, line } of calls) names.set(name, [...(names.get(name) ?? []), line])
  return [...names].map(([name, lines]) => `${name} (${at(lines)})`).join(', ')
}
