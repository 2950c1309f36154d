// Counts where `pattern` occurs in `text`, overlapping occurrences and those across borders included. A workgroup looks at the positions that
// start in its 64 KiB; a work-item takes every 64th run of 16 bytes of it. Each workgroup stores its count in a place of its own.

struct Args { text: svm_ptr, bytes: u32, pattern: svm_ptr, pattern_bytes: u32, counts: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

const ITEMS = 64u;
const RUNS = 64u;

var<workgroup> found: array<u32, ITEMS>;

/** The first four bytes agree already. */
fn rest_matches(at: u32) -> bool {
  if (at + args.pattern_bytes > args.bytes) { return false; }
  for (var k = 4u; k < args.pattern_bytes; k++) {
    if (svm_load_u8(svm_add(args.text, at + k)) != svm_load_u8(svm_add(args.pattern, k))) { return false; }
  }
  return true;
}

@compute @workgroup_size(ITEMS)
fn search(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  let first = svm_load_u32(args.pattern);
  var n = 0u;
  for (var run = 0u; run < RUNS; run++) {
    let at = ((group.x * RUNS + run) * ITEMS + item) * 16u;
    if (at >= args.bytes) { break; }
    // The last page reads as zero beyond the end of the file; the next page may not be there.
    let four = svm_load_vec4_u32(svm_add(args.text, at));
    var next = 0u;
    if (at + 16u < args.bytes) { next = svm_load_u32(svm_add(args.text, at + 16u)); }
    var words = array<u32, 5>(four.x, four.y, four.z, four.w, next);
    for (var w = 0u; w < 4u; w++) {
      let low = words[w];
      let high = words[w + 1u];
      if (low == first && rest_matches(at + w * 4u)) { n++; }
      if (((low >> 8u) | (high << 24u)) == first && rest_matches(at + w * 4u + 1u)) { n++; }
      if (((low >> 16u) | (high << 16u)) == first && rest_matches(at + w * 4u + 2u)) { n++; }
      if (((low >> 24u) | (high << 8u)) == first && rest_matches(at + w * 4u + 3u)) { n++; }
    }
  }
  found[item] = n;
  workgroupBarrier();
  if (item == 0u) {
    var sum = 0u;
    for (var i = 0u; i < ITEMS; i++) { sum += found[i]; }
    svm_store_u32(svm_index(args.counts, group.x, 4u), sum);
  }
}
