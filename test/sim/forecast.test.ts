// forecast.test.ts: who wants which pages, where not all fit: groups of workgroups, what is kept for the next launch, and what that launch makes of it.
// Always: a forecast decides what is quick, never what is right: every launch's results are looked at.

import { describe, expect, it } from 'vitest'
import { demandsFor, Forecast } from '../../src/driver/forecast.ts'
import { both, forEachGroup, type Groups, LaunchGroups, NO_GROUPS, without } from '../../src/driver/groups.ts'
import { Remaining } from '../../src/driver/remaining.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig } from './rig.ts'

const listOf = (groups: Groups) => {
  const list: number[] = []
  forEachGroup(groups, (group) => list.push(group))
  return list
}
const groupsOf = (...list: number[]) =>
  list.reduce<Groups>((all, group) => both(all, group < 32 ? { low: 2 ** group, high: 0 } : { low: 0, high: 2 ** (group - 32) }), NO_GROUPS)

describe('groups of workgroups', () => {
  it.each([
    [1, 1, 1],
    [64, 1, 64],
    [65, 2, 33],
    [314, 8, 40],
    [65_536, 1024, 64],
  ])('%i workgroups are in groups of %i', (total, size, count) => {
    const launch = new LaunchGroups(total)
    expect([launch.size, launch.spans.length]).toEqual([size, count])
    expect(launch.spans[0]?.first).toBe(0)
    expect(launch.spans[count - 1]?.last).toBe(total - 1)
    expect(listOf(launch.groupsIn({ first: 0, last: total - 1 }))).toEqual(launch.spans.map((_, n) => n))
  })

  it('are found from the first to the last, around the end too, and have a hull', () => {
    const launch = new LaunchGroups(314)
    expect(listOf(launch.groupsIn({ first: 7, last: 17 }))).toEqual([0, 1, 2])
    expect(listOf(launch.groupsIn({ first: 312, last: 8 }))).toEqual([0, 1, 39])
    expect(launch.hull(groupsOf(3, 33))).toEqual({ first: 24, last: 271 })
    expect(listOf(without(groupsOf(1, 31, 32, 63), groupsOf(31, 63)))).toEqual([1, 32])
  })

  it('of a window are those of its workgroups, listed or in a row', () => {
    const launch = new LaunchGroups(128)
    const row = launch.ofWindow({ slots: 128, lead: 0, worklist: null })
    expect(listOf(row(groupsOf(0, 63)))).toEqual([0, 63])
    const list = launch.ofWindow({ slots: 3, lead: 9, worklist: Uint32Array.of(9, 100, 127) })
    expect(listOf(list(groupsOf(0, 2)))).toEqual([4, 63])
  })
})

describe('what a launch of more or fewer workgroups knew', () => {
  const launch = new LaunchGroups(22)

  it('is told in the groups of this one, which are of its workgroups', () => {
    const fromMore = launch.ofLaunch(new LaunchGroups(33))
    expect(listOf(fromMore(groupsOf(3, 21, 22, 32)))).toEqual([3, 21])
    // Eight workgroups in a group there, one here.
    const fromMany = launch.ofLaunch(new LaunchGroups(314))
    expect(listOf(fromMany(groupsOf(1, 2, 39)))).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21])
    const fromFew = new LaunchGroups(314).ofLaunch(launch)
    expect(listOf(fromFew(groupsOf(0, 7, 8, 21)))).toEqual([0, 1, 2])
  })

  it('is nothing of pages that only others wanted', () => {
    const known = demandsFor(launch, 33)
    expect(known({ first: 4, last: 30, groups: groupsOf(4, 30) })).toEqual({ first: 4, last: 21, groups: groupsOf(4) })
    expect(known({ first: 30, last: 4, groups: groupsOf(4, 30) })).toEqual({ first: 0, last: 4, groups: groupsOf(4) })
    expect(known({ first: 20, last: 4, groups: groupsOf(4, 20, 30) })).toEqual({ first: 20, last: 4, groups: groupsOf(4, 20) })
    expect(known({ first: 22, last: 30, groups: groupsOf(22, 30) })).toBeNull()
    expect(known({ first: 10, last: 30, groups: groupsOf(30) })).toBeNull()
  })
})

