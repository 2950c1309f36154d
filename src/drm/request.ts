// The boundary between program and driver: requests as plain data. Compare nouveau_drm.h and drm_ioctl().
//
// Always: a request holds numbers, strings, booleans, lists of them and bytes, nothing else; what cannot be plain (a pager, a compiled kernel,
// a buffer or bind group of the program's own, an AbortSignal) is registered first and named by its handle. Every request is validated in full
// before it has any effect: its shape (shape.ts), then what it means in the space. A request that failed on the way (a pager, the device's
// memory, a signal) can be sent again. SVM_INIT comes first; after SVM_FINI only what looks, and the end of a host mapping, is answered.

import { SvmError } from '../base/error.ts'
import { isPowerOfTwo, PAGE_BYTES_MAX, PAGE_BYTES_MIN } from '../base/units.ts'
import type { MigrateResult } from '../driver/bind.ts'
import type { DispatchResult } from '../driver/launch.ts'
import type { HostMapMode } from '../mm/host-mapping.ts'
import type { Access } from '../mm/vma.ts'
import type { ThrashCounts } from '../policy/thrash.ts'
import type { ResourceKind, ResourceTypes } from './resources.ts'

/** Goes up when a request changes its meaning. */
export const DRM_VERSION = 4

/** Launches that one request may hold. */
export const LAUNCHES_MAX = 1024

export interface ByteRange {
  readonly pointer: number
  readonly byteLength: number
}

/** How the program will use a range. `types.ts` says what each means. */
export const ADVICE = ['normal', 'read-mostly', 'preferred-location', 'sequential', 'random', 'will-need', 'dont-need'] as const
export type Advice = (typeof ADVICE)[number]

export interface AdviceRequest {
  readonly pointer: number
  readonly byteLength: number
  readonly advice: Advice
  /** The device that it is about; -1: none was named. */
  readonly memory: number
}

/** What is so at the call. */
export interface AdviceAnswer {
  /** False: nothing will change. */
  readonly applied: boolean
  /** What is done in its place in the order of the calls, or why nothing is. */
  readonly why: string
}

/** What heeding advice really did, in pages. */
export interface AdviceDone {
  /** Came to where they will be needed. */
  readonly brought: number
  /** Given up by a device; two devices that give up a page count two. */
  readonly dropped: number
  /** Whose advice changed; by `dont-need`, those that go first when frames are short. */
  readonly marked: number
}

export interface Requests {
  SVM_INIT: { readonly version: number; readonly pageBytes: number; readonly addressBits: number }
  SVM_ALLOC: { readonly byteLength: number; readonly alignment: number; readonly access: 'read' | 'write' | 'read-write'; readonly label: string }
  SVM_MMAP: { readonly pager: number; readonly offset: number; readonly byteLength: number; readonly label: string }
  SVM_LOOKUP: { readonly pointer: number }
  /** Refuses what is not ranges each inside one living allocation. `holes`: parts may be unmapped. `what` names the caller in messages. */
  SVM_CHECK: { readonly ranges: readonly ByteRange[]; readonly holes: boolean; readonly what: string }
  /** From now on new commands may not name the allocations. All or none. */
  SVM_DOOM: { readonly pointers: readonly number[] }
  /** They were doomed by a command that will not run. */
  SVM_SPARE: { readonly pointers: readonly number[] }
  SVM_FREE: { readonly pointer: number }
  /** 0 bytes: to the end of the mapping. */
  SVM_MUNMAP: { readonly pointer: number; readonly byteLength: number }
  SVM_MPROTECT: { readonly pointer: number; readonly byteLength: number; readonly access: Access }
  /** Says what heeding the advice will do, or why it can do nothing. Compare the two halves of free: SVM_DOOM and SVM_FREE. */
  SVM_ADVISE: AdviceRequest
  /** Does it, in the one order, and says what was done; what was unmapped meanwhile is left out. */
  SVM_HEED: AdviceRequest
  SVM_BIND: {
    readonly memory: number
    /** A range of 0 bytes: the whole allocation that holds its pointer. What is unmapped of a range is skipped. */
    readonly ranges: readonly ByteRange[]
    readonly target: 'device' | 'host'
    readonly contentUndefined: boolean
    readonly mode: 'best-effort' | 'all-or-nothing'
  }
  SVM_MAP: { readonly pointer: number; readonly byteLength: number; readonly mode: HostMapMode }
  SVM_UNMAP: { readonly mapping: number }
  SVM_READ: { readonly pointer: number; readonly byteLength: number }
  SVM_WRITE: { readonly pointer: number; readonly bytes: Uint8Array }
  SVM_COPY: { readonly destination: number; readonly source: number; readonly byteLength: number }
  SVM_FILL: { readonly pointer: number; readonly pattern: Uint8Array; readonly byteLength: number }
  SVM_BUFFER: {
    readonly memory: number
    readonly buffer: number
    readonly offset: number
    readonly pointer: number
    readonly byteLength: number
    readonly direction: 'in' | 'out'
  }
  SVM_EXEC: {
    readonly memory: number
    readonly kernel: number
    readonly args: Uint8Array
    /** For the kernel's twin; empty where it has none. */
    readonly argValues: Readonly<Record<string, unknown>>
    readonly historyKey: string
    readonly workgroups: readonly [number, number, number]
    readonly global: readonly [number, number, number]
    readonly offset: readonly [number, number, number]
    readonly guard: boolean
    /** Allocations that the launch may reach, by any address in them; null: all. */
    readonly reach: readonly number[] | null
    readonly class: 'grants' | 'transactional' | 'unsplittable'
    readonly atomic: boolean
    /** Handles of the author's bind groups; -1: none. */
    readonly bindGroups: readonly number[]
    /** Handle of an AbortSignal; -1: none. */
    readonly signal: number
  }
  /** Launches of one device, one after the other, until one fails: then those behind it change nothing. Either all are valid, or none runs. */
  SVM_EXEC_CHAIN: { readonly launches: readonly Requests['SVM_EXEC'][] }
  SVM_QUERY: { readonly pointer: number; readonly byteLength: number }
  SVM_STATS: Record<never, never>
  SVM_SNAPSHOT: Record<never, never>
  /** A device goes away in good order: every page comes home, and requests that name it are refused from then on. */
  SVM_RELEASE: { readonly memory: number }
  SVM_FINI: Record<never, never>
}

