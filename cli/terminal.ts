// Tables and the progress bar. Always: a bar is drawn on standard error only, only where that is a terminal, and is gone when the work is.

import type { TraceEvent } from '../src/node.ts'

const BAR_WIDTH = 30
const REDRAW_MILLISECONDS = 80

/** Rows of cells as text: the first column to the left, the others to the right; the first row is the head when `head` is set. */
export function table(rows: readonly (readonly string[])[], { head = false } = {}): string {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
      .join('  ')
      .trimEnd(),
  )
  if (head) lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return `${lines.join('\n')}\n`
}

/** What long work tells: a part of 1, or nothing but that it goes on. */
export class Progress {
  readonly #stream: { readonly isTTY?: boolean; write(text: string): unknown }
  #what = ''
  #drawn = false
  #last = Number.NEGATIVE_INFINITY

  constructor(stream: { readonly isTTY?: boolean; write(text: string): unknown } = process.stderr) {
    this.#stream = stream
  }

  /** A new piece of work begins. */
  begin(what: string): void {
    this.#what = what
    this.#last = Number.NEGATIVE_INFINITY
    this.update(0)
  }

  /** @param part from 0 to 1 */
  update(part: number): void {
    if (this.#stream.isTTY !== true) return
    const now = performance.now()
    if (now - this.#last < REDRAW_MILLISECONDS) return
    this.#last = now
    const done = Math.round(Math.min(1, Math.max(0, part)) * BAR_WIDTH)
    this.#stream.write(`\r\x1b[K${this.#what} [${'#'.repeat(done)}${'.'.repeat(BAR_WIDTH - done)}] ${Math.floor(part * 100)}%`)
    this.#drawn = true
  }

  end(): void {
    if (this.#drawn) this.#stream.write('\r\x1b[K')
    this.#drawn = false
  }

  /** A trace sink that shows how many of a launch's workgroups have retired. */
  ofWorkgroups(total: number): (event: TraceEvent) => void {
    let retired = 0
    return (event) => {
      if (event.kind !== 'pass') return
      retired += event.retired
      this.update(retired / Math.max(1, total))
    }
  }
}
