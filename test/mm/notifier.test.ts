// Interval notifiers. Always: sequence numbers only grow, and are odd exactly while an invalidation runs.

import { describe, expect, it } from 'vitest'
import { type Invalidation, Notifiers, type NotifyEvent } from '../../src/mm/notifier.ts'
import { gate } from './bare-space.ts'

const RANGE = { start: 10, end: 20 }
const EVENTS: readonly NotifyEvent[] = ['unmap', 'clear', 'protection', 'release', 'migrate']

function mirror(answer: () => Promise<void> | null = () => null) {
  const heard: Invalidation[] = []
  return {
    heard,
    invalidate(invalidation: Invalidation) {
      heard.push(invalidation)
      return answer()
    },
  }
}

const change = (event: NotifyEvent, owner: object | null = null, range = RANGE): Invalidation => ({ range, event, owner, pages: null })

describe('tickets', () => {
  it.each(EVENTS)('hold until an invalidation of the range: %s', (event) => {
    const notifiers = new Notifiers()
    const subscription = notifiers.insert(RANGE, mirror())
    const ticket = notifiers.readBegin(subscription)
    notifiers.invalidate(change(event, null, { start: 20, end: 30 }))
    notifiers.invalidate(change(event, null, { start: 0, end: 10 }))
    expect(notifiers.readRetry(ticket)).toBe(false)
    notifiers.invalidate(change(event, null, { start: 19, end: 21 }))
    expect(notifiers.readRetry(ticket)).toBe(true)
    expect(notifiers.readRetry(notifiers.readBegin(subscription))).toBe(false)
  })

  it('survive the owner’s own migration, and no other event of his, nor anybody else’s migration', () => {
    const notifiers = new Notifiers()
    const mine = mirror()
    const subscription = notifiers.insert(RANGE, mine)
    const ticket = notifiers.readBegin(subscription)
    notifiers.invalidate(change('migrate', mine))
    expect(notifiers.readRetry(ticket)).toBe(false)
    for (const [event, owner] of [
      ['clear', mine],
      ['migrate', mirror()],
      ['migrate', null],
    ] as const) {
      const drawn = notifiers.readBegin(subscription)
      notifiers.invalidate(change(event, owner))
      expect(notifiers.readRetry(drawn)).toBe(true)
    }
  })

  it('drawn while an invalidation runs hold for nothing, then or later', () => {
    const notifiers = new Notifiers()
    const subscription = notifiers.insert(RANGE, mirror())
    let drawn = notifiers.readBegin(subscription)
    notifiers.invalidate(change('clear'), () => {
      drawn = notifiers.readBegin(subscription)
      expect(notifiers.readRetry(drawn)).toBe(true)
    })
    expect(notifiers.readRetry(drawn)).toBe(true)
  })

  it('of a newcomer that was inserted while an invalidation ran are void until its end', () => {
    const notifiers = new Notifiers()
    const late = mirror()
    let drawn: ReturnType<Notifiers['readBegin']> | undefined
    let subscription: ReturnType<Notifiers['insert']> | undefined
    notifiers.insert(RANGE, {
      invalidate: () => {
        subscription ??= notifiers.insert(RANGE, late)
        drawn = notifiers.readBegin(subscription)
        return null
      },
    })
    notifiers.invalidate(change('clear'))
    expect(late.heard).toHaveLength(0)
    expect(notifiers.readRetry(drawn as NonNullable<typeof drawn>)).toBe(true)
    expect(notifiers.readRetry(notifiers.readBegin(subscription as NonNullable<typeof subscription>))).toBe(false)
    notifiers.invalidate(change('clear'))
    expect(late.heard).toHaveLength(1)
  })
})

describe('invalidate', () => {
  it('pairs begin and end also when the body throws, and sequences only grow', () => {
    const notifiers = new Notifiers()
    const seen = [notifiers.sequence]
    expect(() =>
      notifiers.invalidate(change('unmap'), () => {
        seen.push(notifiers.sequence)
        throw new Error('no')
      }),
    ).toThrow('no')
    seen.push(notifiers.sequence)
    notifiers.invalidate(change('unmap'))
    seen.push(notifiers.sequence)
    expect(seen.map((sequence) => sequence & 1)).toEqual([0, 1, 0, 0])
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
  })

  it('returns one fence for all mirrors, or none', async () => {
    const notifiers = new Notifiers()
    const order: string[] = []
    const { passed, open } = gate()
    const slow = passed.then(() => void order.push('mirror'))
    notifiers.insert(
      RANGE,
      mirror(() => slow),
    )
    notifiers.insert(RANGE, mirror())
    const fence = notifiers.invalidate(change('clear'))
    const waited = fence?.then(() => void order.push('fence'))
    open()
    await waited
    expect(order).toEqual(['mirror', 'fence'])
    expect(notifiers.invalidate(change('clear', null, { start: 0, end: 1 }))).toBeNull()
  })

  it('a mirror that leaves in a callback is removed, once', () => {
    const notifiers = new Notifiers()
    const leaver = {
      invalidate: () => {
        notifiers.remove(subscription)
        return null
      },
    }
    const subscription = notifiers.insert(RANGE, leaver)
    const other = mirror()
    notifiers.insert(RANGE, other)
    notifiers.invalidate(change('release'))
    expect(other.heard).toHaveLength(1)
    expect(() => notifiers.remove(subscription)).toThrow('removed once')
  })
})
