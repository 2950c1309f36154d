// Bad accesses of kernels: each fails its command with everything that helps to find it, and the space stays usable. In both variants: with
// faults possible, and with everything on the device.

import { describe, expect, test } from 'vitest'
import type { KernelDescriptor, KernelLaunch, Svm, SvmError } from '../../src/index.ts'
import { KIB, MIB, PAGE, pointerWords, useGpu } from './device.ts'
import { expectSame, words } from './regime.ts'

const gpu = useGpu()
const ARGS = 'struct Args { p: svm_ptr, out: svm_ptr }\n@group(0) @binding(0) var<uniform> args: Args;\n'
const LOAD = `${ARGS}@compute @workgroup_size(1) fn k(@builtin(workgroup_id) group: vec3u) {
  if (group.x == 2u) { svm_store_u32(args.out, svm_load_u32(args.p)); }
}`
const STORE = LOAD.replace('svm_store_u32(args.out, svm_load_u32(args.p))', 'svm_store_u32(args.p, 5u)')
const ATOMIC = LOAD.replace('svm_store_u32(args.out, svm_load_u32(args.p))', 'svm_atomic_add_u32(args.p, 5u)')

async function failureOf(
  svm: Svm,
  descriptor: Omit<KernelDescriptor, 'entryPoint'>,
  launch: Partial<KernelLaunch> & Pick<KernelLaunch, 'args'>,
): Promise<SvmError> {
  const kernel = await svm.createKernel({ entryPoint: 'k', label: 'culprit', ...descriptor })
  const outcome = await svm.queue.enqueue(kernel, { global: 4, ...launch }).done.then(
    () => null,
    (error: SvmError) => error,
  )
  if (outcome === null) throw new Error('The launch succeeded.')
  expect(outcome.name).toBe('SvmError')
  return outcome
}

async function expectUsable(svm: Svm): Promise<void> {
  const cell = svm.alloc(PAGE)
  const kernel = await svm.createKernel({ code: STORE, entryPoint: 'k' })
  await svm.queue.enqueue(kernel, { args: { p: cell, out: cell }, global: 4 }).done
  expect((await svm.read(cell, Uint32Array, 1))[0]).toBe(5)
  svm.free(cell)
}

