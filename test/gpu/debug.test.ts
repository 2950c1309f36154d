// A space with `debug`: data races between workgroups and invocations that wait are found, with the lines of the author's text; kernels without
// either run as without it.

import { describe, expect, test } from 'vitest'
import type { DispatchResult, KernelDescriptor, SvmError, SvmOptions } from '../../src/index.ts'
import { MIB, PAGE, pointerWords, useGpu } from './device.ts'
import { expectWithinBudget, words } from './regime.ts'

const gpu = useGpu()
const HEAD = `struct Args { a: svm_ptr, b: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
`
/** The body begins on line 4. */
const kernelOf = (body: string, size = 1) =>
  `${HEAD}@compute @workgroup_size(${size}) fn k(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) i: u32) {\n${body}\n}`

interface Ran {
  readonly error: SvmError | null
  readonly a: number
  /** The first words of a. */
  readonly first: Uint32Array
}

async function run(code: string, global: number, options: { resident?: boolean; class?: KernelDescriptor['class']; debug?: boolean } = {}): Promise<Ran> {
  const svm = await gpu.open({ debug: options.debug ?? true })
  const a = svm.alloc(4 * PAGE, { label: 'ours' })
  const b = svm.alloc(16 * PAGE)
  if (options.resident === true) await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
  const kernel = await svm.createKernel({ code, entryPoint: 'k', label: 'k', class: options.class })
  const launch = svm.queue.enqueue(kernel, { args: { a, b }, global }).done
  const error = await launch.then(
    () => null,
    (thrown) => thrown as SvmError,
  )
  expectWithinBudget(svm)
  const first = await svm.read(a, Uint32Array, 4)
  await svm.close()
  return { error, a, first }
}

for (const resident of [false, true]) {
  const state = resident ? 'resident' : 'cold'
  describe(`races, ${state}`, () => {
    test('two stores: both are named by line, with the word and what holds it', async () => {
      const { error, a } = await run(
        kernelOf(`  if (wg.x == 3u) {
    svm_store_u32(svm_add(args.a, 8u), 5u);
  }
  if (wg.x == 6u) { svm_store_vec2_f32(svm_add(args.a, 4u), vec2f(1.0, 2.0)); }`),
        8,
        { resident },
      )
      expect(error).toMatchObject({ code: 'access-violation', kernel: 'k', pointer: a + 8, workgroup: [3, 0, 0] })
      expect(error?.message).toContain('workgroup (3, 0, 0) stored to it in line 5, and workgroup (6, 0, 0) stored to it in line 7')
      expect(error?.message).toContain("byte 8 of 'ours'")
    })

    const races: readonly (readonly [string, string, string])[] = [
      [
        'a store and a load',
        'if (wg.x == 1u) { svm_store_u32(args.a, 0u); } else if (wg.x == 2u) { svm_store_u32(args.b, svm_load_u32(args.a)); }',
        'loaded it in line 4',
      ],
      [
        'a store and an atomic',
        'if (wg.x == 1u) { svm_store_u32(args.a, 0u); } else if (wg.x == 2u) { svm_atomic_add_u32(args.a, 1u); }',
        'changed it by an atomic in line 4',
      ],
      [
        'a store and an atomic load',
        'if (wg.x == 1u) { svm_store_u32(args.a, 0u); } else if (wg.x == 2u && svm_atomic_load_u32(args.a) == 7u) { return; }',
        'loaded it by an atomic in line 4',
      ],
      [
        'an atomic and a plain load',
        'svm_atomic_add_u32(args.a, 1u);\n svm_store_u32(svm_index(args.b, id.x, 4u), svm_load_u32(args.a));',
        'loaded it in line 5',
      ],
      ['bytes', 'svm_store_u8(svm_add(args.a, 3u), wg.x);', 'stored to it in line 4'],
      ['every workgroup its number', 'svm_store_u32(args.a, wg.x);', 'stored to it in line 4'],
    ]
    test.each(races)('%s', async (_, body, told) => {
      const { error } = await run(kernelOf(body), 8, { resident })
      expect(error?.code).toBe('access-violation')
      expect(error?.message).toContain('data race')
      expect(error?.message).toContain(told)
    })

    const fine: readonly (readonly [string, string, number])[] = [
      ['a flag: all store the same', 'svm_store_u32(args.a, 1u);', 1],
      ['words of their own in one page', 'svm_store_u32(svm_index(args.a, id.x, 4u), id.x + svm_load_u32(svm_index(args.a, id.x, 4u)));', 4],
      ['bytes of their own in one word', 'svm_store_u8(svm_add(args.a, id.x), id.x);', 4],
      [
        'barriers inside a workgroup',
        'svm_store_u32(svm_index(args.a, id.x, 4u), i);\n workgroupBarrier();\n storageBarrier();\n svm_store_u32(svm_index(args.a, wg.x * 4u + 3u - i, 4u), svm_load_u32(svm_index(args.b, id.x, 4u)) + 1u);',
        4,
      ],
      ['slots dealt by an atomic', 'svm_store_u32(svm_index(args.b, svm_atomic_add_u32(args.a, 1u), 4u), id.x);', 4],
      [
        'slots dealt to a workgroup, and told to it through a barrier',
        'if (i == 0u) { slot = svm_atomic_add_u32(args.a, 4u); }\n workgroupBarrier();\n svm_store_u32(svm_index(args.b, slot + i, 4u), id.x);',
        4,
      ],
      [
        'the last workgroup to finish reads what the others wrote',
        'svm_store_u32(svm_index(args.b, id.x + 8u, 4u), id.x);\n if (svm_atomic_add_u32(args.a, 1u) == 31u) { for (var n = 0u; n < 32u; n++) { svm_store_u32(args.b, svm_load_u32(svm_index(args.b, n + 8u, 4u))); } }',
        1,
      ],
    ]
    test.each(fine)('none: %s', async (_, body, size) => {
      const code = kernelOf(body, size).replace('@compute', 'var<workgroup> slot: u32;\n@compute')
      const { error } = await run(code, 32, { resident })
      expect(error).toBe(null)
    })
  })
}

