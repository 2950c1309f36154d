// shadow.test.ts: how much the race detector sees. Always: a launch that fits the budget's part for it is watched whole, the first time or, where nobody could
// know how much it accesses, the second; of any other it is told what was not.

import { describe, expect, it } from 'vitest'
import { SHADOW_PROBES, shadowHash } from '../../src/abi/shadow.ts'
import type { SvmError } from '../../src/base/error.ts'
import type { KernelTwin } from '../../src/device/twin.ts'
import { checkInvariants, makeKernel, openRig, PAGE_BYTES, type Rig } from './rig.ts'

const MIB = 2 ** 20
const GROUPS = 8

/** Each workgroup stores to its part of `a`; then the last two, if they shall race, store to one word behind all of them. */
const stores: KernelTwin = ({ workgroupId: [group] }, { a, words, races }, m) => {
  const part = (words as number) / GROUPS
  for (let n = 0; n < part; n++) m.storeU32((a as number) + 4 * (group * part + n), group + n)
  if (races === 1 && group >= GROUPS - 2) m.storeU32((a as number) + 4 * (words as number), group)
}

/** The same, where `p` only points to what points to the words. */
const storesBehind: KernelTwin = (item, { p, words, races }, m) =>
  stores(item, { a: m.loadPointer(p as number), words: words as number, races: races as number }, m)

async function failureOf(done: Promise<unknown>): Promise<SvmError | null> {
  return done.then(
    () => null,
    (thrown) => thrown as SvmError,
  )
}

function told({ events }: Rig): string[] {
  return events.flatMap((event) => (event.kind === 'unwatched' ? [event.message] : []))
}

describe.each([32, 64] as const)('with %i-bit addresses', (addressBits) => {
  it('more words than the largest table once had: one race among them is found, and all was watched', async () => {
    const rig = await openRig({ debug: true, addressBits, deviceMemory: 64 * MIB })
    const words = 128_000
    const a = rig.svm.alloc(4 * words + 4, { label: 'ours' })
    const kernel = await makeKernel(rig.svm, stores, { numbers: ['words', 'races'] })
    const launch = (races: number) => rig.svm.queue.enqueue(kernel, { args: { a, words, races }, global: GROUPS }).done
    expect((await launch(0)).unwatched).toBe(0)
    const error = await failureOf(launch(1))
    expect(error).toMatchObject({ code: 'access-violation', pointer: a + 4 * words, workgroup: [GROUPS - 2, 0, 0] })
    expect(error?.message).toContain(`byte ${4 * words} of 'ours'`)
    expect(told(rig)).toEqual([])
    await checkInvariants(rig)
    await rig.svm.close()
  })

  it('words that only memory points to: the first launch tells what it could not watch, the second sees all', async () => {
    const rig = await openRig({ debug: true, addressBits, deviceMemory: 32 * MIB })
    const words = 16_384
    const a = rig.svm.alloc(4 * words + 4)
    const p = rig.svm.allocFrom(addressBits === 32 ? Uint32Array.of(a) : Uint32Array.of(a % 2 ** 32, Math.floor(a / 2 ** 32)))
    const kernel = await makeKernel(rig.svm, storesBehind, { pointers: ['p'], numbers: ['words', 'races'] })
    const launch = (races: number) => rig.svm.queue.enqueue(kernel, { args: { p, words, races }, global: GROUPS }).done
    const { unwatched } = await launch(0)
    expect(unwatched).toBeGreaterThanOrEqual(words - 256)
    expect(told(rig)).toEqual([expect.stringMatching(new RegExp(`^Kernel k: .* for 256 words, and ${unwatched} accesses .*Launch it once more`))])
    expect((await launch(0)).unwatched).toBe(0)
    expect(await failureOf(launch(1))).toMatchObject({ code: 'access-violation', pointer: a + 4 * words })
    expect(told(rig)).toHaveLength(1)
    await checkInvariants(rig)
    await rig.svm.close()
  })
})

