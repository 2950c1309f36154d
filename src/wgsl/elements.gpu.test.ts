// An access to an element does what the same access does with a pointer of its own. Always: the same words, refusals, addresses of bad accesses and marks, at
// both ends of what may be reached and of the space, for every type and for strides of one element or more.

import { describe, expect, test } from 'vitest'
import { POOL_HEAD_WORDS } from '../abi/pool.ts'
import { PTE } from '../abi/pte.ts'
import { useTestGpu } from './test-gpu.ts'
import { type Launch, type Outcome, Pipelines, pageAt, TestSpace } from './test-space.ts'
import { translateKernel } from './translate.ts'

const gpu = useTestGpu()

const RW = PTE.load | PTE.store | PTE.exclusive | PTE.mayLoad | PTE.mayStore
const PAGE_BYTES = 4096
const PAGE_WORDS = PAGE_BYTES / 4
/** Three pages in a row, in frames in a row: the first is dirty, the last cannot be stored to. Below them a page of indices. */
const [FIRST, MIDDLE, LAST, LIST] = [3, 2, 1, 5] as const
const START = pageAt(FIRST)
const END = pageAt(LAST) + PAGE_BYTES

const TYPES = { f32: 1, ptr: 1, vec2_u32: 2, vec3_f32: 3, vec4_i32: 4 } as const
type Type = keyof typeof TYPES

/** Elements around each end, and where a product or a sum of 32 bits ends. */
function indicesFor(pointer: number, stride: number): number[] {
  const ends = [START, START + PAGE_BYTES, END - PAGE_BYTES, END, 2 ** 32].map((end) => Math.floor((end - pointer) / stride))
  const near = ends.flatMap((index) => [-3, -2, -1, 0, 1, 2].map((more) => index + more))
  const all = [...near, 0, 0x3fffffff, 0x40000000, 0x80000000, 0xffffffff].filter((index) => index >= 0 && index <= 0xffffffff)
  // Nobody else stores to the same.
  return [...new Set(all)]
}

interface Text {
  readonly verb: 'load' | 'store'
  readonly type: Type
  readonly stride: number
  /** By a pointer of its own. */
  readonly apart: boolean
  /** In a loop, so that the arguments are held. */
  readonly held: boolean
}

/** Each workgroup makes one access. */
function codeOf({ verb, type, stride, apart, held }: Text): string {
  const value = type === 'ptr' ? 'svm_ptr' : type.replace(/^(vec.)_(.*)$/, '$1<$2>')
  const words = TYPES[type] === 1 ? 'u32' : `vec${TYPES[type]}<u32>`
  const [before, pointer] = apart ? [`let p = svm_index(args.a, i, ${stride}u);`, 'p'] : ['', `svm_index(args.a, i, ${stride}u)`]
  const load = `let x = svm_load_${type}(${pointer}); svm_store_${type}(svm_add(args.out, ${16}u * w.x), x);`
  const store = `svm_store_${type}(${pointer}, bitcast<${value}>(${words}(7000u + w.x)));`
  return `struct Args { a: svm_ptr, list: svm_ptr, out: svm_ptr, turns: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(workgroup_id) w: vec3u) {
  ${held ? 'for (var turn = 0u; turn < args.turns; turn++) {' : '{'}
    let i = svm_load_u32(svm_add(args.list, 4u * w.x));
    ${before} ${verb === 'load' ? load : store}
  }
}`
}

function launchOf(
  verb: 'load' | 'store',
  pointer: number,
  indices: readonly number[],
  variant: Launch['variant'],
): { space: TestSpace; launch: Omit<Launch, 'code'> } {
  const space = new TestSpace(gpu.device)
    .table(LIST, RW, 0)
    .table(FIRST, RW | PTE.dirty, 1)
    .table(MIDDLE, RW, 2)
    .table(LAST, PTE.load | PTE.mayLoad, 3)
    .fill(0, (word) => indices[word] ?? 0)
    .fill(1, (word) => 100_000 + word)
    .fill(2, (word) => 200_000 + word)
    .fill(3, (word) => 300_000 + word)
  const window = { address: START, words: 3 * PAGE_WORDS, frame: 1, writable: [0, 2 * PAGE_WORDS], dirty: [0, PAGE_WORDS] } as const
  // In the direct variant the list lies in the window too, and so must what is loaded be put there; by table it has a page of its own.
  const direct = variant === 'direct'
  const list = direct ? START + PAGE_BYTES + 1024 : pageAt(LIST)
  if (direct) space.fill(2, (word) => (word >= 256 && word < 256 + indices.length ? (indices[word - 256] as number) : 200_000 + word))
  const out = direct ? START + PAGE_BYTES + 2048 : pageAt(LIST) + 2048
  return { space, launch: { args: { a: pointer, list, out, turns: verb === 'load' ? 2 : 1 }, variant, slots: indices.length, window } }
}

function seen(done: Outcome, slots: number): unknown {
  return {
    refused: done.refused(slots),
    kind: done.bad?.kind,
    marks: done.pages('dirty'),
    unforeseen: done.unforeseen,
    words: [...(done.pools[0] as Uint32Array).subarray(POOL_HEAD_WORDS)],
  }
}

