// Where launches reach: what is found for kernels as people write them, and what is not.

import { describe, expect, it } from 'vitest'
import { packArguments } from './args.ts'
import { translateKernel } from './translate.ts'

interface Launch {
  readonly args: Record<string, number>
  readonly groups: readonly [number, number, number]
  readonly global?: readonly [number, number, number]
  readonly part?: readonly [number, number]
  readonly constants?: Record<string, number>
  readonly bits?: 32 | 64
}

/** `kind start..end` of each extent, `kind?` where not all work-items make an access. */
function reached(code: string, { args, groups, global, part, constants = {}, bits = 32 }: Launch): string[] | null {
  const kernel = translateKernel({ code, entryPoint: 'main', label: 'k', addressBits: bits, pageShift: 16, constants })
  const size = kernel.analysis.workgroupSize
  const found = kernel.bounds.of({
    args: packArguments(kernel.args, args, 'k'),
    workgroups: groups,
    global: global ?? (groups.map((count, n) => count * (size[n] as number)) as [number, number, number]),
    guard: global !== undefined,
    offset: [0, 0, 0],
    first: part?.[0] ?? 0,
    end: part?.[1] ?? groups[0] * groups[1] * groups[2],
  })
  return found?.map(({ kind, start, end, certain }) => `${kind}${certain ? '' : '?'} ${start}..${end}`) ?? null
}

const ARGS = 'struct Args { a: svm_ptr, b: svm_ptr, n: u32 }\n@group(0) @binding(0) var<uniform> args: Args;\n'
const main = (body: string, size = '64', more = '') =>
  `${ARGS}${more}\n@compute @workgroup_size(${size}) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u, @builtin(local_invocation_index) index: u32) {\n${body}\n}`
const args = { a: 0x10000, b: 0x20000, n: 1000 }
const flat = { args, groups: [2, 1, 1] } as const

