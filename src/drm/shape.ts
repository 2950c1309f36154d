// The shape of every request: which fields it has, and what each may hold. Compare the sizes and flags that drm_ioctl() checks.
//
// Always: a request is copied once, before it is looked at (compare copy_from_user()), so nobody can change it between check and use; it has
// exactly the fields of its shape; what a field means in the space is checked by the operation itself, also before any effect.

import { isPowerOfTwo } from '../base/units.ts'
import { refuse } from './refuse.ts'
import { ADVICE, LAUNCHES_MAX, type Op, type Requests } from './request.ts'

/** What the value should have been; null: it is. */
type FieldCheck = (value: unknown) => string | null
type Shape<O extends Op> = {
  /** The request as messages call it. */
  readonly call: string
  readonly fields: { readonly [F in keyof Requests[O]]-?: FieldCheck }
}

const WORD = 2 ** 32

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value)
const isRecord = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What was expected is put into words once, here: a request that is right makes no text. */
const when =
  (holds: (value: unknown) => boolean, expected: string): FieldCheck =>
  (value) =>
    holds(value) ? null : expected

const whole = (least = 0, end = Number.POSITIVE_INFINITY): FieldCheck =>
  when(
    (value) => isWhole(value) && value >= least && value < end,
    `a whole number ${end < Number.POSITIVE_INFINITY ? `from ${least} to ${end - 1}` : `of at least ${least}`}`,
  )
/** Whether it lies in the space is asked where it is used: 0 bytes may be anywhere. */
const pointer = when((value) => isWhole(value) && value >= 0, 'an SVM pointer (a whole number of bytes)')
/** What was never an allocation is refused as that. */
const anyNumber = when((value) => typeof value === 'number', 'a number')
const handle = whole(1)
const handleOrNone = when((value) => isWhole(value) && (value === -1 || value >= 1), 'a handle from register, or -1')
const memory = whole()
const memoryOrNone = when((value) => isWhole(value) && value >= -1, 'a memory number, or -1')
const powerOfTwo = when((value) => isWhole(value) && isPowerOfTwo(value), 'a power of two')
const text = when((value) => typeof value === 'string', 'a string')
const flag = when((value) => typeof value === 'boolean', 'true or false')
const bytes = when((value) => value instanceof Uint8Array, 'a Uint8Array')
const oneOf = (...allowed: string[]): FieldCheck =>
  when((value) => typeof value === 'string' && allowed.includes(value), `one of ${allowed.map((one) => `'${one}'`).join(', ')}`)
const list =
  (item: FieldCheck, most = Number.POSITIVE_INFINITY): FieldCheck =>
  (value) => {
    if (!Array.isArray(value)) return 'a list'
    if (value.length > most) return `a list of at most ${most}`
    for (const one of value) {
      const expected = item(one)
      if (expected !== null) return `a list in which each is ${expected}`
    }
    return null
  }
const isTriple = list(whole(0, WORD))
const triple = when((value) => Array.isArray(value) && value.length === 3 && isTriple(value) === null, 'three whole numbers from 0 to 2^32 - 1')
const range = when(
  (value) => isRecord(value) && Object.keys(value).length === 2 && pointer(value.pointer) === null && memory(value.byteLength) === null,
  '{ pointer, byteLength } with a pointer and a whole number of bytes',
)
const orNull =
  (check: FieldCheck): FieldCheck =>
  (value) =>
    value === null ? null : check(value)
const argument = when(
  (value) => typeof value === 'number' || typeof value === 'bigint' || Array.isArray(value) || ArrayBuffer.isView(value),
  'a number or numbers',
)
const isArguments = list(argument)
const values = when((value) => isRecord(value) && isArguments(Object.values(value)) === null, 'numbers by name')

const bytesAt = { pointer, byteLength: whole() }
const adviceAt = { ...bytesAt, advice: oneOf(...ADVICE), memory: memoryOrNone }

const LAUNCH: Shape<'SVM_EXEC'>['fields'] = {
  memory,
  kernel: handle,
  args: bytes,
  argValues: values,
  historyKey: text,
  workgroups: triple,
  global: triple,
  offset: triple,
  guard: flag,
  reach: orNull(list(pointer)),
  class: oneOf('grants', 'transactional', 'unsplittable'),
  atomic: flag,
  bindGroups: list(handleOrNone, 3),
  signal: handleOrNone,
}
const LAUNCH_FIELDS = Object.entries(LAUNCH)
/** One of several launches: as a request of its own. */
const launch: FieldCheck = (value) => {
  if (!isRecord(value) || Object.keys(value).length !== LAUNCH_FIELDS.length) return 'a launch'
  for (const [field, check] of LAUNCH_FIELDS) {
    const expected = check(Object.hasOwn(value, field) ? value[field] : undefined)
    if (expected !== null) return `a launch in which ${field} is ${expected}`
  }
  return null
}

