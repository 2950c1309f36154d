// ARCHITECTURE.md says what may change while we sleep. Always: every function of mm/ and driver/ that awaits has its row there, with as many sleeps as
// it has awaits and a word on each of them; no row is left over from a function that does not.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = new URL('..', import.meta.url).pathname

/** `mm/fault hostFault` and the awaits in it, for each function in which one stands. */
function sleepers(room: string): [string, number][] {
  const folder = join(root, 'src', room)
  const found = new Map<string, number>()
  for (const file of readdirSync(folder)) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
    const tree = ts.createSourceFile(file, readFileSync(join(folder, file), 'utf8'), ts.ScriptTarget.Latest, true)
    const visit = (node: ts.Node) => {
      if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)) {
        const name = `${room}/${file.replace('.ts', '')} ${functionAround(node)}`
        found.set(name, (found.get(name) ?? 0) + 1)
      }
      ts.forEachChild(node, visit)
    }
    visit(tree)
  }
  return [...found]
}

function functionAround(node: ts.Node): string {
  for (let at = node.parent; at !== undefined; at = at.parent) {
    if ((ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) && at.name !== undefined) return at.name.getText().replace('#', '')
  }
  return 'the top'
}

/** The rows of the table: the function, and the cells after it. */
function documented(): { name: string; cells: string[] }[] {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const chapter = text.slice(text.indexOf('## What may change while we sleep'))
  const lines = chapter.slice(0, chapter.indexOf('\n## ', 5)).matchAll(/^\| `((?:mm|driver)\/[^`]+)` (.+) \|$/gm)
  return [...lines].map(([, file, rest]) => {
    const [name, ...cells] = (rest as string).split(' | ')
    return { name: `${file} ${name}`, cells }
  })
}

it('every function that awaits has its row, with each of its awaits', () => {
  const awaits = [...sleepers('mm'), ...sleepers('driver')].map(([name, count]) => `${name}: ${count}`)
  const rows = documented().map(({ name, cells }) => `${name}: ${(cells[0] as string).split(';').length}`)
  expect(rows.sort()).toEqual(awaits.sort())
})

it('every row says what may have changed and what is looked at again, or that nothing need be, and why', () => {
  for (const { name, cells } of documented()) {
    expect([name, cells.length]).toEqual([name, 3])
    for (const cell of cells.flatMap((one) => one.split(';'))) expect(cell.trim(), name).not.toBe('')
    const last = cells[2] as string
    expect(last.length > 8 && !/^nothing[.;]?$/.test(last), `${name}: ${last}`).toBe(true)
  }
})
