// Loops in which a workgroup meets: at barriers, in workgroupUniformLoad. Always: where one of its work-items cannot go on the workgroup leaves the loop as
// one, so that no kernel hangs, whatever its loop waits for; and what it computes when it is run again is right.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmError } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'
import { expectSame, inEveryRegime, noise, words } from './regime.ts'

const gpu = useGpu()
const HEAD = `struct Args { a: svm_ptr, b: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> flag: u32;
@compute @workgroup_size(8) fn k(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
`
const DONE = '\n  svm_store_u32(svm_index(args.b, id.x, 4u), id.x + 1u);\n}'
const waits: readonly (readonly [string, string])[] = [
  ['loop', 'loop { if (i == 0u) { flag = svm_load_u32(args.a); } let f = workgroupUniformLoad(&flag); if (f == 3u) { break; } }'],
  ['while', 'var f = 0u;\n  while (f != 3u) { if (i == 0u) { flag = svm_load_u32(args.a); } f = workgroupUniformLoad(&flag); }'],
  [
    'a for with a continuing block in it',
    'for (var f = 0u; f != 3u; ) { loop { if (i == 1u) { flag = svm_load_u32(args.a); } continuing { f = workgroupUniformLoad(&flag); break if f < 9u; } } }',
  ],
  ['break if', 'loop { if (i == 7u) { flag = svm_atomic_load_u32(args.a); } continuing { break if workgroupUniformLoad(&flag) == 3u; } }'],
]
const AWAIT = `fn await_three(i: u32) -> u32 {
  @diagnostic(off, derivative_uniformity) loop { if (i == 0u) { flag = svm_load_u32(args.a); } let f = workgroupUniformLoad(&flag); if (f == 3u) { return f; } }
}
`
const bodies = [...waits, ['a function that returns from inside', 'let three = await_three(i);']] as const

const open = () => gpu.open()
const make = (svm: Svm, body: string) =>
  svm.createKernel({ code: `${body.includes('await_three') ? AWAIT : ''}${HEAD}${body}${DONE}`, entryPoint: 'k', label: 'k' })
const thrownBy = (done: Promise<unknown>) =>
  done.then(
    () => null,
    (thrown) => thrown as SvmError,
  )

describe('a loop that waits for a word in memory', () => {
  test.each(bodies)('%s: ends when the word is there, whose page is not', async (_, body) => {
    const svm = await open()
    const a = svm.allocFrom(Uint32Array.of(3))
    const b = svm.alloc(PAGE)
    const kernel = await make(svm, body)
    expect(kernel.analysis.openLoops).toBe(0)
    const result = await svm.queue.enqueue(kernel, { args: { a, b }, global: 32 }).done
    expect(result.variant).toBe('attempt')
    expectSame(
      await svm.read(b, Uint32Array, 32),
      words(32, (n) => n + 1),
    )
  })

  test.each(['cold', 'resident'])('%s: fails when nobody stores it, and works when somebody has', async (state) => {
    const svm = await open()
    for (const [, body] of [bodies[0], bodies[4]] as const) {
      const a = svm.alloc(PAGE)
      const b = svm.alloc(PAGE)
      const kernel = await make(svm, body)
      if (state === 'resident') await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
      const error = await thrownBy(svm.queue.enqueue(kernel, { args: { a, b }, global: 32 }).done)
      expect(error).toMatchObject({ code: 'access-violation', kernel: 'k' })
      expect(error?.message).toContain('did not end')
      const set = await svm.createKernel({ code: `${HEAD}svm_store_u32(args.a, 3u);\n}`, entryPoint: 'k' })
      void svm.queue.enqueue(set, { args: { a, b }, global: 1 })
      await svm.queue.enqueue(kernel, { args: { a, b }, global: 32 }).done
      expectSame(
        await svm.read(b, Uint32Array, 32),
        words(32, (n) => n + 1),
      )
    }
  })

  test.each(['cold', 'resident'])('%s: a barrier across the grid is an error, and the device goes on', async (state) => {
    const svm = await open()
    const a = svm.alloc(PAGE)
    const b = svm.alloc(PAGE)
    const kernel = await make(
      svm,
      'if (i == 0u) { svm_atomic_add_u32(args.a, 1u); }\n  loop { if (i == 0u) { flag = svm_atomic_load_u32(args.a); } let f = workgroupUniformLoad(&flag); if (f >= 4096u) { break; } }',
    )
    if (state === 'resident') await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    // Workgroups of which not one more arrives than there are.
    const error = await thrownBy(svm.queue.enqueue(kernel, { args: { a, b }, global: 8 * 64 }).done)
    expect(error).toMatchObject({ code: 'access-violation', kernel: 'k' })
    expect(error?.message).toContain('did not end')
    const after = await make(svm, '')
    await svm.queue.enqueue(after, { args: { a, b }, global: 64 }).done
    expectSame(
      await svm.read(b, Uint32Array, 64),
      words(64, (n) => n + 1),
    )
  })

  test('after a bad access, where nothing can fault, the workgroup leaves it as one', async () => {
    const svm = await open()
    const a = svm.alloc(PAGE)
    const b = svm.alloc(PAGE)
    await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
    const kernel = await make(
      svm,
      'loop { if (i == 0u) { flag = svm_load_u32(svm_add(args.a, 1u)); } let f = workgroupUniformLoad(&flag); if (f == 3u) { break; } }',
    )
    const error = await thrownBy(svm.queue.enqueue(kernel, { args: { a, b }, global: 8 }).done)
    expect(error).toMatchObject({ code: 'access-violation', kernel: 'k' })
    expect(error?.message).toContain('not aligned')
  })
})

