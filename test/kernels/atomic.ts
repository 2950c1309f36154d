// Kernels with atomics. Always: sums are known word by word; where the schedule decides who gets what, every effect must be there exactly once.

import { type Arrays, distinct, exactly, expectPermutation, expectSame, expectThat, type Kernel, noise, PAGE_WORDS, pagesOf, type Run, upTo } from './kernel.ts'

const histogram: Kernel = {
  name: 'histogram by global atomics',
  size: 8,
  pointers: ['source', 'bins'],
  body: `  for (var n = 0u; n < 3u; n++) { svm_atomic_add_u32(at(args.bins, svm_load_u32(at(args.source, id * 40u + n)) & 2047u), 1u); }`,
  *twin(item, { source, bins }, m) {
    for (let n = 0; n < 3; n++) {
      yield 'step'
      const value = m.loadU32(source + (item.globalId[0] * 40 + n) * 4)
      yield 'step'
      m.silentAtomicAddU32(bins + (value & 2047) * 4, 1)
    }
  },
  draw(random) {
    const pages = 2 + random.below(5)
    const items = Math.floor((pages * PAGE_WORDS) / 40 / 8) * 8
    const arrays = { source: noise(pages, random), bins: pagesOf(2) }
    const bins = arrays.bins.slice()
    for (let i = 0; i < items * 3; i++) bins[(arrays.source[Math.floor(i / 3) * 40 + (i % 3)] as number) & 2047]++
    return { workgroups: items / 8, arrays, dynamic: ['bins'], check: exactly(arrays, { bins }) }
  },
}

const localHistogram: Kernel = {
  name: 'histogram by local bins, then a flush',
  size: 16,
  pointers: ['source', 'bins'],
  globals: 'var<workgroup> local: array<atomic<u32>, 16>;',
  body: `  for (var n = 0u; n < 3u; n++) { atomicAdd(&local[svm_load_u32(at(args.source, id * 20u + n)) & 15u], 1u); }
  workgroupBarrier();
  svm_atomic_add_u32(at(args.bins, lid * 130u), atomicLoad(&local[lid]));`,
  *twin(item, { source, bins }, m) {
    const local = item.workgroupU32('local', 16)
    for (let n = 0; n < 3; n++) {
      yield 'step'
      const bin = m.loadU32(source + (item.globalId[0] * 20 + n) * 4) & 15
      if (!m.faulted()) local[bin] = (local[bin] as number) + 1
    }
    yield
    yield 'step'
    m.silentAtomicAddU32(bins + item.localIndex * 520, local[item.localIndex] as number)
  },
  draw(random) {
    const pages = 2 + random.below(6)
    const items = Math.floor((pages * PAGE_WORDS) / 20 / 16) * 16
    const arrays = { source: noise(pages, random), bins: pagesOf(2) }
    const bins = arrays.bins.slice()
    for (let i = 0; i < items * 3; i++) bins[((arrays.source[Math.floor(i / 3) * 20 + (i % 3)] as number) & 15) * 130]++
    return { workgroups: items / 16, arrays, check: exactly(arrays, { bins }) }
  },
}

const UPDATES = 4

const gups: Kernel = {
  name: 'GUPS',
  size: 4,
  pointers: ['table'],
  numbers: ['count'],
  body: `  for (var n = 0u; n < ${UPDATES}u; n++) {
    let r = (id * ${UPDATES}u + n) * 2654435769u + 12345u;
    svm_atomic_xor_u32(at(args.table, (r >> 8u) % args.count), r);
  }`,
  *twin(item, { table, count }, m) {
    for (let n = 0; n < UPDATES; n++) {
      const r = gupsNumber(item.globalId[0] * UPDATES + n)
      yield 'step'
      m.atomicXorU32(table + ((r >>> 8) % count) * 4, r)
    }
  },
  draw(random) {
    const pages = 3 + random.below(10)
    const arrays = { table: noise(pages, random) }
    const table = arrays.table.slice()
    const items = 96
    for (let i = 0; i < items * UPDATES; i++) {
      const r = gupsNumber(i)
      table[(r >>> 8) % table.length] = (table[(r >>> 8) % table.length] as number) ^ r
    }
    return { workgroups: items / 4, arrays, numbers: { count: table.length }, check: exactly(arrays, { table }) }
  },
}
const gupsNumber = (i: number) => (Math.imul(i, 2654435769) + 12345) >>> 0

