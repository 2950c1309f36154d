// Naps of the thread while it can do nothing but wait for the device. Node's WebGPU asks the device whether it is done as often as the event loop turns,
// which never rests: on a machine with few processors that takes one from a software GPU (kernels take up to a third longer), and every turn leaves garbage.
//
// Worse, where all processors are busy, a thread of that GPU may stand behind this one and wait for it to sleep: then a pass of a tenth of a millisecond takes two, and
// the next ones mostly too. So who has met a long wait is less patient for a while.
//
// Always: nobody naps before a wait is long, a nap is short beside the wait so far or the shortest that there is, and the event loop turns between two naps, so
// timers and sockets are served as before. Only Node naps: a browser asks nothing, and lets only workers sleep.

interface Host {
  readonly process?: { readonly versions?: { readonly node?: string } }
  readonly setImmediate?: (turn: () => void) => unknown
}

const { process, setImmediate: nextTurn } = globalThis as Host
const naps = process?.versions?.node !== undefined && typeof Atomics.wait === 'function' && nextTurn !== undefined

/** Milliseconds that a wait takes before the first nap, and between two looks whether there is such a wait: a round of faults is over by then. */
const PATIENCE_MILLISECONDS = 1
/** The same after a wait that was long, until so many in a row were not. */
const HASTE_MILLISECONDS = 0.25
const HASTY_WAITS = 16
/** A nap is this part of the wait so far, and at most so long. */
const NAP_SHARE = 1 / 16
const NAP_MILLISECONDS_MAX = 0.5

let bell: Int32Array | null = null
let waits = 0
let watching = false
/** Short waits that must follow until patience is back. */
let hasty = 0
/** When the last wait began or ended. */
let since = 0

/** Somebody waits for a device, until `wake`. */
export function wait(): void {
  if (!naps) return
  waits++
  since = performance.now()
  if (watching) return
  watching = true
  lookSoon()
}

export function wake(): void {
  if (!naps) return
  waits--
  const now = performance.now()
  if (hasty > 0 && now - since < HASTE_MILLISECONDS) hasty--
  since = now
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
  hasty = HASTY_WAITS
  bell ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(bell, 0, 0, Math.min(waited * NAP_SHARE, NAP_MILLISECONDS_MAX))
  nextTurn?.(look)
}
