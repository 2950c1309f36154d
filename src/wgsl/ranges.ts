// Sets of integers that an expression of WGSL can be: from `low` to `high`, both of which it may be, in steps.
//
// Always: every value that the operands can give is in the result, by WGSL's rules: u32 and i32 wrap around, so what would leave them can be anything; 'int' are
// literals without a suffix. A pointer is its address, and what leaves the space has no bounds. `step` is 0 where low equals high.

export type RangeType = 'u32' | 'i32' | 'int' | 'ptr'

export interface Range {
  readonly kind: 'range'
  readonly type: RangeType
  readonly low: number
  readonly high: number
  readonly step: number
}

const LOWEST = { u32: 0, i32: -(2 ** 31), int: Number.MIN_SAFE_INTEGER, ptr: 0 } as const
const HIGHEST = { u32: 2 ** 32 - 1, i32: 2 ** 31 - 1, int: Number.MAX_SAFE_INTEGER, ptr: 2 ** 48 - 1 } as const

export function gcd(a: number, b: number): number {
  let x = Math.abs(a)
  let y = Math.abs(b)
  while (y !== 0) {
    const rest = x % y
    x = y
    y = rest
  }
  return x
}

/** All values of the type. */
export function anyOf(type: RangeType): Range {
  return { kind: 'range', type, low: LOWEST[type], high: HIGHEST[type], step: 1 }
}

export function constantOf(type: RangeType, value: number): Range {
  return rangeOf(type, value, value, 0)
}

/** What would leave the type can be anything. */
export function rangeOf(type: RangeType, low: number, high: number, step: number): Range {
  if (!(low >= LOWEST[type] && high <= HIGHEST[type])) return anyOf(type)
  if (low === high) return { kind: 'range', type, low, high, step: 0 }
  return { kind: 'range', type, low, high: step > 1 ? low + Math.floor((high - low) / step) * step : high, step: Math.max(1, step) }
}

export function isConstant({ low, high }: Range): boolean {
  return low === high
}

/** Nobody knows anything of it. */
export function isAny({ type, low, high }: Range): boolean {
  return low === LOWEST[type] && high === HIGHEST[type]
}

/** Those of either. */
export function join(a: Range, b: Range): Range {
  const low = Math.min(a.low, b.low)
  return rangeOf(a.type, low, Math.max(a.high, b.high), gcd(gcd(a.step, b.step), a.low - b.low))
}

/** Those that are at least `low` and at most `high`; null: there are none. */
export function clip(range: Range, low: number, high: number): Range | null {
  const step = Math.max(1, range.step)
  const from = low <= range.low ? range.low : range.low + Math.ceil((low - range.low) / step) * step
  const to = Math.min(high, range.high)
  return from > to ? null : rangeOf(range.type, from, to, range.step)
}

/** The same number as another type, where no value changes; null where one might. */
export function retyped(range: Range, type: RangeType): Range | null {
  return range.low >= LOWEST[type] && range.high <= HIGHEST[type] ? { ...range, type } : null
}

/** Less, in the order of the type: false, true, or null for not known. */
export function isLess(a: Range, b: Range): boolean | null {
  if (a.high < b.low) return true
  return a.low >= b.high ? false : null
}

export function isEqual(a: Range, b: Range): boolean | null {
  if (a.high < b.low || b.high < a.low) return false
  return isConstant(a) && isConstant(b) ? true : null
}

/** @param type of the result */
export function binary(operator: string, type: RangeType, a: Range, b: Range): Range {
  switch (operator) {
    case '+':
      return rangeOf(type, a.low + b.low, a.high + b.high, gcd(a.step, b.step))
    case '-':
      return rangeOf(type, a.low - b.high, a.high - b.low, gcd(a.step, b.step))
    case '*':
      return product(type, a, b)
    case '/':
      return quotient(type, a, b)
    case '%':
      return remainder(type, a, b)
    case '<<':
      return b.low < 0 || b.high > 31 || a.low < 0 ? anyOf(type) : product(type, a, powers(b))
    case '>>':
      return b.low < 0 || b.high > 31 || a.low < 0 ? anyOf(type) : quotient(type, a, powers(b))
    case '&':
      return both(type, a, b)
    case '|':
      return a.low < 0 || b.low < 0 ? anyOf(type) : rangeOf(type, Math.max(a.low, b.low), bitsOf(Math.max(a.high, b.high)), 1)
    case '^':
      return a.low < 0 || b.low < 0 ? anyOf(type) : rangeOf(type, 0, bitsOf(Math.max(a.high, b.high)), 1)
    default:
      return anyOf(type)
  }
}

/** ~a: bits of a u32 only. */
export function complement(a: Range): Range {
  return a.type === 'u32' ? rangeOf('u32', HIGHEST.u32 - a.high, HIGHEST.u32 - a.low, a.step) : anyOf(a.type)
}

/** 2 to the power of these. */
function powers(b: Range): Range {
  return { kind: 'range', type: 'int', low: 2 ** b.low, high: 2 ** b.high, step: isConstant(b) ? 0 : 2 ** b.low }
}

/** All bits up to the highest of n. */
function bitsOf(n: number): number {
  let bits = 1
  while (bits <= n) bits *= 2
  return bits - 1
}

function product(type: RangeType, a: Range, b: Range): Range {
  const ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high]
  // Beyond 2^53 a product is not exact, and leaves every type but that of a pointer, which is never multiplied.
  const step = gcd(gcd(a.low * b.step, b.low * a.step), a.step * b.step)
  const low = Math.min(...ends)
  const high = Math.max(...ends)
  return Number.isSafeInteger(low) && Number.isSafeInteger(high) && Number.isSafeInteger(a.step * b.step) ? rangeOf(type, low, high, step) : anyOf(type)
}

function quotient(type: RangeType, a: Range, b: Range): Range {
  if (a.low < 0 || b.low <= 0) return anyOf(type)
  const exact = isConstant(b) && a.low % b.low === 0 && a.step % b.low === 0
  return rangeOf(type, Math.floor(a.low / b.high), Math.floor(a.high / b.low), exact ? a.step / b.low : 1)
}

function remainder(type: RangeType, a: Range, b: Range): Range {
  if (a.low < 0 || b.low <= 0) return anyOf(type)
  if (!isConstant(b)) return rangeOf(type, 0, Math.min(a.high, b.high - 1), 1)
  const divisor = b.low
  if (Math.floor(a.low / divisor) === Math.floor(a.high / divisor)) return rangeOf(type, a.low % divisor, a.high % divisor, a.step)
  const step = gcd(a.step, divisor)
  return rangeOf(type, a.low % step, divisor - step + (a.low % step), step)
}

/** By a number whose bits are all ones from the first on it is a remainder; zeros at the end are kept. */
function both(type: RangeType, a: Range, b: Range): Range {
  if (a.low < 0 && b.low < 0) return anyOf(type)
  const [value, mask] = isConstant(b) && b.low >= 0 ? [a, b] : [b, a]
  if (!isConstant(mask) || mask.low < 0) return rangeOf(type, 0, a.low < 0 ? b.high : b.low < 0 ? a.high : Math.min(a.high, b.high), 1)
  if (value.low >= 0 && bitsOf(mask.low) === mask.low) return remainder(type, value, rangeOf('int', mask.low + 1, mask.low + 1, 0))
  const most = value.low < 0 ? mask.low : Math.min(value.high, mask.low)
  return rangeOf(type, 0, most, lowestBit(mask.low))
}

function lowestBit(n: number): number {
  let bit = 1
  while (n >= 2 * bit && n % (2 * bit) === 0) bit *= 2
  return bit
}