const tickets: Kernel = {
  name: 'used atomics',
  size: 4,
  pointers: ['source', 'counter', 'token', 'taken', 'previous'],
  body: `  let value = svm_load_u32(at(args.source, id * 45u));
  svm_store_u32(at(args.taken, id * 45u), svm_atomic_add_u32(args.counter, value));
  svm_store_u32(at(args.previous, id * 45u), svm_atomic_exchange_u32(args.token, id + 1u));`,
  *twin(item, { source, counter, token, taken, previous }, m) {
    const at = item.globalId[0] * 180
    yield 'step'
    const value = m.loadU32(source + at)
    yield 'step'
    const from = m.atomicAddU32(counter, value)
    yield 'step'
    m.storeU32(taken + at, from)
    yield 'step'
    const before = m.atomicExchangeU32(token, item.globalId[0] + 1)
    yield 'step'
    m.storeU32(previous + at, before)
  },
  draw(random) {
    const items = 60
    const values = upTo(items).map(() => 1 + random.below(9))
    const arrays = { source: pagesOf(3), counter: pagesOf(1), token: pagesOf(1), taken: noise(3, random), previous: noise(3, random) }
    values.forEach((value, id) => {
      arrays.source[id * 45] = value
    })
    return {
      workgroups: items / 4,
      arrays,
      check({ counter, token, taken, previous }) {
        // Each took its own part of the range, and the parts fill it.
        const parts = upTo(items).flatMap((id) => upTo(values[id]).map((n) => taken[id * 45] + n))
        const total = values.reduce((sum, value) => sum + value, 0)
        expectPermutation('the parts that were taken', parts, upTo(total))
        expectThat(counter[0] === total, () => `the counter is ${counter[0]}, not ${total}`)
        // The token went through every hand once.
        const hands: number[] = []
        for (let hand = token[0]; hand !== 0 && hands.length <= items; hand = previous[(hand - 1) * 45]) hands.push(hand - 1)
        expectPermutation('the hands of the token', hands, upTo(items))
      },
    }
  },
}

/** Some leave the slot that they took empty: then what an attempt that did not count left in it shows (C1). */
const slots: Kernel = {
  name: 'slot allocation, then a plain store to the slot',
  size: 8,
  pointers: ['source', 'counter', 'slots', 'mine'],
  body: `  let value = svm_load_u32(at(args.source, id * 30u));
  if (value % 3u == 1u) { return; }
  let taken = svm_atomic_add_u32(args.counter, 1u);
  if (value % 3u == 0u) {
    svm_store_u32(at(args.slots, taken * 50u), value);
    svm_store_u32(at(args.slots, taken * 50u + 41u), id);
  }
  svm_store_u32(at(args.mine, id * 30u), taken + 1u);`,
  *twin(item, { source, counter, slots: queue, mine }, m) {
    const id = item.globalId[0]
    yield 'step'
    const value = m.loadU32(source + id * 120)
    if (value % 3 === 1) return
    yield 'step'
    const slot = m.atomicAddU32(counter, 1)
    if (value % 3 === 0) {
      yield 'step'
      m.storeU32(queue + slot * 200, value)
      yield 'step'
      m.storeU32(queue + slot * 200 + 164, id)
    }
    yield 'step'
    m.storeU32(mine + id * 120, slot + 1)
  },
  draw(random) {
    const items = 96
    const arrays = { source: noise(3, random), counter: pagesOf(1), slots: pagesOf(5), mine: pagesOf(3) }
    const takers = upTo(items).filter((id) => (arrays.source[id * 30] as number) % 3 !== 1)
    return {
      workgroups: items / 8,
      arrays,
      dynamic: ['slots'],
      check(after) {
        const { counter, slots: queue, mine } = after as Record<string, Uint32Array>
        expectThat(counter?.[0] === takers.length, () => `${counter?.[0]} slots were taken by ${takers.length}`)
        const owners = takers.map((id) => (mine?.[id * 30] as number) - 1)
        expectPermutation('the slots that were taken', owners, upTo(takers.length))
        const wanted = arrays.slots.slice()
        takers.forEach((id, n) => {
          const slot = owners[n] as number
          if (arrays.source[id * 30] % 3 !== 0) return
          wanted[slot * 50] = arrays.source[id * 30]
          wanted[slot * 50 + 41] = id
        })
        expectSame('slots', queue as Uint32Array, wanted)
      },
    }
  },
}

