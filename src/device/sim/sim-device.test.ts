// The device contract on real bytes: order, latency, accounting, failure and loss. What kernels do is in sim-dispatch.test.ts.

import { describe, expect, it } from 'vitest'
import { CONTROL, CONTROL_HEADER_WORDS, faultLayout } from '../../abi/fault-record.ts'
import { POOL_HEAD_BYTES } from '../../abi/pool.ts'
import { makePte, PTE } from '../../abi/pte.ts'
import { type Device, type DeviceBuffer, DeviceFailure, type DispatchBindings, type ProgramDescriptor } from '../device.ts'
import type { KernelTwin } from '../twin.ts'
import { createSimDevice } from './sim-device.ts'

const words = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer)
const numbers = (bytes: Uint8Array) => Array.from(new Uint32Array(bytes.slice().buffer))

async function read(device: Device, from: DeviceBuffer, offset = 0, byteLength = from.byteLength): Promise<number[]> {
  const into = new Uint8Array(byteLength)
  await device.submit([], [{ from, offset, into }])
  return numbers(into)
}

const copy = (from: DeviceBuffer, to: DeviceBuffer, byteLength = to.byteLength) => ({ kind: 'copy', from, fromOffset: 0, to, toOffset: 0, byteLength }) as const

function describeTwin(twin?: KernelTwin): ProgramDescriptor {
  return {
    label: 'k',
    variant: 'resident',
    code: '',
    entryPoint: 'k',
    constants: {},
    pools: 1,
    hasArguments: false,
    authorBindings: [],
    workgroupSize: [1, 1, 1],
    guard: false,
    startTainted: false,
    abort: 'ignored',
    addressBits: 32 as const,
    pageShift: 12,
    twin,
  }
}

