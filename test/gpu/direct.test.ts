// The direct variant on a device: the dirty bits that it leaves, and what it refuses. That every accessor does the same in it is accessors.test.ts's
// part. Always: a kernel runs twice before it is judged, since the first launch finds out what it stores to.

import { describe, expect, test } from 'vitest'
import { PAGE, useGpu } from './device.ts'
import { words } from './regime.ts'

const gpu = useGpu()
const WORDS = (4 * PAGE) / 4

const HEAD = `struct Args { a: svm_ptr, b: svm_ptr, at: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  let x = svm_load_u32(args.a);
  let none = x ^ x;`

/** @param known reading the text tells where it reaches */
async function made(known: boolean, body: string) {
  const svm = await gpu.open()
  const a = svm.allocFrom(words(WORDS, (i) => i))
  const b = svm.alloc(WORDS * 4)
  const kernel = await svm.createKernel({ code: `${known ? HEAD.replace('x ^ x', '0u') : HEAD}${body}}`, entryPoint: 'k', label: 'k' })
  const launch = (at: number, global = WORDS) => svm.queue.enqueue(kernel, { args: { a, b, at }, global }).done
  await svm.queue.migrate([{ pointer: a }, { pointer: b }]).done
  const home = async (pointer: number) => (await svm.queue.migrate({ pointer }, { to: 'host' }).done).bytesCopied
  return { svm, a, b, launch, home }
}

describe.each([false, true])('with a reach that is known: %s', (known) => {
  test('what was not stored to comes home without a copy, and what was with all its bytes', async () => {
    const { svm, a, b, launch, home } = await made(
      known,
      'svm_store_u32(svm_index(args.b, id.x + none, 4u), svm_load_u32(svm_index(args.a, id.x, 4u)) + args.at);',
    )
    expect([(await launch(1)).variant, (await launch(2)).variant]).toEqual([known ? 'direct' : 'resident', 'direct'])
    expect([await home(a), await home(b)]).toEqual([0, WORDS * 4])
    expect(await svm.read(b, Uint32Array, WORDS)).toEqual(words(WORDS, (i) => i + 2))
  })

  test('a store that was not foreseen makes its page dirty, on either side of what was', async () => {
    const { svm, b, launch, home } = await made(known, 'if (id.x == 0u) { svm_store_vec2_u32(svm_add(args.b, args.at + none), vec2u(7u, 8u)); }')
    for (const at of [PAGE, PAGE, 3 * PAGE - 4, 0]) await launch(at, 64)
    const came = await home(b)
    if (known) expect(came).toBe(4 * PAGE)
    else expect(came).toBeGreaterThanOrEqual(4 * PAGE)
    const got = await svm.read(b, Uint32Array, WORDS)
    expect([got[0], got[PAGE / 4], got[(3 * PAGE) / 4 - 1], got[(3 * PAGE) / 4]]).toEqual([7, 7, 7, 8])
  })

  test('a store to an element that was not foreseen makes its page dirty', async () => {
    const { svm, b, launch, home } = await made(known, 'if (id.x == 0u) { svm_store_u32(svm_index(args.b, args.at + none, 4u), 9u); }')
    for (const at of [PAGE / 4 + 1, (3 * PAGE) / 4]) {
      expect((await launch(at, 64)).rounds).toBe(1)
      expect(await home(b)).toBeGreaterThanOrEqual(PAGE)
      expect((await svm.read(b + at * 4, Uint32Array, 1))[0]).toBe(9)
      await svm.queue.migrate({ pointer: b }).done
    }
  })

  test('bad accesses are named: below, above, across the end, misaligned, nowhere', async () => {
    const { svm, a, b, launch } = await made(known, 'if (id.x == 0u) { svm_store_u32(args.b, svm_load_vec2_u32(svm_add(args.b, args.at + none)).x); }')
    await launch(0, 64)
    expect((await launch(0, 64)).variant).toBe('direct')
    const end = a + WORDS * 4
    for (const [at, pointer] of [
      [end - b, end],
      [end - b - 4, end],
      [2, b + 2],
      [0xffffffff, 0xffffffff],
    ] as const) {
      await expect(launch(at, 64)).rejects.toMatchObject({ code: 'access-violation', pointer, kernel: 'k', workgroup: [0, 0, 0] })
    }
    expect((await svm.read(b, Uint32Array, 1))[0]).toBe(0)
  })
})
