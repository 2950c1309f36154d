// The additions of `debug` to every variant: accesses are noted in the shadow (abi/shadow), and an invocation that spins is ended.
//
// The author's calls of accessors are renamed to wrappers that know their line: `svm_load_u32` in line 7 becomes `svm_load_u32_line7`, which calls the
// accessor and notes what it did. Always: only accesses that were made are noted, or counted where there is no room, by invocations that were neither poisoned nor tainted: their addresses
// do not depend on the order of workgroups, so that a replayed workgroup notes what it noted before, and what an atomic may order is left out.

import { CONTROL, CONTROL_HEADER_WORDS, CONTROL_MODE } from '../abi/fault-record.ts'
import {
  PACK_WGSL,
  SHADOW,
  SHADOW_ENTRY,
  SHADOW_ENTRY_WORDS,
  SHADOW_HASH_WGSL,
  SHADOW_HEADER_WORDS,
  SHADOW_MISSED_MAX,
  SHADOW_PROBES,
  SPIN_MAX,
} from '../abi/shadow.ts'
import type { ProgramVariant } from '../device/device.ts'
import type { AddressBits } from './addresses.ts'
import { badKind } from './steady.ts'
import type { Pieces } from './wgsl-text.ts'

/** Behind the line of a plain load that a loop waits for. */
const ASKS = 'w'
const LINE = /\b(svm_(?:load|store|atomic|silent)_\w+?)_line(\d+)(w?)\b/g

export function withLine(name: string, line: number, asks = false): string {
  return `${name}_line${line}${asks ? ASKS : ''}`
}

/** A text with the author's names again. */
export function withoutLines(text: string): string {
  return text.replace(LINE, '$1')
}

export interface WatchWish {
  readonly addressBits: AddressBits
  readonly variant: ProgramVariant
  /** The workgroup shares poison and taint. */
  readonly workgroupFlag: boolean
}

export function addWatch(pieces: Pieces, wish: WatchWish, ...users: readonly string[]): void {
  const { addressBits: bits } = wish
  const poll = wish.workgroupFlag ? ' svm_poll();' : ''
  if (wish.variant !== 'attempt') for (const text of taint(wish)) pieces.put(text)
  pieces.addAll([
    `fn svm_watches() -> bool {${poll} return !svm_tainted; }`,
    `fn svm_header(word: u32) -> u32 { return arrayLength(&svm_faults) - ${SHADOW_HEADER_WORDS}u + word; }`,
    `fn svm_this_workgroup() -> u32 {
  if ((svm_control.header[${CONTROL.mode}] & ${CONTROL_MODE.worklist}u) != 0u) { return svm_control.rest[svm_control.header[${CONTROL.worklist}] - ${CONTROL_HEADER_WORDS}u + svm_slot]; }
  return svm_control.header[${CONTROL.firstWorkgroup}] + svm_slot;
}`,
    `fn svm_accessor(line: u32) -> u32 {
  let workgroups = svm_control.header[${CONTROL.workgroupsX}] * svm_control.header[${CONTROL.workgroupsY}] * svm_control.header[${CONTROL.workgroupsZ}];
  let workgroup = svm_this_workgroup();
  ${PACK_WGSL}
}`,
    `fn svm_shadow_hash(low: u32, high: u32) -> u32 { ${SHADOW_HASH_WGSL} }`,
    // True when the word is this key now: it was, or it was 0.
    `fn svm_claim(at: u32, key: u32) -> bool {
  loop {
    let held = atomicLoad(&svm_faults[at]);
    if (held != 0u) { return held == key; }
    if (atomicCompareExchangeWeak(&svm_faults[at], 0u, key).exchanged) { return true; }
  }
}`,
    'fn svm_raise(at: u32, value: u32) { if (atomicLoad(&svm_faults[at]) < value) { atomicMax(&svm_faults[at], value); } }',
    `fn svm_note_access(low: u32, high: u32, accessors: u32, value: u32, line: u32) {
  let key = low + 1u;
  if (key == 0u) { return; }
  let mask = atomicLoad(&svm_faults[svm_header(${SHADOW.mask}u)]);
  let home = svm_shadow_hash(low, high);
  let start = svm_header(0u) - (mask + 1u) * ${SHADOW_ENTRY_WORDS}u;
  for (var n = 0u; n < ${SHADOW_PROBES}u; n++) {
    let at = start + ((home + n) & mask) * ${SHADOW_ENTRY_WORDS}u;
    if (!svm_claim(at, key)) { continue; }
    if (!svm_claim(at + ${SHADOW_ENTRY.keyHigh}u, high + 1u)) { continue; }
    let accessor = svm_accessor(line);
    if (accessors == ${SHADOW_ENTRY.stores}u) {
      svm_raise(at + ${SHADOW_ENTRY.value}u, value);
      svm_raise(at + ${SHADOW_ENTRY.value + 1}u, ~value);
    }
    svm_raise(at + accessors, accessor);
    svm_raise(at + accessors + 1u, ~accessor);
    return;
  }
  let missed = svm_header(${SHADOW.missed}u);
  if (atomicLoad(&svm_faults[missed]) < ${SHADOW_MISSED_MAX}u) { atomicAdd(&svm_faults[missed], 1u); }
}`,
    // Of an access that was just made, by an invocation that was watched before it.
    `fn svm_note_word(a: svm_ptr, word: u32, accessors: u32, value: u32, line: u32) {
  if (svm_faulted()) { return; }
  let p = svm_add(a, word * 4u);
  svm_note_access(${bits === 32 ? 'p, 0u' : 'p.x, p.y'}, accessors, value, line);
}`,
    ...spins(wish),
    ...wrappers(bits, pieces, users),
  ])
}

