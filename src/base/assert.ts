// Our own mistakes. An assertion never guards what a user can get wrong (that is SvmError) nor what may happen (that is a result).

import { SvmError } from './error.ts'

/** What must hold, or this library is wrong. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) {
    throw new SvmError('internal', `webgpu-svm broke its own rule: ${sentence}. Please report this.`)
  }
}

/** The end of an exhaustive switch: the compiler proves that nobody gets here. */
export function unreachable(value: never): never {
  throw new SvmError('internal', `webgpu-svm met a case that it does not know: ${String(value)}. Please report this.`)
}
