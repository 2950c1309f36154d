// Counts the bytes of `text` that equal `wanted`: 16 KiB for each workgroup; `count` is one u32.
//
//   svm run examples/count-byte.wgsl --entry count_byte --arg text=file:BIG --arg bytes=size:text --arg wanted=10 \
//     --arg count=zeros:4 --global ITEMS --device-memory 2MiB --print count:u32
//
// ITEMS is the number of bytes divided by 256, rounded up to a multiple of 64; more does no harm.

struct Args { text: svm_ptr, bytes: u32, wanted: u32, count: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

const ITEMS = 64u;
const WORDS_PER_ITEM = 64u;

var<workgroup> counts: array<u32, ITEMS>;

fn matches_in(word: u32) -> u32 {
  let bytes = (vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu);
  return dot(select(vec4(0u), vec4(1u), bytes == vec4(args.wanted)), vec4(1u));
}

@compute @workgroup_size(ITEMS)
fn count_byte(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  var found = 0u;
  for (var k = 0u; k < WORDS_PER_ITEM; k++) {
    let at = ((group.x * WORDS_PER_ITEM + k) * ITEMS + item) * 4u;
    if (at + 4u <= args.bytes) {
      found += matches_in(svm_load_u32(svm_add(args.text, at)));
    } else {
      for (var b = at; b < args.bytes; b++) { found += select(0u, 1u, svm_load_u8(svm_add(args.text, b)) == args.wanted); }
    }
  }
  counts[item] = found;
  workgroupBarrier();
  if (item == 0u) {
    var sum = 0u;
    for (var i = 0u; i < ITEMS; i++) { sum += counts[i]; }
    if (sum > 0u) { svm_atomic_add_u32(args.count, sum); }
  }
}