/** A graph in rows of edges, with a frontier; levels and masks lie a stride apart. */
const NODES = 128
const NODE_STRIDE = 24

interface Graph {
  readonly rows: Uint32Array<ArrayBuffer>
  readonly edges: Uint32Array<ArrayBuffer>
  readonly levels: Uint32Array<ArrayBuffer>
  readonly frontier: number[]
  /** Nodes that the next level has. */
  readonly found: number[]
}

function drawGraph(random: { below(end: number): number }): Graph {
  const rows = pagesOf(1)
  const edges = pagesOf(2)
  let end = 0
  for (let n = 0; n < NODES; n++) {
    rows[n] = end
    for (let e = random.below(7); e > 0; e--) edges[end++ * 2] = random.below(NODES)
  }
  rows[NODES] = end
  const frontier = upTo(NODES).filter((n) => n % 3 === 0)
  const levels = pagesOf(3)
  for (const n of frontier) levels[n * NODE_STRIDE] = 1
  const found = new Set<number>()
  for (const n of frontier) {
    for (let e = rows[n] as number; e < (rows[n + 1] as number); e++) {
      const to = edges[e * 2] as number
      if (levels[to * NODE_STRIDE] === 0) found.add(to)
    }
  }
  return { rows, edges, levels, frontier, found: [...found] }
}

const levelsAfter = ({ levels, found }: Graph) => {
  const after = levels.slice()
  for (const n of found) after[n * NODE_STRIDE] = 2
  return after
}

