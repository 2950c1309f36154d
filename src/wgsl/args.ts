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

/** Told what is wrong with a value; never comes back. */
type Refuse = (sentence: string) => never

const TWO_32 = 2 ** 32

/** Where arguments go. */
interface Packing {
  readonly view: DataView
  readonly addressBits: 32 | 64
  readonly refuse: Refuse
}

const WANTED: Readonly<Record<Exclude<Scalar, 'svm_ptr'>, string>> = {
  u32: 'a u32: an integer from 0 to 2^32 - 1',
  i32: 'an i32: an integer from -2^31 to 2^31 - 1',
  f32: 'an f32: a number',
}

/** @throws SvmError invalid-value */
export function packArguments(layout: ArgumentLayout, args: Readonly<Record<string, KernelArgument>>, kernelLabel: string): Uint8Array {
  const refuse: Refuse = (sentence) => {
    throw new SvmError('invalid-value', `kernel '${kernelLabel}': ${sentence}`, { kernel: kernelLabel })
  }
  // What is right makes no text.
  const list = () => (layout.fields.length === 0 ? 'it takes no arguments' : `it takes ${layout.fields.map(({ name }) => name).join(', ')}`)
  for (const name of Object.keys(args)) if (!layout.fields.some((field) => field.name === name)) refuse(`there is no argument '${name}'; ${list()}`)
  const bytes = new Uint8Array(layout.byteLength)
  const view = new DataView(bytes.buffer)
  for (const field of layout.fields) {
    const value = Object.hasOwn(args, field.name) ? args[field.name] : undefined
    if (value === undefined) refuse(`argument '${field.name}' (${field.type}) is missing; ${list()}`)
    packField({ view, addressBits: layout.addressBits, refuse }, field, value as KernelArgument)
  }
  return bytes
}

function packField(into: Packing, field: ArgumentField, value: KernelArgument): void {
  const { refuse } = into
  const vector = field.type.endsWith('>') ? /vec([234])<(\w+)>/.exec(field.type) : null
  if (vector === null) return packScalar(into, field.offset, field.type as Scalar, value, field.name)
  const length = field.type.startsWith('array') ? field.byteLength / 4 : Number(vector[1])
  const needed = `argument '${field.name}' (${field.type}) needs ${length} numbers`
  const numbers = isNumbers(value) ? value : refuse(`${needed} in an array or a typed array, found ${describe(value)}`)
  if (numbers.length !== length) refuse(`${needed}, found ${numbers.length}`)
  for (let k = 0; k < length; k++) packScalar(into, field.offset + k * 4, vector[2] as Scalar, numbers[k] as number, `${field.name}[${k}]`)
}

function packScalar({ view, addressBits, refuse }: Packing, offset: number, type: Scalar, value: KernelArgument, name: string): void {
  const number = scalarOf(type, value, addressBits)
  if (number === null) {
    const wanted = type === 'svm_ptr' ? `a pointer: an integer from 0 to 2^${Math.log2(SPACE_BYTES[addressBits])} - 1` : WANTED[type]
    return refuse(`argument '${name}' must be ${wanted}, found ${describe(value)}`)
  }
  if (type === 'f32') view.setFloat32(offset, number, true)
  else if (type === 'i32') view.setInt32(offset, number, true)
  else {
    view.setUint32(offset, number % TWO_32, true)
    if (type === 'svm_ptr' && addressBits === 64) view.setUint32(offset + 4, Math.floor(number / TWO_32), true)
  }
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
