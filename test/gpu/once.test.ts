// Every effect happens exactly once, however often a workgroup is replayed: counters, allocated slots, in-place updates, appends, inserts.

import { describe, expect, test } from 'vitest'
import { MIB, PAGE, useGpu } from './device.ts'
import { expectSame, expectWithinBudget, inEveryRegime, noise, words } from './regime.ts'

const gpu = useGpu()
const ARGS = (fields: string) => `struct Args { ${fields} }\n@group(0) @binding(0) var<uniform> args: Args;\n`
const SIGNATURE = (size: number) => `@compute @workgroup_size(${size}) fn k(@builtin(global_invocation_id) id: vec3u) {\n`

describe('exactly once', () => {
  inEveryRegime(gpu, 'a histogram', async (bench) => {
    const data = words(96 * 1024, noise(1))
    const source = bench.data(data)
    const bins = bench.alloc(1024 * 4)
    const kernel = await bench.kernel(
      `${ARGS('src: svm_ptr, bins: svm_ptr')}${SIGNATURE(64)}
  for (var n = 0u; n < 16u; n++) { svm_atomic_add_u32(svm_index(args.bins, svm_load_u32(svm_index(args.src, id.x * 16u + n, 4u)) & 1023u, 4u), 1u); }
}`,
    )
    await bench.launch(kernel, { args: { src: source, bins }, global: data.length / 16 })
    const wanted = new Uint32Array(1024)
    for (const value of data) wanted[value & 1023]++
    expectSame(await bench.words(bins, 1024), wanted)
  })

  inEveryRegime(gpu, 'slots are allocated, then filled by plain stores', async (bench) => {
    const ITEMS = 3000
    const keep = (i: number) => i % 3 !== 1
    const source = bench.data(words(ITEMS * 16, (i) => (i % 16 === 0 ? i / 16 : 0)))
    const slots = bench.alloc(ITEMS * 64)
    const counter = bench.alloc(4)
    const kernel = await bench.kernel(
      `${ARGS('src: svm_ptr, slots: svm_ptr, counter: svm_ptr')}${SIGNATURE(8)}
  let value = svm_load_u32(svm_index(args.src, id.x, 64u));
  if (value % 3u == 1u) { return; }
  let slot = svm_index(args.slots, svm_atomic_add_u32(args.counter, 1u), 64u);
  svm_store_u32(slot, value + 1u);
  svm_store_u32(svm_add(slot, 60u), id.x);
}`,
    )
    await bench.launch(kernel, { args: { src: source, slots, counter }, global: ITEMS })
    const count = words(ITEMS, (i) => i).filter(keep)
    expect((await bench.words(counter, 1))[0]).toBe(count.length)
    const got = await bench.words(slots, ITEMS * 16)
    const filled = count.map((_, i) => got[i * 16] as number).map((value) => value - 1)
    expectSame(filled.sort(), count)
    for (let i = 0; i < count.length; i++) expect(got[i * 16 + 15]).toBe((got[i * 16] as number) - 1)
    for (let i = count.length * 16; i < got.length; i++) expect(got[i]).toBe(0)
  })

  inEveryRegime(gpu, 'updates in place, several times over the same pages', async (bench) => {
    const data = words(96 * 1024, noise(4))
    const cells = bench.data(data)
    const kernel = await bench.kernel(
      `${ARGS('cells: svm_ptr, count: u32, factor: u32')}${SIGNATURE(64)}
  for (var i = id.x; i < args.count; i += 6144u) {
    let p = svm_index(args.cells, i, 4u);
    svm_store_u32(p, svm_load_u32(p) * args.factor + 1u);
  }
}`,
    )
    const factors = bench.regime === 'tight' ? [3] : [3, 5, 7]
    for (const factor of factors) {
      // Rows of a page each, so that a workgroup fits the small budget.
      if (bench.regime === 'tight') {
        for (let row = 0; row < 16; row++) await bench.launch(kernel, { args: { cells: cells + row * 6144 * 4, count: 6144, factor }, global: 6144 })
      } else await bench.launch(kernel, { args: { cells, count: data.length, factor }, global: 6144 })
    }
    expectSame(
      await bench.words(cells, data.length),
      data.map((value) => factors.reduce((v, factor) => (Math.imul(v, factor) + 1) >>> 0, value)),
    )
  })

  inEveryRegime(gpu, 'a frontier of a graph grows level by level', async (bench) => {
    const NODES = 1024
    const WORDS = 64
    const next = noise(6)
    // Each node has two edges, and a record of 256 bytes: edge, edge, level (0: not seen).
    const graph = new Uint32Array(NODES * WORDS)
    for (let n = 0; n < NODES; n++) {
      graph[n * WORDS] = next() % NODES
      graph[n * WORDS + 1] = (n * 2 + 1) % NODES
    }
    const level = new Uint32Array(NODES)
    level[0] = 1
    graph[2] = 1
    const nodes = bench.data(graph)
    const counter = bench.alloc(4)
    let frontier = bench.alloc(NODES * 4)
    let other = bench.alloc(NODES * 4)
    const kernel = await bench.kernel(
      `${ARGS('nodes: svm_ptr, frontier: svm_ptr, next: svm_ptr, counter: svm_ptr, level: u32')}${SIGNATURE(4)}
  let node = svm_index(args.nodes, svm_load_u32(svm_index(args.frontier, id.x, 4u)), ${4 * WORDS}u);
  for (var e = 0u; e < 2u; e++) {
    let to = svm_load_u32(svm_index(node, e, 4u));
    let seen = svm_add(svm_index(args.nodes, to, ${4 * WORDS}u), 8u);
    if (svm_atomic_compare_exchange_u32(seen, 0u, args.level) == 0u) {
      svm_store_u32(svm_index(args.next, svm_atomic_add_u32(args.counter, 1u), 4u), to);
    }
  }
}`,
    )
    let wave = Uint32Array.of(0)
    for (let depth = 2; wave.length > 0 && depth < 30; depth++) {
      await bench.launch(kernel, { args: { nodes, frontier, next: other, counter, level: depth }, global: wave.length })
      const found: number[] = []
      for (const n of wave) {
        for (const to of graph.subarray(n * WORDS, n * WORDS + 2)) {
          if (level[to] === 0) found.push(to)
          level[to] ||= depth
        }
      }
      const [count] = await bench.words(counter, 1)
      expect(count).toBe(found.length)
      wave = (await bench.words(other, found.length)).slice()
      expectSame(wave.slice().sort(), Uint32Array.from(found).sort())
      await bench.svm.write(counter, new Uint32Array(1))
      const swap = frontier
      frontier = other
      other = swap
    }
    const got = await bench.words(nodes, graph.length)
    expectSame(
      level.map((_, n) => got[n * WORDS + 2] as number),
      level,
    )
  })

  inEveryRegime(gpu, 'keys are inserted into a hash table by compare-exchange', async (bench) => {
    const KEYS = 1600
    const SLOTS = 32 * 1024
    const next = noise(8)
    const keys = words(KEYS, () => (next() % 1200) + 1)
    const source = bench.data(keys)
    const table = bench.alloc(SLOTS * 8)
    const kernel = await bench.kernel(
      `${ARGS('keys: svm_ptr, table: svm_ptr')}${SIGNATURE(4)}
  let key = svm_load_u32(svm_index(args.keys, id.x, 4u));
  var slot = (key * 2654435769u) >> 17u;
  loop {
    let p = svm_index(args.table, slot, 8u);
    let old = svm_atomic_compare_exchange_u32(p, 0u, key);
    if (old == 0u || old == key) { svm_atomic_add_u32(svm_add(p, 4u), 1u); break; }
    slot = (slot + 1u) % ${SLOTS}u;
  }
}`,
    )
    await bench.launch(kernel, { args: { keys: source, table }, global: KEYS })
    const wanted = new Map<number, number>()
    for (const key of keys) wanted.set(key, (wanted.get(key) ?? 0) + 1)
    const got = await bench.words(table, SLOTS * 2)
    const met = new Map<number, number>()
    for (let s = 0; s < SLOTS; s++) {
      const key = got[s * 2] as number
      if (key === 0) continue
      expect(met.has(key)).toBe(false)
      met.set(key, got[s * 2 + 1] as number)
    }
    expect([...met].sort(([a], [b]) => a - b)).toEqual([...wanted].sort(([a], [b]) => a - b))
  })

  inEveryRegime(
    gpu,
    'with large pages',
    async (bench) => {
      const data = words(1024 * 1024, (i) => i)
      const source = bench.data(data)
      const target = bench.alloc(data.byteLength)
      const total = bench.alloc(4)
      const kernel = await bench.kernel(
        `${ARGS('src: svm_ptr, dst: svm_ptr, total: svm_ptr')}${SIGNATURE(64)}
  let at = id.x * 64u;
  for (var n = 0u; n < 16u; n++) {
    let p = svm_load_vec4_u32(svm_index(args.src, at + n * 4u, 4u));
    svm_store_vec4_u32(svm_index(args.dst, at + n * 4u, 4u), p ^ vec4u(0xffffu));
  }
  svm_atomic_add_u32(args.total, 1u);
}`,
      )
      await bench.launch(kernel, { args: { src: source, dst: target, total }, global: data.length / 64 })
      expect((await bench.words(total, 1))[0]).toBe(data.length / 64)
      expectSame(
        await bench.words(target, data.length),
        data.map((value) => value ^ 0xffff),
      )
    },
    { pageSize: 16 * PAGE, deviceMemory: 24 * MIB },
  )

  test('with large pages and two MiB of device memory', async () => {
    const svm = await gpu.open({ pageSize: 16 * PAGE, deviceMemory: 2 * MIB })
    const data = words(768 * 1024, (i) => i)
    const cells = svm.allocFrom(data)
    const code = `${ARGS('cells: svm_ptr')}${SIGNATURE(64)}
  let p = svm_index(args.cells, id.x, 4u);
  svm_store_u32(p, svm_load_u32(p) + 1u);
}`
    const kernel = await svm.createKernel({ code, entryPoint: 'k' })
    for (let round = 1; round <= 2; round++) {
      const result = await svm.queue.enqueue(kernel, { args: { cells }, global: data.length }).done
      expect(result.evictions).toBeGreaterThan(0)
      expectSame(
        await svm.read(cells, Uint32Array, data.length),
        data.map((value) => value + round),
      )
      expectWithinBudget(svm)
    }
  })
})
