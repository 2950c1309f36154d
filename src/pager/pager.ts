// Where the bytes of a mapping come from. Always: `size` is fixed; the array given to `read` or `write` belongs to that call until its promise settles.

export interface Pager {
  /** Bytes of the source. */
  readonly size: number
  /**
   * Fills `into` from `offset` on. @returns the bytes read: fewer than asked only at the end of the source.
   * Rejects when the source cannot be read.
   */
  read(offset: number, into: Uint8Array): Promise<number>
  /** Writes all of `from` at `offset`, never past `size`. A pager without it is read-only. */
  write?(offset: number, from: Uint8Array): Promise<void>
  /** Gives back what the pager holds. A pager stays its maker's, who may map it again or elsewhere: the library never calls this. */
  close?(): Promise<void>
}
