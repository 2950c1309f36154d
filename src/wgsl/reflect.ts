// Layouts of the author's structs, by the library wgsl_reflect, and what follows from them: offset constants, the arguments, the bindings.
//
// Always: the library sees only structs, aliases and constants already evaluated, never a function body; so nothing that it does not know about a
// body can stop a kernel. A struct that has no layout in memory (built-ins, booleans, a runtime-sized member's struct beyond its head) gets no size.

import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js'
import type { AuthorBinding } from '../device/device.ts'
import { evaluateInteger } from './evaluate.ts'
import { type Attribute, attributeOf, type SourceModule, type StructDeclaration, type VariableDeclaration } from './module.ts'
import type { ArgumentField, ArgumentLayout, StructLayout } from './program.ts'
import { type Token, textError } from './scanner.ts'

const NO_CONSTANTS: Readonly<Record<string, number>> = {}

function offsetOf(module: SourceModule, token: number): number {
  return (module.tokens[token] as Token).start
}

/** The declarations that decide layouts, as a text of their own. */
function layoutText(module: SourceModule, addressBits: 32 | 64): string {
  const slice = (start: number, end: number) => module.source.slice(offsetOf(module, start), (module.tokens[end - 1] as Token).end)
  const lines = [`alias svm_ptr = ${addressBits === 32 ? 'u32' : 'vec2<u32>'};`]
  for (const constant of module.constants) {
    const value = constant.kind === 'const' ? evaluateInteger(module, constant.value, NO_CONSTANTS) : undefined
    if (value !== undefined) lines.push(`const ${constant.name} = ${value};`)
  }
  for (const alias of module.aliases) lines.push(`alias ${alias.name} = ${alias.type};`)
  for (const struct of module.structs) {
    const members = struct.members.map((member) => {
      const kept = member.attributes.filter(({ name }) => name === 'size' || name === 'align').map(({ range }) => slice(range.start, range.end))
      return `${kept.join(' ')} ${member.name}: ${member.type}`
    })
    lines.push(`struct ${struct.name} { ${members.join(', ')} }`)
  }
  return lines.join('\n')
}

/** The type's name with the author's aliases resolved and shorthands spelled out: `vec4f` is `vec4<f32>`. */
export function plainType(module: SourceModule, type: string): string {
  let name = type
  for (let depth = 0; depth < 32; depth++) {
    const alias = module.aliases.find((candidate) => candidate.name === name)
    if (alias === undefined) break
    name = alias.type
  }
  const short = /^vec([234])([fiuh])$/.exec(name)
  if (short === null) return name
  const scalar = { f: 'f32', i: 'i32', u: 'u32', h: 'f16' }[short[2] as 'f' | 'i' | 'u' | 'h']
  return `vec${short[1]}<${scalar}>`
}

function isHostShareable(struct: StructDeclaration): boolean {
  return struct.members.every((member) => !/\bbool\b/.test(member.type) && attributeOf(member.attributes, 'builtin') === undefined)
}

export function structLayouts(module: SourceModule, addressBits: 32 | 64): Record<string, StructLayout> {
  let reflected: WgslReflect
  try {
    reflected = new WgslReflect(layoutText(module, addressBits))
  } catch (cause) {
    const first = module.structs[0]
    throw textError(
      module.source,
      module.label,
      first === undefined ? 0 : offsetOf(module, first.nameToken),
      `the structs cannot be laid out: ${String(cause)}`,
    )
  }
  const layouts: Record<string, StructLayout> = {}
  for (const struct of module.structs) {
    const info = reflected.structs.find(({ name }) => name === struct.name)
    if (info === undefined || !isHostShareable(struct)) continue
    const fields: Record<string, { offset: number; byteLength: number; type: string }> = {}
    struct.members.forEach((member, k) => {
      const found = info.members[k]
      if (found !== undefined) fields[member.name] = { offset: found.offset, byteLength: found.size, type: plainType(module, member.type) }
    })
    const last = info.members.at(-1)
    const byteLength = isRuntimeSized(fields) ? (last?.offset ?? 0) : info.size
    layouts[struct.name] = { byteLength, alignment: info.align, fields }
  }
  return layouts
}

function isRuntimeSized(fields: StructLayout['fields']): boolean {
  return Object.values(fields).some((field) => field.byteLength === 0)
}