describe('the reach of a launch', () => {
  it('is what streams touch', () => {
    expect(reached(main('svm_store_f32(svm_index(args.a, id.x, 4u), svm_load_f32(svm_index(args.b, id.x, 4u)) + 1.0);'), flat)).toEqual([
      `load ${0x20000}..${0x20000 + 512}`,
      `store ${0x10000}..${0x10000 + 512}`,
    ])
    expect(reached(main('svm_store_vec4_f32(svm_index(args.a, id.x, 16u), svm_load_vec4_f32(svm_add(args.b, id.x * 16u)));'), flat)).toEqual([
      `load ${0x20000}..${0x20000 + 2048}`,
      `store ${0x10000}..${0x10000 + 2048}`,
    ])
    expect(reached(main('svm_store_u32(svm_index(args.a, id.x, 4u), 1u);'), { ...flat, bits: 64, args: { ...args, a: 2 ** 40 } })).toEqual([
      `store ${2 ** 40}..${2 ** 40 + 512}`,
    ])
  })

  it('is that of the part that runs', () => {
    const code = main('svm_store_u32(svm_add(args.a, id.y * args.n + id.x * 4u), 1u);', '8, 8')
    expect(reached(code, { args: { ...args, n: 256 }, groups: [4, 4, 1], part: [4, 8] })).toEqual([`store ${0x10000 + 8 * 256}..${0x10000 + 15 * 256 + 128}`])
    expect(reached(code, { args: { ...args, n: 256 }, groups: [4, 4, 1], part: [5, 7] })).toEqual([
      `store ${0x10000 + 8 * 256 + 32}..${0x10000 + 15 * 256 + 96}`,
    ])
    // The last of one row and the first of the next are two boxes.
    expect(reached(code, { args: { ...args, n: 256 }, groups: [4, 4, 1], part: [3, 5] })).toEqual([
      `store ${0x10000 + 96}..${0x10000 + 7 * 256 + 128}`,
      `store ${0x10000 + 8 * 256}..${0x10000 + 15 * 256 + 32}`,
    ])
  })

  it('leaves out what a guard leaves out, and knows when it leaves out nothing', () => {
    const guarded = main('let v = id.x;\nif (v >= args.n) { return; }\nsvm_store_u32(svm_index(args.a, v, 4u), 1u);')
    expect(reached(guarded, { args: { ...args, n: 100 }, groups: [2, 1, 1] })).toEqual([`store? ${0x10000}..${0x10000 + 400}`])
    expect(reached(guarded, { args: { ...args, n: 128 }, groups: [2, 1, 1] })).toEqual([`store ${0x10000}..${0x10000 + 512}`])
    const member = main('if (id.x < args.n && id.x > 3u) { svm_store_u32(svm_index(args.a, id.x, 4u), 1u); } else { svm_store_u32(args.b, 1u); }')
    expect(reached(member, { args: { ...args, n: 100 }, groups: [2, 1, 1] })).toEqual([
      `store? ${0x10000 + 16}..${0x10000 + 400}`,
      `store? ${0x20000}..${0x20000 + 4}`,
    ])
    expect(reached(main('svm_store_u32(svm_index(args.a, id.x, 4u), 1u);'), { ...flat, global: [70, 1, 1] })).toEqual([`store ${0x10000}..${0x10000 + 280}`])
    expect(reached(main('if (id.x > 500u) { svm_store_u32(svm_load_ptr(args.b), 1u); }'), flat)).toEqual([])
  })

  it.each([
    ['<', 0, 5, 5, 128],
    ['<=', 0, 6, 6, 128],
    ['>', 6, 128, 0, 6],
    ['>=', 5, 128, 0, 5],
    ['==', 5, 6, 0, 128],
    ['!=', 0, 128, 5, 6],
  ])('takes a comparison by %s and its opposite to the word', (operator, first, end, otherFirst, otherEnd) => {
    const at = (from: number, to: number) => [`store? ${0x10000 + 4 * from}..${0x10000 + 4 * to}`]
    const access = 'svm_store_u32(svm_index(args.a, id.x, 4u), 1u);'
    expect(reached(main(`if (id.x ${operator} 5u) { ${access} }`), flat)).toEqual(at(first, end))
    expect(reached(main(`if (id.x ${operator} 5u) { } else { ${access} }`), flat)).toEqual(at(otherFirst, otherEnd))
    expect(reached(main(`if (!(id.x ${operator} 5u)) { return; }\n${access}`), flat)).toEqual(at(first, end))
    expect(reached(main(`if (5u ${operator} id.x) { } else { ${access} }`), flat)).not.toBeNull()
  })

  it('counts loops up, down and by factors', () => {
    const loop = (head: string, access = 'svm_load_u32(svm_index(args.a, i, 4u))') => main(`var sum = 0u;\nfor (${head}) { sum += ${access}; }`)
    expect(reached(loop('var i = 0u; i < args.n; i++'), flat)).toEqual([`load ${0x10000}..${0x10000 + 4000}`])
    expect(reached(loop('var i = 4u; i < 100u; i += 16u'), flat)).toEqual([`load ${0x10000 + 16}..${0x10000 + 4 * 84 + 4}`])
    expect(reached(loop('var i = index; i < 128u; i += 64u'), flat)).toEqual([`load ${0x10000}..${0x10000 + 512}`])
    expect(reached(loop('var i = 10u; i > 2u; i--'), flat)).toEqual([`load ${0x10000 + 12}..${0x10000 + 44}`])
    expect(reached(loop('var i = 1u; i <= 64u; i *= 2u'), flat)).toEqual([`load ${0x10000 + 4}..${0x10000 + 260}`])
    expect(reached(loop('var i = 32u; i > 0u; i >>= 1u'), flat)).toEqual([`load ${0x10000 + 4}..${0x10000 + 132}`])
    expect(reached(loop('var i = 5; i >= 0; i--', 'svm_load_u32(svm_index(args.a, u32(i), 4u))'), flat)).toEqual([`load ${0x10000}..${0x10000 + 24}`])
    // It wraps around before it ends.
    expect(reached(loop('var i = 0u; i < 4294967295u; i += 2u'), flat)).toBeNull()
    expect(reached(loop('var i = 10u; i >= 0u; i--'), flat)).toBeNull()
    expect(reached(loop('var i = 0u; i != 10u; i += 3u'), flat)).toBeNull()
  })

  it('forgets what loops assign to, and knows what their conditions say', () => {
    expect(
      reached(main('var i = 0u;\nwhile (i < 8u) { svm_store_u32(svm_index(args.a, i, 4u), 1u); i = svm_load_u32(svm_index(args.b, i, 4u)); }'), flat),
    ).toEqual([`load? ${0x20000}..${0x20000 + 32}`, `store? ${0x10000}..${0x10000 + 32}`])
    expect(reached(main('var i = 0u;\nloop { if (i == 4u) { break; } svm_store_u32(svm_index(args.a, i, 4u), 1u); continuing { i++; } }'), flat)).toBeNull()
    expect(reached(main('var at = 0u;\nfor (var i = 0u; i < 4u; i++) { svm_store_u32(svm_index(args.a, at, 4u), 1u); at += 1u; }'), flat)).toBeNull()
    expect(reached(main('var i = 3u;\nfor (var n = 0u; n < 4u; n++) { i = 7u; }\nsvm_store_u32(svm_index(args.a, i, 4u), 1u);'), flat)).toBeNull()
  })

  it('bounds what is loaded by masks, shifts, remainders and clamps', () => {
    const by = (index: string) => reached(main(`let x = svm_load_u32(args.b);\nsvm_store_u32(svm_index(args.a, ${index}, 4u), 1u);`), flat)?.[1]
    expect(by('x & 15u')).toBe(`store ${0x10000}..${0x10000 + 64}`)
    expect(by('x >> 24u')).toBe(`store ${0x10000}..${0x10000 + 1024}`)
    expect(by('x % args.n')).toBe(`store ${0x10000}..${0x10000 + 4000}`)
    expect(by('min(x, 9u)')).toBe(`store ${0x10000}..${0x10000 + 40}`)
    expect(by('clamp(x, 3u, 9u)')).toBe(`store ${0x10000 + 12}..${0x10000 + 40}`)
    expect(by('select(3u, 7u, x > 5u)')).toBe(`store ${0x10000 + 12}..${0x10000 + 32}`)
    expect(by('(x & 0xf0u) / 16u')).toBe(`store ${0x10000}..${0x10000 + 64}`)
    expect(by('u32(svm_load_u8(args.b) + 1u)')).toBe(`store ${0x10000 + 4}..${0x10000 + 4 * 257}`)
    expect(by('x')).toBeUndefined()
    expect(by('x + 1u')).toBeUndefined()
    expect(by('x / 0u')).toBeUndefined()
  })

  it('follows functions, constants, overrides, structs and vectors', () => {
    const more = `const WIDTH = 8u; const ROWS: u32 = 4; override scale: u32 = 2u;\nstruct Place { row: u32, column: u32 }
fn at(place: Place) -> svm_ptr { return svm_index(args.a, place.row * WIDTH + place.column, 4u * scale); }
fn place_of(n: u32) -> Place { return Place(n / WIDTH % ROWS, n % WIDTH); }`
    const code = main('let pair = vec2(index, index).yx;\nsvm_store_u32(at(place_of(pair.x)), 1u);', '64', more)
    expect(reached(code, flat)).toEqual([`store ${0x10000}..${0x10000 + 31 * 8 + 4}`])
    expect(reached(code, { ...flat, constants: { scale: 1 } })).toEqual([`store ${0x10000}..${0x10000 + 128}`])
  })

  it('is not known of pointers from memory, of unaligned places, of what wraps around, of variables that pointers lead to', () => {
    const none = [
      'svm_store_u32(svm_load_ptr(args.a), 1u);',
      'svm_store_u32(svm_add(args.a, id.x), 1u);',
      'svm_store_u32(svm_sub(args.a, svm_load_u32(args.b)), 1u);',
      'svm_store_u32(svm_index(args.a, id.x - 1u, 4u), 1u);',
      'svm_store_u32(svm_index(args.a, 0x40000000u, 4u), 1u);',
      'var x = 1u;\nlet p = &x;\n*p = 5u;\nsvm_store_u32(svm_index(args.a, x, 4u), 1u);',
      'var x = 1u;\nchange(&x);\nsvm_store_u32(svm_index(args.a, x, 4u), 1u);',
    ]
    for (const body of none) expect([body, reached(main(body, '64', 'fn change(p: ptr<function, u32>) { *p = 7u; }'), flat)]).toEqual([body, null])
  })

  const store = (index: string) => `svm_store_u32(svm_index(args.a, ${index}, 4u), 1u);`

  it('follows counters that step by themselves', () => {
    // 6, 9, 13, 19, …: no multiples of 3.
    expect(reached(main(`for (var i = 6u; i < 100u; i += i / 2u) { ${store('i')} }`), flat)).toEqual([`store ${0x10000}..${0x10000 + 400}`])
    expect(reached(main(`for (var i = 1u; i < 0x10000u; i += i * 0x10000u) { ${store('i - 1u')} }`), flat)).toBeNull()
  })

  it("forgets before a loop's update what the condition said of what the body assigns to", () => {
    expect(reached(main(`var i = 0u;\nfor (; i < 8u; ${store('i').slice(0, -1)}) { i = svm_load_u32(args.b); }`), flat)).toBeNull()
    expect(reached(main(`var i = 0u;\nfor (var n = 0u; i < 8u; n += svm_load_u32(svm_index(args.a, i, 4u))) { i += 5u; }`), flat)).toBeNull()
    // What the body declares is none of the update's.
    expect(reached(main(`let at = 3u;\nfor (var n = 0u; n < 8u; ${store('at').slice(0, -1)}) { let at = 9u; n++; }`), flat)).toEqual([
      `store? ${0x10000 + 12}..${0x10000 + 16}`,
    ])
  })

  it('gives literals the type of what they stand with', () => {
    // As u32 each of these is huge where index is not; as i32 it would be negative.
    const wrapped = (declared: string, place: string) =>
      reached(main(`${declared}\nif (${place} - 2 > 100) { svm_store_u32(args.b, 1u); }`, '64', 'struct One { n: u32 }'), flat)
    const there = [`store? ${0x20000}..${0x20000 + 4}`]
    for (const [declared, place] of [
      ['let v = vec2(1, index);', 'v.x'],
      ['let v = select(1, index, false);', 'v'],
      ['let v = One(1);', 'v.n'],
      ['let v = array<u32, 2>(1, 1);', 'v[0]'],
      ['let v = array(1, 1u);', 'v[0]'],
    ] as const) {
      expect([declared, wrapped(declared, place)]).toEqual([declared, there])
    }
    // And these are floats.
    const half = (declared: string, place: string) => reached(main(`${declared}\n${store(`u32(${place} / 2 * 4)`)}`, '64', 'struct Real { f: f32 }'), flat)
    expect(half('let v = vec2(1, 2.5);', 'v.x')).toBeNull()
    expect(half('let v = select(1, 2.5, false);', 'v')).toBeNull()
    expect(half('let v = Real(1);', 'v.f')).toBeNull()
    expect(half('let v = array<f32, 2>(1, 1);', 'v[0]')).toBeNull()
  })

  it('knows no part of a vector that is made of what it does not know', () => {
    const of = (made: string, bits: 32 | 64 = 32) => reached(main(`let v = ${made};\n${store('v.z')}`), { ...flat, bits })
    expect(of('vec4u(firstLeadingBit(id.xy), 7u, 8u)')).toBeNull()
    expect(of('vec4u(firstLeadingBit(id.xy), firstLeadingBit(id.xy))')).toBeNull()
    expect(of('vec4u(args.a, args.b)', 64)).toEqual([`store ${0x10000}..${0x10000 + 2 ** 34}`])
    expect(of('vec4u(id.xy, 7u, 8u)')).toEqual([`store ${0x10000 + 28}..${0x10000 + 32}`])
    // The low word of a pointer is no pointer.
    const low = main('let v = select(args.a, args.b, vec2<bool>(false, true));\nsvm_store_u32(svm_index(args.a, v.x, 4u), 1u);')
    expect(reached(low, { ...flat, bits: 64, args: { ...args, a: 2 ** 32 + 0x10000 } })).toBeNull()
  })

  it('knows nothing of what lies outside of an array or a vector', () => {
    const at = (table: string, place: string) => reached(main(`let t = ${table};\nlet x = svm_load_u32(args.b);\n${store(`t[${place}]`)}`), flat)?.[1]
    expect(at('array<u32, 4>(5, 6, 7, 8)', 'x & 3u')).toBe(`store ${0x10000 + 20}..${0x10000 + 36}`)
    expect(at('array<u32, 4>(5, 6, 7, 8)', 'x & 7u')).toBeUndefined()
    expect(at('vec2u(5, 6)', 'x & 1u')).toBe(`store ${0x10000 + 20}..${0x10000 + 28}`)
    expect(at('vec2u(5, 6)', 'x & 3u')).toBeUndefined()
  })

  it('reads the text as the compiler does', () => {
    const more = 'const N = 2;'
    const far = store('0x100u')
    expect(reached(main(`var t: array<u32, select(1, 2, N < 3)>; ${far}\nlet y = id.x > (3u);`, '64', more), flat)).toBeNull()
    expect(reached(main(`let t = array<u32, select(1, 2, (N < 3))>(1u, 2u); ${far}\nlet y = id.x > (3u);`, '64', more), flat)).toBeNull()
    const stores = 'fn f() -> u32 { svm_store_u32(args.b, 1u); return 1u; }'
    expect(reached(main('let ptr = index;\nif (ptr < f() && id.x > (3u)) { return; }', '64', stores), flat)).toBeNull()
    const lines = ['\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029']
    for (const end of lines) expect([end, reached(main(`// why${end}${far}`), flat)]).toEqual([end, [`store ${0x10000 + 0x400}..${0x10000 + 0x404}`]])
    expect(reached(main(`let v = vec2u(3u, 9u);\n${store('v.x')}`, '64', 'struct vec2u { y: u32, x: u32 }'), flat)).toBeNull()
  })

  it('is not known of a loop that may wait: when it has waited for too long something comes that no text says', () => {
    const waits = 'fn f() -> u32 { loop { if (svm_load_u32(args.b) == 1u) { return 5u; } } }'
    expect(reached(main(store('f()'), '64', waits), flat)).toBeNull()
    expect(reached(main(`while (svm_load_u32(args.b) == 1u) { }\n${store('1u')}`), flat)).toBeNull()
    expect(reached(main(store('1u'), '64', waits), flat)).toEqual([`store ${0x10000 + 4}..${0x10000 + 8}`])
  })

  it('takes what functions return in branches', () => {
    const either = 'fn f(n: u32) -> u32 { if (n > 3u) { return 5u; } else { return 6u; } }'
    expect(reached(main(store('f(index)'), '64', either), flat)).toEqual([`store? ${0x10000 + 20}..${0x10000 + 28}`])
  })

  it('takes no override that is no integer', () => {
    const code = main(store('scale'), '64', 'override scale: u32 = 2u;')
    expect(reached(code, { ...flat, constants: { scale: 3 } })).toEqual([`store ${0x10000 + 12}..${0x10000 + 16}`])
    expect(reached(code, { ...flat, constants: { scale: 2.75 } })).toBeNull()
    expect(reached(main(`if (0x7fffffffffffffff > 9007199254740991) { ${store('1u')} }`), flat)).toEqual([`store? ${0x10000 + 4}..${0x10000 + 8}`])
  })

  it('is not known where a pointer leaves the space, though nobody follows it', () => {
    expect(reached(main('if (svm_equal(svm_sub(args.a, 0x10001u), args.b)) { return; }'), flat)).toBeNull()
    expect(reached(main('svm_store_ptr(args.a, svm_add(svm_load_ptr(args.b), 4u));'), flat)).toBeNull()
    expect(reached(main('svm_store_ptr(args.a, svm_load_ptr(args.b));'), flat)).not.toBeNull()
  })

  it('is that of tiles in workgroup memory', () => {
    const code = main(
      `let row = args.n * 4u;
  let rows = svm_index(args.a, group.y * 32u, row);
  for (var k = 0u; k < args.n; k += 16u) {
    for (var i = index; i < 128u; i += 64u) { tile[i] = svm_load_vec4_f32(svm_add(rows, (i / 4u) * row + k * 4u + (i % 4u) * 16u)); }
    workgroupBarrier();
  }
  svm_store_vec4_f32(svm_add(args.b, (group.y * 32u + item.y * 4u) * row + group.x * 128u + item.x * 16u), tile[index]);`,
      '8, 8',
      'var<workgroup> tile: array<vec4f, 128>;',
    )
    expect(reached(code, { args: { a: 0x10000, b: 0x100000, n: 64 }, groups: [2, 2, 1] })).toEqual([
      `load ${0x10000}..${0x10000 + 64 * 256}`,
      `store ${0x100000}..${0x100000 + 60 * 256 + 256}`,
    ])
  })

  it('is asked for no more of a kernel that follows what it loads', () => {
    const kernel = translateKernel({
      code: main('svm_store_u32(svm_load_ptr(args.a), 1u);'),
      entryPoint: 'main',
      label: 'k',
      addressBits: 32,
      pageShift: 16,
      constants: {},
    })
    const ask = () =>
      kernel.bounds.of({
        args: new Uint8Array(12),
        workgroups: [1, 1, 1],
        global: [64, 1, 1],
        guard: false,
        offset: [0, 0, 0],
        first: 0,
        end: 1,
      })
    expect(kernel.bounds.hopeless).toBe(false)
    for (let n = 0; n < 8; n++) expect(ask()).toBeNull()
    expect(kernel.bounds.hopeless).toBe(true)
  })
})
