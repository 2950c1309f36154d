// Every kernel shape here must compile in a real compiler: both variants, one pool and four, guarded where that is legal, and its pointer check.

import { describe, expect, test } from 'vitest'
import type { CompilerMessage } from '../device/device.ts'
import { ProgramFailure } from '../device/device.ts'
import { explainPointerMisuse, explainProgramFailure } from './messages.ts'
import { compile, useTestGpu } from './test-gpu.ts'
import { COLLECTIVE_KERNELS, PLAIN_KERNELS, SUBGROUP_KERNEL, WALK } from './test-kernels.ts'
import { translateKernel } from './translate.ts'

const gpu = useTestGpu()

const options = (code: string, addressBits: 32 | 64 = 32) => ({ code, entryPoint: 'k', label: 'test', addressBits, pageShift: 12, constants: {} })
const errorsOf = (messages: readonly CompilerMessage[]) => messages.filter(({ type }) => type === 'error').map((m) => `${m.line}:${m.column} ${m.text}`)

async function expectCompiles(code: string, guards: readonly boolean[], bits: 32 | 64): Promise<void> {
  const kernel = translateKernel(options(code, bits))
  for (const variant of ['attempt', 'resident'] as const) {
    for (const pools of [1, 4] as const) {
      for (const guard of guards) {
        const program = kernel.variant({ variant, pools, guard, loopGuards: 'all' })
        const errors = errorsOf(await compile(gpu.device, program.code))
        expect(errors, `${variant} ${pools}\n${program.code}`).toEqual([])
      }
    }
  }
  expect(errorsOf(await compile(gpu.device, kernel.checkText)), kernel.checkText).toEqual([])
}

describe.each([32, 64] as const)('kernels compile with %i-bit addresses', (bits) => {
  test.each(Object.entries(PLAIN_KERNELS))('%s', async (_, code) => {
    await expectCompiles(code, [false, true], bits)
  })

  test.each(Object.entries(COLLECTIVE_KERNELS))('%s', async (_, code) => {
    await expectCompiles(code, [false], bits)
  })

  test.each([
    [2, 12],
    [8, 21],
  ] as const)('every accessor with %i pools and pages of 2^%i bytes', async (pools, pageShift) => {
    const kernel = translateKernel({ ...options(PLAIN_KERNELS['every accessor with bytes'] as string, bits), pageShift })
    for (const variant of ['attempt', 'resident'] as const) {
      const { code } = kernel.variant({ variant, pools, guard: false, loopGuards: 'none' })
      expect(errorsOf(await compile(gpu.device, code))).toEqual([])
    }
  })

  test('subgroups', async (context) => {
    if (!gpu.features.has('subgroups')) return context.skip('the device has no subgroups')
    await expectCompiles(SUBGROUP_KERNEL, [false], bits)
  })
})

describe("what the compiler refuses is told at the author's line", () => {
  const failureOf = async (code: string, variant: 'attempt' | 'resident' = 'attempt') => {
    const kernel = translateKernel(options(code))
    const program = kernel.variant({ variant, pools: 1, guard: false, loopGuards: 'all' })
    const messages = await compile(gpu.device, program.code)
    return explainProgramFailure(new ProgramFailure(messages), options(code), program)
  }

  test('an error in his text', async () => {
    const error = await failureOf('@compute @workgroup_size(1)\nfn k() {\n  for (var i = 0u; i < 3u; i++) { let x: u32 = 1.5; }\n}')
    expect(error.message).toMatch(/^kernel 'test', line 3:/)
    expect(error.message).toContain(`line 3:${'  for (var i = 0u; i < 3u; i++) { let x: u32 = '.length + 1}`)
    expect(error.code).toBe('build-failed')
  })

  test('an error inside the runtime, traced back to his call', async () => {
    const error = await failureOf(
      'struct Args { p: svm_ptr }\n@group(0) @binding(0) var<uniform> args: Args;\n@compute @workgroup_size(64)\nfn k() {\n  if (svm_load_u32(args.p) > 1u) {\n    workgroupBarrier();\n  }\n}',
    )
    expect(error.message).toMatch(/line [56]:/)
    expect(error.message).not.toContain('svm_user_')
    expect(error.message).not.toContain('svm_barrier')
  })

  describe.each([32, 64] as const)('with %i-bit addresses', (bits) => {
    test.each([
      ['p + 4u', 'let q = args.p + 4u;'],
      ['p == q', 'if (args.p == args.p) { return; }'],
      ['p[0]', 'let q = args.p[0];'],
      ['u32(p)', 'let q = u32(args.p);'],
      ['a number for a pointer', 'let q = svm_load_u32(16u);'],
    ])('operators on a pointer: %s', async (_, statement) => {
      const code = `struct Args { p: svm_ptr }\n@group(0) @binding(0) var<uniform> args: Args;\n@compute @workgroup_size(64)\nfn k() {\n  ${statement}\n}`
      const kernel = translateKernel(options(code, bits))
      const error = explainPointerMisuse(await compile(gpu.device, kernel.checkText), options(code))
      expect(error?.message).toMatch(/line 5:.*svm_ptr is not a number/)
    })

    test('the walk of the design page has no misuse', async () => {
      const kernel = translateKernel(options(WALK, bits))
      expect(explainPointerMisuse(await compile(gpu.device, kernel.checkText), options(WALK))).toBeNull()
    })
  })
})
