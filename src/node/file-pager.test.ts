import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { filePager } from './file-pager.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svm-file-pager-'))
})
afterAll(() => rm(folder, { recursive: true }))

test('reads up to the end of the file, and says how much that was', async () => {
  const path = join(folder, 'read')
  await writeFile(
    path,
    Uint8Array.from({ length: 1000 }, (_, i) => i),
  )
  const pager = await filePager(path)
  expect(pager.size).toBe(1000)
  expect(pager.write).toBeUndefined()
  const into = new Uint8Array(300)
  expect(await pager.read(100, into)).toBe(300)
  expect(into[0]).toBe(100)
  expect(await pager.read(900, into)).toBe(100)
  await truncate(path, 50)
  expect(await pager.read(900, into)).toBe(0)
  await pager.close?.()
  await expect(pager.read(0, into)).rejects.toMatchObject({ code: 'pager-failed', message: expect.stringContaining(path) })
})

test('writes when asked for', async () => {
  const path = join(folder, 'write')
  await writeFile(path, 'hello world')
  const pager = await filePager(path, { writable: true })
  await pager.write?.(6, new TextEncoder().encode('there'))
  await pager.close?.()
  expect(await readFile(path, 'utf8')).toBe('hello there')
})

test('names the path of what cannot be opened', async () => {
  await expect(filePager(join(folder, 'none'))).rejects.toMatchObject({ code: 'pager-failed', message: expect.stringContaining('none') })
  await expect(filePager(folder)).rejects.toMatchObject({ code: 'invalid-value' })
})
