// What reading a kernel says its expressions can be, beside what a device makes of them. Always: the seed makes the kernel, its launch and its arguments; every
// value that an invocation finds lies in the extent that was said, for random arithmetic, branches and loops.

import { expect, test } from 'vitest'
import { PTE } from '../abi/pte.ts'
import { Random } from '../base/world.ts'
import { packArguments } from './args.ts'
import { useTestGpu } from './test-gpu.ts'
import { pageAt, TestSpace } from './test-space.ts'
import { translateKernel } from './translate.ts'

const gpu = useTestGpu()

const READ_WRITE = PTE.load | PTE.store | PTE.dirty
const SEEDS = 40
const EXPRESSIONS = 14
const ITEMS = 64
const HEAD = `struct Args { out: svm_ptr, data: svm_ptr, base: svm_ptr, n: u32, m: i32 }
@group(0) @binding(0) var<uniform> args: Args;
const SEVEN = 7u;
fn twice(n: u32) -> u32 { if (n > 100u) { return 100u; } return n * 2u; }
@compute @workgroup_size(8, 4) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) item: vec3u, @builtin(local_invocation_index) index: u32) {
  let x = svm_load_u32(svm_index(args.data, index, 4u));
`

/** Statements and expressions of a kernel, made by chance. */
class Writer {
  readonly #random: Random
  #names: string[] = ['id.x', 'id.y', 'index', 'item.x', 'group.x', 'args.n', 'x', 'twice(index)', 'u32(args.m)', '(SEVEN * index)']
  #count = 0

  constructor(random: Random) {
    this.#random = random
  }

