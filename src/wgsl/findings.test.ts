// What kernel.analysis says by lines, and which loops are taken to wait for another workgroup.

import { describe, expect, test } from 'vitest'
import { translateKernel } from './translate.ts'

const HEAD = `struct Args { a: svm_ptr, b: svm_ptr, n: u32 }
@group(0) @binding(0) var<uniform> args: Args;
`
const K = '@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u)'

function analyse(code: string, protocol?: 'transactional' | 'unsplittable') {
  const options = { code, entryPoint: 'k', label: 'test', addressBits: 32, pageShift: 16, constants: {} } as const
  return translateKernel(protocol === undefined ? options : { ...options, protocol }).analysis
}

/** The text of a kernel whose body begins on line 4. */
const body = (text: string, before = '') => `${HEAD}${before}${K} {\n${text}\n}`

describe('findings', () => {
  const code = `${HEAD}var<workgroup> part: array<atomic<u32>, 4>;
fn unused() { svm_store_u32(args.a, 1u); }
fn helper(p: svm_ptr) -> u32 { return svm_load_u32(p); }
${K} {
  let i = svm_atomic_add_u32(args.a, 1u);
  svm_atomic_add_u32(args.a, 1u);
  let own = atomicAdd(&part[0], 1u);
  workgroupBarrier();
  for (var n = 0u; n < args.n; n++) { svm_store_u8(svm_add(args.b, n), helper(args.b)); }
  svm_atomic_load_u32(args.a);
}`

  test('have the lines of what is reachable', () => {
    expect(analyse(code)).toMatchObject({
      accesses: [
        { kind: 'load', name: 'svm_load_u32', line: 5 },
        { kind: 'atomic', name: 'svm_atomic_add_u32', line: 7, resultUsed: true },
        { kind: 'atomic', name: 'svm_atomic_add_u32', line: 8, resultUsed: false },
        { kind: 'store', name: 'svm_store_u8', line: 11 },
        { kind: 'atomic', name: 'svm_atomic_load_u32', line: 12, resultUsed: true },
      ],
      barrierLines: [10],
      subgroupLines: [],
      workgroupMemory: [{ name: 'part', type: 'array<atomic<u32>, 4>', line: 3 }],
      startTainted: true,
      taintedFromStart: [9],
      polls: false,
      atomicPools: true,
      atomicPoolLines: [7, 8, 11, 12],
      protocol: 'grants',
      variants: ['attempt', 'sealed', 'resident', 'direct'],
      waitLines: [],
    })
  })

  test('say how each loop ends', () => {
    const text = body(`  for (var n = 0u; n < args.n; n++) { if (n == 7u) { continue; } }
  for (var p = svm_load_ptr(args.a); !svm_is_null(p); p = svm_load_ptr(p)) { }
  for (var n = 0u; n < 9u; n += 1u) { n = svm_load_u32(args.a); }
  for (;;) { break; }
  while (svm_load_u32(args.a) != 0u) { }
  loop { workgroupBarrier(); break; }
  for (var n = 0u; n < 9u; n++) { workgroupBarrier(); }`)
    expect(analyse(text).loops.map(({ line, guard }) => [line, guard])).toEqual([
      [4, 'attempt'],
      [5, 'all'],
      [6, 'all'],
      [7, 'all'],
      [8, 'all'],
      [9, 'all'],
      [10, 'none'],
    ])
    expect(analyse(text).loops.at(-2)?.why).toContain('workgroupBarrier in line 9')
    const counted = analyse(
      body('  let n = workgroupUniformLoad(&told);\n  for (var i = 0u; i < n; i++) { workgroupBarrier(); }', 'var<workgroup> told: u32; '),
    )
    expect(counted.loops.map(({ guard }) => guard)).toEqual(['attempt'])
  })

  test('say which variants there are', () => {
    expect(analyse(body(''), 'unsplittable')).toMatchObject({ protocol: 'unsplittable', variants: ['resident', 'direct'] })
    expect(analyse(body(''), 'transactional')).toMatchObject({ protocol: 'transactional', variants: ['attempt', 'sealed', 'resident', 'direct'] })
    expect(analyse(`@group(0) @binding(1) var<storage, read_write> out: array<u32>;\n${K} { out[0] = 1u; }`).variants).toEqual(['resident', 'direct'])
  })

  test('hint at scalar accesses that one wide one would serve', () => {
    const text = body(`  let p = svm_index(args.a, id.x, 16u);
  var s = svm_load_f32(p) + svm_load_f32(svm_add(p, 4u)) + svm_load_f32(svm_add(p, 8u)) + svm_load_f32(svm_add(p, 12u));
  svm_store_f32(args.b, s);
  svm_store_f32(svm_add(args.b, 8u), s);`)
    const { hints } = analyse(text)
    expect(hints.map(({ line }) => line)).toEqual([5])
    expect(hints[0]?.text).toContain('svm_load_vec4_f32')
  })
})

