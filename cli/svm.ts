#!/usr/bin/env node

// The command `svm`. Always: arguments are checked in full before any work; an error is one line on standard error, and with --json one
// object on standard output too; the exit status is 0 only if what the command did was right.

import { realpathSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { SvmError } from '../src/node.ts'
import { bench } from './bench.ts'
import { type Command, UsageError } from './command.ts'
import { conformance } from './conformance.ts'
import { demo } from './demo.ts'
import { fuzz } from './fuzz.ts'
import { info } from './info.ts'
import { lab } from './lab.ts'
import { run } from './run.ts'

const COMMANDS: readonly Command[] = [info, run, demo, bench, lab, conformance, fuzz]
/** Named in the plan, not built yet. */
const PLANNED = ['replay', 'inspect']

const HELP = `svm: shared virtual memory for WebGPU.

  svm <command> [options]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`).join('\n')}

Every command takes --json (one JSON value on standard output, nothing else there) and --help.
`

/** What goes to the two streams, and the exit status. */
export interface Answer {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs one command line. Never rejects. */
export async function answer(args: readonly string[]): Promise<Answer> {
  const [name, ...rest] = args
  const json = rest.includes('--json')
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') return { status: name === undefined ? 2 : 0, stdout: HELP, stderr: '' }
  try {
    const command = findCommand(name)
    if (rest.includes('--help') || rest.includes('-h')) return { status: 0, stdout: command.help, stderr: '' }
    const { ok, value, text } = await command.parse(rest)()
    return { status: ok ? 0 : 1, stdout: json ? `${JSON.stringify(value)}\n` : text, stderr: ok ? '' : `svm ${name}: what came out is wrong.\n` }
  } catch (error) {
    return refusal(name, error, json)
  }
}

function findCommand(name: string): Command {
  const command = COMMANDS.find((one) => one.name === name)
  if (command !== undefined) return command
  const built = COMMANDS.map((one) => one.name).join(', ')
  if (PLANNED.includes(name)) throw new SvmError('unsupported', `svm ${name} is not built yet in this version of webgpu-svm; there are ${built}.`)
  throw new UsageError(`there is no command '${name}'; there are ${built}.`)
}

function refusal(name: string, error: unknown, json: boolean): Answer {
  const usage = error instanceof UsageError
  const code = error instanceof SvmError ? error.code : usage ? 'invalid-value' : 'internal'
  const message = error instanceof Error ? error.message : String(error)
  const where = usage ? `; see svm ${COMMANDS.some((one) => one.name === name) ? `${name} ` : ''}--help` : ''
  return {
    status: usage ? 2 : 1,
    stdout: json ? `${JSON.stringify({ ok: false, error: { code, message } })}\n` : '',
    stderr: `svm ${name}: ${code === 'internal' ? 'internal error: ' : ''}${message.replace(/\s*\n\s*/g, ' ')}${where}\n`,
  }
}

async function main(): Promise<void> {
  const { status, stdout, stderr } = await answer(process.argv.slice(2))
  process.exitCode = status
  process.stderr.write(stderr)
  process.stdout.write(stdout)
}

/** npm makes `svm` a link to this file. */
function isMain(): boolean {
  const started = process.argv[1]
  return started !== undefined && import.meta.url === pathToFileURL(realpathSync(started)).href
}

if (isMain()) await main()
