// Counts where `pattern` occurs in `text`, overlapping occurrences and those across borders included. A workgroup looks at the positions that
// start in one page; a work-item takes every 64th run of 16 bytes of it. Each workgroup stores its count in a place of its own.

struct Args { text: svm_ptr, bytes: u32, pattern: svm_ptr, pattern_bytes: u32, counts: svm_ptr, runs: u32 }
@group(0) @binding(0) var<uniform> args: Args;

const ITEMS = 64u;

var<workgroup> found: array<u32, ITEMS>;

fn matches_at(at: u32) -> bool {
  if (at + args.pattern_bytes > args.bytes) { return false; }
  for (var k = 0u; k < args.pattern_bytes; k++) {
    if (svm_load_u8(svm_add(args.text, at + k)) != svm_load_u8(svm_add(args.pattern, k))) { return false; }
  }
  return true;
}

@compute @workgroup_size(ITEMS)
fn search(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) item: u32) {
  let count = svm_index(args.counts, group.x, 4u);
  // Asks for the page of the counts together with the text: one round fewer for each part of the file that the device can hold.
  if (item == 0u) { svm_store_u32(count, 0u); }
  let first = vec4(svm_load_u32(args.pattern));
  var n = 0u;
  for (var run = 0u; run < args.runs; run++) {
    let at = ((group.x * args.runs + run) * ITEMS + item) * 16u;
    if (at >= args.bytes) { break; }
    // The last page reads as zero beyond the end of the file; the next page may not be there.
    let low = svm_load_vec4_u32(svm_add(args.text, at));
    var next = 0u;
    if (at + 16u < args.bytes) { next = svm_load_u32(svm_add(args.text, at + 16u)); }
    let high = vec4(low.yzw, next);
    // The first four bytes of all 16 positions at once.
    let byte0 = low == first;
    let byte1 = ((low >> vec4(8u)) | (high << vec4(24u))) == first;
    let byte2 = ((low >> vec4(16u)) | (high << vec4(16u))) == first;
    let byte3 = ((low >> vec4(24u)) | (high << vec4(8u))) == first;
    if (any(byte0 | byte1 | byte2 | byte3)) {
      for (var b = 0u; b < 16u; b++) { n += select(0u, 1u, matches_at(at + b)); }
    }
  }
  found[item] = n;
  workgroupBarrier();
  if (item == 0u) {
    var sum = 0u;
    for (var i = 0u; i < ITEMS; i++) { sum += found[i]; }
    svm_store_u32(count, sum);
  }
}
