// house.test.ts: the house rules, as tests. Always: every TypeScript file of src and of the rooms beside it is read; a rule that is
// broken names the file, the line and the way out. The import table below is the architecture: change it here, or not at all.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const linesMax = 500
const rooms = ['src', 'cli', 'bench', 'examples', 'lab', 'conformance', 'fuzz']
/** A path of ours. */
const ours = new RegExp(`^(${rooms.join('|')}|test)/`)
const functionLinesMax = 70

interface Import {
  readonly to: string
  readonly line: number
  readonly typeOnly: boolean
}
interface SourceFile {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
  readonly isTest: boolean
}

/**
 * Who may import whom. A file belongs to the first row that matches its path (relative to the root); it may import what matches
 * any of the row's patterns, and the files of its own row. A folder matches all below it. `everybody` is open to all of src.
 */
const everybody = ['src/base/', 'src/abi/', 'src/trace/']
const contracts = ['src/device/device.ts', 'src/device/twin.ts']
/** What both kinds of device share. */
const devices = ['src/device/held-work.ts']
const entries = ['src/index.ts', 'src/node.ts', 'src/sim.ts']
const table: readonly (readonly [room: string, mayImport: readonly string[]])[] = [
  ['src/base/', []],
  ['src/abi/', ['src/base/']],
  ['src/trace/', ['src/base/']],
  ['src/device/device.ts', [...everybody, ...contracts]],
  ['src/device/twin.ts', [...everybody, ...contracts]],
  ['src/device/held-work.ts', contracts],
  ['src/device/webgpu/', [...everybody, ...contracts, ...devices]],
  ['src/device/sim/', [...everybody, ...contracts, ...devices]],
  ['src/pager/', everybody],
  ['src/policy/', everybody],
  ['src/mm/', [...everybody, 'src/pager/pager.ts']],
  ['src/wgsl/', [...everybody, ...contracts]],
  ['src/driver/', [...everybody, ...contracts, 'src/mm/', 'src/wgsl/', 'src/policy/policy.ts', 'src/policy/thrash.ts', 'src/policy/density.ts']],
  ['src/drm/', [...everybody, ...contracts, 'src/pager/pager.ts', 'src/policy/policy.ts', 'src/policy/thrash.ts', 'src/driver/', 'src/mm/', 'src/wgsl/']],
  ['src/cl/', [...everybody, ...contracts, 'src/drm/', 'src/wgsl/', 'src/types.ts', 'src/pager/pager.ts']],
  ['src/types.ts', ['src/']],
  ['src/index.ts', ['src/base/error.ts', 'src/open.ts', 'src/cl/', 'src/types.ts', 'src/trace/']],
  ['src/open.ts', ['src/']],
  ['src/node.ts', ['src/']],
  ['src/node/', ['src/']],
  ['src/sim.ts', ['src/']],
  ['bench/plain/', []],
  ['cli/', [...entries, 'bench/', 'examples/', 'lab/catch22/catch22.ts', 'conformance/conformance.ts', 'fuzz/suite.ts']],
  // What has no plain twin is timed from inside.
  ['bench/inside/', [...entries, 'bench/case.ts', 'src/mm/', 'src/driver/', 'src/drm/local-port.ts', 'src/cl/context.ts']],
  ['bench/', [...entries, 'examples/workloads/']],
  ['examples/', entries],
  ['conformance/', entries],
  // It also looks at the insides, as no program can.
  [
    'fuzz/',
    [
      ...entries,
      ...everybody,
      ...contracts,
      'src/device/sim/',
      'src/mm/',
      'src/driver/',
      'src/drm/local-port.ts',
      'src/cl/context.ts',
      'src/open.ts',
      'src/index.ts',
    ],
  ],
  // Experiments put small replacements beside the library's own parts, so they see its inside; nobody but the command line sees them.
  ['lab/', [...everybody, 'src/mm/', 'src/driver/', 'src/drm/', 'src/cl/context.ts', 'src/open.ts', 'src/sim.ts', 'src/types.ts']],
]
const only = { node: ['src/node.ts', 'src/node/', 'cli/', 'bench/', 'examples/'] }
const gpuTypes = [
  'src/device/webgpu/',
  'src/node.ts',
  'src/node/',
  'src/open.ts',
  'src/types.ts',
  'src/index.ts',
  'src/cl/types.ts',
  'cli/',
  'bench/',
  'examples/',
]
const timeAndChance = ['src/open.ts', 'src/node.ts', 'src/node/', 'src/device/', 'cli/', 'bench/', 'examples/']

