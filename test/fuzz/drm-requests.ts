// drm-requests.ts: valid requests of every op, and what is wrong with them after one or two of their fields were changed. Always: a valid request
// is valid in the world that it was made for; a change takes from the seed and from nothing else.

import type { Random } from '../../src/base/world.ts'
import { ADVICE, DRM_VERSION, type Op, type Requests } from '../../src/drm/request.ts'
import { P, VAST_BYTES, type World } from './drm-world.ts'

type Bag = Record<string, unknown>
export interface Draft {
  op: string
  request: unknown
}

const adviceAt = (world: World, random: Random) => ({
  pointer: world.good + random.below(5) * P,
  byteLength: random.below(P),
  advice: random.pick(ADVICE),
  memory: random.below(3) - 1,
})

/** A request of each op that is valid, or would be but for one use of its pointer. */
export const VALID: { readonly [O in Op]: (world: World, random: Random) => Requests[O] } = {
  SVM_INIT: () => ({ version: DRM_VERSION, pageBytes: P, addressBits: 32 }),
  SVM_ALLOC: (_world, random) => ({
    byteLength: 1 + random.below(4 * P),
    alignment: 2 ** random.below(14),
    access: random.pick(['read', 'write', 'read-write']),
    label: random.pick(['', 'name']),
  }),
  SVM_MMAP: (world) => ({ pager: world.pager, offset: P, byteLength: 3 * P - 7, label: 'pages' }),
  SVM_LOOKUP: (world) => ({ pointer: world.good + 5 }),
  SVM_CHECK: (world, random) => ({ ranges: [{ pointer: world.file, byteLength: 2 * P }], holes: random.chance(1, 2), what: 'fuzz' }),
  SVM_DOOM: (world) => ({ pointers: [world.good, world.constant] }),
  SVM_SPARE: (world) => ({ pointers: [world.dying] }),
  SVM_FREE: (world) => ({ pointer: world.dying }),
  SVM_MUNMAP: (world) => ({ pointer: world.file + 5 * P, byteLength: P }),
  SVM_MPROTECT: (world, random) => ({ pointer: world.guarded, byteLength: P, access: random.pick(['none', 'read', 'read-write']) }),
  SVM_ADVISE: adviceAt,
  SVM_HEED: adviceAt,
  SVM_BIND: (world, random) => ({
    memory: random.below(2),
    ranges: [
      { pointer: world.good + random.below(5) * P, byteLength: random.below(P) },
      { pointer: world.file, byteLength: 2 * P },
    ],
    target: random.pick(['device', 'host']),
    contentUndefined: random.chance(1, 8),
    mode: random.pick(['best-effort', 'all-or-nothing']),
  }),
  SVM_MAP: (world, random) => ({ pointer: world.good + random.below(P), byteLength: 1 + random.below(2 * P), mode: random.pick(['read', 'read-write']) }),
  SVM_UNMAP: (world) => ({ mapping: world.mapping }),
  SVM_READ: (world, random) => ({ pointer: world.good + random.below(P), byteLength: random.below(3 * P) }),
  SVM_WRITE: (world, random) => ({ pointer: world.good + random.below(P), bytes: new Uint8Array(random.below(2 * P)) }),
  SVM_COPY: (world, random) => ({ destination: world.good, source: world.file + random.below(P), byteLength: random.below(P) }),
  SVM_FILL: (world, random) => ({ pointer: world.good, pattern: Uint8Array.of(1, 2, 3, random.below(9)), byteLength: 4 * random.below(P) }),
  SVM_BUFFER: (world, random) => ({
    memory: random.below(2),
    buffer: world.buffer,
    offset: 4 * random.below(9),
    pointer: world.good + 4,
    byteLength: 4 * random.below(P / 4),
    direction: random.pick(['in', 'out']),
  }),
  SVM_EXEC: (world, random) => {
    const memory = random.below(2)
    const { launch, kernels, signal, group } = world
    return { ...launch, memory, kernel: kernels[memory], bindGroups: random.chance(1, 2) ? [-1, group] : [], signal: random.pick([-1, signal]), reach: null }
  },
  SVM_EXEC_CHAIN: (world, random) => {
    const memory = random.below(2)
    const { launch, kernels, signal, group } = world
    const one = () => ({
      ...launch,
      memory,
      kernel: kernels[memory],
      bindGroups: random.chance(1, 8) ? [group] : [],
      signal: random.pick([-1, signal]),
      reach: null,
    })
    return { launches: Array.from({ length: random.below(5) }, one) }
  },
  SVM_QUERY: (world, random) => ({ pointer: world.good + random.below(P), byteLength: random.below(4 * P) }),
  SVM_STATS: () => ({}),
  SVM_SNAPSHOT: () => ({}),
  SVM_RELEASE: () => ({ memory: 0 }),
  SVM_FINI: () => ({}),
}
export const OPS = Object.keys(VALID) as Op[]

