// drm-world.ts: a small space in which every check of the request boundary can be met, and what a refused request must not change.
// Always: the world is made through the public interface from a seed; `state` looks and never changes.

import { makeGeometry } from '../../src/abi/geometry.ts'
import type { Random } from '../../src/base/world.ts'
import type { Context } from '../../src/cl/context.ts'
import type { SimDevice } from '../../src/device/sim/sim-device.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import { LocalPort } from '../../src/drm/local-port.ts'
import { DRM_VERSION, type Requests } from '../../src/drm/request.ts'
import { PAGE } from '../../src/mm/page-table.ts'
import { Space } from '../../src/mm/space.ts'
import type { Vma } from '../../src/mm/vma.ts'
import { openSvm } from '../../src/open.ts'
import { lru } from '../../src/policy/lru.ts'
import { simDevice } from '../../src/sim.ts'
import { Tracer } from '../../src/trace/tracer.ts'
import type { Pager, Svm, SvmDevice, SvmKernel } from '../../src/types.ts'
import { makeKernel, sequence } from '../sim/rig.ts'

export const P = 65_536
const BUDGET = 2 ** 24
/** More than one segment of host memory. */
export const VAST_BYTES = 2 ** 30 + 4 * P

export type LaunchPart = Omit<Requests['SVM_EXEC'], 'memory' | 'kernel' | 'bindGroups' | 'signal'>

/** Memories 0 and 1 live; 2 was released; 3 was lost. */
export interface World {
  readonly port: LocalPort
  readonly lost: SimDevice
  /** A port that has not been greeted, and one that was closed. */
  readonly fresh: LocalPort
  readonly closed: LocalPort
  /** Six pages, in every place. */
  readonly good: number
  /** Two pages that kernels may only read. */
  readonly constant: number
  /** Eight pages of a file, without the fourth and the fifth. */
  readonly file: number
  /** Three pages: all rights, read, none. */
  readonly guarded: number
  readonly heldForReading: number
  readonly heldForWriting: number
  readonly dying: number
  readonly freed: number
  readonly vast: number
  readonly pager: number
  readonly brokenPager: number
  /** Built for memories 0 and 1, and one with barriers for memory 0. */
  readonly kernels: readonly [number, number, number]
  readonly launch: LaunchPart
  readonly buffer: number
  readonly noBuffer: number
  readonly signal: number
  readonly group: number
  readonly mapping: number
  readonly pagerObject: Pager
}

export async function makeWorld(random: Random): Promise<World> {
  const sims = [1, 2, 3, 4].map((seed) => simDevice({ seed, label: `sim ${seed}`, mischief: { latency: 0 } }))
  const svm = await openSvm({ devices: sims, pageSize: P, deviceMemory: BUDGET, hostCache: 32 * P })
  const port = (svm as Context).port as LocalPort
  const pagerObject: Pager = { size: 8 * P - 50, read: async (offset, into) => into.fill(offset / P + 1).length }
  const good = svm.allocFrom(sequence(6 * (P / 4) - 25))
  const constant = svm.alloc(2 * P, { access: 'read' })
  const file = await svm.mmap(pagerObject)
  const guarded = svm.alloc(3 * P)
  const heldForReading = svm.allocFrom(sequence(2 * (P / 4)))
  const heldForWriting = svm.alloc(2 * P)
  const dying = svm.alloc(P)
  const freed = svm.alloc(P)
  await svm.munmap(file + 3 * P, 2 * P)
  const copy = await makeKernel(svm, (_item, args, m) => m.storeU32(args.a, m.loadU32(args.b)), { pointers: ['a', 'b'], size: 2 })
  const fenced = await makeKernel(svm, (_item, args, m) => m.storeU32(args.a, m.loadU32(args.b)), { pointers: ['a', 'b'], size: 2, barriers: true })
  await scatter(svm, sims, copy, { good, scratch: dying }, random)
  // Last: what runs before it has a short table.
  const vast = svm.alloc(VAST_BYTES)
  await svm.mprotect(guarded + P, P, 'read')
  await svm.mprotect(guarded + 2 * P, P, 'none')
  await svm.queue.migrate({ pointer: heldForReading, byteLength: P }).done
  const { mapping } = await port.ioctl('SVM_MAP', { pointer: heldForReading, byteLength: P + 8, mode: 'read' })
  await port.ioctl('SVM_MAP', { pointer: heldForWriting, byteLength: 2 * P, mode: 'read-write' })
  await svm.releaseDevice(sims[2])
  const lost = sims[3].device as SimDevice
  lost.lose('pulled out')
  svm.free(freed)
  await svm.read(0, 0)
  port.ioctl('SVM_DOOM', { pointers: [dying] })
  const part = (kernel: SvmKernel) =>
    (kernel as unknown as { request(launch: unknown, memory: number): { request: LaunchPart } }).request({ args: { a: good, b: good + 2 * P }, global: 4 }, 0)
      .request
  const handles = (kernel: SvmKernel) => (kernel as unknown as { handles: readonly number[] }).handles
  return {
    port,
    lost,
    fresh: barePort(),
    closed: await closedPort(),
    good,
    constant,
    file,
    guarded,
    heldForReading,
    heldForWriting,
    dying,
    freed,
    vast,
    pager: port.register('pager', pagerObject),
    brokenPager: port.register('pager', { ...pagerObject, size: random.pick([Number.NaN, -1, 0.5, '8' as unknown as number]) }),
    kernels: [handles(copy)[0], handles(copy)[1], handles(fenced)[0]],
    launch: part(copy),
    buffer: port.register('buffer', new Uint8Array(2 * P)),
    noBuffer: port.register('buffer', { size: 'large' }),
    signal: port.register('signal', new AbortController().signal),
    group: port.register('bind-group', {}),
    mapping,
    pagerObject,
  }
}