function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesUnder(path) : [path]
  })
}

function load(path: string): SourceFile {
  const text = readFileSync(path, 'utf8')
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const name = relative(root, path).replaceAll('\\', '/')
  return { path: name, text, tree, imports: importsOf(tree, dirname(path)), isTest: isTestFile(name) }
}

/** Tests stand beside their file; what only they use is called `test-….ts`. Neither is built. */
function isTestFile(path: string): boolean {
  return /\.test\.ts$|(^|\/)test-[^/]*\.ts$/.test(path)
}

/** Imports, re-exports and `import('…')`; relative ones as a path from the root, others as they are written. */
function importsOf(tree: ts.SourceFile, folder: string): Import[] {
  const found: Import[] = []
  const note = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return
    const to = specifier.text.startsWith('.') ? relative(root, join(folder, specifier.text)).replaceAll('\\', '/') : specifier.text
    found.push({ to, line: lineOf(tree, specifier), typeOnly })
  }
  walk(tree, (node) => {
    if (ts.isImportDeclaration(node)) note(node.moduleSpecifier, isTypeOnly(node))
    else if (ts.isExportDeclaration(node)) note(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) note(node.argument.literal, true)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) note(node.arguments[0], false)
  })
  return found
}

function isTypeOnly({ importClause }: ts.ImportDeclaration): boolean {
  if (importClause === undefined) return false
  if (importClause.isTypeOnly) return true
  const bindings = importClause.namedBindings
  return importClause.name === undefined && bindings !== undefined && ts.isNamedImports(bindings) && bindings.elements.every((element) => element.isTypeOnly)
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

function matches(path: string, pattern: string): boolean {
  return pattern.endsWith('/') ? path.startsWith(pattern) : path === pattern
}

const isOneOf = (path: string, patterns: readonly string[]) => patterns.some((pattern) => matches(path, pattern))

const files = rooms
  .flatMap((folder) => filesUnder(join(root, folder)))
  .filter((path) => path.endsWith('.ts'))
  .map(load)
const code = files.filter((file) => !file.isTest && !file.path.endsWith('.d.ts'))
const sources = code.filter((file) => file.path.startsWith('src/'))

/** One line for every place where `pattern` meets code; comments and strings do not count where `inCode` is set. */
function meetings(file: SourceFile, pattern: RegExp, inCode = true): string[] {
  const text = inCode ? withoutComments(file) : file.text
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1} ${file.text.split('\n')[index].trim()}`] : []))
}

/** The text with comments and the insides of strings blanked, line by line the same. */
function withoutComments({ tree, text }: SourceFile): string {
  const kept: string[] = [...text].map((character) => (character === '\n' ? '\n' : ' '))
  const keep = (start: number, end: number) => {
    for (let index = start; index < end; index++) kept[index] = text[index]
  }
  walk(tree, (node) => {
    if (node.getChildCount(tree) > 0 || ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) return
    keep(node.getStart(tree), node.getEnd())
    for (const child of node.getChildren(tree)) keep(child.getStart(tree), child.getEnd())
  })
  return kept.join('')
}

describe('who may import whom', () => {
  it('every file of code has a room in the table', () => {
    const homeless = code.filter((file) => !table.some(([room]) => matches(file.path, room))).map((file) => file.path)
    expect(homeless, 'give the file a room in the table of test/house.test.ts').toEqual([])
  })

  it.each(table)('%s', (room, mayImport) => {
    const inRoom = code.filter((file) => table.find(([name]) => matches(file.path, name))?.[0] === room)
    const wrong = inRoom.flatMap((file) =>
      file.imports
        .filter(({ to }) => ours.test(to) && !matches(to, room) && !isOneOf(to, mayImport))
        .map(({ to, line }) => `${file.path}:${line} imports ${to}`),
    )
    expect(wrong, `${room} may import ${mayImport.join(', ') || 'nothing of ours'}`).toEqual([])
  })

  it('nobody in src imports the index, the command line, benchmarks or tests', () => {
    const forbidden = ['src/index.ts', 'cli/', 'bench/', 'test/', 'examples/', 'lab/', 'conformance/', 'fuzz/']
    const wrong = sources.flatMap((file) =>
      file.imports.filter(({ to }) => isOneOf(to, forbidden) && file.path !== to).map(({ to, line }) => `${file.path}:${line} imports ${to}`),
    )
    expect(wrong.filter((line) => !/^src\/(node|sim)\.ts:/.test(line) || !line.endsWith('src/index.ts'))).toEqual([])
  })

  it('the public types import types only', () => {
    const wrong = code.filter((file) => file.path === 'src/types.ts').flatMap((file) => file.imports.filter(({ typeOnly }) => !typeOnly))
    expect(wrong.map(({ to, line }) => `src/types.ts:${line} imports ${to}`)).toEqual([])
  })

  it('code imports no test, and no helper of tests', () => {
    const wrong = code.flatMap((file) => file.imports.filter(({ to }) => isTestFile(to)).map(({ to, line }) => `${file.path}:${line} imports ${to}`))
    expect(wrong).toEqual([])
  })

  it('every import names a file that is there', () => {
    const wrong = files.flatMap((file) =>
      file.imports.filter(({ to }) => ours.test(to) && !existsSync(join(root, to))).map(({ to, line }) => `${file.path}:${line} imports ${to}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no cycles; imports of types alone do not count', () => {
    expect(cycles()).toEqual([])
  })
})