// Changes of any field.

/** Another value for a field: of another type, out of range, off by one, or of somebody else. */
function spoil(value: unknown, world: World, random: Random): unknown {
  if (random.chance(1, 5)) return random.pick<unknown>([null, undefined, Number.NaN, {}, [], '', true, 7n, Symbol('s'), () => 1, new Date(0), new Map()])
  switch (typeof value) {
    case 'number':
      return spoilNumber(value, world, random)
    case 'string':
      return random.pick<unknown>([
        `${value}x`,
        '',
        value.toUpperCase(),
        '__proto__',
        'constructor',
        'device',
        'host',
        'in',
        'none',
        'x'.repeat(10_000),
        '\u0000',
        0,
        [value],
      ])
    case 'boolean':
      return random.pick<unknown>([0, 1, 'true', 'false', null, [value], !value])
    default:
      if (value instanceof Uint8Array) return spoilBytes(value, random)
      return Array.isArray(value) ? spoilList(value, world, random) : spoilRecord(value as Bag | null, world, random)
  }
}

function spoilNumber(value: number, world: World, random: Random): unknown {
  if (random.chance(1, 2)) return random.pick([value + 1, value - 1, value + 0.5, -value, value * 2, value + P, value - P, value + 2 ** 32, value + 2 ** 52])
  if (random.chance(1, 2)) return random.pick(placesOf(world)) + random.pick([0, 0, 0, 1, P - 1, P])
  return random.pick<unknown>([
    -1,
    0,
    1,
    2,
    3,
    4,
    99,
    0.1,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 48,
    2 ** 53 - 1,
    2 ** 53,
    1e308,
    String(value),
    BigInt(Math.trunc(Number.isFinite(value) ? value : 0)),
    [value],
    { valueOf: () => value },
  ])
}

function placesOf(world: World): number[] {
  const { good, constant, file, guarded, heldForReading, heldForWriting, dying, freed, vast } = world
  return [0, P, good, constant, file, file + 3 * P, guarded, guarded + P, guarded + 2 * P, heldForReading, heldForWriting, dying, freed, vast, vast + 2 ** 30]
}

function spoilBytes(value: Uint8Array, random: Random): unknown {
  return random.pick<unknown>([
    [...value.subarray(0, 9)],
    value.buffer,
    new Float32Array(4),
    new DataView(new ArrayBuffer(8)),
    { length: value.length },
    new Uint8Array(0),
    new Uint8Array(value.length + 1),
    value.subarray(1),
    'bytes',
  ])
}

function spoilList(value: readonly unknown[], world: World, random: Random): unknown {
  const at = random.below(Math.max(1, value.length))
  return random.pick<() => unknown>([
    () => value.map((one, n) => (n === at ? spoil(one, world, random) : one)),
    () => value.map((one, n) => (n === at ? spoil(one, world, random) : one)),
    () => [...value, spoil(value[at], world, random)],
    () => [...value, ...value],
    () => value.slice(1),
    () => [value],
    () => new Array(3),
    () => Object.assign([...value], { extra: 1 }),
    () => ({ length: value.length, 0: value[0] }),
    () => new Set(value),
    () => Array.from({ length: 500 }, () => value[at]),
  ])()
}

function spoilRecord(value: Bag | null, world: World, random: Random): unknown {
  const copy: Bag = { ...value }
  const keys = Object.keys(copy)
  const key = keys.length === 0 ? 'a' : random.pick(keys)
  const how = random.below(4)
  if (how === 0) delete copy[key]
  else if (how === 1) copy.extra = 1
  else copy[key] = spoil(copy[key], world, random)
  return copy
}

/** Changes one field of a request, chosen by its name. */
export function spoilField(draft: Draft, field: string, world: World, random: Random): void {
  const bag = draft.request as Bag
  const where = random.below(12)
  if (where === 0) delete bag[field]
  else bag[field] = spoil(bag[field], world, random)
}

