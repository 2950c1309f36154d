// One launch, from arguments to result: chooses the variant and counts. Always: the resident variant runs only when no fault is possible; a
// failed launch leaves what SYSTEM.md section 5 says, and the space stays usable.

import { NEED } from '../abi/fault-record.ts'
import { assert } from '../base/assert.ts'
import { SvmError, withDetails } from '../base/error.ts'
import { printBytes, type Vpn } from '../base/units.ts'
import { DeviceFailure } from '../device/device.ts'
import { deviceMayRead } from '../mm/vma.ts'
import type { Evictor } from './evict.ts'
import { accessError } from './fault.ts'
import { bringForeseen } from './foresee.ts'
import { type DispatchResult, endlessError, type Launch, refuseIfAborted, waitsOf, windowByTime } from './launch.ts'
import { promote } from './promote.ts'
import { ReachTable } from './reach.ts'
import { Remaining } from './remaining.ts'
import { Replay } from './replay.ts'
import { chooseSteady, type Steady } from './steady.ts'
import { countRound, runSteadyPass, settleSteady, traceSteady } from './steady-pass.ts'
import type { Mirror } from './svmm.ts'
import { noMemory } from './working-set.ts'

export async function dispatch(mirror: Mirror, evictor: Evictor, launch: Launch): Promise<DispatchResult> {
  const total = launch.workgroups[0] * launch.workgroups[1] * launch.workgroups[2]
  const result: DispatchResult = { rounds: 0, faults: 0, hints: 0, bytesIn: 0, bytesOut: 0, evictions: 0, privateCopies: 0, variant: 'attempt' }
  if (mirror.watch !== null) result.unwatched = 0
  if (total === 0) return { ...result, variant: 'resident' }
  mirror.watch?.begin(launch)
  const { bytesIn, bytesOut } = mirror.copies
  const { evictions } = mirror
  const started = mirror.device.now()
  if (!launch.atomic) promote(mirror, launch.reach)
  const reach = new ReachTable(mirror, launch.reach)
  let running: { readonly retired: number } = { retired: 0 }
  try {
    const steady = chooseSteady(mirror, launch, reach) ?? (await steadyWithForeseen(mirror, evictor, launch, reach))
    if (steady !== null) {
      result.variant = steady.variant
      const remaining = new Remaining(total)
      running = remaining
      await runSteady(mirror, launch, reach, remaining, result, steady)
    } else {
      refuseIfAllMustBeHere(mirror, launch, reach.incomplete)
      const replay = new Replay(mirror, evictor, launch, reach, total, result)
      running = replay
      await replay.run()
      noteNeeds(launch)
    }
    if (mirror.watch !== null) result.unwatched = await mirror.watch.conclude(launch)
  } catch (failure) {
    // It fails half way: who has retired has stored.
    const details = { kernel: launch.kernel.label, retiredWorkgroups: running.retired }
    if (failure instanceof DeviceFailure && failure.reason !== 'lost') throw noMemory(failure, details)
    throw failure instanceof SvmError && failure.retiredWorkgroups === undefined ? withDetails(failure, details) : failure
  } finally {
    reach.release()
  }
  result.bytesIn = mirror.copies.bytesIn - bytesIn
  result.bytesOut = mirror.copies.bytesOut - bytesOut
  result.evictions = mirror.evictions - evictions
  mirror.space.tracer.emit({
    kind: 'dispatch',
    kernel: launch.kernel.label,
    variant: result.variant,
    rounds: result.rounds,
    milliseconds: mirror.device.now() - started,
  })
  return result
}

/** The same once what the last launch like this one needed is here: the host may have had some of it in between. */
async function steadyWithForeseen(mirror: Mirror, evictor: Evictor, launch: Launch, reach: ReachTable): Promise<Steady | null> {
  await bringForeseen(mirror, evictor, launch)
  if (!launch.atomic) promote(mirror, launch.reach)
  return chooseSteady(mirror, launch, reach)
}

