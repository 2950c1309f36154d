// Looks words up in a trie that JavaScript built: the children of a node are a chain of siblings. It follows the very pointers that
// JavaScript wrote, and says for each query whether the word is there, and how many pointers it followed.

struct Node { letter: u32, ends: u32, child: svm_ptr, sibling: svm_ptr }
struct Query { text: svm_ptr, length: u32 }
struct Answer { found: u32, followed: u32 }
struct Args { root: svm_ptr, queries: svm_ptr, answers: svm_ptr }
@group(0) @binding(0) var<uniform> args: Args;

@compute @workgroup_size(64)
fn look_up(@builtin(global_invocation_id) id: vec3u) {
  let query = svm_index(args.queries, id.x, Query_size);
  let text = svm_load_ptr(svm_add(query, Query_text));
  let length = svm_load_u32(svm_add(query, Query_length));
  var node = args.root;
  var followed = 0u;
  for (var k = 0u; k < length; k++) {
    let letter = svm_load_u8(svm_add(text, k));
    node = svm_load_ptr(svm_add(node, Node_child));
    followed++;
    loop {
      if (svm_is_null(node)) { break; }
      if (svm_load_u32(svm_add(node, Node_letter)) == letter) { break; }
      node = svm_load_ptr(svm_add(node, Node_sibling));
      followed++;
    }
    if (svm_is_null(node)) { break; }
  }
  var found = 0u;
  if (!svm_is_null(node)) { found = svm_load_u32(svm_add(node, Node_ends)); }
  let answer = svm_index(args.answers, id.x, Answer_size);
  svm_store_u32(svm_add(answer, Answer_found), found);
  svm_store_u32(svm_add(answer, Answer_followed), followed);
}
