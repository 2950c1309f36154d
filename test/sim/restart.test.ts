// restart.test.ts: each asynchronous request is stopped on the way (its pager, its device's memory, a copy, a signal, a host mapping) and sent again,
// the same object. Always: the second time it succeeds, and the space is what it is in a run that nothing stopped.

import { describe, expect, it } from 'vitest'
import { DeviceFailure } from '../../src/device/device.ts'
import type { ByteRange, Op, Requests } from '../../src/drm/request.ts'
import type { Pager, SvmKernel } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const PAGES = 6
type Fault = 'pager' | 'memory' | 'copy' | 'submit' | 'signal' | 'host-mapped'

interface Stage {
  readonly rig: Rig
  /** Six pages of numbers, of which a kernel has stored to the first four. */
  readonly data: number
  /** Zeros that nobody has touched. */
  readonly blank: number
  readonly file: number
  readonly kernel: { handle: number; request: Omit<Requests['SVM_EXEC'], 'memory' | 'kernel' | 'bindGroups' | 'signal'> }
  /** From now on the next such step fails once. Returns what a host mapping holds, to be ended. */
  arm(fault: Fault): Promise<() => void>
  signal: number
}

async function setStage(): Promise<Stage> {
  let broken: Fault | null = null
  const strikes = (fault: Fault) => {
    if (broken !== fault) return false
    broken = null
    return true
  }
  const rig = await openRig({
    frames: 24,
    hostCache: 32 * PAGE_BYTES,
    mischief: { latency: 2, failBuffer: (_n, role) => role === 'pool' && broken === 'memory' },
  })
  const bytes = new Uint8Array(sequence(PAGES * PAGE_WORDS, 100).buffer)
  const pager: Pager = {
    size: bytes.length,
    async read(offset, into) {
      if (strikes('pager')) throw new Error('torn tape')
      into.set(bytes.subarray(offset, offset + into.length))
      return into.length
    },
  }
  const { svm, port, mirror } = rig
  const data = svm.allocFrom(sequence(PAGES * PAGE_WORDS))
  const blank = svm.alloc(PAGES * PAGE_BYTES)
  const file = await svm.mmap(pager)
  const add = await makeKernel(svm, (item, args, m) =>
    m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, m.loadU32(args.a + item.globalId[0] * PAGE_BYTES) + 5),
  )
  await svm.queue.enqueue(add, { args: { a: data }, global: 4 }).done
  const copy = await makeKernel(svm, (item, args, m) => m.storeU32(args.a + item.globalId[0] * PAGE_BYTES, m.loadU32(args.b + item.globalId[0] * PAGE_BYTES)), {
    pointers: ['a', 'b'],
  })
  const { download, submit } = mirror.copies
  mirror.copies.download = (...args) => (strikes('copy') ? Promise.reject(new DeviceFailure('no-memory', 'no staging')) : download.apply(mirror.copies, args))
  mirror.copies.submit = (...args) => (strikes('submit') ? Promise.reject(new DeviceFailure('no-memory', 'no staging')) : submit.apply(mirror.copies, args))
  let aborted = false
  const signal = port.register('signal', {
    get aborted() {
      return aborted
    },
  } as AbortSignal)
  return {
    rig,
    data,
    blank,
    file,
    signal,
    kernel: { handle: handleOf(copy), request: requestOf(copy, { a: blank, b: file }) },
    async arm(fault) {
      broken = fault
      aborted = fault === 'signal'
      const held = fault === 'host-mapped' ? await Promise.all([data, file].map((pointer) => svm.map(pointer, 4, 'read'))) : []
      return () => {
        broken = null
        aborted = false
        for (const mapping of held) mapping.unmap()
      }
    },
  }
}

function handleOf(kernel: SvmKernel): number {
  return (kernel as unknown as { handles: number[] }).handles[0]
}
function requestOf(kernel: SvmKernel, args: Record<string, number>) {
  return (kernel as unknown as { request(launch: unknown, memory: number): { request: Stage['kernel']['request'] } }).request({ args, global: PAGES }, 0)
    .request
}

/** What a program can see of a space: where pages are, and their bytes. */
async function look({ rig, data, blank, file }: Stage) {
  const { mappings, pages } = rig.svm.snapshot()
  const runs: ByteRange[] = rig.space.addresses.vmas.map(({ start, end }) => ({ pointer: start * PAGE_BYTES, byteLength: (end - start) * PAGE_BYTES }))
  const bytes: unknown[] = []
  for (const { pointer, byteLength } of runs) {
    if ([data, blank, file].some((start) => pointer >= start)) bytes.push(await rig.svm.read(pointer, Uint32Array, byteLength / 4).catch((error) => error.code))
  }
  return { mappings, pages, bytes }
}

type Case = { [O in Op]: readonly [op: O, fault: Fault, code: string, request: (stage: Stage) => Requests[O]] }[Op]
const migrate = (stage: Stage, pointer: keyof Stage, rest: Partial<Requests['SVM_BIND']> = {}): Requests['SVM_BIND'] => ({
  memory: 0,
  ranges: [{ pointer: stage[pointer] as number, byteLength: 0 }],
  target: 'device',
  contentUndefined: false,
  mode: 'best-effort',
  ...rest,
})
const buffer = (stage: Stage, direction: 'in' | 'out', pointer: number): Requests['SVM_BUFFER'] => ({
  memory: 0,
  buffer: stage.rig.port.register('buffer', sequence(PAGE_WORDS, 3)),
  offset: 0,
  pointer,
  byteLength: PAGE_BYTES,
  direction,
})
const exec = ({ kernel, signal }: Stage): Requests['SVM_EXEC'] => ({ ...kernel.request, memory: 0, kernel: kernel.handle, bindGroups: [], signal })

