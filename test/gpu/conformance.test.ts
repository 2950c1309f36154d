// The conformance suites on a real device, one test each: in Node on Dawn, and once more in a browser. Always: tests that cannot run on a real device
// are skipped with their reason.

import { afterAll, describe, expect, it } from 'vitest'
import { runTest, SUITES, webgpuHost } from '../../conformance/conformance.ts'
import { requestDevice, useGpu } from './device.ts'

useGpu()
/** The command makes as many lists as the original; here fewer will do. */
const NUM_ELEMENTS = 256
const devices: GPUDevice[] = []
const host = webgpuHost(async () => {
  const device = await requestDevice({})
  devices.push(device)
  return device
}, NUM_ELEMENTS)
afterAll(() => {
  for (const device of devices) device.destroy()
})

for (const { name, tests } of SUITES) {
  describe(name, () => {
    for (const test of tests) {
      it(test.name, async ({ skip }) => {
        const { outcome, text } = await runTest(name, test, host)
        if (outcome === 'skipped') skip(text)
        expect([outcome, outcome === 'passed' ? '' : text]).toEqual(['passed', ''])
      })
    }
  })
}
