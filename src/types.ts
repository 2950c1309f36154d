// The public words of webgpu-svm, as types. Always: these names are a contract; more may be added, none is renamed.
/// <reference lib="esnext.disposable" preserve="true" />

import type { SvmError } from './base/error.ts'
import type { SvmDevice } from './cl/svm-device.ts'
import type { KernelTwin } from './device/twin.ts'
import type { MigrateResult } from './driver/bind.ts'
import type { DispatchResult } from './driver/launch.ts'
import type { Advice, AdviceAnswer, AdviceDone, MirrorStats as DeviceStats, SpaceStats as SvmStats } from './drm/request.ts'
import type { Pager } from './pager/pager.ts'
import type { PolicyOptions } from './policy/policy.ts'
import type { TraceSink } from './trace/event.ts'
import type { KernelArgument } from './wgsl/args.ts'
import type { KernelAccess, KernelAnalysis, KernelGuards, KernelHint, KernelLoop, StructLayout } from './wgsl/program.ts'

export type { SvmErrorCode, SvmErrorDetails } from './base/error.ts'
export type { KernelMemory, WorkItem } from './device/twin.ts'
export type { SkipReason } from './mm/migrate.ts'
export type { EvictionPolicy } from './policy/policy.ts'
export type { ThrashCounts, ThrashRules } from './policy/thrash.ts'
export type { MigrateReason, TraceEvent } from './trace/event.ts'
export type {
  Advice,
  AdviceDone,
  DeviceStats,
  DispatchResult,
  KernelAccess,
  KernelAnalysis,
  KernelArgument,
  KernelGuards,
  KernelHint,
  KernelLoop,
  KernelTwin,
  MigrateResult,
  Pager,
  PolicyOptions,
  StructLayout,
  SvmDevice,
  SvmStats,
  TraceSink,
}

/** Bytes from the start of the space; 0 is null. A bigint is accepted in kernel arguments. */
export type SvmPointer = number

export type TypedArray =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array

export interface TypedArrayConstructor<A extends TypedArray> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): A
}

export interface SvmOptions {
  device?: SvmDevice | GPUDevice
  devices?: (SvmDevice | GPUDevice)[]
  /** Bytes; a power of two from 4 KiB to 2 MiB. Default 64 KiB. */
  pageSize?: number
  /** Default 32: pointers are u32 in WGSL. 64: vec2<u32>, low word first, 8 bytes in memory, below 2^48. */
  addressBits?: 32 | 64
  /** Bytes that this library may hold on each device, everything counted. */
  deviceMemory?: number
  /** Bytes of the host cache for pager-backed pages. Default 64 MiB. */
  hostCache?: number
  /** Storage buffers that the author's own bind groups need. */
  authorStorageBuffers?: number
  trace?: TraceSink
  debug?: boolean
  policy?: PolicyOptions
  signal?: AbortSignal
}

/** How the host will use a mapping. `write-discard`: the bytes need not be brought along; all of them will be written. */
export type MapMode = 'read' | 'write' | 'read-write' | 'write-discard'

/** Adjacent pages in the same place. */
export interface ResidencyRun {
  readonly pointer: SvmPointer
  readonly byteLength: number
  /** Who is the master of the bytes; `none`: never touched. */
  readonly where: 'none' | 'host' | 'device' | 'lost'
  readonly device?: SvmDevice
  /** Devices that hold a read-only copy. */
  readonly systemMapped: SvmDevice[]
  /** A device stored to it, and the host has not seen that. */
  readonly dirty: boolean
}

/** A live view of bytes for the host. It ends with `unmap`. */
export interface HostMapping {
  readonly pointer: SvmPointer
  readonly byteLength: number
  readonly live: boolean
  readonly bytes: Uint8Array
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly f32: Float32Array
  readonly view: DataView
  /** A typed view. @param byteOffset from `pointer` @param length in elements */
  as<A extends TypedArray>(type: TypedArrayConstructor<A>, byteOffset?: number, length?: number): A
  getPointer(at: SvmPointer): SvmPointer
  setPointer(at: SvmPointer, value: SvmPointer): void
  /** Narrows what counts as written to what is named. */
  dirty(pointer: SvmPointer, byteLength: number): void
  unmap(): void
  /** Where the engine has Symbol.dispose: unmaps if the mapping is live. */
  [Symbol.dispose](): void
}

