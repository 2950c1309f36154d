// Kernels without atomics: their result does not depend on any order, so every word of it is known.

import { type Arrays, distinct, exactly, type Kernel, noise, PAGE_WORDS, pagesOf, type Run, upTo } from './kernel.ts'

/** Words between the elements of neighbouring work-items: the arrays are pages long, the work-items few. */
const STRIDE = 37
const ITEMS = 8

/** Items that cover `pages` pages, a stride apart. */
const itemsOver = (pages: number) => Math.floor((pages * PAGE_WORDS) / STRIDE / ITEMS) * ITEMS

function elementwise(arrays: Arrays, pages: number, f: (i: number) => number): Run {
  const items = itemsOver(pages)
  const a = (arrays.a as Uint32Array<ArrayBuffer>).slice()
  for (let i = 0; i < items; i++) a[i * STRIDE] = f(i * STRIDE)
  return { workgroups: items / ITEMS, arrays, check: exactly(arrays, { a }) }
}

const triad: Kernel = {
  name: 'triad',
  size: ITEMS,
  pointers: ['a', 'b', 'c'],
  body: `  let i = id * ${STRIDE}u;
  svm_store_u32(at(args.a, i), svm_load_u32(at(args.b, i)) + 3u * svm_load_u32(at(args.c, i)));`,
  *twin(item, { a, b, c }, m) {
    const i = item.globalId[0] * STRIDE * 4
    yield 'step'
    const x = m.loadU32(b + i)
    yield 'step'
    const y = m.loadU32(c + i)
    yield 'step'
    m.storeU32(a + i, (x + 3 * y) >>> 0)
  },
  draw(random) {
    const pages = 2 + random.below(6)
    const arrays = { a: noise(pages, random), b: noise(pages, random), c: noise(pages, random) }
    return elementwise(arrays, pages, (i) => (arrays.b[i] as number) + 3 * (arrays.c[i] as number))
  },
}

const triadInPlace: Kernel = {
  name: 'in-place triad',
  size: ITEMS,
  pointers: ['a', 'b'],
  body: `  let p = at(args.a, id * ${STRIDE}u);
  svm_store_u32(p, svm_load_u32(p) + 3u * svm_load_u32(at(args.b, id * ${STRIDE}u)));`,
  *twin(item, { a, b }, m) {
    const i = item.globalId[0] * STRIDE * 4
    yield 'step'
    const x = m.loadU32(a + i)
    yield 'step'
    const y = m.loadU32(b + i)
    yield 'step'
    m.storeU32(a + i, (x + 3 * y) >>> 0)
  },
  draw(random) {
    const pages = 3 + random.below(8)
    const arrays = { a: noise(pages, random), b: noise(pages, random) }
    return elementwise(arrays, pages, (i) => (arrays.a[i] as number) + 3 * (arrays.b[i] as number))
  },
}

/** A row of a matrix: four to a page. */
const ROW = 256
const ROWS_PER_PAGE = PAGE_WORDS / ROW

