// Numbers as people write them on a command line, and back. Always: what is not wholly a number is refused with what was met.

import { UsageError } from './command.ts'

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }

/** Bytes: 4096, 64KiB, 1.5MiB, 2GiB. @throws UsageError */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text)
  const unit = UNITS[(match?.[2] ?? '?').toLowerCase()]
  const bytes = match === null || unit === undefined ? Number.NaN : Number(match[1]) * unit
  if (!Number.isSafeInteger(bytes)) throw new UsageError(`${what} must be a size such as 4096, 64KiB or 2MiB, found '${text}'`)
  return bytes
}

/** A size of at least one byte. @throws UsageError */
export function parsePositiveSize(text: string, what: string): number {
  const bytes = parseSize(text, what)
  if (bytes === 0) throw new UsageError(`${what} must be at least 1 byte, found '${text}'`)
  return bytes
}

/** A whole number of at least `least`. @throws UsageError */
export function parseCount(text: string, what: string, least = 0): number {
  const count = parseNumber(text)
  if (count === null || !Number.isSafeInteger(count) || count < least)
    throw new UsageError(`${what} must be a whole number of at least ${least}, found '${text}'`)
  return count
}

/** One to three counts with commas between them. @throws UsageError */
export function parseDimensions(text: string, what: string, least: number): number[] {
  const parts = text.split(',')
  if (parts.length > 3) throw new UsageError(`${what} has one to three dimensions, found '${text}'`)
  return parts.map((part) => parseCount(part, what, least))
}

/** A number in decimal, with an exponent, or after 0x, 0o, 0b; null when it is none. */
export function parseNumber(text: string): number | null {
  const digits = /^([+-]?)(0[xob][\da-f]+|\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)$/i.exec(text.trim())
  if (digits === null) return null
  const value = Number(digits[2])
  if (!Number.isFinite(value)) return null
  return digits[1] === '-' ? -value : value
}

/** Bytes for people: `64 KiB`, `1.5 MiB`. */
export function printSize(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = bytes
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}

/** 12345.6 ms as `12.3 s`. */
export function printTime(milliseconds: number): string {
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms`
}

/** 1234567 as `1,234,567`. */
export function printCount(count: number): string {
  return count.toLocaleString('en-US')
}
