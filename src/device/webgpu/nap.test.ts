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

test('after long waits in a row shorter ones are naps too, until one was quick', async () => {
  const waits = new Waits()
  waits.quick(1)
  for (let n = 0; n < 3; n++) expect((await waits.during(1.5)).length).toBeGreaterThan(0)
  expect((await waits.during(0.5)).length).toBeGreaterThan(0)
  waits.quick(1)
  expect((await waits.during(1.5)).length).toBeGreaterThan(0)
  expect(await waits.during(0.5)).toEqual([])
  waits.end()
})

test('who was quick for long and is not now gets a nap that is longer than a thread of the device looks for work, and others do not', async () => {
  const waits = new Waits()
  const isLong = (length: number) => length > 1
  waits.quick(20)
  for (let n = 0; n < 3; n++) {
    const [first, ...others] = await waits.during(1.5)
    expect(first).toSatisfy(isLong)
    expect(others.some(isLong)).toBe(false)
  }
  expect((await waits.during(1.5)).some(isLong)).toBe(false)
  waits.quick(2)
  expect((await waits.during(1.5)).some(isLong)).toBe(false)
  waits.end()
})
