// A kernel of a space, and what a launch of it turns into. Compare cl_kernel. Always: the text is translated once; arguments, sizes and
// options of a launch are checked in full before anything runs.

import { SvmError } from '../base/error.ts'
import type { Port, Requests } from '../drm/request.ts'
import type { KernelLaunch, SvmKernel } from '../types.ts'
import { packArguments } from '../wgsl/args.ts'
import type { KernelAnalysis, StructLayout, TranslatedKernel } from '../wgsl/program.ts'

export type KernelClass = Requests['SVM_EXEC']['class']

const NO_HANDLES: readonly number[] = []
const NO_VALUES: Readonly<Record<string, unknown>> = {}

export class Kernel implements SvmKernel {
  readonly label: string
  readonly layouts: Record<string, StructLayout>
  readonly analysis: KernelAnalysis
  /** @internal The port of the space that made it. */
  readonly port: Port
  /** @internal Handles of the driver's kernels, by device. */
  readonly handles: readonly number[]
  /** @internal */
  readonly translated: TranslatedKernel
  readonly #pointerNames: readonly string[]
  readonly #class: KernelClass
  /** Only a twin reads arguments by name. */
  readonly #hasTwin: boolean
  readonly #reach: 'any' | 'arguments' | readonly number[]

  constructor(
    port: Port,
    translated: TranslatedKernel,
    handles: readonly number[],
    options: { class: KernelClass; reach: 'any' | 'arguments' | readonly number[]; hasTwin: boolean },
  ) {
    this.port = port
    this.label = translated.label
    this.layouts = { ...translated.layouts }
    this.analysis = translated.analysis
    this.translated = translated
    this.handles = handles
    this.#pointerNames = translated.args.fields.filter(({ type }) => type === 'svm_ptr').map(({ name }) => name)
    this.#class = options.class
    this.#hasTwin = options.hasTwin
    this.#reach = options.reach
  }

  /** Checks a launch and makes a request of it, without handles of bind groups and signal; and says which pointers it names. @throws SvmError invalid-value */
  request(launch: KernelLaunch, memory: number): { request: Requests['SVM_EXEC']; pointers: readonly number[] } {
    if (typeof launch !== 'object' || launch === null || typeof launch.args !== 'object' || launch.args === null) {
      throw new SvmError('invalid-value', `${this.label}: a launch needs { args, global }, with the arguments by name.`, { kernel: this.label })
    }
    const size = this.analysis.workgroupSize
    const global = dimensions(`${this.label}: global`, launch.global, 1, 0)
    const offset = dimensions(`${this.label}: offset`, launch.offset ?? 0, 0, 0)
    if (launch.local !== undefined) this.#checkLocal(launch.local, size)
    const args = packArguments(this.translated.args, launch.args, this.label)
    const remainder = global[0] % size[0] !== 0 || global[1] % size[1] !== 0 || global[2] % size[2] !== 0
    if (remainder && this.analysis.barriers) {
      throw new SvmError(
        'invalid-value',
        `${this.label}: global is (${global.join(', ')}), which is no multiple of the workgroup size (${size.join(', ')}), and a kernel with barriers cannot leave work-items out. Round global up and test the bounds in the kernel.`,
        { kernel: this.label },
      )
    }
    const workgroups = [Math.ceil(global[0] / size[0]), Math.ceil(global[1] / size[1]), Math.ceil(global[2] / size[2])] as const
    if (workgroups[0] * workgroups[1] * workgroups[2] >= 2 ** 32)
      throw new SvmError('invalid-value', `${this.label}: a launch has fewer than 2^32 workgroups, but this has ${workgroups.join(' x ')}.`, {
        kernel: this.label,
      })
    const pointers = this.#pointers(launch)
    const request: Requests['SVM_EXEC'] = {
      memory,
      kernel: this.handles[memory] as number,
      args,
      // A copy: the program may change its object after the call.
      argValues: this.#hasTwin ? { ...launch.args } : NO_VALUES,
      historyKey: pointers.join(' '),
      workgroups,
      global,
      offset,
      guard: remainder,
      // Null points to nothing, so it adds nothing to what may be reached.
      reach: this.#reach === 'any' ? null : (this.#reach === 'arguments' ? pointers : this.#reach).filter((pointer) => pointer !== 0),
      class: this.#class,
      atomic: launch.atomic === true,
      bindGroups: NO_HANDLES,
      signal: -1,
    }
    return { request, pointers: request.reach === null || this.#reach === 'arguments' ? pointers : [...pointers, ...request.reach] }
  }

  #pointers(launch: KernelLaunch): number[] {
    return this.#pointerNames.map((name) => Number(launch.args[name]))
  }

  #checkLocal(local: number | readonly number[], size: readonly [number, number, number]): void {
    const given = dimensions(`${this.label}: local`, local, 1, 1)
    if (given.every((count, d) => count === size[d])) return
    throw new SvmError(
      'invalid-value',
      `${this.label}: local is (${given.join(', ')}), but @workgroup_size is (${size.join(', ')}). Leave local out, or change the kernel.`,
      { kernel: this.label },
    )
  }
}

function dimensions(name: string, value: number | readonly number[], missing: number, least: number): [number, number, number] {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value < 2 ** 32) return [value, missing, missing]
  const list = typeof value === 'number' ? [value] : Array.isArray(value) ? [...value] : []
  if (list.length < 1 || list.length > 3 || list.some((count) => !Number.isSafeInteger(count) || count < least || count >= 2 ** 32)) {
    throw new SvmError('invalid-value', `${name} must be one to three whole numbers from ${least} to 2^32 - 1, but is ${JSON.stringify(value)}.`)
  }
  return [list[0] ?? missing, list[1] ?? missing, list[2] ?? missing]
}
