// A hash of 32-bit numbers, in JavaScript and in WGSL. Always: the two agree, and no two numbers have the same hash (it is the end of MurmurHash3,
// each step of which can be undone).

export function mix(n: number): number {
  let x = n >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

export const MIX_WGSL = /* wgsl */ `
fn mix(n: u32) -> u32 {
  var x = (n ^ (n >> 16u)) * 0x85ebca6bu;
  x = (x ^ (x >> 13u)) * 0xc2b2ae35u;
  return x ^ (x >> 16u);
}`