describe.each(['cold', 'resident'] as const)('%s', (regime) => {
  async function prepared(): Promise<{ svm: Svm; out: number; settle: () => Promise<void> }> {
    const svm = await gpu.open()
    const out = svm.allocFrom(words(PAGE / 4, () => 1))
    const settle = async () => {
      if (regime === 'cold') return
      const { mappings } = svm.snapshot()
      await svm.queue.migrate(mappings.map(({ pointer }) => ({ pointer }))).done
    }
    return { svm, out, settle }
  }

  test.each([
    ['null', 0],
    ['nothing mapped', 0x1000_0000],
    ['the end of the space', 0xffff_fffc],
  ])('a load where nothing is: %s', async (_, address) => {
    const { svm, out, settle } = await prepared()
    await settle()
    const error = await failureOf(svm, { code: LOAD }, { args: { p: address, out } })
    expect(error).toMatchObject({ code: 'access-violation', pointer: address, kernel: 'culprit', workgroup: [2, 0, 0] })
    expect(error.message).toContain('culprit')
    expect(error.message).toContain(`0x${address.toString(16)}`)
    expect(error.message).toMatch(/a load .*workgroup \(2, 0, 0\), where nothing is mapped; /)
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(1)
    await expectUsable(svm)
  })

  test.each([
    ['a store', STORE],
    ['an atomic', ATOMIC],
  ])('%s where nothing is, and to memory that kernels may only read', async (kind, code) => {
    const { svm, out, settle } = await prepared()
    const fixed = svm.alloc(PAGE, { access: 'read', label: 'constants' })
    await svm.write(
      fixed,
      words(4, (i) => i + 1),
    )
    await settle()
    const unmapped = await failureOf(svm, { code }, { args: { p: out - 64 * PAGE, out } })
    expect(unmapped).toMatchObject({ code: 'access-violation', pointer: out - 64 * PAGE })
    const readOnly = await failureOf(svm, { code }, { args: { p: fixed + 4, out } })
    expect(readOnly).toMatchObject({ code: 'access-violation', pointer: fixed + 4 })
    expect(readOnly.message).toContain(`${kind} at `)
    expect(readOnly.message).toMatch(/read-only for kernels/)
    expectSame(await svm.read(fixed, Uint32Array, 4), Uint32Array.of(1, 2, 3, 4))
    await expectUsable(svm)
  })

  test('a mapping of a pager is read-only', async () => {
    const { svm, out, settle } = await prepared()
    const source = new Uint8Array(words((2 * PAGE) / 4, (i) => i + 3).buffer)
    const pager = { size: source.length, read: async (offset: number, into: Uint8Array) => copyOut(source, offset, into) }
    const p = await svm.mmap(pager, { label: 'the file' })
    await settle()
    expect(await failureOf(svm, { code: STORE }, { args: { p, out } })).toMatchObject({ code: 'access-violation', pointer: p })
    await svm.queue.enqueue(await svm.createKernel({ code: LOAD, entryPoint: 'k' }), { args: { p, out }, global: 4 }).done
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(3)
  })

  test('misaligned', async () => {
    const { svm, out, settle } = await prepared()
    await settle()
    const error = await failureOf(svm, { code: STORE }, { args: { p: out + 2, out } })
    expect(error).toMatchObject({ code: 'access-violation', pointer: out + 2 })
    expect(error.message).toMatch(/not aligned/)
    await expectUsable(svm)
  })

  test('outside the reach of the arguments, or of a list', async () => {
    const { svm, out, settle } = await prepared()
    const other = svm.allocFrom(words(PAGE / 4, () => 8))
    const hidden = svm.allocFrom(pointerWords([other]))
    await settle()
    const code = LOAD.replace('svm_load_u32(args.p)', 'svm_load_u32(svm_load_ptr(args.p))')
    for (const reach of ['arguments', [hidden, out]] as const) {
      const error = await failureOf(svm, { code, reach: reach as 'arguments' }, { args: { p: hidden, out } })
      expect(error).toMatchObject({ code: 'access-violation', pointer: other })
      expect(error.message).toMatch(/outside the kernel's reach/)
    }
    const kernel = await svm.createKernel({ code, entryPoint: 'k', reach: [hidden, out, other + 100] })
    await svm.queue.enqueue(kernel, { args: { p: hidden, out }, global: 4 }).done
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(8)
  })

  test('pages that the host has mapped', async () => {
    const { svm, out, settle } = await prepared()
    const p = svm.allocFrom(words(PAGE / 4, () => 4))
    await settle()
    const reading = await svm.map(p + 8, 4, 'read')
    await svm.queue.enqueue(await svm.createKernel({ code: LOAD, entryPoint: 'k' }), { args: { p, out }, global: 4 }).done
    const stored = await failureOf(svm, { code: STORE }, { args: { p, out } })
    expect(stored).toMatchObject({ code: 'host-mapped', pointer: p })
    expect(stored.message).toMatch(/host has mapped for reading.*Unmap/)
    reading.unmap()
    for (const mode of ['write', 'read-write', 'write-discard'] as const) {
      const writing = await svm.map(p + 8, 4, mode)
      expect(await failureOf(svm, { code: LOAD }, { args: { p, out } })).toMatchObject({ code: 'host-mapped', pointer: p })
      expect(await failureOf(svm, { code: STORE }, { args: { p, out } })).toMatchObject({ code: 'host-mapped', pointer: p })
      writing.unmap()
    }
    expect((await svm.read(p, Uint32Array, 1))[0]).toBe(4)
    expect((await svm.read(out, Uint32Array, 1))[0]).toBe(4)
    await expectUsable(svm)
  })
})

describe('what a failure leaves', () => {
  /** Every work-item adds one to a word of its own page; the one in the middle goes astray. */
  const ASTRAY = `struct Args { cells: svm_ptr, bad: u32 }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.cells, id.x, ${PAGE}u);
  svm_atomic_add_u32(p, 1u);
  if (id.x == args.bad) { svm_store_u32(svm_add(SVM_NULL, 8u), 1u); }
}`
  const CELLS = 100

  async function cells(svm: Svm): Promise<{ p: number; counts: () => Promise<number[]> }> {
    const p = svm.allocFrom(words((CELLS * PAGE) / 4, (i) => (i % 1024 === 0 ? 10 : i)))
    const counts = async () => {
      const got = await svm.read(p, Uint32Array, (CELLS * PAGE) / 4)
      return Array.from({ length: CELLS }, (_, n) => got[n * 1024] as number)
    }
    return { p, counts }
  }

  test('retired workgroups have finished, once each; the message counts them', async () => {
    const svm = await gpu.open({ deviceMemory: 512 * KIB })
    const { p, counts } = await cells(svm)
    const error = await failureOf(svm, { code: ASTRAY }, { args: { cells: p, bad: 60 }, global: CELLS })
    expect(error).toMatchObject({ code: 'access-violation', workgroup: [60, 0, 0], pointer: 8 })
    const after = await counts()
    expect(after.every((n) => n === 10 || n === 11)).toBe(true)
    expect(after[60]).toBe(10)
    expect(after.filter((n) => n === 11).length).toBe(error.retiredWorkgroups)
    expect(error.message).toContain(`${error.retiredWorkgroups} of ${CELLS} workgroups`)
  })

  test.each([['on the host'], ['on the device'], ['dirty on the device']])('atomic: all bytes as before (%s)', async (place) => {
    const svm = await gpu.open({ deviceMemory: 2 * MIB })
    const { p, counts } = await cells(svm)
    const good = await svm.createKernel({ code: ASTRAY, entryPoint: 'k' })
    if (place !== 'on the host') await svm.queue.migrate({ pointer: p }).done
    if (place === 'dirty on the device') await svm.queue.enqueue(good, { args: { cells: p, bad: CELLS }, global: CELLS }).done
    const start = place === 'dirty on the device' ? 11 : 10
    const error = await failureOf(svm, { code: ASTRAY }, { args: { cells: p, bad: 60 }, global: CELLS, atomic: true })
    expect(error.code).toBe('access-violation')
    expect(await counts()).toEqual(new Array(CELLS).fill(start))
    const done = await svm.queue.enqueue(good, { args: { cells: p, bad: CELLS }, global: CELLS, atomic: true }).done
    expect(done.variant).toBe('attempt')
    expect(await counts()).toEqual(new Array(CELLS).fill(start + 1))
  })

  test('atomic: refused when the copies do not fit, with all bytes as before', async () => {
    const svm = await gpu.open({ deviceMemory: 512 * KIB })
    const { p, counts } = await cells(svm)
    const error = await failureOf(svm, { code: ASTRAY }, { args: { cells: p, bad: CELLS }, global: CELLS, atomic: true })
    expect(error.code).toBe('working-set')
    expect(await counts()).toEqual(new Array(CELLS).fill(10))
  })

  test('transactional: the window that went astray leaves nothing', async () => {
    const svm = await gpu.open({ deviceMemory: 2 * MIB })
    const { p, counts } = await cells(svm)
    const error = await failureOf(svm, { code: ASTRAY, class: 'transactional' }, { args: { cells: p, bad: 60 }, global: CELLS })
    expect(error.code).toBe('access-violation')
    const before = await counts()
    expect(before).toEqual(Array.from(before, (_, i) => (i < (error.retiredWorkgroups as number) ? 11 : 10)))
    await svm.write(
      p,
      words((CELLS * PAGE) / 4, (i) => (i % 1024 === 0 ? 10 : i)),
    )
    const kernel = await svm.createKernel({ code: ASTRAY, entryPoint: 'k', class: 'transactional' })
    await svm.queue.enqueue(kernel, { args: { cells: p, bad: CELLS }, global: CELLS }).done
    expect(await counts()).toEqual(new Array(CELLS).fill(11))
  })

  test('unsplittable: refused when a fault is possible, runs when all is there', async () => {
    const svm = await gpu.open({ deviceMemory: 2 * MIB })
    const { p, counts } = await cells(svm)
    const error = await failureOf(svm, { code: ASTRAY, class: 'unsplittable' }, { args: { cells: p, bad: CELLS }, global: CELLS })
    expect(error.code).toBe('unsupported')
    expect(error.message).toMatch(/unsplittable.*[Mm]igrate/)
    await svm.queue.migrate({ pointer: p }).done
    const kernel = await svm.createKernel({ code: ASTRAY, entryPoint: 'k', class: 'unsplittable' })
    expect((await svm.queue.enqueue(kernel, { args: { cells: p, bad: CELLS }, global: CELLS }).done).variant).not.toBe('attempt')
    expect(await counts()).toEqual(new Array(CELLS).fill(11))
  })

  test('a workgroup that alone needs more than the budget', async () => {
    const svm = await gpu.open({ deviceMemory: 512 * KIB })
    const { p } = await cells(svm)
    const code = `struct Args { cells: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k() {
  for (var n = 0u; n < ${CELLS}u; n++) { svm_atomic_add_u32(svm_index(args.cells, n, ${PAGE}u), 1u); }
}`
    const error = await failureOf(svm, { code }, { args: { cells: p }, global: 1 })
    expect(error).toMatchObject({ code: 'working-set', workgroup: [0, 0, 0] })
    expect(error.message).toMatch(/needs at least \d+ pages .* has \d+/)
    await expectUsable(svm)
  })
})

function copyOut(source: Uint8Array, offset: number, into: Uint8Array): number {
  const bytes = source.subarray(offset, offset + into.length)
  into.set(bytes)
  return bytes.length
}