describe('bytes and order', () => {
  it('new buffers are zero, writes land, copies and clears work', async () => {
    const device = createSimDevice()
    const [a, b] = [await device.createBuffer('pool', 16, 'a'), await device.createBuffer('pool', 16, 'b')]
    expect(await read(device, a)).toEqual([0, 0, 0, 0])
    device.write(a, 4, words(1, 2, 3))
    await device.submit([copy(a, b), { kind: 'clear', buffer: b, offset: 8, byteLength: 4 }])
    expect(await read(device, b)).toEqual([0, 1, 0, 3])
  })

  it('work is done in the order of the calls; a write takes its bytes at the call', async () => {
    const device = createSimDevice({ seed: 3 })
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((label) => device.createBuffer('pool', 4, label)))
    const bytes = words(1)
    device.write(a, 0, bytes)
    const first = device.submit([copy(a, b)])
    bytes.set(words(2))
    device.write(a, 0, bytes)
    bytes.set(words(99))
    const second = device.submit([copy(a, c)])
    await Promise.all([first, second])
    expect([await read(device, b), await read(device, c)]).toEqual([[1], [2]])
  })

  it('what is held goes with the next submission, or before a write to what it names, or its end', async () => {
    const device = createSimDevice()
    const [a, b, c] = [await device.createBuffer('pool', 4, 'a'), await device.createBuffer('pool', 4, 'b'), await device.createBuffer('pool', 4, 'c')]
    device.write(a, 0, words(1))
    device.hold([copy(a, b)])
    device.write(c, 0, words(7))
    expect([device.counters.submits, await read(device, b), device.counters.submits]).toEqual([0, [1], 1])
    device.hold([copy(a, b)])
    device.write(a, 0, words(2))
    expect([device.counters.submits, await read(device, b)]).toEqual([2, [1]])
    device.hold([copy(a, b), copy(b, c)])
    a.destroy()
    expect([device.counters.submits, await read(device, c)]).toEqual([4, [2]])
  })

  it('a read-back is not there before its promise settles, and is of its own moment', async () => {
    const device = createSimDevice()
    const a = await device.createBuffer('pool', 4, 'a')
    device.write(a, 0, words(1))
    const into = new Uint8Array(4)
    const done = device.submit([], [{ from: a, offset: 0, into }])
    device.write(a, 0, words(2))
    expect(numbers(into)).toEqual([0])
    await done
    expect(numbers(into)).toEqual([1])
    const part = new Uint8Array(2)
    await device.submit([], [{ from: a, offset: 0, into: part }])
    expect(Array.from(part)).toEqual([2, 0])
  })

  it('a buffer destroyed behind its work is still good for that work, and shows 0xdb after', async () => {
    const device = createSimDevice()
    const [a, b] = [await device.createBuffer('pool', 4, 'a'), await device.createBuffer('pool', 4, 'b')]
    device.write(a, 0, words(5))
    const done = device.submit([copy(a, b)])
    a.destroy()
    a.destroy()
    await done
    expect(await read(device, b)).toEqual([5])
    expect(Array.from(device.peek(a))).toEqual([0xdb, 0xdb, 0xdb, 0xdb])
  })

  it('runs twins between copies, on the bytes of that moment', async () => {
    const device = createSimDevice()
    const program = await device.createProgram(
      describeTwin((item, args, memory) => memory.storeU32(0xfffff000 + item.globalId[0] * 4, args.value + memory.loadU32(0xfffff000))),
    )
    const make = (role: 'table' | 'control' | 'faults' | 'arguments' | 'pool', byteLength: number) => device.createBuffer(role, byteLength, role)
    const layout = faultLayout(1, 2, 32)
    const bindings: DispatchBindings = {
      table: await make('table', 8),
      control: await make('control', CONTROL_HEADER_WORDS * 4),
      faults: await make('faults', layout.endWords * 4),
      args: await make('arguments', 16),
      pools: [await make('pool', POOL_HEAD_BYTES + 4096)],
    }
    const pool = bindings.pools[0] as DeviceBuffer
    const control = new Uint32Array(CONTROL_HEADER_WORDS)
    control[CONTROL.slots] = 1
    control.fill(1, CONTROL.workgroupsX, CONTROL.globalX)
    control.set([layout.workgroupWords, layout.pageWords], CONTROL.workgroupWords)
    device.write(bindings.control, 0, new Uint8Array(control.buffer))
    device.write(bindings.table, 0, words(makePte(0, 0, PTE.load | PTE.store | PTE.exclusive, 0xfffff000), 0))
    const dispatch = { kind: 'dispatch', program, bindings, groups: [1, 1, 1], authorGroups: [], args: { value: 5 } } as const
    device.write(pool, POOL_HEAD_BYTES, words(100))
    const done = device.submit([dispatch, dispatch])
    device.write(pool, POOL_HEAD_BYTES, words(0))
    const into = new Uint8Array(4)
    await Promise.all([done, device.submit([dispatch], [{ from: pool, offset: POOL_HEAD_BYTES, into }])])
    expect(numbers(into)).toEqual([5])
    expect(await read(device, pool, POOL_HEAD_BYTES, 4)).toEqual([5])
    await expect(device.submit([{ ...dispatch, bindings: { ...bindings, pools: [bindings.faults] } }])).rejects.toThrow(/binds no buffer twice/)
  })

  it('refuses what a GPU would refuse', async () => {
    const device = createSimDevice()
    const a = await device.createBuffer('pool', 8, 'a')
    const dead = await device.createBuffer('pool', 8, 'dead')
    dead.destroy()
    expect(() => device.write(a, 2, words(1))).toThrow(/multiples of 4/)
    expect(() => device.write(a, 4, words(1, 2))).toThrow(/reaches byte 12 of the buffer 'a', which has 8/)
    expect(() => device.write(dead, 0, words(1))).toThrow(/after it was destroyed/)
    await expect(device.submit([copy(a, a)])).rejects.toThrow(/not inside 'a'/)
    await expect(device.submit([copy(dead, a)])).rejects.toThrow(/after it was destroyed/)
    await expect(device.createBuffer('pool', 6, 'odd')).rejects.toThrow(/multiple of 4/)
    await expect(device.createBuffer('pool', device.limits.bufferBytes + 4, 'big')).rejects.toThrow(/at most/)
    await expect(device.createProgram(describeTwin())).rejects.toMatchObject({ code: 'unsupported', kernel: 'k' })
    expect(await device.checkText('nonsense')).toEqual([])
  })

  it('takes bytes of the program as foreign buffers, uncounted', async () => {
    const device = createSimDevice()
    const a = await device.createBuffer('pool', 8, 'a')
    const mine = new Float32Array([1, 2])
    const foreign = device.foreignBuffer(mine)
    await device.submit([copy(foreign, a)])
    expect(await read(device, a)).toEqual([0x3f800000, 0x40000000])
    foreign.destroy()
    expect(Array.from(mine)).toEqual([1, 2])
    expect(device.liveBytes - 8).toBe(0)
    expect(() => device.foreignBuffer('buffer')).toThrow(/ArrayBuffer/)
  })
})

describe('accounting', () => {
  it('counts live and peak bytes, buffers, submissions, maps, and the read-back ring', async () => {
    const device = createSimDevice()
    device.configure({ ringBytes: 64, slotBytes: 16 })
    const a = await device.createBuffer('pool', 128, 'a')
    const b = await device.createBuffer('pool', 32, 'b')
    b.destroy()
    expect([device.liveBytes, device.peakBytes, device.counters.buffers]).toEqual([128, 160, 2])
    await read(device, a, 0, 4)
    expect([device.liveBytes, device.counters.maps, device.counters.submits]).toEqual([144, 1, 1])
    await Promise.all([read(device, a, 0, 20), read(device, a, 0, 16)])
    expect([device.liveBytes, device.counters.maps]).toEqual([176, 4])
    await read(device, a, 0, 128)
    expect([device.liveBytes, device.peakBytes, device.counters.maps]).toEqual([192, 192, 12])
    device.release()
    expect(device.liveBytes).toBe(128)
  })

  it('has no more memory than it was given', async () => {
    const device = createSimDevice({ memory: 100 })
    const a = await device.createBuffer('pool', 60, 'a')
    await expect(device.createBuffer('pool', 44, 'b')).rejects.toMatchObject({ name: 'DeviceFailure', reason: 'no-memory' })
    device.configure({ ringBytes: 64, slotBytes: 64 })
    await read(device, a)
    expect([device.memory, device.liveBytes, device.peakBytes]).toEqual([100, 100, 100])
    a.destroy()
    expect((await device.createBuffer('pool', 44, 'b')).byteLength).toBe(44)
  })

  it('has a clock of its own, by the costs', async () => {
    const device = createSimDevice({ costs: { hostToDevice: 4, deviceToHost: 2, deviceToDevice: 8, submit: 10 } })
    const [a, b] = [await device.createBuffer('pool', 8, 'a'), await device.createBuffer('pool', 8, 'b')]
    expect(device.now()).toBe(0)
    device.write(a, 0, words(1, 2))
    expect(device.now()).toBe(2)
    await device.submit([copy(a, b)], [{ from: b, offset: 0, into: new Uint8Array(8) }])
    expect(device.now()).toBe(2 + 10 + 1 + 4)
  })
})

