// Naps. Always: the event loop turns between two of them, and they end with the wait. How long a nap takes is not tested.

import { expect, test, vi } from 'vitest'
import { wait, wake } from './nap.ts'

test('timers are served while somebody waits long, and nobody naps when nobody waits', async () => {
  const naps = vi.spyOn(Atomics, 'wait')
  const turns = async (count: number) => {
    for (let n = 0; n < count; n++) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  wait()
  wait()
  await turns(10)
  wake()
  await turns(10)
  const during = naps.mock.calls.length
  expect(during).toBeGreaterThan(0)
  wake()
  await turns(2)
  const after = naps.mock.calls.length
  await turns(10)
  expect(naps.mock.calls.length).toBe(after)
  for (const [, , , milliseconds] of naps.mock.calls) expect(milliseconds).toBeLessThanOrEqual(0.5)
  naps.mockRestore()
})

test('after a long wait shorter ones are naps too, until many in a row were short', async () => {
  const naps = vi.spyOn(Atomics, 'wait')
  let now = 1000
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  const turns = async () => {
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  /** Naps while somebody waits so long. */
  const during = async (milliseconds: number) => {
    wait()
    await turns()
    const before = naps.mock.calls.length
    now += milliseconds
    await turns()
    wake()
    await turns()
    return naps.mock.calls.length - before
  }
  const short = () => {
    wait()
    now += 0.05
    wake()
  }
  for (let n = 0; n < 20; n++) short()
  expect(await during(0.5)).toBe(0)
  expect(await during(1.5)).toBeGreaterThan(0)
  expect(await during(0.5)).toBeGreaterThan(0)
  for (let n = 0; n < 20; n++) short()
  expect(await during(0.5)).toBe(0)
  clock.mockRestore()
  naps.mockRestore()
})
