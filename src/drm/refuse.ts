// Refusals of the request boundary. Always: every check has a name that is said once here, so that a run can count which were met; a refusal
// comes before any effect; its sentence says what was expected, what was met, and the way out.

import { SvmError, type SvmErrorCode, type SvmErrorDetails } from '../base/error.ts'

/** Checks of what a request means in the space. Those of single fields are named `op.field` (shape.ts). */
export const CHECKS = [
  // of the request as a whole
  'unknown-op',
  'not-plain',
  'unknown-field',
  'before-init',
  'after-fini',
  // SVM_INIT
  'version',
  'geometry',
  // of what a request names
  'no-device',
  'device-released',
  'device-lost',
  'no-handle',
  'handle-of-another-kind',
  'not-of-its-kind',
  'kernel-of-another-device',
  // of ranges
  'null',
  'beyond-space',
  'unmapped',
  'freed',
  'beyond-allocation',
  'hole',
  'hole-and-all-or-nothing',
  'host-mapped',
  'never-writable',
  'write-protected',
  'no-access',
  'segments',
  // of single requests
  'too-large',
  'no-room',
  'pager-size',
  'offset-in-page',
  'beyond-source',
  'free-no-allocation',
  'free-mmap',
  'free-again',
  'free-twice',
  'munmap-pages',
  'mprotect-pages',
  'mprotect-more-than-made-for',
  'overlap',
  'pattern',
  'pattern-alignment',
  'buffer-alignment',
  'not-a-buffer',
  'beyond-buffer',
  'launch-size',
  'launch-arguments',
  'chain-of-two-devices',
] as const
export type Check = (typeof CHECKS)[number]

/** @throws SvmError */
export function refuse(check: Check | `${string}.${string}`, code: SvmErrorCode, sentence: string, details: SvmErrorDetails = {}): never {
  throw new SvmError(code, sentence, { ...details, check })
}
