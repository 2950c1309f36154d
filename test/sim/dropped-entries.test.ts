// The path of the second seed thread: device-private pages that have lost only their entries in the device's table, as an invalidation by somebody
// else's event leaves them. A kernel faults on them, the range fault finds them on the device, and the entries are written again. Always: no byte is
// copied, and the aperture and permission bits afterwards are as before. Compare nouveau_range_fault() and nouveau_dmem_convert_pfn().

import { describe, expect, it } from 'vitest'
import { PTE } from '../../src/abi/pte.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, PAGE_WORDS, type Rig, sequence } from './rig.ts'

const PAGES = 6
const APERTURE_AND_PERMISSIONS = PTE.system | PTE.load | PTE.store | PTE.exclusive | PTE.mayLoad | PTE.mayStore

function entries(rig: Rig, pointer: number): number[] {
  return Array.from({ length: PAGES }, (_, i) => rig.mirror.vmm.get(pointer / PAGE_BYTES + i))
}

/** Only the entries go: pages, frames and host bytes stay as they are. */
function dropEntries(rig: Rig, pointer: number): void {
  for (let i = 0; i < PAGES; i++) {
    const vpn = pointer / PAGE_BYTES + i
    rig.mirror.vmm.set(vpn, rig.mirror.vmm.get(vpn) & (PTE.mayLoad | PTE.mayStore))
  }
}

async function prepared(access: 'read' | 'read-write'): Promise<{ rig: Rig; data: number; out: number }> {
  const rig = await openRig({ frames: 32 })
  const data = rig.svm.alloc(PAGES * PAGE_BYTES, { access })
  await rig.svm.write(data, sequence(PAGES * PAGE_WORDS, 1))
  const out = rig.svm.alloc(PAGES * 4)
  await rig.svm.queue.migrate([{ pointer: data }, { pointer: out }]).done
  return { rig, data, out }
}

/** Reads the first word of each page to `out`. */
async function readAll(rig: Rig, data: number, out: number) {
  const kernel = await makeKernel(
    rig.svm,
    (item, args, memory) => memory.storeU32(args.out + item.globalId[0] * 4, memory.loadU32(args.data + item.globalId[0] * PAGE_BYTES)),
    { pointers: ['data', 'out'] },
  )
  return rig.svm.queue.enqueue(kernel, { args: { data, out }, global: PAGES }).done
}

describe('entries of device-private pages were dropped, and nothing else', () => {
  it.each(['read', 'read-write'] as const)('a kernel that reads faults once a page, and copies nothing (%s)', async (access) => {
    const { rig, data, out } = await prepared(access)
    const before = entries(rig, data)
    for (const entry of before) {
      expect(entry & PTE.system).toBe(0)
      expect((entry & PTE.store) !== 0).toBe(access === 'read-write')
    }
    const { bytesIn, bytesOut } = rig.svm.stats().devices[0]
    dropEntries(rig, data)
    expect(entries(rig, data).every((entry) => (entry & (PTE.load | PTE.store)) === 0)).toBe(true)
    const result = await readAll(rig, data, out)
    expect(result).toMatchObject({ variant: 'attempt', faults: PAGES, bytesIn: 0, bytesOut: 0, evictions: 0 })
    expect(rig.svm.stats().devices[0]).toMatchObject({ bytesIn, bytesOut })
    const after = entries(rig, data)
    expect(after.map((entry) => entry & APERTURE_AND_PERMISSIONS)).toEqual(before.map((entry) => entry & APERTURE_AND_PERMISSIONS))
    expect(after, 'the frames are the same too').toEqual(before)
    expect(rig.draw(data, PAGES)).toBe('c'.repeat(PAGES))
    await checkInvariants(rig)
    expect(await rig.svm.read(out, Uint32Array, PAGES)).toEqual(Uint32Array.from({ length: PAGES }, (_, i) => i * PAGE_WORDS + 1))
  })

  it('a kernel that writes: the same, and its stores survive', async () => {
    const { rig, data } = await prepared('read-write')
    const before = entries(rig, data)
    dropEntries(rig, data)
    const kernel = await makeKernel(rig.svm, (item, args, memory) => memory.storeU32(args.a + item.globalId[0] * PAGE_BYTES, 7 + item.globalId[0]))
    const result = await rig.svm.queue.enqueue(kernel, { args: { a: data }, global: PAGES }).done
    expect(result).toMatchObject({ variant: 'attempt', faults: PAGES, bytesIn: 0, bytesOut: 0 })
    expect(entries(rig, data).map((entry) => (entry & ~PTE.dirty) >>> 0)).toEqual(before)
    expect(rig.draw(data, PAGES)).toBe('d'.repeat(PAGES))
    await checkInvariants(rig)
    for (let i = 0; i < PAGES; i++) expect(await rig.svm.read(data + i * PAGE_BYTES, Uint32Array, 2)).toEqual(Uint32Array.of(7 + i, i * PAGE_WORDS + 2))
  })

  it('read-only copies of host pages keep the other aperture', async () => {
    const { rig, data, out } = await prepared('read-write')
    await rig.svm.queue.migrate({ pointer: data }, { to: 'host' }).done
    await readAll(rig, data, out)
    expect(rig.draw(data, PAGES)).toBe('m'.repeat(PAGES))
    const before = entries(rig, data)
    expect(before.every((entry) => (entry & PTE.system) !== 0 && (entry & PTE.store) === 0)).toBe(true)
    dropEntries(rig, data)
    expect(await readAll(rig, data, out)).toMatchObject({ bytesIn: 0, bytesOut: 0 })
    expect(entries(rig, data)).toEqual(before)
    await checkInvariants(rig)
  })
})