/** A row of questions that were answered alike, and its end. */
function spins({ addressBits: bits, variant }: WatchWish): string[] {
  return [
    'var<private> svm_spins: u32;',
    'var<private> svm_spin_value: u32;',
    'var<private> svm_spin_address: svm_ptr;',
    `fn svm_spun(a: svm_ptr, value: u32, line: u32) {
  if (svm_faulted()) { return; }
  let same = ${bits === 32 ? 'a == svm_spin_address' : 'all(a == svm_spin_address)'} && value == svm_spin_value;
  svm_spin_address = a;
  svm_spin_value = value;
  svm_spins = select(0u, svm_spins + 1u, same);
  if (svm_spins < ${SPIN_MAX}u) { return; }
  svm_spins = 0u;
  if (atomicLoad(&svm_faults[svm_header(${SHADOW.watchSpins}u)]) == 0u) { return; }
  if (atomicExchange(&svm_faults[svm_header(${SHADOW.claim}u)], 1u) == 0u) {
    atomicStore(&svm_faults[svm_header(${SHADOW.address}u)], ${bits === 32 ? 'a' : 'a.x'});
    atomicStore(&svm_faults[svm_header(${SHADOW.addressHigh}u)], ${bits === 32 ? '0u' : 'a.y'});
    atomicStore(&svm_faults[svm_header(${SHADOW.workgroup}u)], svm_this_workgroup());
    atomicStore(&svm_faults[svm_header(${SHADOW.line}u)], line);
  }
  svm_give_up(a);
}`,
    variant === 'attempt'
      ? 'fn svm_give_up(a: svm_ptr) { svm_mark_all(SVM_MARK_FAULTED, 0u); svm_poison(); }'
      : `fn svm_give_up(a: svm_ptr) { svm_check(a, ${badKind('SVM_LOAD', '0u')}, false); }`,
  ]
}

/** Taint in a variant that has none of its own. */
function taint(wish: WatchWish): string[] {
  const share = wish.workgroupFlag ? ' atomicOr(&svm_wgf, 2u);' : ''
  const poll = wish.workgroupFlag ? ' svm_poll();' : ''
  return [
    'var<private> svm_tainted: bool;',
    `fn svm_taint() { if (!svm_tainted) { svm_tainted = true;${share} } }`,
    ...(wish.workgroupFlag
      ? ['var<workgroup> svm_wgf: atomic<u32>;', 'fn svm_poll() { svm_tainted = svm_tainted | ((atomicLoad(&svm_wgf) & 2u) != 0u); }']
      : []),
    `fn svm_barrier() { workgroupBarrier();${poll} }`,
    `fn svm_sbarrier() { storageBarrier();${poll} }`,
  ]
}

