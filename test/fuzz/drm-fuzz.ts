// drm-fuzz.ts: sends requests to a port and watches what they do. Always: a refused request leaves the hash of the world as it was; nothing but an
// SvmError that is not our own mistake ever comes back; every hundredth request is valid and succeeds. A seed and a step repeat any finding.

import { SvmError } from '../../src/base/error.ts'
import { Random } from '../../src/base/world.ts'
import type { LocalPort } from '../../src/drm/local-port.ts'
import type { Op, Requests } from '../../src/drm/request.ts'
import { FIELD_CHECKS } from '../../src/drm/shape.ts'
import { AIMS, type Draft, OPS, spoilField, spoilWhole, VALID } from './drm-requests.ts'
import { assertWorld, barePort, hashOf, makeWorld, P, type World } from './drm-world.ts'

export interface Census {
  requests: number
  refused: number
  /** Changed, and valid all the same. */
  accepted: number
  /** Valid in form; failed in the kernel or on the device. By code. */
  readonly failed: Record<string, number>
  valid: number
  worlds: number
  /** Refusals by check. */
  readonly checks: Map<string, number>
}

/** Requests after which a world is made anew, so that every seed sees other places of pages. */
const WORLD_AGE = 4000
/** Ops whose success changes what the world is made of. */
const RESHAPING: ReadonlySet<string> = new Set(['SVM_FREE', 'SVM_MUNMAP', 'SVM_UNMAP', 'SVM_RELEASE', 'SVM_FINI'])
/** What may go wrong after all checks: the kernel's own doing, or an all-or-nothing migrate that does not fit. */
const LATE = ['access-violation', 'host-mapped', 'unsupported', 'device-memory', 'working-set', 'not-mapped']

/** What no request may take: then it hangs. */
const HANG_MILLISECONDS = 20_000

export async function fuzzRequests(seed: number, count: number): Promise<Census> {
  const progress = { step: 0 }
  let seen = -1
  let watch: ReturnType<typeof setInterval> | undefined
  const hung = new Promise<never>((_resolve, reject) => {
    watch = setInterval(() => {
      if (progress.step === seen) reject(new Error(`seed ${seed}, step ${seen}: the request never settled`))
      seen = progress.step
    }, HANG_MILLISECONDS)
  })
  return Promise.race([run(seed, count, progress), hung]).finally(() => clearInterval(watch))
}

