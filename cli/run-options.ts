// The arguments of svm run. Always: what this returns names files that are there and ranges that fit; nothing was opened or allocated.

import { readFileSync, statSync } from 'node:fs'
import { SvmError } from '../src/node.ts'
import { type GpuKind, readGpu, readOptions, UsageError } from './command.ts'
import { parseDimensions, parseNumber, parsePositiveSize } from './sizes.ts'

/** What an argument of the kernel is. Memory has its bytes counted here. */
export type ArgValue =
  | { readonly kind: 'number'; readonly value: number | number[] }
  | { readonly kind: 'file'; readonly path: string; readonly writable: boolean; readonly byteLength: number }
  | { readonly kind: 'bytes'; readonly path: string; readonly byteLength: number }
  | { readonly kind: 'zeros'; readonly byteLength: number }
  | { readonly kind: 'size'; readonly of: string }

/** Readers of one element, by the type's name. */
export const ELEMENTS = {
  u8: { bytes: 1, read: (view: DataView, at: number) => view.getUint8(at) },
  i8: { bytes: 1, read: (view: DataView, at: number) => view.getInt8(at) },
  u16: { bytes: 2, read: (view: DataView, at: number) => view.getUint16(at, true) },
  i16: { bytes: 2, read: (view: DataView, at: number) => view.getInt16(at, true) },
  u32: { bytes: 4, read: (view: DataView, at: number) => view.getUint32(at, true) },
  i32: { bytes: 4, read: (view: DataView, at: number) => view.getInt32(at, true) },
  f32: { bytes: 4, read: (view: DataView, at: number) => view.getFloat32(at, true) },
  f64: { bytes: 8, read: (view: DataView, at: number) => view.getFloat64(at, true) },
} as const
export type ElementType = keyof typeof ELEMENTS

export interface Print {
  readonly name: string
  readonly type: ElementType
  readonly count: number
}

export interface RunOptions {
  readonly file: string
  readonly code: string
  readonly entry: string
  readonly args: ReadonlyMap<string, ArgValue>
  readonly global: number[]
  readonly local: number[] | undefined
  readonly offset: number[] | undefined
  readonly atomic: boolean
  readonly label: string | undefined
  readonly kernelClass: 'transactional' | 'unsplittable' | undefined
  readonly constants: Record<string, number>
  readonly deviceMemory: number | undefined
  readonly pageSize: number | undefined
  readonly addressBits: 32 | 64
  readonly gpu: GpuKind
  readonly print: readonly Print[]
  readonly save: readonly { readonly name: string; readonly path: string }[]
  readonly trace: string | undefined
  /** The launch is watched for races and waits. */
  readonly debug: boolean
  /** Only say what the compiler found out: nothing is launched. */
  readonly explain: boolean
}

const KINDS = {
  entry: 'string',
  arg: 'list',
  global: 'string',
  local: 'string',
  offset: 'string',
  atomic: 'boolean',
  label: 'string',
  class: 'string',
  constant: 'list',
  'device-memory': 'string',
  'page-size': 'string',
  'address-bits': 'string',
  gpu: 'string',
  print: 'list',
  save: 'list',
  trace: 'string',
  debug: 'boolean',
  explain: 'boolean',
} as const

/** @throws UsageError, SvmError unsupported */
export function readRunOptions(argv: readonly string[]): RunOptions {
  const { values, positionals } = readOptions(argv, KINDS)
  const [file, ...more] = positionals
  if (file === undefined) throw new UsageError('name the file of the kernel (FILE.wgsl)')
  if (more.length > 0) throw new UsageError(`'${more[0]}' is one argument too many`)
  if (values.entry === undefined) throw new UsageError('--entry NAME is missing: the function to run')
  const explain = values.explain === true
  if (values.global === undefined && !explain) throw new UsageError('--global X[,Y,Z] is missing: the number of work-items')
  const args = new Map<string, ArgValue>()
  for (const text of values.arg ?? []) {
    const [name, value] = splitAt(text, '=', '--arg', 'name=VALUE')
    if (args.has(name)) throw new UsageError(`--arg ${name} is given twice`)
    args.set(name, readValue(name, value))
  }
  for (const [name, value] of args) if (value.kind === 'size') bytesOf(args, value.of, `--arg ${name}=size:${value.of}`)
  const dimensions = (name: 'local' | 'offset', least: number) => (values[name] === undefined ? undefined : parseDimensions(values[name], `--${name}`, least))
  const size = (name: 'device-memory' | 'page-size') => (values[name] === undefined ? undefined : parsePositiveSize(values[name], `--${name}`))
  return {
    file,
    code: readText(file),
    entry: values.entry,
    args,
    global: parseDimensions(values.global ?? '0', '--global', 0),
    local: dimensions('local', 1),
    offset: dimensions('offset', 0),
    atomic: values.atomic === true,
    label: values.label,
    kernelClass: readClass(values.class),
    constants: Object.fromEntries((values.constant ?? []).map(readConstant)),
    deviceMemory: size('device-memory'),
    pageSize: size('page-size'),
    addressBits: readAddressBits(values['address-bits']),
    gpu: readGpu(values.gpu),
    print: (values.print ?? []).map((text) => readPrint(text, args)),
    save: (values.save ?? []).map((text) => readSave(text, args)),
    trace: values.trace,
    debug: values.debug === true,
    explain,
  }
}

