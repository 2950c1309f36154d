// A real graph: the words of the npm package word-list, each joined to those that one letter more, less or other makes of it (the graph of word
// ladders; Knuth drew the first for five-letter words). 274,137 vertices, 841,034 directed edges; 82,517 of the words
// can be reached from 'word', the farthest in 33 steps. Always: vertices stand in the order of the dictionary, neighbours of a vertex too; every edge is there in
// both directions.
//
// The package is no dependency of this library: install it beside (`npm install word-list`).

/** Compressed sparse rows: the neighbours of v are targets[rows[v]] to targets[rows[v + 1] - 1]. */
export interface Graph {
  readonly vertices: number
  readonly rows: Uint32Array<ArrayBuffer>
  readonly targets: Uint32Array<ArrayBuffer>
  /** A vertex of each large component. */
  readonly sources: Uint32Array<ArrayBuffer>
}

const SOURCE = 'word'
/** More than the words there are: a key holds a hash and the number of a word, and is exact as a JavaScript number. */
const PLACES = 2 ** 19
const FACTOR = 0x01000193

let whole: Promise<{ words: string[]; graph: Graph }> | null = null

/**
 * As many of the words as fit in `bytes`, the shortest ones; several copies of the whole, one behind the other, if there is room.
 * @param bytesAVertex what the caller keeps for a vertex beside its row
 */
export async function wordGraph(bytes: number, bytesAVertex: number): Promise<Graph> {
  whole ??= readWords().then((words) => ({ words, graph: graphOf(words) }))
  const { words, graph } = await whole
  const size = graph.vertices * (4 + bytesAVertex) + graph.targets.byteLength
  return bytes < size ? shortest(words, graph, bytes, bytesAVertex) : copies(graph, Math.round(bytes / size))
}

async function readWords(): Promise<string[]> {
  const text = typeof window === 'undefined' ? await readInNode() : await readInBrowser()
  return [...new Set(text.split('\n').filter((word) => word !== ''))]
}

async function readInNode(): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { default: path } = await import('word-list').catch((cause: unknown) => {
    throw new Error('This graph is made of the words of the npm package word-list, which is not installed: run `npm install word-list`.', { cause })
  })
  return readFile(path, 'utf8')
}

/** From a server that shows node_modules, as Vite's does. */
async function readInBrowser(): Promise<string> {
  const response = await fetch('/node_modules/word-list/words.txt')
  if (!response.ok) throw new Error(`This graph is made of /node_modules/word-list/words.txt, which the server does not show (${response.status}).`)
  return response.text()
}

/** Words that one edit joins share a text with one letter fewer, or one is such a text of the other: sorted by the hash of these, they meet. */
function graphOf(words: readonly string[]): Graph {
  const keys = textsWithALetterFewer(words)
  const pairs: number[] = []
  for (let start = 0, end = 0; start < keys.length; start = end) {
    const hash = Math.floor((keys[start] as number) / PLACES)
    while (end < keys.length && Math.floor((keys[end] as number) / PLACES) === hash) end++
    for (let i = start; i < end; i++) {
      for (let j = i + 1; j < end; j++) {
        const a = (keys[i] as number) % PLACES
        const b = (keys[j] as number) % PLACES
        if (a !== b && areOneEditApart(words[a] as string, words[b] as string)) pairs.push(a * PLACES + b, b * PLACES + a)
      }
    }
  }
  // Two words may share two such texts: the pair is there twice.
  const edges = Float64Array.from(new Set(pairs)).sort()
  const rows = new Uint32Array(words.length + 1)
  for (const edge of edges) rows[Math.floor(edge / PLACES) + 1]++
  for (let v = 0; v < words.length; v++) rows[v + 1] += rows[v] as number
  const targets = Uint32Array.from(edges, (edge) => edge % PLACES)
  return { vertices: words.length, rows, targets, sources: Uint32Array.of(words.indexOf(SOURCE)) }
}

