// The conformance suites on the simulated device, one test each; and the command that runs them.

import { describe, expect, it } from 'vitest'
import { answer } from '../../cli/svm.ts'
import { chosenSuites, runTest, SUITES, simHost, type Test, webgpuHost } from '../../conformance/conformance.ts'
import { byMapping, ListWorld, openTwo, type Party } from '../../conformance/opencl/lists.ts'
import type { TestContext } from '../../conformance/suite.ts'

/** The command makes as many lists as the original; here fewer will do. */
const NUM_ELEMENTS = 256

describe.each(SUITES)('$name', ({ name, tests, skipped }) => {
  it.each(tests.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    const { outcome, text } = await runTest(name, test, simHost(NUM_ELEMENTS))
    expect([outcome, outcome === 'passed' ? '' : text]).toEqual(['passed', ''])
  })

  it('names each test once, and gives a reason for each that is left out', () => {
    const names = [...tests, ...skipped].map((one) => one.name)
    expect(names.filter((one, at) => names.indexOf(one) !== at)).toEqual([])
    for (const { reason } of skipped) expect(reason.length).toBeGreaterThan(20)
  })
})

describe('a run', () => {
  const failing: Test = {
    name: 'failing',
    run: async (t) => {
      const { svm } = await t.open()
      await svm.read(4096, 4)
    },
  }

  it('a test that throws fails, with what it threw, and its spaces are closed', async () => {
    const host = webgpuHost(() => Promise.reject(new Error('no GPU')))
    expect(await runTest('own', failing, host)).toMatchObject({ outcome: 'failed', text: 'Error: no GPU' })
    const [device] = await simHost().devices(1, {})
    const one = { kind: 'sim' as const, numElements: NUM_ELEMENTS, devices: async () => [device as NonNullable<typeof device>] }
    expect(await runTest('own', failing, one)).toMatchObject({ outcome: 'failed', text: expect.stringContaining('nothing is mapped at 0x1000') })
    // The same device takes a space again.
    expect(await runTest('own', { ...failing, run: (t) => t.open() }, one)).toMatchObject({ outcome: 'passed' })
  })

  it('a creator of lists that writes nothing does not pass on what another wrote', async () => {
    const idle = async (t: TestContext) => {
      const { svm, queues } = await openTwo(t)
      const world = new ListWorld(svm, queues, byMapping(svm), t.numElements)
      const parties = await world.parties()
      await world.everyPair([...parties, { name: 'nobody', create: async () => undefined, verify: (parties[0] as Party).verify }])
    }
    const { outcome, text } = await runTest('own', { name: 'idle', run: idle }, simHost(32))
    expect([outcome, text]).toEqual(['failed', 'correct nodes, made by nobody and checked by device 0: expected 1024, met 0'])
  })

  it('chooses by the name of a test or of a suite', () => {
    expect(chosenSuites('hmm').map(({ name, tests }) => [name, tests.length])).toEqual([['hmm', SUITES[0]?.tests.length]])
    expect(chosenSuites('anon_read').map(({ tests }) => tests.map(({ name }) => name))).toEqual([['anon_read']])
    expect(chosenSuites('nothing')).toEqual([])
  })

  it('svm conformance: a line a test, and --json', async () => {
    const text = await answer(['conformance', '--only', 'userfaultfd_read'])
    expect(text).toMatchObject({ status: 0, stderr: '' })
    expect(text.stdout).toMatch(/hmm: 1 passed, 0 failed, 0 skipped\n {2}passed {3}userfaultfd_read/)
    const json = await answer(['conformance', '--only', 'exclusive_cow', '--json'])
    expect(json.status).toBe(0)
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: true,
      suites: [{ name: 'hmm', passed: 0, failed: 0, skipped: [{ name: 'exclusive_cow', reason: expect.stringContaining('No fork') }] }],
    })
  })
})
