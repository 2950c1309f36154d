// Bytes as a file that can be mapped. Always: on Node a real file in the folder for temporary files, elsewhere a Blob; `remove` gives it back.

import type { Pager } from '../../src/index.ts'

export interface SourceFile {
  readonly pager: Pager
  remove(): Promise<void>
}

/** A variable, so that a browser's bundler does not follow it. */
const onNode = './file-node.ts'

export async function fileOf(bytes: Uint8Array<ArrayBuffer>): Promise<SourceFile> {
  if (typeof window !== 'undefined') return { pager: blobPager(new Blob([bytes])), remove: async () => undefined }
  const { temporaryFile } = (await import(/* @vite-ignore */ onNode)) as typeof import('./file-node.ts')
  return temporaryFile(bytes)
}

/** The whole of what a pager must do. */
export function blobPager(blob: Blob): Pager {
  return {
    size: blob.size,
    async read(offset, into) {
      const bytes = new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer())
      into.set(bytes)
      return bytes.length
    },
  }
}
