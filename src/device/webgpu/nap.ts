// Naps of the thread while it can do nothing but wait for the device. Node's WebGPU asks the device whether it is done as often as the event loop turns,
// which never rests: on a machine with few processors that takes one from a software GPU (kernels take up to a third longer), and every turn leaves garbage.
//
// Worse, a thread of that GPU may stand behind this one and wait for it to sleep: then a pass of a tenth of a millisecond takes four. While nothing is to be done such
// threads look for work for a millisecond before they sleep, and the system puts who sleeps on another processor when it wakes, but leaves alone who runs a
// little now and then. So who was quick and now is not gets one nap that is longer than that; where all processors are busy and it happens to every pass, the naps are short and begin soon.
//
// Always: nobody naps before a wait is long, a nap is short beside the wait so far, or the shortest that there is, or the one after many quick waits, and the event loop turns
// between two naps, so timers and sockets are served as before. Only Node naps: a browser asks nothing, and lets only workers sleep.

interface Host {
  readonly process?: { readonly versions?: { readonly node?: string } }
  readonly setImmediate?: (turn: () => void) => unknown
}

const { process, setImmediate: nextTurn } = globalThis as Host
const naps = process?.versions?.node !== undefined && typeof Atomics.wait === 'function' && nextTurn !== undefined

/** Milliseconds that a wait takes before the first nap, and between two looks whether there is such a wait: a round of faults is over by then. */
const PATIENCE_MILLISECONDS = 1
/** The same after so many waits in a row with naps. */
const HASTE_MILLISECONDS = 0.25
const HASTE_WAITS = 3
/** A nap is this part of the wait so far, and at most so long. */
const NAP_SHARE = 1 / 16
const NAP_MILLISECONDS_MAX = 0.5
/** But the first one of the first waits with naps, after so many without, and in haste of one wait out of so many. */
const LONG_NAP_MILLISECONDS = 1.25
const QUICK_WAITS = 8
const LONG_NAP_WAITS = 16

let bell: Int32Array | null = null
let waits = 0
let watching = false
/** When the last wait began or ended. */
let since = 0
/** There was a nap since then. */
let napped = false
/** Waits in a row, until now, with and without naps; and whether those with naps came after many without. */
let slow = 0
let quick = 0
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
  if (napped && slow === 0) slowed = quick >= QUICK_WAITS
  slow = napped ? slow + 1 : 0
  quick = napped ? 0 : quick + 1
  begin()
}

function begin(): void {
  since = performance.now()
  napped = false
}

/** What many short waits cost: one look a millisecond. In haste every turn of the event loop has one. */
function lookSoon(): void {
  if (slow >= HASTE_WAITS) nextTurn?.(look)
  else setTimeout(look, PATIENCE_MILLISECONDS)
}

function look(): void {
  if (waits === 0) {
    watching = false
    return
  }
  const waited = performance.now() - since
  if (waited < (slow >= HASTE_WAITS ? HASTE_MILLISECONDS : PATIENCE_MILLISECONDS)) return lookSoon()
  bell ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(bell, 0, 0, napMilliseconds(waited))
  napped = true
  nextTurn?.(look)
}

function napMilliseconds(waited: number): number {
  const long = !napped && (slow === 0 ? quick >= QUICK_WAITS : slowed && (slow < HASTE_WAITS || slow % LONG_NAP_WAITS === 0))
  return long ? LONG_NAP_MILLISECONDS : Math.min(waited * NAP_SHARE, NAP_MILLISECONDS_MAX)
}