const bfsQueue: Kernel = {
  name: 'frontier append (BFS with a queue)',
  size: 4,
  pointers: ['rows', 'edges', 'levels', 'frontier', 'next', 'counter'],
  numbers: ['count'],
  body: `  if (id >= args.count) { return; }
  let node = svm_load_u32(at(args.frontier, id * 20u));
  for (var e = svm_load_u32(at(args.rows, node)); e < svm_load_u32(at(args.rows, node + 1u)); e++) {
    let to = svm_load_u32(at(args.edges, e * 2u));
    if (svm_atomic_compare_exchange_u32(at(args.levels, to * ${NODE_STRIDE}u), 0u, 2u) == 0u) {
      svm_store_u32(at(args.next, svm_atomic_add_u32(args.counter, 1u) * 20u), to + 1u);
    }
  }`,
  *twin(item, { rows, edges, levels, frontier, next, counter, count }, m) {
    if (item.globalId[0] >= count) return
    yield 'step'
    const node = m.loadU32(frontier + item.globalId[0] * 80)
    yield 'step'
    const end = m.loadU32(rows + node * 4 + 4)
    yield 'step'
    for (let e = m.loadU32(rows + node * 4); e < end && !m.faulted(); e++) {
      yield 'step'
      const to = m.loadU32(edges + e * 8)
      yield 'step'
      if (m.atomicCompareExchangeU32(levels + to * NODE_STRIDE * 4, 0, 2) !== 0) continue
      yield 'step'
      const slot = m.atomicAddU32(counter, 1)
      yield 'step'
      m.storeU32(next + slot * 80, to + 1)
    }
  },
  draw(random) {
    const graph = drawGraph(random)
    const { rows, edges, levels, frontier, found } = graph
    const arrays = { rows, edges, levels, frontier: pagesOf(1), next: pagesOf(3), counter: pagesOf(1) }
    frontier.forEach((node, i) => {
      arrays.frontier[i * 20] = node
    })
    return {
      workgroups: Math.ceil(frontier.length / 4),
      arrays,
      numbers: { count: frontier.length },
      dynamic: ['levels', 'next'],
      check(after) {
        exactly({ rows, edges, frontier: arrays.frontier, levels }, { levels: levelsAfter(graph) })(after)
        const queue = after.next as Uint32Array
        expectThat(after.counter?.[0] === found.length, () => `${after.counter?.[0]} nodes were appended, ${found.length} are new`)
        const entries = upTo(found.length).map((slot) => (queue[slot * 20] as number) - 1)
        expectPermutation('the next frontier', entries, found)
        expectThat(
          queue.every((word, i) => word === 0 || (i % 20 === 0 && i / 20 < found.length)),
          () => 'a word beside the queue was written',
        )
      },
    }
  },
}

const bfsMask: Kernel = {
  name: 'BFS with masks',
  size: 8,
  pointers: ['rows', 'edges', 'levels', 'mask', 'next'],
  body: `  if (svm_load_u32(at(args.mask, id * ${NODE_STRIDE}u)) == 0u) { return; }
  for (var e = svm_load_u32(at(args.rows, id)); e < svm_load_u32(at(args.rows, id + 1u)); e++) {
    let to = svm_load_u32(at(args.edges, e * 2u)) * ${NODE_STRIDE}u;
    if (svm_atomic_compare_exchange_u32(at(args.levels, to), 0u, 2u) == 0u) { svm_store_u32(at(args.next, to), 1u); }
  }`,
  *twin(item, { rows, edges, levels, mask, next }, m) {
    const id = item.globalId[0]
    yield 'step'
    if (m.loadU32(mask + id * NODE_STRIDE * 4) === 0) return
    yield 'step'
    const end = m.loadU32(rows + id * 4 + 4)
    yield 'step'
    for (let e = m.loadU32(rows + id * 4); e < end && !m.faulted(); e++) {
      yield 'step'
      const to = m.loadU32(edges + e * 8) * NODE_STRIDE * 4
      yield 'step'
      if (m.atomicCompareExchangeU32(levels + to, 0, 2) !== 0) continue
      yield 'step'
      m.storeU32(next + to, 1)
    }
  },
  draw(random) {
    const graph = drawGraph(random)
    const arrays = { rows: graph.rows, edges: graph.edges, levels: graph.levels, mask: pagesOf(3), next: pagesOf(3) }
    for (const n of graph.frontier) arrays.mask[n * NODE_STRIDE] = 1
    const next = arrays.next.slice()
    for (const n of graph.found) next[n * NODE_STRIDE] = 1
    return { workgroups: NODES / 8, arrays, check: exactly(arrays, { levels: levelsAfter(graph), next }), dynamic: ['levels', 'next'] }
  },
}

const PLACES = 512
/** Words from place to place: key, then value, then count. */
const PLACE = 8

