// Reads a tar archive held in memory. Always: nothing is copied; only regular files are seen, by the name after the last slash.

const BLOCK_BYTES = 512

/** The regular files of an archive by base name. */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  for (let at = 0; at + BLOCK_BYTES <= archive.byteLength; ) {
    const header = archive.subarray(at, at + BLOCK_BYTES)
    if (header[0] === 0) break
    const byteLength = Number.parseInt(text(header, 124, 12), 8)
    const start = at + BLOCK_BYTES
    if (!(start + byteLength <= archive.byteLength)) throw new RangeError('the archive ends inside a file')
    const type = header[156]
    // '0' or NUL: a regular file.
    if (type === 0x30 || type === 0) files.set(text(header, 0, 100).split('/').pop() as string, archive.subarray(start, start + byteLength))
    at = start + Math.ceil(byteLength / BLOCK_BYTES) * BLOCK_BYTES
  }
  return files
}

function text(header: Uint8Array, start: number, byteLength: number): string {
  const field = header.subarray(start, start + byteLength)
  const end = field.indexOf(0)
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end))
}
