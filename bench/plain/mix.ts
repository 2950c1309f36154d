// The hash that the plain sides of gups and hash use, as their authors would write it. Always: it is the end of MurmurHash3.

export const MIX_WGSL = `
fn mix(n: u32) -> u32 {
  var x = (n ^ (n >> 16u)) * 0x85ebca6bu;
  x = (x ^ (x >> 13u)) * 0xc2b2ae35u;
  return x ^ (x >> 16u);
}`