describe('a loop that may wait', () => {
  const waits: readonly (readonly [string, string, number[]])[] = [
    ['for a flag', 'while (svm_atomic_load_u32(args.a) == 0u) { }', [4]],
    ['for a flag, by another name', 'loop {\n let f = svm_atomic_load_u32(args.a);\n if (f != 0u) { break; }\n}', [5]],
    ['for a flag, in a for', 'for (var f = 0u; f == 0u; f = svm_atomic_load_u32(args.a)) { }', [4]],
    ['for a lock', 'while (svm_atomic_compare_exchange_u32(args.a, 0u, 1u) != 0u) { }', [4]],
    ['for a lock taken by exchange', 'loop { if (svm_atomic_exchange_u32(args.a, 1u) == 0u) { break; } }', [4]],
    ['for a flag, asked by adding nothing', 'loop { continuing { break if svm_atomic_add_u32(args.a, 0u) > 3u; } }', [4]],
    [
      'for a flag that decides what decides',
      'var go = true;\nwhile (go) {\n switch (svm_atomic_load_u32(args.a)) { case 1u: { go = false; } default: { } }\n}',
      [6],
    ],
    [
      'for what came before (look-back)',
      'var i = id.x;\nloop {\n let f = svm_atomic_load_u32(svm_index(args.a, i, 4u));\n if (f == 2u) { return; }\n if (f == 1u) { i -= 1u; }\n}',
      [6],
    ],
    ['for a plain word', 'while (svm_load_u32(args.a) != 7u) { }', [4]],
    ['for a plain word, in a for', 'for (var x = 0u; x != 7u; x = svm_load_u32(args.a)) { }', [4]],
    ['in a function', 'while (!try_lock()) { }', [3]],
  ]
  test.each(waits)('%s', (_, text, lines) => {
    const helper = text.includes('try_lock') ? 'fn try_lock() -> bool { return svm_atomic_compare_exchange_u32(args.a, 0u, 1u) == 0u; }\n' : ''
    expect(analyse(body(text, helper)).waitLines).toEqual(lines)
  })

  const others: readonly (readonly [string, string])[] = [
    ['a queue', 'loop { let job = svm_atomic_add_u32(args.a, 1u); if (job >= args.n) { return; } }'],
    [
      'a retry with what was seen',
      'var old = 0u;\nloop { let seen = svm_atomic_compare_exchange_u32(args.a, old, old + 1u); if (seen == old) { break; } old = seen; }',
    ],
    [
      'a probe of a table',
      'var s = id.x;\nloop { let o = svm_atomic_compare_exchange_u32(svm_index(args.a, s, 4u), 0u, 7u); if (o == 0u || o == 7u) { break; } s += 1u; }',
    ],
    ['a count up to a loaded bound', 'var n = 0u;\nwhile (n < svm_load_u32(args.a)) { n += 1u; }'],
    ['a walk', 'var p = args.a;\nwhile (!svm_is_null(p)) { p = svm_load_ptr(p); svm_atomic_add_u32(args.b, 1u); }'],
    ['a count', 'for (var i = 0u; i < args.n; i++) { if (svm_atomic_load_u32(args.a) > 3u) { svm_atomic_add_u32(args.b, 1u); } }'],
  ]
  test.each(others)('none: %s', (_, text) => {
    expect(analyse(body(text)).waitLines).toEqual([])
  })
})

