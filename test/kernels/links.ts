// Kernels for chains: each reads one array and writes another, and where it reads, or writes, may depend on what the launch before it wrote. Always: integers
// only, and no result depends on the order of workgroups; any words are legal input; arrays have a power of two of words.

import type { Random } from '../../src/base/world.ts'
import { type Kernel, PAGE_WORDS } from './kernel.ts'

export type LinkKernel = Omit<Kernel, 'draw'> & {
  /** True where a launch must not be a link while faults are possible: it reads what it writes, or does atomics. */
  readonly needsCopies?: true
}

/** Words between the elements of neighbouring work-items. */
const STRIDE = 67
export const LINK_SIZE = 8
const POINTERS = ['source', 'dest']
const NUMBERS = ['count', 'term']

/** `item` of the entry point: the word that is the work-item's own. */
const OWN = `  let own = (id * ${STRIDE}u) % args.count;`
const own = (id: number, count: number) => (id * STRIDE) % count

const mix: LinkKernel = {
  name: 'mix',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  body: `${OWN}
  svm_store_u32(at(args.dest, own), svm_load_u32(at(args.source, own)) * 3u + args.term + id);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    yield 'step'
    const value = m.loadU32(source + at)
    yield 'step'
    m.storeU32(dest + at, (Math.imul(value, 3) + term + item.globalId[0]) >>> 0)
  },
}

/** By way of workgroup memory and a barrier: a link that must be told by its header. */
const turn: LinkKernel = {
  name: 'turn around in a workgroup',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  globals: `var<workgroup> seen: array<u32, ${LINK_SIZE}>;`,
  body: `${OWN}
  seen[lid] = svm_load_u32(at(args.source, own));
  workgroupBarrier();
  svm_store_u32(at(args.dest, own), seen[${LINK_SIZE - 1}u - lid] + args.term);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    const seen = item.workgroupU32('seen', LINK_SIZE)
    yield 'step'
    seen[item.localIndex] = m.loadU32(source + at)
    yield
    const value = seen[LINK_SIZE - 1 - item.localIndex] as number
    yield 'step'
    m.storeU32(dest + at, (value + term) >>> 0)
  },
}

/** Where it reads is what the launch before it wrote. */
const gather: LinkKernel = {
  name: 'gather by what was written',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  body: `${OWN}
  let place = svm_load_u32(at(args.source, own)) % args.count;
  svm_store_u32(at(args.dest, own), svm_load_u32(at(args.source, place)) + args.term);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    yield 'step'
    const place = m.loadU32(source + at) % count
    yield 'step'
    const value = m.loadU32(source + place * 4)
    yield 'step'
    m.storeU32(dest + at, (value + term) >>> 0)
  },
}

/** Where it writes is what the launch before it wrote: the places of one launch are different ones. */
const scatter: LinkKernel = {
  name: 'scatter by what was written',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  body: `${OWN}
  let shift = svm_load_u32(at(args.source, args.term % args.count));
  let value = svm_load_u32(at(args.source, own));
  svm_store_u32(at(args.dest, (id * 53u + shift) % args.count), value + 1u);`,
  *twin(item, { source, dest, count, term }, m) {
    const id = item.globalId[0]
    yield 'step'
    const shift = m.loadU32(source + (term % count) * 4)
    yield 'step'
    const value = m.loadU32(source + own(id, count) * 4)
    yield 'step'
    m.storeU32(dest + (((id * 53 + shift) % 2 ** 32) % count) * 4, (value + 1) >>> 0)
  },
}

/** A list that only goes down, so that it ends whatever was written. */
const descend: LinkKernel = {
  name: 'descend a list that was written',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  body: `${OWN}
  var link = svm_load_u32(at(args.source, own)) % args.count;
  var sum = args.term;
  while (link != 0u) {
    let value = svm_load_u32(at(args.source, link));
    sum = sum * 5u + value;
    link = value % link;
  }
  svm_store_u32(at(args.dest, own), sum);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    yield 'step'
    let link = m.loadU32(source + at) % count
    let sum = term
    while (link !== 0) {
      yield 'step'
      const value = m.loadU32(source + link * 4)
      sum = (Math.imul(sum, 5) + value) >>> 0
      link = value % link
    }
    yield 'step'
    m.storeU32(dest + at, sum)
  },
}

