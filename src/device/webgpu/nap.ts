// Naps of the thread while it can do nothing but wait for the device. Node's WebGPU asks the device whether it is done as often as the event loop turns,
// which never rests: on a machine with few processors that takes one from a software GPU (kernels take up to a third longer), and every turn leaves garbage.
//
// Worse, a thread of that GPU may stand behind this one and wait for it to sleep: then a pass of a tenth of a millisecond takes four. Who has met that is less patient
// for a while. But while nothing is to be done such threads look for work for a millisecond before they sleep, and the system puts who sleeps on another processor when it
// wakes, but leaves alone who runs a little now and then: short naps keep it where it is, beside a processor that has nothing to do. So who was quick and now is
// not, and who naps again and again, gets a nap now and then that is longer than that.
//
// Always: nobody naps before a wait is long; a nap is short beside the wait so far, or the shortest that there is, but for those; and the event loop turns
// between two naps, so timers and sockets are served as before. Only Node naps: a browser asks nothing, and lets only workers sleep.

interface Host {
  readonly process?: { readonly versions?: { readonly node?: string } }
  readonly setImmediate?: (turn: () => void) => unknown
}

const { process, setImmediate: nextTurn } = globalThis as Host
const naps = process?.versions?.node !== undefined && typeof Atomics.wait === 'function' && nextTurn !== undefined

/** Milliseconds that a wait takes before the first nap, and between two looks whether there is such a wait: a round of faults is over by then. */
const PATIENCE_MILLISECONDS = 1
/** The same after a wait with naps, until so many in a row were shorter. */
const HASTE_MILLISECONDS = 0.25
const HASTY_WAITS = 16
/** A nap is this part of the wait so far, and at most so long. */
const NAP_SHARE = 1 / 16
const NAP_MILLISECONDS_MAX = 0.5
/** But the first nap of the first waits with naps is that long, after quick ones; and of one wait out of so many with naps. */
const LONG_NAP_MILLISECONDS = 1.25
const LONG_NAPS = 3
const LONG_NAP_WAITS = 8

let bell: Int32Array | null = null
let waits = 0
let watching = false
/** When the last wait began or ended. */
let since = 0
/** There was a nap since then. */
let napped = false
/** Short waits that must follow until patience is back. */
let hasty = 0
/** Waits with naps in a row, until now; and whether they came after quick ones. */
let slow = 0
let slowed = false

/** Somebody waits for a device, until `wake`. */
export function wait(): void {
  if (!naps) return
  waits++
  begin()
  if (watching) return
  watching = true
  lookSoon()
}

export function wake(): void {
  if (!naps) return
  waits--
  slow = napped ? slow + 1 : 0
  if (!napped && hasty > 0 && performance.now() - since < HASTE_MILLISECONDS) hasty--
  begin()
}

function begin(): void {
  since = performance.now()
  napped = false
}

/** What many short waits cost: one look a millisecond. In haste every turn of the event loop has one. */
function lookSoon(): void {
  if (hasty > 0) nextTurn?.(look)
  else setTimeout(look, PATIENCE_MILLISECONDS)
}

function look(): void {
  if (waits === 0) {
    watching = false
    return
  }
  const waited = performance.now() - since
  if (waited < (hasty > 0 ? HASTE_MILLISECONDS : PATIENCE_MILLISECONDS)) return lookSoon()
  if (!napped && slow === 0) slowed = hasty <= HASTY_WAITS / 2
  bell ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(bell, 0, 0, napMilliseconds(waited))
  napped = true
  hasty = HASTY_WAITS
  nextTurn?.(look)
}

function napMilliseconds(waited: number): number {
  const long = !napped && ((slowed && slow < LONG_NAPS) || slow % LONG_NAP_WAITS === LONG_NAP_WAITS - 1)
  return long ? LONG_NAP_MILLISECONDS : Math.min(waited * NAP_SHARE, NAP_MILLISECONDS_MAX)
}