const SHAPES: { readonly [O in Op]: Shape<O> } = {
  SVM_INIT: { call: 'init', fields: { version: whole(), pageBytes: whole(), addressBits: whole() } },
  SVM_ALLOC: {
    call: 'alloc',
    fields: { byteLength: whole(1), alignment: powerOfTwo, access: oneOf('read', 'write', 'read-write'), label: text },
  },
  SVM_MMAP: { call: 'mmap', fields: { pager: handle, offset: whole(), byteLength: whole(1), label: text } },
  SVM_LOOKUP: { call: 'lookup', fields: { pointer } },
  SVM_CHECK: { call: 'check', fields: { ranges: list(range), holes: flag, what: text } },
  SVM_DOOM: { call: 'free', fields: { pointers: list(anyNumber) } },
  SVM_SPARE: { call: 'spare', fields: { pointers: list(anyNumber) } },
  SVM_FREE: { call: 'free', fields: { pointer } },
  SVM_MUNMAP: { call: 'munmap', fields: bytesAt },
  SVM_MPROTECT: { call: 'mprotect', fields: { ...bytesAt, access: oneOf('none', 'read', 'read-write') } },
  SVM_ADVISE: { call: 'advise', fields: adviceAt },
  SVM_HEED: { call: 'advise', fields: adviceAt },
  SVM_BIND: {
    call: 'migrate',
    fields: { memory, ranges: list(range), target: oneOf('device', 'host'), contentUndefined: flag, mode: oneOf('best-effort', 'all-or-nothing') },
  },
  SVM_MAP: { call: 'map', fields: { ...bytesAt, mode: oneOf('read', 'write', 'read-write', 'write-discard') } },
  SVM_UNMAP: { call: 'unmap', fields: { mapping: handle } },
  SVM_READ: { call: 'read', fields: bytesAt },
  SVM_WRITE: { call: 'write', fields: { pointer, bytes } },
  SVM_COPY: { call: 'memcpy', fields: { destination: pointer, source: pointer, byteLength: whole() } },
  SVM_FILL: { call: 'memfill', fields: { pointer, pattern: bytes, byteLength: whole() } },
  SVM_BUFFER: { call: 'copy with a buffer', fields: { memory, buffer: handle, offset: whole(), ...bytesAt, direction: oneOf('in', 'out') } },
  SVM_EXEC: { call: 'enqueue', fields: LAUNCH },
  SVM_EXEC_CHAIN: { call: 'enqueue', fields: { launches: list(launch, LAUNCHES_MAX) } },
  SVM_QUERY: { call: 'residency', fields: bytesAt },
  SVM_STATS: { call: 'stats', fields: {} },
  SVM_SNAPSHOT: { call: 'snapshot', fields: {} },
  SVM_RELEASE: { call: 'releaseDevice', fields: { memory } },
  SVM_FINI: { call: 'close', fields: {} },
}

export function isOp(op: unknown): op is Op {
  return typeof op === 'string' && Object.hasOwn(SHAPES, op)
}

/** The names of all field checks. */
export const FIELD_CHECKS: readonly string[] = Object.entries(SHAPES).flatMap(([op, { fields }]) => Object.keys(fields).map((field) => `${op}.${field}`))

/** A copy of the request that has the shape of `op`. @throws SvmError invalid-value */
export function checkShape<O extends Op>(op: O, request: unknown): Requests[O] {
  const { call, fields } = SHAPES[op] as { call: string; fields: Record<string, FieldCheck> }
  const copy = copyPlain(request, 5)
  if (!isRecord(copy)) refuse('not-plain', 'invalid-value', `${call}: a request is an object of plain data, but this is ${print(request)}.`)
  for (const field of Object.keys(copy)) {
    if (Object.hasOwn(fields, field)) continue
    refuse('unknown-field', 'invalid-value', `${call}: there is no field ${print(field)}; a request has ${Object.keys(fields).join(', ') || 'no fields'}.`)
  }
  for (const field in fields) {
    const value = Object.hasOwn(copy, field) ? copy[field] : undefined
    const expected = (fields[field] as FieldCheck)(value)
    if (expected !== null) refuse(`${op}.${field}`, 'invalid-value', `${call}: ${field} must be ${expected}, but is ${print(value)}.`)
  }
  return copy as unknown as Requests[O]
}

/** Lists and records copied to a depth that every valid request has; the rest (bytes) is the request's until it settles. */
function copyPlain(value: unknown, depth: number): unknown {
  if (depth === 0 || typeof value !== 'object' || value === null) return value
  try {
    if (Array.isArray(value)) {
      const list: unknown[] = []
      for (let n = 0; n < value.length; n++) {
        const item = value[n]
        list.push(typeof item === 'object' && item !== null ? copyPlain(item, depth - 1) : item)
      }
      return list
    }
    if (!isRecord(value)) return value
    const copy: Record<string, unknown> = {}
    for (const key in value) {
      if (!Object.hasOwn(value, key)) continue
      // A key that would not become a field.
      if (key === '__proto__') return undefined
      const field = value[key]
      copy[key] = typeof field === 'object' && field !== null ? copyPlain(field, depth - 1) : field
    }
    return copy
  } catch {
    // A getter or a proxy threw: this is no plain data.
    return undefined
  }
}

function print(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (value === undefined) return 'missing'
  return value === null ? 'null' : Array.isArray(value) ? `a list of ${value.length}` : `a ${typeof value}`
}
