// ARCHITECTURE.md says what may change while we sleep. Always: every function of mm/ and driver/ that awaits has its row there, and no row is left
// over from a function that does not.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = new URL('..', import.meta.url).pathname

/** `mm/fault hostFault` for each function in which an await stands. */
function sleepers(room: string): string[] {
  const folder = join(root, 'src', room)
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .flatMap((file) => {
      const tree = ts.createSourceFile(file, readFileSync(join(folder, file), 'utf8'), ts.ScriptTarget.Latest, true)
      const found = new Set<string>()
      const visit = (node: ts.Node) => {
        if (ts.isAwaitExpression(node)) found.add(`${room}/${file.replace('.ts', '')} ${functionAround(node)}`)
        ts.forEachChild(node, visit)
      }
      visit(tree)
      return [...found]
    })
}

function functionAround(node: ts.Node): string {
  for (let at = node.parent; at !== undefined; at = at.parent) {
    if ((ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) && at.name !== undefined) return at.name.getText().replace('#', '')
  }
  return 'the top'
}

/** The rows of the table: a file, and the functions of it. */
function documented(): string[] {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const chapter = text.slice(text.indexOf('## What may change while we sleep'))
  const rows = chapter.slice(0, chapter.indexOf('\n## ', 5)).matchAll(/^\| `((?:mm|driver)\/[^`]+)` ([^|]+)\|/gm)
  return [...rows].flatMap(([, file, names]) => (names as string).split(',').map((name) => `${file} ${name.trim()}`))
}

it('every function that awaits says what may change meanwhile, and what it looks at again', () => {
  expect(documented().sort()).toEqual([...sleepers('mm'), ...sleepers('driver')].sort())
})