describe('as many words as there are', () => {
  const GROUPS = 512
  const WORDS = GROUPS * 256
  // Each workgroup stores to its 256 words, and the last two, if `args.b` says so, to one word behind all of them.
  const body = (a: string, races: boolean) => `let all = ${a};
  svm_store_u32(svm_index(all, id.x, 4u), id.x);
  ${races ? `if (wg.x >= ${GROUPS - 2}u && i == 0u) { svm_store_u32(svm_index(all, ${WORDS}u, 4u), wg.x); }` : ''}`

  async function open(options: Pick<SvmOptions, 'deviceMemory' | 'debug'>) {
    const said: string[] = []
    const svm = await gpu.open({
      debug: true,
      ...options,
      trace: (event) => {
        if (event.kind === 'unwatched') said.push(event.message)
      },
    })
    const a = svm.alloc(4 * WORDS + 4, { label: 'ours' })
    const b = svm.allocFrom(pointerWords([a]))
    const launch = async (text: string, label: string): Promise<DispatchResult> => {
      const kernel = await svm.createKernel({ code: kernelOf(text, 256), entryPoint: 'k', label })
      return svm.queue.enqueue(kernel, { args: { a, b }, global: WORDS }).done
    }
    return { svm, said, a, b, launch }
  }

  test('one race hidden among more than once fit is found', async () => {
    const { svm, said, a, launch } = await open({ deviceMemory: 64 * MIB })
    expect((await launch(body('args.a', false), 'fine')).unwatched).toBe(0)
    const error = await launch(body('args.a', true), 'k').catch((thrown) => thrown as SvmError)
    expect(error).toMatchObject({ code: 'access-violation', kernel: 'k', pointer: a + 4 * WORDS, workgroup: [GROUPS - 2, 0, 0] })
    expect((error as SvmError).message).toContain(`workgroup (${GROUPS - 1}, 0, 0) stored to it in line 6`)
    expect(said).toEqual([])
    expectWithinBudget(svm)
  })

  test('nobody knew how many: the launch says what was left out, and the next has room for them', async () => {
    const { svm, said, a, b } = await open({ deviceMemory: 64 * MIB })
    const code = kernelOf(body('svm_load_ptr(args.b)', true).replace('wg.x >=', 'svm_load_u32(args.a) != 0u && wg.x >='), 256)
    const kernel = await svm.createKernel({ code, entryPoint: 'k', label: 'k' })
    const flag = svm.alloc(4)
    const launch = () => svm.queue.enqueue(kernel, { args: { a: flag, b }, global: WORDS }).done
    const { unwatched } = await launch()
    expect(unwatched).toBeGreaterThan(WORDS / 2)
    expect(said).toEqual([expect.stringMatching(new RegExp(`^Kernel k: .* and ${unwatched} accesses .*Launch it once more`))])
    expect((await launch()).unwatched).toBe(0)
    await svm.write(flag, Uint32Array.of(1))
    expect(await launch().catch((thrown) => thrown as SvmError)).toMatchObject({ code: 'access-violation', pointer: a + 4 * WORDS })
    expect(said).toHaveLength(1)
    expectWithinBudget(svm)
  })

  test('more than the budget has room for: the count, and what helps; and nothing is made up', async () => {
    const { svm, said, launch } = await open({ deviceMemory: 2 * MIB })
    const { unwatched } = await launch(body('args.a', false), 'k')
    expect(unwatched).toBeGreaterThan(WORDS / 2)
    expect(said).toEqual([expect.stringMatching(new RegExp(`and ${unwatched} accesses .*raise deviceMemory \\(of 2 MiB `))])
    expectWithinBudget(svm)
  })

  test('without debug nobody counts', async () => {
    const { said, launch } = await open({ deviceMemory: 16 * MIB, debug: false })
    expect((await launch(body('args.a', true), 'k')).unwatched).toBe(undefined)
    expect(said).toEqual([])
  })
})

