// A file in a folder of its own for temporary files. Always: only file.ts asks for it, by a name that bundlers do not follow.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filePager } from '../../src/node.ts'
import type { SourceFile } from './file.ts'

export async function temporaryFile(bytes: Uint8Array): Promise<SourceFile> {
  const folder = await mkdtemp(join(tmpdir(), 'svm-workload-'))
  const path = join(folder, 'bytes')
  await writeFile(path, bytes)
  const pager = await filePager(path)
  return {
    pager,
    remove: async () => {
      await pager.close?.()
      await rm(folder, { recursive: true })
    },
  }
}
