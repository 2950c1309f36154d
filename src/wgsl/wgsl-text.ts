// Pieces of WGSL by name, and the linking of those that a module uses.
//
// Always: a piece declares exactly the name it is filed under, and mentions other pieces by their names; so the pieces that a text needs are the
// closure over the names it mentions. Module-scope order is free in WGSL.

import { assert } from '../base/assert.ts'

export class Pieces {
  readonly #texts = new Map<string, string>()

  /** Files a declaration under the name it declares. */
  add(text: string): void {
    const name = nameOf(text)
    assert(name !== undefined && !this.#texts.has(name), `a piece of the runtime declares one new name: ${text.slice(0, 60)}`)
    this.#texts.set(name, text)
  }

  /** Files a declaration in place of the one with its name, if there is one. */
  put(text: string): void {
    this.#texts.delete(nameOf(text) ?? '')
    this.add(text)
  }

  addAll(texts: readonly string[]): void {
    for (const text of texts) this.add(text)
  }

  get names(): readonly string[] {
    return [...this.#texts.keys()]
  }

  text(name: string): string | undefined {
    return this.#texts.get(name)
  }

  /** The pieces that these texts mention, and those that they mention in turn, in the order in which they were filed. */
  link(...texts: readonly string[]): string {
    const wanted = new Set<string>()
    const pending = [...texts]
    for (let text = pending.pop(); text !== undefined; text = pending.pop()) {
      for (const name of text.match(/\b(?:svm|SVM)_\w+/g) ?? []) {
        const piece = this.#texts.get(name)
        if (piece === undefined || wanted.has(name)) continue
        wanted.add(name)
        pending.push(piece)
      }
    }
    return this.names
      .filter((name) => wanted.has(name))
      .map((name) => this.#texts.get(name))
      .join('\n')
  }
}

function nameOf(text: string): string | undefined {
  return /\b(?:fn|const|alias|struct|var(?:<[^>]*>)?)\s+(\w+)/.exec(text)?.[1]
}

/** `const NAME = 1u;` */
export function constant(name: string, value: number): string {
  assert(Number.isInteger(value) && value >= 0 && value <= 0xffffffff, `${name} is a 32-bit number`)
  return `const ${name} = ${value}u;`
}
