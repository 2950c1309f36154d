// What a migration costs besides its copies, on a simulated device: 1 GiB in pages of 64 KiB and of 4 KiB. Always: no byte is copied in what is
// timed; the pages are at home again before the next sample. Plain WebGPU has no such work, so there is no ratio.

import type { Context } from '../../src/cl/context.ts'
import type { Mirror } from '../../src/driver/svmm.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import { migrateFinalize, migratePages, migrateSetup, SELECT } from '../../src/mm/migrate.ts'
import type { Vma } from '../../src/mm/vma.ts'
import { openSvm } from '../../src/node.ts'
import { simDevice } from '../../src/sim.ts'
import { type Bed, type Bench, expect, type Samples, WARM_UP } from '../case.ts'

const MIB = 2 ** 20
const SUBJECT_BYTES = 1024 * MIB
/** As the driver moves them: so many pages in one step. */
const WINDOW = 16_384
const NS_A_PAGE_MAX = 250
const SECOND_US_MAX = 50

export const INSIDE_BENCHES: readonly Bench[] = [65_536, 4096].flatMap((pageSize) => [
  {
    name: `migrate-steps-${pageSize / 1024}k`,
    about: `setup, pages, finalize, frames and entries of 1 GiB in pages of ${pageSize / 1024} KiB, no copy, simulated device`,
    unit: 'ns a page' as const,
    goal: NS_A_PAGE_MAX,
    run: (bed: Bed, rounds: number) => withSubject(pageSize, (subject) => timeSteps(subject, bed, rounds)),
  },
  {
    name: `second-migrate-1g-${pageSize / 1024}k`,
    about: `queue.migrate().done of 1 GiB that is on the device, in pages of ${pageSize / 1024} KiB, simulated device`,
    unit: 'µs' as const,
    goal: SECOND_US_MAX,
    run: (bed: Bed, rounds: number) => withSubject(pageSize, (subject) => timeSecond(subject, bed, rounds)),
  },
])

interface Subject {
  readonly svm: Context
  readonly mirror: Mirror
  readonly vma: Vma
  readonly pointer: number
}

async function withSubject(pageSize: number, measure: (subject: Subject) => Promise<Samples>): Promise<Samples> {
  const device = simDevice({ memory: 1300 * MIB, bufferBytes: 2 ** 31 })
  const svm = (await openSvm({ device, pageSize, deviceMemory: 1200 * MIB })) as Context
  try {
    const { mirrors, space } = svm.port as LocalPort
    const pointer = svm.alloc(SUBJECT_BYTES)
    return await measure({ svm, mirror: mirrors[0] as Mirror, vma: space.addresses.find(pointer / pageSize) as Vma, pointer })
  } finally {
    await svm.close()
  }
}

async function timeSteps({ mirror, vma }: Subject, bed: Bed, rounds: number): Promise<Samples> {
  const pages = vma.end - vma.start
  await mirror.dmem.reserve(pages)
  const svm: number[] = []
  for (let round = 0; round < WARM_UP + rounds; round++) {
    const started = performance.now()
    for (let start = vma.start; start < vma.end; start += WINDOW) moveWindow(mirror, vma, start, Math.min(vma.end, start + WINDOW))
    const milliseconds = performance.now() - started
    expect(mirror.space.pages.residentIn(vma.start, vma.end, mirror.memory) === pages, 'migrate-steps: not every page moved.')
    const back = Array.from({ length: pages }, (_, i) => vma.start + i)
    await mirror.sendHome(back, { keepCopy: false, discard: true, why: 'request' })
    if (round >= WARM_UP) svm.push((milliseconds * 1e6) / pages)
    bed.tick(round + 1, WARM_UP + rounds)
  }
  return { svm, plain: [] }
}

/** What the driver does for a window, but for the bytes. */
function moveWindow(mirror: Mirror, vma: Vma, start: number, end: number): void {
  const args = migrateSetup({ space: mirror.space, vma, start, end, owner: mirror, select: SELECT.system, to: 'owner' })
  const pages = Float64Array.from({ length: args.collected }, (_, i) => start + i)
  args.dst.set(mirror.dmem.take(args.collected, pages))
  migratePages(args)
  migrateFinalize(args)
  for (let i = 0; i < args.dst.length; i++) mirror.dmem.name(args.dst[i] as number, start + i)
  mirror.refresh({ start, end })
}

async function timeSecond({ svm: space, pointer }: Subject, bed: Bed, rounds: number): Promise<Samples> {
  await space.queue.migrate({ pointer }).done
  const svm: number[] = []
  for (let round = 0; round < WARM_UP + rounds; round++) {
    const started = performance.now()
    const { moved, ptesWritten, bytesCopied } = await space.queue.migrate({ pointer }).done
    if (round >= WARM_UP) svm.push((performance.now() - started) * 1e3)
    expect(moved === 0 && ptesWritten === 0 && bytesCopied === 0, 'second-migrate-1g: something moved.')
    bed.tick(round + 1, WARM_UP + rounds)
  }
  return { svm, plain: [] }
}