const stencil: Kernel = {
  name: 'stencil',
  size: ITEMS,
  pointers: ['source', 'dest'],
  numbers: ['rows'],
  body: `  let x = (id % 8u) * 31u + 3u;
  let y = id / 8u;
  let up = max(y, 1u) - 1u;
  let down = min(y + 1u, args.rows - 1u);
  let row = at(args.source, y * ${ROW}u + x);
  var sum = svm_load_u32(row) + svm_load_u32(svm_sub(row, 4u)) + svm_load_u32(svm_add(row, 4u));
  sum += svm_load_u32(at(args.source, up * ${ROW}u + x)) + svm_load_u32(at(args.source, down * ${ROW}u + x));
  svm_store_u32(at(args.dest, y * ${ROW}u + x), sum);`,
  *twin(item, { source, dest, rows }, m) {
    const x = (item.globalId[0] % 8) * 31 + 3
    const y = Math.floor(item.globalId[0] / 8)
    let sum = 0
    for (const [dx, dy] of NEIGHBOURS) {
      yield 'step'
      const row = Math.min(Math.max(y + dy, 0), rows - 1)
      sum += m.loadU32(source + (row * ROW + x + dx) * 4)
    }
    yield 'step'
    m.storeU32(dest + (y * ROW + x) * 4, sum >>> 0)
  },
  draw(random) {
    const pages = 3 + random.below(6)
    const rows = pages * ROWS_PER_PAGE
    const arrays = { source: noise(pages, random), dest: noise(pages, random) }
    const dest = arrays.dest.slice()
    for (let y = 0; y < rows; y++) {
      for (const x of upTo(8).map((n) => n * 31 + 3)) {
        const cell = ([dx, dy]: readonly [number, number]) => arrays.source[Math.min(Math.max(y + dy, 0), rows - 1) * ROW + x + dx] as number
        dest[y * ROW + x] = NEIGHBOURS.reduce((sum, to) => sum + cell(to), 0)
      }
    }
    return { workgroups: rows, arrays, numbers: { rows }, check: exactly(arrays, { dest }) }
  },
}
const NEIGHBOURS = [
  [0, 0],
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
] as const

const SIDE = 32

const transpose: Kernel = {
  name: 'transpose',
  size: ITEMS,
  pointers: ['source', 'dest'],
  body: `  let r = id / 8u;
  let c = (id % 8u) * 4u;
  svm_store_u32(at(args.dest, c * ${ROW}u + r), svm_load_u32(at(args.source, r * ${ROW}u + c)));`,
  *twin(item, { source, dest }, m) {
    const r = Math.floor(item.globalId[0] / 8)
    const c = (item.globalId[0] % 8) * 4
    yield 'step'
    const value = m.loadU32(source + (r * ROW + c) * 4)
    yield 'step'
    m.storeU32(dest + (c * ROW + r) * 4, value)
  },
  draw(random) {
    const arrays = { source: noise(SIDE / ROWS_PER_PAGE, random), dest: noise(SIDE / ROWS_PER_PAGE, random) }
    const dest = arrays.dest.slice()
    for (let r = 0; r < SIDE; r++) for (let c = 0; c < SIDE; c += 4) dest[c * ROW + r] = arrays.source[r * ROW + c] as number
    return { workgroups: SIDE, arrays, check: exactly(arrays, { dest }) }
  },
}

const EDGE = 16
const TILE = 4

const matmul: Kernel = {
  name: 'tiled matmul',
  size: TILE * TILE,
  pointers: ['a', 'b', 'c'],
  globals: `var<workgroup> ta: array<u32, ${TILE * TILE}>;\nvar<workgroup> tb: array<u32, ${TILE * TILE}>;`,
  body: `  let r = (wid / 4u) * 4u + lid / 4u;
  let col = (wid % 4u) * 4u + lid % 4u;
  var sum = 0u;
  for (var t = 0u; t < ${EDGE}u; t += 4u) {
    ta[lid] = svm_load_u32(at(args.a, r * ${ROW}u + t + lid % 4u));
    tb[lid] = svm_load_u32(at(args.b, (t + lid / 4u) * ${ROW}u + col));
    workgroupBarrier();
    for (var n = 0u; n < 4u; n++) { sum += ta[(lid / 4u) * 4u + n] * tb[n * 4u + lid % 4u]; }
    workgroupBarrier();
  }
  svm_store_u32(at(args.c, r * ${ROW}u + col), sum);`,
  *twin(item, { a, b, c }, m) {
    const group = item.workgroupId[0]
    const [y, x] = [Math.floor(item.localIndex / TILE), item.localIndex % TILE]
    const r = Math.floor(group / TILE) * TILE + y
    const col = (group % TILE) * TILE + x
    const ta = item.workgroupU32('ta', TILE * TILE)
    const tb = item.workgroupU32('tb', TILE * TILE)
    let sum = 0
    for (let t = 0; t < EDGE; t += TILE) {
      yield 'step'
      ta[item.localIndex] = m.loadU32(a + (r * ROW + t + x) * 4)
      yield 'step'
      tb[item.localIndex] = m.loadU32(b + ((t + y) * ROW + col) * 4)
      yield
      for (let n = 0; n < TILE; n++) sum = (sum + Math.imul(ta[y * TILE + n] as number, tb[n * TILE + x] as number)) >>> 0
      yield
    }
    yield 'step'
    m.storeU32(c + (r * ROW + col) * 4, sum)
  },
  draw(random) {
    const pages = EDGE / ROWS_PER_PAGE
    const arrays = { a: noise(pages, random), b: noise(pages, random), c: noise(pages, random) }
    const c = arrays.c.slice()
    for (let r = 0; r < EDGE; r++) {
      for (let col = 0; col < EDGE; col++) {
        let sum = 0
        for (let n = 0; n < EDGE; n++) sum = (sum + Math.imul(arrays.a[r * ROW + n] as number, arrays.b[n * ROW + col] as number)) >>> 0
        c[r * ROW + col] = sum
      }
    }
    return { workgroups: (EDGE / TILE) ** 2, arrays, check: exactly(arrays, { c }) }
  },
}

