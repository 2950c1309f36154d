// Kernels of every shape that the translation must get right. Entry points are called `k`.

const ARGS = `struct Args { a: svm_ptr, b: svm_ptr, n: u32, s: f32 }
@group(0) @binding(0) var<uniform> args: Args;
`

export const WALK = `struct Node { value: u32, next: svm_ptr }
struct Args { heads: svm_ptr, sum: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn k(@builtin(global_invocation_id) id: vec3u) {
  var node = svm_load_ptr(svm_index(args.heads, id.x, SVM_PTR_SIZE));
  loop {
    if (svm_is_null(node)) { break; }
    svm_atomic_add_u32(args.sum, svm_load_u32(svm_add(node, Node_value)));
    node = svm_load_ptr(svm_add(node, Node_next));
  }
}
`

const TYPES = [
  'u32',
  'i32',
  'f32',
  'vec2_u32',
  'vec3_u32',
  'vec4_u32',
  'vec2_i32',
  'vec3_i32',
  'vec4_i32',
  'vec2_f32',
  'vec3_f32',
  'vec4_f32',
  'u8',
  'u16',
  'ptr',
]
const PLAIN_TYPES = TYPES.filter((type) => type !== 'u8' && type !== 'u16')
const copies = (types: readonly string[]) => types.map((type) => `  svm_store_${type}(args.b, svm_load_${type}(args.a));`).join('\n')

const OPERATIONS = ['add', 'sub', 'max', 'min', 'and', 'or', 'xor', 'exchange']
const atomics = (type: string, literal: string) =>
  [
    ...OPERATIONS.map((name) => `  svm_atomic_${name}_${type}(args.a, ${literal});\n  sum += svm_atomic_${name}_${type}(args.b, ${literal});`),
    `  svm_atomic_store_${type}(args.a, svm_atomic_load_${type}(args.b));`,
    `  svm_atomic_compare_exchange_${type}(args.a, ${literal}, sum);`,
    `  sum += svm_atomic_compare_exchange_${type}(args.b, ${literal}, sum);`,
  ].join('\n')

export const PLAIN_KERNELS: Readonly<Record<string, string>> = {
  walk: WALK,
  'every plain accessor': `${ARGS}@compute @workgroup_size(64) fn k() {\n${copies(PLAIN_TYPES)}\n}`,
  'every accessor with bytes': `${ARGS}@compute @workgroup_size(64) fn k() {\n${copies(TYPES)}\n}`,
  'every atomic, unsigned': `${ARGS}@compute @workgroup_size(64) fn k() { var sum = 0u;\n${atomics('u32', '3u')}\n}`,
  'every atomic, signed': `${ARGS}@compute @workgroup_size(64) fn k() { var sum = 0i;\n${atomics('i32', '-3i')}\n}`,
  pointers: `${ARGS}
const here = SVM_NULL;
var<private> kept: svm_ptr;
fn pick(a: svm_ptr, b: svm_ptr) -> svm_ptr { return svm_select(a, b, svm_equal(a, b) || svm_is_null(a)); }
@compute @workgroup_size(8, 8) fn k() {
  kept = pick(args.a, here);
  var list: array<svm_ptr, 2> = array<svm_ptr, 2>(kept, svm_sub(args.b, SVM_PTR_SIZE));
  svm_store_u32(list[1], svm_difference(args.b, args.a));
  if (svm_faulted()) { return; }
}`,
  'no arguments, nothing used': `@compute @workgroup_size(1) fn k() {}`,
  'all built-ins': `${ARGS}@compute @workgroup_size(4, 2, 2)
fn k(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) w: vec3u,
  @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) i: u32, @builtin(num_workgroups) n: vec3u) {
  svm_store_u32(args.a, id.x + w.y + l.z + i + n.x);
}`,
  'a struct of built-ins': `${ARGS}struct In { @builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) i: u32 }
@compute @workgroup_size(64) fn k(in: In, @builtin(num_workgroups) n: vec3u) { svm_store_u32(args.a, in.id.x + in.i + n.x); }`,
  'loops of all kinds': `${ARGS}
fn find(p: svm_ptr) -> u32 {
  loop { let v = svm_load_u32(p); if (v > 3u) { return v; } }
}
fn count() -> vec4f { for (;;) { if (args.n > 2u) { return vec4f(1); } } }
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  var i = 0u; /* { nested /* { */ */
  for (; i < args.n; i++) @diagnostic(off, derivative_uniformity) { if (i == 3u) { continue; } }
  while i < 10u { i++; }
  while (i < 20u) { i += 2u; switch (i) { case 1u: { break; } default: { continue; } } }
  loop { i++; continuing { i++; break if i > 100u; } }
  var a: array<vec2<u32>, 4>; // {
  for (var j = vec2<u32>(0u, 1u); j.x < 4u; j.x++) { a[j.x] = j; }
  svm_store_u32(args.b, find(args.a) + a[1].x + u32(count().x));
}`,
  'overrides and constants': `${ARGS}const B = 2;
override C: u32 = 4 * B;
@compute @workgroup_size(C, B) fn k() { svm_store_u32(args.a, C); }`,
  'two entry points and directives': `diagnostic(off, derivative_uniformity);
requires readonly_and_readwrite_storage_textures;
${ARGS}@compute @workgroup_size(1) fn other() { svm_store_f32(args.a, args.s); }
@compute
@workgroup_size(
  64
) fn k() { svm_store_f32(args.b, args.s); }`,
  'bindings of the author': `struct Args { p: svm_ptr, v: vec4f, list: array<vec4<u32>, 3> }
@group(1) @binding(10) var<uniform> args: Args;
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@group(0) @binding(1) var<storage> numbers: array<u32>;
@group(2) @binding(0) var picture: texture_2d<f32>;
@compute @workgroup_size(64) fn k(@builtin(global_invocation_id) id: vec3u) {
  out[id.x] = numbers[id.x] + svm_load_u32(args.p) + args.list[1].x + u32(textureLoad(picture, vec2u(0), 0).x);
}`,
  'a loop before a barrier-free end': `${ARGS}@compute @workgroup_size(64) fn k() {
  var n = 0u; for (var a = 1u; a < 100u; a *= 2u) { n++; }
  for (var i = 0u; i < n; i++) { svm_store_u32(svm_index(args.a, i, 4u), i); }
}`,
  'an atomic in a for header': `${ARGS}@compute @workgroup_size(64) fn k() {
  for (var i = 0u; svm_atomic_add_u32(args.a, 1u) < 8u; svm_atomic_add_u32(args.b, 1u)) { i++; }
}`,
  'a member called size and structs in structs': `struct Inner { a: vec3f, size: u32 }
struct Outer { inner: array<Inner, 4>, tail: svm_ptr }
struct Odd { flag: bool }
${ARGS}@compute @workgroup_size(64) fn k() { svm_store_u32(svm_add(args.a, Outer_tail), Outer_size); var o: Odd; o.flag = true; }`,
}