it('what the tables noted before they grew', async () => {
  const rig = await openRig({ debug: true, addressBits: 32, deviceMemory: 4 * MIB })
  const a = rig.svm.alloc(PAGE_BYTES)
  // Each page points to the next, so that who follows them needs a pass for each.
  const pages = Array.from({ length: 6 }, () => rig.svm.alloc(PAGE_BYTES))
  for (const [n, page] of pages.slice(0, -1).entries()) {
    const next = pages[n + 1] as number
    await rig.svm.write(page, Uint32Array.of(next))
  }
  let runs = 0
  let before = 0
  const kernel = await makeKernel(
    rig.svm,
    ({ workgroupId: [group] }, args, m) => {
      if (group === 1) {
        // By now the first has stored, and retired.
        if (++runs === 4) {
          for (let n = 0; n < 40; n++) rig.svm.alloc(32 * PAGE_BYTES)
          before = rig.device.counters.buffers
        }
        for (let n = 0, at = args.b as number; n < pages.length; n++) at = m.loadPointer(at)
      }
      m.storeU32(args.a as number, group)
    },
    { pointers: ['a', 'b'] },
  )
  const error = await failureOf(rig.svm.queue.enqueue(kernel, { args: { a, b: pages[0] as number }, global: 2 }).done)
  expect(runs).toBeGreaterThan(4)
  expect(rig.device.counters.buffers).toBeGreaterThan(before)
  expect(error).toMatchObject({ code: 'access-violation', pointer: a, workgroup: [0, 0, 0] })
  expect(error?.message).toContain('workgroup (1, 0, 0) stored to it')
  await checkInvariants(rig)
  await rig.svm.close()
})

it('what does not fit the budget is counted, with what helps, and nothing is made up', async () => {
  const rig = await openRig({ debug: true, deviceMemory: 1 * MIB })
  const words = 8192
  const a = rig.svm.alloc(4 * words)
  const kernel = await makeKernel(rig.svm, stores, { numbers: ['words', 'races'] })
  for (let n = 1; n <= 2; n++) {
    const { unwatched } = await rig.svm.queue.enqueue(kernel, { args: { a, words, races: 0 }, global: GROUPS }).done
    // Each word is stored to once; the pass that faulted may have come to some of them before.
    expect(unwatched).toBeGreaterThan(words - 4096)
    expect(told(rig)).toHaveLength(n)
    expect(told(rig)[n - 1]).toMatch(/Launch it on less, or raise deviceMemory \(of 1 MiB the race detector has \d+/)
  }
  await checkInvariants(rig)
  await rig.svm.close()
})

it('nothing is said of what nobody watches', async () => {
  for (const debug of [false, true]) {
    const rig = await openRig({ debug, deviceMemory: 1 * MIB })
    const a = rig.svm.alloc(4 * 8192)
    const descriptor = { numbers: ['words', 'races'], ...(debug ? { class: 'transactional' as const } : {}) }
    const kernel = await makeKernel(rig.svm, stores, descriptor)
    const launch = (global: number) => rig.svm.queue.enqueue(kernel, { args: { a, words: 8192, races: 0 }, global }).done
    expect((await launch(GROUPS)).unwatched).toBe(debug ? 0 : undefined)
    expect((await launch(0)).unwatched).toBe(debug ? 0 : undefined)
    expect(told(rig)).toEqual([])
    await rig.svm.close()
  }
})

describe('a table that is half full has a place for every address', () => {
  const rows: readonly (readonly [string, (n: number) => number])[] = [
    ...[1, 4, 8, 12, 64, 256, 1024, 4096].map((step) => [`${step} bytes apart`, (n: number) => 0x4000_0000 + step * n] as const),
    ['two rows', (n) => (n % 2 === 0 ? 0x4000_0000 : 0xf000_0000) + 4 * (n >> 1)],
    ['tiles of 32 words', (n) => 0x4000_0000 + (n >> 5) * 8192 + (n & 31) * 4],
    ['above 2^32', (n) => 2 ** 40 + 4 * n],
  ]
  it.each(rows)('%s', (_, addressOf) => {
    let most = 0
    for (const entries of [256, 4096, 65_536, 262_144]) {
      const taken = new Uint8Array(entries)
      for (let n = 0; n < entries / 2; n++) {
        const address = addressOf(n)
        const home = shadowHash(address % 2 ** 32, Math.floor(address / 2 ** 32))
        let probes = 1
        while (taken[(home + probes) & (entries - 1)] === 1) probes++
        taken[(home + probes) & (entries - 1)] = 1
        most = Math.max(most, probes)
      }
    }
    expect(most).toBeLessThanOrEqual(SHADOW_PROBES)
  })
})
