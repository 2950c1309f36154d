// Kernel arguments: from named values to the bytes of the uniform struct.
//
// Always: either every member is given once with a value it can hold, and the bytes are whole; or nothing is packed and the error names the argument.

import { SvmError } from '../base/error.ts'
import { unreachable } from '../base/assert.ts'
import type { ArgumentField, ArgumentLayout } from './program.ts'

type NumberArray = Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array

/** A number, a pointer (number or bigint), or the components of a vector. */
export type KernelArgument = number | bigint | readonly number[] | NumberArray

type Scalar = 'svm_ptr' | 'u32' | 'i32' | 'f32'

/** @throws SvmError invalid-value */
export function packArguments(layout: ArgumentLayout, args: Readonly<Record<string, KernelArgument>>, kernelLabel: string): Uint8Array {
  const fail = (sentence: string): never => {
    throw new SvmError('invalid-value', `kernel '${kernelLabel}': ${sentence}`, { kernel: kernelLabel })
  }
  const names = layout.fields.map(({ name }) => name)
  const list = names.length === 0 ? 'it takes no arguments' : `it takes ${names.join(', ')}`
  for (const name of Object.keys(args)) if (!names.includes(name)) fail(`there is no argument '${name}'; ${list}`)
  const bytes = new Uint8Array(layout.byteLength)
  const view = new DataView(bytes.buffer)
  for (const field of layout.fields) {
    const value = Object.hasOwn(args, field.name) ? args[field.name] : undefined
    if (value === undefined) fail(`argument '${field.name}' (${field.type}) is missing; ${list}`)
    packField(view, field, value as KernelArgument, fail)
  }
  return bytes
}

function packField(view: DataView, field: ArgumentField, value: KernelArgument, fail: (sentence: string) => never): void {
  const vector = /vec([234])<(\w+)>/.exec(field.type)
  if (vector === null) return packScalar(view, field.offset, field.type as Scalar, value, field.name, fail)
  const length = field.type.startsWith('array') ? field.byteLength / 4 : Number(vector[1])
  if (typeof value === 'number' || typeof value === 'bigint' || !isNumbers(value)) {
    return fail(`argument '${field.name}' (${field.type}) needs ${length} numbers in an array or a typed array, found ${describe(value)}`)
  }
  if (value.length !== length) return fail(`argument '${field.name}' (${field.type}) needs ${length} numbers, found ${value.length}`)
  for (let k = 0; k < length; k++) packScalar(view, field.offset + k * 4, vector[2] as Scalar, value[k] as number, `${field.name}[${k}]`, fail)
}

function packScalar(view: DataView, offset: number, type: Scalar, value: KernelArgument, name: string, fail: (sentence: string) => never): void {
  switch (type) {
    case 'svm_ptr':
      return view.setUint32(offset, integer(value, 0, 0xffffffff, name, 'a pointer: an integer from 0 to 2^32 - 1', fail), true)
    case 'u32':
      return view.setUint32(offset, integer(value, 0, 0xffffffff, name, 'a u32: an integer from 0 to 2^32 - 1', fail), true)
    case 'i32':
      return view.setInt32(offset, integer(value, -0x80000000, 0x7fffffff, name, 'an i32: an integer from -2^31 to 2^31 - 1', fail), true)
    case 'f32':
      if (typeof value !== 'number') return fail(`argument '${name}' must be an f32: a number, found ${describe(value)}`)
      return view.setFloat32(offset, value, true)
    default:
      return unreachable(type)
  }
}

function integer(value: KernelArgument, min: number, max: number, name: string, wanted: string, fail: (sentence: string) => never): number {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max) return number
  return fail(`argument '${name}' must be ${wanted}, found ${describe(value)}`)
}

function isNumbers(value: unknown): value is ArrayLike<number> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView) && !(value instanceof BigInt64Array) && !(value instanceof BigUint64Array))
}

function describe(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return `the string '${value}'`
  if (isNumbers(value)) return `an array of ${value.length}`
  return value === null ? 'null' : `a value of type ${typeof value}`
}
