// How samples are taken: whose turn it is, what is warm-up, and when patience ends. The clock is one that the sides move. Does not cover: figures.

import { afterEach, expect, test, vi } from 'vitest'
import { alternateAll, type Side } from '../../bench/case.ts'

let clock = 0
const bed = { tick: vi.fn() }

afterEach(() => {
  vi.restoreAllMocks()
})

/** A side whose runs take so long, one after the other; the last again and again. */
function taking(...times: number[]): Side & { runs: number } {
  vi.spyOn(performance, 'now').mockImplementation(() => clock)
  const side = {
    runs: 0,
    timed: async () => {
      clock += times[Math.min(side.runs++, times.length - 1)] as number
    },
  }
  return side
}

test('both sides have as many samples, and the warm-up is none of them', async () => {
  const [svm, plain] = [taking(100, 90, 3), taking(50, 40, 2)]
  expect(await alternateAll(bed, 5, { svm, plain }, 2)).toEqual({ svm: [3, 3, 3, 3, 3], plain: [2, 2, 2, 2, 2] })
})

test('when half of the patience is over the warm-up ends, and when all of it is the rounds do', async () => {
  const [svm, base] = [taking(300), taking(20)]
  expect(await alternateAll(bed, 5, { svm, base }, 8, 1000)).toEqual({ svm: [300, 300], base: [20, 20] })
})

test('a first round that takes more than half of the patience is the only one of its side', async () => {
  const [svm, base] = [taking(501), taking(30, 20)]
  expect(await alternateAll(bed, 5, { svm, base }, 3, 1000)).toEqual({ svm: [501], base: [20, 20, 20, 20, 20] })
  expect(svm.runs).toBe(1)
})

test('where one round is longer than all patience, the other side still has a sample, of its second round', async () => {
  const [svm, base] = [taking(5000), taking(30, 20)]
  expect(await alternateAll(bed, 5, { svm, base }, 3, 1000)).toEqual({ svm: [5000], base: [20] })
})
