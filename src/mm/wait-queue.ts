// Waiting for something to change. Always: who waits is woken by the next `wake`, and looks again: a wake-up promises nothing. Compare
// migration_entry_wait(): the universal "wait here" of pages that migrate.

export class WaitQueue {
  #wakeAll: (() => void) | null = null
  #next: Promise<void> | null = null

  /** Resolves at the next `wake`. */
  wait(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#wakeAll = resolve
    })
    return this.#next
  }

  wake(): void {
    const wakeAll = this.#wakeAll
    this.#wakeAll = null
    this.#next = null
    wakeAll?.()
  }
}
