// What a budget is divided into. Always: the parts together are at most the budget, and as many frames as the least that works are left, whatever is asked for.

import { expect, test } from 'vitest'
import { POOL_HEAD_BYTES } from '../abi/pool.ts'
import { KIB, MIB } from '../base/units.ts'
import { budgetMin, planMemory } from './budget.ts'

const LIMITS = { bufferBytes: 256 * MIB, storageBuffers: 12, workgroupsPerDimension: 65_535, invocationsPerWorkgroup: 256 }
const FRAMES_MIN = 8

test.each([4 * KIB, 64 * KIB])('pages of %i bytes', (pageBytes) => {
  for (const budgetBytes of [budgetMin(pageBytes), budgetMin(pageBytes) + 1, MIB * 3, 64 * MIB, 1024 * MIB]) {
    if (budgetBytes < budgetMin(pageBytes)) continue
    for (const pools of [undefined, 1, 2, 4, 8]) {
      const plan = planMemory({ budgetBytes, pageBytes, limits: LIMITS, authorStorageBuffers: 0, pools })
      expect(plan.frames, `${budgetBytes} bytes in ${pools} pools`).toBeGreaterThanOrEqual(FRAMES_MIN)
      expect(plan.poolFrames * plan.poolCount).toBeGreaterThanOrEqual(plan.frames)
      const parts = plan.reserveBytes + plan.ringBytes + plan.bouncePages * pageBytes + plan.poolCount * POOL_HEAD_BYTES + plan.frames * pageBytes
      expect(parts).toBeLessThanOrEqual(budgetBytes)
      expect(POOL_HEAD_BYTES + plan.poolFrames * pageBytes).toBeLessThanOrEqual(LIMITS.bufferBytes)
    }
  }
})
