// Inputs that are the same at every run, and the comparison with what the host computed. Always: no chance but a seed, and the first wrong element is named.

type Numbers = Float32Array | Uint32Array | Int32Array | Uint8Array
interface ArrayOf<A extends Numbers> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): A
}

/** 32 random bits at each call (xorshift, so that the low bits are as good as the high ones). */
export function random(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

/** The same as an array. */
export function randomWords(length: number, seed: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length }, random(seed))
}

/** 0 to `length` - 1 in any order. */
export function shuffled(length: number, seed: number): Uint32Array<ArrayBuffer> {
  const next = random(seed)
  const order = Uint32Array.from({ length }, (_, n) => n)
  for (let n = length - 1; n > 0; n--) {
    const other = next() % (n + 1)
    const kept = order[n] as number
    order[n] = order[other] as number
    order[other] = kept
  }
  return order
}

/** Whole numbers from 0 to `below` - 1: sums and products of a few of them are exact in f32. */
export function smallNumbers(length: number, seed: number, below = 1024): Float32Array<ArrayBuffer> {
  const next = random(seed)
  const numbers = new Float32Array(length)
  for (let n = 0; n < length; n++) numbers[n] = next() % below
  return numbers
}

/** What `make` makes, made when first asked for. */
export function once<T extends object>(make: () => T): () => T {
  let made: T | null = null
  return () => {
    made ??= make()
    return made
  }
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** Bytes as numbers; a copy where they do not lie as the numbers must. */
export function numbersOf<A extends Numbers>(bytes: Uint8Array, type: ArrayOf<A>): A {
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice()
  return new type(aligned.buffer, aligned.byteOffset, aligned.byteLength / type.BYTES_PER_ELEMENT)
}

/** @throws Error naming the first element of the result that is not what the host says */
export function expectSame<A extends Numbers>(
  name: string,
  bytes: Uint8Array | undefined,
  type: ArrayOf<A>,
  length: number,
  expected: (n: number) => number,
): void {
  const got = numbersOf(bytes ?? new Uint8Array(0), type)
  if (got.length !== length) throw new Error(`${name} has ${got.length} elements, not ${length}.`)
  for (let n = 0; n < length; n++) {
    const right = expected(n)
    if (got[n] !== right) throw new Error(`${name}[${n}] is ${got[n]}; the host says ${right}.`)
  }
}