const CASES: readonly Case[] = [
  ['SVM_FREE', 'host-mapped', 'host-mapped', ({ data }) => ({ pointer: data })],
  ['SVM_MUNMAP', 'host-mapped', 'host-mapped', ({ file }) => ({ pointer: file, byteLength: 3 * PAGE_BYTES })],
  ['SVM_MPROTECT', 'host-mapped', 'host-mapped', ({ data }) => ({ pointer: data, byteLength: 3 * PAGE_BYTES, access: 'read' as const })],
  ['SVM_BIND', 'pager', 'pager-failed', (stage) => migrate(stage, 'file')],
  ['SVM_BIND', 'copy', 'device-memory', (stage) => migrate(stage, 'data', { target: 'host' })],
  ['SVM_BIND', 'host-mapped', 'host-mapped', (stage) => migrate(stage, 'file', { mode: 'all-or-nothing' })],
  ['SVM_MAP', 'pager', 'pager-failed', ({ file }) => ({ pointer: file, byteLength: PAGES * PAGE_BYTES, mode: 'read' as const })],
  ['SVM_MAP', 'copy', 'device-memory', ({ data }) => ({ pointer: data, byteLength: 100, mode: 'read-write' as const })],
  ['SVM_READ', 'pager', 'pager-failed', ({ file }) => ({ pointer: file + 5, byteLength: 3 * PAGE_BYTES })],
  ['SVM_READ', 'copy', 'device-memory', ({ data }) => ({ pointer: data, byteLength: 3 * PAGE_BYTES })],
  ['SVM_WRITE', 'copy', 'device-memory', ({ data }) => ({ pointer: data + 8, bytes: new Uint8Array(PAGE_BYTES).fill(7) })],
  ['SVM_COPY', 'pager', 'pager-failed', ({ blank, file }) => ({ destination: blank, source: file, byteLength: 2 * PAGE_BYTES + 12 })],
  ['SVM_COPY', 'copy', 'device-memory', ({ blank, data }) => ({ destination: data + 8, source: blank, byteLength: PAGE_BYTES })],
  ['SVM_FILL', 'copy', 'device-memory', ({ data }) => ({ pointer: data + 8, pattern: Uint8Array.of(1, 2), byteLength: PAGE_BYTES })],
  ['SVM_BUFFER', 'submit', 'device-memory', (stage) => buffer(stage, 'in', stage.blank)],
  ['SVM_BUFFER', 'pager', 'pager-failed', (stage) => buffer(stage, 'out', stage.file)],
  ['SVM_EXEC', 'pager', 'pager-failed', exec],
  ['SVM_EXEC', 'submit', 'device-memory', exec],
  ['SVM_EXEC', 'signal', 'aborted', exec],
  ['SVM_RELEASE', 'copy', 'device-memory', () => ({ memory: 0 })],
]

describe('a request that was stopped can be sent again', () => {
  it.each(CASES)('%s stopped by %s', async (op, fault, code, request) => {
    const calm = await setStage()
    // A host mapping itself moves pages: there as here.
    if (fault === 'host-mapped') (await calm.arm(fault))()
    const wanted = await calm.rig.port.ioctl(op, request(calm) as never)
    const stopped = await setStage()
    const disarm = await stopped.arm(fault)
    const sent = request(stopped)
    await expect(stopped.rig.port.ioctl(op, sent as never)).rejects.toMatchObject({ code })
    await checkInvariants(stopped.rig)
    disarm()
    const reply = await stopped.rig.port.ioctl(op, sent as never)
    // Counts of a migrate that was done in part the first time differ: what it moved then is present now.
    if (op !== 'SVM_BIND' && op !== 'SVM_EXEC' && op !== 'SVM_MAP') expect(reply).toEqual(wanted)
    expect(await look(stopped)).toEqual(await look(calm))
    if (op !== 'SVM_RELEASE') await checkInvariants(stopped.rig)
  })

  it('a migrate whose device refused memory moves its pages once there is some', async () => {
    const stage = await setStage()
    const { rig, data, file } = stage
    await rig.svm.queue.migrate({ pointer: data }, { to: 'host' }).done
    const disarm = await stage.arm('memory')
    const request = migrate(stage, 'file', { mode: 'all-or-nothing' })
    await expect(rig.port.ioctl('SVM_BIND', request)).rejects.toMatchObject({ code: 'device-memory' })
    expect(await rig.port.ioctl('SVM_BIND', { ...request, mode: 'best-effort' })).toMatchObject({ moved: 0, skipped: { 'no-memory': PAGES } })
    disarm()
    expect(await rig.port.ioctl('SVM_BIND', request)).toMatchObject({ moved: PAGES, skipped: {} })
    expect(rig.draw(file, PAGES)).toBe('cccccc')
    await checkInvariants(rig)
  })

  it('SVM_FINI waits for what was submitted, says what was lost, and is the end', async () => {
    const { rig, data } = await setStage()
    rig.device.lose('pulled out')
    expect(await rig.port.ioctl('SVM_FINI', {})).toEqual({ lost: [{ pointer: data, byteLength: 4 * PAGE_BYTES }] })
    await expect(rig.port.ioctl('SVM_FINI', {})).rejects.toMatchObject({ code: 'closed', check: 'after-fini' })
    expect(rig.port.ioctl('SVM_STATS', {}).allocations).toBe(3)
  })
})