const scatter: Kernel = {
  name: 'scatter',
  size: ITEMS,
  pointers: ['source', 'place', 'dest'],
  body: `  svm_store_u32(at(args.dest, svm_load_u32(at(args.place, id * 24u))), svm_load_u32(at(args.source, id * 24u)));`,
  *twin(item, { source, place, dest }, m) {
    yield 'step'
    const to = m.loadU32(place + item.globalId[0] * 96)
    yield 'step'
    const value = m.loadU32(source + item.globalId[0] * 96)
    yield 'step'
    m.storeU32(dest + to * 4, value)
  },
  draw(random) {
    const items = 80
    const pages = 2 + random.below(8)
    const places = distinct(random, items, pages * PAGE_WORDS)
    const place = pagesOf(2, (i) => (i % 24 === 0 ? (places[i / 24] ?? 0) : 0))
    const arrays = { source: noise(2, random), place, dest: noise(pages, random) }
    const dest = arrays.dest.slice()
    places.forEach((to, i) => {
      dest[to] = arrays.source[i * 24] as number
    })
    return { workgroups: items / ITEMS, arrays, check: exactly(arrays, { dest }) }
  },
}

/** Words between the blocks of neighbouring workgroups: some straddle pages. */
const BLOCK_STRIDE = 300

const neighbours: Kernel = {
  name: 'in-place update with neighbours',
  size: 16,
  pointers: ['a'],
  body: `  let block = at(args.a, wid * ${BLOCK_STRIDE}u);
  let left = svm_load_u32(at(block, (lid + 15u) % 16u));
  let mine = svm_load_u32(at(block, lid));
  let right = svm_load_u32(at(block, (lid + 1u) % 16u));
  storageBarrier();
  svm_store_u32(at(block, lid), left + 5u * mine + right);`,
  *twin(item, { a }, m) {
    const block = a + item.workgroupId[0] * BLOCK_STRIDE * 4
    let sum = 0
    for (const [offset, times] of [
      [15, 1],
      [0, 5],
      [1, 1],
    ] as const) {
      yield 'step'
      sum += m.loadU32(block + ((item.localIndex + offset) % 16) * 4) * times
    }
    yield
    m.storeU32(block + item.localIndex * 4, sum % 2 ** 32)
  },
  draw(random) {
    const pages = 4 + random.below(8)
    const arrays = { a: noise(pages, random) }
    const workgroups = Math.floor((pages * PAGE_WORDS - 16) / BLOCK_STRIDE)
    const a = arrays.a.slice()
    for (let group = 0; group < workgroups; group++) {
      const cell = (n: number) => arrays.a[group * BLOCK_STRIDE + (n % 16)] as number
      for (let n = 0; n < 16; n++) a[group * BLOCK_STRIDE + n] = cell(n + 15) + 5 * cell(n) + cell(n + 1)
    }
    return { workgroups, arrays, check: exactly(arrays, { a }) }
  },
}