/** Changes the request as a whole. */
export function spoilWhole(draft: Draft, random: Random): void {
  const bag = draft.request as Bag
  random.pick<() => void>([
    () => (bag[random.pick(['extra', 'Pointer', 'byteLenght', 'constructor', '__proto_'])] = 1),
    () => (draft.op = random.pick([...OPS])),
    () => (draft.op = random.pick(['SVM_NOTHING', 'svm_alloc', '', '__proto__', 'constructor', 'toString'])),
    () => (draft.request = random.pick<unknown>([null, undefined, 5, 'request', [], [bag], new Date(0), new Map(Object.entries(bag)), () => bag])),
    () => (draft.request = Object.create(bag)),
    () => (draft.request = Object.defineProperty({ ...bag }, 'pointer', { enumerable: true, get: () => Promise.reject(new Error('looked')).catch(() => 5) })),
    () =>
      (draft.request = new Proxy(bag, {
        ownKeys: () => {
          throw new Error('no keys for you')
        },
      })),
  ])()
}

// Changes that aim at one check. One or two fields each.

type Writable<T> = { -readonly [F in keyof T]: T[F] }
type Aim = { readonly op: Op; readonly change: (request: never, world: World, random: Random) => unknown }
function aim<O extends Op>(op: O, change: (request: Writable<Requests[O]>, world: World, random: Random) => unknown): Aim {
  return { op, change }
}

