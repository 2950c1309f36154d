// Names that an author may and may not use.
//
// Always: everything that the translation adds to a module begins with svm_ or SVM_ (or is an offset constant, which yields to the author's own
// declaration), so a text without such names of its own cannot collide with the runtime.

import { PUBLIC_NAMES } from './accessors.ts'
import type { SourceModule } from './module.ts'
import { type Token, textError } from './scanner.ts'

const OURS = /^(svm|SVM)_/
const DECLARING = new Set(['fn', 'let', 'const', 'override', 'var', 'struct', 'alias'])

/** Predeclared names that the runtime's own functions mean. WGSL lets a module declare them anew, for all of its text. */
const NEEDED = new Set(
  (
    'u32 i32 f32 bool vec2 vec3 vec4 array atomic bitcast select min max all arrayLength countTrailingZeros workgroupBarrier storageBarrier workgroupUniformLoad ' +
    'atomicLoad atomicStore atomicAdd atomicSub atomicMax atomicMin atomicAnd atomicOr atomicXor atomicExchange atomicCompareExchangeWeak'
  ).split(' '),
)

/** Refuses declarations of runtime names and of built-ins that the runtime needs, and uses of names that the runtime does not have. */
export function checkNames(module: SourceModule): void {
  for (const { name, nameToken } of [...module.functions, ...module.structs, ...module.variables, ...module.constants, ...module.aliases]) {
    if (!NEEDED.has(name)) continue
    throw textError(
      module.source,
      module.label,
      (module.tokens[nameToken] as Token).start,
      `'${name}' is a built-in that the runtime needs; choose another name`,
    )
  }
  module.tokens.forEach((token, i) => {
    if (token.kind !== 'word' || !OURS.test(token.text)) return
    if (isDeclared(module, i)) {
      throw textError(module.source, module.label, token.start, `'${token.text}' cannot be declared: names that begin with svm_ or SVM_ belong to the runtime`)
    }
    if (PUBLIC_NAMES.has(token.text)) return
    const near = nearest(token.text)
    const hint = near === null ? '' : `; did you mean '${near}'?`
    throw textError(module.source, module.label, token.start, `the runtime has no '${token.text}'${hint}`)
  })
}

function isDeclared(module: SourceModule, index: number): boolean {
  const text = (at: number) => module.tokens[at]?.text ?? ''
  const before = text(index - 1)
  if (DECLARING.has(before)) return true
  if (before === '>' && isVariableTemplate(module, index - 1)) return true
  // A parameter or a member: `name:` after an opening, a comma or an attribute. A `case` selector is none.
  return text(index + 1) === ':' && (before === '(' || before === '{' || before === ')' || (before === ',' && !isCaseSelector(module, index)))
}

function isVariableTemplate(module: SourceModule, close: number): boolean {
  for (let i = close - 1; i >= 0 && i > close - 6; i--) {
    if (module.tokens[i]?.text === '<') return module.tokens[i - 1]?.text === 'var'
  }
  return false
}

function isCaseSelector(module: SourceModule, index: number): boolean {
  for (let i = index - 1; i >= 0; i--) {
    const text = (module.tokens[i] as Token).text
    if (text === 'case') return true
    if (text === '{' || text === ';' || text === '}' || text === '(') return false
  }
  return false
}

/** The public name with the fewest single-letter differences, when it is close enough to be a slip. */
function nearest(name: string): string | null {
  let best: string | null = null
  let bestDistance = 4
  for (const candidate of PUBLIC_NAMES) {
    const distance = editDistance(name, candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, k) => k)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
