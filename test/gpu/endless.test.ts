// Kernels that never end by themselves, without debug: nobody hangs. Always: the launch fails with a sentence that helps, in bounded time, and the device and
// the space go on.

import { describe, expect, test } from 'vitest'
import type { SvmError, SvmKernel } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'

const gpu = useGpu()
const HEAD = `struct Args { a: svm_ptr, b: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> told: u32;
@compute @workgroup_size(4) fn k(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) i: u32) {
`
const bodies: readonly (readonly [string, string])[] = [
  ['a flag that nobody sets', 'while (svm_atomic_load_u32(args.a) == 0u) { }'],
  ['a lock that nobody frees', 'loop { if (svm_atomic_compare_exchange_u32(args.a, 1u, 2u) == 1u) { break; } }'],
  ['a plain load that never changes', 'while (svm_load_u32(args.a) != 7u) { }'],
  ['a for without a counter', 'for (var x = 0u; x != 7u; x = svm_load_u32(args.a)) { }'],
  ['break if in a continuing block', 'var n = 0u;\n loop { n += 1u; continuing { break if svm_load_u32(args.a) == 7u; } }\n svm_store_u32(args.b, n);'],
  [
    'a switch in a loop in a loop',
    'var go = true;\n while (go) { loop { switch (svm_atomic_load_u32(args.a)) { case 7u: { go = false; } default: { } } if (svm_load_u32(args.b) != 9u) { break; } } }',
  ],
]

// A loop has the same head in every variant: each shape is tried in one of them, and two in both, since each is let run for a second or two.
const cold = bodies.filter((_, n) => n !== 1 && n !== 3)
const resident = bodies.filter((_, n) => n !== 4 && n !== 5)

describe.each(['cold', 'resident'])('%s', (state) => {
  test.each(state === 'cold' ? cold : resident)('%s', async (_, body) => {
    const svm = await gpu.open()
    const a = svm.alloc(PAGE)
    const b = svm.alloc(PAGE)
    const launch = async (text: string) => {
      const kernel = await svm.createKernel({ code: `${HEAD}${text}\n}`, entryPoint: 'k', label: 'k' })
      if (state === 'resident') await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
      return svm.queue.enqueue(kernel, { args: { a, b }, global: 16 }).done
    }
    const started = performance.now()
    const error = await launch(body).then(
      () => null,
      (thrown) => thrown as SvmError,
    )
    expect(error).toMatchObject({ code: 'access-violation', kernel: 'k' })
    expect(error?.message).toContain('did not end')
    expect(performance.now() - started).toBeLessThan(30_000)
    await launch('svm_store_u32(svm_index(args.b, id.x, 4u), id.x);')
    expect(await svm.read(b, Uint32Array, 16)).toEqual(Uint32Array.from({ length: 16 }, (_, n) => n))
  })
})

// Placeholders of a poisoned work-item, and 0 for a bad access, in what loops end by.
describe('what a fault leaves behind keeps no loop going', () => {
  // What the first loop counts says how often all meet.
  const COUNTED_BY_ALL = `var n = 0u; var s = 0u;
  for (var q = 0u; q < 4u; q++) { s += svm_load_u32(svm_index(args.a, q, 4u)); n++; }
  for (var j = 0u; j < n; j++) { workgroupBarrier(); }
  while (svm_load_u32(args.a) != 5u) { }
  svm_store_u32(svm_index(args.b, id.x, 4u), s);`
  const fives = new Uint32Array(PAGE / 4).fill(5)
  const run = async (code: string, resident: boolean, options: { class?: 'unsplittable' } = {}) => {
    const svm = await gpu.open()
    const args = { a: svm.allocFrom(fives), b: svm.alloc(PAGE) }
    const kernel = await svm.createKernel({ code, entryPoint: 'k', label: 'k', ...options })
    if (resident) await svm.queue.migrate([{ pointer: args.a }, { pointer: args.b }]).done
    await svm.queue.enqueue(kernel, { args, global: 16 }).done
    return [...(await svm.read(args.b, Uint32Array, 16))]
  }

  test('kernel.analysis says which guards compiled, once that is known', async () => {
    const svm = await gpu.open()
    const [a, b] = [svm.allocFrom(fives), svm.alloc(PAGE)]
    const make = (body: string) => svm.createKernel({ code: `${HEAD.replace('var<workgroup> told: u32;\n', '')}${body}\n}`, entryPoint: 'k', label: 'k' })
    const launch = (kernel: SvmKernel) => svm.queue.enqueue(kernel, { args: { a, b }, global: 16 }).done
    const levels = ({ analysis }: SvmKernel) =>
      Object.fromEntries(analysis.guards.map(({ variant, level, droppedLines }) => [variant, [level, ...droppedLines]]))
    const whole = await make('var s = 0u;\n while (svm_load_u32(args.a) != 5u) { s++; }\n svm_store_u32(svm_index(args.b, id.x, 4u), s);')
    expect(levels(whole)).toEqual({ attempt: ['all'], resident: ['unbuilt'], direct: ['unbuilt'] })
    const some = await make(COUNTED_BY_ALL)
    expect(levels(some)).toMatchObject({ attempt: ['uncounted', 5], resident: ['unbuilt'] })
    await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    for (const [kernel, level] of [
      [whole, 'all'],
      [some, 'all'],
    ] as const) {
      const { variant } = await launch(kernel)
      expect([variant, levels(kernel)[variant]]).toEqual([expect.stringMatching(/resident|direct/), [level]])
    }
  })

  test('a loop that counts to it, with a subgroup operation', async () => {
    const code = `enable subgroups;
diagnostic(off, subgroup_uniformity);
${HEAD.replace('var<workgroup> told: u32;\n', '')}let last = svm_load_u32(args.a) - 1u; var s = 0u;
  for (var x = 0u; x < last; x++) { s += subgroupAdd(0u) + 1u; }
  svm_store_u32(svm_index(args.b, id.x, 4u), s);
}`
    expect(await run(code, false)).toEqual(new Array(16).fill(4))
  })

  test('a loop that memory ends, in a kernel whose counted loops cannot be left early', async () => {
    const code = `${HEAD.replace('var<workgroup> told: u32;\n', '')}${COUNTED_BY_ALL}
}`
    expect(await run(code, false)).toEqual(new Array(16).fill(20))
  })

  // Each turn counts, and `n` says how often all meet: nobody may leave the loop before the others.
  const MEETS = `${HEAD.replace('var<workgroup> told: u32;\n', '')}var n = 0u; var s = 0u;
  loop { s += svm_load_u32(svm_index(args.a, n, 4u)); n++; if (n >= 4u) { break; } }
  for (var j = 0u; j < n; j++) { workgroupBarrier(); }
  svm_store_u32(svm_index(args.b, id.x, 4u), s);
}`

  test('no such loop goes without a guard where a fault is possible', async () => {
    await expect(run(MEETS, false)).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('(line 5)') })
  })

  test('but where none is', async () => {
    expect(await run(MEETS, true, { class: 'unsplittable' })).toEqual(new Array(16).fill(20))
  })

  test.each(['resident', 'cold'])('a step that a bad access gave: %s', async (state) => {
    const code = `${HEAD.replace('var<workgroup> told: u32;\n', '')}let step = svm_load_u32(svm_add(SVM_NULL, 64u)); var s = 0u;
  for (var x = 0u; x < 1000u; x += step) { s += 1u; }
  svm_store_u32(svm_index(args.b, id.x, 4u), s);
}`
    await expect(run(code, state === 'resident')).rejects.toMatchObject({ code: 'access-violation', pointer: 64 })
  })
})