describe.each([
  ['resident', true],
  ['resident', false],
  ['direct', true],
] as const)('%s, arguments held: %s', (variant, held) => {
  test.each((Object.keys(TYPES) as Type[]).flatMap((type) => [4 * 2 ** Math.ceil(Math.log2(TYPES[type])), 32].map((stride) => [type, stride] as const)))(
    '%s, %i bytes apart',
    async (type, stride) => {
      const pipelines = new Pipelines(gpu.device)
      let refusals = 0
      for (const verb of ['load', 'store'] as const) {
        for (const pointer of [START, START + 4, START - 8, START - 12, START + 2 * PAGE_BYTES - 4, END, START + 2, START - 5, 0, 0xfffffffc, 0xffffffff]) {
          const indices = indicesFor(pointer, stride)
          const { space, launch } = launchOf(verb, pointer, indices, variant)
          const [words, apart] = [
            await space.run({ ...launch, pipelines, code: codeOf({ verb, type, stride, held, apart: false }) }),
            await space.run({ ...launch, pipelines, code: codeOf({ verb, type, stride, held, apart: true }) }),
          ]
          expect(seen(words, indices.length), `${verb} from 0x${pointer.toString(16)}`).toEqual(seen(apart, indices.length))
          refusals += words.refused(indices.length).filter((address) => address !== null).length
        }
      }
      expect(refusals).toBeGreaterThan(100)
    },
  )
})

test.each([
  ['resident', true],
  ['resident', false],
  ['direct', true],
] as const)('the address of a bad access is one of its array, whichever it is: %s, arguments held: %s', async (variant, held) => {
  const code = `struct Args { a: svm_ptr, b: svm_ptr, c: svm_ptr, d: svm_ptr, turns: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(workgroup_id) w: vec3u) {
  ${held ? 'for (var turn = 0u; turn < args.turns; turn++) {' : '{'}
    let far = 0xc00u + w.x;
    switch w.x {
      case 0u: { svm_store_u32(svm_index(args.a, far, 4u), 1u); }
      case 1u: { svm_store_u32(svm_index(args.b, far, 4u), svm_load_u32(svm_index(args.b, 0u, 4u))); }
      case 2u: { svm_store_f32(svm_index(args.c, far / 4u, 16u), 1.0); }
      case 3u: { svm_store_u32(svm_index(args.d, 0u, 4u), svm_load_u32(svm_index(args.d, far, 4u))); }
      case 4u: { svm_store_u32(svm_index(args.a, 1u, 16u), svm_load_u32(svm_index(args.a, far / 4u, 16u))); }
      default: { svm_store_u32(svm_index(args.b, 0xffffffffu, 4u), 1u); }
    }
  }
}`
  const { space, launch } = launchOf('load', START, [], variant)
  const [a, b, c, d] = [START, START + 4, START + 64, START + PAGE_BYTES]
  const done = await space.run({ ...launch, code, args: { a, b, c, d, turns: 1 }, slots: 6 })
  expect(done.refused(6)).toEqual([a + 0xc00 * 4, b + 0xc01 * 4, c + 0x300 * 16, 0xffffffff, a + 0x301 * 16, 0xffffffff])
})

test('what the two texts call', () => {
  const called = (variant: 'resident' | 'direct', type: Type, stride: number, apart: boolean, held = true) => {
    const options = {
      code: codeOf({ verb: 'load', type, stride, apart, held }),
      entryPoint: 'k',
      label: 'k',
      addressBits: 32,
      pageShift: 12,
      constants: {},
    } as const
    return / x = (svm_\w+)/.exec(translateKernel(options).variant({ variant, pools: 1, guard: false, loopGuards: 'all' }).code)?.[1]
  }
  expect(called('direct', 'vec4_i32', 16, false)).toMatch(/^svm_l\w\w_vec4_i32$/)
  expect(called('direct', 'vec4_i32', 16, true)).toBe('svm_load_vec4_i32')
  expect(called('resident', 'f32', 32, false)).toMatch(/^svm_l\w\w_f32$/)
  expect(called('resident', 'f32', 32, false, false)).toMatch(/^svm_l\w\w_f32$/)
  expect(called('direct', 'f32', 32, false, false)).toBe('svm_load_f32')
  const [text] = [codeOf({ verb: 'load', type: 'f32', stride: 4, held: true, apart: false })]
  const inText = (code: string) => {
    const options = { code, entryPoint: 'k', label: 'k', addressBits: 32, pageShift: 12, constants: {} } as const
    return /x = (svm_\w+)/.exec(translateKernel(options).variant({ variant: 'resident', pools: 1, guard: false, loopGuards: 'all' }).code)?.[1]
  }
  expect(inText(text)).toMatch(/^svm_l\w\w_f32$/)
  // Another variable with the arguments' name, and a list with a comma at its end.
  expect(inText(text.replace('let x', 'let args = Args(args.out, args.list, args.out, 1u); let x'))).toBe('svm_load_f32')
  expect(inText(text.replace('i, 4u)', 'i, 4u,)'))).toBe('svm_load_f32')
  // A comparison with an argument is no declaration of its name.
  expect(inText(text.replace('let x', 'if (i > args.turns) { continue; } let x'))).toMatch(/^svm_l\w\w_f32$/)
  // Names of any letters.
  expect(
    inText(
      text
        .replace(/\ba: svm_ptr/, 'größe: svm_ptr, grün: svm_ptr')
        .replace('args.a', 'args.grün')
        .replace('let x', 'let y = svm_load_f32(svm_index(args.größe, i, 4u)); let x'),
    ),
  ).toMatch(/^svm_l\w\w_f32$/)
  // A vector may cross the end of a page; a stride of 12 is no shift.
  expect(called('resident', 'vec4_i32', 16, false)).toBe('svm_load_vec4_i32')
  expect(called('direct', 'vec3_f32', 12, false)).toBe('svm_load_vec3_f32')
})