export interface QueryRun {
  readonly pointer: number
  readonly byteLength: number
  readonly where: 'none' | 'host' | 'device' | 'lost'
  /** Memory number of the device that owns the bytes; -1: none. */
  readonly memory: number
  /** Bit m: memory m has a read-only copy. */
  readonly systemMapped: number
  readonly dirty: boolean
}

export interface AllocationInfo {
  readonly pointer: number
  readonly byteLength: number
  readonly label: string
  readonly kind: 'alloc' | 'mmap'
  readonly dying: boolean
}

/** One device: sizes in bytes, the rest counts since the space was opened. */
export interface MirrorStats {
  readonly label: string
  readonly lost: boolean
  /** It left the space: svm.releaseDevice(). */
  readonly released: boolean
  readonly budgetBytes: number
  /** Sum of the sizes of all live buffers, and the most that it ever was. */
  readonly liveBytes: number
  readonly peakBytes: number
  readonly pools: number
  readonly frames: number
  readonly framesUsed: number
  readonly systemCopies: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly evictions: number
  readonly thrash: ThrashCounts
  readonly ptesWritten: number
  /** Entries that lost their frame or all rights. */
  readonly mappingsLost: number
  /** Invalidations by others that named pages here, and the entries with a right that were dropped for them: only those of pages that changed. */
  readonly invalidations: number
  readonly entriesDropped: number
  readonly submits: number
  readonly maps: number
}

/** The whole space. */
export interface SpaceStats {
  readonly allocations: number
  readonly mappedBytes: number
  readonly hostMappings: number
  readonly hostCacheBytes: number
  /** Host memory for records of pages, frames and entries: not the pages themselves. */
  readonly bookkeepingBytes: number
  readonly dispatches: { readonly attempt: number; readonly resident: number; readonly direct: number }
  readonly rounds: number
  readonly faults: number
  readonly hints: number
  readonly devices: readonly MirrorStats[]
}

export interface SpaceDump {
  readonly mappings: readonly {
    readonly pointer: number
    readonly byteLength: number
    readonly label: string
    readonly kind: string
    readonly access: Access
    /** What was advised, in the words of `svm.advise`; left out where nothing was. */
    readonly advice?: readonly string[]
  }[]
  readonly pages: readonly { readonly pointer: number; readonly pages: number; readonly state: string }[]
}

export interface Replies {
  SVM_INIT: { readonly version: number }
  SVM_ALLOC: { readonly pointer: number }
  SVM_MMAP: { readonly pointer: number }
  SVM_LOOKUP: AllocationInfo | null
  SVM_CHECK: null
  SVM_DOOM: null
  SVM_SPARE: null
  SVM_FREE: Promise<null>
  SVM_MUNMAP: Promise<null>
  SVM_MPROTECT: Promise<null>
  SVM_ADVISE: AdviceAnswer
  SVM_HEED: Promise<AdviceDone>
  SVM_BIND: Promise<MigrateResult>
  SVM_MAP: Promise<{ readonly mapping: number; readonly bytes: Uint8Array }>
  SVM_UNMAP: null
  SVM_READ: Promise<Uint8Array>
  SVM_WRITE: Promise<null>
  SVM_COPY: Promise<null>
  SVM_FILL: Promise<null>
  SVM_BUFFER: Promise<null>
  SVM_EXEC: Promise<DispatchResult>
  /** Of the launches that are done; `failure` is why the one behind them is not, null when all are. */
  SVM_EXEC_CHAIN: Promise<{ readonly results: readonly DispatchResult[]; readonly failure: unknown; readonly failed: number }>
  SVM_QUERY: readonly QueryRun[]
  SVM_STATS: SpaceStats
  SVM_SNAPSHOT: SpaceDump
  SVM_RELEASE: Promise<null>
  SVM_FINI: Promise<{ readonly lost: readonly ByteRange[] }>
}

export type Op = keyof Requests

/** What programs talk to: in this thread, or one day across a Worker. */
export interface Port {
  /** Synchronous operations throw, the others reject. @throws SvmError */
  ioctl<O extends Op>(op: O, request: Requests[O]): Replies[O]
  /** Names something that is not plain data. @throws SvmError invalid-value */
  register<K extends Exclude<ResourceKind, 'mapping'>>(kind: K, resource: ResourceTypes[K]): number
  unregister(handle: number): void
}

// Checks of options that come before any request.

export function checkCount(name: string, value: number, least = 0): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new SvmError(
      'invalid-value',
      `${name} must be a whole number of at least ${least}, but is ${typeof value === 'number' ? value : `a ${typeof value}`}.`,
    )
  }
}

export function checkPageBytes(pageBytes: number): void {
  if (!isPowerOfTwo(pageBytes) || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) {
    throw new SvmError('invalid-value', `pageSize must be a power of two from ${PAGE_BYTES_MIN} to ${PAGE_BYTES_MAX} bytes, but is ${String(pageBytes)}.`)
  }
}
