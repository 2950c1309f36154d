// Translation without a device: names, arguments, bindings, layouts, analysis, and what is refused with which line.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { SvmError } from '../base/error.ts'
import { ProgramFailure } from '../device/device.ts'
import { stubFile } from './accessors.ts'
import { type KernelArgument, packArguments } from './args.ts'
import { explainPointerMisuse, explainProgramFailure } from './messages.ts'
import { scan } from './scanner.ts'
import { COLLECTIVE_KERNELS, PLAIN_KERNELS, SUBGROUP_KERNEL, WALK } from './test-kernels.ts'
import { translateKernel } from './translate.ts'

const options = (code: string, constants: Record<string, number> = {}) => ({
  code,
  entryPoint: 'k',
  label: 'test',
  addressBits: 32 as const,
  pageShift: 16,
  constants,
})
const translate = (code: string, constants?: Record<string, number>) => translateKernel(options(code, constants))
const codeOf = (text: string, wish: Partial<Parameters<ReturnType<typeof translate>['variant']>[0]> = {}) =>
  translate(text).variant({ variant: 'attempt', pools: 1, guard: false, loopGuards: 'all', ...wish }).code
const errorOf = (body: () => unknown): SvmError => {
  try {
    body()
  } catch (error) {
    if (error instanceof SvmError) return error
    throw error
  }
  throw new Error('nothing was refused')
}
const ARGS = 'struct Args { a: svm_ptr }\n@group(0) @binding(0) var<uniform> args: Args;\n'
const K = '@compute @workgroup_size(64) fn k()'

describe('scanner', () => {
  test('words, numbers, marks; comments nest and hide braces', () => {
    const source = 'fn a_1(x:u32)->u32{/* { /* } */ { */return x+0x1Fu-1.5e-3f;} // {'
    expect(scan(source).map(({ text }) => text)).toEqual([
      'fn',
      'a_1',
      '(',
      'x',
      ':',
      'u32',
      ')',
      '->',
      'u32',
      '{',
      'return',
      'x',
      '+',
      '0x1Fu',
      '-',
      '1.5e-3f',
      ';',
      '}',
    ])
    for (const token of scan(source)) expect(source.slice(token.start, token.end)).toBe(token.text)
  })

  test('nested template lists close one by one', () => {
    expect(scan('array<vec4<f32>>').map(({ text }) => text)).toEqual(['array', '<', 'vec4', '<', 'f32', '>', '>'])
  })
})

