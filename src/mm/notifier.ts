// Interval notifiers: how mirrors of the address space hear of changes before they happen. Compare mmu_notifier.h.
//
// Always: `sequence` never decreases, and is odd exactly while an invalidation runs; when `invalidate` returns, no mirror that was told has
// an entry left for the pages that were named; the fence it returns is the last submission that may still use them, and no byte reaches the
// host or is freed before that fence. A mirror may ignore an event only if it is a migration that its own owner asked for.

import { assert } from '../base/assert.ts'
import type { Vpn, VpnRange } from '../base/units.ts'

/** Why entries must go. Compare enum mmu_notifier_event. */
export type NotifyEvent = 'unmap' | 'clear' | 'protection' | 'release' | 'migrate'

export interface Invalidation {
  readonly range: VpnRange
  readonly event: NotifyEvent
  /** Who asked for a migration; null for all else. */
  readonly owner: object | null
  /** Only these pages (ascending) really change; null: the whole range. */
  readonly pages: readonly Vpn[] | null
}

/** A mirror. `invalidate` is synchronous; it returns the fence of its last submission that may still use the entries, or null. */
export interface NotifierOps {
  invalidate(invalidation: Invalidation): Promise<void> | null
}

export interface Subscription {
  readonly range: VpnRange
  readonly ops: NotifierOps
  /** The space's sequence when this subscription was last told of something. */
  sequence: number
}

/** A promise of what was seen: show it to `readRetry` after every await. */
export interface Ticket {
  readonly subscription: Subscription
  readonly sequence: number
}

/** Equals no sequence: a ticket that was drawn during an invalidation holds for nothing. */
const NEVER = -1

export class Notifiers {
  readonly #subscriptions: Subscription[] = []
  #sequence = 2

  get sequence(): number {
    return this.#sequence
  }

  /**
   * Compare mmu_interval_notifier_insert(). During an invalidation the newcomer counts as invalidated: it is not told of this one any more,
   * and what it reads before the end must be read again.
   */
  insert(range: VpnRange, ops: NotifierOps): Subscription {
    const subscription: Subscription = { range, ops, sequence: this.#sequence }
    this.#subscriptions.push(subscription)
    return subscription
  }

  remove(subscription: Subscription): void {
    const at = this.#subscriptions.indexOf(subscription)
    assert(at >= 0, 'a subscription is removed once')
    this.#subscriptions.splice(at, 1)
  }

  /** Compare mmu_interval_read_begin(), which sleeps while an invalidation runs; here nobody can, so the ticket of such a moment is void. */
  readBegin(subscription: Subscription): Ticket {
    return { subscription, sequence: (this.#sequence & 1) === 1 ? NEVER : subscription.sequence }
  }

  /** True when something changed since the ticket was drawn: look everything up again. Compare mmu_interval_read_retry(). */
  readRetry(ticket: Ticket): boolean {
    return ticket.subscription.sequence !== ticket.sequence || (this.#sequence & 1) === 1
  }

  /** True when somebody besides `owner` would be told of a change in `range`. */
  othersListen(range: VpnRange, owner: object): boolean {
    return this.#subscriptions.some((one) => one.ops !== owner && overlaps(one.range, range))
  }

  /** Tells every mirror, runs `body` (which must not await) between begin and end, and returns the fence. Begin and end are one call. */
  invalidate(invalidation: Invalidation, body?: () => void): Promise<void> | null {
    assert((this.#sequence & 1) === 0, 'invalidations do not nest')
    this.#sequence |= 1
    const fences: Promise<void>[] = []
    try {
      // A mirror may come or go in a callback: those that were there at the beginning are told.
      for (const subscription of [...this.#subscriptions]) {
        if (!overlaps(subscription.range, invalidation.range)) continue
        const mine = invalidation.event === 'migrate' && invalidation.owner === subscription.ops
        if (!mine) subscription.sequence = this.#sequence
        const fence = subscription.ops.invalidate(invalidation)
        if (fence !== null) fences.push(fence)
      }
      body?.()
    } finally {
      this.#sequence++
    }
    if (fences.length === 0) return null
    return Promise.all(fences).then(() => undefined)
  }
}

function overlaps(a: VpnRange, b: VpnRange): boolean {
  return a.start < b.end && b.start < a.end
}