describe('what a launch remembers', () => {
  const launch = new LaunchGroups(64)
  const next = (forecast: Forecast, start = 0) => forecast.plan(new Remaining(64, start)).map(({ vpn, next }) => [vpn, next])

  it('a page is wanted next by the first of its groups that remains, and behind what the lead lacks', () => {
    const forecast = new Forecast(launch)
    forecast.note(1, { lacked: 0, groups: groupsOf(0, 40) }, false, 1)
    forecast.note(2, { lacked: null, groups: groupsOf(0, 5) }, true, 1)
    forecast.note(3, { lacked: 20, groups: groupsOf(20, 21) }, false, 1)
    expect(next(forecast)).toEqual([
      [1, 0],
      [2, 0.5],
      [3, 20],
    ])
    expect(next(forecast, 6)).toEqual([
      [3, 14],
      [1, 34],
      [2, 58],
    ])
  })

  it('news is a page, or a group, that was not known', () => {
    const forecast = new Forecast(launch)
    expect(forecast.note(1, { lacked: 3, groups: groupsOf(3) }, false, 1)).toBe(true)
    expect(forecast.note(1, { lacked: 3, groups: groupsOf(3) }, false, 2)).toBe(false)
    expect(forecast.note(1, { lacked: null, groups: groupsOf(3, 60) }, true, 3)).toBe(true)
  })

  it('what was foreseen is kept of groups of sealed passes, and forgotten of others unless it came', () => {
    const forecast = new Forecast(launch)
    for (const vpn of [1, 2, 3]) forecast.foresee(vpn, { first: 0, last: 63, groups: groupsOf(vpn, 40) })
    forecast.noteSealed(groupsOf(1))
    forecast.note(2, { lacked: 40, groups: groupsOf(40) }, false, 1)
    const demands = [...forecast.demands].map(([vpn, { groups }]) => [vpn, listOf(groups)])
    expect(demands).toEqual([
      [1, [1]],
      [2, [40]],
    ])
  })
})

describe('a launch that picks pages from anywhere', () => {
  const WORKGROUPS = 64
  const MOST = 150
  const PICKS = 4
  const PAGES = 40
  const pickOf = (workgroup: number, n: number, salt: number) => (workgroup * 7 + n * (11 + salt) + ((workgroup * n * (5 + salt)) >> 2)) % PAGES

  /** Each workgroup adds up the first words of pages that a list names. */
  async function open(frames: number) {
    const rig = await openRig({ frames })
    const table = rig.svm.allocFrom(Uint32Array.from({ length: PAGES * PAGE_WORDS }, (_, n) => n))
    const picks = rig.svm.alloc(MOST * PICKS * 4)
    const sums = rig.svm.alloc(MOST * 4)
    const kernel = await makeKernel(
      rig.svm,
      (item, args, m) => {
        let sum = 0
        for (let n = 0; n < PICKS; n++) sum += m.loadU32((args.a as number) + m.loadU32((args.b as number) + (item.globalId[0] * PICKS + n) * 4) * PAGE_BYTES)
        m.storeU32((args.c as number) + item.globalId[0] * 4, sum)
      },
      { pointers: ['a', 'b', 'c'] },
    )
    const choose = (salt: number) =>
      rig.svm.write(
        picks,
        Uint32Array.from({ length: MOST * PICKS }, (_, n) => pickOf(Math.floor(n / PICKS), n % PICKS, salt)),
      )
    const launch = async (salt: number, workgroups = WORKGROUPS) => {
      const result = await rig.svm.queue.enqueue(kernel, { args: { a: table, b: picks, c: sums }, global: workgroups }).done
      const wanted = Uint32Array.from({ length: workgroups }, (_, w) =>
        Array.from({ length: PICKS }, (_, n) => pickOf(w, n, salt) * PAGE_WORDS).reduce((sum, word) => sum + word, 0),
      )
      expect(await rig.svm.read(sums, Uint32Array, workgroups)).toEqual(wanted)
      await checkInvariants(rig)
      return result
    }
    return { rig, choose, launch }
  }

  const windowsOf = ({ events }: Rig) => events.filter(({ kind }) => kind === 'pass').length

  it.each([16, 24, 30])('with history takes no fault: %i frames for 42 pages', async (frames) => {
    const { rig, choose, launch } = await open(frames)
    await choose(0)
    for (let n = 0; n < 3; n++) await launch(0)
    rig.events.length = 0
    const result = await launch(0)
    expect(result).toMatchObject({ faults: 0, hints: 0 })
    expect(result.rounds).toBe(windowsOf(rig))
    expect(result.rounds).toBeLessThan(WORKGROUPS / 2)
    await rig.svm.close()
  })

  it.each([
    ['fewer', 64, 22],
    ['more', 22, 64],
    ['fewer, in smaller groups', 150, 40],
    ['more, in larger groups', 40, 150],
  ])('comes again with %s workgroups', async (_, before, after) => {
    const { rig, choose, launch } = await open(24)
    await choose(0)
    await launch(0, before)
    await launch(0, before)
    // Pages that workgroups want which the launch before did not have, or that only those wanted which this one does not have, are found as ever.
    for (let n = 0; n < 3; n++) await launch(0, after)
    const { faults } = await launch(0, after)
    expect(faults).toBe(0)
    await rig.svm.close()
  })

  it('forgets what it no longer picks', async () => {
    const { rig, choose, launch } = await open(24)
    let steady = 0
    for (const salt of [0, 3, 6]) {
      await choose(salt)
      for (let n = 0; n < 5; n++) await launch(salt)
      const { rounds, faults } = await launch(salt)
      expect(faults).toBe(0)
      // Pages that only earlier picks wanted would make windows smaller and smaller.
      steady ||= rounds
      expect(rounds).toBeLessThan(steady * 2)
    }
    await rig.svm.close()
  })
})