const smallStores: Kernel = {
  name: 'u8 and u16 stores into shared words',
  size: ITEMS,
  pointers: ['bytes', 'halves'],
  body: `  svm_store_u8(svm_add(args.bytes, (id / 30u) * 1501u + id % 30u), id * 7u + 1u);
  svm_store_u16(svm_add(args.halves, (id / 30u) * 1502u + (id % 30u) * 2u), id * 701u + 1u);`,
  *twin(item, { bytes, halves }, m) {
    const id = item.globalId[0]
    yield 'step'
    m.storeU8(bytes + Math.floor(id / 30) * 1501 + (id % 30), id * 7 + 1)
    yield 'step'
    m.storeU16(halves + Math.floor(id / 30) * 1502 + (id % 30) * 2, id * 701 + 1)
  },
  draw(random) {
    const items = 160
    const arrays = { bytes: noise(3, random), halves: noise(3, random) }
    const wanted = { bytes: arrays.bytes.slice(), halves: arrays.halves.slice() }
    const bytes = new Uint8Array(wanted.bytes.buffer)
    const halves = new DataView(wanted.halves.buffer)
    for (let id = 0; id < items; id++) {
      bytes[Math.floor(id / 30) * 1501 + (id % 30)] = id * 7 + 1
      halves.setUint16(Math.floor(id / 30) * 1502 + (id % 30) * 2, id * 701 + 1, true)
    }
    return { workgroups: items / ITEMS, arrays, check: exactly(arrays, wanted) }
  },
}

const straddling: Kernel = {
  name: 'vec stores straddling pages',
  size: 4,
  pointers: ['source', 'dest'],
  body: `  let i = id * 512u + 509u + id % 3u;
  svm_store_vec4_u32(at(args.dest, i), svm_load_vec4_u32(at(args.source, i)) + vec4u(1u, 2u, 3u, 4u));
  svm_store_vec2_u32(at(args.dest, i + 20u), svm_load_vec2_u32(at(args.source, i + 4u)));`,
  *twin(item, { source, dest }, m) {
    const i = (item.globalId[0] * 512 + 509 + (item.globalId[0] % 3)) * 4
    yield 'step'
    const four = m.loadVec4U32(source + i)
    yield 'step'
    m.storeVec4U32(
      dest + i,
      four.map((value, n) => (value + n + 1) >>> 0),
    )
    yield 'step'
    const two = m.loadVec2U32(source + i + 16)
    yield 'step'
    m.storeVec2U32(dest + i + 80, two)
  },
  draw(random) {
    const pages = 3 + 2 * random.below(4)
    const arrays = { source: noise(pages, random), dest: noise(pages, random) }
    const items = (pages - 1) * 2
    const dest = arrays.dest.slice()
    for (let id = 0; id < items; id++) {
      const i = id * 512 + 509 + (id % 3)
      for (let n = 0; n < 4; n++) dest[i + n] = (arrays.source[i + n] as number) + n + 1
      for (let n = 0; n < 2; n++) dest[i + 20 + n] = arrays.source[i + 4 + n] as number
    }
    return { workgroups: items / 4, arrays, check: exactly(arrays, { dest }) }
  },
}

