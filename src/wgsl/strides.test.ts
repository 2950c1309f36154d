// Which calls of svm_index are told their stride. Always: only where the text means the constant that it names.

import { expect, test } from 'vitest'
import { translateKernel } from './translate.ts'

const text = (body: string, head = '') => `struct Pair { one: u32, other: vec2u }
struct Args { a: svm_ptr, n: u32 }
@group(0) @binding(0) var<uniform> args: Args;
override WIDTH = 20u;
const FOUR = 2u * 2u;
${head}
@compute @workgroup_size(1) fn k() { ${body} }`

function called(body: string, head = ''): string | undefined {
  const kernel = translateKernel({ code: text(body, head), entryPoint: 'k', label: 'k', addressBits: 32, pageShift: 12, constants: { WIDTH: 24 } })
  const { code } = kernel.variant({ variant: 'resident', pools: 1, guard: false, loopGuards: 'all' })
  return /(svm_index|svm_at_\w+)\(args\.a, /.exec(code)?.[1]
}

test.each([
  ['a number', 'let p = svm_index(args.a, 1u, 16u);', 'svm_at_0g'],
  ['a constant', 'let p = svm_index(args.a, 1u, FOUR);', 'svm_at_04'],
  ['an override, with the value that was given', 'let p = svm_index(args.a, 1u, WIDTH);', 'svm_at_0o'],
  ['the size of a struct', 'let p = svm_index(args.a, 1u, Pair_size);', 'svm_at_0g'],
  ['the size of a pointer', 'let p = svm_index(args.a, 1u, SVM_PTR_SIZE);', 'svm_at_04'],
  ['an argument is not known', 'let p = svm_index(args.a, 1u, args.n);', 'svm_index'],
  ['0 has a rule of its own', 'let p = svm_index(args.a, 1u, 0u);', 'svm_index'],
  ['too large for two letters', 'let p = svm_index(args.a, 1u, 1296u);', 'svm_index'],
  ['a variable that hides the constant', 'let FOUR = args.n; let p = svm_index(args.a, 1u, FOUR);', 'svm_index'],
])('%s', (_, body, name) => {
  expect(called(body)).toBe(name)
})

test('a parameter that hides the constant', () => {
  expect(called('at(args.n);', 'fn at(FOUR: u32) -> svm_ptr { return svm_index(args.a, 1u, FOUR); }')).toBe('svm_index')
})