/** Of each word, and of each text that is the word less one letter: the hash, and the word's number in the low digits. Sorted. */
function textsWithALetterFewer(words: readonly string[]): Float64Array {
  const keys = new Float64Array(words.reduce((sum, word) => sum + word.length + 1, 0))
  const powers = [1]
  for (let n = 1; n < 64; n++) powers.push(Math.imul(powers[n - 1] as number, FACTOR))
  let count = 0
  for (const [number, word] of words.entries()) {
    let after = 0
    for (let n = 0; n < word.length; n++) after = (Math.imul(after, FACTOR) + word.charCodeAt(n)) | 0
    keys[count++] = (after >>> 0) * PLACES + number
    let before = 0
    for (let n = 0; n < word.length; n++) {
      const power = powers[word.length - 1 - n] as number
      const letter = word.charCodeAt(n)
      after = (after - Math.imul(letter, power)) | 0
      keys[count++] = ((Math.imul(before, power) + after) >>> 0) * PLACES + number
      before = (Math.imul(before, FACTOR) + letter) | 0
    }
  }
  return keys.sort()
}

function areOneEditApart(a: string, b: string): boolean {
  let same = 0
  while (same < a.length && a[same] === b[same]) same++
  if (a.length === b.length) return a.slice(same + 1) === b.slice(same + 1)
  return a.length > b.length ? a.slice(same + 1) === b.slice(same) : a.slice(same) === b.slice(same + 1)
}

/** The graph of the shortest words, in the order of the dictionary still. */
function shortest(words: readonly string[], { rows, targets }: Graph, bytes: number, bytesAVertex: number): Graph {
  const byLength = words.map((_, v) => v).sort((a, b) => (words[a] as string).length - (words[b] as string).length || a - b)
  const chosen = new Uint8Array(words.length)
  let room = bytes
  for (const v of byLength) {
    let edges = 0
    for (let e = rows[v] as number; e < (rows[v + 1] as number); e++) edges += 2 * (chosen[targets[e] as number] as number)
    room -= 4 + bytesAVertex + 4 * edges
    if (room < 0) break
    chosen[v] = 1
  }
  chosen[words.indexOf(SOURCE)] = 1
  const numbers = new Uint32Array(words.length)
  let vertices = 0
  for (let v = 0; v < words.length; v++) if (chosen[v] === 1) numbers[v] = vertices++
  const newRows = new Uint32Array(vertices + 1)
  const newTargets: number[] = []
  for (let v = 0; v < words.length; v++) {
    if (chosen[v] === 0) continue
    for (let e = rows[v] as number; e < (rows[v + 1] as number); e++) {
      const to = targets[e] as number
      if (chosen[to] === 1) newTargets.push(numbers[to] as number)
    }
    newRows[(numbers[v] as number) + 1] = newTargets.length
  }
  return { vertices, rows: newRows, targets: Uint32Array.from(newTargets), sources: Uint32Array.of(numbers[words.indexOf(SOURCE)] as number) }
}

function copies({ vertices, rows, targets, sources }: Graph, count: number): Graph {
  const edges = targets.length
  return {
    vertices: vertices * count,
    rows: Uint32Array.from({ length: vertices * count + 1 }, (_, v) => (rows[v % vertices] as number) + Math.floor(v / vertices) * edges),
    targets: Uint32Array.from({ length: edges * count }, (_, e) => (targets[e % edges] as number) + Math.floor(e / edges) * vertices),
    sources: Uint32Array.from({ length: count }, (_, copy) => (sources[0] as number) + copy * vertices),
  }
}

/** Breadth-first search on the host: the distance of each vertex from the nearest source, `unreached` where there is no way. */
export function levelsOnHost({ vertices, rows, targets, sources }: Graph, unreached: number): Uint32Array {
  const levels = new Uint32Array(vertices).fill(unreached)
  const queue = new Uint32Array(vertices)
  let tail = 0
  for (const source of sources) {
    levels[source] = 0
    queue[tail++] = source
  }
  for (let head = 0; head < tail; head++) {
    const v = queue[head] as number
    for (let e = rows[v] as number; e < (rows[v + 1] as number); e++) {
      const to = targets[e] as number
      if (levels[to] !== unreached) continue
      levels[to] = (levels[v] as number) + 1
      queue[tail++] = to
    }
  }
  return levels
}
