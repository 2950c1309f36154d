// svm conformance: the ported suites, test by test, on a chosen device. Always: what is printed was run or is named with the reason why not; it is
// right only when nothing failed.

import { chosenSuites, type Host, NUM_ELEMENTS_DEFAULT, runConformance, type SuiteReport, simHost, webgpuHost } from '../conformance/conformance.ts'
import { findGpu } from '../src/node.ts'
import { type Command, noPositionals, type Outcome, readGpu, readOptions, UsageError } from './command.ts'
import { parseCount, printTime } from './sizes.ts'
import { Progress } from './terminal.ts'

const DEVICES = ['sim', 'webgpu'] as const

export const conformance: Command = {
  name: 'conformance',
  summary: 'the ported HMM and OpenCL suites, by name, on a chosen device',
  help: `svm conformance [--device sim|webgpu] [--only NAME] [--num-elements N] [--gpu any|hardware|software] [--json]

Runs the tests of Linux HMM (hmm-tests.c) and of the OpenCL CTS about shared virtual memory, each under its original name, on the simulated
device (if left out) or on a GPU. --only takes the name of a test or of a suite. Tests that have no meaning here are listed with the reason.
--num-elements is the parameter of the OpenCL harness: lists that are made, an even number; ${NUM_ELEMENTS_DEFAULT} as there if left out.
`,
  parse(args) {
    const { values, positionals } = readOptions(args, { device: 'string', only: 'string', gpu: 'string', 'num-elements': 'string' })
    noPositionals(positionals)
    const device = DEVICES.find((name) => name === (values.device ?? 'sim'))
    if (device === undefined) throw new UsageError(`--device must be one of ${DEVICES.join(', ')}, found '${values.device}'`)
    const kind = readGpu(values.gpu)
    if (values.gpu !== undefined && device === 'sim') throw new UsageError('--gpu chooses a GPU, so it needs --device webgpu')
    const { only } = values
    if (chosenSuites(only).length === 0) throw new UsageError(`there is no test '${only}'`)
    const count = values['num-elements']
    const numElements = count === undefined ? NUM_ELEMENTS_DEFAULT : parseCount(count, '--num-elements', 2)
    if (numElements % 2 !== 0) throw new UsageError(`--num-elements must be even, found ${numElements}`)
    return () => (device === 'sim' ? report(simHost(numElements), 'the simulated device', only) : onGpu(kind, only, numElements))
  },
}

async function onGpu(kind: 'any' | 'hardware' | 'software', only: string | undefined, numElements: number): Promise<Outcome> {
  const found = await findGpu({ kind })
  const devices: GPUDevice[] = []
  try {
    const host = webgpuHost(async () => {
      const device = await found.device()
      devices.push(device)
      return device
    }, numElements)
    return await report(host, found.description, only)
  } finally {
    for (const device of devices) device.destroy()
  }
}

async function report(host: Host, where: string, only: string | undefined): Promise<Outcome> {
  const progress = new Progress()
  progress.begin('conformance')
  try {
    const suites = await runConformance({ host, only, onResult: (_, done, total) => progress.update(done / total) })
    const failed = suites.reduce((sum, suite) => sum + suite.failed, 0)
    const value = { ok: failed === 0, device: host.kind, description: where, suites }
    return { ok: failed === 0, value, text: `On ${where}.\n\n${suites.map(print).join('\n')}` }
  } finally {
    progress.end()
  }
}

function print({ name, passed, failed, skipped, tests }: SuiteReport): string {
  const ran = tests.filter(({ outcome }) => outcome !== 'skipped')
  const width = Math.max(...[...ran, ...skipped].map((one) => one.name.length))
  const lines = [
    ...ran.map((test) => `  ${test.outcome}   ${test.name.padEnd(width)}  ${printTime(test.milliseconds).padStart(7)}  ${test.text}`),
    ...skipped.map((test) => `  skipped  ${test.name.padEnd(width)}           ${test.reason}`),
  ]
  return `${name}: ${passed} passed, ${failed} failed, ${skipped.length} skipped\n${lines.map((line) => `${line.trimEnd()}\n`).join('')}`
}