export const COLLECTIVE_KERNELS: Readonly<Record<string, string>> = {
  'barriers and workgroup memory': `${ARGS}var<workgroup> tile: array<u32, 64>;
@compute @workgroup_size(64) fn k(@builtin(local_invocation_index) i: u32, @builtin(global_invocation_id) id: vec3u) {
  tile[i] = svm_load_u32(svm_index(args.a, id.x, 4u));
  workgroupBarrier();
  for (var step = 32u; step > 0u; step /= 2u) {
    if (i < step) { tile[i] += tile[i + step]; }
    workgroupBarrier();
  }
  var n = 0u;
  loop { n++; if (n > svm_load_u32(args.a)) { break; } }
  if (i == 0u) { svm_store_u32(args.b, tile[0]); }
  storageBarrier();
}`,
  'a barrier in a called function': `${ARGS}fn sync() { svm_barrier(); }
@compute @workgroup_size(64) fn k() { for (var i = 0u; i < args.n; i++) { svm_store_u32(args.a, i); sync(); } }`,
  'workgroup atomics with a used result': `${ARGS}var<workgroup> next: atomic<u32>;
@compute @workgroup_size(64) fn k() { let slot = atomicAdd(&next, 1u); svm_store_u32(svm_index(args.b, slot, 4u), 1u); workgroupBarrier(); }`,
  workgroupUniformLoad: `${ARGS}var<workgroup> shared_count: u32;
@compute @workgroup_size(64) fn k(@builtin(local_invocation_index) i: u32) {
  if (i == 0u) { shared_count = svm_load_u32(args.a); }
  let n = workgroupUniformLoad(&shared_count);
  for (var j = 0u; j < n; j++) { workgroupBarrier(); svm_store_u32(args.b, j); }
}`,
}

export const SUBGROUP_KERNEL = `enable subgroups;
${ARGS}@compute @workgroup_size(64) fn k(@builtin(subgroup_invocation_id) s: u32, @builtin(subgroup_size) size: u32, @builtin(global_invocation_id) id: vec3u) {
  var sum = 0u;
  for (var i = 0u; i < 4u; i++) { sum += subgroupAdd(svm_load_u32(svm_index(args.a, id.x * 4u + i, 4u))); }
  if (s == 0u) { svm_store_u32(svm_index(args.b, id.x / size, 4u), sum); }
}`