  #literal(most = 40): string {
    return `${this.#random.chance(1, 6) ? this.#random.u32() : 1 + this.#random.below(most)}u`
  }

  expression(depth = 3): string {
    const { pick, chance } = { pick: <T>(items: readonly T[]) => this.#random.pick(items), chance: (a: number, b: number) => this.#random.chance(a, b) }
    if (depth === 0 || chance(1, 6)) return pick(this.#names)
    const a = this.expression(depth - 1)
    const b = chance(1, 2) ? this.#literal() : this.expression(depth - 1)
    switch (this.#random.below(14)) {
      case 0:
        return `min(${a}, ${b})`
      case 1:
        return `max(${a}, ${b})`
      case 2:
        return `select(${a}, ${b}, ${this.condition(depth - 1)})`
      case 3:
        return `(${a} ${pick(['<<', '>>'])} ${this.#random.below(32)}u)`
      case 4:
        return `(${a} ${pick(['<<', '>>'])} (${b} & 31u))`
      case 5:
        return `(~${a})`
      case 6:
        return `u32(i32(${a} & 0xffffu) ${pick(['+', '-', '*', '/', '%'])} i32((${b} + args.n) & 255u))`
      case 8:
        return `u32((i32(${a} & 63u) - 20) ${pick(['/', '%', '*', '-', '+'])} ${pick(['3', '-4', 'args.m', '7i'])} + ${this.#random.below(300)})`
      case 7:
        return `vec3(${a}, ${b}, 3u).${pick(['x', 'y', 'zy.y'])}`
      default:
        return `(${a} ${pick(['+', '-', '*', '/', '%', '&', '|', '^'])} ${b})`
    }
  }

  condition(depth: number): string {
    const one = `${this.expression(depth)} ${this.#random.pick(['<', '<=', '>', '>=', '==', '!='])} ${this.#random.chance(1, 2) ? this.#literal() : this.expression(depth)}`
    return this.#random.chance(1, 5) ? `(${one}) ${this.#random.pick(['&&', '||'])} (${this.expression(depth)} > ${this.#literal()})` : one
  }

  statements(): string {
    const lines: string[] = []
    for (let n = 0; n < 5; n++) {
      const name = `v${this.#count++}`
      lines.push(`var ${name} = ${this.expression(2)};`)
      lines.push(this.#change(name))
      this.#names.push(name)
    }
    return lines.join('\n')
  }

  #change(name: string): string {
    const i = `i${this.#count}`
    const within = (head: string, more = '') => {
      this.#names.push(i)
      const body = `${name} ${this.#random.pick(['=', '+=', '^=', '='])} ${this.expression(2)};${more}`
      this.#names.pop()
      return `${head} { ${body} }`
    }
    const start = this.#random.chance(1, 2) ? `${this.#random.below(9)}u` : '(index & 7u)'
    const leave = this.#random.chance(1, 3) ? ` if (${name} > 1000u) { ${this.#random.pick(['break', 'continue'])}; } ${name} += 1u;` : ''
    const known = this.#random.pick(['id.x', 'index', 'id.y', 'args.n'])
    const limit = `${this.#random.below(18)}u`
    const operator = this.#random.pick(['<', '<=', '>', '>=', '==', '!='])
    switch (this.#random.below(10)) {
      case 6:
        return `if (${known} ${operator} ${limit}) { ${name} = ${known}; } else { ${name} = ${known} + 100u; }`
      case 7:
        return `${name} = 50u; if (!(${limit} ${operator} ${known} && index < 40u)) { ${name} = ${known} + index; }`
      case 8:
        return `if (${known} ${operator} ${limit}) { ${name} = ${known} * 3u; } else if (${known} > 4u || index == 3u) { ${name} = 1u; } else { ${name} = ${known}; }`
      case 0:
        return `if (${this.condition(1)}) { ${name} = ${this.expression(2)}; } else { ${name} += 3u; }`
      case 1:
        return `if (${name} < ${this.#literal()}) { ${name} = ${name} * 2u + 1u; }`
      case 2:
        return within(`for (var ${i} = ${start}; ${i} < ${10 + this.#random.below(30)}u; ${i} += ${1 + this.#random.below(5)}u)`, leave)
      case 3:
        return within(`for (var ${i} = 30u + ${start}; ${i} > ${5 + this.#random.below(9)}u; ${i} -= ${1 + this.#random.below(5)}u)`, leave)
      case 4:
        return within(`for (var ${i} = 1u + ${start}; ${i} <= ${20 + this.#random.below(90)}u; ${i} *= ${2 + this.#random.below(2)}u)`, leave)
      case 5:
        return `{ var ${i} = 0u; while (${i} < 6u) { ${within('', ` ${i}++;`)} } }`
      default:
        return `switch ${this.expression(1)} & 3u { case 0u: { ${name} = ${this.expression(1)}; } case 1u, 2u: { } default: { ${name} |= 16u; } }`
    }
  }
}

test('what invocations find lies in what was said', async () => {
  let bounded = 0
  let narrow = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed)
    const writer = new Writer(random)
    const statements = writer.statements()
    const expressions = Array.from({ length: EXPRESSIONS }, () => writer.expression())
    const stores = expressions.map((text, k) => `svm_store_u32(svm_index(args.out, (id.x + id.y * 16u) * ${EXPRESSIONS}u + ${k}u, 4u), ${text});`)
    const args = { out: pageAt(0, 64), data: pageAt(1, 64), base: 2 ** 42, n: random.below(100), m: random.below(50) }
    const space = new TestSpace(gpu.device, 64).table(0, READ_WRITE).table(1, READ_WRITE)
    const done = await space.run({
      code: `${HEAD}${statements}\n${stores.join('\n')}\n}`.replace('fn main', 'fn k'),
      args,
      variant: 'resident',
      groups: [2, 1, 1],
    })
    const got = done.frame(0)
    expressions.forEach((text, k) => {
      const code = `${HEAD}${statements}\n_ = svm_load_u8(svm_add(args.base, ${text}));\n}`
      const kernel = translateKernel({ code, entryPoint: 'main', label: 'k', addressBits: 64, pageShift: 12, constants: {} })
      const part = { args: packArguments(kernel.args, args, 'k'), workgroups: [2, 1, 1], global: [16, 4, 1], offset: [0, 0, 0], guard: false, first: 0, end: 2 }
      const extents = kernel.bounds.of(part as unknown as Parameters<typeof kernel.bounds.of>[0])
      if (extents === null) return
      const mine = extents.filter(({ start }) => start >= args.base)
      bounded++
      if (mine.every(({ start, end }) => end - start < 2 ** 20)) narrow++
      for (let item = 0; item < ITEMS; item++) {
        const value = args.base + (got[item * EXPRESSIONS + k] as number)
        const holds = mine.some(({ start, end }) => value >= start && value < end)
        expect(
          holds,
          `seed ${seed}: item ${item} finds ${value - args.base} for ${text} in\n${statements}\nwith ${JSON.stringify(args)}, said ${JSON.stringify(mine)}`,
        ).toBe(true)
      }
    })
  }
  // Most is known, and much of it narrowly: else the test could not fail.
  expect(bounded).toBeGreaterThan((SEEDS * EXPRESSIONS) / 2)
  expect(narrow).toBeGreaterThan((SEEDS * EXPRESSIONS) / 8)
}, 300_000)