const hashInsert: Kernel = {
  name: 'hash insert by compare-exchange',
  size: 4,
  pointers: ['keys', 'table', 'inserted'],
  body: `  let key = svm_load_u32(at(args.keys, id * 20u));
  var place = (key * 2654435769u) >> 23u;
  loop {
    let p = at(args.table, place * ${PLACE}u);
    let old = svm_atomic_compare_exchange_u32(p, 0u, key);
    if (old == 0u) {
      svm_store_u32(svm_add(p, 4u), key * 7u + 1u);
      svm_atomic_add_u32(args.inserted, 1u);
    }
    if (old == 0u || old == key) { svm_atomic_add_u32(svm_add(p, 8u), 1u); break; }
    place = (place + 1u) % ${PLACES}u;
  }`,
  *twin(item, { keys, table, inserted }, m) {
    yield 'step'
    const key = m.loadU32(keys + item.globalId[0] * 80)
    for (let place = Math.imul(key, 2654435769) >>> 23; !m.faulted(); place = (place + 1) % PLACES) {
      const p = table + place * PLACE * 4
      yield 'step'
      const old = m.atomicCompareExchangeU32(p, 0, key)
      if (old === 0) {
        yield 'step'
        m.storeU32(p + 4, (key * 7 + 1) >>> 0)
        yield 'step'
        m.silentAtomicAddU32(inserted, 1)
      }
      if (old !== 0 && old !== key) continue
      yield 'step'
      m.silentAtomicAddU32(p + 8, 1)
      return
    }
  },
  draw(random) {
    const items = 120
    const keys = upTo(items).map(() => 1 + random.below(90))
    const arrays = { keys: pagesOf(3), table: pagesOf((PLACES * PLACE) / PAGE_WORDS), inserted: pagesOf(1) }
    keys.forEach((key, i) => {
      arrays.keys[i * 20] = key
    })
    const wanted = [...new Set(keys)]
    return {
      workgroups: items / 4,
      arrays,
      dynamic: ['table'],
      check(after) {
        const table = after.table as Uint32Array
        const met: number[] = []
        for (let place = 0; place < PLACES; place++) {
          const [key, value, count] = table.subarray(place * PLACE, place * PLACE + 3) as unknown as [number, number, number]
          if (key === 0) expectThat(value === 0 && count === 0, () => `place ${place} has no key, but ${value} and ${count}`)
          else {
            met.push(key)
            const times = keys.filter((one) => one === key).length
            expectThat(value === key * 7 + 1 && count === times, () => `key ${key} has the value ${value}, and was met ${count} times in place of ${times}`)
          }
        }
        expectPermutation('the keys of the table', met, wanted)
        expectThat(after.inserted?.[0] === wanted.length, () => `${after.inserted?.[0]} inserts of ${wanted.length} keys`)
      },
    }
  },
}

/** Words of a node: value, then link (the number of the next node plus one). */
const NODE = 40

const listPush: Kernel = {
  name: 'linked-list push by compare-exchange',
  size: 4,
  pointers: ['head', 'nodes'],
  body: `  let node = at(args.nodes, id * ${NODE}u);
  svm_store_u32(node, id * 3u + 1u);
  loop {
    let old = svm_atomic_load_u32(args.head);
    svm_store_u32(svm_add(node, 4u), old);
    if (svm_atomic_compare_exchange_u32(args.head, old, id + 1u) == old) { break; }
  }`,
  *twin(item, { head, nodes }, m) {
    const id = item.globalId[0]
    const node = nodes + id * NODE * 4
    yield 'step'
    m.storeU32(node, id * 3 + 1)
    while (!m.faulted()) {
      yield 'step'
      const old = m.atomicLoadU32(head)
      yield 'step'
      m.storeU32(node + 4, old)
      yield 'step'
      if (m.atomicCompareExchangeU32(head, old, id + 1) === old) return
    }
  },
  draw(random) {
    const items = 20 + 4 * random.below(20)
    const arrays = { head: pagesOf(1), nodes: pagesOf(4) }
    return {
      workgroups: items / 4,
      arrays,
      check(after) {
        const nodes = after.nodes as Uint32Array
        const seen: number[] = []
        for (let link = after.head?.[0] as number; link !== 0 && seen.length <= items; link = nodes[(link - 1) * NODE + 1] as number) {
          seen.push(link - 1)
          expectThat(nodes[(link - 1) * NODE] === (link - 1) * 3 + 1, () => `node ${link - 1} has its value`)
        }
        expectPermutation('the nodes of the list', seen, upTo(items))
        expectThat(nodes.filter((word) => word !== 0).length <= items * 2, () => 'a word beside the nodes was written')
      },
    }
  },
}

