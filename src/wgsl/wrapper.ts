// The entry point that the device calls, in place of the author's.
//
// Always: every invocation of a workgroup takes the same way through it (it reads only built-ins and read-only storage), so that barriers may
// follow; only a kernel without barriers asks the word that another invocation may just write, whether a dispatch before it in its chain failed. The
// built-ins that the author sees are those of the whole launch, however it was split or folded. A software device runs every line here in every
// invocation, behind whatever condition it stands: what a launch does not need is not in its text.

import { CONTROL, CONTROL_HEADER_WORDS, CONTROL_MODE, FAULT } from '../abi/fault-record.ts'
import { attributeOf, type FunctionDeclaration, rangeText, type SourceModule } from './module.ts'
import { ENTRY_PREFIX } from './rewrite.ts'
import { textError } from './scanner.ts'

export const WRAPPER_ENTRY = 'svm_entry'

const c = (word: keyof typeof CONTROL) => `svm_control.header[${CONTROL[word]}]`

/** What stands for a built-in of the author's. */
const VALUES: Readonly<Record<string, string>> = {
  global_invocation_id: 'svm_global_id',
  workgroup_id: 'svm_logical_id',
  num_workgroups: 'svm_logical_count',
  local_invocation_id: 'svm_local_id',
  local_invocation_index: 'svm_local_index',
}
/** Built-ins that pass through unchanged, with their types. They need `enable subgroups`, so they are taken only when the author has them. */
const PASSED: Readonly<Record<string, string>> = { subgroup_invocation_id: 'u32', subgroup_size: 'u32', subgroup_id: 'u32', num_subgroups: 'u32' }

/**
 * How a slot's workgroup is found. 'any': by a list and by division. 'line': the launch has one dimension, and there is neither a list nor a fold. 'whole':
 * the dispatch is the launch, from its first workgroup to its last, and the device's own built-ins are the author's.
 */
export type Geometry = 'any' | 'line' | 'whole'

export interface WrapperWish {
  readonly geometry: Geometry
  /** The dispatch does nothing if one before it in its chain failed. */
  readonly chained: boolean
  /** Nothing before the end asks for the slot. */
  readonly slotAtEnd: boolean
  readonly entry: FunctionDeclaration
  readonly workgroupSize: readonly [number, number, number]
  readonly guard: boolean
  /** Invocations of a workgroup wait for each other. */
  readonly collective: boolean
  readonly prologue: readonly string[]
  readonly epilogue: readonly string[]
}

export function wrapperText(module: SourceModule, wish: WrapperWish): string {
  const passed = new Set<string>()
  const values = wish.entry.parameters.map((parameter) => parameterValue(module, parameter, passed))
  const size = attributeOf(wish.entry.attributes, 'workgroup_size')
  const sizeText = size === undefined ? '1' : rangeText(module.tokens, size.value.start, size.value.end)
  const call = `${ENTRY_PREFIX}${wish.entry.name}(${values.join(', ')});`
  const within = withinText(wish)
  const slot = `svm_slot = ${wish.geometry === 'line' ? 'svm_wid.x' : LINEAR};`
  const body = [
    ...(wish.geometry === 'any' ? [`if (${LINEAR} >= ${c('slots')}) { return; }`] : []),
    ...(wish.chained ? [abortText(wish.collective)] : []),
    ...(wish.slotAtEnd ? [] : [slot]),
    ...workgroupText(wish),
    ...wish.prologue,
    within === '' ? call : `if (${within}) { ${call} }`,
    ...(wish.slotAtEnd && wish.epilogue.length > 0 ? [slot] : []),
    ...wish.epilogue,
  ].map((line) => `  ${line}`)
  const parameters = [...BUILTINS, ...[...passed].map((name) => [`svm_${name}`, name, PASSED[name]] as const)]
    .filter(([name]) => body.some((line) => line.includes(name)))
    .map(([name, builtin, type]) => `@builtin(${builtin}) ${name}: ${type}`)
  return [`@compute @workgroup_size(${sizeText})`, `fn ${WRAPPER_ENTRY}(${parameters.join(', ')}) {`, ...body, '}'].join('\n')
}

/** The device's built-ins under the names that the wrapper has for them. */
const BUILTINS: readonly (readonly [name: string, builtin: string, type: string])[] = [
  ['svm_wid', 'workgroup_id', 'vec3<u32>'],
  ['svm_count', 'num_workgroups', 'vec3<u32>'],
  ['svm_gid', 'global_invocation_id', 'vec3<u32>'],
  ['svm_local_id', 'local_invocation_id', 'vec3<u32>'],
  ['svm_local_index', 'local_invocation_index', 'u32'],
]

