// What a run does, as data. Always: operation i of a seed is the same whatever other operations are left out, so that a failure can be
// made smaller; one that finds no memory to work on makes some.

import { Random } from '../src/base/world.ts'

/** What can be made to go wrong. `loss` strikes at an await, `submit` at a submission. */
export const FAULT_KINDS = ['buffer', 'program', 'readback', 'pager', 'short-read', 'submit', 'loss'] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** The `nth` time (from 1) that this could go wrong during the operation, it does. */
export interface FaultWish {
  readonly kind: FaultKind
  readonly nth: number
  /** Device that is lost. */
  readonly device: number
}

/** Operations and their weights. */
const WEIGHTS = {
  alloc: 7,
  mmap: 3,
  free: 4,
  read: 12,
  write: 10,
  memcpy: 3,
  memfill: 2,
  map: 5,
  unmap: 6,
  'migrate-to-device': 14,
  'migrate-home': 7,
  'migrate-undefined': 2,
  'migrate-all': 4,
  store: 8,
  add: 10,
  copy: 7,
  count: 6,
  ticket: 4,
  chase: 4,
  resident: 10,
  wild: 2,
  buffers: 2,
  evict: 5,
  abandon: 4,
  race: 10,
  mixed: 5,
  protect: 6,
  cut: 3,
  look: 4,
  advise: 6,
  release: 1,
  lose: 1,
  close: 2,
} as const

export type OpKind = keyof typeof WEIGHTS
export const OP_KINDS = Object.keys(WEIGHTS) as OpKind[]

/** Each operation has all of these; which it uses, and modulo what, is its own affair (fuzz/command.ts). */
export interface Op {
  readonly index: number
  readonly kind: OpKind
  /** What it works on. */
  readonly slot: number
  readonly other: number
  /** Where, and how much: taken modulo what there is. */
  readonly from: number
  readonly length: number
  readonly device: number
  readonly queue: number
  readonly value: number
  /** 32 more coins. */
  readonly coins: number
  /** It is started without waiting for the operation before it. */
  readonly together: boolean
  readonly fault: FaultWish | null
}

export const SLOTS = 6
/** One operation in so many has a failure with it. */
const FAULT_ONE_IN = 3
/** Losses are rare: after one there is less to do. */
const LOSS_ONE_IN = 25
const NTH_MAX = 6

/** Seeds that have nothing to do with each other, from one and a purpose. */
export function mixSeed(seed: number, purpose: number): number {
  const random = new Random(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(purpose + 1, 0x85ebca6b))
  random.u32()
  return random.u32()
}

export function makeOps(seed: number, steps: number): Op[] {
  return Array.from({ length: steps }, (_, index) => makeOp(seed, index))
}

function makeOp(seed: number, index: number): Op {
  const random = new Random(mixSeed(seed, index))
  return {
    index,
    kind: pickKind(random),
    slot: random.below(SLOTS),
    other: random.below(SLOTS),
    from: random.u32(),
    length: random.u32(),
    device: random.below(24),
    queue: random.below(24),
    value: random.u32() >>> 4,
    coins: random.u32(),
    together: random.chance(2, 5),
    fault: random.chance(1, FAULT_ONE_IN) ? makeFault(random) : null,
  }
}

function pickKind(random: Random): OpKind {
  let dice = random.below(OP_KINDS.reduce((sum, kind) => sum + WEIGHTS[kind], 0))
  for (const kind of OP_KINDS) {
    dice -= WEIGHTS[kind]
    if (dice < 0) return kind
  }
  return 'look'
}

function makeFault(random: Random): FaultWish {
  const mild = FAULT_KINDS.filter((kind) => kind !== 'loss' && kind !== 'submit')
  const kind = random.chance(1, LOSS_ONE_IN) ? random.pick(['loss', 'submit'] as const) : random.pick(mild)
  return { kind, nth: 1 + random.below(random.chance(1, 2) ? 2 : NTH_MAX), device: random.below(24) }
}
