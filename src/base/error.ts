// The one error of this library. Always: the message says what was expected, what was met, and the way out.

export type SvmErrorCode =
  | 'invalid-value'
  | 'not-mapped'
  | 'access-violation'
  | 'host-mapped'
  | 'host-memory'
  | 'device-memory'
  | 'working-set'
  | 'build-failed'
  | 'dependency-failed'
  | 'pager-failed'
  | 'device-lost'
  | 'unsupported'
  | 'closed'
  | 'aborted'
  | 'internal'

/** What an error names besides its sentence. Addresses and lengths are in bytes. */
export interface SvmErrorDetails {
  pointer?: number
  byteLength?: number
  kernel?: string
  workgroup?: readonly number[]
  retiredWorkgroups?: number
  check?: string
  cause?: unknown
}

/** Every error of this library. The message says what was expected, what was met, and the way out. */
export class SvmError extends Error {
  readonly code: SvmErrorCode
  readonly pointer?: number
  readonly byteLength?: number
  readonly kernel?: string
  readonly workgroup?: readonly number[]
  readonly retiredWorkgroups?: number
  /** The check of the request boundary that refused, by its name. */
  readonly check?: string

  constructor(code: SvmErrorCode, message: string, details: SvmErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'SvmError'
    this.code = code
    if (details.pointer !== undefined) this.pointer = details.pointer
    if (details.byteLength !== undefined) this.byteLength = details.byteLength
    if (details.kernel !== undefined) this.kernel = details.kernel
    if (details.workgroup !== undefined) this.workgroup = details.workgroup
    if (details.retiredWorkgroups !== undefined) this.retiredWorkgroups = details.retiredWorkgroups
    if (details.check !== undefined) this.check = details.check
  }
}

/** The same error, which names more. */
export function withDetails(error: SvmError, details: SvmErrorDetails): SvmError {
  return new SvmError(error.code, error.message, { ...error, ...details, cause: error.cause ?? error })
}

/** What is not built yet says so; it never looks like success. */
export function unsupported(what: string, wayOut: string): SvmError {
  return new SvmError('unsupported', `${what} is not built yet in this version of webgpu-svm; ${wayOut}`)
}