const popLoop: Kernel = {
  name: 'queue pop loop',
  size: 4,
  pointers: ['head', 'jobs', 'done', 'tally'],
  numbers: ['count'],
  body: `  var mine = 0u;
  loop {
    let n = svm_atomic_add_u32(args.head, 1u);
    if (n >= args.count) { break; }
    let job = svm_load_u32(at(args.jobs, n * 25u));
    svm_atomic_add_u32(at(args.done, job * 45u), id + 1u);
    svm_atomic_add_u32(at(args.done, job * 45u + 1u), 1u);
    mine++;
  }
  svm_store_u32(at(args.tally, id * 70u), mine);`,
  *twin(item, { head, jobs, done, tally, count }, m) {
    let mine = 0
    while (!m.faulted()) {
      yield 'step'
      const n = m.atomicAddU32(head, 1)
      if (n >= count) break
      yield 'step'
      const job = m.loadU32(jobs + n * 100)
      yield 'step'
      m.silentAtomicAddU32(done + job * 180, item.globalId[0] + 1)
      yield 'step'
      m.silentAtomicAddU32(done + job * 180 + 4, 1)
      mine++
    }
    yield 'step'
    m.storeU32(tally + item.globalId[0] * 280, mine)
  },
  draw(random) {
    const items = 20
    const count = 60
    const order = distinct(random, count, count)
    const arrays = { head: pagesOf(1), jobs: pagesOf(2), done: pagesOf(3), tally: noise(2, random) }
    order.forEach((job, n) => {
      arrays.jobs[n * 25] = job
    })
    return {
      workgroups: items / 4,
      arrays,
      numbers: { count },
      dynamic: ['jobs', 'done'],
      check(after) {
        const { head, done, tally } = after as Record<string, Uint32Array>
        expectThat(head?.[0] === count + items, () => `the queue was asked ${head?.[0]} times, not ${count + items}`)
        const owned = upTo(items).map(() => 0)
        for (let job = 0; job < count; job++) {
          expectThat(done?.[job * 45 + 1] === 1, () => `job ${job} was done ${done?.[job * 45 + 1]} times`)
          const owner = (done?.[job * 45] as number) - 1
          expectThat(owner >= 0 && owner < items, () => `job ${job} was done by ${owner}`)
          owned[owner] = (owned[owner] as number) + 1
        }
        expectSame('the tally of each work-item: ', upTo(items).map((id) => tally?.[id * 70] as number) as unknown as Uint32Array, owned)
      },
    }
  },
}

const casLoop: Kernel = {
  name: 'compare-exchange retry loop',
  size: 4,
  pointers: ['source', 'sums'],
  body: `  let value = svm_load_u32(at(args.source, id * 60u));
  let sum = at(args.sums, (value % 3u) * 700u);
  loop {
    let old = svm_atomic_load_u32(sum);
    if (svm_atomic_compare_exchange_u32(sum, old, old + value) == old) { break; }
  }`,
  *twin(item, { source, sums }, m) {
    yield 'step'
    const value = m.loadU32(source + item.globalId[0] * 240)
    const sum = sums + (value % 3) * 2800
    while (!m.faulted()) {
      yield 'step'
      const old = m.atomicLoadU32(sum)
      yield 'step'
      if (m.atomicCompareExchangeU32(sum, old, (old + value) >>> 0) === old) return
    }
  },
  draw(random) {
    const pages = 2 + random.below(4)
    const arrays = { source: noise(pages, random), sums: noise(2, random) }
    const sums = arrays.sums.slice()
    const items = Math.floor((pages * PAGE_WORDS) / 60 / 4) * 4
    for (let id = 0; id < items; id++) {
      const value = arrays.source[id * 60] as number
      sums[(value % 3) * 700] = (sums[(value % 3) * 700] as number) + value
    }
    return { workgroups: items / 4, arrays, check: exactly(arrays, { sums }) }
  },
}