describe("the author's text in the module", () => {
  const everything = { ...PLAIN_KERNELS, ...COLLECTIVE_KERNELS, subgroups: SUBGROUP_KERNEL }

  test.each(Object.entries(everything))('keeps its lines: %s', (_, code) => {
    const lines = code.split('\n')
    const translated = codeOf(code).split('\n')
    lines.forEach((line, k) => {
      // Everything but attributes, names and guards is where it was; a line never moves.
      const words = (text: string) =>
        (text.replace(/var svm_turns\d+ = 0u;/g, '').match(/\b(let|var|return|struct|svm_load_\w+|tile|subgroupAdd)\b/g) ?? [])
          .filter((word) => word !== 'return')
          .join(' ')
      expect(words(translated[k] as string)).toBe(words(line))
    })
    expect(translate(code).checkText.startsWith(code.slice(0, 12))).toBe(true)
  })

  test('guards, renames and paddings', () => {
    const text = codeOf(
      `${ARGS}${K} {\n  for (var i = 0; i < 4; i++) { svm_atomic_add_u32(args.a, 1u); }\n  let x = svm_atomic_add_u32(args.a, 1u);\n  workgroupBarrier();\n  storageBarrier();\n}`,
    )
    const lines = text.split('\n')
    expect(lines[1]).toBe('@group(3) @binding(3) var<uniform> args: Args;')
    expect(lines[3]).toBe('  for (var i = 0; i < 4; i++) { if (svm_tire()) { break; } svm_silent_add_u32(args.a, 1u); }')
    expect(lines[4]).toBe('  let x = svm_atomic_add_u32(args.a, 1u);')
    expect(lines[5]).toBe('  svm_barrier     ();')
    expect(lines[6]).toBe('  svm_sbarrier  ();')
  })

  test.each([
    ['a loop reads them', 'for (var i = 0u; i < args.n; i++) { svm_store_u32(args.a, i); }', true],
    ['no loop does', 'svm_store_u32(args.a, args.n); svm_store_u32(args.a, args.n + 1u);', false],
    ['a loop reads a member of that name', 'let x = Other(1u); for (var i = 0u; i < x.args; i++) { i++; } svm_store_u32(args.a, args.n);', false],
    ['somebody points to them', 'for (var i = 0u; i < args.n; i++) { look(&args); }', false],
    ['somebody points to them, in parentheses', 'for (var i = 0u; i < args.n; i++) { look(&(args)); }', false],
    ['the workgroup meets', 'for (var i = 0u; i < args.n; i++) { workgroupBarrier(); }', false],
  ] as const)('arguments are held by each invocation: %s: %s', (_, body, held) => {
    const text = `struct Args { a: svm_ptr, n: u32 }\nstruct Other { args: u32 }\n@group(0) @binding(0) var<uniform> args: Args;\nfn look(p: ptr<uniform, Args>) {}\n${K} { ${body} }`
    for (const variant of ['attempt', 'resident', 'direct'] as const) {
      const lines = codeOf(text, { variant }).split('\n')
      expect(lines[2]).toBe(held ? `${''.padEnd(22)}var<private> args: Args;` : '@group(3) @binding(3) var<uniform> args: Args;')
      expect(lines.filter((line) => line.includes('svm_arguments')).map((line) => line.trim())).toEqual(
        held ? ['@group(3) @binding(3) var<uniform> svm_arguments: Args;', 'args = svm_arguments;'] : [],
      )
    }
  })

  test('loops with a barrier, by themselves or by a call, are left as one, or as they are when they count', () => {
    const text = `fn sync() { inner(); }\nfn inner() { workgroupBarrier(); }\n${K} {\n  for (;;) { sync(); break; }\n  loop { break; }\n  for (var i = 0; i < 9; i++) { sync(); }\n}`
    const kernel = translate(text)
    expect([kernel.analysis.guardedLoops, kernel.analysis.openLoops, kernel.analysis.barriers]).toEqual([2, 1, true])
    const lines = codeOf(text).split('\n')
    expect(lines[3]).toMatch(/^ {2}var (svm_turns\d+) = 0u; for \(;;\) \{ if \(svm_meet\(\1\)\) \{ break; \} \1 \+= 1u; sync\(\); break; \}$/)
    expect(lines[4]).toBe('  loop { if (svm_stop()) { break; } break; }')
    expect(lines[5]).toBe('  for (var i = 0; i < 9; i++) { sync(); }')
  })

  test('work-items leave loops with subgroup operations as one, or each for itself where that does not compile', () => {
    const text = `enable subgroups;\n${K} {\n  @diagnostic(off, subgroup_uniformity) loop { if (subgroupAdd(1u) > 1u) { break; } }\n  loop { workgroupBarrier(); break; }\n}`
    const heads = (loopGuards: 'accessing' | 'apart' | 'none') => codeOf(text, { loopGuards }).match(/svm_(stop|meet)\((svm_turns\d+)?\)\) \{ break/g) ?? []
    const counted = (heads: readonly string[]) => heads.map((head) => head.includes('svm_meet'))
    expect(counted(heads('accessing'))).toEqual([true, true])
    expect(counted(heads('apart'))).toEqual([false, true])
    expect(heads('none')).toEqual([])
    expect(codeOf(text).split('\n')[2]).toMatch(/^ {2}var svm_turns\d+ = 0u; @diagnostic\(off, subgroup_uniformity\) loop \{/)
  })

  test.each([
    ['attempt', 'all', 4],
    ['attempt', 'accessing', 2],
    ['attempt', 'none', 0],
    ['resident', 'all', 3],
    ['resident', 'accessing', 2],
    ['attempt', 'apart', 2],
    ['resident', 'none', 0],
  ] as const)('loop guards: %s, %s', (variant, loopGuards, count) => {
    const text = `${ARGS}fn get() -> u32 { return svm_load_u32(args.a); }\n${K} {\n  for (;;) { if (get() > 1u) { break; } }\n  while (svm_load_u32(args.a) > 1u) {}\n  loop { break; }\n  for (var i = 0u; i < 9u; i++) {}\n}`
    expect(codeOf(text, { variant, loopGuards }).match(/svm_(stop|wait|tire)\(\)\) \{ break/g) ?? []).toHaveLength(count)
  })

  test('the analysis tells which guards a program was built with: the least of several, and which loops lost theirs', () => {
    const text = `${ARGS}${K} {\n  for (;;) { if (svm_load_u32(args.a) > 1u) { break; } }\n  loop { break; }\n  for (var i = 0u; i < 9u; i++) { _ = svm_load_u32(args.a); }\n}`
    const kernel = translate(text)
    const told = () => kernel.analysis.guards.map(({ variant, level, droppedLines }) => [variant, level, droppedLines])
    const unbuilt = (['resident', 'direct'] as const).map((variant) => [variant, 'unbuilt', []])
    const head = text.slice(0, text.indexOf('for (;;)')).split('\n').length
    expect(told()).toEqual([['attempt', 'unbuilt', []], ...unbuilt])
    kernel.built('attempt', 'all')
    expect(told()).toEqual([['attempt', 'all', []], ...unbuilt])
    kernel.built('attempt', 'uncounted')
    kernel.built('attempt', 'accessing')
    expect(told()).toEqual([['attempt', 'uncounted', [head + 1, head + 2]], ...unbuilt])
    kernel.built('resident', 'none')
    expect(told()[1]).toEqual(['resident', 'none', [head, head + 1]])
  })

  test('the same wish gives the same text', () => {
    expect(codeOf(WALK)).toBe(codeOf(WALK))
    expect(codeOf(WALK)).not.toContain('svm_load_vec4')
  })
})

describe('analysis', () => {
  test('of the walk', () => {
    const { analysis, args, layouts } = translate(WALK)
    expect(analysis).toMatchObject({
      workgroupSize: [64, 1, 1],
      loads: true,
      stores: false,
      atomics: true,
      usedAtomics: false,
      startTainted: false,
      barriers: false,
      subgroups: false,
      writableBindings: [],
      guardedLoops: 1,
      openLoops: 0,
      atomicPools: true,
    })
    expect(args).toEqual({
      addressBits: 32,
      byteLength: 8,
      fields: [
        { name: 'heads', type: 'svm_ptr', offset: 0, byteLength: 4 },
        { name: 'sum', type: 'svm_ptr', offset: 4, byteLength: 4 },
      ],
    })
    expect(layouts['Node']).toEqual({
      byteLength: 8,
      alignment: 4,
      fields: { value: { offset: 0, byteLength: 4, type: 'u32' }, next: { offset: 4, byteLength: 4, type: 'svm_ptr' } },
    })
  })

  test('of the walk with 64-bit addresses: a pointer has 8 bytes, on 8', () => {
    const { args, layouts, checkText } = translateKernel({ ...options(WALK), addressBits: 64 })
    expect(args.fields.map(({ offset, byteLength }) => [offset, byteLength])).toEqual([
      [0, 8],
      [8, 8],
    ])
    expect(layouts['Node']).toEqual({
      byteLength: 16,
      alignment: 8,
      fields: { value: { offset: 0, byteLength: 4, type: 'u32' }, next: { offset: 8, byteLength: 8, type: 'svm_ptr' } },
    })
    expect(checkText).toContain('const SVM_PTR_SIZE = 8u;')
    const bytes = packArguments(args, { heads: 2 ** 47 + 5, sum: 0xffff_0000_0001n }, 'test')
    expect([...new Uint32Array(bytes.buffer)]).toEqual([5, 0x8000, 1, 0xffff])
    expect(errorOf(() => packArguments(args, { heads: 2 ** 48, sum: 0 }, 'test')).message).toContain('from 0 to 2^48 - 1')
    expect(errorOf(() => packArguments(args, { heads: 2n ** 60n + 1n, sum: 0 }, 'test')).code).toBe('invalid-value')
  })

  test('bindings of the author, and those he can write', () => {
    const { authorBindings, analysis, args } = translate(PLAIN_KERNELS['bindings of the author'] as string)
    expect(authorBindings).toEqual([
      { group: 0, binding: 0, name: 'out', kind: 'storage', type: 'array<u32>' },
      { group: 0, binding: 1, name: 'numbers', kind: 'read-only-storage', type: 'array<u32>' },
      { group: 2, binding: 0, name: 'picture', kind: 'texture', type: 'texture_2d<f32>' },
    ])
    expect(analysis.writableBindings).toEqual(['out'])
    expect(args.fields.map(({ type, offset }) => [type, offset])).toEqual([
      ['svm_ptr', 0],
      ['vec4<f32>', 16],
      ['array<vec4<u32>, 3>', 32],
    ])
  })

  test('a used atomic on workgroup memory starts tainted; a dropped result does not', () => {
    const wg = 'var<workgroup> n: atomic<u32>;\n'
    expect(translate(`${wg}${K} { let x = atomicAdd(&n, 1u); }`).analysis.startTainted).toBe(true)
    expect(translate(`${wg}${K} { let x = atomicLoad(&n); }`).analysis.startTainted).toBe(true)
    expect(translate(`${wg}${K} { atomicAdd(&n, 1u); atomicStore(&n, 1u); }`).analysis.startTainted).toBe(false)
    expect(translate(`${wg}fn unused() -> u32 { return atomicAdd(&n, 1u); }\n${K} {}`).analysis.startTainted).toBe(false)
  })

  test('workgroup sizes from constants and overrides', () => {
    const text = 'const A = 2u;\noverride B: u32 = A * 4;\n@id(7) override C: u32;\n@compute @workgroup_size(B, (A + 1), C) fn k() {}'
    expect(translate(text, { 7: 5 }).analysis.workgroupSize).toEqual([8, 3, 5])
    expect(translate(text, { B: 1 << 4, 7: 1 }).analysis.workgroupSize).toEqual([16, 3, 1])
    expect(errorOf(() => translate(text)).message).toContain('line 4:')
    expect(errorOf(() => translate(text, { D: 1, 7: 1 })).message).toMatch(/no override 'D'.*B, 7/)
  })

  test('layouts of nested structs, alignment and size attributes, runtime-sized arrays', () => {
    const text = `alias Ptr = svm_ptr;
struct Inner { a: vec3f, b: f32, @align(32) c: u32, @size(16) d: u32 }
struct Outer { list: array<Inner, 2 * 2>, p: Ptr, rest: array<u32> }
struct Flags { on: bool }
${K} { let x = Outer_p + Inner_size; }`
    const { layouts } = translate(text)
    expect(layouts['Inner']?.fields['c']).toEqual({ offset: 32, byteLength: 4, type: 'u32' })
    expect(layouts['Inner']?.byteLength).toBe(64)
    expect(layouts['Outer']?.fields['p']).toEqual({ offset: 256, byteLength: 4, type: 'svm_ptr' })
    expect(layouts['Outer']?.fields['rest']?.offset).toBe(260)
    expect(layouts['Flags']).toBeUndefined()
    const code = codeOf(text)
    expect(code).toContain('const Outer_p: u32 = 256u;')
    expect(code).not.toContain('const Outer_size')
  })
})

describe('refused, with the line', () => {
  const entry = `${ARGS}${K} {`
  test.each([
    ['a function', `fn svm_mine() {}\n${K} {}`, /line 1:4.*'svm_mine' cannot be declared/],
    ['a local', `${K} {\n  let svm_x = 1;\n}`, /line 2:7.*cannot be declared/],
    ['a typed variable', `var<private> SVM_X: u32;\n${K} {}`, /line 1:14.*cannot be declared/],
    ['a parameter', `fn f(a: u32, svm_b: u32) {}\n${K} {}`, /line 1:14.*cannot be declared/],
    ['a member', `struct S { svm_b: u32 }\n${K} {}`, /line 1:12.*cannot be declared/],
    ['an unknown function', `${entry}\n  svm_lod_u32(args.a);\n}`, /line 4:3.*no 'svm_lod_u32'; did you mean 'svm_load_u32'/],
    ['an internal name', `${entry}\n  svm_word(1u);\n}`, /line 4:3.*no 'svm_word'/],
    ['a built-in of the runtime', `fn select() {}\n${K} {}`, /line 1:4.*'select' is a built-in/],
    ['no entry point', 'fn j() {}', /no function 'k'/],
    ['another entry point', '@compute @workgroup_size(1) fn j() {}', /no function 'k'.*'j'/],
    ['no @compute', 'fn k() {}', /line 1:4.*not an entry point/],
    ['no workgroup size', '@compute fn k() {}', /no @workgroup_size/],
    ['group 3', `@group(3) @binding(0) var<storage> x: array<u32>;\n${K} {}`, /line 1:36.*group 3/],
    ['two argument structs', `${ARGS}@group(0) @binding(1) var<uniform> more: Args;\n${K} { let a = args.a; let b = more.a; }`, /line 3:.*'args' and 'more'/],
    [
      'a matrix in the arguments',
      `struct Args { m: mat4x4f }\n@group(0) @binding(0) var<uniform> args: Args;\n${K} { let a = args.m; }`,
      /line 1:15.*'m' has type 'mat4x4f'/,
    ],
    [
      'a struct in the arguments',
      `struct In { x: vec4f }\nstruct Args { s: In }\n@group(0) @binding(0) var<uniform> args: Args;\n${K} { let a = args.s; }`,
      /line 2:15.*'s'/,
    ],
    ['an unknown built-in', `@compute @workgroup_size(1) fn k(@builtin(position) p: vec4f) {}`, /line 1:53.*'position'/, true],
    ['an unclosed brace', `${K} {\n  if (true) {\n`, /line 1:\d+.*never closed/],
    ['an unclosed comment', `/* /* */\n${K} {}`, /line 1:1.*never closed/],
    ['an ambiguous constant', `struct S { size: u32, x: u32 }\n${K} { let n = S_size; }`, /line 2:\d+.*'S_size'/],
  ])('%s', (_, code, pattern, atVariant = false) => {
    const error = errorOf(() => (atVariant ? codeOf(code) : translate(code)))
    expect(error.code).toBe('build-failed')
    expect(error.kernel).toBe('test')
    expect(error.message).toMatch(pattern)
  })

  test('a guard in a kernel with barriers', () => {
    expect(errorOf(() => codeOf(`${K} { workgroupBarrier(); }`, { guard: true })).code).toBe('invalid-value')
  })

  test('a case selector and a member access are no declarations', () => {
    expect(() => translate(`${K} { switch (4u) { case 3u, SVM_PTR_SIZE: {} default: {} } }`)).not.toThrow()
  })
})

describe('arguments', () => {
  const { args } = translate(
    `struct Args { p: svm_ptr, n: u32, i: i32, f: f32, v: vec3f, l: array<vec4<u32>, 2> }\n@group(0) @binding(0) var<uniform> args: Args;\n${K} { let a = args.p; }`,
  )
  const good = { p: 0xfffff000, n: 7, i: -8, f: 1.5, v: [1, 2, 3], l: new Uint32Array(8).fill(9) }

  test('are packed where the struct has them', () => {
    const bytes = packArguments(args, { ...good, p: 0xfffff000n }, 'test')
    expect(bytes.byteLength).toBe(64)
    const words = new Uint32Array(bytes.buffer)
    expect([...words.subarray(0, 3)]).toEqual([0xfffff000, 7, 0xfffffff8])
    expect([...new Float32Array(bytes.buffer).subarray(3, 7)]).toEqual([1.5, 1, 2, 3])
    expect([...words.subarray(8)]).toEqual([9, 9, 9, 9, 9, 9, 9, 9])
  })

  test.each([
    [{ p: -1 }, /'p' must be a pointer.*found -1/],
    [{ p: 2 ** 32 }, /'p' must be a pointer/],
    [{ p: 1.5 }, /'p' must be a pointer/],
    [{ p: 2n ** 32n }, /'p' must be a pointer/],
    [{ n: -1 }, /'n' must be a u32/],
    [{ i: 2 ** 31 }, /'i' must be an i32/],
    [{ f: 1n }, /'f' must be an f32/],
    [{ f: '1' as unknown as number }, /'f' must be an f32.*the string '1'/],
    [{ v: 3 }, /'v'.*needs 3 numbers/],
    [{ v: [1, 2] }, /'v'.*needs 3 numbers, found 2/],
    [{ v: [1, 2, Number.NaN] }, null],
    [{ l: [1, 2, 3, 4, 5, 6, 7, -1] }, /'l\[7\]' must be a u32/],
    [{ n: undefined as unknown as number }, /'n' \(u32\) is missing/],
    [{ other: 1 }, /no argument 'other'; it takes p, n, i, f, v, l/],
  ] as [Record<string, KernelArgument>, RegExp | null][])('%o', (change, pattern) => {
    const pack = () => packArguments(args, { ...good, ...change }, 'test')
    if (pattern === null) return expect(pack).not.toThrow()
    const error = errorOf(pack)
    expect([error.code, error.kernel]).toEqual(['invalid-value', 'test'])
    expect(error.message).toMatch(pattern)
  })

  test('a kernel without a uniform takes none', () => {
    expect(packArguments(translate(`${K} {}`).args, {}, 'test').byteLength).toBe(0)
    expect(errorOf(() => packArguments(translate(`${K} {}`).args, { a: 1 }, 'test')).message).toContain('it takes no arguments')
  })
})

describe('messages', () => {
  const message = (line: number, column: number, text: string, type: 'error' | 'info' | 'warning' = 'error') => ({ type, line, column, text })

  test("the first error in the author's text wins, with his names and columns", () => {
    const code = `${K} { loop { break; } while (true) { workgroupBarrier(); } let x: u32 = 1.5; }`
    const program = translate(code).variant({ variant: 'attempt', pools: 1, guard: false, loopGuards: 'all' })
    const column = program.code.indexOf('1.5') + 1
    const failure = new ProgramFailure([message(40, 1, 'elsewhere'), message(1, column, "bad value in 'svm_user_k'")])
    expect(explainProgramFailure(failure, options(code), program).message).toBe(`kernel 'test', line 1:${code.indexOf('1.5') + 1}: bad value in 'k'`)
  })

  test('what was renamed has its name', () => {
    const code = `${ARGS}${K} { svm_store_u32(svm_index(args.a, 1u, 4u), svm_load_u32(svm_index(args.a, 0u, 4u))); }`
    const program = translate(code).variant({ variant: 'direct', pools: 1, guard: false, loopGuards: 'all', proof: 'paged' })
    const [renamed] = program.code.match(/svm_s\w\w_u32/) ?? []
    const failure = new ProgramFailure([{ type: 'error', line: 3, column: 1, text: `no matching call to '${renamed}'` }])
    expect(explainProgramFailure(failure, options(code), program).message).toContain("no matching call to 'svm_store_u32'")
  })

  test('without any place the text is told alone', () => {
    expect(explainProgramFailure(new ProgramFailure([message(0, 0, 'too many bindings')]), options(WALK)).message).toBe("kernel 'test', too many bindings")
  })

  test('no errors, no misuse', () => {
    expect(explainPointerMisuse([message(3, 1, 'unreachable', 'warning')], options(WALK))).toBeNull()
  })
})

test('svm.wgsl holds the stubs of all public names', () => {
  expect(readFileSync(new URL('svm.wgsl', import.meta.url), 'utf8')).toBe(stubFile())
})
