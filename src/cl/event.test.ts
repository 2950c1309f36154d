// Events. Always: whoever asks, and however late, is told the same; an error that nobody asked for ends nothing.

import { expect, test } from 'vitest'
import { CommandEvent } from './event.ts'

const made = () => new CommandEvent<number>('kernel', 'k', { now: () => 1 })

test('asked before and after the end, the same promise gives the value', async () => {
  const event = made()
  const early = event.done
  event.started()
  event.complete(7)
  expect(event.done).toBe(early)
  expect(await early).toBe(7)
})

test('asked for the first time after the end', async () => {
  const event = made()
  event.started()
  event.complete(7)
  expect(await event.quiet).toBe(7)
  expect(await event.done).toBe(7)
})

test('a failure: seen once somebody asks for done, whether before it or after', async () => {
  const [early, late] = [made(), made()]
  const asked = early.done
  for (const event of [early, late]) event.fail(new Error('no'))
  await expect(asked).rejects.toThrow('no')
  expect(early.unseenError).toBeUndefined()
  // Rejections that nobody handles would fail this run.
  await new Promise((resolve) => setTimeout(resolve, 0))
  await late.quiet.catch(() => undefined)
  expect(late.unseenError).toBeInstanceOf(Error)
  await expect(late.done).rejects.toThrow('no')
  expect(late.unseenError).toBeUndefined()
})
