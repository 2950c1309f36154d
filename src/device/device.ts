// What the driver needs of a device. Implemented by device/webgpu (a GPUDevice) and device/sim (real bytes in this process).
//
// Always:
// - Work is done in the order of the calls `write` and `submit`; so GPU-side reuse of memory needs no wait.
// - `write` takes its bytes before it returns. A read-back is complete when its promise settles; no earlier.
// - `liveBytes` is the sum of the sizes of all live buffers made here, those of the device's own read-back ring included.
// - After a loss every call is harmless and every promise still pending rejects with DeviceFailure('lost').

import type { KernelTwin } from './twin.ts'

export type BufferRole = 'pool' | 'table' | 'control' | 'faults' | 'arguments' | 'bounce'

export interface DeviceBuffer {
  readonly role: BufferRole
  readonly label: string
  readonly byteLength: number
  destroy(): void
}

/** What only the moment can tell: it cannot be foreseen, so it is not a mistake of the caller. */
export class DeviceFailure extends Error {
  readonly reason: 'no-memory' | 'lost'
  constructor(reason: 'no-memory' | 'lost', message: string) {
    super(message)
    this.name = 'DeviceFailure'
    this.reason = reason
  }
}

/** One message of the WGSL compiler. `line` and `column` are 1-based; 0 when unknown. */
export interface CompilerMessage {
  readonly type: 'error' | 'warning' | 'info'
  readonly line: number
  readonly column: number
  readonly text: string
}

/** The program does not compile. */
export class ProgramFailure extends Error {
  readonly messages: readonly CompilerMessage[]
  constructor(messages: readonly CompilerMessage[]) {
    super(messages.map((m) => `${m.line}:${m.column} ${m.text}`).join('\n'))
    this.name = 'ProgramFailure'
    this.messages = messages
  }
}

/** A binding of the author's in groups 0 to 2. `kind` follows GPUBindGroupLayoutEntry. */
export interface AuthorBinding {
  readonly group: number
  readonly binding: number
  readonly name: string
  readonly kind: 'uniform' | 'read-only-storage' | 'storage' | 'sampler' | 'comparison-sampler' | 'texture' | 'storage-texture' | 'external-texture'
  /** For textures: the WGSL type, e.g. `texture_2d<f32>`. */
  readonly type: string
}

/**
 * 'attempt': may fault, and says of what. 'sealed': must not, and is thrown away and run again as an attempt where it would have. 'resident': cannot, by the page
 * table. 'direct': cannot, by one window.
 */
export type ProgramVariant = 'attempt' | 'sealed' | 'resident' | 'direct'

/** One variant of a kernel, ready to be made: the text for devices that compile WGSL, the twin for the simulated one. */
export interface ProgramDescriptor {
  readonly label: string
  readonly variant: ProgramVariant
  /** The whole WGSL module: the author's text, the runtime, the wrapper. */
  readonly code: string
  readonly entryPoint: string
  readonly constants: Readonly<Record<string, number>>
  /** Pool bindings of the module: 1, 2, 4 or 8. A device binds placeholders for those that do not exist. */
  readonly pools: number
  readonly hasArguments: boolean
  readonly authorBindings: readonly AuthorBinding[]
  readonly workgroupSize: readonly [number, number, number]
  /** True where the wrapper must leave out work-items beyond the launch. */
  readonly guard: boolean
  /** Every invocation starts tainted (a used workgroup atomic somewhere in the module). */
  readonly startTainted: boolean
  /**
   * Whether it does nothing once a link before it in its chain has failed: it never asks; it asks the fault buffer; or, where invocations of a workgroup wait for
   * each other and must agree, it looks at CONTROL.aborted, which must be brought up to date before it.
   */
  readonly abort: 'ignored' | 'asked' | 'told'
  /** Accesses are noted in the shadow at the end of the fault buffer (abi/shadow). */
  readonly watch?: boolean
  /** The dispatch has the workgroups of the launch, in its dimensions; else as many as there are slots, or more, in any. */
  readonly whole?: boolean
  /** Where no fault is possible: a store to a clean page leaves a mark of the page; else only FAULT.unforeseen says that there was one. */
  readonly marks?: boolean
  /** All its accesses are known to be where and as they may be: it looks at none. */
  readonly proven?: boolean
  readonly addressBits: 32 | 64
  readonly pageShift: number
  readonly twin?: KernelTwin
}

export interface Program {
  readonly label: string
  readonly descriptor: ProgramDescriptor
}

/** What every device lets parts of buffers begin at. */
export const WINDOW_UNIT = 256

/** Group 3 as the program sees it: a value, never changed, so that a device may remember what it made of it. */
export interface DispatchBindings {
  readonly table: DeviceBuffer
  readonly faults: DeviceBuffer
  readonly control: DeviceBuffer
  readonly args: DeviceBuffer
  /** By pool number; null where there is none. */
  readonly pools: readonly (DeviceBuffer | null)[]
  /** Bytes of control and args that a dispatch sees, from where its part begins; missing: all. */
  readonly window?: { readonly control: number; readonly args: number }
}

