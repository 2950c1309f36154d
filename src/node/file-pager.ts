// A file as the source of a mapping. Always: `size` is what the file had when it was opened; a file that shrank since gives short reads, one
// that cannot be read any more an error that names its path.

import { type FileHandle, open } from 'node:fs/promises'
import { SvmError } from '../base/error.ts'
import type { Pager } from '../pager/pager.ts'

export interface FilePagerOptions {
  /** Opens the file for writing as well: shared mappings can then be written back. Default: false. */
  readonly writable?: boolean
}

export async function filePager(path: string | URL, options: FilePagerOptions = {}): Promise<Pager> {
  const handle = await open(path, options.writable ? 'r+' : 'r').catch((error) => {
    throw fileError('opened', path, error)
  })
  try {
    const status = await handle.stat()
    if (!status.isFile()) throw new SvmError('invalid-value', `${path} is not a regular file; give the path of one.`)
    return options.writable ? new WritableFilePager(handle, path, status.size) : new FilePager(handle, path, status.size)
  } catch (error) {
    await handle.close()
    throw error
  }
}

class FilePager implements Pager {
  readonly size: number
  protected readonly handle: FileHandle
  protected readonly path: string | URL

  constructor(handle: FileHandle, path: string | URL, size: number) {
    this.handle = handle
    this.path = path
    this.size = size
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    let done = 0
    while (done < into.byteLength) {
      const { bytesRead } = await this.handle.read(into, done, into.byteLength - done, offset + done).catch((error) => {
        throw fileError('read', this.path, error)
      })
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  async close(): Promise<void> {
    await this.handle.close()
  }
}

class WritableFilePager extends FilePager {
  async write(offset: number, from: Uint8Array): Promise<void> {
    for (let done = 0; done < from.byteLength; ) {
      const { bytesWritten } = await this.handle.write(from, done, from.byteLength - done, offset + done).catch((error) => {
        throw fileError('written', this.path, error)
      })
      done += bytesWritten
    }
  }

  override async close(): Promise<void> {
    try {
      await this.handle.sync()
    } finally {
      await super.close()
    }
  }
}

function fileError(done: string, path: string | URL, cause: Error): SvmError {
  return new SvmError('pager-failed', `${path} could not be ${done}: ${cause.message}`, { cause })
}
