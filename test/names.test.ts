// ARCHITECTURE.md says where the names of the seed threads and of Linux live here. Always: each file that a row of these two tables names exists, and
// each name in backticks stands in the code (not only in a comment) of one of the files of its row.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = new URL('..', import.meta.url).pathname
const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')

/** The right cells of a chapter's table. */
function rows(chapter: string): string[] {
  const [, after] = text.split(`## ${chapter}\n`)
  const lines = (after as string).split('\n## ')[0]?.matchAll(/^\| .* \| (.*) \|$/gm) ?? []
  return [...lines].map(([, here]) => (here as string).replaceAll('\\|', '|')).slice(2)
}

const isFile = (token: string) => /^[\w-]+(\/[\w.-]+)*\.ts$/.test(token)
const pathOf = (file: string) => [join(root, 'src', file), join(root, file)].find((path) => existsSync(path))

/** Identifiers and strings of a file. */
function wordsOf(file: string): Set<string> {
  const words = new Set<string>()
  const visit = (node: ts.Node) => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node) || ts.isStringLiteral(node)) words.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true))
  return words
}

/** What is wrong in a row; empty: nothing. */
function wrongIn(row: string): string[] {
  const tokens = [...row.matchAll(/`([^`]+)`/g)].map(([, token]) => token as string)
  const files = tokens.filter(isFile)
  const missing = files.filter((file) => pathOf(file) === undefined)
  if (files.length === 0 || missing.length > 0) return [`${row}: ${files.length === 0 ? 'no file' : `no ${missing.join()}`}`]
  const known = files.map((file) => wordsOf(pathOf(file) as string))
  const names = tokens.filter((token) => !isFile(token)).flatMap((token) => token.match(/#?\w+/g) ?? [token])
  return names.filter((name) => !known.some((words) => words.has(name))).map((name) => `${row}: no ${name} in ${files.join()}`)
}

describe.each([
  ['Names of the two seed threads, and where they live', 30],
  ['Glossary: in Linux / here', 10],
])('%s', (chapter, least) => {
  it('each file is there, and has the names of its row', () => {
    const table = rows(chapter)
    expect(table.length).toBeGreaterThan(least)
    expect(table.flatMap(wrongIn)).toEqual([])
  })
})

it.each(['CONTRIBUTING.md', 'README.md', 'STYLE.md'])('%s names no TypeScript file that is not there', (file) => {
  const tokens = [...readFileSync(join(root, file), 'utf8').matchAll(/`([^`]+)`/g)].map(([, token]) => token as string)
  expect(tokens.filter((token) => isFile(token) && pathOf(token) === undefined)).toEqual([])
})

it('a name or a file that does not exist is found', () => {
  expect(wrongIn('`PageTable.frame` in `mm/page-table.ts`')).toEqual([])
  expect(wrongIn('`DevicePage` in `mm/page-table.ts`')).toHaveLength(1)
  expect(wrongIn('`Vma` in `mm/vma.test.ts`')).toHaveLength(1)
  expect(wrongIn('`Vma` somewhere')).toHaveLength(1)
})