/** Neighbours of a workgroup exchange what they gathered: faults cross the barrier. */
const relay: LinkKernel = {
  name: 'gather, and pass on over barriers',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  globals: `var<workgroup> passed: array<u32, ${LINK_SIZE}>;`,
  body: `${OWN}
  var value = svm_load_u32(at(args.source, own));
  for (var n = 0u; n < 2u; n++) {
    passed[lid] = svm_load_u32(at(args.source, value % args.count));
    workgroupBarrier();
    value = passed[(lid + 1u) % ${LINK_SIZE}u] + n;
    workgroupBarrier();
  }
  svm_store_u32(at(args.dest, own), value + args.term);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    const passed = item.workgroupU32('passed', LINK_SIZE)
    yield 'step'
    let value = m.loadU32(source + at)
    for (let n = 0; n < 2; n++) {
      yield 'step'
      passed[item.localIndex] = m.loadU32(source + (value % count) * 4)
      yield
      value = ((passed[(item.localIndex + 1) % LINK_SIZE] as number) + n) >>> 0
      yield
    }
    yield 'step'
    m.storeU32(dest + at, (value + term) >>> 0)
  },
}

const inPlace: LinkKernel = {
  name: 'in place',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  needsCopies: true,
  body: `${OWN}
  let p = at(args.dest, own);
  svm_store_u32(p, svm_load_u32(p) * 5u + svm_load_u32(at(args.source, own)) + args.term);`,
  *twin(item, { source, dest, count, term }, m) {
    const at = own(item.globalId[0], count) * 4
    yield 'step'
    const old = m.loadU32(dest + at)
    yield 'step'
    const value = m.loadU32(source + at)
    yield 'step'
    m.storeU32(dest + at, (Math.imul(old, 5) + value + term) >>> 0)
  },
}

const tally: LinkKernel = {
  name: 'count what was written',
  size: LINK_SIZE,
  pointers: POINTERS,
  numbers: NUMBERS,
  needsCopies: true,
  body: `${OWN}
  svm_atomic_add_u32(at(args.dest, (id % 3u) * 500u), svm_load_u32(at(args.source, own)) | 1u);`,
  *twin(item, { source, dest, count }, m) {
    const id = item.globalId[0]
    yield 'step'
    const value = m.loadU32(source + own(id, count) * 4)
    yield 'step'
    m.silentAtomicAddU32(dest + (id % 3) * 2000, (value | 1) >>> 0)
  },
}

export const LINK_KERNELS: readonly LinkKernel[] = [mix, turn, gather, scatter, descend, relay, inPlace, tally]

/** One launch of a sequence: what it reads and what it writes, by the number of the array. */
export interface LinkLaunch {
  readonly kernel: LinkKernel
  readonly from: number
  readonly to: number
  readonly term: number
  readonly items: number
}

/** Launches that come again and again, as those of a program do, over a few arrays; what they are told differs. */
export interface LinkSequence {
  readonly arrays: number
  /** Words of each array: a power of two. */
  readonly count: number
  readonly kernels: readonly LinkKernel[]
  readonly launches: readonly LinkLaunch[]
}

/** @param named kernels that it has; drawn if not told */
export function drawSequence(random: Random, launches: number, named?: readonly string[]): LinkSequence {
  const arrays = 2 + random.below(3)
  const count = random.pick([1, 2, 4]) * PAGE_WORDS
  const links = random.shuffle(LINK_KERNELS.filter(({ needsCopies }) => needsCopies === undefined)).slice(0, 1 + random.below(3))
  const drawn = random.chance(1, 3) ? [...links, random.pick(LINK_KERNELS.filter(({ needsCopies }) => needsCopies))] : links
  const kernels = named === undefined ? drawn : LINK_KERNELS.filter(({ name }) => named.includes(name))
  const items = LINK_SIZE * (1 + random.below(8))
  const pattern = Array.from({ length: kernels.length + random.below(4) }, (_, n) => {
    const from = random.below(arrays)
    return { kernel: kernels[n % kernels.length] as LinkKernel, from, to: (from + 1 + random.below(arrays - 1)) % arrays, items }
  })
  return {
    arrays,
    count,
    kernels,
    launches: Array.from({ length: launches }, (_, n) => ({ ...(pattern[n % pattern.length] as (typeof pattern)[number]), term: random.below(1 << 20) })),
  }
}
