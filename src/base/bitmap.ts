// Bitmaps in 32-bit words: bit i lies in word i >> 5 at position i & 31.

export function testBit(words: Uint32Array, index: number): boolean {
  return ((words[index >>> 5] as number) & (1 << (index & 31))) !== 0
}

export function setBit(words: Uint32Array, index: number): void {
  words[index >>> 5] = (words[index >>> 5] as number) | (1 << (index & 31))
}

/** Calls `visit` with the index of every set bit, in ascending order. */
export function forEachBit(words: Uint32Array, visit: (index: number) => void): void {
  for (let w = 0; w < words.length; w++) {
    let rest = words[w] as number
    while (rest !== 0) {
      const bit = 31 - Math.clz32(rest & -rest)
      visit(w * 32 + bit)
      rest &= rest - 1
    }
  }
}

export function anyBit(words: Uint32Array): boolean {
  for (const word of words) if (word !== 0) return true
  return false
}

export function countBits(words: Uint32Array): number {
  let count = 0
  for (const word of words) for (let rest = word; rest !== 0; rest &= rest - 1) count++
  return count
}