const compaction: Kernel = {
  name: 'compaction with one atomic a workgroup',
  size: 8,
  pointers: ['source', 'counter', 'out', 'bases'],
  globals: 'var<workgroup> keeps: array<u32, 8>;\nvar<workgroup> base: u32;',
  body: `  let value = svm_load_u32(at(args.source, id * 16u));
  keeps[lid] = select(0u, 1u, value % 3u != 0u);
  workgroupBarrier();
  var before = 0u;
  for (var n = 0u; n < lid; n++) { before += keeps[n]; }
  if (lid == 7u) {
    base = svm_atomic_add_u32(args.counter, before + keeps[7]);
    svm_store_u32(at(args.bases, wid), base + 1u);
  }
  workgroupBarrier();
  if (keeps[lid] == 1u) { svm_store_u32(at(args.out, (base + before) * 16u), value); }`,
  *twin(item, { source, counter, out, bases }, m) {
    const { localIndex } = item
    const keeps = item.workgroupU32('keeps', 8)
    const base = item.workgroupU32('base', 1)
    yield 'step'
    const value = m.loadU32(source + item.globalId[0] * 64)
    keeps[localIndex] = value % 3 === 0 ? 0 : 1
    yield
    const before = keeps.subarray(0, localIndex).reduce((sum, keep) => sum + keep, 0)
    if (localIndex === 7) {
      yield 'step'
      base[0] = m.atomicAddU32(counter, before + (keeps[7] as number))
      yield 'step'
      m.storeU32(bases + item.workgroupId[0] * 4, (base[0] as number) + 1)
    }
    yield
    if (keeps[localIndex] !== 1) return
    yield 'step'
    m.storeU32(out + ((base[0] as number) + before) * 64, value)
  },
  draw(random) {
    const pages = 2 + random.below(3)
    const workgroups = (pages * PAGE_WORDS) / 16 / 8
    const arrays = { source: noise(pages, random), counter: pagesOf(1), out: pagesOf(pages), bases: pagesOf(1) }
    return { workgroups, arrays, dynamic: ['out'], check: (after) => checkCompaction(arrays, workgroups, after) }
  },
}

/** The blocks of the workgroups follow one another in some order, each with its values in theirs. */
function checkCompaction({ source }: { source: Uint32Array }, workgroups: number, { counter, out, bases }: Arrays): void {
  const wanted = new Uint32Array((out as Uint32Array).length)
  let total = 0
  for (let group = 0; group < workgroups; group++) {
    const values = upTo(8)
      .map((n) => source[(group * 8 + n) * 16] as number)
      .filter((value) => value % 3 !== 0)
    values.forEach((value, n) => {
      wanted[((bases?.[group] as number) - 1 + n) * 16] = value
    })
    total += values.length
  }
  expectThat(counter?.[0] === total, () => `${counter?.[0]} values were kept of ${total}`)
  expectThat(wanted.filter((word) => word !== 0).length === total, () => 'the blocks of two workgroups overlap')
  expectSame('out', out as Uint32Array, wanted)
}