export interface KernelDescriptor {
  code: string
  entryPoint: string
  label?: string
  class?: 'transactional' | 'unsplittable'
  /** What a launch may touch; enforced. Default 'any'. */
  reach?: 'any' | 'arguments' | SvmPointer[]
  constants?: Record<string, number>
  /** For simulated devices. */
  twin?: KernelTwin
}

export interface SvmKernel {
  readonly label: string
  /** Offsets and sizes in bytes of every struct of the text. */
  readonly layouts: Record<string, StructLayout>
  readonly analysis: KernelAnalysis
}

export interface CommandOptions {
  waitFor?: (SvmEvent<unknown> | PromiseLike<unknown>)[]
  signal?: AbortSignal
  label?: string
}

export type SvmCommandType = 'migrate' | 'memcpy' | 'memfill' | 'copy-from-buffer' | 'copy-to-buffer' | 'map' | 'unmap' | 'free' | 'kernel'

/** No length, or 0: the whole allocation that holds `pointer`. */
export interface SvmRange {
  pointer: SvmPointer
  byteLength?: number
}

/** A command's fate. Times are milliseconds of performance.now(). */
export interface SvmEvent<T = void> {
  readonly command: SvmCommandType
  readonly status: 'queued' | 'submitted' | 'running' | 'complete' | 'failed'
  readonly done: Promise<T>
  readonly profile: { queued: number; submitted?: number; started?: number; ended?: number }
}

export interface MigrateOptions extends CommandOptions {
  to?: 'device' | 'host'
  contentUndefined?: boolean
  mode?: 'best-effort' | 'all-or-nothing'
}

export interface KernelLaunch extends CommandOptions {
  args: Record<string, KernelArgument>
  /** Work-items, by dimension. */
  global: number | readonly number[]
  /** If given, equals @workgroup_size. */
  local?: number | readonly number[]
  /** Added to global_invocation_id. */
  offset?: number | readonly number[]
  /** Groups 0 to 2. */
  bindGroups?: GPUBindGroup[]
  /** All bytes as before if the launch fails. */
  atomic?: boolean
}

export interface SvmQueue {
  migrate(ranges: SvmRange | SvmRange[], options?: MigrateOptions): SvmEvent<MigrateResult>
  memcpy(destination: SvmPointer | ArrayBufferView, source: SvmPointer | ArrayBufferView, byteLength?: number, options?: CommandOptions): SvmEvent
  memfill(pointer: SvmPointer, pattern: ArrayBufferView, byteLength: number, options?: CommandOptions): SvmEvent
  copyFromBuffer(source: GPUBuffer, offset: number, destination: SvmPointer, byteLength: number, options?: CommandOptions): SvmEvent
  copyToBuffer(source: SvmPointer, destination: GPUBuffer, offset: number, byteLength: number, options?: CommandOptions): SvmEvent
  map(pointer: SvmPointer, byteLength: number, mode: MapMode, options?: CommandOptions): SvmEvent<HostMapping>
  unmap(mapping: HostMapping, options?: CommandOptions): SvmEvent
  free(pointers: SvmPointer[], options?: CommandOptions & { onFree?: (pointers: SvmPointer[]) => void }): SvmEvent
  enqueue(kernel: SvmKernel, launch: KernelLaunch): SvmEvent<DispatchResult>
  flush(): void
  finish(): Promise<void>
}

/** What is so at the call of `advise`, and what came of it. */
export interface AdviceResult extends AdviceAnswer {
  /**
   * What was really done, when it was done in its place in the order. Rejects where that failed (`pager-failed`, `device-lost`, or `not-mapped` by then):
   * what was not done is left undone, nothing else fails for it, and a rejection that nobody reads never ends the process.
   */
  readonly done: Promise<AdviceDone>
}

/** The whole space as plain data. */
export interface SvmSnapshot {
  readonly pageSize: number
  readonly addressBits: 32 | 64
  readonly mappings: readonly {
    readonly pointer: SvmPointer
    readonly byteLength: number
    readonly label: string
    readonly kind: string
    readonly access: 'none' | 'read' | 'read-write'
    /** What was advised of it; left out where nothing was. */
    readonly advice?: readonly string[]
  }[]
  readonly pages: readonly { readonly pointer: SvmPointer; readonly pages: number; readonly state: string }[]
  readonly stats: SvmStats
}

export interface MmapOptions {
  offset?: number
  byteLength?: number
  access?: 'read' | 'read-write'
  sharing?: 'private' | 'shared'
  label?: string
  signal?: AbortSignal
}