/** Depth-first search over imports of values; a cycle is told by its files. */
function cycles(): string[] {
  const byPath = new Map(code.map((file) => [file.path, file]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    if (done.has(path) || trail.includes(path)) return
    for (const next of byPath.get(path)?.imports ?? []) {
      if (!next.typeOnly && byPath.has(next.to)) visit(next.to, [...trail, path])
    }
    done.add(path)
  }
  for (const file of code) visit(file.path, [])
  return found
}

describe('foreign words stay in their rooms', () => {
  it('GPU types: in the WebGPU device, the public types, and where things are wired', () => {
    const wrong = sources.filter((file) => !isOneOf(file.path, gpuTypes)).flatMap((file) => meetings(file, /\bGPU[A-Z]/))
    expect(wrong, 'use the contract in src/device/device.ts').toEqual([])
  })

  it('`node:` modules: in src/node, the command line and the benchmarks', () => {
    const wrong = code
      .filter((file) => !isOneOf(file.path, only.node))
      .flatMap((file) => file.imports.filter(({ to }) => to.startsWith('node:')).map(({ to, line }) => `${file.path}:${line} ${to}`))
    expect(wrong).toEqual([])
  })

  it('time, chance and the console come in through the door', () => {
    const words = /\bMath\.random\b|\bDate\.now\b|\bnew Date\b|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\b|\bconsole\./
    const wrong = sources.filter((file) => !isOneOf(file.path, timeAndChance)).flatMap((file) => meetings(file, words))
    expect(wrong, 'take a World (src/base/world.ts) as a parameter').toEqual([])
  })

  it('mm never says gpu, webgpu or wgsl', () => {
    const wrong = sources.filter((file) => file.path.startsWith('src/mm/')).flatMap((file) => meetings(file, /\b(gpu|webgpu|wgsl)\b/i, false))
    expect(wrong).toEqual([])
  })
})

describe('each file', () => {
  it('of src begins with a comment that says what is always true', () => {
    const wrong = sources.filter((file) => !/^(\/\/|\/\*)/.test(file.text)).map((file) => file.path)
    expect(wrong, 'begin with `// name.ts: …`').toEqual([])
  })

  it(`has at most ${linesMax} lines`, () => {
    const long = files.map((file) => `${file.path}: ${file.text.split('\n').length - 1}`).filter((line) => Number(line.split(': ')[1]) > linesMax)
    expect(long).toEqual([])
  })

  it(`has functions of at most ${functionLinesMax} lines`, () => {
    expect(code.flatMap(longFunctions)).toEqual([])
  })

  it('never says `any`', () => {
    const wrong = files.flatMap((file) => {
      const lines: string[] = []
      walk(file.tree, (node) => node.kind === ts.SyntaxKind.AnyKeyword && lines.push(`${file.path}:${lineOf(file.tree, node)}`))
      return lines
    })
    expect(wrong, 'use unknown, or name the type').toEqual([])
  })

  it('leaves no work undone', () => {
    const marker = /(\/\/|\*)\s*(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b/
    expect(files.flatMap((file) => meetings(file, marker, false))).toEqual([])
  })
})

/** A function whose lines, those of the functions inside it taken away, are too many. */
function longFunctions(file: SourceFile): string[] {
  const linesOf = (node: ts.Node) =>
    file.tree.getLineAndCharacterOfPosition(node.getEnd()).line - file.tree.getLineAndCharacterOfPosition(node.getStart(file.tree)).line + 1
  const found: string[] = []
  walk(file.tree, (node) => {
    if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return
    if (linesOf(node) > functionLinesMax) found.push(`${file.path}:${lineOf(file.tree, node)} ${linesOf(node)} lines`)
  })
  return found
}
