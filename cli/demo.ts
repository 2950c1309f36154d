// svm demo: the main job on real input, whatever GPU there is. Always: every result is checked on the host by other means, and `ok` says that
// all of them are right and the device never held more than its budget.

import { openNodeSvm, type Svm, SvmError, type TraceEvent } from '../src/node.ts'
import { type Command, type GpuKind, noPositionals, type Outcome, readGpu, readOptions, UsageError } from './command.ts'
import { deviceOf, type Moved } from './demo/meter.ts'
import { type RemigrateResult, remigrate } from './demo/remigrate.ts'
import { choosePattern, type SearchResult, search } from './demo/search.ts'
import { type StructureResult, structure } from './demo/structure.ts'
import { readWords } from './demo/words.ts'
import { fileBytes } from './run-options.ts'
import { parsePositiveSize, printCount, printSize, printTime } from './sizes.ts'
import { Progress, table } from './terminal.ts'

const BUDGET_MAX = 16 * 2 ** 20
const BUDGET_MIN = 2 ** 20
/** The file is at least so many times larger than the device. */
const TIMES = 4
const PAGE_MAX = 65_536
const PAGE_MIN = 4096
/** A budget should hold so many pages, or a workgroup that follows pointers does not get all that it needs at once. */
const PAGES = 128

export interface DemoOptions {
  readonly file: string
  readonly deviceMemory: number
  readonly pattern: string | undefined
  readonly gpu: GpuKind
}

