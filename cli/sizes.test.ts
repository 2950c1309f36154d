// Numbers on the command line. Always: what is not wholly a number is refused, and the message says what was met.

import { describe, expect, it } from 'vitest'
import { UsageError } from './command.ts'
import { parseCount, parseDimensions, parseNumber, parsePositiveSize, parseSize, printSize, printTime } from './sizes.ts'

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['64KiB', 65_536],
    ['64 kib', 65_536],
    ['1.5MiB', 1_572_864],
    ['2m', 2_097_152],
    ['2GiB', 2_147_483_648],
    ['0', 0],
  ])('%s', (text, bytes) => expect(parseSize(text, 'x')).toBe(bytes))

  it.each(['', 'KiB', '-1', '1.5', '2 pages', '1e3', '0x10', '9999999TiB'])('refuses %j', (text) => {
    expect(() => parseSize(text, '--device-memory')).toThrow(UsageError)
    expect(() => parseSize(text, '--device-memory')).toThrow(`'${text}'`)
  })

  it('refuses none where some is needed', () => expect(() => parsePositiveSize('0', 'x')).toThrow('at least 1 byte'))

  it('prints them as people read them', () => {
    expect([0, 4096, 1_572_864, 2 ** 31].map(printSize)).toEqual(['0 bytes', '4 KiB', '1.5 MiB', '2 GiB'])
    expect([0.5, 12, 12_345].map(printTime)).toEqual(['0.50 ms', '12 ms', '12.3 s'])
  })
})

describe('numbers', () => {
  it.each([
    ['12', 12],
    ['-3.5', -3.5],
    ['+1e3', 1000],
    ['0xff', 255],
    ['-0x10', -16],
    ['.5', 0.5],
  ])('%s', (text, value) => expect(parseNumber(text)).toBe(value))

  it.each(['', '-', 'abc', '1 2', 'NaN', 'Infinity', '1e999', '0x', '1_000'])('%j is none', (text) => expect(parseNumber(text)).toBeNull())

  it('counts and dimensions are whole', () => {
    expect(parseCount('5', 'x', 5)).toBe(5)
    expect(() => parseCount('4', '--rounds', 5)).toThrow('--rounds must be a whole number of at least 5')
    expect(parseDimensions('8,4,2', 'x', 1)).toEqual([8, 4, 2])
    expect(() => parseDimensions('1,2,3,4', '--global', 0)).toThrow('one to three')
    expect(() => parseDimensions('1.5', '--global', 0)).toThrow("'1.5'")
    expect(() => parseDimensions('8,', '--global', 0)).toThrow("''")
  })
})
