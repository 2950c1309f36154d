// The errors of a launch that memory is too small for. Always: the message says what was needed and what there is, and the way out.

import { SvmError } from '../base/error.ts'
import { printBytes } from '../base/units.ts'
import type { Launch } from './launch.ts'
import type { Remaining } from './remaining.ts'
import type { Mirror } from './svmm.ts'

/** The lead alone needs more pages than there are frames. */
export function tooGreedy({ dmem, space, plan }: Mirror, launch: Launch, remaining: Remaining, needed: number): SvmError {
  const [x, y] = launch.workgroups
  const lead = remaining.workgroupAt(remaining.lead)
  const workgroup = [lead % x, Math.floor(lead / x) % y, Math.floor(lead / (x * y))]
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

export function noProgress({ kernel }: Launch, remaining: Remaining, rounds: number, workgroup: number): SvmError {
  return new SvmError(
    'working-set',
    `Kernel ${kernel.label} made no progress in ${rounds} rounds: workgroup ${workgroup} faults again and again. If its workgroups wait for each other, declare class 'unsplittable'; otherwise raise deviceMemory.`,
    { kernel: kernel.label, retiredWorkgroups: remaining.retired },
  )
}