export interface Svm {
  readonly pageSize: number
  readonly addressBits: 32 | 64
  readonly devices: readonly SvmDevice[]
  /** Of devices[0]. */
  readonly queue: SvmQueue
  alloc(byteLength: number, options?: { alignment?: number; access?: 'read' | 'write' | 'read-write'; label?: string }): SvmPointer
  allocFrom(data: ArrayBufferView, options?: { label?: string }): SvmPointer
  free(pointer: SvmPointer): void
  adopt(memory: ArrayBuffer | SharedArrayBuffer | WebAssembly.Memory, options?: { at?: SvmPointer; reserve?: number; label?: string }): SvmPointer
  release(pointer: SvmPointer): Promise<void>
  mmap(pager: Pager, options?: MmapOptions): Promise<SvmPointer>
  munmap(pointer: SvmPointer, byteLength?: number): Promise<void>
  msync(pointer: SvmPointer, byteLength?: number): Promise<void>
  /** Whole pages; `pointer` begins one. What kernels or the host may not do then fails with `access-violation`. Bytes and places stay. */
  mprotect(pointer: SvmPointer, byteLength: number, access: 'none' | 'read' | 'read-write'): Promise<void>
  map(pointer: SvmPointer, byteLength: number, mode: MapMode, options?: { signal?: AbortSignal }): Promise<HostMapping>
  using<T>(pointer: SvmPointer, byteLength: number, mode: MapMode, body: (mapping: HostMapping) => T | Promise<T>): Promise<T>
  read(pointer: SvmPointer, byteLength: number): Promise<Uint8Array>
  read<A extends TypedArray>(pointer: SvmPointer, type: TypedArrayConstructor<A>, length: number): Promise<A>
  write(pointer: SvmPointer, data: ArrayBufferView | ArrayBuffer): Promise<void>
  residency(pointer: SvmPointer, byteLength: number): ResidencyRun[]
  /**
   * How the program will use a range; whole pages around it. No advice changes a byte. The answer comes at once; what it says is done in its place in the
   * order of the calls.
   *
   * - `normal`: takes all advice back (cudaMemAdviseUnset…, MADV_NORMAL).
   * - `read-mostly`: reads leave copies on every device that reads, even where a launch's history says that it will store, and `will-need` makes copies
   *   too; a store ends the copies of the others (cudaMemAdviseSetReadMostly). It beats a preferred location.
   * - `preferred-location`, with a device: a read fault there brings the page with every right (a copy, where kernels may not store to it or mostly read
   *   it), evictions there take other pages first, and no other device reads it ahead. Without a device, the host: devices that read get copies, and give up first what they have of it. No page moves for it
   *   now, and `migrate` moves it all the same (cudaMemAdviseSetPreferredLocation).
   * - `sequential`, `random`: ask the pager far ahead, and give up first what was passed; or read nothing ahead (MADV_SEQUENTIAL, MADV_RANDOM). Each replaces the other.
   * - `will-need`: brings it to the device; without one, to where it is preferred, else to the first device there is. It evicts nobody and takes what free
   *   frames there are (cudaMemPrefetchAsync, MADV_WILLNEED).
   * - `dont-need`: devices (or the one that is named) give up what costs no copy now, and the rest first when frames are short (MADV_COLD). The bytes are
   *   kept, unlike by MADV_DONTNEED.
   *
   * The answer says what is so at the call. What brings or drops pages takes its place in the one order: what is called later on Svm waits for it, and so
   * does `finish()` of any queue; its `done` says how many pages came, went or were marked.
   *
   * Properties stay with the pages until `normal`, or until they are unmapped. @throws SvmError invalid-value, not-mapped, closed
   */
  advise(pointer: SvmPointer, byteLength: number, advice: Advice, device?: SvmDevice): AdviceResult
  createQueue(options?: { device?: SvmDevice; outOfOrder?: boolean; label?: string }): SvmQueue
  createKernel(descriptor: KernelDescriptor): Promise<SvmKernel>
  /** The device leaves the space: every page comes home, and its queues take no more commands. */
  releaseDevice(device: SvmDevice): Promise<void>
  stats(): SvmStats
  snapshot(): SvmSnapshot
  onerror: ((error: SvmError) => void) | null
  close(options?: { discard?: boolean }): Promise<void>
  /** Where the engine has Symbol.asyncDispose: `close`. */
  [Symbol.asyncDispose](): Promise<void>
}
