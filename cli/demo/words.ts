// The words of the npm package word-list, and a trie of them as plain arrays. Always: the children of a node stand next to each other, in the
// order of their letters; node 0 is the root.

import { readFile } from 'node:fs/promises'
import { SvmError } from '../../src/node.ts'

/** One entry a node; 0 is no node, since the root is nobody's child. */
export interface Trie {
  readonly count: number
  readonly letter: Uint8Array
  readonly ends: Uint8Array
  readonly child: Uint32Array
  readonly sibling: Uint32Array
}

/** @throws SvmError unsupported */
export async function readWords(): Promise<string[]> {
  let path: string
  try {
    path = (await import('word-list')).default
  } catch (cause) {
    const wayOut = 'Run `npm install word-list` beside it, or run the demo in a clone of the repository (npm run demo).'
    throw new SvmError('unsupported', `The demo builds its structure from the npm package word-list, which is not installed here. ${wayOut}`, { cause })
  }
  return (await readFile(path, 'utf8')).split('\n').filter((word) => word !== '')
}

/** Words of the letters of Latin-1. */
export function buildTrie(words: readonly string[]): Trie {
  const sorted = [...new Set(words)].sort()
  const most = sorted.reduce((sum, word) => sum + word.length, 1)
  const trie = { letter: new Uint8Array(most), ends: new Uint8Array(most), child: new Uint32Array(most), sibling: new Uint32Array(most) }
  /** Of each node in the making: the words below it, [start, end). All of them agree up to the node's depth. */
  let level: [node: number, start: number, end: number][] = [[0, 0, sorted.length]]
  let count = 1
  for (let depth = 0; level.length > 0; depth++) {
    const next: typeof level = []
    for (const [node, start, end] of level) {
      let at = start
      if ((sorted[at] as string).length === depth) {
        trie.ends[node] = 1
        at++
      }
      for (let last = 0; at < end; ) {
        const letter = (sorted[at] as string).charCodeAt(depth)
        const from = at
        while (at < end && (sorted[at] as string).charCodeAt(depth) === letter) at++
        trie.letter[count] = letter
        if (last === 0) trie.child[node] = count
        else trie.sibling[last] = count
        last = count
        next.push([count++, from, at])
      }
    }
    level = next
  }
  return { count, ...trie }
}
