// SVM_EXEC: from a request to a launch. Always: what the request says of sizes agrees with the kernel that it names, so that a guard that is
// missing or a short list of arguments never reaches a device.

import { pagesAround, type VpnRange } from '../base/units.ts'
import type { Launch } from '../driver/launch.ts'
import type { Mirror } from '../driver/svmm.ts'
import type { Space } from '../mm/space.ts'
import { allocationOf } from './ranges.ts'
import { refuse } from './refuse.ts'
import type { Requests } from './request.ts'
import type { Resources } from './resources.ts'

const NO_GROUPS: readonly unknown[] = []

/** @throws SvmError */
export function launchOf(space: Space, mirror: Mirror, resources: Resources, request: Requests['SVM_EXEC']): Launch {
  const kernel = resources.get('kernel', request.kernel)
  const { label, translated } = kernel
  if (kernel.device !== mirror.device) {
    refuse('kernel-of-another-device', 'invalid-value', `${label} was built for ${kernel.device.label}, not for ${mirror.label}.`, { kernel: label })
  }
  const { workgroups, global, guard, args } = request
  const size = translated.analysis.workgroupSize
  const agrees = global.every((count, d) => workgroups[d] === Math.ceil(count / (size[d] as number)))
  const remainder = global.some((count, d) => count % (size[d] as number) !== 0)
  const total = workgroups[0] * workgroups[1] * workgroups[2]
  if (!agrees || remainder !== guard || (guard && translated.analysis.barriers) || total >= 2 ** 32) {
    refuse(
      'launch-size',
      'invalid-value',
      `${label}: ${global.join(' x ')} work-items in groups of ${size.join(' x ')} are not the ${workgroups.join(' x ')} workgroups ${guard ? 'with' : 'without'} a remainder that were asked for, or more than 2^32.`,
      { kernel: label },
    )
  }
  if (args.length !== translated.args.byteLength) {
    refuse('launch-arguments', 'invalid-value', `${label}: its arguments have ${translated.args.byteLength} bytes, but ${args.length} were given.`, {
      kernel: label,
    })
  }
  return {
    kernel,
    args,
    argValues: request.argValues,
    historyKey: request.historyKey,
    workgroups,
    global,
    offset: request.offset,
    guard,
    // In one order, so that launches whose arguments change places reach the same.
    reach: request.reach?.flatMap((pointer) => reachOf(space, pointer)).sort((a, b) => a.start - b.start) ?? null,
    class: request.class,
    atomic: request.atomic,
    authorGroups:
      request.bindGroups.length === 0 ? NO_GROUPS : request.bindGroups.map((handle) => (handle < 0 ? undefined : resources.get('bind-group', handle))),
    signal: request.signal < 0 ? undefined : resources.get('signal', request.signal),
  }
}

/** What is mapped of the allocation that holds a pointer. */
function reachOf(space: Space, pointer: number): VpnRange[] {
  const allocation = allocationOf(space, pointer, 1, 'reach')
  return space.addresses.runs(allocation, pagesAround(allocation.pointer, allocation.byteLength, space.geometry.pageBytes))
}
