// What the compiler says, told to the author in terms of his own text.
//
// Always: the lines of a translated module up to the end of the author's text are his lines. Names that the translation gave are given back, and a
// column is where he wrote the thing.

import { SvmError } from '../base/error.ts'
import type { CompilerMessage, ProgramDescriptor, ProgramFailure } from '../device/device.ts'
import { withoutElements } from './elements.ts'
import { authorColumn, ENTRY_PREFIX } from './rewrite.ts'
import { withoutLines } from './watch.ts'

/** The author's text, as he gave it. TranslateOptions is one. */
export interface KernelText {
  readonly label: string
  readonly code: string
  readonly entryPoint: string
}

function linesOf(text: string): string[] {
  return text.split(/\r\n|[\n\r]/)
}

function authorNames(text: string, code: string): string {
  let told = withoutElements(withoutLines(text)).replaceAll(ENTRY_PREFIX, '').replaceAll('svm_silent_', 'svm_atomic_')
  if (!code.includes('svm_barrier')) told = told.replace(/\bsvm_barrier\b/g, 'workgroupBarrier')
  return told.replace(/\bsvm_sbarrier\b/g, 'storageBarrier')
}

function place(message: CompilerMessage, rewritten: readonly string[]): string {
  return `line ${message.line}:${authorColumn(rewritten[message.line - 1] ?? '', message.column)}`
}

/**
 * The error for a module that does not compile: the first error in the author's text, else the first error anywhere with the line of his that the
 * compiler's notes lead back to.
 * @param program the module that failed; with it, columns are the author's as well
 */
export function explainProgramFailure(failure: ProgramFailure, kernel: KernelText, program?: ProgramDescriptor): SvmError {
  const count = linesOf(kernel.code).length
  const rewritten = linesOf(program?.code ?? kernel.code)
  const isHis = (message: CompilerMessage) => message.line >= 1 && message.line <= count
  const errors = failure.messages.filter(({ type }) => type === 'error')
  const his = errors.find(isHis)
  if (his !== undefined) return buildError(kernel, `${place(his, rewritten)}: ${his.text}`, failure)
  const first = errors[0] ?? failure.messages[0]
  if (first === undefined) return buildError(kernel, 'the compiler refused the kernel without a reason', failure)
  // Notes follow their error; the one in his text says which of his calls led there.
  const note = failure.messages.slice(failure.messages.indexOf(first) + 1).find(isHis)
  if (note !== undefined) return buildError(kernel, `${place(note, rewritten)}: ${first.text} (${note.text})`, failure)
  return buildError(kernel, first.text, failure)
}

/**
 * The error for operators on pointers, when the text in which svm_ptr is a struct does not compile although the module does; null when it compiles.
 */
export function explainPointerMisuse(messages: readonly CompilerMessage[], kernel: KernelText): SvmError | null {
  const errors = messages.filter(({ type }) => type === 'error')
  const count = linesOf(kernel.code).length
  const isHis = ({ line }: CompilerMessage) => line >= 1 && line <= count
  const his = errors.find(isHis) ?? messages.find((message) => message.type === 'info' && isHis(message))
  if (errors.length === 0 || his === undefined) return null
  return buildError(
    kernel,
    `line ${his.line}:${his.column}: an svm_ptr is not a number: it has no operators, conversions or select(). Use svm_add, svm_sub, svm_index, svm_equal, svm_difference, svm_is_null or svm_select, and SVM_NULL for null (the compiler says: ${his.text.split('\n')[0]})`,
  )
}

function buildError(kernel: KernelText, sentence: string, cause?: unknown): SvmError {
  return new SvmError('build-failed', `kernel '${kernel.label}', ${authorNames(sentence, kernel.code)}`, { kernel: kernel.label, cause })
}
