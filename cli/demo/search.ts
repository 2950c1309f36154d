// The first part of the demo: a file larger than the device, mapped and searched on demand. Always: the expected number is counted on the
// host from the file itself, with none of the library; overlapping occurrences count on both sides.

import { open, readFile } from 'node:fs/promises'
import { filePager, type Svm, type TraceEvent } from '../../src/node.ts'
import type { Progress } from '../terminal.ts'
import { Meter, type Moved } from './meter.ts'

const CHUNK_BYTES = 4 * 2 ** 20
/** Work-items of one workgroup of search.wgsl, and the bytes that one looks at in one step. */
const ITEMS = 64
const RUN_BYTES = 16
/** Words that Node's own executable, and most large files of text, hold. */
const LIKELY = ['WebAssembly', 'function', 'the ']
const PATTERN_MIN = 4
const PATTERN_MAX = 12

export interface SearchResult extends Moved {
  readonly pattern: string
  readonly inputBytes: number
  readonly matches: number
  readonly expected: number
}

export interface Pattern {
  /** At least four bytes. */
  readonly bytes: Buffer
  /** How often the host found it. */
  readonly expected: number
}

/** A text that occurs in the file, and how often. */
export async function choosePattern(path: string, size: number, wanted: string | undefined): Promise<Pattern> {
  const candidates = wanted === undefined ? LIKELY : [wanted]
  for (const text of candidates) {
    const bytes = Buffer.from(text)
    const expected = await countInFile(path, bytes)
    if (expected > 0 || wanted !== undefined) return { bytes, expected }
  }
  const bytes = await textInTheMiddle(path, size)
  return { bytes, expected: await countInFile(path, bytes) }
}

/** Counts with a stream and Buffer.indexOf, carrying what may be the start of an occurrence from chunk to chunk. */
export async function countInFile(path: string, pattern: Buffer): Promise<number> {
  const file = await open(path, 'r')
  const buffer = Buffer.alloc(CHUNK_BYTES + pattern.length - 1)
  let carried = 0
  let count = 0
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, carried, CHUNK_BYTES, null)
      if (bytesRead === 0) return count
      const text = buffer.subarray(0, carried + bytesRead)
      for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) count++
      carried = Math.min(pattern.length - 1, text.length)
      text.copyWithin(0, text.length - carried)
    }
  } finally {
    await file.close()
  }
}

/** A run of printable characters near the middle of the file; else whatever bytes stand there. */
async function textInTheMiddle(path: string, size: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(Math.min(size, CHUNK_BYTES))
    await file.read(buffer, 0, buffer.length, Math.floor((size - buffer.length) / 2))
    const run = /[\x21-\x7e]{6,}/.exec(buffer.toString('latin1'))
    return run === null ? buffer.subarray(0, PATTERN_MIN) : Buffer.from(run[0].slice(0, PATTERN_MAX), 'latin1')
  } finally {
    await file.close()
  }
}

export async function search(
  svm: Svm,
  path: string,
  pattern: Pattern,
  watch: (sink: (event: TraceEvent) => void) => void,
  progress: Progress,
): Promise<SearchResult> {
  const pager = await filePager(path)
  // A workgroup that needs one page of the file retires as soon as it has it, however few the device can hold.
  const groups = Math.ceil(pager.size / svm.pageSize)
  const text = await svm.mmap(pager, { label: 'the file' })
  const needle = svm.allocFrom(pattern.bytes, { label: 'pattern' })
  const counts = svm.alloc(groups * 4, { label: 'counts' })
  const code = await readFile(new URL('./search.wgsl', import.meta.url), 'utf8')
  const kernel = await svm.createKernel({ code, entryPoint: 'search', label: 'search' })
  progress.begin(`searching ${path}`)
  watch(progress.ofWorkgroups(groups))
  const meter = new Meter(svm)
  const args = { text, bytes: pager.size, pattern: needle, pattern_bytes: pattern.bytes.length, counts, runs: svm.pageSize / ITEMS / RUN_BYTES }
  await svm.queue.enqueue(kernel, { args, global: groups * ITEMS }).done
  const found = await svm.read(counts, Uint32Array, groups)
  const moved = meter.stop()
  watch(() => undefined)
  await svm.munmap(text)
  await pager.close?.()
  svm.free(needle)
  svm.free(counts)
  const matches = found.reduce((sum, count) => sum + count, 0)
  return { pattern: pattern.bytes.toString('latin1'), inputBytes: pager.size, matches, expected: pattern.expected, ...moved }
}