/** `const Node_next: u32 = 4u;` for every member and `Node_size` for every struct; names that the author declares himself are his. */
export function layoutConstants(module: SourceModule, layouts: Readonly<Record<string, StructLayout>>): ReadonlyMap<string, number> {
  const declared = new Set([...module.structs, ...module.functions, ...module.variables, ...module.constants, ...module.aliases].map(({ name }) => name))
  const values = new Map<string, number>()
  const ambiguous = new Set<string>()
  const put = (name: string, value: number) => {
    if (values.has(name) && values.get(name) !== value) ambiguous.add(name)
    values.set(name, value)
  }
  for (const [name, layout] of Object.entries(layouts)) {
    for (const [field, { offset }] of Object.entries(layout.fields)) put(`${name}_${field}`, offset)
    if (!isRuntimeSized(layout.fields)) put(`${name}_size`, layout.byteLength)
  }
  for (const name of declared) values.delete(name)
  for (const name of ambiguous) {
    if (declared.has(name)) continue
    values.delete(name)
    const used = module.tokens.find((token) => token.text === name)
    if (used !== undefined) {
      throw textError(
        module.source,
        module.label,
        used.start,
        `'${name}' could be two different offsets or sizes; rename a member or declare a constant of your own`,
      )
    }
  }
  return values
}

const ARGUMENT_TYPE = /^(svm_ptr|u32|i32|f32|vec[234]<(u32|i32|f32)>|array<vec4<(u32|i32|f32)>,.*>)$/

export function argumentLayout(
  module: SourceModule,
  args: VariableDeclaration | null,
  layouts: Readonly<Record<string, StructLayout>>,
  addressBits: 32 | 64,
): ArgumentLayout {
  if (args === null) return { addressBits, byteLength: 0, fields: [] }
  const name = plainType(module, args.type)
  const struct = module.structs.find((candidate) => candidate.name === name) as StructDeclaration
  const layout = layouts[name]
  if (layout === undefined) {
    throw textError(
      module.source,
      module.label,
      offsetOf(module, struct.nameToken),
      `struct '${name}' holds the arguments, but has members without a layout (bool, built-ins)`,
    )
  }
  const fields = struct.members.map((member): ArgumentField => {
    const field = layout.fields[member.name] as StructLayout['fields'][string]
    const type = field.type.replace(/^array<(\w+),/, (_, element: string) => `array<${plainType(module, element)},`)
    if (!ARGUMENT_TYPE.test(type)) {
      throw textError(
        module.source,
        module.label,
        offsetOf(module, member.nameToken),
        `argument '${member.name}' has type '${member.type}'; an argument is an svm_ptr, u32, i32, f32, a vector of these numbers, or an array of four-component vectors`,
      )
    }
    return { name: member.name, type, offset: field.offset, byteLength: field.byteLength }
  })
  return { addressBits, byteLength: layout.byteLength, fields }
}

/** The value of `@group` or `@binding`. */
export function bindingNumber(module: SourceModule, attribute: Attribute | undefined): number | undefined {
  return attribute === undefined ? undefined : evaluateInteger(module, attribute.value, NO_CONSTANTS)
}

export function authorBinding(module: SourceModule, variable: VariableDeclaration): AuthorBinding {
  const group = bindingNumber(module, attributeOf(variable.attributes, 'group'))
  const binding = bindingNumber(module, attributeOf(variable.attributes, 'binding'))
  if (group === undefined || binding === undefined) {
    throw textError(
      module.source,
      module.label,
      offsetOf(module, variable.nameToken),
      `the group and the binding of '${variable.name}' must be integers known here`,
    )
  }
  return { group, binding, name: variable.name, kind: bindingKind(module, variable), type: plainType(module, variable.type) }
}

function bindingKind(module: SourceModule, variable: VariableDeclaration): AuthorBinding['kind'] {
  if (variable.space === 'uniform') return 'uniform'
  if (variable.space === 'storage') return variable.access === 'read_write' ? 'storage' : 'read-only-storage'
  const type = plainType(module, variable.type)
  if (type === 'sampler') return 'sampler'
  if (type === 'sampler_comparison') return 'comparison-sampler'
  if (type === 'texture_external') return 'external-texture'
  return type.startsWith('texture_storage') ? 'storage-texture' : 'texture'
}
