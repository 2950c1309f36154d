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
