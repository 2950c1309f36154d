// The errors of a launch that memory is too small for. Always: the message says what was needed and what there is, and the way out.

import { SvmError, type SvmErrorDetails } from '../base/error.ts'
import { printBytes } from '../base/units.ts'
import type { DeviceFailure } from '../device/device.ts'
import { split } from './fault.ts'
import type { Launch } from './launch.ts'
import type { Remaining } from './remaining.ts'
import type { Mirror } from './svmm.ts'

/** The lead alone needs more pages than there are frames. */
export function tooGreedy({ dmem, space, plan }: Mirror, launch: Launch, remaining: Remaining, needed: number): SvmError {
  const workgroup = split(remaining.workgroupAt(remaining.lead), launch.workgroups)
  const why =
    needed <= dmem.capacity && !launch.atomic
      ? ', but what evictions could have freed of them was not given away. Look at policy.eviction, or raise deviceMemory.'
      : `${launch.atomic ? ', all of which an atomic launch must keep' : ''}. Let a workgroup touch less, raise deviceMemory, or choose another pageSize.`
  return new SvmError(
    'working-set',
    `Workgroup (${workgroup.join(', ')}) of kernel ${launch.kernel.label} alone needs at least ${needed} pages of ${printBytes(space.geometry.pageBytes)} at once, and a budget of ${printBytes(plan.budgetBytes)} has ${dmem.capacity}${why}`,
    { kernel: launch.kernel.label, workgroup, retiredWorkgroups: remaining.retired },
  )
}

/** @param pages that the lead has touched meanwhile */
export function noProgress({ dmem, space }: Mirror, launch: Launch, remaining: Remaining, rounds: number, pages: number): SvmError {
  const { label } = launch.kernel
  const workgroup = split(remaining.workgroupAt(remaining.lead), launch.workgroups)
  return new SvmError(
    'working-set',
    `Kernel ${label} made no progress in ${rounds} rounds: workgroup (${workgroup.join(', ')}) faults again and again, and has touched ${pages} pages of ${printBytes(space.geometry.pageBytes)} of the ${dmem.capacity} that there are. If its workgroups wait for each other, declare class 'unsplittable'; otherwise raise deviceMemory.`,
    { kernel: label, workgroup, retiredWorkgroups: remaining.retired },
  )
}

/** The device refused something. */
export function noMemory(failure: DeviceFailure, details: SvmErrorDetails = {}): SvmError {
  return new SvmError('device-memory', `The device has no memory left (${failure.message}). Lower deviceMemory, or free buffers of your own.`, {
    ...details,
    cause: failure,
  })
}
