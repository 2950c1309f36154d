// An index with a stride that is known is the index with one that is not. Always: the same addresses, up to both ends of the space.

import { describe, expect, test } from 'vitest'
import { PTE } from '../abi/pte.ts'
import { useTestGpu } from './test-gpu.ts'
import { pageAt, TestSpace } from './test-space.ts'

const gpu = useTestGpu()

const STRIDES = [1, 2, 3, 4, 12, 16, 20, 255, 1024, 1295]
const ITEMS = [0, 1, 7, 0x1234, 0xffff, 0x1_0000, 0x3fff_ffff, 0x4000_0000, 0x5555_5556, 0xffff_fffe, 0xffff_ffff]
const POINTERS = {
  32: ['0u', '1u', '0x1000u', '0x80000000u', '0xfffffff0u', '0xffffffffu'],
  64: ['0u, 0u', '0xffffffffu, 0u', '0x1000u, 5u', '0xfffffff0u, 0xffffu', '1u, 0x10000u'],
}
const READ_WRITE = PTE.load | PTE.store | PTE.dirty

describe.each([32, 64] as const)('with %i-bit addresses', (bits) => {
  test('every stride', async () => {
    const pairs = POINTERS[bits].flatMap((pointer) => ITEMS.map((item) => [pointer, item] as const))
    // Bit k of word n: the k-th stride gives the same address for pair n.
    const code = `struct Args { out: svm_ptr, zero: u32 }
@group(0) @binding(0) var<uniform> args: Args;
fn same(p: svm_ptr, i: u32) -> u32 {
  return ${STRIDES.map((stride, k) => `(u32(svm_equal(svm_index(p, i, ${stride}u), svm_index(p, i, ${stride}u + args.zero))) << ${k}u)`).join(' | ')};
}
@compute @workgroup_size(1) fn k() {
  ${pairs.map(([pointer, item], n) => `svm_store_u32(svm_add(args.out, ${4 * n}u), same(svm_ptr(${pointer}), ${item}u));`).join('\n  ')}
}`
    const space = new TestSpace(gpu.device, bits).table(0, READ_WRITE)
    const done = await space.run({ code, args: { out: pageAt(0, bits), zero: 0 }, variant: 'resident' })
    expect(done.bad).toBeNull()
    expect([...done.frame(0).subarray(0, pairs.length)]).toEqual(pairs.map(() => 2 ** STRIDES.length - 1))
  })
})
