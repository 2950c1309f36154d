// A wait for the device in which the thread rests. Node's WebGPU asks the device again and again until it is done, and takes a processor from a software GPU by
// that; the library does not let it, and a good author would not either. Always: a wait that is short is left alone.

const PATIENCE_MILLISECONDS = 1
const REST_MILLISECONDS_MAX = 0.5

const bell = new Int32Array(new SharedArrayBuffer(4))

export async function rested<T>(wait: Promise<T>): Promise<T> {
  const started = performance.now()
  let over = false
  const rest = () => {
    if (over) return
    Atomics.wait(bell, 0, 0, Math.min((performance.now() - started) / 16, REST_MILLISECONDS_MAX))
    setImmediate(rest)
  }
  const timer = setTimeout(rest, PATIENCE_MILLISECONDS)
  try {
    return await wait
  } finally {
    over = true
    clearTimeout(timer)
  }
}