/** The slot. The built-ins tell the compiler that all of a workgroup have the same; a private variable would not. */
const LINEAR = '(svm_wid.x + svm_count.x * (svm_wid.y + svm_count.y * svm_wid.z))'

function abortText(collective: boolean): string {
  const word = collective ? c('aborted') : `atomicLoad(&svm_faults[${FAULT.abort}])`
  return `if (${word} > ${c('link')}) { return; }`
}

/** What is true of work-items that the launch has: only where a workgroup is longer than one can it have some too many. */
function withinText({ guard, workgroupSize }: WrapperWish): string {
  if (!guard) return ''
  const globals = [c('globalX'), c('globalY'), c('globalZ')]
  return globals.flatMap((global, n) => (workgroupSize[n] === 1 ? [] : [`(svm_item.${'xyz'[n]} < ${global})`])).join(' & ')
}

/** From the slot to the author's built-ins. */
function workgroupText({ geometry, workgroupSize }: WrapperWish): string[] {
  if (geometry === 'whole') {
    return ['let svm_logical_count = svm_count;', 'let svm_logical_id = svm_wid;', 'let svm_item = svm_gid;', 'let svm_global_id = svm_gid;']
  }
  const found =
    geometry === 'line'
      ? [`let svm_logical_count = vec3<u32>(${c('workgroupsX')}, 1u, 1u);`, `let svm_logical_id = vec3<u32>(${c('firstWorkgroup')} + svm_wid.x, 0u, 0u);`]
      : [
          `let svm_this = ${LINEAR};`,
          `var svm_w = ${c('firstWorkgroup')} + svm_this;`,
          `if ((${c('mode')} & ${CONTROL_MODE.worklist}u) != 0u) { svm_w = svm_control.rest[${c('worklist')} - ${CONTROL_HEADER_WORDS}u + svm_this]; }`,
          `let svm_logical_count = vec3<u32>(${c('workgroupsX')}, ${c('workgroupsY')}, ${c('workgroupsZ')});`,
          'let svm_row = svm_w / svm_logical_count.x;',
          'let svm_logical_id = vec3<u32>(svm_w % svm_logical_count.x, svm_row % svm_logical_count.y, svm_row / svm_logical_count.y);',
        ]
  return [
    ...found,
    `let svm_item = svm_logical_id * vec3<u32>(${workgroupSize.map((n) => `${n}u`).join(', ')}) + svm_local_id;`,
    `let svm_global_id = svm_item + vec3<u32>(${c('offsetX')}, ${c('offsetY')}, ${c('offsetZ')});`,
  ]
}

/** The expression for one parameter: a built-in, or a struct of built-ins. */
function parameterValue(module: SourceModule, parameter: FunctionDeclaration['parameters'][number], passed: Set<string>): string {
  const builtin = builtinOf(module, parameter)
  if (builtin !== null) return builtinValue(module, parameter, builtin, passed)
  const struct = module.structs.find(({ name }) => name === parameter.type)
  if (struct === undefined) {
    throw textError(
      module.source,
      module.label,
      (module.tokens[parameter.nameToken] as { start: number }).start,
      `parameter '${parameter.name}' of the entry point is neither a built-in nor a struct of built-ins`,
    )
  }
  const members = struct.members.map((member) => builtinValue(module, member, builtinOf(module, member) ?? '', passed))
  return `${struct.name}(${members.join(', ')})`
}

function builtinOf(module: SourceModule, holder: FunctionDeclaration['parameters'][number]): string | null {
  const attribute = attributeOf(holder.attributes, 'builtin')
  return attribute === undefined ? null : rangeText(module.tokens, attribute.value.start, attribute.value.end).replace(/,.*$/, '')
}

function builtinValue(module: SourceModule, holder: FunctionDeclaration['parameters'][number], builtin: string, passed: Set<string>): string {
  const value = VALUES[builtin]
  if (value !== undefined) return value
  if (PASSED[builtin] !== undefined) {
    passed.add(builtin)
    return `svm_${builtin}`
  }
  const known = [...Object.keys(VALUES), ...Object.keys(PASSED)].join(', ')
  const met = builtin === '' ? `'${holder.name}' is no built-in` : `the built-in '${builtin}' has no meaning here`
  throw textError(module.source, module.label, (module.tokens[holder.nameToken] as { start: number }).start, `${met}; a kernel may take ${known}`)
}
