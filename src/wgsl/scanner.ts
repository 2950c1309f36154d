// The token scanner for WGSL: words, numbers and single marks, without comments.
//
// Always: tokens are in the order of the text, never overlap, and `text.slice(start, end)` of the source is the token's text. Marks are single
// characters (only `->` is one token), so `>>` in `array<vec4<f32>>` is two closings and needs no parser to tell.

import { SvmError } from '../base/error.ts'

export interface Token {
  readonly kind: 'word' | 'number' | 'mark'
  readonly text: string
  readonly start: number
  readonly end: number
}

const WORD = /[\p{XID_Start}_][\p{XID_Continue}]*/uy
const NUMBER = /0[xX][0-9a-fA-F.]+(?:[pP][+-]?[0-9]+)?[iufh]?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[iufh]?/uy
const BLANK = /[\s\u0085\u200e\u200f]+/uy
/** What ends a line, and so a comment: more than a line feed. */
const LINE_BREAK = /[\n\v\f\r\u0085\u2028\u2029]/gu

export interface Place {
  readonly line: number
  readonly column: number
}

/** 1-based line and column of an offset. */
export function placeOf(source: string, offset: number): Place {
  const before = source.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - lineStart + 1 }
}

/** The error of a kernel's text, with its place. */
export function textError(source: string, label: string, offset: number, sentence: string): SvmError {
  const { line, column } = placeOf(source, offset)
  return new SvmError('build-failed', `kernel '${label}', line ${line}:${column}: ${sentence}`, { kernel: label })
}

export function scan(source: string, label = ''): Token[] {
  const tokens: Token[] = []
  let at = 0
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at
    return pattern.exec(source)?.[0] ?? null
  }
  const push = (kind: Token['kind'], text: string) => {
    tokens.push({ kind, text, start: at, end: at + text.length })
    at += text.length
  }
  while (at < source.length) {
    const blank = take(BLANK)
    if (blank !== null) {
      at += blank.length
      continue
    }
    if (source.startsWith('//', at)) {
      LINE_BREAK.lastIndex = at
      at = LINE_BREAK.exec(source)?.index ?? source.length
      continue
    }
    if (source.startsWith('/*', at)) {
      at = endOfBlockComment(source, at, label)
      continue
    }
    const word = take(WORD)
    if (word !== null) {
      push('word', word)
      continue
    }
    const number = take(NUMBER)
    if (number !== null) {
      push('number', number)
      continue
    }
    push('mark', source.startsWith('->', at) ? '->' : (source[at] as string))
  }
  return tokens
}

/** Block comments nest. */
function endOfBlockComment(source: string, start: number, label: string): number {
  let depth = 0
  let at = start
  while (at < source.length) {
    if (source.startsWith('/*', at)) {
      depth++
      at += 2
    } else if (source.startsWith('*/', at)) {
      depth--
      at += 2
      if (depth === 0) return at
    } else {
      at++
    }
  }
  throw textError(source, label, start, 'this comment is never closed; add */')
}

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '{': '}', '[': ']', '<': '>' }

/** Index of the token that closes the bracket at `open`; -1 when there is none. */
export function closingOf(tokens: readonly Token[], open: number): number {
  const opening = (tokens[open] as Token).text
  const closing = CLOSING[opening]
  let depth = 0
  for (let i = open; i < tokens.length; i++) {
    const text = (tokens[i] as Token).text
    if (text === opening) depth++
    else if (text === closing && --depth === 0) return i
  }
  return -1
}

/** Splits the tokens of [start, end) at commas that stand outside all brackets, template brackets included. Empty parts are left out. */
export function splitAtCommas(tokens: readonly Token[], start: number, end: number): { start: number; end: number }[] {
  const parts: { start: number; end: number }[] = []
  let depth = 0
  let from = start
  for (let i = start; i <= end; i++) {
    const text = i < end ? (tokens[i] as Token).text : ','
    if (text === '(' || text === '[' || text === '<') depth++
    else if (text === ')' || text === ']' || text === '>') depth--
    else if (text === ',' && (depth === 0 || i === end)) {
      if (i > from) parts.push({ start: from, end: i })
      from = i + 1
    }
  }
  return parts
}
