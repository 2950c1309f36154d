// svm run: any kernel on any data. Always: everything is checked before the device is looked for; what it saves and prints is read after the
// kernel has ended well.

import { closeSync, openSync, writeSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { type DispatchResult, filePager, type KernelArgument, openNodeSvm, type Pager, type Svm, type SvmStats, type TraceEvent } from '../src/node.ts'
import type { Command, Outcome } from './command.ts'
import { explained } from './explain.ts'
import { type ArgValue, ELEMENTS, type Print, type RunOptions, readRunOptions } from './run-options.ts'
import { printCount, printSize, printTime } from './sizes.ts'
import { Progress, table } from './terminal.ts'

/** What is saved goes through an array of this size. */
const SAVE_BYTES = 16 * 2 ** 20

interface Placed {
  readonly value: KernelArgument
  /** For --json: what the argument is, and where it came to lie. */
  readonly report: unknown
}

export const run: Command = {
  name: 'run',
  summary: 'runs a kernel of yours on files and memory of any size',
  help: `svm run FILE.wgsl --entry NAME --global X[,Y,Z] [--arg name=VALUE]... [options]

Runs one entry point of a WGSL file that uses the functions of webgpu-svm (svm_load_u32 and so on), and ends with a table of what moved.

  --arg name=VALUE       an argument of the kernel; VALUE is
                           a number, or numbers with commas between them for a vector
                           file:PATH[:rw]  the file, mapped, paged in as the kernel touches it
                           bytes:PATH      a copy of the file in an allocation
                           zeros:SIZE      an allocation of zeros
                           size:NAME       the number of bytes of another argument
  --global X[,Y,Z]       work-items; --local X[,Y,Z] must equal @workgroup_size; --offset X[,Y,Z] is added to global_invocation_id
  --constant name=NUMBER a value for an override
  --class CLASS          transactional or unsplittable
  --atomic               all bytes as before if the launch fails
  --label TEXT           the kernel's name in messages
  --device-memory SIZE   the most that may be held on the device (2MiB, 64MiB)
  --page-size SIZE       4KiB to 2MiB; 64KiB if left out
  --address-bits BITS    32 or 64: the width of a pointer; 32 if left out
  --gpu KIND             any (default), hardware, software
  --print name:type[:n]  prints n elements (1 if left out) of an argument: ${Object.keys(ELEMENTS).join(' ')}
  --save name=PATH       writes the bytes of an argument to a file
  --debug                watches for data races and for work-items that wait in vain, and says what it could not watch
  --explain              says what the compiler found out about the kernel, by lines, and runs nothing (then only --entry is needed)
  --trace PATH           writes what happened, a JSON line for each event
  --json                 one JSON object on standard output
`,
  parse(args) {
    const options = readRunOptions(args)
    return () => runKernel(options)
  },
}

async function runKernel(options: RunOptions): Promise<Outcome> {
  const trace = options.trace === undefined ? null : openSync(options.trace, 'w')
  const progress = new Progress()
  let show: (event: TraceEvent) => void = () => undefined
  const warnings: string[] = []
  const pagers: Pager[] = []
  let svm: Svm | null = null
  try {
    svm = await openNodeSvm({
      gpu: options.gpu,
      deviceMemory: options.deviceMemory,
      pageSize: options.pageSize,
      addressBits: options.addressBits,
      debug: options.debug,
      trace: (event, milliseconds) => {
        show(event)
        if (event.kind === 'unwatched') warnings.push(event.message)
        if (trace !== null) writeSync(trace, `${JSON.stringify({ milliseconds, ...event })}\n`)
      },
    })
    const kernel = await svm.createKernel({
      code: options.code,
      entryPoint: options.entry,
      label: options.label,
      class: options.kernelClass,
      constants: options.constants,
    })
    if (options.explain) return explained(kernel)
    const placed = await placeAll(svm, options.args, pagers)
    const total = options.global.reduce((count, items, d) => count * Math.ceil(items / (kernel.analysis.workgroupSize[d] as number)), 1)
    progress.begin(kernel.label)
    show = progress.ofWorkgroups(total)
    const started = performance.now()
    const args = Object.fromEntries([...placed].map(([name, { value }]) => [name, value]))
    const { global, local, offset, atomic } = options
    const result = await svm.queue.enqueue(kernel, { args, global, local, offset, atomic }).done
    const milliseconds = performance.now() - started
    progress.end()
    return await report(svm, options, placed, { result, milliseconds, warnings })
  } finally {
    progress.end()
    await svm?.close()
    for (const pager of pagers) await pager.close?.()
    if (trace !== null) closeSync(trace)
  }
}

async function placeAll(svm: Svm, args: ReadonlyMap<string, ArgValue>, pagers: Pager[]): Promise<Map<string, Placed>> {
  const placed = new Map<string, Placed>()
  for (const [name, value] of args) placed.set(name, await place(svm, name, value, args, pagers))
  return placed
}

async function place(svm: Svm, label: string, arg: ArgValue, args: ReadonlyMap<string, ArgValue>, pagers: Pager[]): Promise<Placed> {
  switch (arg.kind) {
    case 'number':
      return { value: arg.value, report: arg.value }
    case 'size': {
      const { byteLength } = args.get(arg.of) as { byteLength: number }
      return { value: byteLength, report: byteLength }
    }
    case 'zeros': {
      const pointer = svm.alloc(arg.byteLength, { label })
      return { value: pointer, report: { kind: arg.kind, pointer, byteLength: arg.byteLength } }
    }
    case 'bytes': {
      const pointer = svm.allocFrom(await readFile(arg.path), { label })
      return { value: pointer, report: { kind: arg.kind, path: arg.path, pointer, byteLength: arg.byteLength } }
    }
    case 'file': {
      const pager = await filePager(arg.path, { writable: arg.writable })
      pagers.push(pager)
      const pointer = await svm.mmap(pager, { access: arg.writable ? 'read-write' : 'read', sharing: arg.writable ? 'shared' : 'private', label })
      return { value: pointer, report: { kind: arg.kind, path: arg.path, pointer, byteLength: pager.size } }
    }
  }
}

interface Measured {
  readonly result: DispatchResult
  readonly milliseconds: number
  readonly warnings: readonly string[]
}

async function report(svm: Svm, options: RunOptions, placed: ReadonlyMap<string, Placed>, { result, milliseconds, warnings }: Measured): Promise<Outcome> {
  const [device] = svm.stats().devices as [SvmStats['devices'][number]]
  const printed: Record<string, number[]> = {}
  const lines: string[] = []
  for (const wish of options.print) {
    const values = await readElements(svm, placed.get(wish.name)?.value as number, wish)
    printed[wish.name] = values
    lines.push(`${wish.name}: ${values.join(' ')}\n`)
  }
  for (const { name, path } of options.save) {
    const { byteLength } = options.args.get(name) as { byteLength: number }
    await save(svm, placed.get(name)?.value as number, byteLength, path)
  }
  const value = {
    ok: true,
    device: device.label,
    ...result,
    milliseconds,
    ...(warnings.length > 0 ? { warnings } : {}),
    budgetBytes: device.budgetBytes,
    peakDeviceBytes: device.peakBytes,
    args: Object.fromEntries([...placed].map(([name, { report }]) => [name, report])),
    printed,
  }
  return { ok: true, value, text: `${lines.join('')}${lines.length > 0 ? '\n' : ''}${print(value)}${warnings.map((warning) => `\n${warning}\n`).join('')}` }
}

function print(value: DispatchResult & { device: string; milliseconds: number; budgetBytes: number; peakDeviceBytes: number }): string {
  return table([
    ['device', value.device],
    ['bytes in', printSize(value.bytesIn)],
    ['bytes out', printSize(value.bytesOut)],
    ['faults', printCount(value.faults)],
    ['rounds', printCount(value.rounds)],
    ['evictions', printCount(value.evictions)],
    ['private copies', printCount(value.privateCopies)],
    ['budget', printSize(value.budgetBytes)],
    ['most on the device', printSize(value.peakDeviceBytes)],
    ['variant', value.variant],
    ...(value.unwatched === undefined ? [] : [['not watched', printCount(value.unwatched)] as const]),
    ['time', printTime(value.milliseconds)],
  ])
}

async function readElements(svm: Svm, pointer: number, { type, count }: Print): Promise<number[]> {
  const { bytes, read } = ELEMENTS[type]
  const raw = await svm.read(pointer, count * bytes)
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  return Array.from({ length: count }, (_, n) => read(view, n * bytes))
}

async function save(svm: Svm, pointer: number, byteLength: number, path: string): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < byteLength; at += SAVE_BYTES) await file.write(await svm.read(pointer + at, Math.min(SAVE_BYTES, byteLength - at)))
  } finally {
    await file.close()
  }
}
