// Several devices in one space: two WebGPU devices of one GPU, and one beside a simulated device. Always: a page that one device wrote is read
// with its new bytes by the other, and only pages that move lose their entries.

import { describe, expect, test } from 'vitest'
import type { Svm, SvmDevice, SvmKernel } from '../../src/index.ts'
import { simDevice } from '../../src/sim.ts'
import { PAGE, useGpu } from './device.ts'
import { expectSame, expectWithinBudget, words } from './regime.ts'

const gpu = useGpu()
const PAGES = 8
const PAGE_WORDS = PAGE / 4

/** Adds one to the first word of each page, in WGSL and as the twin that a simulated device runs. */
function incrementer(svm: Svm): Promise<SvmKernel> {
  return svm.createKernel({
    code: `struct Args { p: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;
@compute @workgroup_size(1) fn k(@builtin(global_invocation_id) id: vec3u) {
  let p = svm_index(args.p, id.x, ${PAGE}u);
  svm_store_u32(p, svm_load_u32(p) + 1u);
}`,
    entryPoint: 'k',
    label: 'increment',
    twin: ({ globalId: [i] }, args, memory) => {
      const p = (args.p as number) + i * PAGE
      memory.storeU32(p, memory.loadU32(p) + 1)
    },
  })
}

const pairs: readonly [string, () => Promise<(GPUDevice | SvmDevice)[]>][] = [
  ['two WebGPU devices of one GPU', async () => [await gpu.another(), await gpu.another()]],
  ['a simulated and a WebGPU device', async () => [simDevice({ seed: 7 }), await gpu.another()]],
]

describe.each(pairs)('%s', (_name, open) => {
  test('hand pages to each other on demand and on request', async () => {
    const svm = await gpu.openOn(await open())
    const [one, other] = svm.devices.map((device) => svm.createQueue({ device })) as [Svm['queue'], Svm['queue']]
    const p = svm.allocFrom(words(PAGES * PAGE_WORDS, (i) => i))
    const kernel = await incrementer(svm)
    const expected = words(PAGES * PAGE_WORDS, (i) => i)
    for (let round = 0; round < 3; round++) {
      for (const [d, queue] of [one, other].entries()) {
        await queue.enqueue(kernel, { args: { p }, global: PAGES }).done
        for (let page = 0; page < PAGES; page++) expected[page * PAGE_WORDS] = (expected[page * PAGE_WORDS] as number) + 1
        expect(svm.residency(p, PAGES * PAGE)).toMatchObject([{ where: 'device', device: svm.devices[d], dirty: true }])
      }
    }
    expect(await one.migrate({ pointer: p, byteLength: 3 * PAGE }).done).toMatchObject({ moved: 3, present: 0, skipped: {} })
    expect(await one.migrate({ pointer: p }).done).toMatchObject({ moved: PAGES - 3, present: 3, skipped: {} })
    expect(await one.migrate({ pointer: p }).done).toMatchObject({ moved: 0, present: PAGES, ptesWritten: 0, bytesCopied: 0 })
    expectSame(await svm.read(p, Uint32Array, expected.length), expected)
    expectWithinBudget(svm)
  })

  test('each loses just the entries of pages that move to the other', async () => {
    const svm = await gpu.openOn(await open())
    const [one, other] = svm.devices.map((device) => svm.createQueue({ device })) as [Svm['queue'], Svm['queue']]
    const p = svm.allocFrom(words(PAGES * PAGE_WORDS, (i) => i))
    await one.migrate({ pointer: p }).done
    const lost = svm.stats().devices[0]?.mappingsLost as number
    await other.migrate({ pointer: p + 2 * PAGE, byteLength: 3 * PAGE }).done
    expect(svm.stats().devices[0]?.mappingsLost).toBe(lost + 3)
    expect(svm.residency(p, PAGES * PAGE).map((run) => [svm.devices.indexOf(run.device as SvmDevice), run.byteLength / PAGE])).toEqual([
      [0, 2],
      [1, 3],
      [0, 3],
    ])
  })
})
