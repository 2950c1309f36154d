// Encoding, on an encoder that only notes the calls. Always: groups without bindings are set where the device asks for them, and in place of others.

import { expect, test } from 'vitest'
import type { Program, Work } from '../device.ts'
import { needsEmptyGroups } from './empty-groups.ts'
import { type EncodeContext, encodeWork } from './encode.ts'

const program = { descriptor: { hasArguments: true }, pipeline: 'pipeline', runtimeGroup: () => 'runtime' } as unknown as Program
const dispatch = (authorGroups: readonly unknown[] = []): Work => ({
  kind: 'dispatch',
  program,
  bindings: {} as never,
  groups: [1, 1, 1],
  authorGroups,
  args: {},
})

/** The groups that are set, by index, and the dispatches. */
function calls(needs: boolean, work: readonly Work[]): string[] {
  const noted: string[] = []
  const pass = {
    setPipeline: () => undefined,
    setBindGroup: (index: number, group: string) => noted.push(`${index} ${group}`),
    dispatchWorkgroups: () => noted.push('dispatch'),
    end: () => undefined,
  }
  const context = { emptyGroup: () => 'empty', needsEmptyGroups: () => needs } as unknown as EncodeContext
  encodeWork({ beginComputePass: () => pass } as unknown as GPUCommandEncoder, work, context)
  return noted
}

test('a device that asks for empty groups gets each once a compute pass', () => {
  expect(calls(true, [dispatch(), dispatch()])).toEqual(['0 empty', '1 empty', '2 empty', '3 runtime', 'dispatch', '3 runtime', 'dispatch'])
})

test('one that does not gets none', () => {
  expect(calls(false, [dispatch(), dispatch()])).toEqual(['3 runtime', 'dispatch', '3 runtime', 'dispatch'])
})

test('no author’s group stays for a dispatch that was given none', () => {
  expect(calls(false, [dispatch([undefined, 'mine']), dispatch()])).toEqual(['1 mine', '3 runtime', 'dispatch', '1 empty', '3 runtime', 'dispatch'])
})

test.each([
  ['refuses', { message: 'group 0 is missing' }, true],
  ['takes', null, false],
])('a device that %s a dispatch without them is asked without a submission', async (_, error, needs) => {
  const pass = { setPipeline: () => undefined, dispatchWorkgroups: () => undefined, end: () => undefined }
  const device = {
    pushErrorScope: () => undefined,
    popErrorScope: async () => error,
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipeline: () => ({}),
    createCommandEncoder: () => ({ beginComputePass: () => pass, finish: () => ({}) }),
  }
  expect(await needsEmptyGroups(device as unknown as GPUDevice)).toBe(needs)
})
