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
  for (const [, , , milliseconds] of naps.mock.calls) expect(milliseconds).toBeLessThanOrEqual(1.25)
  naps.mockRestore()
})

/** Waits on a clock of the test's own. */
class Waits {
  readonly naps = vi.spyOn(Atomics, 'wait')
  #now = 1000
  readonly #clock = vi.spyOn(performance, 'now').mockImplementation(() => this.#now)

  quick(count: number): void {
    for (let n = 0; n < count; n++) {
      wait()
      this.#now += 0.05
      wake()
    }
  }

  /** The naps while somebody waits so long, in milliseconds. */
  async during(milliseconds: number): Promise<number[]> {
    const turns = async () => {
      for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    wait()
    await turns()
    const before = this.naps.mock.calls.length
    this.#now += milliseconds
    await turns()
    wake()
    await turns()
    return this.naps.mock.calls.slice(before).map(([, , , length]) => length as number)
  }

  end(): void {
    this.#clock.mockRestore()
    this.naps.mockRestore()
  }
}

test('after a long wait shorter ones are naps too, until many in a row were short', async () => {
  const waits = new Waits()
  waits.quick(20)
  expect(await waits.during(0.5)).toEqual([])
  expect((await waits.during(1.5)).length).toBeGreaterThan(0)
  expect((await waits.during(0.5)).length).toBeGreaterThan(0)
  waits.quick(20)
  expect(await waits.during(0.5)).toEqual([])
  waits.end()
})

test('who was quick and is not now gets a nap that is longer than a thread of the device looks for work, and so does who is slow again and again', async () => {
  const waits = new Waits()
  const isLong = (length: number) => length > 1
  /** Whether the first nap of each of so many waits is long; no other is. */
  const firsts = async (count: number) => {
    const found: boolean[] = []
    for (let n = 0; n < count; n++) {
      const [first = 0, ...others] = await waits.during(1.5)
      expect(others.some(isLong)).toBe(false)
      found.push(isLong(first))
    }
    return found
  }
  waits.quick(20)
  expect(await firsts(8)).toEqual([true, true, true, false, false, false, false, true])
  waits.quick(2)
  expect(await firsts(2)).toEqual([false, false])
  waits.quick(8)
  expect(await firsts(1)).toEqual([true])
  waits.end()
})
