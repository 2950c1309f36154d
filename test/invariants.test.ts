// invariants.test.ts: the table of invariants. Always: fuzz/invariants.ts and ARCHITECTURE.md say the same.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { INVARIANTS, printInvariants } from '../fuzz/invariants.ts'

it('every number from 1 to 64 stands once, and each has a sentence and a place', () => {
  expect(INVARIANTS.map(({ id }) => id)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
  for (const { id, sentence, how } of INVARIANTS) expect(sentence.endsWith('.') && how.length > 0, `invariant ${id}`).toBe(true)
})

it('ARCHITECTURE.md has the table of fuzz/invariants.ts', () => {
  const text = readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8')
  const table = printInvariants()
  expect(text.includes(table), `ARCHITECTURE.md has this:\n${table}`).toBe(true)
})