/** No fault is possible: no grants, no copies, no poison; the passes only bound the time of one submission. */
async function runSteady(mirror: Mirror, launch: Launch, reach: ReachTable, remaining: Remaining, result: DispatchResult, first: Steady): Promise<void> {
  const { total } = remaining
  let steady = first
  // Where accesses are looked at, what is added meanwhile changes nothing. Else what is known must hold still; what a pass stored to is dirty, which may allow more.
  const choose = () => (steady.proof === 'none' ? steady : chooseSteady(mirror, launch, reach))
  while (!remaining.empty) {
    refuseIfAborted(launch, remaining.retired)
    const limit = launch.class === 'unsplittable' ? total : windowByTime(launch, mirror.plan.windowMax)
    const window = remaining.window(Math.min(limit, mirror.plan.windowMax))
    if (launch.class === 'unsplittable' && window.slots < total) throw tooLargeUnsplit(launch, total, mirror.plan.windowMax)
    const report = await runSteadyPass(mirror, { launch, reach, window, steady, choose })
    if (report === null) {
      steady = known(choose())
      continue
    }
    countRound(result, steady)
    const retired = settleSteady(remaining, window, report)
    traceSteady(mirror, launch, result.rounds, window, retired)
    if (report.fuelOut > 0) throw endlessError(launch, waitsOf(launch), remaining.retired)
    if (report.bad !== null) throw accessError(mirror, launch, window, report.bad, remaining.retired)
    if (!remaining.empty) steady = known(choose())
  }
}

function known(steady: Steady | null): Steady {
  assert(steady !== null, 'pages of a launch that cannot fault stay while it runs')
  return steady as Steady
}

/** What a launch wanted to store to, the next one will store to. */
function noteNeeds(launch: Launch): void {
  const { kernel, historyKey } = launch
  const stored: Vpn[] = []
  for (const [vpn, bits] of kernel.history(historyKey).needs) if ((bits & ~NEED.read) !== 0) stored.push(vpn)
  kernel.steadyHistory(launch).stored(stored)
}

function refuseIfAllMustBeHere({ space, dmem, plan }: Mirror, launch: Launch, incomplete: number): void {
  const { analysis } = launch.kernel.translated
  const why =
    launch.class === 'unsplittable'
      ? 'is unsplittable'
      : analysis.writableBindings.length > 0
        ? `writes its own bindings (${analysis.writableBindings.join(', ')})`
        : null
  if (why === null) return
  if (launch.atomic) {
    throw new SvmError(
      'unsupported',
      `Kernel ${launch.kernel.label} ${why}, and such a kernel cannot be launched with atomic: true yet: what it writes could not be taken back. Launch it without atomic, on copies if need be.`,
      { kernel: launch.kernel.label },
    )
  }
  let pages = 0
  for (const range of launch.reach ?? [{ start: 0, end: space.geometry.spacePages }]) {
    for (const { vma, start, end } of space.addresses.pieces(range)) if (deviceMayRead(vma)) pages += end - start
  }
  if (pages > dmem.capacity) {
    throw new SvmError(
      'working-set',
      `Kernel ${launch.kernel.label} ${why}, so all that it may reach must be on the device at once: ${pages} pages, and a budget of ${printBytes(plan.budgetBytes)} has ${dmem.capacity} frames. Narrow reach to what it uses, or raise deviceMemory.`,
      { kernel: launch.kernel.label },
    )
  }
  throw new SvmError(
    'unsupported',
    `Kernel ${launch.kernel.label} ${why}, so it starts only when no fault is possible, but ${incomplete} pages that it may reach are not on the device with every right. Migrate them first (queue.migrate), or narrow reach to what it uses.`,
    { kernel: launch.kernel.label },
  )
}

function tooLargeUnsplit(launch: Launch, total: number, most: number): SvmError {
  return new SvmError(
    'unsupported',
    `Kernel ${launch.kernel.label} is unsplittable and has ${total} workgroups; one pass holds at most ${most} with this budget. Launch fewer, or raise deviceMemory.`,
    {
      kernel: launch.kernel.label,
    },
  )
}