/** The pages of `good` lie in every place: dirty and clean on both devices, read-only copies, the host. */
async function scatter(
  svm: Svm,
  devices: readonly SvmDevice[],
  copy: SvmKernel,
  { good, scratch }: { good: number; scratch: number },
  random: Random,
): Promise<void> {
  const queues = [0, 1].map((memory) => svm.createQueue({ device: devices[memory] }))
  for (let page = 0; page < 6; page++) {
    const queue = queues[random.below(2)]
    const at = good + page * P
    const how = random.below(4)
    if (how === 0) await queue.enqueue(copy, { args: { a: at, b: at }, global: 2 }).done
    else if (how === 1) await queue.enqueue(copy, { args: { a: scratch, b: at }, global: 2 }).done
    else if (how === 2) await queue.migrate({ pointer: at, byteLength: 4 }).done
  }
}

/** A port over one device, with nothing in it. */
export function barePort(): LocalPort {
  const space = new Space(makeGeometry(32, P), { hostCacheBytes: 32 * P, tracer: new Tracer(undefined, { now: () => 0 }) })
  const device = simDevice({ seed: 9, mischief: { latency: 0 } }).device
  return new LocalPort(space, [device], { deviceMemory: BUDGET, authorStorageBuffers: 0, eviction: lru })
}

async function closedPort(): Promise<LocalPort> {
  const port = barePort()
  port.ioctl('SVM_INIT', { version: DRM_VERSION, pageBytes: P, addressBits: 32 })
  await port.ioctl('SVM_FINI', {})
  return port
}

// What a refused request must not change.

/** A hash of all that is state. `thorough`: host bytes of the small mappings too. */
export function hashOf(port: LocalPort, thorough: boolean): number {
  const { space } = port
  let hash = 0x811c9dc5
  const add = (value: number) => {
    hash = Math.imul(hash ^ (value | 0), 0x01000193)
    hash = (hash ^ (hash >>> 15)) | 0
  }
  for (const vma of space.addresses.vmas) {
    add(vma.start)
    add(vma.end)
    add(['none', 'read', 'read-write'].indexOf(vma.access))
    add(JSON.stringify(vma.advice).length)
    add(typeof vma.advice.preferred === 'number' ? vma.advice.preferred : -1)
    add(vma.allocation.pointer)
    add(Number(vma.allocation.dying))
    if (vma.end - vma.start > 1000) continue
    for (let vpn = vma.start; vpn < vma.end; vpn++) hashPage(port, vpn, add)
    if (thorough) hashBytes(vma, add)
  }
  add(space.pages.byteLength)
  add(space.notifiers.sequence)
  add(space.cache.byteLength)
  add(space.hostMappings.count)
  add(port.resources.count)
  for (const mirror of port.mirrors) hashMirror(port, mirror, add)
  return hash
}

function hashPage(port: LocalPort, vpn: number, add: (value: number) => void): void {
  const { pages, hostMappings, cache } = port.space
  const state = pages.state(vpn)
  add(state | (pages.mappedOn(vpn) << 8) | (Number(cache.has(vpn)) << 16) | (hostMappings.holdOn(vpn).length << 20))
  if (state === PAGE.clean || state === PAGE.dirty) add((pages.memory(vpn) << 24) | pages.frame(vpn))
  add(port.mirrors[0].vmm.get(vpn))
  add(port.mirrors[1]?.vmm.get(vpn) ?? 0)
}

function hashBytes(vma: Vma, add: (value: number) => void): void {
  if (vma.backing.kind !== 'anonymous' || vma.backing.memory.segments === 0) return
  const bytes = vma.backing.memory.run(vma.start, vma.end - vma.start)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  for (let at = 0; at < words.length; at++) add(words[at])
}

function hashMirror(port: LocalPort, mirror: Mirror, add: (value: number) => void): void {
  add(Number(port.isReleased(mirror.memory)))
  add(mirror.dmem.used)
  add(mirror.dmem.capacity)
  add(mirror.systemCopies)
  add(mirror.copies.bytesIn)
  add(mirror.copies.bytesOut)
  add(mirror.evictions)
  add(mirror.vmm.written)
  add(mirror.vmm.incomplete)
  add(mirror.vmm.mappingsLost)
  add(mirror.invalidations)
  add(mirror.device.liveBytes)
  add(mirror.device.counters.submits)
  add(mirror.device.counters.buffers)
}

/** What must hold whatever was sent. @throws Error */
export function assertWorld(port: LocalPort): void {
  const { space } = port
  for (const vma of space.addresses.vmas) {
    if (vma.end - vma.start > 1000) continue
    for (let vpn = vma.start; vpn < vma.end; vpn++) {
      space.pages.assertPage(vpn)
      if (space.pages.state(vpn) === PAGE.migrating) throw new Error(`page ${vpn} migrates at rest`)
      for (const mirror of port.mirrors) {
        if (port.isReleased(mirror.memory) || mirror.vmm.get(vpn) === mirror.entryFor(vma, vpn)) continue
        throw new Error(`${mirror.label}: entry of page ${vpn} (${space.pages.print(vpn)}) is ${mirror.vmm.get(vpn)}, not ${mirror.entryFor(vma, vpn)}`)
      }
    }
  }
  for (const mirror of port.mirrors) mirror.dmem.assertCounts()
}
