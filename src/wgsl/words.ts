// The words of the pools: the only WGSL that touches a pool binding.
//
// Always: with one pool a place is a word of it; with more, the top three bits choose. Pools are plain words, or atomic words when anything in the
// module needs atomics: then every access goes through atomicLoad and atomicStore, so that the module has one view of each pool.

import { POOL_SINK_WORD, POOL_ZERO_WORD } from '../abi/pool.ts'
import { PTE_POOL_SHIFT } from '../abi/pte.ts'
import { constant, type Pieces } from './wgsl-text.ts'

/** Bindings of the runtime's group. */
export const RUNTIME_BINDING = { table: 0, faults: 1, control: 2, args: 3, pools: 4 } as const

const RAW_BUILTINS = { add: 'atomicAdd', sub: 'atomicSub', and: 'atomicAnd', or: 'atomicOr', xor: 'atomicXor', exchange: 'atomicExchange' } as const

export function addWords(pieces: Pieces, pools: number, atomicPools: boolean): void {
  const words = new PoolWords(pools, atomicPools)
  pieces.addAll([constant('SVM_ZERO', POOL_ZERO_WORD), constant('SVM_SINK', POOL_SINK_WORD), ...words.bindings(), ...words.access(), ...words.atomics()])
}

class PoolWords {
  readonly #pools: number
  readonly #atomic: boolean

  constructor(pools: number, atomic: boolean) {
    this.#pools = pools
    this.#atomic = atomic
  }

  bindings(): string[] {
    const element = this.#atomic ? 'atomic<u32>' : 'u32'
    return Array.from(
      { length: this.#pools },
      (_, k) => `@group(3) @binding(${RUNTIME_BINDING.pools + k}) var<storage, read_write> svm_pool${k}: array<${element}>;`,
    )
  }

  /** A function body that runs `statements` for the pool that the place names. */
  #body(statements: (pool: string, word: string) => string): string {
    if (this.#pools === 1) return `{ ${statements('svm_pool0', 'at')} }`
    const cases = Array.from({ length: this.#pools - 1 }, (_, k) => `    case ${k + 1}u: { ${statements(`svm_pool${k + 1}`, 'w')} }`)
    return `{
  let w = at & ${2 ** PTE_POOL_SHIFT - 1}u;
  switch (at >> ${PTE_POOL_SHIFT}u) {
${cases.join('\n')}
    default: { ${statements('svm_pool0', 'w')} }
  }
}`
  }

  #get(pool: string, word: string, k: number): string {
    const place = k === 0 ? `${pool}[${word}]` : `${pool}[${word} + ${k}u]`
    return this.#atomic ? `atomicLoad(&${place})` : place
  }

  #set(pool: string, word: string, k: number, value: string): string {
    const place = k === 0 ? `${pool}[${word}]` : `${pool}[${word} + ${k}u]`
    return this.#atomic ? `atomicStore(&${place}, ${value});` : `${place} = ${value};`
  }

  access(): string[] {
    const texts = [
      `fn svm_word(at: u32) -> u32 ${this.#body((pool, word) => `return ${this.#get(pool, word, 0)};`)}`,
      `fn svm_set_word(at: u32, value: u32) ${this.#body((pool, word) => this.#set(pool, word, 0, 'value'))}`,
    ]
    for (const width of [2, 3, 4]) {
      const range = Array.from({ length: width }, (_, k) => k)
      const all = (pool: string, word: string) => `return vec${width}<u32>(${range.map((k) => this.#get(pool, word, k)).join(', ')});`
      const each = (pool: string, word: string) => range.map((k) => this.#set(pool, word, k, `value[${k}]`)).join(' ')
      texts.push(
        `fn svm_words${width}(at: u32) -> vec${width}<u32> ${this.#body(all)}`,
        `fn svm_set_words${width}(at: u32, value: vec${width}<u32>) ${this.#body(each)}`,
      )
    }
    return texts
  }

  /** Atomics on a place. Without atomic pools nothing mentions them. */
  atomics(): string[] {
    const simple = { ...RAW_BUILTINS, max_u32: 'atomicMax', min_u32: 'atomicMin' }
    const texts = Object.entries(simple).map(
      ([name, builtin]) => `fn svm_raw_${name}(at: u32, value: u32) -> u32 ${this.#body((pool, word) => `return ${builtin}(&${pool}[${word}], value);`)}`,
    )
    // The weak exchange may fail without a reason; only a different old value is a reason to give up.
    const swap = (pool: string, word: string) =>
      `loop { let r = atomicCompareExchangeWeak(&${pool}[${word}], expected, value); if (r.exchanged || r.old_value != expected) { return r.old_value; } }`
    texts.push(`fn svm_raw_compare_exchange(at: u32, expected: u32, value: u32) -> u32 ${this.#body(swap)}`)
    // The pools are unsigned; signed order needs an exchange.
    for (const [name, keeps] of [
      ['max_i32', '>='],
      ['min_i32', '<='],
    ] as const) {
      texts.push(`fn svm_raw_${name}(at: u32, value: i32) -> i32 {
  loop {
    let old = svm_word(at);
    if (bitcast<i32>(old) ${keeps} value || svm_raw_compare_exchange(at, old, bitcast<u32>(value)) == old) { return bitcast<i32>(old); }
  }
}`)
    }
    return texts
  }
}