describe('a plain load for which a loop waits for sure is watched as a question', () => {
  const options = { entryPoint: 'k', label: 'test', addressBits: 32, pageShift: 16, constants: {} } as const
  const more = 'var<private> count: u32;\nfn more() -> bool { count += 1u; return count < 9u; }\n'
  /** Lines of the loads that are asked. */
  const asked = (text: string) => {
    const code = body(`var sum = 0u;\n${text}\nsvm_store_u32(args.b, sum);`, more)
    const variant = translateKernel({ ...options, code }).variant({ variant: 'resident', pools: 1, guard: false, loopGuards: 'all', watch: true })
    return [...variant.code.matchAll(/svm_load_u32_line(\d+)w\(svm/g)].map(([, line]) => Number(line) - 7)
  }

  const waits: readonly (readonly [string, string, number[]])[] = [
    ['in the condition', 'while (svm_load_u32(svm_add(args.a, 4u)) == 0u) { }', [0]],
    ['kept in a name', 'loop {\n let f = svm_load_u32(svm_add(args.a, 4u));\n if (f != 0u) { break; }\n}', [1]],
    ['with a count that ends nothing', 'while (svm_load_u32(svm_add(args.a, 4u)) != args.n) { sum += 1u; }', [0]],
    [
      'by either of two words',
      'loop {\nif (svm_load_u32(svm_add(args.a, 4u)) == 1u) { break; }\nif (svm_load_u32(svm_add(args.b, 4u)) == 1u) { return; }\n}',
      [1, 2],
    ],
  ]
  test.each(waits)('%s', (_, text, lines) => expect(asked(text)).toEqual(lines))

  const works: readonly (readonly [string, string])[] = [
    ['it counts', 'for (var n = 0u; n < 9u; n++) { sum += svm_load_u32(svm_add(args.a, 4u)); }'],
    ['a count ends it as well', 'loop { sum += 1u; if (sum == 9u) { break; } if (svm_load_u32(svm_add(args.a, 4u)) != 0u) { break; } }'],
    ['it counts up to what is loaded', 'while (sum < svm_load_u32(svm_add(args.a, 4u)) + 9u) { sum += 1u; }'],
    ['it looks at another word each time', 'while (svm_load_u32(svm_add(args.a, sum)) == 0u) { sum += 4u; }'],
    ['a function ends it', 'while (svm_load_u32(svm_add(args.a, 4u)) == 0u && more()) { sum += 1u; }'],
    ['what a function counts ends it', 'while (svm_load_u32(svm_add(args.a, 4u)) + 9u != count) { sum += u32(more()); }'],
    [
      'the name is changed by something else',
      'var go = 0u;\nwhile (go == 0u) { go = svm_load_u32(svm_add(args.a, 4u)); sum += 1u; if (sum == 9u) { go = 1u; } }',
    ],
  ]
  test.each(works)('not where %s', (_, text) => expect(asked(text)).toEqual([]))
})

describe('a loop counts', () => {
  const guardOf = (before: string, head: string, outside = '') =>
    analyse(body(`${before} for (var x = 1u; ${head}) { svm_store_u32(args.b, x); }`, outside)).loops[0]?.guard
  const LOADED = 'let d = svm_load_u32(args.a);'

  test.each([
    ['', 'x < args.n; x++'],
    [LOADED, 'x < d; x++'],
    ['', 'x > 0u; x--'],
    ['', 'x < args.n; x += 2u'],
    ['', 'x < args.n; x = x + args.n'],
    ['let stride = max(id.y, 1u) * 64u; let more = stride + 1u;', 'x < args.n; x += more'],
    ['', 'x < args.n; x += STEP'],
    ['', 'x > 0u; x >>= 1u'],
    ['', 'x < args.n; x <<= 1u'],
    ['', 'x > 0u; x /= 2u'],
    ['', 'x < 64u; x = x * 3u'],
  ])('%s for (%s)', (before, head) => {
    expect(guardOf(before, head, 'const STEP = 4u;\n')).toBe('attempt')
  })

  test.each([
    [LOADED, 'x < args.n; x += d'],
    [`${LOADED} let more = d + 1u;`, 'x < args.n; x -= more'],
    ['var d = 1u;', 'x < args.n; x += d'],
    ['var<function> d = 1u;', 'x < args.n; x += d'],
    [LOADED, 'x < d; x <<= 1u'],
    [LOADED, 'x > 0u; x >>= d'],
    [LOADED, 'x != 7u; x = d'],
    ['', 'x != 3u; x = links[x & 3u]'],
    ['', 'x < args.n; x += links[0]'],
    ['', 'x != 3u; x = 5u - x'],
  ])('but not where memory says the step: %s for (%s)', (before, head) => {
    expect(guardOf(before, head, 'var<private> links: array<u32, 4>;\n')).toBe('all')
  })

  test('nor where a caller does', () => {
    const code = `${HEAD}fn sum(step: u32) -> u32 { var s = 0u; for (var x = 0u; x < 9u; x += step) { s += x; } return s; }\n${K} { svm_store_u32(args.b, sum(svm_load_u32(args.a))); }`
    expect(analyse(code).loops[0]?.guard).toBe('all')
  })
})
