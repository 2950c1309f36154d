// Kernel arguments: from named values to the bytes of the uniform struct.
//
// Always: either every member is given once with a value it can hold, and the bytes are whole; or nothing is packed and the error names the argument.

import { SPACE_BYTES } from '../abi/geometry.ts'
import { unreachable } from '../base/assert.ts'
import { SvmError } from '../base/error.ts'
import type { ArgumentField, ArgumentLayout } from './program.ts'

type NumberArray = Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array

/** A number, a pointer (number or bigint), or the components of a vector. */
export type KernelArgument = number | bigint | readonly number[] | NumberArray

type Scalar = 'svm_ptr' | 'u32' | 'i32' | 'f32'

const TWO_32 = 2 ** 32

/** Where arguments go. */
interface Packing {
  /** Small arrays without a buffer of their own live in the engine's heap, where they cost next to nothing: words are written byte by byte for that. */
  readonly bytes: Uint8Array
  readonly addressBits: 32 | 64
  readonly kernelLabel: string
}

/** For the bits of an f32. */
const float = new Float32Array(1)
const floatBits = new Uint32Array(float.buffer)

const WANTED: Readonly<Record<Exclude<Scalar, 'svm_ptr'>, string>> = {
  u32: 'a u32: an integer from 0 to 2^32 - 1',
  i32: 'an i32: an integer from -2^31 to 2^31 - 1',
  f32: 'an f32: a number',
}

/** @throws SvmError invalid-value */
export function packArguments(layout: ArgumentLayout, args: Readonly<Record<string, KernelArgument>>, kernelLabel: string): Uint8Array {
  const { fields } = layout
  const into: Packing = { bytes: new Uint8Array(layout.byteLength), addressBits: layout.addressBits, kernelLabel }
  let given = 0
  for (const field of fields) {
    const value = Object.hasOwn(args, field.name) ? args[field.name] : undefined
    if (value === undefined) refuseNames(layout, args, kernelLabel, `argument '${field.name}' (${field.type}) is missing`)
    given++
    packField(into, field, value as KernelArgument)
  }
  if (Object.keys(args).length !== given) refuseNames(layout, args, kernelLabel, null)
  return into.bytes
}

/** What is wrong with the names: one that nobody knows, before one that is missing. */
function refuseNames({ fields }: ArgumentLayout, args: Readonly<Record<string, KernelArgument>>, kernelLabel: string, missing: string | null): void {
  const list = fields.length === 0 ? 'it takes no arguments' : `it takes ${fields.map(({ name }) => name).join(', ')}`
  const unknown = Object.keys(args).find((name) => !fields.some((field) => field.name === name))
  if (unknown !== undefined) refuse(kernelLabel, `there is no argument '${unknown}'; ${list}`)
  if (missing !== null) refuse(kernelLabel, `${missing}; ${list}`)
}

function refuse(kernelLabel: string, sentence: string): never {
  throw new SvmError('invalid-value', `kernel '${kernelLabel}': ${sentence}`, { kernel: kernelLabel })
}

function packField(into: Packing, field: ArgumentField, value: KernelArgument): void {
  const vector = field.type.endsWith('>') ? /vec([234])<(\w+)>/.exec(field.type) : null
  if (vector === null) return packScalar(into, field.offset, field.type as Scalar, value, field.name)
  const length = field.type.startsWith('array') ? field.byteLength / 4 : Number(vector[1])
  const needed = `argument '${field.name}' (${field.type}) needs ${length} numbers`
  const numbers = isNumbers(value) ? value : refuse(into.kernelLabel, `${needed} in an array or a typed array, found ${describe(value)}`)
  if (numbers.length !== length) refuse(into.kernelLabel, `${needed}, found ${numbers.length}`)
  for (let k = 0; k < length; k++) packScalar(into, field.offset + k * 4, vector[2] as Scalar, numbers[k] as number, `${field.name}[${k}]`)
}

function packScalar({ bytes, addressBits, kernelLabel }: Packing, offset: number, type: Scalar, value: KernelArgument, name: string): void {
  const number = scalarOf(type, value, addressBits)
  if (number === null) {
    const wanted = type === 'svm_ptr' ? `a pointer: an integer from 0 to 2^${Math.log2(SPACE_BYTES[addressBits])} - 1` : WANTED[type]
    return refuse(kernelLabel, `argument '${name}' must be ${wanted}, found ${describe(value)}`)
  }
  if (type === 'f32') {
    float[0] = number
    return putWord(bytes, offset, floatBits[0] as number)
  }
  // Of a negative number its complement, of one beyond 32 bits the lower ones.
  putWord(bytes, offset, number)
  if (type === 'svm_ptr' && addressBits === 64) putWord(bytes, offset + 4, Math.floor(number / TWO_32))
}

function putWord(bytes: Uint8Array, offset: number, word: number): void {
  bytes[offset] = word
  bytes[offset + 1] = word >>> 8
  bytes[offset + 2] = word >>> 16
  bytes[offset + 3] = word >>> 24
}

/** The number that the value stands for; null when the type cannot hold it. */
function scalarOf(type: Scalar, value: KernelArgument, addressBits: 32 | 64): number | null {
  switch (type) {
    case 'svm_ptr':
      return integerIn(value, 0, SPACE_BYTES[addressBits] - 1)
    case 'u32':
      return integerIn(value, 0, 0xffffffff)
    case 'i32':
      return integerIn(value, -0x80000000, 0x7fffffff)
    case 'f32':
      return typeof value === 'number' ? value : null
    default:
      return unreachable(type)
  }
}

function integerIn(value: KernelArgument, min: number, max: number): number | null {
  const number = typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : null
}

function isNumbers(value: unknown): value is ArrayLike<number> {
  return (
    Array.isArray(value) ||
    (ArrayBuffer.isView(value) && !(value instanceof DataView) && !(value instanceof BigInt64Array) && !(value instanceof BigUint64Array))
  )
}

function describe(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return `the string '${value}'`
  if (isNumbers(value)) return `an array of ${value.length}`
  return value === null ? 'null' : `a value of type ${typeof value}`
}
