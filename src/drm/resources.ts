// What cannot be plain data, by handle. Always: a handle names one resource of one kind until it is given back, and is never used again.

import { DriverKernel } from '../driver/launch.ts'
import type { LiveMapping } from '../mm/host-mapping.ts'
import type { Pager } from '../pager/pager.ts'
import { refuse } from './refuse.ts'

/** What can be registered. Across a Worker a kernel and a mapping are made on the far side; a pager and a signal have a stand-in there. */
export interface ResourceTypes {
  pager: Pager
  kernel: DriverKernel
  /** A buffer of the program's own, on a device of the space. */
  buffer: unknown
  /** A bind group of the program's own. */
  'bind-group': unknown
  signal: AbortSignal
  /** Made by SVM_MAP. */
  mapping: LiveMapping
}
export type ResourceKind = keyof ResourceTypes

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const LOOKS_LIKE: { readonly [K in ResourceKind]: (resource: unknown) => boolean } = {
  pager: (resource) => isObject(resource) && typeof (resource as Partial<Pager>).read === 'function',
  kernel: (resource) => resource instanceof DriverKernel,
  buffer: isObject,
  'bind-group': isObject,
  signal: (resource) => isObject(resource) && typeof (resource as Partial<AbortSignal>).aborted === 'boolean',
  mapping: isObject,
}

export class Resources {
  readonly #resources = new Map<number, { readonly kind: ResourceKind; readonly resource: unknown }>()
  #next = 1

  get count(): number {
    return this.#resources.size
  }

  /** @throws SvmError invalid-value */
  add<K extends ResourceKind>(kind: K, resource: ResourceTypes[K]): number {
    if (!LOOKS_LIKE[kind](resource)) refuse('not-of-its-kind', 'invalid-value', `register: this is no ${kind}, but ${typeof resource}.`)
    this.#resources.set(this.#next, { kind, resource })
    return this.#next++
  }

  remove(handle: number): void {
    this.#resources.delete(handle)
  }

  /** @throws SvmError invalid-value */
  get<K extends ResourceKind>(kind: K, handle: number): ResourceTypes[K] {
    const found = this.#resources.get(handle)
    const wayOut = kind === 'mapping' ? 'A mapping ends once: unmap once.' : `Register the ${kind} first.`
    if (found === undefined) refuse('no-handle', 'invalid-value', `There is no ${kind} with handle ${handle}. ${wayOut}`)
    if (found.kind !== kind) refuse('handle-of-another-kind', 'invalid-value', `Handle ${handle} names a ${found.kind}, not a ${kind}.`)
    return found.resource as ResourceTypes[K]
  }
}
