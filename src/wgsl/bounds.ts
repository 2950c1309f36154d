// Where a launch can reach, found out on the host before it runs: the kernel's text is run once with sets of values in place of values (an abstract
// interpretation over ranges.ts), all work-items at a time. What is loaded can be anything; arguments are what they are; built-ins are what the launch makes them.
//
// Always: either every access of every work-item lies in one of the extents, aligned as it must be, or the answer is null. A loop is read once, with all that
// it assigns to forgotten, but for the variable that it counts.

import { type Extent, merged, Unbounded } from './extents.ts'
import type { FunctionDeclaration, SourceModule, VariableDeclaration } from './module.ts'
import { attributeOf, rangeText } from './module.ts'
import type { ArgumentLayout } from './program.ts'
import { constantOf, type Range, rangeOf } from './ranges.ts'
import { Reading } from './reading.ts'
import { plainType } from './reflect.ts'
import { type Expression, NotKnown, parseBody, parseExpression, type Statement } from './syntax.ts'
import { anyOfType, argumentValues, conform, held, UNKNOWN, type Value } from './values.ts'

/** The workgroups [first, end) of a launch, in their order. */
export interface LaunchPart {
  readonly args: Uint8Array
  readonly workgroups: readonly [number, number, number]
  readonly global: readonly [number, number, number]
  readonly offset: readonly [number, number, number]
  readonly guard: boolean
  readonly first: number
  readonly end: number
}

export interface BoundsSource {
  readonly module: SourceModule
  readonly entry: FunctionDeclaration
  readonly argsVariable: VariableDeclaration | null
  readonly args: ArgumentLayout
  readonly workgroupSize: readonly [number, number, number]
  /** Of overrides, by name. */
  readonly given: (constant: SourceModule['constants'][number]) => number | undefined
  /** Constants that the translation declares. */
  readonly known: ReadonlyMap<string, number>
  /** Its loops may end by fuel, and what comes then is nowhere in the text. */
  readonly tires: boolean
}

/** Launches without an answer, one after the other, after which nobody asks again: mostly the kernel follows what it loads. */
const PATIENCE = 8

/** WGSL lets a struct have the name of a vector type. */
const SHORTHAND = /^vec[234][iufh]$/

export class Bounds {
  readonly #source: BoundsSource
  readonly #bodies = new Map<FunctionDeclaration, readonly Statement[]>()
  readonly #constants = new Map<string, Value>()
  #failures = 0

  constructor(source: BoundsSource) {
    this.#source = source
    if (source.tires || source.module.structs.some(({ name }) => SHORTHAND.test(name))) this.#failures = PATIENCE
  }

  /** True when it is of no use to ask. */
  get hopeless(): boolean {
    return this.#failures >= PATIENCE
  }

  /** Where this part of a launch can reach; null: that is not known. @param exact false: whatever its arguments are that are no pointers */
  of(part: LaunchPart, exact = true): readonly Extent[] | null {
    if (this.hopeless) return null
    try {
      const extents = boxesOf(part).flatMap((box) => this.#read(part, box, exact))
      this.#failures = 0
      return merged(extents)
    } catch (thrown) {
      if (!(thrown instanceof Unbounded) && !(thrown instanceof NotKnown)) throw thrown
      this.#failures = thrown instanceof NotKnown ? PATIENCE : this.#failures + (exact ? 1 : 0)
      return null
    }
  }

  #read(part: LaunchPart, box: Box, exact: boolean): readonly Extent[] {
    const reading = new Reading({
      bytesOfSpace: this.#source.args.addressBits === 32 ? 2 ** 32 : 2 ** 48,
      pointerBytes: this.#source.args.addressBits / 8,
      module: (name) => this.#moduleValue(name, part, exact),
      functionOf: (name) => this.#source.module.functions.find((candidate) => candidate.name === name) ?? null,
      bodyOf: (declaration) => this.#bodyOf(declaration),
      plain: (type) => plainType(this.#source.module, type),
      fieldsOf: (type) => this.#fieldsOf(type),
    })
    reading.call(this.#source.entry, this.#builtins(part, box))
    return reading.extents
  }

  #bodyOf(declaration: FunctionDeclaration): readonly Statement[] {
    let body = this.#bodies.get(declaration)
    if (body === undefined) {
      body = parseBody(this.#source.module, declaration.body)
      this.#bodies.set(declaration, body)
    }
    return body
  }

  /** The members of a struct with their types; null: there is no such struct. */
  #fieldsOf(type: string): ReadonlyMap<string, string> | null {
    const { module } = this.#source
    const struct = module.structs.find(({ name }) => name === type)
    return struct === undefined ? null : new Map(struct.members.map((member) => [member.name, plainType(module, member.type)]))
  }

  #moduleValue(name: string, part: LaunchPart, exact: boolean): Value | null {
    const { module, argsVariable, args, known } = this.#source
    if (name === argsVariable?.name) return argumentValues(args, part.args, exact)
    const variable = module.variables.find((candidate) => candidate.name === name)
    if (variable !== undefined) return anyOfType(plainType(module, variable.type), (type) => this.#fieldsOf(type))
    const constant = module.constants.find((candidate) => candidate.name === name)
    if (constant !== undefined) return this.#constant(constant)
    const value = known.get(name)
    return value === undefined ? null : constantOf('u32', value)
  }

  #constant(constant: SourceModule['constants'][number]): Value {
    const { module, given } = this.#source
    const found = this.#constants.get(constant.name)
    if (found !== undefined) return found
    this.#constants.set(constant.name, UNKNOWN)
    const end = constant.value.start - 1
    const type = module.tokens[constant.nameToken + 1]?.text === ':' ? plainType(module, rangeText(module.tokens, constant.nameToken + 2, end)) : ''
    const value = this.#initial(constant.value.start < constant.value.end ? parseExpression(module, constant.value) : null)
    const number = constant.kind === 'override' ? given(constant) : undefined
    const typed =
      type !== ''
        ? conform(
            value,
            anyOfType(type, () => null),
          )
        : constant.kind === 'override'
          ? held(value)
          : value
    const result = number === undefined ? typed : overridden(type, typed, number)
    this.#constants.set(constant.name, result)
    return result
  }