/** One wrapper for each accessor and line that the texts mention. */
function wrappers(bits: AddressBits, pieces: Pieces, users: readonly string[]): string[] {
  const wanted = new Map<string, Watched>()
  for (const text of users)
    for (const [whole, name, line, asks] of text.matchAll(LINE)) wanted.set(whole, { name: name as string, line: line as string, asks: asks === ASKS })
  return [...wanted.values()].map((one) => wrapper(bits, pieces.text(one.name) as string, one))
}

/** An accessor that is called in this line. */
interface Watched {
  readonly name: string
  readonly line: string
  /** A loop waits for what it gives. */
  readonly asks: boolean
}

function wrapper(bits: AddressBits, text: string, { name, line, asks }: Watched): string {
  const [, parameters = '', returned] = /^fn \w+\((.*?)\)(?: -> ([^{]+?))? \{/.exec(text) ?? []
  const names = parameters.split(/, (?=\w+:)/).map((parameter) => parameter.slice(0, parameter.indexOf(':')))
  const [, verb, rest] = /^svm_(load|store|atomic|silent)_(\w+)$/.exec(name) as unknown as [string, keyof typeof VERBS, string]
  const kept = returned === undefined ? '' : 'let result = '
  const after = asks && SCALAR.test(rest) ? askedWord(line) : VERBS[verb](rest, line, bits)
  return `fn ${withLine(name, Number(line), asks)}(${parameters})${returned === undefined ? '' : ` -> ${returned}`} {
  let watched = svm_watches();
  ${kept}${name}(${names.join(', ')});
  ${after}${returned === undefined ? '' : '\n  return result;'}
}`
}

/** What a wrapper does after the access, by the accessor's verb and the rest of its name. */
const VERBS = {
  load: (type: string, line: string, bits: AddressBits) =>
    noteWords(
      wordsOf(type, bits).map(() => '0u'),
      SHADOW_ENTRY.loads,
      line,
    ),
  store: (type: string, line: string, bits: AddressBits) => noteWords(wordsOf(type, bits), SHADOW_ENTRY.stores, line),
  silent: (_: string, line: string) => noteWords(['0u'], SHADOW_ENTRY.updates, line),
  atomic: (rest: string, line: string) => {
    const note = `if (watched) { svm_note_word(p, 0u, ${rest.startsWith('load_') ? SHADOW_ENTRY.atomicLoads : SHADOW_ENTRY.updates}u, 0u, ${line}u); }`
    const spun = `svm_spun(p, bitcast<u32>(result), ${line}u);`
    if (/^(load|exchange|compare_exchange)_/.test(rest)) return `${note} ${spun}`
    // What adds nothing only asks.
    return /^(add|sub|or|xor)_/.test(rest) ? `${note} if (value == 0) { ${spun} }` : note
  },
} as const

const SCALAR = /^[uif]32$/

/** A plain load that a loop waits for is a question like an atomic one. */
function askedWord(line: string): string {
  return `if (watched) { svm_note_word(p, 0u, ${SHADOW_ENTRY.loads}u, 0u, ${line}u); }\n  svm_spun(p, bitcast<u32>(result), ${line}u);`
}

/** An access that is no question ends a row of questions. */
function noteWords(values: readonly string[], accessors: number, line: string): string {
  return `svm_spins = 0u;\n  if (watched) { ${values.map((value, k) => `svm_note_word(p, ${k}u, ${accessors}u, ${value}, ${line}u);`).join(' ')} }`
}

/** The words of `value`, as bits. */
function wordsOf(type: string, bits: AddressBits): string[] {
  if (type === 'ptr') return bits === 32 ? ['value'] : ['value.x', 'value.y']
  if (type === 'u8') return ['value & 0xffu']
  if (type === 'u16') return ['value & 0xffffu']
  const width = /^vec([234])_/.exec(type)?.[1]
  if (width === undefined) return ['bitcast<u32>(value)']
  return Array.from({ length: Number(width) }, (_, k) => `bitcast<u32>(value[${k}])`)
}
