// What a command is, and how its options are read. Always: `parse` checks everything that can be checked without a device and does no work;
// what it returns does the work.

import { type ParseArgsConfig, parseArgs } from 'node:util'

/** What a command found out. */
export interface Outcome {
  /** What was done is right: the exit status. */
  readonly ok: boolean
  /** For --json. */
  readonly value: unknown
  /** For people. */
  readonly text: string
}

export interface Command {
  readonly name: string
  /** Half a line. */
  readonly summary: string
  readonly help: string
  /** @throws UsageError, SvmError */
  parse(args: readonly string[]): () => Promise<Outcome>
}

/** The command line is wrong; the message says what was expected and what was met. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Options = NonNullable<ParseArgsConfig['options']>
type Kinds = Readonly<Record<string, 'string' | 'boolean' | 'list'>>
type Values<K extends Kinds> = {
  [N in keyof K]: (K[N] extends 'boolean' ? true : K[N] extends 'list' ? string[] : string) | undefined
}

/** Reads options by their kinds; --json is always one of them. @throws UsageError */
export function readOptions<const K extends Kinds>(args: readonly string[], kinds: K): { values: Values<K>; positionals: string[] } {
  const options: Options = { json: { type: 'boolean' } }
  for (const [name, kind] of Object.entries(kinds)) options[name] = { type: kind === 'boolean' ? 'boolean' : 'string', multiple: kind === 'list' }
  try {
    const { values, positionals, tokens } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true, tokens: true })
    refuseTwice(tokens, kinds)
    return { values: values as Values<K>, positionals }
  } catch (error) {
    if (error instanceof UsageError) throw error
    // Node's own text, less its advice about arguments that start with a dash.
    throw new UsageError(String((error as Error).message).replace(/\. .*/s, ''))
  }
}

function refuseTwice(tokens: readonly { kind: string; name?: string }[], kinds: Kinds): void {
  const seen = new Set<string>()
  for (const { kind, name } of tokens) {
    if (kind !== 'option' || name === undefined || kinds[name] === 'list') continue
    if (seen.has(name)) throw new UsageError(`--${name} is given twice`)
    seen.add(name)
  }
}

export const GPU_KINDS = ['any', 'hardware', 'software'] as const
export type GpuKind = (typeof GPU_KINDS)[number]

/** The value of --gpu. @throws UsageError */
export function readGpu(value: string | undefined): GpuKind {
  if (value === undefined) return 'any'
  if (!(GPU_KINDS as readonly string[]).includes(value)) throw new UsageError(`--gpu must be one of ${GPU_KINDS.join(', ')}, found '${value}'`)
  return value as GpuKind
}

/** @throws UsageError */
export function noPositionals(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError(`'${positionals[0]}' is one argument too many`)
}