export type Work =
  | {
      readonly kind: 'copy'
      readonly from: DeviceBuffer
      readonly fromOffset: number
      readonly to: DeviceBuffer
      readonly toOffset: number
      readonly byteLength: number
    }
  | { readonly kind: 'clear'; readonly buffer: DeviceBuffer; readonly offset: number; readonly byteLength: number }
  | {
      readonly kind: 'dispatch'
      readonly program: Program
      readonly bindings: DispatchBindings
      /** Where its part of control and of args begins, in bytes: multiples of WINDOW_UNIT. Missing: 0. */
      readonly at?: { readonly control: number; readonly args: number }
      /** Workgroups as dispatched (already folded), each at most `workgroupsPerDimension`. */
      readonly groups: readonly [number, number, number]
      /** The author's GPUBindGroups for groups 0 to 2; undefined entries are empty. */
      readonly authorGroups: readonly unknown[]
      /** For the twin of a simulated device: the arguments by name. */
      readonly args: Readonly<Record<string, unknown>>
    }

/** Bytes to bring to the host after the work of the same submission. `into` is filled before the promise settles. */
export interface Readback {
  readonly from: DeviceBuffer
  readonly offset: number
  readonly into: Uint8Array
}

export interface DeviceLimits {
  /** Largest buffer, and largest storage binding, in bytes: the smaller of both. */
  readonly bufferBytes: number
  readonly storageBuffers: number
  readonly workgroupsPerDimension: number
  readonly invocationsPerWorkgroup: number
}

/**
 * What may be done to the rounds of a dispatch on purpose: only tests have it. Whatever it answers, the run is a legal one, since the protocol allows pages
 * to go between passes, any order of workgroups, and reports of which only a part arrives.
 */
export interface PassMischief {
  /** Before a pass, of the pages that are here: those that lose their entry, and those that are sent home. */
  disturb(pages: readonly number[]): { readonly absent: readonly number[]; readonly evicted: readonly number[] }
  /** Most workgroups of the next pass, of so many. */
  limit(slots: number): number
  /** The order of the workgroups of a pass: permutes in place. */
  order(workgroups: Uint32Array): void
  /** What a pass wanted, a bitmap of pages for each kind of want: clears bits, but not the last one. */
  truncate(wanted: readonly Uint32Array[]): void
  /** Of so many links of a chain, those that go in its next submission: one at least. */
  segment(links: number): number
  /** Before a submission of a chain in which faults are possible, of the pages that are here: those that lose their entry, though a link may need them. */
  vanish(pages: readonly number[]): readonly number[]
}

export interface Device {
  readonly kind: 'webgpu' | 'sim'
  /** What it runs is the kernel's text, so that what is found out by reading the text holds. A twin may do anything. */
  readonly runsText: boolean
  readonly label: string
  readonly limits: DeviceLimits
  /** Bytes the creator allows this library on the device; undefined: the driver's default. */
  readonly memory: number | undefined
  readonly liveBytes: number
  readonly peakBytes: number
  /** Only in tests. */
  readonly passMischief?: PassMischief | undefined
  /** Submissions and maps so far, for stats and tests. */
  readonly counters: { submits: number; maps: number; buffers: number }
  /** Why the device was lost; null while it lives. */
  readonly lostReason: string | null
  /** Calls back once, at the loss. */
  onLost(callback: (reason: string) => void): void
  /** Milliseconds, monotonic: the device's clock (the simulated one may have its own). */
  now(): number

  /** The read-back ring may hold at most this many bytes, in slots of at most `slotBytes`. Called once, before any work. */
  configure(readback: { ringBytes: number; slotBytes: number }): void
  /** @throws DeviceFailure */
  createBuffer(role: BufferRole, byteLength: number, label: string): Promise<DeviceBuffer>
  /** @throws ProgramFailure, DeviceFailure */
  createProgram(descriptor: ProgramDescriptor): Promise<Program>
  /**
   * Type-checks a text without making a pipeline (used to refuse operators on svm_ptr).
   * A device without a compiler returns no messages.
   */
  checkText(code: string): Promise<readonly CompilerMessage[]>
  /** Offset and length are multiples of 4. The bytes are taken before this returns. */
  write(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): void
  /** The same into a buffer of the program, which may be one that cannot be written. Resolves when it is known to be. @throws SvmError, DeviceFailure */
  writeForeign(buffer: DeviceBuffer, offset: number, bytes: Uint8Array): Promise<void>
  /**
   * One submission: the work in order, then the read-backs. Resolves when all of it is complete. Arrays given here are not changed afterwards:
   * the same arrays are the same work. `again`: they will probably be submitted once more, so the device may prepare that while it is busy.
   * @throws DeviceFailure
   */
  submit(work: readonly Work[], readbacks?: readonly Readback[], again?: boolean): Promise<void>
  /**
   * Work that the next submission begins with, or that is submitted by itself before a buffer that it names is written to or destroyed. Nobody is told when it
   * is complete, and a failure of it is one of the submission that it rides on. The author's own buffers and groups are not for it.
   */
  hold(work: readonly Work[]): void
  /** For copyFromBuffer / copyToBuffer: wraps a buffer of the program (a GPUBuffer). Not counted in liveBytes. */
  foreignBuffer(buffer: unknown): DeviceBuffer
  /** Destroys what the device made for itself (the read-back ring). The GPUDevice stays the caller's. */
  release(): void
}
