// The functions of webgpu-svm's runtime, with empty bodies: for editors and analysers. The library replaces them when it builds a kernel.
// Printed from src/wgsl/accessors.ts; a test keeps the two together.

struct svm_ptr { address: u32 }
const SVM_NULL = svm_ptr(0u);
const SVM_PTR_SIZE = 4u;
fn svm_add(p: svm_ptr, bytes: u32) -> svm_ptr { return svm_ptr(); }
fn svm_sub(p: svm_ptr, bytes: u32) -> svm_ptr { return svm_ptr(); }
fn svm_index(p: svm_ptr, i: u32, stride: u32) -> svm_ptr { return svm_ptr(); }
fn svm_equal(a: svm_ptr, b: svm_ptr) -> bool { return bool(); }
fn svm_is_null(p: svm_ptr) -> bool { return bool(); }
fn svm_difference(a: svm_ptr, b: svm_ptr) -> u32 { return u32(); }
fn svm_select(a: svm_ptr, b: svm_ptr, condition: bool) -> svm_ptr { return svm_ptr(); }
fn svm_load_u32(p: svm_ptr) -> u32 { return u32(); }
fn svm_store_u32(p: svm_ptr, value: u32) {}
fn svm_load_ptr(p: svm_ptr) -> svm_ptr { return svm_ptr(); }
fn svm_store_ptr(p: svm_ptr, value: svm_ptr) {}
fn svm_load_u8(p: svm_ptr) -> u32 { return u32(); }
fn svm_load_u16(p: svm_ptr) -> u32 { return u32(); }
fn svm_store_u8(p: svm_ptr, value: u32) {}
fn svm_store_u16(p: svm_ptr, value: u32) {}
fn svm_load_i32(p: svm_ptr) -> i32 { return i32(); }
fn svm_store_i32(p: svm_ptr, value: i32) {}
fn svm_load_f32(p: svm_ptr) -> f32 { return f32(); }
fn svm_store_f32(p: svm_ptr, value: f32) {}
fn svm_load_vec2_u32(p: svm_ptr) -> vec2<u32> { return vec2<u32>(); }
fn svm_store_vec2_u32(p: svm_ptr, value: vec2<u32>) {}
fn svm_load_vec2_i32(p: svm_ptr) -> vec2<i32> { return vec2<i32>(); }
fn svm_store_vec2_i32(p: svm_ptr, value: vec2<i32>) {}
fn svm_load_vec2_f32(p: svm_ptr) -> vec2<f32> { return vec2<f32>(); }
fn svm_store_vec2_f32(p: svm_ptr, value: vec2<f32>) {}
fn svm_load_vec3_u32(p: svm_ptr) -> vec3<u32> { return vec3<u32>(); }
fn svm_store_vec3_u32(p: svm_ptr, value: vec3<u32>) {}
fn svm_load_vec3_i32(p: svm_ptr) -> vec3<i32> { return vec3<i32>(); }
fn svm_store_vec3_i32(p: svm_ptr, value: vec3<i32>) {}
fn svm_load_vec3_f32(p: svm_ptr) -> vec3<f32> { return vec3<f32>(); }
fn svm_store_vec3_f32(p: svm_ptr, value: vec3<f32>) {}
fn svm_load_vec4_u32(p: svm_ptr) -> vec4<u32> { return vec4<u32>(); }
fn svm_store_vec4_u32(p: svm_ptr, value: vec4<u32>) {}
fn svm_load_vec4_i32(p: svm_ptr) -> vec4<i32> { return vec4<i32>(); }
fn svm_store_vec4_i32(p: svm_ptr, value: vec4<i32>) {}
fn svm_load_vec4_f32(p: svm_ptr) -> vec4<f32> { return vec4<f32>(); }
fn svm_store_vec4_f32(p: svm_ptr, value: vec4<f32>) {}
fn svm_atomic_load_u32(p: svm_ptr) -> u32 { return u32(); }
fn svm_atomic_store_u32(p: svm_ptr, value: u32) {}
fn svm_atomic_add_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_sub_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_and_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_or_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_xor_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_exchange_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_max_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_min_u32(p: svm_ptr, value: u32) -> u32 { return u32(); }
fn svm_atomic_compare_exchange_u32(p: svm_ptr, expected: u32, value: u32) -> u32 { return u32(); }
fn svm_atomic_load_i32(p: svm_ptr) -> i32 { return i32(); }
fn svm_atomic_store_i32(p: svm_ptr, value: i32) {}
fn svm_atomic_add_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_sub_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_and_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_or_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_xor_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_exchange_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_max_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_min_i32(p: svm_ptr, value: i32) -> i32 { return i32(); }
fn svm_atomic_compare_exchange_i32(p: svm_ptr, expected: i32, value: i32) -> i32 { return i32(); }
fn svm_barrier() { workgroupBarrier(); }
fn svm_faulted() -> bool { return false; }
