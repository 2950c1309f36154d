// How device faults are serviced: what is brought for them, in how many rounds, and what is told of them. Always: counts, never times.

import { describe, expect, it } from 'vitest'
import type { KernelTwin } from '../../src/types.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, sequence } from './rig.ts'

describe('examples of faults', () => {
  it('are traced with address, access and workgroup', async () => {
    const rig = await openRig({ frames: 16 })
    const a = rig.svm.allocFrom(sequence(3 * PAGE_WORDS))
    const twin: KernelTwin = (item, args, m) => {
      const at = (args.a as number) + (item.globalId[0] as number) * PAGE_BYTES + 8
      if (item.globalId[0] === 1) m.storeU32(at, 1)
      else if (item.globalId[0] === 2) m.silentAtomicAddU32(at, 1)
      else m.loadU32(at)
    }
    const kernel = await makeKernel(rig.svm, twin)
    await rig.svm.queue.enqueue(kernel, { args: { a }, global: 3 }).done
    const [event] = rig.events.filter(({ kind }) => kind === 'fault')
    expect(event).toMatchObject({ kernel: 'k', round: 1 })
    const examples = event?.kind === 'fault' ? [...event.examples].sort((x, y) => x.workgroup - y.workgroup) : []
    expect(examples).toEqual([
      { pointer: a + 8, access: 'load', workgroup: 0 },
      { pointer: a + PAGE_BYTES + 8, access: 'store', workgroup: 1 },
      { pointer: a + 2 * PAGE_BYTES + 8, access: 'atomic', workgroup: 2 },
    ])
    await checkInvariants(rig)
  })

  it('are few, however many faults there are, and nothing depends on them', async () => {
    const rig = await openRig({ frames: 128 })
    const a = rig.svm.allocFrom(sequence(100 * PAGE_WORDS))
    const kernel = await makeKernel(rig.svm, (item, args, m) => void m.loadU32((args.a as number) + (item.globalId[0] as number) * PAGE_BYTES))
    const result = await rig.svm.queue.enqueue(kernel, { args: { a }, global: 100 }).done
    expect(result).toMatchObject({ rounds: 2, faults: 100 })
    const [event] = rig.events.filter(({ kind }) => kind === 'fault')
    expect(event?.kind === 'fault' ? event.examples.length : 0).toBe(32)
  })
})