export const demo: Command = {
  name: 'demo',
  summary: 'the main job on real data: a file larger than the GPU, shared pointers, a migrate that moves nothing',
  help: `svm demo [--file PATH] [--pattern TEXT] [--device-memory SIZE] [--gpu any|hardware|software] [--json]

Maps a real file of at least ${TIMES} times the device memory (Node's own executable if left out) and searches it with a kernel, on demand; builds a
trie of the words of the package word-list in JavaScript and lets a kernel follow the same pointers; migrates a range twice. Everything
is checked on the host. --pattern is the text to search for, of 4 to 64 bytes.
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { file: 'string', pattern: 'string', 'device-memory': 'string', gpu: 'string' })
    noPositionals(positionals)
    const file = values.file ?? process.execPath
    const size = fileBytes(file, '--file')
    const patternBytes = values.pattern === undefined ? 4 : Buffer.byteLength(values.pattern)
    if (patternBytes < 4 || patternBytes > 64) throw new UsageError(`--pattern must have 4 to 64 bytes, found ${patternBytes}`)
    const given = values['device-memory']
    const deviceMemory = given === undefined ? defaultBudget(size) : parsePositiveSize(given, '--device-memory')
    refuseSmallFile(file, size, deviceMemory)
    const options = { file, deviceMemory, pattern: values.pattern, gpu: readGpu(values.gpu) }
    return () => runDemo(options, size)
  },
}

function defaultBudget(size: number): number {
  return Math.min(BUDGET_MAX, Math.max(BUDGET_MIN, Math.floor(size / TIMES / PAGE_MAX) * PAGE_MAX))
}

/** @throws UsageError */
function refuseSmallFile(file: string, size: number, deviceMemory: number): void {
  if (size >= TIMES * deviceMemory) return
  const must = `the file must have at least ${TIMES} times the device memory of ${printSize(deviceMemory)}`
  throw new UsageError(`${must}, but ${file} has ${printSize(size)}; give a larger file or a smaller --device-memory`)
}

/** Smaller pages for small budgets. */
export function pageSizeFor(deviceMemory: number): number {
  return Math.min(PAGE_MAX, Math.max(PAGE_MIN, 2 ** Math.floor(Math.log2(deviceMemory / PAGES))))
}

async function runDemo(options: DemoOptions, fileSize: number): Promise<Outcome> {
  const started = performance.now()
  const progress = new Progress()
  let show: (event: TraceEvent) => void = () => undefined
  // Without the words there is no demo: say so before the long work.
  await readWords()
  progress.begin(`searching ${options.file} on the host`)
  const pattern = await choosePattern(options.file, fileSize, options.pattern)
  if (pattern.expected === 0) throw new SvmError('invalid-value', `${options.file} does not hold the text '${options.pattern}'; choose one that it holds.`)
  let svm: Svm | null = null
  try {
    const pageSize = pageSizeFor(options.deviceMemory)
    svm = await openNodeSvm({ gpu: options.gpu, deviceMemory: options.deviceMemory, pageSize, trace: (event) => show(event) })
    const watch = (sink: typeof show) => {
      show = sink
    }
    const searched = await search(svm, options.file, pattern, watch, progress)
    progress.begin('building a trie of words and walking it')
    const built = await structure(svm)
    progress.begin('migrating twice')
    const migrated = await remigrate(svm, Math.floor(options.deviceMemory / 4 / pageSize) * pageSize)
    const { label, budgetBytes, peakBytes } = deviceOf(svm)
    progress.end()
    return verdict({
      device: label,
      file: options.file,
      budgetBytes,
      peakDeviceBytes: peakBytes,
      pageSize,
      search: searched,
      structure: built,
      remigrate: migrated,
      milliseconds: performance.now() - started,
    })
  } finally {
    progress.end()
    await svm?.close()
  }
}

interface DemoResult {
  readonly device: string
  readonly file: string
  readonly budgetBytes: number
  readonly peakDeviceBytes: number
  readonly pageSize: number
  readonly search: SearchResult
  readonly structure: StructureResult
  readonly remigrate: RemigrateResult
  readonly milliseconds: number
}

function verdict(result: DemoResult): Outcome {
  const { search: searched, structure: built, remigrate: migrated } = result
  const checks: Record<string, boolean> = {
    'the kernel found what the host found': searched.matches === searched.expected && searched.matches > 0,
    'the file went through a device smaller than it': searched.faults > 0 && searched.evictions > 0,
    'the kernel answered every query as the Set does': built.wrong === 0 && built.got === built.expected && built.got > 0 && built.got < built.queries,
    'the first migrate moved every page': migrated.firstMoved === migrated.byteLength / result.pageSize,
    'the second migrate moved nothing': migrated.secondMoved === 0 && migrated.secondBytesCopied === 0 && migrated.secondPtesWritten === 0,
    'no mapping was lost': migrated.mappingsLost === 0,
    'the device never held more than its budget': result.peakDeviceBytes <= result.budgetBytes,
  }
  const ok = Object.values(checks).every((right) => right)
  return { ok, value: { ok, ...result, checks }, text: print(result, checks) }
}

function print(result: DemoResult, checks: Record<string, boolean>): string {
  const { search: searched, structure: built, remigrate: migrated } = result
  const parts: readonly Moved[] = [searched, built, migrated]
  // Without shared pointers and faults a program sends all that a kernel might touch, and again whenever it does not know that it is there.
  const plain = [searched.inputBytes, built.structureBytes, 2 * migrated.byteLength]
  const row = (name: string, cell: (part: Moved, at: number) => string) => [name, ...parts.map(cell)]
  const rows = table(
    [
      ['', 'search', 'pointers', 'migrate twice'],
      row('bytes in', ({ bytesIn }) => printSize(bytesIn)),
      row('bytes out', ({ bytesOut }) => printSize(bytesOut)),
      row('faults', ({ faults }) => printCount(faults)),
      row('rounds', ({ rounds }) => printCount(rounds)),
      row('evictions', ({ evictions }) => printCount(evictions)),
      row('budget', () => printSize(result.budgetBytes)),
      row('time', ({ milliseconds }) => printTime(milliseconds)),
      row('plain WebGPU would move', (_, at) => printSize(plain[at] as number)),
    ],
    { head: true },
  )
  const bigger = (searched.inputBytes / result.budgetBytes).toFixed(1)
  return `${result.device}, at most ${printSize(result.budgetBytes)} of it (${printSize(result.peakDeviceBytes)} were used), pages of ${printSize(result.pageSize)}

search    '${searched.pattern}' in ${result.file} (${printSize(searched.inputBytes)}, ${bigger} times the budget): found ${printCount(searched.matches)}, the host counts ${printCount(searched.expected)}
pointers  ${printCount(built.words)} words in ${printCount(built.nodes)} nodes; ${printCount(built.queries)} queries followed ${printCount(built.pointersFollowed)} pointers: found ${printCount(built.got)}, a Set says ${printCount(built.expected)}
migrate   ${printSize(migrated.byteLength)}: first ${printCount(migrated.firstMoved)} pages moved, then ${migrated.secondMoved} pages, ${migrated.secondBytesCopied} bytes, ${migrated.secondPtesWritten} entries written, ${migrated.mappingsLost} mappings lost

${rows}
${Object.entries(checks)
  .map(([name, right]) => `${right ? 'ok  ' : 'FAIL'}  ${name}`)
  .join('\n')}
`
}