  /** The value of an expression that names nothing but constants. */
  #initial(expression: Expression | null): Value {
    if (expression === null) return UNKNOWN
    const reading = new Reading({
      bytesOfSpace: 2 ** 48,
      pointerBytes: this.#source.args.addressBits / 8,
      module: (name) => {
        const constant = this.#source.module.constants.find((candidate) => candidate.name === name)
        const known = this.#source.known.get(name)
        return constant !== undefined ? this.#constant(constant) : known === undefined ? null : constantOf('u32', known)
      },
      functionOf: () => null,
      bodyOf: () => [],
      plain: (type) => plainType(this.#source.module, type),
      fieldsOf: () => null,
    })
    return reading.evaluate(expression)
  }

  /** What the entry point's parameters can be. */
  #builtins(part: LaunchPart, box: Box): Value[] {
    const { module, entry } = this.#source
    const values = builtinValues(part, box, this.#source.workgroupSize)
    const builtinOf = (attributes: FunctionDeclaration['attributes'], type: string): Value => {
      const attribute = attributeOf(attributes, 'builtin')
      const name = attribute === undefined ? '' : rangeText(module.tokens, attribute.value.start, attribute.value.end)
      return values.get(name) ?? anyOfType(plainType(module, type), () => null)
    }
    return entry.parameters.map(({ attributes, type }) => {
      const struct = module.structs.find(({ name }) => name === plainType(module, type))
      if (struct === undefined) return builtinOf(attributes, type)
      return { kind: 'struct', fields: new Map(struct.members.map((member) => [member.name, builtinOf(member.attributes, member.type)])) }
    })
  }
}

function overridden(type: string, value: Value, number: number): Value {
  const integer = type === 'u32' || type === 'i32' ? type : value.kind === 'range' && (value.type === 'u32' || value.type === 'i32') ? value.type : null
  return integer === null || !Number.isInteger(number) ? UNKNOWN : constantOf(integer, number)
}

/** Workgroups [first, last] in each dimension. */
type Box = readonly (readonly [first: number, last: number])[]

/** The workgroups of a part, as few boxes as that takes: what is left of a row, whole rows, whole layers, and the same the other way. */
function boxesOf({ workgroups: [width, height], first, end }: LaunchPart): Box[] {
  const layer = width * height
  const boxes: Box[] = []
  for (let at = first; at < end; ) {
    const [x, y, z] = [at % width, Math.floor(at / width) % height, Math.floor(at / layer)]
    const left = end - at
    if (x > 0 || left < width) {
      const count = Math.min(width - x, left)
      boxes.push([
        [x, x + count - 1],
        [y, y],
        [z, z],
      ])
      at += count
    } else if (y > 0 || left < layer) {
      const rows = Math.min(height - y, Math.floor(left / width))
      boxes.push([
        [0, width - 1],
        [y, y + rows - 1],
        [z, z],
      ])
      at += rows * width
    } else {
      const layers = Math.floor(left / layer)
      boxes.push([
        [0, width - 1],
        [0, height - 1],
        [z, z + layers - 1],
      ])
      at += layers * layer
    }
  }
  return boxes
}

/** The built-ins of the workgroups of a box. */
function builtinValues({ workgroups, global, offset, guard }: LaunchPart, box: Box, size: readonly [number, number, number]): ReadonlyMap<string, Value> {
  const span = (low: number, high: number): Range => rangeOf('u32', low, high, 1)
  const groups = box.map(([first, last]) => span(first, last))
  const locals = size.map((length) => span(0, length - 1))
  const globals = box.map(([first, last], n) => {
    const length = size[n] as number
    const most = (last + 1) * length - 1
    const from = offset[n] as number
    return span(from + first * length, from + (guard ? Math.min(most, (global[n] as number) - 1) : most))
  })
  return new Map<string, Value>([
    ['workgroup_id', { kind: 'vector', parts: groups }],
    ['num_workgroups', { kind: 'vector', parts: workgroups.map((length) => constantOf('u32', length)) }],
    ['local_invocation_id', { kind: 'vector', parts: locals }],
    ['local_invocation_index', span(0, size[0] * size[1] * size[2] - 1)],
    ['global_invocation_id', { kind: 'vector', parts: globals }],
  ])
}