test('a transactional kernel may race', async () => {
  const { error } = await run(kernelOf('svm_store_u32(args.a, wg.x);'), 8, { class: 'transactional' })
  expect(error).toBe(null)
})

test('a race that a dispatch leaves is not seen in the next', async () => {
  const svm = await gpu.open({ debug: true })
  const a = svm.alloc(PAGE)
  const kernel = await svm.createKernel({
    code: kernelOf('svm_store_u32(args.a, u32(args.b == SVM_NULL));').replace('u32(args.b == SVM_NULL)', 'svm_load_u32(args.b)'),
    entryPoint: 'k',
  })
  const b = svm.allocFrom(words(16, (i) => i))
  for (let n = 0; n < 8; n++) await svm.queue.enqueue(kernel, { args: { a, b: b + n * 4 }, global: 1 }).done
  expect((await svm.read(a, Uint32Array, 1))[0]).toBe(7)
})

test('what does not compile is told without our names', async () => {
  const svm = await gpu.open({ debug: true })
  const code = kernelOf('  svm_store_u32(args.a, 1u); svm_store_u32(args.a, 1.5);')
  const error = await svm.createKernel({ code, entryPoint: 'k', label: 'k' }).then(
    () => null,
    (thrown) => thrown as SvmError,
  )
  expect(error?.message).toContain('line 4:')
  expect(error?.message).not.toContain('_line')
  await svm.close()
  const plain = await (await gpu.open()).createKernel({ code, entryPoint: 'k', label: 'k' }).catch((thrown) => thrown as SvmError)
  expect(error?.message).toBe((plain as SvmError).message)
})

describe('a kernel that waits', () => {
  const spins: readonly (readonly [string, string, number])[] = [
    ['for a flag', 'if (wg.x == 0u) { while (svm_atomic_load_u32(svm_add(args.a, 4u)) == 0u) { } }', 4],
    [
      'for a lock',
      'var n = 0u;\n loop { if (svm_atomic_compare_exchange_u32(svm_add(args.a, 4u), 1u, 2u) == 1u) { break; } n += 1u; }\n svm_store_u32(svm_index(args.b, id.x, 4u), n);',
      5,
    ],
    ['in a for loop', 'for (var f = 0u; f == 0u; f = svm_atomic_load_u32(svm_add(args.a, 4u))) { }', 4],
    ['for a word that it loads plainly', 'while (svm_load_u32(svm_add(args.a, 4u)) == 0u) { }', 4],
    ['by adding nothing', 'loop { if (svm_atomic_add_u32(svm_add(args.a, 4u), 0u) != 0u) { break; } }', 4],
  ]
  for (const resident of [false, true]) {
    test.each(spins)(`%s (${resident ? 'resident' : 'cold'})`, async (_, body, line) => {
      const { error, a, first } = await run(kernelOf(body), 4, { resident })
      expect(error).toMatchObject({ code: 'access-violation', kernel: 'k', pointer: a + 4 })
      expect(error?.message).toContain(`line ${line}: it asked for the word`)
      expect(error?.message).toContain("declare class 'unsplittable'")
      expect(first[1]).toBe(0)
    })
  }

  test('is not one that loads a word often, which does not end it', async () => {
    const body = 'var sum = 0u;\n while (sum < svm_load_u32(args.a) + 70000u) { sum += 1u; }\n svm_store_u32(svm_index(args.b, id.x + 8u, 4u), sum);'
    expect((await run(kernelOf(body), 2, { resident: true })).error).toBe(null)
  })

  test('is not one that asks often', async () => {
    const { error } = await run(
      kernelOf(
        'var sum = 0u;\n for (var n = 0u; n < 70000u; n++) { sum += svm_atomic_load_u32(args.a) + svm_load_u32(args.b); }\n svm_store_u32(svm_index(args.b, id.x + 8u, 4u), sum);',
      ),
      2,
    )
    expect(error).toBe(null)
  })

  test('may, when it is unsplittable', async () => {
    const body = 'for (var n = 0u; n < 70000u; n++) { if (svm_atomic_load_u32(args.a) != 0u) { break; } }'
    expect((await run(kernelOf(body), 2, { resident: true, class: 'unsplittable' })).error).toBe(null)
    expect((await run(kernelOf(body), 2, { resident: true })).error?.message).toContain('waits')
  })
})
