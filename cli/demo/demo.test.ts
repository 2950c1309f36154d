// The host's side of the demo. Always: what the kernels are checked against is checked here against something simpler.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { pageSizeFor } from '../demo.ts'
import { choosePattern, countInFile } from './search.ts'
import { buildTrie, readWords, type Trie } from './words.ts'

const folder = mkdtempSync(join(tmpdir(), 'svm-demo-'))
const file = join(folder, 'text')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('counting in a file', () => {
  it('sees what crosses chunks, and what overlaps', async () => {
    const chunk = 4 * 2 ** 20
    const bytes = Buffer.alloc(2 * chunk + 100, '.')
    for (const at of [0, chunk - 3, chunk - 2, 2 * chunk - 1, bytes.length - 4]) bytes.write('abab', at)
    writeFileSync(file, bytes)
    // chunk - 3 is overwritten in its last three bytes: 'aabab'.
    expect(await countInFile(file, Buffer.from('abab'))).toBe(4)
    writeFileSync(file, 'aaaaaa')
    expect(await countInFile(file, Buffer.from('aaaa'))).toBe(3)
  })

  it('chooses a text that is there', async () => {
    writeFileSync(file, `${'.'.repeat(1)}\u0001some-words here\u0001`)
    const pattern = await choosePattern(file, 18, undefined)
    expect(pattern.bytes.toString()).toBe('some-words')
    expect(pattern.expected).toBe(1)
  })
})

describe('the trie', () => {
  it('holds the words and nothing else', () => {
    const words = ['tea', 'to', 'ten', 'i', 'inn', 'in', 'tea']
    expect(wordsOf(buildTrie(words))).toEqual([...new Set(words)].sort())
  })

  it('holds the whole list', async () => {
    const words = await readWords()
    expect(wordsOf(buildTrie(words))).toEqual([...new Set(words)].sort())
  })
})

it('small budgets get small pages', () => {
  expect([16, 8, 4, 2, 1].map((mib) => pageSizeFor(mib * 2 ** 20))).toEqual([65_536, 65_536, 32_768, 16_384, 8192])
})

function wordsOf(trie: Trie): string[] {
  const words: string[] = []
  const visit = (node: number, prefix: string): void => {
    if (trie.ends[node] === 1) words.push(prefix)
    for (let child = trie.child[node] as number; child !== 0; child = trie.sibling[child] as number) {
      visit(child, prefix + String.fromCharCode(trie.letter[child] as number))
    }
  }
  visit(0, '')
  return words
}