async function run(seed: number, count: number, progress: { step: number }): Promise<Census> {
  const census: Census = { requests: 0, refused: 0, accepted: 0, failed: {}, valid: 0, worlds: 0, checks: new Map() }
  let world: World | null = null
  let age = 0
  for (let step = 0; step < count; step++) {
    const random = new Random(Math.imul(seed, 0x9e3779b1) + step)
    if (world === null || age++ > WORLD_AGE) {
      world = await makeWorld(new Random(seed + step))
      census.worlds++
      age = 0
    }
    census.requests++
    progress.step = step
    // Everything else settles in microtasks: the watch must have its turn.
    if (step % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    try {
      const outcome: 'same' | 'reshaped' =
        step % 100 === 99 ? await sendValid(world, random, census) : await sendChanged(world, random, census, step % 128 === 0)
      if (outcome === 'reshaped') world = null
      else if (step % 512 === 0) assertWorld(world.port)
    } catch (error) {
      throw new Error(`seed ${seed}, step ${step}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }
  return census
}

// Requests that are wrong.

async function sendChanged(world: World, random: Random, census: Census, thorough: boolean): Promise<'same' | 'reshaped'> {
  if (random.chance(1, 50)) return misregister(world, random, census)
  const draft = changed(world, random)
  const which = random.below(40)
  const port = which === 0 ? world.fresh : which === 1 ? world.closed : world.port
  const before = hashOf(port, thorough)
  let reply: unknown
  try {
    reply = await port.ioctl(draft.op as Op, draft.request as never)
  } catch (error) {
    judge(error, port, before, thorough, census, draft)
    return 'same'
  }
  census.accepted++
  if (port !== world.port) return draft.op === 'SVM_INIT' ? 'reshaped' : 'same'
  return (await undo(world, draft, reply)) ? 'same' : 'reshaped'
}

function judge(error: unknown, port: LocalPort, before: number, thorough: boolean, census: Census, draft: Draft): void {
  const print = () => `${draft.op} ${show(draft.request)}`
  if (!(error instanceof SvmError) || error.code === 'internal') throw new Error(`${print()} came to ${error instanceof Error ? error.stack : String(error)}`)
  if (error.check === undefined) {
    if (!LATE.includes(error.code)) throw new Error(`${print()} was refused without a check: ${error.message}`)
    census.failed[error.code] = (census.failed[error.code] ?? 0) + 1
    assertWorld(port)
    return
  }
  census.refused++
  census.checks.set(error.check, (census.checks.get(error.check) ?? 0) + 1)
  if (hashOf(port, thorough) !== before) throw new Error(`${print()} was refused (${error.check}) and changed the world`)
}

/** A valid request with one or two changes. */
function changed(world: World, random: Random): Draft {
  if (random.chance(35, 100)) {
    const { op, change } = random.pick(AIMS)
    const draft: Draft = { op, request: VALID[op](world, random) }
    change(draft.request as never, world, random)
    return draft
  }
  if (random.chance(1, 12)) {
    const op = random.pick(OPS)
    const draft: Draft = { op, request: VALID[op](world, random) }
    spoilWhole(draft, random)
    return draft
  }
  const [op, field] = random.pick(FIELD_CHECKS).split('.') as [Op, string]
  const draft: Draft = { op, request: VALID[op](world, random) }
  spoilField(draft, field, world, random)
  if (random.chance(1, 4)) spoilField(draft, random.pick(Object.keys(VALID[op](world, random))), world, random)
  return draft
}

/** Puts the world back after a request that turned out to be valid; false: it cannot. */
async function undo(world: World, { op, request }: Draft, reply: unknown): Promise<boolean> {
  const { port, dying } = world
  if (RESHAPING.has(op)) return false
  if (op === 'SVM_ALLOC') await port.ioctl('SVM_FREE', reply as { pointer: number })
  if (op === 'SVM_MMAP') await port.ioctl('SVM_MUNMAP', { pointer: (reply as { pointer: number }).pointer, byteLength: 0 })
  if (op === 'SVM_MAP') port.ioctl('SVM_UNMAP', { mapping: (reply as { mapping: number }).mapping })
  if (op === 'SVM_DOOM') port.ioctl('SVM_SPARE', request as Requests['SVM_DOOM'])
  if (op === 'SVM_SPARE' && !port.ioctl('SVM_LOOKUP', { pointer: dying })?.dying) port.ioctl('SVM_DOOM', { pointers: [dying] })
  if (op === 'SVM_MPROTECT') await protectAnew(world, request as Requests['SVM_MPROTECT'])
  return true
}

/** The protections that the world was made with. */
async function protectAnew({ port, file, guarded }: World, { pointer, byteLength }: Requests['SVM_MPROTECT']): Promise<void> {
  if (byteLength === 0) return
  const access = pointer >= file && pointer < file + 8 * P ? 'read' : 'read-write'
  await port.ioctl('SVM_MPROTECT', { pointer, byteLength, access })
  await port.ioctl('SVM_MPROTECT', { pointer: guarded + P, byteLength: P, access: 'read' })
  await port.ioctl('SVM_MPROTECT', { pointer: guarded + 2 * P, byteLength: P, access: 'none' })
}

async function misregister(world: World, random: Random, census: Census): Promise<'same'> {
  const { port } = world
  const before = hashOf(port, false)
  const kind = random.pick(['pager', 'kernel', 'buffer', 'bind-group', 'signal'] as const)
  const wrong = random.pick<unknown>([null, undefined, 5, 'text', () => 1, Symbol('s')])
  try {
    port.register(kind, wrong as never)
  } catch (error) {
    judge(error, port, before, false, census, { op: 'register', request: { kind } })
    return 'same'
  }
  throw new Error(`${kind} was registered as ${String(wrong)}`)
}

// Requests that are right.

/** What must be there before a valid request, and what is left of it after. */
async function sendValid(world: World, random: Random, census: Census): Promise<'same'> {
  const { port } = world
  const op = random.pick(OPS)
  census.valid++
  const request = VALID[op](world, random)
  const block = () => port.ioctl('SVM_ALLOC', { byteLength: P, alignment: 1, access: 'read-write', label: '' })
  switch (op) {
    case 'SVM_DOOM':
    case 'SVM_SPARE': {
      const { pointer } = block()
      if (op === 'SVM_SPARE') port.ioctl('SVM_DOOM', { pointers: [pointer] })
      port.ioctl(op, { pointers: [pointer] })
      await port.ioctl('SVM_FREE', { pointer })
      return 'same'
    }
    case 'SVM_FREE': {
      await port.ioctl(op, block())
      return 'same'
    }
    case 'SVM_MUNMAP': {
      const { pointer } = port.ioctl('SVM_MMAP', { pager: world.pager, offset: 0, byteLength: 5 * P, label: '' })
      await port.ioctl(op, { pointer: pointer + (1 + random.below(4)) * P, byteLength: random.below(2) * P })
      await port.ioctl(op, { pointer, byteLength: 0 })
      return 'same'
    }
    case 'SVM_UNMAP': {
      const { mapping } = await port.ioctl('SVM_MAP', { pointer: world.good, byteLength: 9, mode: 'read' })
      port.ioctl(op, { mapping })
      return 'same'
    }
    case 'SVM_RELEASE':
    case 'SVM_FINI': {
      const other = barePort()
      other.ioctl('SVM_INIT', VALID.SVM_INIT(world, random))
      await other.ioctl(op, request as never)
      return 'same'
    }
    default: {
      const reply = await port.ioctl(op, request as never)
      await undo(world, { op, request }, reply)
      return 'same'
    }
  }
}

function show(request: unknown): string {
  try {
    return JSON.stringify(request, (_key, value) =>
      typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : value instanceof Uint8Array ? `${value.length} bytes` : value,
    )
  } catch {
    return '(not printable)'
  }
}