describe('a count that is handed around', () => {
  // The count is loaded; less one where it is a placeholder, it is the largest there is.
  for (const [name, header, tail] of [
    ['a for that counts', 'for (var t = 0u; t < count; t++)', ''],
    ['a while', 'var t = 0u;\n  while (t < count)', '\n    t++;'],
  ] as const) {
    inEveryRegime(gpu, `${name}: tiles through workgroup memory`, async (bench) => {
      const GROUPS = 24
      const TILES = 40
      const data = words(GROUPS * 1024, noise(5))
      const src = bench.data(data)
      const counts = bench.data(words((GROUPS * PAGE) / 4, (w) => (w % 1024 === 0 ? TILES + 1 - ((w / 1024) % 3) : 0)))
      const dst = bench.alloc(GROUPS * PAGE)
      const kernel = await bench.kernel(`struct Args { src: svm_ptr, counts: svm_ptr, dst: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
var<workgroup> told: u32;
var<workgroup> tile: array<u32, 16>;
@compute @workgroup_size(16) fn k(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  if (i == 3u) { told = svm_load_u32(svm_index(args.counts, group.x, ${PAGE}u)) - 1u; }
  let count = workgroupUniformLoad(&told);
  var sum = 0u;
  ${header} {
    tile[i] = svm_load_u32(svm_index(args.src, group.x * 1024u + t * 16u + i, 4u));
    workgroupBarrier();
    for (var n = 0u; n < 16u; n++) { sum += tile[n] * (n + i + 1u); }
    workgroupBarrier();${tail}
  }
  svm_store_u32(svm_index(args.dst, group.x * 1024u + i, 4u), sum);
}`)
      await bench.launch(kernel, { args: { src, counts, dst }, global: GROUPS * 16 })
      const got = await bench.words(dst, GROUPS * 1024)
      const wanted = words(GROUPS * 1024, (w) => {
        const [group, i] = [w >> 10, w & 1023]
        if (i >= 16) return 0
        let sum = 0
        for (let at = 0; at < 16 * (TILES - (group % 3)); at++) sum = (sum + Math.imul(data[group * 1024 + at] as number, (at % 16) + i + 1)) >>> 0
        return sum
      })
      expectSame(got, wanted)
    })
  }
})