/** Nodes of two words: value, and the number of the next node plus one. */
const listWalk: Kernel = {
  name: 'list walk',
  size: 4,
  pointers: ['heads', 'nodes', 'sums'],
  body: `  var link = svm_load_u32(at(args.heads, id * 50u));
  var sum = 0u;
  while (link != 0u) {
    let node = at(args.nodes, (link - 1u) * 2u);
    sum += svm_load_u32(node);
    link = svm_load_u32(svm_add(node, 4u));
  }
  svm_store_u32(at(args.sums, id * 50u), sum);`,
  *twin(item, { heads, nodes, sums }, m) {
    yield 'step'
    let link = m.loadU32(heads + item.globalId[0] * 200)
    let sum = 0
    while (link !== 0 && !m.faulted()) {
      const node = nodes + (link - 1) * 8
      yield 'step'
      sum += m.loadU32(node)
      yield 'step'
      link = m.loadU32(node + 4)
    }
    yield 'step'
    m.storeU32(sums + item.globalId[0] * 200, sum % 2 ** 32)
  },
  draw(random) {
    const items = 20
    const depth = 2 + random.below(5)
    const pages = 2 + random.below(7)
    const places = distinct(random, items * depth, (pages * PAGE_WORDS) / 2)
    const arrays = { heads: pagesOf(1), nodes: pagesOf(pages), sums: noise(1, random) }
    const sums = arrays.sums.slice()
    for (let id = 0; id < items; id++) {
      const mine = places.slice(id * depth, (id + 1) * depth)
      arrays.heads[id * 50] = (mine[0] as number) + 1
      let sum = 0
      mine.forEach((node, n) => {
        const value = random.u32()
        sum += value
        arrays.nodes.set([value, n + 1 < depth ? (mine[n + 1] as number) + 1 : 0], node * 2)
      })
      sums[id * 50] = sum % 2 ** 32
    }
    return { workgroups: items / 4, arrays, check: exactly(arrays, { sums }) }
  },
}

/** Pointers to pointers: what a poisoned work-item follows is null. */
const pointerChase: Kernel = {
  name: 'pointers to pointers',
  size: 4,
  pointers: ['table', 'middle', 'values', 'out'],
  body: `  let p = svm_load_ptr(svm_add(args.table, id * 160u));
  let q = svm_load_ptr(p);
  svm_store_u32(at(args.out, id * 64u), svm_load_u32(q) + 1u);`,
  *twin(item, { table, out }, m) {
    const id = item.globalId[0]
    yield 'step'
    const p = m.loadPointer(table + id * 160)
    yield 'step'
    const q = m.loadPointer(p)
    yield 'step'
    const value = m.loadU32(q)
    yield 'step'
    m.storeU32(out + id * 256, (value + 1) >>> 0)
  },
  draw(random) {
    const items = 32
    const arrays = { table: pagesOf(3), middle: pagesOf(4), values: noise(5, random), out: noise(2, random) }
    const middles = distinct(random, items, 4 * 512)
    const values = distinct(random, items, 5 * PAGE_WORDS)
    const out = arrays.out.slice()
    for (let id = 0; id < items; id++) out[id * 64] = (arrays.values[values[id] as number] as number) + 1
    const pointers = upTo(items).flatMap((id) => [
      { array: 'table', at: id * 160, to: 'middle', byte: (middles[id] as number) * 8 },
      { array: 'middle', at: (middles[id] as number) * 8, to: 'values', byte: (values[id] as number) * 4 },
    ])
    return {
      workgroups: items / 4,
      arrays,
      pointers,
      check: exactly({ out: arrays.out, values: arrays.values }, { out }),
    }
  },
}

/** A word that holds 7 from the beginning: with garbage in its place the loop would never end. */
const waitLoop: Kernel = {
  name: 'loop until a word has its value',
  size: 4,
  pointers: ['flags', 'out'],
  body: `  while (svm_load_u32(at(args.flags, id * 90u)) != 7u) { }
  svm_store_u32(at(args.out, id * 90u), id + 1u);`,
  *twin(item, { flags, out }, m) {
    const at = item.globalId[0] * 360
    do yield 'step'
    while (m.loadU32(flags + at) !== 7 && !m.faulted())
    yield 'step'
    m.storeU32(out + at, item.globalId[0] + 1)
  },
  draw(random) {
    const items = 40
    const arrays = { flags: pagesOf(4, (i) => (i % 90 === 0 ? 7 : 0)), out: noise(4, random) }
    const out = arrays.out.slice()
    for (let id = 0; id < items; id++) out[id * 90] = id + 1
    return { workgroups: items / 4, arrays, check: exactly(arrays, { out }) }
  },
}

export const plainKernels = [triad, triadInPlace, stencil, transpose, matmul, scatter, neighbours, smallStores, straddling, listWalk, pointerChase, waitLoop]
