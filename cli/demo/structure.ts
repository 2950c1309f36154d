// The second part of the demo: a trie with pointers, built by JavaScript, walked by a kernel. Always: what is written as a pointer is the
// address of a node in the space; every answer is checked against a Set.

import { readFile } from 'node:fs/promises'
import type { HostMapping, Svm, SvmPointer } from '../../src/node.ts'
import { Meter, type Moved } from './meter.ts'
import { buildTrie, readWords, type Trie } from './words.ts'

const QUERIES = 8192
/** A query's text starts here after the table of queries. */
const TEXT_BYTES = 32

export interface StructureResult extends Moved {
  readonly words: number
  readonly nodes: number
  readonly structureBytes: number
  readonly queries: number
  /** Queries that are words, by the Set and by the kernel. */
  readonly expected: number
  readonly got: number
  readonly wrong: number
  readonly pointersFollowed: number
}

interface Layouts {
  readonly node: Record<'letter' | 'ends' | 'child' | 'sibling', number> & { readonly size: number }
  readonly query: Record<'text' | 'length', number> & { readonly size: number }
}

export async function structure(svm: Svm): Promise<StructureResult> {
  const words = await readWords()
  const trie = buildTrie(words)
  const code = await readFile(new URL('./trie.wgsl', import.meta.url), 'utf8')
  const kernel = await svm.createKernel({ code, entryPoint: 'look_up', label: 'look up' })
  const offset = (struct: string, field: string) => kernel.layouts[struct]?.fields[field]?.offset as number
  const size = (struct: string) => kernel.layouts[struct]?.byteLength as number
  const layouts: Layouts = {
    node: {
      letter: offset('Node', 'letter'),
      ends: offset('Node', 'ends'),
      child: offset('Node', 'child'),
      sibling: offset('Node', 'sibling'),
      size: size('Node'),
    },
    query: { text: offset('Query', 'text'), length: offset('Query', 'length'), size: size('Query') },
  }
  const texts = chooseQueries(words)
  const meter = new Meter(svm)
  const structureBytes = trie.count * layouts.node.size
  const root = svm.alloc(structureBytes, { label: 'trie' })
  await svm.using(root, structureBytes, 'write-discard', (mapping) => writeTrie(mapping, trie, layouts.node))
  const queriesBytes = texts.length * (layouts.query.size + TEXT_BYTES)
  const queries = svm.alloc(queriesBytes, { label: 'queries' })
  await svm.using(queries, queriesBytes, 'write-discard', (mapping) => writeQueries(mapping, texts, layouts.query))
  const answers = svm.alloc(texts.length * size('Answer'), { label: 'answers' })
  await svm.queue.enqueue(kernel, { args: { root, queries, answers }, global: texts.length }).done
  const pairs = await svm.read(answers, Uint32Array, texts.length * 2)
  const moved = meter.stop()
  for (const pointer of [root, queries, answers]) svm.free(pointer)
  return { words: words.length, nodes: trie.count, structureBytes, queries: texts.length, ...check(words, texts, pairs), ...moved }
}

function writeTrie(mapping: HostMapping, trie: Trie, layout: Layouts['node']): void {
  const { view, pointer } = mapping
  const at = (node: number): SvmPointer => (node === 0 ? 0 : pointer + node * layout.size)
  for (let node = 0; node < trie.count; node++) {
    const offset = node * layout.size
    view.setUint32(offset + layout.letter, trie.letter[node] as number, true)
    view.setUint32(offset + layout.ends, trie.ends[node] as number, true)
    mapping.setPointer(pointer + offset + layout.child, at(trie.child[node] as number))
    mapping.setPointer(pointer + offset + layout.sibling, at(trie.sibling[node] as number))
  }
}

/** The table of queries, and after it their texts. */
function writeQueries(mapping: HostMapping, texts: readonly string[], layout: Layouts['query']): void {
  const { view, bytes, pointer } = mapping
  const encoder = new TextEncoder()
  for (const [n, text] of texts.entries()) {
    const at = texts.length * layout.size + n * TEXT_BYTES
    const { written } = encoder.encodeInto(text, bytes.subarray(at, at + TEXT_BYTES))
    mapping.setPointer(pointer + n * layout.size + layout.text, pointer + at)
    view.setUint32(n * layout.size + layout.length, written, true)
  }
}

/** Words from the whole list, and as many texts that are near a word: some of those are words too. */
function chooseQueries(words: readonly string[]): string[] {
  const queries: string[] = []
  for (let n = 0; n < QUERIES / 2; n++) {
    const word = words[Math.floor((n * words.length) / (QUERIES / 2))] as string
    const middle = word.length >> 1
    const letter = String.fromCharCode(97 + (n % 26))
    queries.push(word, n % 3 === 0 ? word.slice(0, -1) : word.slice(0, middle) + letter + word.slice(middle + 1))
  }
  return queries.map((text) => text.slice(0, TEXT_BYTES))
}

function check(
  words: readonly string[],
  texts: readonly string[],
  pairs: Uint32Array,
): Pick<StructureResult, 'expected' | 'got' | 'wrong' | 'pointersFollowed'> {
  const known = new Set(words)
  let expected = 0
  let got = 0
  let wrong = 0
  let pointersFollowed = 0
  for (const [n, text] of texts.entries()) {
    const is = known.has(text)
    const found = pairs[2 * n] === 1
    if (is) expected++
    if (found) got++
    if (is !== found) wrong++
    pointersFollowed += pairs[2 * n + 1] as number
  }
  return { expected, got, wrong, pointersFollowed }
}
