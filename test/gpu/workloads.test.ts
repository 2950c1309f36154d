// Every workload of examples/, once small: with memory for all of it, and with a budget of two thirds of what it touches. Always: the host checks the
// results of two runs in each space, so that the second starts from what the first left; pages are evicted where memory is short, and nowhere else.
// Does not cover: time, which is `svm bench`.

import { describe, expect, test } from 'vitest'
import { WORKLOADS } from '../../examples/workloads/index.ts'
import type { Problem } from '../../examples/workloads/workload.ts'
import { KIB, MIB, useGpu } from './device.ts'
import { expectWithinBudget } from './regime.ts'

const gpu = useGpu()
/** Small pages, so that a small working set has many; but the runtime needs some memory for itself, which is not small beside a small budget. */
const BYTES = MIB
/** Where one workgroup touches so many pages that two thirds of that do not hold them beside the runtime. */
const MORE_BYTES: Readonly<Record<string, number>> = { 'bfs-queue': 1.5 * MIB, 'bfs-mask': 1.25 * MIB, 'radix-sort': 5 * MIB }
const PAGE_BYTES = 4 * KIB

type Mode = readonly [name: string, isShort: boolean, budget: (bytes: number) => number]
const IN_MEMORY: Mode = ['in memory', false, (bytes) => bytes * 2 + 8 * MIB]
const SHORT: Mode = ['working set / budget = 1.5', true, (bytes) => Math.floor(bytes / 1.5)]
/** They touch so few pages of their working set that these fit all the same. */
const FIT = ['sparse-touch', 'sparse-touch-pages', 'sparse-touch-blocks']
/** In a browser these take as long as all others together. */
const SLOW_IN_BROWSER = ['bfs-queue', 'radix-sort', 'hash-random']

const problems = new Map<string, Promise<Problem>>()

describe.each(WORKLOADS)('$name', (workload) => {
  const problem = () => {
    const made = problems.get(workload.name) ?? Promise.resolve(workload.make(MORE_BYTES[workload.name] ?? BYTES))
    problems.set(workload.name, made)
    return made
  }

  const modes = typeof window !== 'undefined' && SLOW_IN_BROWSER.includes(workload.name) ? [IN_MEMORY] : [IN_MEMORY, SHORT]
  test.each(modes)('%s', async (_, isShort, budget) => {
    const { workingSetBytes, place, check } = await problem()
    const svm = await gpu.open({ deviceMemory: budget(workingSetBytes), pageSize: PAGE_BYTES })
    const placed = await place(svm)
    for (let run = 0; run < 2; run++) {
      await placed.reset?.()
      const launches = await placed.run()
      expect(launches.length).toBeGreaterThan(0)
      const evictions = launches.reduce((sum, launch) => sum + launch.evictions, 0)
      expect(evictions > 0, `${evictions} evictions`).toBe(isShort && !FIT.includes(workload.name))
      check(await placed.results())
    }
    expectWithinBudget(svm)
    await placed.free()
    expect(svm.stats()).toMatchObject({ allocations: 0 })
  })
})
