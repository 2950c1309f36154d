// Naps of the thread while it can do nothing but wait for the device. Node's WebGPU asks the device whether it is done as often as the event loop turns,
// which never rests: on a machine with few processors that takes one from a software GPU (kernels take up to a third longer), and every turn leaves garbage.
//
// Always: nobody naps before a wait is long, a nap is short beside the wait so far, and the event loop turns between two naps, so timers and sockets are
// served as before. Only Node naps: a browser asks nothing, and lets only workers sleep.

interface Host {
  readonly process?: { readonly versions?: { readonly node?: string } }
  readonly setImmediate?: (turn: () => void) => unknown
}

const { process, setImmediate: nextTurn } = globalThis as Host
const naps = process?.versions?.node !== undefined && typeof Atomics.wait === 'function' && nextTurn !== undefined

/** Milliseconds that a wait takes before the first nap, and between two looks whether there is such a wait: a round of faults is over by then. */
const PATIENCE_MILLISECONDS = 1
/** A nap is this part of the wait so far, and at most so long. */
const NAP_SHARE = 1 / 16
const NAP_MILLISECONDS_MAX = 0.5

let bell: Int32Array | null = null
let waits = 0
let watching = false
/** When the last wait began or ended. */
let since = 0

/** Somebody waits for a device, until `wake`. */
export function wait(): void {
  if (!naps) return
  waits++
  since = performance.now()
  if (watching) return
  watching = true
  setTimeout(look, PATIENCE_MILLISECONDS)
}

export function wake(): void {
  if (!naps) return
  waits--
  since = performance.now()
}

/** What many short waits cost: one look a millisecond. */
function look(): void {
  if (waits === 0) watching = false
  else if (performance.now() - since < PATIENCE_MILLISECONDS) setTimeout(look, PATIENCE_MILLISECONDS)
  else nap()
}

function nap(): void {
  const waited = performance.now() - since
  if (waits === 0 || waited < PATIENCE_MILLISECONDS) return look()
  bell ??= new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(bell, 0, 0, Math.min(waited * NAP_SHARE, NAP_MILLISECONDS_MAX))
  nextTurn?.(nap)
}