export const AIMS: readonly Aim[] = [
  aim('SVM_INIT', (r) => (r.version = DRM_VERSION + 1)),
  aim('SVM_INIT', (r) => (r.pageBytes = 2 * P)),
  aim('SVM_INIT', (r) => (r.addressBits = 64)),
  aim('SVM_BIND', (r, _w, random) => (r.memory = 4 + random.below(9))),
  aim('SVM_BIND', (r) => (r.memory = 2)),
  aim('SVM_EXEC', (r) => (r.memory = 2)),
  aim('SVM_ADVISE', (r) => (r.memory = 2)),
  aim('SVM_HEED', (r, w) => Object.assign(r, { pointer: w.dying, byteLength: 4 })),
  aim('SVM_BIND', (r) => {
    r.memory = 3
    r.target = 'device'
  }),
  aim('SVM_BUFFER', (r) => (r.memory = 3)),
  aim('SVM_MMAP', (r, _w, random) => (r.pager = 1000 + random.below(99))),
  aim('SVM_EXEC', (r, _w, random) => (r.signal = 1000 + random.below(99))),
  aim('SVM_UNMAP', (r, w) => (r.mapping = w.mapping + 1000)),
  aim('SVM_MMAP', (r, w) => (r.pager = w.signal)),
  aim('SVM_UNMAP', (r, w) => (r.mapping = w.pager)),
  aim('SVM_EXEC', (r, w) => (r.bindGroups = [w.buffer])),
  aim('SVM_EXEC', (r, w) => (r.kernel = w.kernels[1 - r.memory])),
  aim('SVM_READ', (r, _w, random) => Object.assign(r, { pointer: 0, byteLength: 1 + random.below(9) })),
  aim('SVM_QUERY', (r, _w, random) => Object.assign(r, { pointer: 2 ** 32 + random.below(2 ** 20), byteLength: 4 })),
  aim('SVM_MAP', (r, w) => (r.pointer = w.freed)),
  aim('SVM_CHECK', (r, w) => (r.ranges = [{ pointer: w.dying, byteLength: 4 }])),
  aim('SVM_MUNMAP', (r, w) => (r.pointer = w.dying)),
  aim('SVM_READ', (r) => (r.byteLength = 9 * P)),
  aim('SVM_CHECK', (r, w) => (r.ranges = [{ pointer: w.good + 6 * P - 50, byteLength: 0 }])),
  aim('SVM_READ', (r, w) => Object.assign(r, { pointer: w.file + 2 * P, byteLength: 2 * P })),
  aim('SVM_COPY', (r, w) => Object.assign(r, { source: w.file, byteLength: 6 * P })),
  aim('SVM_BIND', (r, w) => Object.assign(r, { ranges: [{ pointer: w.file, byteLength: 0 }], mode: 'all-or-nothing' })),
  aim('SVM_WRITE', (r, w) => Object.assign(r, { pointer: w.heldForReading, bytes: new Uint8Array(9) })),
  aim('SVM_READ', (r, w) => Object.assign(r, { pointer: w.heldForWriting + P, byteLength: 3 })),
  aim('SVM_MPROTECT', (r, w) => (r.pointer = w.heldForReading)),
  aim('SVM_WRITE', (r, w) => Object.assign(r, { pointer: w.file, bytes: new Uint8Array(5) })),
  aim('SVM_MAP', (r, w) => Object.assign(r, { pointer: w.file, byteLength: 4, mode: 'read-write' })),
  aim('SVM_FILL', (r, w) => Object.assign(r, { pointer: w.guarded + P, byteLength: 4 })),
  aim('SVM_MAP', (r, w) => Object.assign(r, { pointer: w.guarded + P, byteLength: 4, mode: 'write' })),
  aim('SVM_READ', (r, w) => Object.assign(r, { pointer: w.guarded + 2 * P, byteLength: 4 })),
  aim('SVM_COPY', (r, w) => Object.assign(r, { source: w.guarded + 2 * P, byteLength: 4 })),
  aim('SVM_MAP', (r, w) => Object.assign(r, { pointer: w.vast, byteLength: VAST_BYTES })),
  aim('SVM_MAP', (r, w) => Object.assign(r, { pointer: w.vast + 2 ** 30 - 4, byteLength: 8 })),
  aim('SVM_ALLOC', (r, _w, random) => (r.byteLength = 2 ** 32 + random.below(99))),
  aim('SVM_ALLOC', (r, _w, random) => (r.byteLength = 3.5 * 2 ** 30 + random.below(99))),
  aim('SVM_MMAP', (r, w) => (r.pager = w.brokenPager)),
  aim('SVM_MMAP', (r, _w, random) => (r.offset += 1 + random.below(P - 1))),
  aim('SVM_MMAP', (r) => (r.byteLength = 8 * P)),
  aim('SVM_FREE', (r, w) => (r.pointer = w.freed)),
  aim('SVM_FREE', (r, w) => (r.pointer = w.good + P)),
  aim('SVM_DOOM', (r, w) => (r.pointers = [w.good, w.file])),
  aim('SVM_DOOM', (r, w) => (r.pointers = [w.good, w.dying])),
  aim('SVM_DOOM', (r, w) => (r.pointers = [w.good, w.constant, w.good])),
  aim('SVM_MUNMAP', (r, w) => (r.pointer = w.good)),
  aim('SVM_MUNMAP', (r, _w, random) => (r.pointer += 1 + random.below(P - 1))),
  aim('SVM_MUNMAP', (r, _w, random) => (r.byteLength = 1 + random.below(P - 1))),
  aim('SVM_MPROTECT', (r, _w, random) => Object.assign(r, { pointer: r.pointer + 1 + random.below(P - 1), byteLength: 1 })),
  aim('SVM_MPROTECT', (r, w) => Object.assign(r, { pointer: w.file, access: 'read-write' })),
  aim('SVM_COPY', (r, w, random) => Object.assign(r, { source: w.good + random.below(99), byteLength: 100 })),
  aim('SVM_FILL', (r, _w, random) => (r.pattern = new Uint8Array(random.pick([0, 3, 5, 7, 129, 256])))),
  aim('SVM_FILL', (r, _w, random) => Object.assign(r, { pointer: r.pointer + 1 + random.below(3), byteLength: 8 })),
  aim('SVM_BUFFER', (r, _w, random) => (r.offset = 1 + 4 * random.below(9))),
  aim('SVM_BUFFER', (r, w) => Object.assign(r, { buffer: w.noBuffer, byteLength: 4 })),
  aim('SVM_BUFFER', (r, _w, random) => Object.assign(r, { offset: 2 * P + 4 * random.below(9), byteLength: 8 })),
  aim('SVM_EXEC', (r, _w, random) => (r.workgroups = [random.below(5) + 3, 1, 1])),
  aim('SVM_EXEC', (r) => (r.guard = true)),
  aim('SVM_EXEC', (r, w) => Object.assign(r, { global: [3, 1, 1], guard: true, memory: 0, kernel: w.kernels[2] })),
  aim('SVM_EXEC', (r) => Object.assign(r, { global: [2 ** 31, 2 ** 31, 1], workgroups: [2 ** 30, 2 ** 31, 1] })),
  aim('SVM_EXEC_CHAIN', (r, w) => (r.launches = [0, 1].map((memory) => ({ ...w.launch, memory, kernel: w.kernels[memory], bindGroups: [], signal: -1 })))),
  aim('SVM_EXEC', (r, _w, random) => (r.args = new Uint8Array(random.pick([0, 4, 7, 64])))),
]
