// What a conformance test may say. Always: a check that does not hold throws, with what was expected, what was met and where; comparisons of arrays
// look at every element.

import type { SvmError, SvmErrorCode, TypedArray } from '../src/index.ts'

/** A check did not hold. */
export class CheckFailure extends Error {
  override readonly name = 'CheckFailure'
}

/** The test has no meaning on this device. */
export class Skip extends Error {
  override readonly name = 'Skip'
}

export function ok(holds: boolean, what: string): asserts holds {
  if (!holds) throw new CheckFailure(`${what}: expected true, met false`)
}

/** Compare ASSERT_EQ. Plain data is compared by its parts. */
export function equal(met: unknown, expected: unknown, what: string): void {
  const [a, b] = [text(met), text(expected)]
  if (a !== b) throw new CheckFailure(`${what}: expected ${b}, met ${a}`)
}

/** Every element of `met` is what `expected` says of its index. */
export function elements(met: TypedArray, expected: (i: number) => number, what: string): void {
  for (let i = 0; i < met.length; i++) {
    if (Number(met[i]) !== expected(i)) throw new CheckFailure(`${what}: element ${i} of ${met.length}: expected ${expected(i)}, met ${met[i]}`)
  }
}

export function same(met: TypedArray, expected: TypedArray, what: string): void {
  equal(met.length, expected.length, `${what}: length`)
  elements(met, (i) => Number(expected[i]), what)
}

/** The call throws, or the promise that it returns rejects, with this code. */
export async function refused(body: () => unknown, code: SvmErrorCode | readonly SvmErrorCode[], what: string): Promise<SvmError> {
  const error = await errorOf(body)
  if (error === null) throw new CheckFailure(`${what}: expected an error ${text(code)}, met none`)
  if (![code].flat().includes(error.code)) throw new CheckFailure(`${what}: expected an error ${text(code)}, met ${error.code} (${error.message})`)
  return error
}

/** The SvmError of a call or of the promise it returns; null when there is none. Other failures go on. */
export async function errorOf(body: () => unknown): Promise<SvmError | null> {
  try {
    await body()
    return null
  } catch (error) {
    if (error instanceof Error && error.name === 'SvmError') return error as SvmError
    throw error
  }
}

function text(value: unknown): string {
  return value === undefined ? 'undefined' : JSON.stringify(value)
}