/** D1: where a store goes was stored by the same work-item, in a slot that an atomic gave it. */
const ownAddresses: Kernel = {
  name: 'addresses from memory written in the same dispatch',
  size: 4,
  pointers: ['counter', 'table', 'out', 'back'],
  body: `  let taken = svm_atomic_add_u32(args.counter, 1u);
  let entry = svm_add(args.table, taken * 120u);
  svm_store_ptr(entry, at(args.out, id * 55u));
  let p = svm_load_ptr(entry);
  svm_store_u32(p, taken + 1u);
  svm_store_u32(at(args.back, id * 33u), svm_load_u32(svm_load_ptr(entry)));`,
  *twin(item, { counter, table, out, back }, m) {
    const id = item.globalId[0]
    yield 'step'
    const slot = m.atomicAddU32(counter, 1)
    const entry = table + slot * 120
    yield 'step'
    m.storePointer(entry, out + id * 220)
    yield 'step'
    const p = m.loadPointer(entry)
    yield 'step'
    m.storeU32(p, slot + 1)
    yield 'step'
    const q = m.loadPointer(entry)
    yield 'step'
    const value = m.loadU32(q)
    yield 'step'
    m.storeU32(back + id * 132, value)
  },
  draw() {
    const items = 72
    const arrays = { counter: pagesOf(1), table: pagesOf(3), out: pagesOf(4), back: pagesOf(3) }
    return {
      workgroups: items / 4,
      arrays,
      dynamic: ['table'],
      check(after, addresses) {
        const { out, back, table } = after as { out: Uint32Array; back: Uint32Array; table: Uint32Array }
        const taken = upTo(items).map((id) => (out[id * 55] as number) - 1)
        expectPermutation('the slots', taken, upTo(items))
        for (let id = 0; id < items; id++) {
          expectThat(back[id * 33] === out[id * 55], () => `work-item ${id} read ${back[id * 33]} back`)
          const low = ((addresses.out as number) + id * 220) % 2 ** 32
          expectThat(table[(taken[id] as number) * 30] === low, () => `entry ${taken[id]} points to the word of work-item ${id}`)
        }
        expectThat(out.filter((word) => word !== 0).length === items, () => 'a word of out was written by nobody')
      },
    }
  },
}

/** Plain stores that others read: right only as whole transactions. Whoever reads the flag late stores elsewhere. */
const racy: Kernel = {
  name: 'plain data races, transactional',
  size: 1,
  pointers: ['flag', 'marks', 'out'],
  class: 'transactional',
  body: `  if (id == 5u) {
    svm_store_u32(at(args.marks, 0u), 1u);
    svm_store_u32(args.flag, 1u);
    return;
  }
  let x = svm_load_u32(args.flag);
  svm_store_u32(at(args.marks, id * 300u + x * 150u), 1u);
  svm_store_u32(at(args.out, id * 100u), x + 1u);`,
  *twin(item, { flag, marks, out }, m) {
    const id = item.globalId[0]
    if (id === 5) {
      yield 'step'
      m.storeU32(marks, 1)
      yield 'step'
      m.storeU32(flag, 1)
      return
    }
    yield 'step'
    const x = m.loadU32(flag)
    yield 'step'
    m.storeU32(marks + id * 1200 + x * 600, 1)
    yield 'step'
    m.storeU32(out + id * 400, x + 1)
  },
  draw(): Run {
    const items = 18
    const arrays = { flag: pagesOf(1), marks: pagesOf(6), out: pagesOf(2) }
    return {
      workgroups: items,
      arrays,
      check(after) {
        const marks = arrays.marks.slice()
        marks[0] = 1
        for (let id = 0; id < items; id++) {
          if (id === 5) continue
          const x = (after.out?.[id * 100] as number) - 1
          expectThat(x === 0 || x === 1, () => `work-item ${id} read ${x}`)
          marks[id * 300 + x * 150] = 1
        }
        expectSame('marks', after.marks as Uint32Array, marks)
        expectThat(after.flag?.[0] === 1, () => 'the flag is 1')
      },
    }
  },
}

export const atomicKernels = [
  histogram,
  localHistogram,
  gups,
  tickets,
  slots,
  bfsQueue,
  bfsMask,
  hashInsert,
  listPush,
  popLoop,
  casLoop,
  compaction,
  ownAddresses,
  racy,
]