function readValue(name: string, text: string): ArgValue {
  const colon = text.indexOf(':')
  const scheme = colon < 0 ? '' : text.slice(0, colon)
  const rest = text.slice(colon + 1)
  switch (scheme) {
    case 'file': {
      const writable = rest.endsWith(':rw')
      const path = writable ? rest.slice(0, -3) : rest
      return { kind: 'file', path, writable, byteLength: fileBytes(path, `--arg ${name}`) }
    }
    case 'bytes':
      return { kind: 'bytes', path: rest, byteLength: fileBytes(rest, `--arg ${name}`) }
    case 'zeros':
      return { kind: 'zeros', byteLength: parsePositiveSize(rest, `--arg ${name}=zeros:SIZE`) }
    case 'size':
      return { kind: 'size', of: rest }
    case 'http':
    case 'https':
      throw new SvmError(
        'unsupported',
        `--arg ${name}: mapping an HTTP resource is not built yet in this version of webgpu-svm; download it and use file:PATH.`,
      )
    default: {
      const numbers = text.split(',').map(parseNumber)
      if (numbers.some((number) => number === null)) {
        const expected = 'a number (or numbers with commas between them), file:PATH, bytes:PATH, zeros:SIZE or size:NAME'
        throw new UsageError(`--arg ${name} must be ${expected}, found '${text}'`)
      }
      return { kind: 'number', value: numbers.length === 1 ? (numbers[0] as number) : (numbers as number[]) }
    }
  }
}

/** Bytes of an argument that is memory. @throws UsageError */
function bytesOf(args: ReadonlyMap<string, ArgValue>, name: string, what: string): number {
  const value = args.get(name)
  if (value !== undefined && 'byteLength' in value) return value.byteLength
  throw new UsageError(`${what}: '${name}' is no argument that is memory (file:, bytes: or zeros:)`)
}

function readPrint(text: string, args: ReadonlyMap<string, ArgValue>): Print {
  const [name, type = '', count, ...more] = text.split(':')
  if (!Object.hasOwn(ELEMENTS, type) || more.length > 0) {
    throw new UsageError(`--print must be name:type[:count] with a type of ${Object.keys(ELEMENTS).join(', ')}, found '${text}'`)
  }
  const wanted = count === undefined ? 1 : Number(count)
  if (!Number.isSafeInteger(wanted) || wanted < 1) throw new UsageError(`--print ${name}: the count must be a whole number of at least 1, found '${count}'`)
  const has = bytesOf(args, name as string, `--print ${text}`)
  const { bytes } = ELEMENTS[type as ElementType]
  if (wanted * bytes > has) throw new UsageError(`--print ${text}: ${wanted} of ${bytes} bytes do not fit in '${name}', which has ${has} bytes`)
  return { name: name as string, type: type as ElementType, count: wanted }
}

function readSave(text: string, args: ReadonlyMap<string, ArgValue>): { name: string; path: string } {
  const [name, path] = splitAt(text, '=', '--save', 'name=PATH')
  bytesOf(args, name, `--save ${text}`)
  return { name, path }
}

function readConstant(text: string): [string, number] {
  const [name, value] = splitAt(text, '=', '--constant', 'name=NUMBER')
  const number = parseNumber(value)
  if (number === null) throw new UsageError(`--constant ${name} must be a number, found '${value}'`)
  return [name, number]
}

function readAddressBits(value = '32'): 32 | 64 {
  if (value === '32' || value === '64') return value === '32' ? 32 : 64
  throw new UsageError(`--address-bits must be 32 or 64, found '${value}'`)
}

function readClass(value: string | undefined): RunOptions['kernelClass'] {
  if (value === undefined || value === 'transactional' || value === 'unsplittable') return value
  throw new UsageError(`--class must be transactional or unsplittable, found '${value}'`)
}

function splitAt(text: string, mark: string, option: string, form: string): [string, string] {
  const at = text.indexOf(mark)
  if (at < 1 || at === text.length - 1) throw new UsageError(`${option} must be ${form}, found '${text}'`)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** @throws UsageError, when the file cannot be used */
export function fileBytes(path: string, what: string): number {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) throw new UsageError(`${what}: there is no file ${path}`)
  if (!status.isFile()) throw new UsageError(`${what}: ${path} is not a regular file`)
  if (status.size === 0) throw new UsageError(`${what}: ${path} is empty`)
  return status.size
}

function readText(path: string): string {
  fileBytes(path, 'the kernel')
  return readFileSync(path, 'utf8')
}
