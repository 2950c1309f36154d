// Everything that can be traced, as plain data. Always: an event says what happened, never what should; times are milliseconds of the
// device's clock, sizes are bytes, pages are counts.

export type TraceEvent =
  | { readonly kind: 'alloc' | 'mmap'; readonly pointer: number; readonly byteLength: number; readonly label: string }
  | { readonly kind: 'unmap'; readonly pointer: number; readonly byteLength: number }
  | { readonly kind: 'protect'; readonly pointer: number; readonly byteLength: number; readonly access: string }
  /** `pages` came for it, or were given up. */
  | { readonly kind: 'advise'; readonly pointer: number; readonly byteLength: number; readonly advice: string; readonly pages: number }
  | {
      readonly kind: 'migrate'
      readonly device: string
      readonly to: 'device' | 'host'
      readonly pages: number
      readonly bytesCopied: number
      readonly why: MigrateReason
    }
  | { readonly kind: 'system-map'; readonly device: string; readonly pages: number; readonly bytesCopied: number }
  | { readonly kind: 'evict'; readonly device: string; readonly pages: number; readonly bytesCopied: number }
  | { readonly kind: 'pool'; readonly device: string; readonly pool: number; readonly byteLength: number; readonly made: boolean }
  | {
      readonly kind: 'pass'
      readonly kernel: string
      readonly round: number
      readonly workgroups: number
      readonly retired: number
      readonly faults: number
      readonly hints: number
      readonly aborted: boolean
    }
  /** Some of the faults of a pass: one each of the first pages that were wanted. Workgroups are linear numbers. */
  | {
      readonly kind: 'fault'
      readonly kernel: string
      readonly round: number
      readonly examples: readonly { readonly pointer: number; readonly access: 'load' | 'store' | 'atomic'; readonly workgroup: number }[]
    }
  | { readonly kind: 'dispatch'; readonly kernel: string; readonly variant: string; readonly rounds: number; readonly milliseconds: number }
  /** With debug: `accesses` of a launch that the race detector had no room for; the message says what follows from that. */
  | { readonly kind: 'unwatched'; readonly kernel: string; readonly accesses: number; readonly message: string }
  /** Launches that went to the device together: `done` of the `links` had their result from it. Then each has its `dispatch`, with its part of the time by estimate. */
  | { readonly kind: 'chain'; readonly device: string; readonly links: number; readonly done: number; readonly milliseconds: number }
  | { readonly kind: 'host-map' | 'host-unmap'; readonly pointer: number; readonly byteLength: number; readonly mode: string }
  | { readonly kind: 'device-released'; readonly device: string; readonly pages: number; readonly bytesCopied: number }
  | { readonly kind: 'device-lost'; readonly device: string; readonly lostPages: number; readonly reason: string }

export type MigrateReason = 'request' | 'gpu-fault' | 'host-access' | 'eviction' | 'release' | 'advice'

/** Receives every event with its time. Must not throw and must not call back into the library. */
export type TraceSink = (event: TraceEvent, milliseconds: number) => void