describe('mischief', () => {
  it('fails the buffers it is told to', async () => {
    const device = createSimDevice({ mischief: { failBuffer: (nth, role) => nth === 2 && role === 'pool' } })
    await device.createBuffer('pool', 4, 'first')
    await expect(device.createBuffer('pool', 4, 'second')).rejects.toMatchObject({ reason: 'no-memory' })
    await device.createBuffer('pool', 4, 'third')
    expect([device.liveBytes, device.counters.buffers]).toEqual([8, 2])
  })

  it('fails by a seeded probability', async () => {
    const fates = async (seed: number) => {
      const device = createSimDevice({ seed, mischief: { failBuffer: 0.5 } })
      const tried = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => device.createBuffer('pool', 4, `${i}`)))
      return tried.map(({ status }) => status[0]).join('')
    }
    expect(await fates(1)).toBe(await fates(1))
    expect(await fates(1)).not.toBe(await fates(2))
    expect(await fates(1)).toMatch(/f.*r|r.*f/)
  })

  it('a loss rejects everything pending, calls back once, and leaves later calls harmless', async () => {
    const device = createSimDevice({ mischief: { lossAt: 2 } })
    const heard: string[] = []
    device.onLost((reason) => heard.push(reason))
    const a = await device.createBuffer('pool', 4, 'a')
    await device.submit([])
    const pending = [device.submit([copy(a, await device.createBuffer('pool', 4, 'b'))]), device.submit([]), device.createBuffer('pool', 4, 'c')]
    for (const outcome of await Promise.allSettled(pending.slice(0, 2))) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'DeviceFailure', reason: 'lost' } })
    }
    await Promise.allSettled(pending)
    expect(device.lostReason).toBe('mischief at a submission')
    device.lose('again')
    expect(heard).toEqual(['mischief at a submission'])
    device.write(a, 0, words(1))
    a.destroy()
    await expect(device.createBuffer('pool', 4, 'd')).rejects.toBeInstanceOf(DeviceFailure)
    await expect(device.createProgram(describeTwin(() => undefined))).rejects.toMatchObject({ reason: 'lost' })
    await expect(device.submit([])).rejects.toMatchObject({ reason: 'lost' })
    expect(await device.checkText('')).toEqual([])
    device.release()
    const late = await new Promise<string>((resolve) => device.onLost(resolve))
    expect(late).toBe('mischief at a submission')
  })

  it('work that was in line at a loss is never done', async () => {
    const device = createSimDevice()
    const [a, b] = [await device.createBuffer('pool', 4, 'a'), await device.createBuffer('pool', 4, 'b')]
    device.write(a, 0, words(7))
    const into = new Uint8Array(4)
    const done = device.submit([copy(a, b)], [{ from: a, offset: 0, into }])
    const making = device.createBuffer('pool', 4, 'c')
    device.lose('pulled out')
    await expect(done).rejects.toMatchObject({ reason: 'lost', message: 'simulated device was lost: pulled out' })
    await expect(making).rejects.toMatchObject({ reason: 'lost' })
    expect([numbers(into), numbers(device.peek(b))]).toEqual([[0], [0]])
  })
})

describe('latency', () => {
  // Which of many promises settles first is the seed's choice; nothing is lost, and work stays in order.
  const settled = async (seed: number, latency: number) => {
    const device = createSimDevice({ seed, mischief: { latency } })
    const order: number[] = []
    await Promise.all(Array.from({ length: 12 }, (_, i) => device.createBuffer('pool', 4, `${i}`).then(() => order.push(i))))
    return order.join()
  }

  it('is the same for the same seed, another for another, and none when none is asked for', async () => {
    expect(await settled(4, 6)).toBe(await settled(4, 6))
    expect(await settled(4, 6)).not.toBe(await settled(5, 6))
    expect(await settled(4, 0)).toBe('0,1,2,3,4,5,6,7,8,9,10,11')
  })

  it('takes its rounds from outside', async () => {
    let rounds = 0
    const device = createSimDevice({ turn: async () => void rounds++ })
    await Promise.all(Array.from({ length: 100 }, () => device.submit([])))
    expect(rounds).toBeGreaterThan(5)
  })
})
