// A device that is lost in the middle: commands that wait fail, pages whose only copy was there are lost by name, all the rest is readable, and
// close works. Each test has a device of its own.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmKernel } from '../../src/index.ts'
import { PAGE, useGpu } from './device.ts'
import { expectSame, words } from './regime.ts'

const gpu = useGpu()
const LOST = expect.objectContaining({ code: 'device-lost' })
const STORE = `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) { svm_store_u32(svm_index(args.p, id.x, ${PAGE}u), 7u); }`

interface Scene {
  readonly svm: Svm
  readonly device: GPUDevice
  readonly kernel: SvmKernel
  /** Four pages: the first two are dirty on the device, the others clean there. */
  readonly p: number
  /** Two pages at home. */
  readonly home: number
}

async function scene(): Promise<Scene> {
  const device = await gpu.another()
  const svm = await gpu.open({ on: device })
  const p = svm.allocFrom(words((4 * PAGE) / 4, (i) => i))
  const home = svm.allocFrom(words((2 * PAGE) / 4, (i) => i + 5))
  const kernel = await svm.createKernel({ code: STORE, entryPoint: 'k' })
  await svm.queue.migrate({ pointer: p }).done
  await svm.queue.enqueue(kernel, { args: { p }, global: 2 }).done
  return { svm, device, kernel, p, home }
}

async function lose(device: GPUDevice): Promise<void> {
  device.destroy()
  await device.lost
}

describe('device loss', () => {
  test('loses the pages whose only copy was there, and no others', async () => {
    const { svm, device, p, home } = await scene()
    await lose(device)
    expect(svm.residency(p, 4 * PAGE).map(({ where, byteLength }) => [where, byteLength])).toEqual([
      ['lost', 2 * PAGE],
      ['host', 2 * PAGE],
    ])
    await expect(svm.read(p, 4)).rejects.toMatchObject({ code: 'device-lost', pointer: p, byteLength: PAGE })
    await expect(svm.map(p, 2 * PAGE, 'read-write')).rejects.toEqual(LOST)
    await expect(svm.write(p + 4, Uint32Array.of(1))).rejects.toEqual(LOST)
    await expect(svm.queue.memcpy(home, p, 16).done).rejects.toEqual(LOST)
    expectSame(
      await svm.read(p + 2 * PAGE, Uint32Array, (2 * PAGE) / 4),
      words((2 * PAGE) / 4, (i) => i + 2 * 1024),
    )
    expectSame(
      await svm.read(home, Uint32Array, (2 * PAGE) / 4),
      words((2 * PAGE) / 4, (i) => i + 5),
    )
    expect(svm.stats().devices[0]).toMatchObject({ lost: true, framesUsed: 0 })
  })

  test('a page comes back when it is wholly overwritten', async () => {
    const { svm, device, p } = await scene()
    await lose(device)
    await svm.write(
      p,
      words(PAGE / 4, (i) => i * 2),
    )
    expect((await svm.read(p, Uint32Array, 2))[1]).toBe(2)
    await expect(svm.read(p + PAGE, 4)).rejects.toEqual(LOST)
    await svm.using(p + PAGE, PAGE, 'write-discard', ({ u32 }) => u32.fill(9))
    expect((await svm.read(p, Uint32Array, 1025))[1024]).toBe(9)
    expect(svm.residency(p, 4 * PAGE).map(({ where }) => where)).toEqual(['host'])
  })

  test('freeing takes lost pages away', async () => {
    const { svm, device, p } = await scene()
    await lose(device)
    svm.free(p)
    await svm.read(0, 0)
    const fresh = svm.alloc(4 * PAGE)
    expectSame(await svm.read(fresh, 4 * PAGE), new Uint8Array(4 * PAGE))
  })

  test('commands for the device fail, those of the host work, and kernels too fail from then on', async () => {
    const { svm, device, kernel, p, home } = await scene()
    const before = svm.queue.enqueue(kernel, { args: { p }, global: 4 })
    const behind = svm.queue.enqueue(kernel, { args: { p: home }, global: 2 })
    const copied = svm.createQueue().memcpy(home + PAGE, home, 16)
    device.destroy()
    for (const event of [before, behind]) {
      await expect(event.done).rejects.toMatchObject({ code: expect.stringMatching(/^(device-lost|dependency-failed)$/) })
    }
    await copied.done
    await device.lost
    await expect(svm.queue.enqueue(kernel, { args: { p: home }, global: 1 }).done).rejects.toEqual(LOST)
    await expect(svm.queue.migrate({ pointer: home }).done).rejects.toEqual(LOST)
    await expect(svm.createKernel({ code: `${STORE}\n`, entryPoint: 'k' })).rejects.toEqual(LOST)
    await svm.queue.memfill(home, Uint32Array.of(3), 16).done
    expect((await svm.read(home, Uint32Array, 1))[0]).toBe(3)
  })

  test('in the middle of a launch that faults again and again', async () => {
    const device = await gpu.another()
    const svm = await gpu.open({ on: device, deviceMemory: 512 * 1024 })
    const p = svm.allocFrom(words((400 * PAGE) / 4, (i) => i))
    const kernel = await svm.createKernel({ code: STORE, entryPoint: 'k' })
    const event = svm.queue.enqueue(kernel, { args: { p }, global: 400 })
    while (event.status !== 'running' || svm.stats().devices[0]?.evictions === 0) await new Promise((resolve) => setTimeout(resolve))
    device.destroy()
    await expect(event.done).rejects.toEqual(LOST)
    // Each page is whole: as it was, stored to, or lost.
    let lost = 0
    for (let page = 0; page < 400; page++) {
      const got = await svm.read(p + page * PAGE, Uint32Array, 2).catch((error) => {
        expect(error).toEqual(LOST)
        lost++
        return null
      })
      if (got === null) continue
      expect([7, page * 1024]).toContain(got[0])
      expect(got[1]).toBe(page * 1024 + 1)
    }
    expect(lost).toBeLessThan(60)
  })

  test('close works, and names what was lost', async () => {
    const { svm, device, p } = await scene()
    const told: string[] = []
    svm.onerror = (error) => told.push(`${error.code} ${error.message}`)
    await lose(device)
    await svm.close()
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(new RegExp(`^device-lost .*${2 * PAGE} bytes at 0x${p.toString(16)}`))
  })

  test('close in the middle of it', async () => {
    const { svm, device, kernel, p } = await scene()
    const event = svm.queue.enqueue(kernel, { args: { p }, global: 4 })
    device.destroy()
    const closed = svm.close()
    await event.done.catch((error) => expect(error).toEqual(LOST))
    await closed
  })

  test('a space cannot be opened on a device that is lost', async () => {
    const device = await gpu.another()
    await lose(device)
    const opened = await gpu.open({ on: device }).catch((error) => error)
    if (opened instanceof Error) expect(opened).toEqual(LOST)
    else await expect(opened.queue.migrate({ pointer: opened.alloc(4) }).done).rejects.toEqual(LOST)
  })
})
