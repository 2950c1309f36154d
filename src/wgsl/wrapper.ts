// The entry point that the device calls, in place of the author's.
//
// Always: every invocation of a workgroup takes the same way through it (it reads only built-ins and read-only storage), so that barriers may
// follow; only a kernel without barriers asks the word that another invocation may just write, whether a dispatch before it in its chain failed. The built-ins that the author sees are those of the whole launch, however it was split or folded.

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

/** How a slot's workgroup is found. 'any': by a list and by division. 'line': the launch has one dimension, and there is no list. */
export type Geometry = 'any' | 'line'

export interface WrapperWish {
  readonly geometry: Geometry
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
  const parameters = [
    '@builtin(workgroup_id) svm_wid: vec3<u32>',
    '@builtin(num_workgroups) svm_count: vec3<u32>',
    '@builtin(local_invocation_id) svm_local_id: vec3<u32>',
    '@builtin(local_invocation_index) svm_local_index: u32',
    ...[...passed].map((name) => `@builtin(${name}) svm_${name}: ${PASSED[name]}`),
  ]
  const size = attributeOf(wish.entry.attributes, 'workgroup_size')
  const sizeText = size === undefined ? '1' : rangeText(module.tokens, size.value.start, size.value.end)
  const call = `${ENTRY_PREFIX}${wish.entry.name}(${values.join(', ')});`
  return [
    `@compute @workgroup_size(${sizeText})`,
    `fn ${WRAPPER_ENTRY}(${parameters.join(', ')}) {`,
    // The built-ins tell the compiler that all of a workgroup go the same way; a private variable would not.
    '  let svm_this = svm_wid.x + svm_count.x * (svm_wid.y + svm_count.y * svm_wid.z);',
    `  if (svm_this >= ${c('slots')}) { return; }`,
    ...(wish.collective
      ? [`  if (${c('aborted')} > ${c('link')}) { return; }`]
      : [`  if (${c('link')} != 0xffffffffu) { if (atomicLoad(&svm_faults[${FAULT.abort}]) > ${c('link')}) { return; } }`]),
    '  svm_slot = svm_this;',
    ...workgroupText(wish.geometry),
    `  let svm_item = svm_logical_id * vec3<u32>(${wish.workgroupSize.map((n) => `${n}u`).join(', ')}) + svm_local_id;`,
    `  let svm_global_id = svm_item + vec3<u32>(${c('offsetX')}, ${c('offsetY')}, ${c('offsetZ')});`,
    ...wish.prologue.map((line) => `  ${line}`),
    wish.guard ? `  if (all(svm_item < vec3<u32>(${c('globalX')}, ${c('globalY')}, ${c('globalZ')}))) { ${call} }` : `  ${call}`,
    ...wish.epilogue.map((line) => `  ${line}`),
    '}',
  ].join('\n')
}

/** From the slot to `svm_logical_id` and `svm_logical_count`. */
function workgroupText(geometry: Geometry): string[] {
  if (geometry === 'line') {
    return [`  let svm_logical_count = vec3<u32>(${c('workgroupsX')}, 1u, 1u);`, `  let svm_logical_id = vec3<u32>(${c('firstWorkgroup')} + svm_this, 0u, 0u);`]
  }
  return [
    `  var svm_w = ${c('firstWorkgroup')} + svm_this;`,
    `  if ((${c('mode')} & ${CONTROL_MODE.worklist}u) != 0u) { svm_w = svm_control.rest[${c('worklist')} - ${CONTROL_HEADER_WORDS}u + svm_this]; }`,
    `  let svm_logical_count = vec3<u32>(${c('workgroupsX')}, ${c('workgroupsY')}, ${c('workgroupsZ')});`,
    '  let svm_row = svm_w / svm_logical_count.x;',
    '  let svm_logical_id = vec3<u32>(svm_w % svm_logical_count.x, svm_row % svm_logical_count.y, svm_row / svm_logical_count.y);',
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
